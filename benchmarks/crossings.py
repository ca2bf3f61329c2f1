"""How often people who cross are exchanged: ``python benchmarks/crossings.py``.

375 simulated crossings (:mod:`hrtk.testing.crossings`), by fixed seeds, under these trackers:

* ``boxes``: the Hungarian method on the overlap of the boxes of two frames;
* ``boxes and keypoints``: on the mean of this overlap and OKS;
* ``constant velocity``: the same, with boxes and keypoints moved on at the velocity so far; a track that is lost for
  more than ten frames ends; ``same, for 2 seconds``: it ends after two seconds;
* ``hrtk without images``, ``hrtk``: :func:`hrtk.datasets.own.identities.identify` by motion, size and keypoints, and
  with colours.

Printed are the crossings in which the identities are exchanged, those with more identities than people, IDF1, the
association accuracy of HOTA, and milliseconds per person and frame, without those in which pixels are read.

``--composites DIR`` uses people cut out of real pictures (:mod:`hrtk.testing.composites`) instead; ``DIR`` is a folder
of test data.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path

import numpy as np

from hrtk.datasets.own.identities import Identities, identify
from hrtk.datasets.own.identities.appearance import Appearance
from hrtk.testing.composites import Composite, composites
from hrtk.testing.crossings import (
    FPS,
    MOTIONS,
    SKELETON,
    VIEWS,
    Crossing,
    Score,
    score,
    similarity_tracker,
    simulate,
)

MAX_GAP = 10
LEAST_MARGIN = 5.0  # of the default of DoubtLimits.identity

NAMES = (
    'boxes',
    'boxes and keypoints',
    'constant velocity',
    'same, for 2 seconds',
    'hrtk without images',
    'hrtk',
)
Case = Crossing | Composite


@dataclasses.dataclass(frozen=True)
class Run:
    """A tracker's answer to one crossing.

    Attributes:
        score: how good it is.
        seconds: without those in which pixels were read.
        margin: the smallest of the answer; infinite for trackers that give none.
    """

    score: Score
    seconds: float
    margin: float = np.inf


def run(name: str, crossing: Case) -> Run:
    """Lets a tracker of :data:`NAMES` work."""
    begin = time.perf_counter()
    if name.startswith('hrtk'):
        found, reading = full_tracker(crossing, colours=name == 'hrtk')
        seconds = time.perf_counter() - begin - reading
        margin = min((one.margin for one in found.crossings), default=np.inf)
        return Run(score(crossing.truth, crossing.frames, found.of_rows), seconds, margin)
    gap = 2 * FPS if name.endswith('2 seconds') else MAX_GAP
    moving = name in NAMES[2:4]
    names = similarity_tracker(crossing, name != 'boxes', moving, gap)
    seconds = time.perf_counter() - begin
    return Run(score(crossing.truth, crossing.frames, names), seconds)


def full_tracker(crossing: Case, colours: bool) -> tuple[Identities, float]:
    """The identities of :func:`identify`, and the seconds in which pixels were read."""
    reading = 0.0

    def look(row: int) -> Appearance:
        nonlocal reading
        begin = time.perf_counter()
        seen = crossing.look(row)
        reading += time.perf_counter() - begin
        return seen

    found = identify(
        crossing.frames,
        crossing.points,
        crossing.boxes,
        SKELETON,
        fps=FPS,
        look=look if colours else None,
    )
    return found, reading


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--per-kind', type=int, default=15, help='crossings of each of 25 kinds')
    parser.add_argument('--composites', type=Path, metavar='DIR', help='folder of test data')
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    if args.composites is None:
        cases: list[Case] = list(simulate(args.per_kind, args.seed))
    else:
        cases = list(composites(args.composites, 25 * args.per_kind, args.seed))
    print(f'{len(cases)} crossings, seed {args.seed}')
    print('tracker               exchanged  fragmented  IDF1   AssA   ms')
    rows = sum(len(case.frames) for case in cases)
    runs = {}
    for name in NAMES:
        runs[name] = [run(name, case) for case in cases]
        ms = 1000 * sum(one.seconds for one in runs[name]) / rows
        print(f'{name:22s}{_line([one.score for one in runs[name]])}  {ms:.2f}')
    for kind, values in (('motion', MOTIONS), ('view', VIEWS)):
        print(f'\nexchanged by {kind}')
        for value in values:
            chosen = [i for i, case in enumerate(cases) if getattr(case, kind) == value]
            counts = []
            for name in NAMES:
                exchanged = sum(runs[name][i].score.exchanged for i in chosen)
                counts.append(f'{name} {exchanged}')
            print(f'{value:12s} of {len(chosen)}: {", ".join(counts)}')
    alike = [i for i, case in enumerate(cases) if case.same]
    exchanged = sum(runs['hrtk'][i].score.exchanged for i in alike)
    print(f'\nhrtk, the same clothes: {exchanged} of {len(alike)} exchanged')
    for name in NAMES[4:]:
        _print_doubts(name, runs[name])


def _line(scores: list[Score]) -> str:
    exchanged = sum(one.exchanged for one in scores)
    fragmented = sum(one.fragments > 0 for one in scores)
    idf1 = np.mean([one.idf1 for one in scores])
    association = np.mean([one.association for one in scores])
    return f'{exchanged:9d}  {fragmented:10d}  {idf1:.3f}  {association:.3f}'


def _print_doubts(name: str, runs: list[Run]) -> None:
    """How many of the exchanges, and of the other crossings, the tracker calls doubtful."""
    wrong = [one.margin < LEAST_MARGIN for one in runs if one.score.exchanged]
    right = [one.margin < LEAST_MARGIN for one in runs if not one.score.exchanged]
    print(
        f'{name}: doubtful {sum(wrong)} of {len(wrong)} exchanged, {sum(right)} of {len(right)} others'
    )


if __name__ == '__main__':
    main()
