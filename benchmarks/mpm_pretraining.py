"""MPM's comparisons on the free motion: pre-training, masks, masking ratios and completion, over several seeds.

``pretraining`` is Table 6 of the paper, ``masks`` Table B, ``ratios`` Table C and Fig. 6, ``completion`` Tables 3 and 4
under both metrics. ``noisy`` is Table 6 with 2D joints as a detector finds them, at lower learning rates, with and
without the norm of stage I in stage II and with small position embeddings.

Networks are a quarter of the released width and windows have 27 frames. A stage is two epochs of 517 steps of 32
windows, or ``--epochs``; stage II alone is also trained twice as long, as many steps as both stages have together.

Finished runs are read from the work directory, so a killed call resumes; several processes may share the runs
(``--part 0/2``, ``--part 1/2``), and a last call without ``--part`` prints the tables.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from measuring import mean_text
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader

from hrtk.apis.adaptation import load_config
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
METRICS = ('correct', 'released')
# Errors of a fine-tuned detector, about 5 px of an image 1000 px wide that last for a fifth of a second.
NOISE = dict(noise_px=5.0, noise_frames=6.0)
NOISY_RATES = (5e-4, 2e-4)
# Options of both stages and of stage II alone: the released layout, and the one that our measurements prefer.
LAYOUTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    'norm and small embeddings': (
        {'model.network.embedding_std': 0.02},
        {'model.network.encoder_norm': True},
    ),
    'released layout': ({}, {}),
}
COMPLETION = {'complete2d': (1, 2, *PARTS_2D[:4]), 'complete3d': PARTS_3D[:4]}


def schedule(epochs: int, seed: int) -> dict[str, Any]:
    """Options of one training; the learning rate decreases to a twentieth, step by step."""
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
    """The checkpoint of a pre-training, which is trained if the file is missing."""
    checkpoint = folder / f'epoch_{epochs}.pth'
    if not checkpoint.is_file():
        train(
            CONFIGS / 'stage1_open.py',
            work_dir=str(folder),
            cfg_options={**schedule(epochs, seed), 'model.seed': seed, **options},
        )
    return checkpoint


def stage2(
    folder: Path,
    seed: int,
    epochs: int,
    pretrained: Path | None = None,
    more: dict[str, Any] | None = None,
) -> dict[str, float]:
    """Errors of lifting after stage II."""
    options: dict[str, Any] = {**schedule(epochs, seed), 'model.network.pretrained': None}
    options.update(more or {})
    if pretrained is not None:
        options['model.network.pretrained'] = str(pretrained)
    metrics = train(
        CONFIGS / 'stage2_open.py', work_dir=str(folder), resume=False, cfg_options=options
    )
    errors = {}
    for name, value in metrics.items():
        if name.count('/') == 1:
            errors[name.removeprefix('lifting/')] = float(value)
    return errors


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
        evaluators = {}
        for metric in METRICS:
            protocol = config.val_evaluator.protocol
            evaluators[metric] = LiftingEvaluator(protocol, metric=metric)
        with torch.inference_mode():
            for batch in data:
                samples = model.eval()(batch['keypoints2d'], batch['joints3d'], mode='predict')
                for evaluator in evaluators.values():
                    evaluator.process(batch, samples)
        for metric, evaluator in evaluators.items():
            metrics = evaluator.evaluate(len(data.dataset))
            errors[f'{part} {metric}'] = metrics['lifting/mpjpe_mm']
    return errors


def pretraining_options(tables: list[str]) -> dict[str, dict[str, Any]]:
    """Names of the runs of both stages, and the options of their pre-training."""
    names = []
    if 'pretraining' in tables:
        names += ['spatio-temporal', '2D only']
    if 'masks' in tables:
        names += ['spatio-temporal', 'tube', 'temporal']
    options = {name: STAGE1[name] for name in names}
    if 'ratios' in tables:
        for joints, ratio in RATIOS:
            if (joints, ratio) != (5, 0.6):
                masks = dict(joints=joints, ratio=ratio)
                options[f'{joints} joints, {ratio:.0%}'] = {'model.masks': masks}
    return options


def runs(
    root: Path, seed: int, tables: list[str], epochs: int
) -> Iterator[tuple[str, Callable[[], dict[str, float]]]]:
    """Names of runs and the functions that compute them."""

    def both_stages(name: str, options: dict[str, Any]) -> dict[str, float]:
        folder = root / f'{name} {seed}'
        checkpoint = stage1(folder / 'stage1', seed, epochs, options)
        return stage2(folder / 'stage2', seed, epochs, checkpoint)

    for name, options in pretraining_options(tables).items():
        yield name, functools.partial(both_stages, name, options)
    if 'pretraining' in tables:
        for name, factor in (('stage II alone', 1), ('stage II alone, twice as long', 2)):
            yield name, functools.partial(stage2, root / f'{name} {seed}', seed, factor * epochs)
    if 'completion' in tables:
        for task in COMPLETION:
            yield task, functools.partial(completion, root / f'{task} {seed}', seed, epochs, task)
    if 'noisy' in tables:
        yield from noisy_runs(root, seed, epochs)


def noisy_runs(
    root: Path, seed: int, epochs: int
) -> Iterator[tuple[str, Callable[[], dict[str, float]]]]:
    """The runs of ``noisy``, the most important ones first."""
    for rate, layout in itertools.product(NOISY_RATES, LAYOUTS):
        both, second = LAYOUTS[layout]
        options = {'optim_wrapper.optimizer.lr': rate, **both}
        for part in ('train', 'val'):
            for key, value in NOISE.items():
                options[f'{part}_dataloader.dataset.{key}'] = value
        options['val_dataloader.dataset.seed'] = 1

        def both_stages(folder: Path, options: dict[str, Any], second: dict[str, Any]) -> dict:
            checkpoint = stage1(folder / 'stage1', seed, epochs, options)
            return stage2(folder / 'stage2', seed, epochs, checkpoint, {**options, **second})

        name = f'{layout}, rate {rate:g}'
        alone = {**options, **second}
        for label, factor in (('stage II alone', 1), ('stage II alone, twice as long', 2)):
            label = f'{name}: {label}'
            folder = root / f'{label} {seed}'
            yield label, functools.partial(stage2, folder, seed, factor * epochs, None, alone)
        label = f'{name}: both stages'
        yield label, functools.partial(both_stages, root / f'{label} {seed}', options, second)


def show(records: dict[str, list[dict[str, float]]]) -> None:
    """Means over seeds with their 95 % intervals."""
    table = Table('run', 'error', 'mm', 'seeds')
    for name, seeds in records.items():
        for key in seeds[0]:
            if key != 'windows':
                mean = mean_text([errors[key] for errors in seeds], 1)
                table.add_row(name, key, mean, str(len(seeds)))
    Console().print(table)


def main() -> None:
    """Runs the missing trainings and prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    tables = ('pretraining', 'masks', 'ratios', 'completion', 'noisy')
    parser.add_argument('--tables', nargs='+', choices=tables, default=list(tables))
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2])
    parser.add_argument(
        '--epochs', type=int, default=2, help='of a stage; give every number a folder of its own'
    )
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/mpm_pretraining'))
    parser.add_argument(
        '--part', default='0/1', help='which share of the runs, e.g. 0/2 and 1/2 in two processes'
    )
    args = parser.parse_args()
    share, shares = map(int, args.part.split('/'))
    records: dict[str, list[dict[str, float]]] = {}
    index = 0
    for seed in args.seeds:
        for name, compute in runs(args.work_dir, seed, args.tables, args.epochs):
            result = args.work_dir / f'{name} {seed}.json'
            if not result.is_file() and index % shares == share:
                errors = compute()
                result.parent.mkdir(parents=True, exist_ok=True)
                result.write_text(json.dumps(errors))
            if result.is_file():
                records.setdefault(name, []).append(json.loads(result.read_text()))
            index += 1
    show(records)


if __name__ == '__main__':
    main()
