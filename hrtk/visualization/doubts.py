"""Marks of doubtful frames, which reports and the viewer show on their time axes."""

from __future__ import annotations

import dataclasses
from typing import Sequence


@dataclasses.dataclass(frozen=True)
class Doubt:
    """A frame that something speaks against.

    Attributes:
        frame: index of the frame.
        reason: what speaks against it, in words.
    """

    frame: int
    reason: str


def in_clip(doubts: Sequence[Doubt], frames: Sequence[int], first: int) -> list[Doubt]:
    """The doubts of a track, counted in its clip.

    Args:
        doubts: of the track.
        frames: the frames of the clip that the track has.
        first: the frame of the clip that counts as 0.
    """
    return [dataclasses.replace(doubt, frame=frames[doubt.frame] - first) for doubt in doubts]
