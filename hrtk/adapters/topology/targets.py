"""The masks of a track in its network's crops, and which of them can be learnt from."""

from __future__ import annotations

from typing import Iterable, Optional

import numpy as np
import torch
from torch import Tensor

from hrtk.errors import InputError
from hrtk.geometry.masks import crop_mask
from hrtk.structures import Sequence


class MaskTargets:
    """Masks of one track, read when they are first asked for and remembered at one bit per pixel.

    Args:
        sequence: the track.
        resolution: R, px of the crops.
        device: where results go.

    Attributes:
        skipped: why frames were left out, and how many of those that were asked for.

    Raises:
        InputError: the track has no masks.
    """

    def __init__(
        self, sequence: Sequence, resolution: int, device: torch.device | str = 'cpu'
    ) -> None:
        if sequence.masks is None:
            raise InputError(
                f'{sequence.name}: has no masks, which this adapter learns from; name a source with '
                f'`dataset.masks`, e.g. dict(type="MaskFiles", folder=...), see docs/en/masks.md'
            )
        self.sequence, self.resolution, self.device = sequence, resolution, device
        self.skipped: dict[str, int] = {}
        self._known: dict[int, Optional[np.ndarray]] = {}

    def get(self, indices: Iterable[int]) -> tuple[Tensor, Tensor]:
        """The masks of frames.

        Returns:
            (B, R, R) bool in the frames' crops, all False where a frame is to be left out, and (B,) bool, which are
            usable.

        Raises:
            InputError: a mask cannot be read, has another size than its picture, or values between 0 and 1.
        """
        rows = [self._row(t) for t in indices]
        side = self.resolution
        masks = np.zeros((len(rows), side * side), np.uint8)
        for mask, row in zip(masks, rows):
            if row is not None:
                mask[:] = np.unpackbits(row, count=side * side)
        usable = torch.tensor([row is not None for row in rows])
        return torch.from_numpy(masks.reshape(-1, side, side)).bool().to(self.device), usable.to(
            self.device
        )

    def _row(self, t: int) -> Optional[np.ndarray]:
        if t not in self._known:
            self._known[t] = self._read(t)
        return self._known[t]

    def _read(self, t: int) -> Optional[np.ndarray]:
        sequence, what = (
            self.sequence,
            f'{self.sequence.name}, mask of frame {self.sequence.frame_ids[t]}',
        )
        size = sequence.frames[t].shape[:2]
        crop, problem = crop_mask(sequence.masks[t], size, sequence.boxes[t], self.resolution, what)
        if crop is None:
            self.skipped[problem] = self.skipped.get(problem, 0) + 1
            return None
        return np.packbits(crop.numpy())
