"""Rows of tables that test networks: those of a training, which is run first, and those of given weights."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from mmengine.config import Config

from hrtk.apis.adaptation import load_config
from hrtk.apis.network_test import (
    REPORT,
    fingerprint_of_test,
    fingerprint_with_files,
    test,
    with_weights,
)
from hrtk.apis.tables.cost_rows import cost_of
from hrtk.apis.train import TEST_PARTS, train
from hrtk.errors import InputError
from hrtk.files import write_text_atomically
from hrtk.reading import read_json
from hrtk.registry import MODELS
from hrtk.training.kept_checkpoints import FOLDER as KEPT
from hrtk.training.last_checkpoint import POINTER, last_checkpoint
from hrtk.version import __version__

if TYPE_CHECKING:
    from hrtk.apis.tables.runs import Run
    from hrtk.apis.tables.table import Row

BEST = 'best'
FINISHED = 'finished.json'  # in the folder of a training
# Keys of a training config that no number depends on.
WITHOUT_EFFECT = (
    *TEST_PARTS,
    'work_dir',
    'resume',
    'launcher',
    'log_level',
    'experiment_name',
    'visualizer',
    'log_processor',
)


def training_fingerprint(cfg: Config) -> str:
    """A hash of everything that decides the weights of a training: its config, the files that it names and versions.

    Args:
        cfg: the training config, with the options of the row.
    """
    parts = {
        key: value
        for key, value in cfg.to_dict().items()
        if key not in WITHOUT_EFFECT and not key.startswith('_')
    }
    training = MODELS.get(cfg.model['type'])
    test_options = getattr(training, 'test_options', ())
    parts['model'] = {
        key: value for key, value in parts['model'].items() if key not in test_options
    }
    return fingerprint_with_files(dict(parts, hrtk=__version__))


def check_checkpoint(row: Row, cfg: Config, source: str) -> None:
    """Checks that a training reaches the checkpoint of a row, before anything is trained.

    Args:
        row: the row.
        cfg: its config.
        source: file and row of the table, for messages.

    Raises:
        InputError: the training ends earlier, counts otherwise, or keeps no best checkpoint.
    """
    if row.checkpoint is None:
        return
    if row.checkpoint == BEST:
        hook = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
        if not hook.get('save_best'):
            raise InputError(
                f'{source}: checkpoint best needs default_hooks.checkpoint.save_best, which '
                f'{row.config.name} does not set'
            )
        return
    unit, number = row.checkpoint.split('_')
    key = {'epoch': 'max_epochs', 'iter': 'max_iters'}[unit]
    last = cfg.train_cfg.get(key)
    if last is None or int(number) > last:
        length = ', '.join(f'{name}={value}' for name, value in cfg.train_cfg.items())
        raise InputError(
            f'{source}: the training writes no checkpoint {row.checkpoint}; its train_cfg is {length}'
        )


def score_network(run: Run) -> dict[str, Any]:
    """Trains where the row asks for it and no earlier run did, then tests where no earlier run did.

    Returns:
        As of :func:`hrtk.apis.tables.runs.execute`.
    """
    if run.cost:
        return cost_of(load_config(run.config, run.options), list(run.cost))
    weights = run.weights
    trained = False
    if run.training is not None:
        trained, path = _trained_weights(run, run.training)
        weights = str(path)
    cfg = with_weights(load_config(run.config, run.options), weights)
    wanted = fingerprint_of_test(cfg)
    report = _stored_report(run.folder / REPORT)
    tested = report is None or report['fingerprint'] != wanted
    if tested:
        test(cfg, work_dir=run.folder)
        report = read_json(run.folder / REPORT, kind=dict)
    assert report is not None
    metrics: dict[str, float] = {}
    for name, value in report['metrics'].items():
        metrics.setdefault(name.split('/', 1)[-1], value)
    return {
        'computed': trained or tested,
        'protocol': report['evaluator'],
        'part': report['part'],
        'items': report['items'],
        'fingerprint': report['fingerprint'],
        'weights': report['weights'],
        'metrics': metrics,
    }


def _trained_weights(run: Run, folder: Path) -> tuple[bool, Path]:
    """Whether anything was trained, and the checkpoint of a row.

    Raises:
        InputError: the training writes no such checkpoint.
    """
    if _is_finished(folder) and all(_stored(folder, name) for name in run.keep):
        return False, _checkpoint(run, folder)
    # A training that went past a checkpoint without keeping it is repeated, and gives the same weights.
    resumed = _last(folder) is not None and not _is_finished(folder)
    if resumed:
        _train(run, folder)
    if not resumed or not all(_stored(folder, name) for name in run.keep):
        _clear(folder)
        _train(run, folder)
    write_text_atomically(folder / FINISHED, json.dumps(dict(config=str(run.config))) + '\n')
    return True, _checkpoint(run, folder)


def _train(run: Run, folder: Path) -> None:
    """Trains, or goes on where an interrupted training ended."""
    options = dict(run.options)
    if run.pretraining is not None:
        options[run.pretraining['start']] = str(pretrained_weights(run))
    cfg = load_config(run.config, options)
    cfg.resume = True
    hook = dict(type='KeptCheckpoints', names=list(run.keep))
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), hook]
    train(cfg, work_dir=str(folder))


def pretrained_weights(run: Run) -> Path:
    """The last checkpoint of the earlier stage, which is trained where no earlier run did."""
    assert run.pretraining is not None
    stage = dataclasses.replace(
        run,
        config=Path(run.pretraining['config']),
        options=run.pretraining['options'],
        pretraining=run.pretraining['pretraining'],
        checkpoint=None,
        keep=(),
    )
    _, path = _trained_weights(stage, Path(run.pretraining['folder']))
    return path


def _clear(folder: Path) -> None:
    """Removes the checkpoints of a training, so that it starts again."""
    (folder / FINISHED).unlink(missing_ok=True)
    (folder / POINTER).unlink(missing_ok=True)
    for path in folder.glob('*.pth'):
        path.unlink()


def _is_finished(folder: Path) -> bool:
    return (folder / FINISHED).is_file() and _last(folder) is not None


def _checkpoint(run: Run, folder: Path) -> Path:
    """The checkpoint that a row tests."""
    path = _last(folder)
    if run.checkpoint is not None:
        path = _stored(folder, run.checkpoint)
    if path is None:
        raise InputError(
            f'{run.config}: the training in {folder} wrote no checkpoint {run.checkpoint or ""!r}; name one that '
            f'its CheckpointHook writes (default_hooks.checkpoint.interval, save_best) and not one behind its last step'
        )
    return path


def _stored(folder: Path, name: str) -> Optional[Path]:
    """A checkpoint by name, or None."""
    paths = [folder / KEPT / f'{name}.pth', folder / f'{name}.pth']
    if name == BEST:
        paths = sorted(folder.glob('best_*.pth'))
    for path in paths:
        if path.is_file():
            return path
    return None


def _last(folder: Path) -> Optional[Path]:
    """The newest checkpoint of a training, or None; a damaged note of it costs the training, not the table."""
    try:
        return last_checkpoint(folder)
    except InputError:
        return None


def _stored_report(path: Path) -> Optional[dict[str, Any]]:
    try:
        return read_json(path, kind=dict)
    except InputError:  # absent, or truncated on a full disk
        return None
