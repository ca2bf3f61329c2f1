"""The second pass: tracks are cut where people could be exchanged, and joined again by all that is known of both sides.

A cut track is a set of pieces. The pieces that end and those that begin are joined one to one, at the least cost, by
the Hungarian method. The cost of a joint is a negative logarithmic likelihood: of the motion from the end of one piece
to the start of the other, of the change of size, and of the colours that both show (:mod:`.appearance`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Optional

import numpy as np

from hrtk.datasets.own.identities.appearance import Appearance
from hrtk.datasets.own.identities.following import Following, People
from hrtk.datasets.own.identities.motion import End, Motion, between, fit_end, joining_cost
from hrtk.geometry.assignment import best_pairs

Look = Callable[[int], Appearance]  # what the person of a row looks like

SHORTEST = 3  # rows of a piece; shorter ones beside uncertain rows are uncertain, too
COLOURS = 40.0  # nats for a Hellinger distance of 1
UNSEEN = 0.5  # Hellinger distance that is assumed where colours are not known
NO_JOINT = 45.0  # nats for one piece that ends and another that begins
STAY = 5.0  # nats in favour of what the first pass followed
LOOKS = 4  # frames in which a piece is looked at
LOOK_SECONDS = 3.0  # from the end of a piece
ALONE = 0.1  # overlap of two people above which the colours may be those of the other
FAR = 0.6  # sides between a joined person's expected place and a row in between
FOLLOWED = 0.1  # sides in favour of what the first pass followed


@dataclasses.dataclass(frozen=True)
class Crossing:
    """A stretch in which an identity could have been exchanged.

    Attributes:
        identity: the person.
        first: the last frame in which it is certain who is who, before.
        last: the first such frame after.
        margin: logarithm of the odds against the next best answer, nats.
    """

    identity: int
    first: int
    last: int
    margin: float


@dataclasses.dataclass(frozen=True)
class _Piece:
    """Rows of one person without doubt between them, in order of time.

    Attributes:
        track: identity of the first pass.
        rows: F rows.
        first: whether it is the first piece of its track.
        reach: the last frame in which a piece may begin that continues this one; -1 for none.
    """

    track: int
    rows: tuple[int, ...]
    first: bool
    reach: int


@dataclasses.dataclass(frozen=True)
class _Joint:
    """Two pieces of one person.

    Attributes:
        end: index of the piece that ends.
        start: index of the piece that begins.
        margin: logarithm of the odds against the best answer without this joint, nats.
    """

    end: int
    start: int
    margin: float


class Linker:
    """Joins the pieces of the tracks of a clip; call :meth:`run` once.

    Args:
        people: all people.
        following: the result of the first pass.
        motion: how they move.
        max_hidden: frames for which somebody may be hidden and still be recognised.
        look: tells what the person of a row looks like; None without images.
    """

    def __init__(
        self,
        people: People,
        following: Following,
        motion: Motion,
        max_hidden: int,
        look: Optional[Look] = None,
    ) -> None:
        self._people = people
        self._following = following
        self._motion = motion
        self._max_hidden = max_hidden
        self._look = look
        self._pieces = self._cut()
        self._ends = [self._fit(piece, last=True) for piece in self._pieces]
        self._starts = [self._fit(piece, last=False) for piece in self._pieces]

    def run(self) -> tuple[np.ndarray, list[Crossing]]:
        """(N,) identities, and the stretches in which they could have been exchanged."""
        identities = self._following.identities.copy()
        if all(piece.reach < 0 for piece in self._pieces):
            return identities, []
        joints = self._joints(self._costs())
        names = self._names(joints)
        identities[:] = -1
        for name, piece in zip(names, self._pieces):
            identities[list(piece.rows)] = name
        self._fill(identities, joints, names)
        crossings = []
        for joint in joints:
            first = int(self._people.frames[self._pieces[joint.end].rows[-1]])
            last = int(self._people.frames[self._pieces[joint.start].rows[0]])
            crossings.append(Crossing(names[joint.end], first, last, joint.margin))
        return identities, crossings

    def _cut(self) -> list[_Piece]:
        """The pieces of all tracks, in order of their beginnings."""
        frames = self._people.frames
        pieces = []
        for track in np.unique(self._following.identities):
            rows = np.flatnonzero(self._following.identities == track)
            rows = rows[np.argsort(frames[rows], kind='stable')]
            runs = _certain_runs(self._following.uncertain[rows])
            for index, (begin, stop) in enumerate(runs):
                reach = -1
                if stop < len(rows) or track in self._following.hidden:
                    following = runs[index + 1][0] if index + 1 < len(runs) else len(rows)
                    reach = int(frames[rows[following - 1]]) + self._max_hidden
                pieces.append(
                    _Piece(int(track), tuple(rows[begin:stop].tolist()), index == 0, reach)
                )
        return sorted(pieces, key=lambda piece: frames[piece.rows[0]])

    def _fit(self, piece: _Piece, last: bool) -> End:
        people = self._people
        rows = np.array(piece.rows)
        return fit_end(
            self._motion,
            people.frames[rows] / people.fps,
            people.middles[rows],
            people.boxes[rows, 2].astype(np.float64),
            people.factors[rows],
            last,
        )

    def _costs(self) -> np.ndarray:
        """(P, P) cost of joining the end of one piece and the start of another, at most :data:`NO_JOINT`."""
        frames = self._people.frames
        begins = np.array([frames[piece.rows[0]] for piece in self._pieces])
        costs = np.full((len(begins), len(begins)), NO_JOINT)
        for end, piece in enumerate(self._pieces):
            after = (begins > frames[piece.rows[-1]]) & (begins <= piece.reach)
            for start in np.flatnonzero(after):
                cost = joining_cost(self._motion, self._ends[end], self._starts[start])
                if piece.track == self._pieces[start].track:
                    cost -= STAY
                costs[end, start] = min(cost, NO_JOINT)
        if self._look is not None:
            self._add_colours(costs, self._look)
        return costs

    def _add_colours(self, costs: np.ndarray, look: Look) -> None:
        """Adds to all costs how differently the people of both pieces look, in place."""
        pairs = np.argwhere(costs < NO_JOINT)
        ends = self._appearances(np.unique(pairs[:, 0]), True, look)
        starts = self._appearances(np.unique(pairs[:, 1]), False, look)
        for end, start in pairs:
            distance = UNSEEN
            if end in ends and start in starts:
                measured = ends[end].distance(starts[start])
                distance = UNSEEN if np.isnan(measured) else measured
            cost = costs[end, start] + COLOURS * (distance - UNSEEN)
            costs[end, start] = min(cost, NO_JOINT)

    def _appearances(self, pieces: np.ndarray, last: bool, look: Look) -> dict[int, Appearance]:
        """What people look like near the ends or the starts of some pieces; without those never seen alone."""
        rows = {}
        for piece in pieces:
            rows[int(piece)] = self._rows_alone(np.array(self._pieces[piece].rows), last)
        # In order of time, because videos are decoded forward.
        needed = {int(row) for of_piece in rows.values() for row in of_piece}
        order = sorted(needed, key=lambda row: int(self._people.frames[row]))
        looks = {row: look(row) for row in order}
        return {
            piece: Appearance.mean([looks[int(row)] for row in of_piece])
            for piece, of_piece in rows.items()
            if len(of_piece)
        }

    def _rows_alone(self, rows: np.ndarray, last: bool) -> np.ndarray:
        """Up to :data:`LOOKS` rows near the end or the start of a piece in which nobody else is near."""
        people = self._people
        frames = people.frames[rows]
        frame = frames[-1] if last else frames[0]
        rows = rows[np.abs(frames - frame) <= LOOK_SECONDS * people.fps]
        alone = []
        for row in rows:
            others = (people.frames == people.frames[row]) & (np.arange(len(people.frames)) != row)
            if not others.any() or _covered(people.extents[row], people.extents[others]) <= ALONE:
                alone.append(row)
        chosen = np.linspace(0, len(alone) - 1, min(LOOKS, len(alone))).round().astype(int)
        return np.array(alone, int)[chosen]

    def _joints(self, costs: np.ndarray) -> list[_Joint]:
        """The joints with the smallest sum of costs, and how much more the best answer without each would cost."""
        ends = np.flatnonzero((costs < NO_JOINT).any(1))
        starts = np.flatnonzero((costs < NO_JOINT).any(0))
        costs = costs[np.ix_(ends, starts)]
        pairs = [pair for pair in best_pairs(-costs) if costs[pair] < NO_JOINT]
        least = _least_cost(costs)
        joints = []
        for end, start in pairs:
            without = costs.copy()
            without[end, start] = NO_JOINT
            margin = _least_cost(without) - least
            joints.append(_Joint(int(ends[end]), int(starts[start]), margin))
        return sorted(joints, key=lambda joint: joint.start)

    def _names(self, joints: list[_Joint]) -> list[int]:
        """The identity of every piece."""
        previous = {joint.start: joint.end for joint in joints}
        unused = max(piece.track for piece in self._pieces) + 1
        names: list[int] = []
        for index, piece in enumerate(self._pieces):
            if index in previous:
                names.append(names[previous[index]])
            elif piece.first:
                names.append(piece.track)
            else:
                names.append(unused)
                unused += 1
        return names

    def _fill(self, identities: np.ndarray, joints: list[_Joint], names: list[int]) -> None:
        """Gives the uncertain rows to the joined people who are expected there, in place."""
        people = self._people
        loose = np.flatnonzero(identities < 0)
        for frame in np.unique(people.frames[loose]):
            rows = loose[people.frames[loose] == frame]
            time = frame / people.fps
            across = [
                joint
                for joint in joints
                if self._ends[joint.end].time < time < self._starts[joint.start].time
            ]
            distances = self._distances(rows, across, time)
            for row, column in best_pairs(-np.minimum(distances, FAR)):
                if distances[row, column] < FAR:
                    identities[rows[row]] = names[across[column].end]
        self._fill_rest(identities, names)

    def _distances(self, rows: np.ndarray, across: list[_Joint], time: float) -> np.ndarray:
        """(R, J) sides between rows and the expected places of people."""
        people = self._people
        distances = np.empty((len(rows), len(across)))
        for column, joint in enumerate(across):
            end = self._ends[joint.end]
            start = self._starts[joint.start]
            away = np.linalg.norm(people.middles[rows] - between(end, start, time), axis=1)
            away = away / np.sqrt(end.side * start.side)
            same = self._following.identities[rows] == self._pieces[joint.end].track
            distances[:, column] = away - FOLLOWED * same
        return distances

    def _fill_rest(self, identities: np.ndarray, names: list[int]) -> None:
        """Rows that nobody was expected at: those of the same track's nearest piece, or of somebody else."""
        people = self._people
        unused = max(names) + 1
        others: dict[int, int] = {}
        for row in np.flatnonzero(identities < 0):
            track = int(self._following.identities[row])
            name = self._nearest_name(track, int(people.frames[row]), names)
            present = identities[people.frames == people.frames[row]]
            if name is None or name in present:
                name = others.setdefault(track, unused + len(others))
            identities[row] = name

    def _nearest_name(self, track: int, frame: int, names: list[int]) -> Optional[int]:
        best = None
        nearest = np.inf
        for name, piece in zip(names, self._pieces):
            frames = self._people.frames[[piece.rows[0], piece.rows[-1]]]
            distance = float(np.abs(frames - frame).min())
            if piece.track == track and distance < nearest:
                best = name
                nearest = distance
        return best


def _certain_runs(uncertain: np.ndarray) -> list[tuple[int, int]]:
    """Begin and end of the runs of certain rows; short ones do not count beside uncertain rows."""
    if not uncertain.any():
        return [(0, len(uncertain))]
    edges = np.flatnonzero(np.diff(np.r_[True, uncertain, True].astype(int)))
    runs = zip(edges[::2].tolist(), edges[1::2].tolist())
    return [(begin, stop) for begin, stop in runs if stop - begin >= SHORTEST]


def _least_cost(costs: np.ndarray) -> float:
    return float(sum(costs[pair] for pair in best_pairs(-costs)))


def _covered(extent: np.ndarray, others: np.ndarray) -> float:
    """The largest share of a rectangle (4,) ``[left, top, right, bottom]`` that one of the others (M, 4) covers."""
    low = np.maximum(extent[:2], others[:, :2])
    high = np.minimum(extent[2:], others[:, 2:])
    shared = (high - low).clip(0).prod(1)
    return float(shared.max() / max(float(np.prod(extent[2:] - extent[:2])), 1e-9))
