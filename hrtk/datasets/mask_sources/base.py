"""The base class of mask sources, and masks that are computed on first access."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from hrtk.structures import Frames, Sequence


class MaskSource:
    """Computes or reads the foreground masks of sequences.

    A subclass implements :meth:`masks` and, where its masks depend on files, :meth:`fingerprint`.

    Args:
        name: method that yields the masks, stored as ``Sequence.masks_source`` and printed beside results.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._masks_of_sequence: dict[str, Frames] = {}

    def masks(self, sequence: Sequence) -> Frames:
        """F lazy (H, W) uint8 masks of 0 and 1 for a sequence of F frames."""
        raise NotImplementedError

    def fingerprint(self) -> dict[str, str]:
        """Hashes of everything that the masks depend on besides the frames and the source's settings."""
        return {}

    def attach(self, sequence: Sequence) -> Sequence:
        """The sequence with masks; a second call for the same sequence name returns the same masks."""
        if sequence.name not in self._masks_of_sequence:
            self._masks_of_sequence[sequence.name] = self.masks(sequence)
        return dataclasses.replace(
            sequence, masks=self._masks_of_sequence[sequence.name], masks_source=self.name
        )


class LazyMasks:
    """Masks that are computed once, on first access, and stored as bits (32 kB for 512x512 px).

    Args:
        count: F.
        compute: index of a frame -> (H, W) bool mask.
    """

    def __init__(self, count: int, compute: Callable[[int], np.ndarray]) -> None:
        self._count = count
        self._compute = compute
        self._packed: dict[int, tuple[np.ndarray, tuple[int, int]]] = {}

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> np.ndarray:
        """(H, W) uint8 of 0 and 1, a new array on every access."""
        position = range(self._count)[index]
        if position not in self._packed:
            mask = self._compute(position)
            height, width = mask.shape
            self._packed[position] = np.packbits(mask), (height, width)
        bits, (height, width) = self._packed[position]
        return np.unpackbits(bits, count=height * width).reshape(height, width)
