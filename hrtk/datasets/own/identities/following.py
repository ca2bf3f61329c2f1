"""The first pass: people followed from frame to frame at constant velocity, and where that could be wrong."""

from __future__ import annotations

import dataclasses
from typing import Optional

import numpy as np

from hrtk.body_models.person_similarity import iou, oks_sigmas, similarity
from hrtk.datasets.own.identities.motion import Filter, Motion, body_middles
from hrtk.geometry.assignment import best_pairs

# Somebody who was seen a moment ago is more likely to be seen now than somebody hidden behind.
HIDDEN = 0.2
# An assignment is uncertain if the exchange of two people would lower the sum of their similarities by less.
CLEAR = 0.6
# The same for a person who could be another one, who is not seen.
CLEAR_OF_HIDDEN = 0.4
LEAST_RIVAL = 0.15  # similarity below which nobody is a rival
OVERLAP = 0.3  # of the boxes, at which somebody who is not seen may be hidden


@dataclasses.dataclass(frozen=True)
class People:
    """All people of a clip, one per row.

    Attributes:
        frames: (N,) frame numbers.
        points: (N, K, 3) x, y in px and confidence; 0 marks a missing point.
        boxes: (N, 3) crop boxes ``[cx, cy, side]``, px.
        middles: (N, 2) of :func:`~hrtk.datasets.own.identities.motion.body_middles`.
        factors: (N,) likewise.
        extents: (N, 4) ``[left, top, right, bottom]`` of the visible points, px.
        skeleton: joint list of the points.
        fps: frames per second.
    """

    frames: np.ndarray
    points: np.ndarray
    boxes: np.ndarray
    middles: np.ndarray
    factors: np.ndarray
    extents: np.ndarray
    skeleton: str
    fps: float

    @classmethod
    def of(
        cls, frames: np.ndarray, points: np.ndarray, boxes: np.ndarray, skeleton: str, fps: float
    ) -> People:
        """Derives the middles and extents."""
        middles, factors = body_middles(points, boxes, skeleton)
        seen = points[..., 2:] > 0
        low = np.where(seen, points[..., :2], np.inf).min(1)
        high = np.where(seen, points[..., :2], -np.inf).max(1)
        extents = np.concatenate([low, high], axis=1).astype(np.float64)
        return cls(frames, points, boxes, middles, factors, extents, skeleton, fps)


@dataclasses.dataclass(frozen=True)
class Following:
    """What the first pass found.

    Attributes:
        identities: (N,) of every row.
        uncertain: (N,) bool, rows which could be another person, because two people overlap.
        hidden: identities that end while they overlap somebody.
    """

    identities: np.ndarray
    uncertain: np.ndarray
    hidden: frozenset[int]


@dataclasses.dataclass
class _Track:
    """A person who is followed.

    Attributes:
        row: of the last appearance.
        frame: number of the last appearance.
        filter: at the frame of the last prediction.
        time: of the last prediction, frames.
        hidden: whether the person overlaps somebody since the last appearance.
    """

    row: int
    frame: int
    filter: Filter
    time: int
    hidden: bool = False


class Follower:
    """Follows the people of a clip; call :meth:`run` once.

    Args:
        people: all of them.
        motion: how they move.
        max_gap: the number of frames in which a track may miss its person and still continue.
        min_similarity: pairs of lower similarity are never matched.
        noted: (N,) identities of another tracker, which are kept: then only doubts are found.
    """

    def __init__(
        self,
        people: People,
        motion: Motion,
        max_gap: int,
        min_similarity: float,
        noted: Optional[np.ndarray] = None,
    ) -> None:
        self._people = people
        self._motion = motion
        self._max_gap = max_gap
        self._min_similarity = min_similarity
        self._noted = noted
        self._sigmas = oks_sigmas(people.skeleton)
        self._tracks: dict[int, _Track] = {}
        self._identities = np.full(len(people.frames), -1)
        self._uncertain = np.zeros(len(people.frames), bool)

    def run(self) -> Following:
        """Goes through all frames."""
        frames = self._people.frames
        order = np.argsort(frames, kind='stable')
        starts = np.flatnonzero(np.diff(frames[order], prepend=frames[order[0]] - 1))
        previous = int(frames.min())
        for rows in np.split(order, starts[1:]):
            frame = int(frames[rows[0]])
            if frame > previous + 1:  # nobody is seen: who of them is hidden by whom is found here
                self._step(previous + 1, rows[:0])
            previous = frame
            largest_first = np.argsort(-self._people.boxes[rows, 2], kind='stable')
            self._step(frame, rows[largest_first])
        hidden = [identity for identity, track in self._tracks.items() if track.hidden]
        return Following(self._identities, self._uncertain, frozenset(hidden))

    def _step(self, frame: int, rows: np.ndarray) -> None:
        active = [
            identity
            for identity, track in self._tracks.items()
            if frame - track.frame <= self._max_gap + 1
        ]
        scores, boxes = self._scores(active, frame, rows)
        matched = self._match(active, frame, rows, scores)
        self._find_uncertain(scores, matched, rows, frame, active)
        self._mark_hidden(active, matched, boxes, rows[list(matched.values())])
        self._mark_covered(rows)
        for old, new in matched.items():
            if self._tracks[active[old]].hidden:  # who comes out could be anybody who was there
                self._uncertain[rows[new]] = True
            self._update(self._tracks[active[old]], rows[new], frame)
            self._identities[rows[new]] = active[old]
        for row in rows[self._identities[rows] < 0]:
            self._begin(int(row), frame)

    def _scores(
        self, active: list[int], frame: int, rows: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """(A, P) similarities of the expected to the seen people, and the (A, 3) expected boxes."""
        people = self._people
        moves = np.empty((len(active), 2))
        for position, identity in enumerate(active):
            track = self._tracks[identity]
            track.filter.advance((frame - track.time) / people.fps)
            track.time = frame
            seconds = (frame - track.frame) / people.fps
            moves[position] = seconds * track.filter.velocity
        last = np.array([self._tracks[identity].row for identity in active], int)
        points = people.points[last].astype(np.float64)
        points[..., :2] += moves[:, None]
        boxes = people.boxes[last].astype(np.float64)
        boxes[:, :2] += moves
        scores = similarity(points, boxes, people.points[rows], people.boxes[rows], self._sigmas)
        return scores, boxes

    def _match(
        self, active: list[int], frame: int, rows: np.ndarray, scores: np.ndarray
    ) -> dict[int, int]:
        """{position in active: position in rows}."""
        if self._noted is not None:
            noted = self._noted[rows].tolist()
            return {active.index(name): k for k, name in enumerate(noted) if name in active}
        missed = [self._tracks[identity].frame < frame - 1 for identity in active]
        preferred = scores - HIDDEN * np.array(missed, float)[:, None]
        matched = {}
        for old, new in best_pairs(preferred):
            if scores[old, new] >= self._min_similarity:
                matched[old] = new
        return matched

    def _find_uncertain(
        self,
        scores: np.ndarray,
        matched: dict[int, int],
        rows: np.ndarray,
        frame: int,
        active: list[int],
    ) -> None:
        """Marks the rows whose exchange with another person would fit nearly as well."""
        for old, new in matched.items():
            for rival in range(len(active)):
                if rival == old or scores[rival, new] < LEAST_RIVAL:
                    continue
                if rival in matched:
                    other = matched[rival]
                    exchanged = scores[rival, new] + scores[old, other]
                    margin = scores[old, new] + scores[rival, other] - exchanged
                    close = margin < CLEAR and scores[old, other] >= LEAST_RIVAL
                else:
                    close = scores[old, new] - scores[rival, new] < CLEAR_OF_HIDDEN
                if close:
                    self._uncertain[rows[new]] = True

    def _mark_hidden(
        self, active: list[int], matched: dict[int, int], boxes: np.ndarray, rows: np.ndarray
    ) -> None:
        """Marks people who are not seen, where somebody else who is known is or is expected."""
        missing = [position for position in range(len(active)) if position not in matched]
        if not missing:
            return
        expected = iou(boxes[missing], boxes)
        expected[np.arange(len(missing)), missing] = 0
        seen = iou(boxes[missing], self._people.boxes[rows].astype(np.float64))
        overlap = np.concatenate([expected, seen], axis=1).max(1)
        for position, value in zip(missing, overlap):
            if value > OVERLAP:
                self._tracks[active[position]].hidden = True

    def _mark_covered(self, rows: np.ndarray) -> None:
        """Marks people whose torso is not wholly seen, where somebody else is."""
        if len(rows) < 2:
            return
        boxes = self._people.boxes[rows].astype(np.float64)
        overlap = iou(boxes, boxes)
        np.fill_diagonal(overlap, 0)
        covered = (overlap.max(1) > OVERLAP) & (self._people.factors[rows] > 1)
        self._uncertain[rows[covered]] = True

    def _update(self, track: _Track, row: int, frame: int) -> None:
        people = self._people
        track.filter.update(people.middles[row], float(people.boxes[row, 2]), people.factors[row])
        track.row = row
        track.frame = frame
        track.hidden = False

    def _begin(self, row: int, frame: int) -> None:
        people = self._people
        side = float(people.boxes[row, 2])
        filter_ = Filter(self._motion, people.middles[row], side, people.factors[row])
        identity = len(self._tracks)
        if self._noted is not None:
            identity = int(self._noted[row])
        self._identities[row] = identity
        self._tracks[identity] = _Track(row, frame, filter_, frame)
