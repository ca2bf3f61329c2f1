"""Error against CPU time per frame: ``python benchmarks/error_against_time.py CONFIG... [--seeds 0 1 2]``.

Every config adapts the same sequences, which are read once; after each sequence the next config has its turn, so that a
busy machine slows all alike. A config may be followed by options, ``boa/r18_until:adapter.until=4``. Times are those of
adaptation and prediction on one thread, without the decoding of footage and what a method computes once for all runs
(source crops, exemplars); the ratio is the time of the first config over that of the row. Errors are those of
``tools/adapt.py``: its random numbers of a sequence are the same. A seed is that of the run, and of the free stream if
that is the data set.
"""

from __future__ import annotations

import argparse
import ast
import copy
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from measuring import use_one_thread

from hrtk.adapters import Preparation
from hrtk.adapters.run import AdapterRun
from hrtk.apis import load_config
from hrtk.evaluation import MeshEvaluator
from hrtk.models.estimators import predict_sequence
from hrtk.registry import ADAPTERS, DATASETS, ESTIMATORS
from hrtk.results import Result, keypoint_array
from hrtk.structures import Prediction, Sequence
from hrtk.testing import trial

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
        trial.seed(f'{self.seed}/prepare')
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
        trial.seed(f'{self.seed}/{sequence.name}')  # as in a run
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
    return {contender.label: contender.row() for contender in contenders}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('configs', nargs='+')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0])
    parser.add_argument('--cfg-options', nargs='*', default=[], help='of all configs')
    parser.add_argument('--out', type=Path, help='json file')
    args = parser.parse_args()
    use_one_thread()
    shared = parsed(args.cfg_options)
    rows: dict[str, list[dict[str, float]]] = {text: [] for text in args.configs}
    for seed in args.seeds:
        for label, row in compare(args.configs, seed, shared).items():
            rows[label].append(row)
            numbers = '  '.join(f'{name} {value:.3f}' for name, value in row.items())
            print(f'seed {seed}  {label}: {numbers}', flush=True)
        if args.out:
            args.out.write_text(json.dumps(rows, indent=1))
    first = np.mean([row['ms'] for row in rows[args.configs[0]]])
    print()
    for label, of_seeds in rows.items():
        means = {name: np.mean([row[name] for row in of_seeds]) for name in of_seeds[0]}
        numbers = '  '.join(f'{name} {value:.2f}' for name, value in means.items())
        print(f'{label}: ratio {first / means["ms"]:.2f}  {numbers}')


if __name__ == '__main__':
    main()
