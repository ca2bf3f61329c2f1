"""Error against CPU time per frame: ``python benchmarks/error_against_time.py CONFIG... [--seeds 0 1 2]``.

Every config adapts the same sequences, which are read once; after each sequence the next config has its turn, so that a
busy machine slows all alike. A config may be followed by options, ``boa/r18_until:adapter.until=4``. Times are those of
adaptation and prediction on one thread, without the decoding of footage and what a method computes once for all runs
(source crops, exemplars); the ratio is the time of the first config over that of the row. Errors are those of
``tools/adapt.py``: its random numbers of a sequence are the same. A seed is that of the run, and of the free stream if
that is the data set. ``--plot`` draws error against time with the Pareto front, ``--csv`` writes the numbers, and
``--read`` adds those that earlier calls have written with ``--out``.
"""

from __future__ import annotations

import argparse
import ast
import copy
import dataclasses
import json
import time
from pathlib import Path
from typing import Any, Optional

import numpy as np
from measuring import record, use_one_thread
from pareto import draw, write_csv

from hrtk.adapters import Preparation
from hrtk.adapters.run import AdapterRun
from hrtk.apis import load_config
from hrtk.engine.computing import seed_generators
from hrtk.evaluation import MeshEvaluator
from hrtk.models.estimators import predict_sequence
from hrtk.reading import read_json
from hrtk.registry import ADAPTERS, DATASETS, ESTIMATORS
from hrtk.results import Result, keypoint_array
from hrtk.structures import Prediction, Sequence

METRICS = ('mpjpe_mm', 'pa_mpjpe_mm', 'accel_mm', 'reprojection_px', 'worse_share')


class Contender:
    """A config in the comparison.

    Args:
        text: path of a config, and its options after a colon each.
        seed: of the run.
        shared: options of all configs.
    """

    def __init__(self, text: str, seed: int, shared: dict[str, Any]) -> None:
        path, *options = text.split(':')
        config = load_config(path, {**shared, **parsed(options)})
        self.label = text
        self.seed = seed
        self.config = config
        self.estimator = ESTIMATORS.build(config.estimator).eval()
        self.frozen = copy.deepcopy(self.estimator)
        self.adapter = ADAPTERS.build(config.adapter)
        self.evaluator = MeshEvaluator(config.evaluator.protocol)
        self.evaluator.dataset_meta = dict(
            body=self.estimator.required_body, adapter=type(self.adapter).__name__
        )
        self.cpu = 0.0
        self.frames = 0
        self.steps: list[float] = []

    def prepare(self, sequences: list[Sequence]) -> None:
        """Adapts to the whole target, where the adapter does so."""
        weights = copy.deepcopy(self.estimator.state_dict())
        seed_generators(self.seed, 'prepare')
        start = time.process_time()
        prepared = self.adapter.prepare(self.estimator, sequences, Preparation())
        self.cpu += time.process_time() - start
        # Source crops are read, and exemplars looked at, once; that is not time of a frame.
        self.adapter.start(self.estimator)
        self.estimator.load_state_dict(prepared or weights)
        self.run = AdapterRun(self.adapter, self.estimator)

    def adapt(self, sequence: Sequence) -> None:
        """Predicts one sequence, timed, and scores it."""
        before = predict_sequence(self.frozen, sequence)
        seed_generators(self.seed, sequence.name)
        start = time.process_time()
        after = Prediction.cat([parameters(prediction) for prediction in self.run.run(sequence)])
        self.cpu += time.process_time() - start
        self.frames += len(sequence)
        if 'steps' in self.run.counts:
            self.steps.append(self.run.counts['steps'])
        self.evaluator.process(sequence, [result_of(sequence, parameters(before), after)])

    def row(self) -> dict[str, float]:
        """Its numbers."""
        values = list(self.evaluator.running().values())[-1]
        numbers = {name: values[name] for name in METRICS if name in values}
        if self.steps:
            numbers['steps'] = float(np.mean(self.steps))
        return {'ms': 1e3 * self.cpu / self.frames, **numbers}


def parsed(options: list[str]) -> dict[str, Any]:
    """``key=value`` texts as keys and values."""
    values = {}
    for option in options:
        key, value = option.split('=', 1)
        try:
            values[key] = ast.literal_eval(value)
        except (SyntaxError, ValueError):
            values[key] = value
    return values


def parameters(prediction: Prediction) -> Prediction:
    """The parts that a run stores."""
    stored = Prediction(prediction.rotmat, prediction.betas, prediction.camera)
    return stored.detach()


def result_of(sequence: Sequence, before: Prediction, after: Prediction) -> Result:
    """The result as the evaluator takes it."""
    height, width = sequence.frames[0].shape[:2]
    keypoints = sequence.keypoints2d
    return Result(
        name=sequence.name,
        before=before,
        after=after,
        boxes=sequence.boxes.numpy(),
        keypoints2d=keypoint_array(sequence),
        keypoints_source=keypoints.source,
        skeleton=keypoints.skeleton,
        frame_ids=tuple(sequence.frame_ids),
        image_size=(width, height),
        fps=float(sequence.fps),
        ms_per_frame=0.0,
        before_ms_per_frame=0.0,
        report={},
        focal=sequence.focal,
    )


def in_memory(sequence: Sequence) -> Sequence:
    """The sequence with all of its frames read."""
    frames = [sequence.frames[t] for t in range(len(sequence))]
    return dataclasses.replace(sequence, frames=frames)


def numbers_of(row: dict[str, float], digits: int) -> str:
    """Names and numbers on one line."""
    return '  '.join(f'{name} {value:.{digits}f}' for name, value in row.items())


def compare(texts: list[str], seed: int, shared: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Runs all configs on one seed; returns their numbers by label."""
    if load_config(texts[0].split(':')[0]).dataset.type == 'OpenStream':
        shared = {**shared, 'dataset.seed': seed}
    contenders = [Contender(text, seed, shared) for text in texts]
    dataset = DATASETS.build(contenders[0].config.dataset)
    sequences = [in_memory(dataset[index]) for index in range(len(dataset))]
    for contender in contenders:
        contender.prepare(sequences)
    for sequence in sequences:
        for contender in contenders:
            contender.adapt(sequence)
            row = contender.row()
            print(f'{sequence.name}  {contender.label}: {numbers_of(row, 3)}', flush=True)
    return {contender.label: contender.row() for contender in contenders}


def main(arguments: Optional[list[str]] = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('configs', nargs='*')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0])
    parser.add_argument('--cfg-options', nargs='*', default=[], help='of all configs')
    parser.add_argument('--out', type=Path, help='json file')
    parser.add_argument('--read', type=Path, nargs='+', default=[], help='json files of --out')
    parser.add_argument('--plot', type=Path, help='picture, e.g. pareto.png')
    parser.add_argument('--csv', type=Path, help='csv file')
    args = parser.parse_args(arguments)
    if not args.configs and not args.read:
        parser.error('name configs, or files with --read')
    use_one_thread()
    rows: dict[str, list[dict[str, float]]] = {}
    for path in args.read:
        for label, of_seeds in read_json(path, kind=dict).items():
            rows.setdefault(label, []).extend(of_seeds)
    measure(args, rows)
    summarise(rows)
    if args.csv:
        write_csv(rows, args.csv)
    if args.plot:
        draw(rows, args.plot)


def measure(args: argparse.Namespace, rows: dict[str, list[dict[str, float]]]) -> None:
    """Adds the numbers of all configs and seeds to ``rows``, and stores them after every seed."""
    if not args.configs:
        return
    shared = parsed(args.cfg_options)
    for text in args.configs:
        rows.setdefault(text, [])
    for seed in args.seeds:
        for label, row in compare(args.configs, seed, shared).items():
            rows[label].append(row)
            print(f'seed {seed}  {label}: {numbers_of(row, 3)}', flush=True)
        if args.out:
            args.out.write_text(json.dumps(rows, indent=1))


def summarise(rows: dict[str, list[dict[str, float]]]) -> None:
    """Prints and records the means of all seeds, and ratios to the first config."""
    first_label = next(iter(rows))
    first = float(np.mean([row['ms'] for row in rows[first_label]]))
    print()
    for label, of_seeds in rows.items():
        means = {name: float(np.mean([row[name] for row in of_seeds])) for name in of_seeds[0]}
        name = f'{label}, one frame'
        if label == first_label:
            record(name, means['ms'])
        else:
            record(name, means['ms'], first, first_label)
        print(f'{label}: ratio {first / means["ms"]:.2f}  {numbers_of(means, 2)}')


if __name__ == '__main__':
    main()
