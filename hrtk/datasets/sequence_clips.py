"""SequenceClips: clips of any data set of sequences with ground truth, as labelled source data of videos."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from hrtk.body_models.skeletons import index_map
from hrtk.errors import InputError, OptionError
from hrtk.geometry.boxes import crop_image, to_crop
from hrtk.registry import DATASETS
from hrtk.structures import GroundTruth, Sequence, evenly_spaced

COMMON14 = 14  # the first joints of spin24, LSP's: those that VIBE supervises in 3D


@DATASETS.register_module()
class SequenceClips(Dataset):
    """Clips of T consecutive frames of sequences, with the labels that their ground truth has.

    An item is a dict: ``image`` (T, 3, R, R) uint8 RGB; ``rotmat`` (T, 24, 3, 3) and ``betas`` (T, 10), not a number
    where the data set has no body (MPI-INF-3DHP); ``part`` (T, 24, 3), 2D keypoints ``spin24`` in [-1, 1] with
    confidences; ``keypoints2d`` (T, 24, 2), their positions; and ``S`` (T, 24, 4), the joints of the ground truth in
    metres with confidences, 1 for the 14 of LSP and 0 for all others. Joints of the Human3.6M regressor (``lsp14``) are
    other points of the body and get 0.

    Args:
        dataset: config of the data set; its ground truth is a body, neutral, or joints with the 14 of LSP
            (``spin49``), or both.
        frames: T, 16 in VIBE.
        length: number of clips, evenly spread over all that do not overlap; None takes all.
        resolution: R, px.

    Raises:
        InputError: the data set has no such clip, or its bodies are not neutral.
    """

    def __init__(
        self,
        dataset: Mapping[str, Any],
        frames: int = 16,
        length: int | None = None,
        resolution: int = 224,
    ) -> None:
        if frames < 1 or (length is not None and length < 1) or resolution < 1:
            raise OptionError(
                f'SequenceClips: frames, length and resolution are positive, not {frames}, {length} and {resolution}'
            )
        self.dataset: Any = DATASETS.build(dict(dataset))
        self.frames = frames
        self.resolution = resolution
        clips = []
        for number in range(len(self.dataset)):
            sequence = self.dataset[number]
            clips += [(number, start) for start in _labelled_starts(sequence, frames)]
        if not clips:
            raise OptionError(
                f'SequenceClips: {type(self.dataset).__name__} has no {frames} consecutive frames with a body or with '
                f'the 14 joints of LSP in 3D; take fewer frames or another data set'
            )
        if length is None:
            length = len(clips)
        self.clips = [clips[position] for position in evenly_spaced(len(clips), length)]

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        number, start = self.clips[index]
        sequence = self.dataset[number].part(start, start + self.frames)
        crops = [
            crop_image(sequence.frames[t], sequence.boxes[t], self.resolution)
            for t in range(self.frames)
        ]
        part = _keypoints(sequence)
        truth = sequence.truth
        assert truth is not None
        rotmat = torch.full((self.frames, 24, 3, 3), torch.nan)
        betas = torch.full((self.frames, 10), torch.nan)
        if truth.rotmat is not None and truth.betas is not None:
            rotmat = truth.rotmat.float()
            betas = truth.betas.float()
        return dict(
            image=torch.stack(crops).round().clamp(0, 255).to(torch.uint8),
            rotmat=rotmat,
            betas=betas,
            keypoints2d=part[..., :2],
            part=part,
            S=_joints(truth, self.frames),
        )

    def fingerprint(self) -> dict[str, str]:
        """The hashes of the data set."""
        fingerprint = getattr(self.dataset, 'fingerprint', None)
        if fingerprint is None:
            return {}
        return fingerprint()


def _labelled_starts(sequence: Sequence, frames: int) -> list[int]:
    """First frames of the clips of a sequence whose frames all have labels."""
    truth = sequence.truth
    if truth is None:
        return []
    if truth.gender != 'neutral':
        raise InputError(
            f'SequenceClips: the bodies of {sequence.name} are {truth.gender}; source data need neutral ones'
        )
    labelled = torch.ones(len(sequence), dtype=torch.bool)
    if truth.rotmat is None or truth.betas is None:
        joints = _joints(truth, len(sequence))
        labelled = (joints[:, :COMMON14, 3] > 0).all(1)
    if truth.valid is not None:
        labelled &= truth.valid
    starts = range(0, len(sequence) - frames + 1, frames)
    return [start for start in starts if labelled[start : start + frames].all()]


def _keypoints(sequence: Sequence) -> Tensor:
    """(T, 24, 3) ``spin24`` keypoints in [-1, 1] with confidences; zeros where there are none."""
    keypoints = sequence.keypoints2d
    source = torch.as_tensor(index_map(keypoints.skeleton, 'spin24', nearest=True))
    known = source >= 0
    source = source.clamp_min(0)
    xy = to_crop(keypoints.xy, sequence.boxes)[:, source]
    confidence = keypoints.confidence[:, source] * known
    confidence = confidence * torch.isfinite(xy).all(-1)
    xy = torch.where(confidence[..., None] > 0, xy, 0.0)
    return torch.cat([xy, confidence[..., None]], -1).float()


def _joints(truth: GroundTruth, frames: int) -> Tensor:
    """(T, 24, 4) joints of the ground truth with confidences: the 14 of LSP where they are known."""
    joints = torch.zeros(frames, 24, 4)
    if truth.joints3d is None or truth.skeleton is None:
        return joints
    source = torch.as_tensor(index_map(truth.skeleton, 'spin24', nearest=True))[:COMMON14]
    points = truth.joints3d[:, source.clamp_min(0)].float()
    # The official files have zeros where a joint was not measured.
    known = (source >= 0) & (points != 0).any(-1) & torch.isfinite(points).all(-1)
    joints[:, :COMMON14, :3] = torch.where(known[..., None], points, 0.0)
    joints[:, :COMMON14, 3] = known
    return joints
