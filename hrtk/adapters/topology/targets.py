"""Supervision of a sequence: masks in its crops and 2D keypoints."""

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
from hrtk.losses.topology import silhouette_target
from hrtk.models.estimators import Estimator
from hrtk.silhouettes.masks import crop_mask
from hrtk.structures import Sequence


class MaskTargets:
    """The masks of one sequence, read on first request and cached as packed bits.

    Args:
        sequence: provides the masks.
        resolution: R, px of the crops.
        device: device of the returned tensors.

    Attributes:
        skipped: number of distinct requested frames left out, by reason.

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
        """Returns the masks of B frames.

        Returns:
            (B, R, R) bool masks in the frames' crops, all False where a frame is left out; and a (B,) bool mask of
            usable frames.

        Raises:
            InputError: a mask cannot be read, differs in size from its image, or is not binary.
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

    def is_usable(self, t: int) -> bool:
        """Returns whether the mask of frame ``t`` is usable.

        Raises:
            InputError: as for :meth:`get`.
        """
        return self._get_packed(t) is not None

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
        masks: (B, R, R) bool masks in the frames' crops.
        usable: (B,) bool mask of usable frames.
        keypoints2d: keypoints of the frames; None if no loss uses keypoints.
    """

    masks: Tensor
    usable: Tensor
    keypoints2d: Optional[CropKeypoints]

    def usable_by(self, objectives: MaskObjectives) -> Tensor:
        """(B,) bool: frames with a usable mask and, if the losses use 2D keypoints alone, with a visible keypoint."""
        if objectives.uses_masks or self.keypoints2d is None:
            return self.usable
        return self.usable & self.keypoints2d.seen


class SequenceTargets:
    """Supervision of one sequence for the losses of :class:`MaskObjectives`.

    Args:
        sequence: provides masks and keypoints.
        estimator: defines crop resolution and device.
        objectives: defines whether keypoints are needed.

    Raises:
        InputError: the sequence has no masks.
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
        """Returns the masks and keypoints of frames."""
        masks, usable = self._masks.get(frames)
        keypoints2d = None
        if self._keypoints2d is not None:
            keypoints2d = self._keypoints2d[frames]
        return FrameTargets(masks, usable, keypoints2d)

    def count_usable(self) -> int:
        """Reads all masks and returns the number of usable ones."""
        return sum(self._masks.is_usable(t) for t in range(len(self.sequence)))

    @property
    def skipped(self) -> dict[str, int]:
        """Number of distinct requested frames left out, by reason."""
        return self._masks.skipped


def join_batch(
    crops: Tensor, parts: SequenceOf[FrameTargets], objectives: MaskObjectives
) -> MaskBatch:
    """Joins the targets of the frames of one or several sequences into one batch.

    Args:
        crops: (B, 3, R, R), normalised, of all frames in the order of the parts.
        parts: targets of the frames, one part per sequence.
        objectives: defines whether masks are needed.
    """
    target = None
    if objectives.uses_masks:
        target = silhouette_target(torch.cat([part.masks for part in parts]))
    usable = torch.cat([part.usable_by(objectives) for part in parts])
    # `keypoints2d` is None for all parts or for none.
    keypoints = [part.keypoints2d for part in parts if part.keypoints2d is not None]
    if not keypoints:
        return MaskBatch(crops, target, usable)
    xy = torch.cat([part.xy for part in keypoints])
    confidence = torch.cat([part.confidence for part in keypoints])
    return MaskBatch(crops, target, usable, CropKeypoints(xy, confidence))
