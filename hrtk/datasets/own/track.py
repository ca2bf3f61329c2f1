"""One person in one clip of a user's footage."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Track:
    """One person in F frames of one clip.

    Attributes:
        name: of the sequence.
        frames: F indices in the footage.
        boxes: (F, 3) float32 ``[cx, cy, side]``, px.
        rows: F rows of the keypoint table, -1 where the person was not detected.
    """

    name: str
    frames: tuple[int, ...]
    boxes: np.ndarray
    rows: tuple[int, ...]
