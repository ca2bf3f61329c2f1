"""Milliseconds per frame of LandmarkHMR and of its adaptation: ``python benchmarks/landmark_hmr.py [--frames 100]``.

One thread, CPU time, a person whose landmarks a tracker has found already: observation and lifter one frame at a time
and in batches of 32, TrackFit over the whole track, BOA over its first ten frames.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable
from typing import Optional

import numpy as np
import torch
from measuring import floor_ms, record

from hrtk.adapters import Bilevel, TrackFit
from hrtk.apis import load_model
from hrtk.datasets import BundledLandmarks, OpenStream
from hrtk.models.estimators import Estimator, predict_sequence
from hrtk.models.landmarks import WINDOW
from hrtk.structures import Landmarks, Sequence


def main(arguments: Optional[list[str]] = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--frames', type=int, default=100)
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    sequence = with_landmarks(OpenStream(sequences=1, frames=args.frames, fps=30.0, seed=77)[0])
    model = load_model('lifter')
    count = len(sequence)
    rows = {
        'lifter, one frame at a time': lambda: one_by_one(model, sequence),
        'lifter, batches of 32': lambda: predict_sequence(model, sequence),
        'TrackFit': lambda: list(TrackFit().start(load_model('lifter')).run(sequence)),
    }
    spent = {name: milliseconds(run) / count for name, run in rows.items()}
    for name, value in spent.items():
        print(f'{name:30}{value:8.2f} ms per frame')
    boa = Bilevel(lr=2e-5, inner_lr=3e-5, steps=5, order='first', interval=3)
    part = sequence.part(0, min(10, count))
    steps = milliseconds(lambda: list(boa.start(load_model('lifter')).run(part))) / len(part)
    print(f'{"BOA, five steps":30}{steps:8.2f} ms per frame')
    single, batched, fit = spent
    least = floor_ms(rows[batched]) / count
    record(f'LandmarkHMR, {batched}', spent[batched], spent[single], 'one frame at a time', least)
    least = floor_ms(rows[fit]) / count
    record('LandmarkHMR, TrackFit', spent[fit], steps, "BOA's five steps", least)


def with_landmarks(sequence: Sequence) -> Sequence:
    """The sequence with landmarks of other bodies: times do not depend on them."""
    bundled = BundledLandmarks()
    middle = [bundled[index % len(bundled)]['image'][WINDOW // 2] for index in range(len(sequence))]
    observed = torch.stack(middle)
    xy = 100 + 50 * observed[..., :2]
    landmarks = Landmarks(
        torch.cat([xy, torch.zeros_like(xy[..., :1])], dim=-1),
        observed[..., 3:],
        observed[..., 2].clamp_min(0.01),
        torch.ones(len(sequence), dtype=torch.bool),
    )
    frames = np.zeros((len(sequence), 8, 8, 3), np.uint8)
    return dataclasses.replace(sequence, landmarks=landmarks, frames=frames)


def one_by_one(model: Estimator, sequence: Sequence) -> None:
    with torch.no_grad():
        for t in range(len(sequence)):
            model(model.crops(sequence, [t]))


def milliseconds(run: Callable[[], object]) -> float:
    """CPU time of a second run."""
    run()
    start = time.process_time()
    run()
    return 1e3 * (time.process_time() - start)


if __name__ == '__main__':
    main()
