"""What a sequence offers to learn from: foreground masks in its crops, and 2D keypoints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Optional
from typing import Sequence as SequenceOf

import numpy as np
import torch
from torch import Tensor

from hrtk.adapters.parts.posed import CropKeypoints
from hrtk.adapters.parts.targets import crop_targets
from hrtk.adapters.topology.objectives import MaskBatch, MaskObjectives
from hrtk.errors import InputError
from hrtk.geometry.masks import crop_mask
from hrtk.losses.topology import silhouette_target
from hrtk.models.estimators import Estimator
from hrtk.structures import Sequence


class MaskTargets:
    """The masks of one sequence, read when they are first asked for and remembered at one bit per pixel.

    Args:
        sequence: with masks.
        resolution: R, px of the crops.
        device: where results go.

    Attributes:
        skipped: reason -> how many of the requested frames were left out for it.

    Raises:
        InputError: the sequence has no masks.
    """

    def __init__(
        self, sequence: Sequence, resolution: int, device: torch.device | str = 'cpu'
    ) -> None:
        if sequence.masks is None:
            raise InputError(
                f'{sequence.name}: has no masks, which this adapter learns from; name a source with '
                f'`dataset.masks`, e.g. dict(type="MaskFiles", folder=...), see docs/en/masks.md'
            )
        self.sequence = sequence
        self.resolution = resolution
        self.device = device
        self.skipped: dict[str, int] = {}
        self._packed: dict[int, Optional[np.ndarray]] = {}

    def get(self, frames: Iterable[int]) -> tuple[Tensor, Tensor]:
        """Returns the masks of frames.

        Returns:
            (B, R, R) bool in the frames' crops, all False where a frame is left out; and (B,) bool, which are usable.

        Raises:
            InputError: a mask cannot be read, has another size than its image, or values between 0 and 1.
        """
        packed_masks = [self._get_packed(t) for t in frames]
        side = self.resolution
        pixels = np.zeros((len(packed_masks), side * side), np.uint8)
        usable = np.zeros(len(packed_masks), bool)
        for row, packed in enumerate(packed_masks):
            if packed is not None:
                pixels[row] = np.unpackbits(packed, count=side * side)
                usable[row] = True
        masks = torch.from_numpy(pixels.reshape(-1, side, side)).bool()
        return masks.to(self.device), torch.from_numpy(usable).to(self.device)

    def _get_packed(self, t: int) -> Optional[np.ndarray]:
        if t not in self._packed:
            self._packed[t] = self._read(t)
        return self._packed[t]

    def _read(self, t: int) -> Optional[np.ndarray]:
        sequence = self.sequence
        assert sequence.masks is not None, 'checked by the constructor'
        label = f'{sequence.name}, mask of frame {sequence.frame_ids[t]}'
        size = sequence.frames[t].shape[:2]
        crop, problem = crop_mask(
            sequence.masks[t], size, sequence.boxes[t], self.resolution, label
        )
        if crop is None:
            assert problem is not None, 'crop_mask names the problem'
            self.skipped[problem] = self.skipped.get(problem, 0) + 1
            return None
        return np.packbits(crop.numpy())


class FrameTargets(NamedTuple):
    """Masks and keypoints of B frames.

    Attributes:
        masks: (B, R, R) bool in the frames' crops.
        usable: (B,) bool.
        keypoints2d: of the frames, or None where no term looks at keypoints.
    """

    masks: Tensor
    usable: Tensor
    keypoints2d: Optional[CropKeypoints]


class SequenceTargets:
    """What one sequence offers to the terms of :class:`MaskObjectives`.

    Args:
        sequence: with masks.
        estimator: the crops are its own.
        objectives: says whether keypoints are needed.

    Raises:
        InputError: the sequence has no masks, or no visible keypoint although a term needs keypoints.
    """

    def __init__(
        self, sequence: Sequence, estimator: Estimator, objectives: MaskObjectives
    ) -> None:
        self.sequence = sequence
        self.estimator = estimator
        self._masks = MaskTargets(sequence, estimator.resolution, estimator.device)
        self._keypoints2d: Optional[CropKeypoints] = None
        if objectives.uses_keypoints:
            self._keypoints2d = crop_targets(sequence, device=estimator.device)

    def get(self, frames: list[int]) -> FrameTargets:
        """Reads the targets of frames."""
        masks, usable = self._masks.get(frames)
        keypoints2d = None
        if self._keypoints2d is not None:
            keypoints2d = self._keypoints2d[frames]
        return FrameTargets(masks, usable, keypoints2d)

    def count_usable(self) -> int:
        """Reads every mask; returns how many are usable."""
        return sum(int(self._masks.get([t])[1]) for t in range(len(self.sequence)))

    @property
    def skipped(self) -> dict[str, int]:
        """Reason -> how many of the requested frames were left out for it."""
        return self._masks.skipped


def joined_batch(
    crops: Tensor, parts: SequenceOf[FrameTargets], objectives: MaskObjectives
) -> MaskBatch:
    """Joins the targets of frames, perhaps of several sequences, into one batch.

    Args:
        crops: (B, 3, R, R), normalised, of all frames in the order of the parts.
        parts: the frames' targets.
        objectives: says whether masks are needed.
    """
    target = None
    if objectives.uses_masks:
        target = silhouette_target(torch.cat([part.masks for part in parts]))
    usable = torch.cat([part.usable for part in parts])
    keypoints = [part.keypoints2d for part in parts if part.keypoints2d is not None]
    if not keypoints:
        return MaskBatch(crops, target, usable)
    xy = torch.cat([part.xy for part in keypoints])
    confidence = torch.cat([part.confidence for part in keypoints])
    return MaskBatch(crops, target, usable, CropKeypoints(xy, confidence))
