"""One person in one clip of a user's footage."""

from __future__ import annotations

import dataclasses
from typing import Optional

import numpy as np


@dataclasses.dataclass(frozen=True)
class Track:
    """One person in F frames of one clip.

    Attributes:
        name: of the sequence.
        frames: F indices in the footage.
        boxes: (F, 3) float32 ``[cx, cy, side]``, px.
        rows: F rows of the keypoint table, -1 where the person was not detected.
        identity: the number of the person in the clip, as in the name.
        identity_margin: (F,) logarithm of the odds that the person is who he was before, in frames around which
            people overlapped, so that identities could be exchanged; NaN in all other frames. None for no such frame.
    """

    name: str
    frames: tuple[int, ...]
    boxes: np.ndarray
    rows: tuple[int, ...]
    identity: int = 0
    identity_margin: Optional[np.ndarray] = None
