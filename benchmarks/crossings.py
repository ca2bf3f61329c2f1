"""How often people who cross are exchanged: ``python benchmarks/crossings.py``.

375 simulated crossings (:mod:`hrtk.testing.crossings`), by fixed seeds, under these trackers:

* ``boxes``: the Hungarian method on the overlap of the boxes of two frames;
* ``boxes and keypoints``: on the mean of this overlap and OKS;
* ``constant velocity``: the same, with boxes and keypoints moved on at the velocity so far;
* ``hrtk without images``, ``hrtk``: :func:`hrtk.datasets.own.identities.identify` by motion, size and keypoints, and
  with colours.

Printed are the crossings in which the identities are exchanged, those with more identities than people, IDF1, the
association accuracy of HOTA, and milliseconds per person and frame (``hrtk``: without the colours).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from hrtk.body_models.person_similarity import iou, oks_sigmas, similarity
from hrtk.datasets.own.identities import Identities, identify
from hrtk.geometry.assignment import best_pairs
from hrtk.testing.crossings import FPS, MOTIONS, SKELETON, VIEWS, Crossing, Score, score, simulate

MAX_GAP = 10
MIN_SIMILARITY = 0.2
STEADINESS = 0.5  # weight of the velocity so far beside that of the last frame
LEAST_MARGIN = 3.0


def simple_tracker(crossing: Crossing, keypoints: bool, moving: bool) -> np.ndarray:
    """(N,) identities by the similarity to the last appearance, which may be moved on at constant velocity."""
    frames = crossing.frames
    sigmas = oks_sigmas(SKELETON)
    identities = np.full(len(frames), -1)
    last_rows: list[int] = []
    velocities: list[np.ndarray] = []
    for frame in np.unique(frames):
        rows = np.flatnonzero(frames == frame)
        active = [i for i, row in enumerate(last_rows) if frame - frames[row] <= MAX_GAP + 1]
        last = np.array([last_rows[i] for i in active], int)
        steps = np.array([velocities[i] for i in active]).reshape(-1, 2)
        moves = moving * steps * (frame - frames[last])[:, None]
        points = crossing.points[last].copy()
        points[..., :2] += moves[:, None]
        boxes = crossing.boxes[last].copy()
        boxes[:, :2] += moves
        scores = iou(boxes, crossing.boxes[rows])
        if keypoints:
            scores = similarity(points, boxes, crossing.points[rows], crossing.boxes[rows], sigmas)
        for old, new in best_pairs(scores):
            if scores[old, new] < MIN_SIMILARITY:
                continue
            identity = active[old]
            row = rows[new]
            step = crossing.boxes[row, :2] - crossing.boxes[last[old], :2]
            step = step / (frame - frames[last[old]])
            velocities[identity] = STEADINESS * velocities[identity] + (1 - STEADINESS) * step
            identities[row] = identity
            last_rows[identity] = row
        for row in rows[identities[rows] < 0]:
            identities[row] = len(last_rows)
            last_rows.append(int(row))
            velocities.append(np.zeros(2))
    return identities


def full_tracker(crossing: Crossing, colours: bool) -> Identities:
    """The identities of :func:`identify`."""
    look = None
    if colours:
        look = crossing.look
    return identify(crossing.frames, crossing.points, crossing.boxes, SKELETON, fps=FPS, look=look)


TRACKERS: dict[str, Callable[[Crossing], np.ndarray]] = {
    'boxes': lambda crossing: simple_tracker(crossing, keypoints=False, moving=False),
    'boxes and keypoints': lambda crossing: simple_tracker(crossing, keypoints=True, moving=False),
    'constant velocity': lambda crossing: simple_tracker(crossing, keypoints=True, moving=True),
    'hrtk without images': lambda crossing: full_tracker(crossing, colours=False).of_rows,
    'hrtk': lambda crossing: full_tracker(crossing, colours=True).of_rows,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--per-kind', type=int, default=15, help='crossings of each of 25 kinds')
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    crossings = list(simulate(args.per_kind, args.seed))
    print(f'{len(crossings)} crossings, seed {args.seed}')
    print('tracker               exchanged  fragmented  IDF1   AssA   ms')
    by_tracker = {}
    for name, tracker in TRACKERS.items():
        begin = time.perf_counter()
        found = [tracker(crossing) for crossing in crossings]
        seconds = time.perf_counter() - begin
        scores = [score(one.truth, one.frames, names) for one, names in zip(crossings, found)]
        by_tracker[name] = scores
        rows = sum(len(crossing.frames) for crossing in crossings)
        print(f'{name:22s}{_line(scores)}  {1000 * seconds / rows:.2f}')
    for kind, values in (('motion', MOTIONS), ('view', VIEWS)):
        print(f'\nexchanged by {kind}')
        for value in values:
            chosen = [i for i, one in enumerate(crossings) if getattr(one, kind) == value]
            counts = []
            for name, scores in by_tracker.items():
                exchanged = sum(scores[i].exchanged for i in chosen)
                counts.append(f'{name} {exchanged}')
            print(f'{value:12s} of {len(chosen)}: {", ".join(counts)}')
    _print_doubts(crossings)


def _line(scores: list[Score]) -> str:
    exchanged = sum(one.exchanged for one in scores)
    fragmented = sum(one.fragments > 0 for one in scores)
    idf1 = np.mean([one.idf1 for one in scores])
    association = np.mean([one.association for one in scores])
    return f'{exchanged:9d}  {fragmented:10d}  {idf1:.3f}  {association:.3f}'


def _print_doubts(crossings: list[Crossing]) -> None:
    """How many of the exchanges, and of the other crossings, the tracker calls doubtful."""
    counts = np.zeros((2, 2), int)
    for crossing in crossings:
        found = full_tracker(crossing, colours=True)
        doubtful = any(one.margin < LEAST_MARGIN for one in found.crossings)
        exchanged = score(crossing.truth, crossing.frames, found.of_rows).exchanged
        counts[int(exchanged), int(doubtful)] += 1
    print(
        f'\ndoubtful: {counts[1, 1]} of {counts[1].sum()} exchanged, {counts[0, 1]} of {counts[0].sum()} others'
    )


if __name__ == '__main__':
    main()
