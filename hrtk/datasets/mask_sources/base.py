"""What every mask source has, and masks that are made when they are first asked for."""

from __future__ import annotations

import dataclasses
from typing import Callable

import numpy as np

from hrtk.structures import Frames, Sequence


class MaskSource:
    """Makes the masks of sequences.

    A subclass implements :meth:`masks` and, where files decide its masks, :meth:`fingerprint`.

    Args:
        name: who makes the masks, stored as ``Sequence.masks_source`` and printed beside results.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._made: dict[str, Frames] = {}

    def masks(self, sequence: Sequence) -> Frames:
        """F lazy (H, W) uint8 masks of 0 and 1 for a sequence of F frames."""
        raise NotImplementedError

    def fingerprint(self) -> dict[str, str]:
        """Hashes of what the masks depend on besides the frames and the source's own settings."""
        return {}

    def attach(self, sequence: Sequence) -> Sequence:
        """The sequence with these masks; those made for a sequence of this name before are used again."""
        if sequence.name not in self._made:
            self._made[sequence.name] = self.masks(sequence)
        return dataclasses.replace(
            sequence, masks=self._made[sequence.name], masks_source=self.name
        )


class LazyMasks:
    """Masks that are made once each, then kept as bits: 32 kB for 512x512 px.

    Args:
        count: F.
        make: t -> (H, W) bool.
    """

    def __init__(self, count: int, make: Callable[[int], np.ndarray]) -> None:
        self._count, self._make = count, make
        self._known: dict[int, tuple[np.ndarray, tuple[int, int]]] = {}

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> np.ndarray:
        """(H, W) uint8 of 0 and 1; a new array every time."""
        position = range(self._count)[index]
        if position not in self._known:
            mask = self._make(position)
            self._known[position] = np.packbits(mask), mask.shape
        bits, (height, width) = self._known[position]
        return np.unpackbits(bits, count=height * width).reshape(height, width)
