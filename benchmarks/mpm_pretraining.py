"""MPM's comparisons on the free motion: pre-training, masks, masking ratios and completion, over several seeds.

``pretraining`` is Table 6 of the paper, ``masks`` Table B, ``ratios`` Table C and Fig. 6, ``completion`` Tables 3 and 4
under both metrics. Networks are a quarter of the released width and windows have 27 frames. A stage is two epochs of
517 steps of 32 windows, or ``--epochs``; stage II alone is also trained twice as long, as many steps as both stages
have together. What is finished is read from the work directory, so a killed call goes on where it was; several
processes may share the runs (``--part 0/2``, ``--part 1/2``), and a last call without ``--part`` prints the tables.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path
from typing import Any, Iterator

import torch
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader

from hrtk.apis.adaptation import load_config
from hrtk.apis.tables.content import mean_interval
from hrtk.apis.train import train
from hrtk.evaluation.lifting import LiftingEvaluator
from hrtk.models.checkpoints import read_checkpoint
from hrtk.models.lifting import PARTS_2D, PARTS_3D
from hrtk.registry import DATASETS, MODELS
from hrtk.training.lifting import CompletionTraining

CONFIGS = Path(__file__).parents[1] / 'configs' / 'mpm'
STEPS = 517  # of an epoch
COMMON = {
    'model.network.channels': 64,
    'model.network.hidden': 128,
    'train_dataloader.batch_size': 32,
    'train_dataloader.dataset.stride': 10,
    'default_hooks.checkpoint.max_keep_ckpts': 1,
}
STAGE1 = {
    'spatio-temporal': {},
    'tube': {'model.masks': dict(strategy='tube')},
    'temporal': {'model.masks': dict(strategy='temporal')},
    '2D only': {'model.weights': dict(pose3d=0.0)},
}
RATIOS = tuple(itertools.product((2, 5, 9), (0.3, 0.6, 0.8)))
COMPLETION = {'complete2d': (1, 2, *PARTS_2D[:4]), 'complete3d': PARTS_3D[:4]}


def schedule(epochs: int, seed: int) -> dict[str, Any]:
    """Options of one training; the rate falls to a twentieth over it, step by step."""
    return {
        **COMMON,
        'train_cfg.max_epochs': epochs,
        'train_cfg.val_interval': epochs,
        'randomness.seed': seed,
        'default_hooks.checkpoint.interval': epochs,
        'param_scheduler.0.by_epoch': False,
        'param_scheduler.0.gamma': 0.05 ** (1 / (epochs * STEPS)),
    }


def stage1(folder: Path, seed: int, epochs: int, options: dict[str, Any]) -> Path:
    """The checkpoint of a pre-training, trained if it is not there."""
    checkpoint = folder / f'epoch_{epochs}.pth'
    if not checkpoint.is_file():
        train(
            CONFIGS / 'stage1_open.py',
            work_dir=str(folder),
            cfg_options={**schedule(epochs, seed), 'model.seed': seed, **options},
        )
    return checkpoint


def stage2(
    folder: Path, seed: int, epochs: int, pretrained: Path | None = None
) -> dict[str, float]:
    """Errors of lifting after stage II."""
    found = train(
        CONFIGS / 'stage2_open.py',
        work_dir=str(folder),
        resume=False,
        cfg_options={
            **schedule(epochs, seed),
            'model.network.pretrained': pretrained and str(pretrained),
        },
    )
    return {
        name.removeprefix('lifting/'): float(value)
        for name, value in found.items()
        if name.count('/') == 1
    }


def completion(folder: Path, seed: int, epochs: int, task: str) -> dict[str, float]:
    """Errors of completed poses by hidden part and metric."""
    config = load_config(
        CONFIGS / f'{task}_open.py', {**schedule(epochs, seed), 'model.seed': seed}
    )
    checkpoint = folder / f'epoch_{epochs}.pth'
    if not checkpoint.is_file():
        train(config, work_dir=str(folder))
    data = DataLoader(DATASETS.build(config.val_dataloader.dataset), batch_size=256)
    errors = {}
    for part in COMPLETION[task]:
        model: CompletionTraining = MODELS.build({**config.model, 'test': part})
        model.load_state_dict(read_checkpoint(checkpoint)['state_dict'])
        evaluators = {
            kind: LiftingEvaluator(config.val_evaluator.protocol, metric=kind)
            for kind in ('correct', 'released')
        }
        with torch.inference_mode():
            for batch in data:
                found = model.eval()(batch['keypoints2d'], batch['joints3d'], mode='predict')
                for evaluator in evaluators.values():
                    evaluator.process(batch, found)
        errors.update(
            {
                f'{part} {kind}': evaluator.evaluate(len(data.dataset))['lifting/mpjpe_mm']
                for kind, evaluator in evaluators.items()
            }
        )
    return errors


def runs(root: Path, seed: int, tables: list[str], epochs: int) -> Iterator[tuple[str, Any]]:
    """Names of runs and what computes each."""
    masks = dict.fromkeys(
        [
            *(['spatio-temporal', '2D only'] if 'pretraining' in tables else []),
            *(['spatio-temporal', 'tube', 'temporal'] if 'masks' in tables else []),
        ]
    )
    grid = {
        f'{joints} joints, {ratio:.0%}': {'model.masks': dict(joints=joints, ratio=ratio)}
        for joints, ratio in RATIOS
        if (joints, ratio) != (5, 0.6)
    }
    stages = {**{name: STAGE1[name] for name in masks}, **(grid if 'ratios' in tables else {})}
    for name, options in stages.items():
        folder = root / f'{name} {seed}'
        yield (
            name,
            lambda folder=folder, options=options: stage2(
                folder / 'stage2', seed, epochs, stage1(folder / 'stage1', seed, epochs, options)
            ),
        )
    if 'pretraining' in tables:
        for name, times in (('stage II alone', 1), ('stage II alone, twice as long', 2)):
            yield (
                name,
                lambda name=name, times=times: stage2(
                    root / f'{name} {seed}', seed, times * epochs
                ),
            )
    if 'completion' in tables:
        for task in COMPLETION:
            yield task, lambda task=task: completion(root / f'{task} {seed}', seed, epochs, task)


def show(records: dict[str, list[dict[str, float]]]) -> None:
    """Means over seeds with their 95 % intervals."""
    table = Table('run', 'error', 'mm', 'seeds')
    for name, found in records.items():
        for key in (key for key in found[0] if key != 'windows'):
            mean, interval = mean_interval([record[key] for record in found])
            table.add_row(
                name,
                key,
                f'{mean:.1f}' + (f' ± {interval:.1f}' if interval is not None else ''),
                str(len(found)),
            )
    Console().print(table)


def main() -> None:
    """Trains what is missing and prints what is there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = ('pretraining', 'masks', 'ratios', 'completion')
    parser.add_argument('--tables', nargs='+', choices=known, default=list(known))
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2])
    parser.add_argument(
        '--epochs', type=int, default=2, help='of a stage; give every number a folder of its own'
    )
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/mpm_pretraining'))
    parser.add_argument(
        '--part', default='0/1', help='which share of the runs, e.g. 0/2 and 1/2 in two processes'
    )
    args = parser.parse_args()
    mine, shares = map(int, args.part.split('/'))
    records: dict[str, list[dict[str, float]]] = {}
    everything = [
        (name, seed, work)
        for seed in args.seeds
        for name, work in runs(args.work_dir, seed, args.tables, args.epochs)
    ]
    for number, (name, seed, work) in enumerate(everything):
        result = args.work_dir / f'{name} {seed}.json'
        if not result.is_file() and number % shares == mine:
            errors = work()
            result.parent.mkdir(parents=True, exist_ok=True)
            result.write_text(json.dumps(errors))
        if result.is_file():
            records.setdefault(name, []).append(json.loads(result.read_text()))
    show(records)


if __name__ == '__main__':
    main()
