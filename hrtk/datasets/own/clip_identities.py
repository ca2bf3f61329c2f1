"""Who is who in the clips of a keypoint file: by the identities of the file, or by tracking."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Literal, Optional

import numpy as np

from hrtk.datasets.own.footage import Footage
from hrtk.datasets.own.identities import Identities, identify
from hrtk.datasets.own.identities.appearance import Appearance, look
from hrtk.datasets.own.keypoint_table import KeypointTable, contradicting_identities
from hrtk.structures import Frames

# Trackers of hrtk, which see one frame after the other: what they noted is examined with all frames at hand.
OWN_TRACKERS = ('blazepose',)


class ClipIdentities:
    """Finds the identities of one clip after the other.

    Args:
        table: the keypoints of all people.
        points: (N, K, 3) those of the table, with confidence 0 for points that do not count.
        boxes: (N, 3) ``[cx, cy, side]``, px.
        footage: the frames.
        fps: frames per second.
        people: ``'tracked'`` or ``'annotated'``, see :class:`~hrtk.datasets.own.video.VideoDataset`.
        colours: whether people who overlap are recognised by their colours.
        max_gap, min_similarity: of :func:`~hrtk.datasets.own.identities.identify`.

    Attributes:
        contradicting: of every clip that is tracked because a frame holds one identity twice, one such identity.
    """

    def __init__(
        self,
        table: KeypointTable,
        points: np.ndarray,
        boxes: np.ndarray,
        footage: Footage,
        fps: float,
        people: Literal['tracked', 'annotated'],
        colours: bool,
        max_gap: int,
        min_similarity: float,
    ) -> None:
        self._table = table
        self._points = points
        self._boxes = boxes
        self._footage = footage
        self._fps = fps
        self._people = people
        self._colours = colours
        self._max_gap = max_gap
        self._min_similarity = min_similarity
        self.contradicting: dict[str, int] = {}

    def __call__(self, clip: str, rows: Sequence[int], frames: Sequence[int]) -> Identities:
        """The identities of all people of a clip, and where they could be exchanged.

        Args:
            clip: its name.
            rows: the people, as rows of the table.
            frames: the index in the footage of each.
        """
        noted = [self._table.persons[row] for row in rows]
        contradicting = contradicting_identities(noted, frames)
        if contradicting and self._people == 'tracked':
            self.contradicting[clip] = contradicting[0]
            noted = [None] * len(rows)
        known = [person for person in noted if person is not None]
        if len(known) < len(rows) and self._people == 'annotated':
            return Identities(np.zeros(len(rows), int), ())
        if len(known) < len(rows):
            return self._identify(rows, frames, None)
        if self._people == 'tracked' and self._table.source in OWN_TRACKERS:
            return self._identify(rows, frames, np.array(known))
        return Identities(np.array(known), ())

    @functools.cached_property
    def _images(self) -> Frames:
        """All frames, opened once and only if colours are looked at: every photograph is a clip of its own."""
        return self._footage.frames()

    def _identify(
        self, rows: Sequence[int], frames: Sequence[int], noted: Optional[np.ndarray]
    ) -> Identities:
        index = np.array(rows)

        def look_at(position: int) -> Appearance:
            points = self._points[index[position]]
            return look(self._images[frames[position]], points, self._table.skeleton)

        return identify(
            np.array(frames),
            self._points[index],
            self._boxes[index],
            self._table.skeleton,
            fps=self._fps,
            max_gap=self._max_gap,
            min_similarity=self._min_similarity,
            noted=noted,
            look=look_at if self._colours else None,
        )


def largest_of_each(
    identities: Identities, rows: Sequence[int], frames: Sequence[int], boxes: np.ndarray
) -> dict[int, dict[int, int]]:
    """``{identity: {frame: row}}`` with the largest person of an identity in each frame.

    Args:
        identities: of the people of a clip.
        rows: the people, as rows of the table.
        frames: the frame of each.
        boxes: (N, 3) of all rows of the table.
    """
    people: dict[int, dict[int, int]] = {}
    for identity, row, frame in zip(identities.of_rows.tolist(), rows, frames):
        row_of_frame = people.setdefault(identity, {})
        rival = row_of_frame.get(frame)
        if rival is None or boxes[row, 2] > boxes[rival, 2]:
            row_of_frame[frame] = row
    return people
