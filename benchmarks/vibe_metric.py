"""Effect of the metric loss on the open VIBE: errors and distances between features by variant and weight.

As the thesis' Tables 1 and 2 ("Few-shot Domain Adaptation for 3D Human Pose and Shape Estimation", UNIST, 2021).
Every row is trained with every seed (three minutes of one core each) and scored on the free wild streams of the seeds
0, 1 and 2, which are not in the training data. Intervals are over trainings. Finished trainings are read from the work
directory, so a killed call resumes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from measuring import mean_text
from rich.console import Console
from rich.table import Table

from hrtk.apis import adapt, load_config
from hrtk.apis.train import train
from hrtk.apis.zoo.publish import publish
from hrtk.evaluation import feature_distances
from hrtk.registry import DATASETS, ESTIMATORS

CONFIGS = Path(__file__).parents[1] / 'configs' / 'vibe'
STREAMS = (0, 1, 2)
ROWS = {
    'no metric loss': {'model.weights.metric': 0.0},
    'thesis, w = 0.1': {'model.weights.metric': 0.1},
    'thesis, w = 1': {'model.weights.metric': 1.0},
    'thesis, include, w = 1': {'model.weights.metric': 1.0, 'model.metric.nearby': 'include'},
    'kim, w = 1': {'model.weights.metric': 1.0, 'model.metric.variant': 'kim'},
    'abs, w = 1': {'model.weights.metric': 1.0, 'model.metric.variant': 'abs'},
}
METRICS = ('mpjpe_mm', 'pa_mpjpe_mm', 'pve_mm', 'accel_mm')


def measure(folder: Path, seed: int, options: dict[str, Any]) -> dict[str, float]:
    """Trains a row with one seed and returns its means over the streams."""
    train(
        CONFIGS / 'vibe_metric_open.py',
        work_dir=str(folder),
        cfg_options={**options, 'model.seed': seed, 'randomness.seed': seed},
    )
    weights = folder / 'weights.pt'
    publish(folder, weights)
    means: dict[str, float] = dict.fromkeys((*METRICS, 'within', 'across'), 0.0)
    for stream in STREAMS:
        config = load_config(
            CONFIGS / 'r18_vibe_wild.py',
            {'estimator.network.weights': str(weights), 'dataset.seed': stream, 'outputs': None},
        )
        metrics = adapt(config, work_dir=str(folder / f'stream {stream}'))
        estimator = ESTIMATORS.build(config.estimator).eval()
        distances = feature_distances(estimator, DATASETS.build(config.dataset))
        for name in METRICS:
            means[name] += metrics[f'Source/{name}'] / len(STREAMS)
        means['within'] += distances.within / len(STREAMS)
        means['across'] += distances.across / len(STREAMS)
    means['share'] = means['within'] / means['across']
    return means


def main() -> None:
    """Runs the missing trainings and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--rows', nargs='+', choices=list(ROWS), default=list(ROWS))
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2])
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/vibe_metric'))
    args = parser.parse_args()
    torch.set_num_threads(1)
    records: dict[str, list[dict[str, float]]] = {}
    for seed in args.seeds:
        for row in args.rows:
            result = args.work_dir / f'{row} {seed}.json'
            if not result.is_file():
                means = measure(args.work_dir / f'{row} {seed}', seed, ROWS[row])
                result.write_text(json.dumps(means))
            records.setdefault(row, []).append(json.loads(result.read_text()))
    columns = (*METRICS, 'within', 'across', 'share')
    table = Table('row', *columns, 'trainings')
    for row, trainings in records.items():
        cells = []
        for name in columns:
            digits = 1 if name in METRICS else 2
            cells.append(mean_text([training[name] for training in trainings], digits))
        table.add_row(row, *cells, str(len(trainings)))
    Console(width=160).print(table)


if __name__ == '__main__':
    main()
