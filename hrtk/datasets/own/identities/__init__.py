"""Who is who in a clip: people followed from frame to frame, and recognised after others have hidden them.

Two passes, described in ``docs/en/tracking.md``:

1. :mod:`.following` goes through the frames. Every person is expected where a Kalman filter at constant velocity
   (:mod:`.motion`) predicts; boxes and keypoints (OKS) decide who is who. It marks what it is not sure of.
2. :mod:`.linking` cuts the tracks there and joins the pieces by the motion before and after, the size, and the colours
   of the clothes (:mod:`.appearance`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Optional

import numpy as np

from hrtk.datasets.own.identities.following import Follower, People
from hrtk.datasets.own.identities.linking import Crossing, Linker, Look
from hrtk.datasets.own.identities.motion import Motion

MAX_GAP = 10
MIN_SIMILARITY = 0.2
HIDDEN_SECONDS = 2.0
RATE = 25.0

__all__ = ['Crossing', 'Identities', 'Look', 'Motion', 'identify']


@dataclasses.dataclass(frozen=True)
class Identities:
    """Who is who.

    Attributes:
        of_rows: (N,) the identity of every row.
        crossings: stretches in which identities could have been exchanged, with the margin of the decision.
    """

    of_rows: np.ndarray
    crossings: tuple[Crossing, ...]

    def margin(self, identity: int, frames: Sequence[int]) -> Optional[np.ndarray]:
        """Where a person could be another one: of some frames, in ascending order, the margins.

        Returns:
            (F,) logarithms of the odds against the next best answer, in frames in which identities could be exchanged
            and in the first one after; NaN in others. None if there is no such frame.
        """
        margins = np.full(len(frames), np.nan)
        numbers = np.array(frames)
        for crossing in self.crossings:
            if crossing.identity == identity:
                within = (numbers > crossing.first) & (numbers <= crossing.last)
                margins[within] = np.fmin(margins[within], crossing.margin)
        return margins if np.isfinite(margins).any() else None


def identify(
    frames: np.ndarray,
    points: np.ndarray,
    boxes: np.ndarray,
    skeleton: str,
    *,
    fps: float = RATE,
    max_gap: int = MAX_GAP,
    min_similarity: float = MIN_SIMILARITY,
    hidden_seconds: float = HIDDEN_SECONDS,
    noted: Optional[np.ndarray] = None,
    look: Optional[Look] = None,
    motion: Motion = Motion(),
) -> Identities:
    """Assigns an identity to every person of every frame.

    Args:
        frames: (N,) frame number of every person, in any order.
        points: (N, K, 3) x, y in px and confidence; 0 marks a missing point.
        boxes: (N, 3) crop boxes ``[cx, cy, side]``, px.
        skeleton: joint list of the points.
        fps: frames per second.
        max_gap: the number of frames in which a track may miss its person and still continue.
        min_similarity: pairs of lower similarity are never matched from frame to frame, see
            :func:`hrtk.body_models.person_similarity.similarity`.
        hidden_seconds: somebody who is lost while overlapping somebody else is recognised for so long.
        noted: (N,) identities >= 0 of a tracker, each once in a frame at most, which replace those of the first pass.
        look: tells what the person of a row looks like, see :func:`.appearance.look`. It is asked about a few rows
            before and after people overlap only. None without images.
        motion: how people move.

    Returns:
        Identities 0, 1, ... in the order of first appearance, larger people first; with ``noted`` its numbers, and
        new ones for people who are not who they were taken for.
    """
    if len(frames) == 0:
        return Identities(np.empty(0, int), ())
    people = People.of(frames, points, boxes, skeleton, fps)
    following = Follower(people, motion, max_gap, min_similarity, noted).run()
    max_hidden = max(round(hidden_seconds * fps), max_gap) + 1
    linker = Linker(people, following, motion, max_hidden, look)
    identities, crossings = linker.run()
    if noted is not None:
        return Identities(identities, tuple(crossings))
    kept, numbers = np.unique(identities, return_inverse=True)
    renumbered = []
    for crossing in crossings:
        identity = int(np.searchsorted(kept, crossing.identity))
        renumbered.append(dataclasses.replace(crossing, identity=identity))
    return Identities(numbers, tuple(renumbered))
