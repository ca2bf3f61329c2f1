"""From a training checkpoint to a weights file for distribution: half precision, with a record of its training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hrtk.engine.versions import versions
from hrtk.errors import InputError
from hrtk.files import write_atomically, write_text_atomically
from hrtk.models.checkpoints import TRAINED, check_weights, read_checkpoint
from hrtk.reading import parse_json, read_text
from hrtk.reading.literals import parse_literals
from hrtk.training.last_checkpoint import last_checkpoint

VALIDATED = ('views/', 'lifting/')  # prefixes of validation metrics in a training's log
AGAIN = 'train again'
NOT_RECORDED = ('work_dir', 'launcher', 'load_from', 'resume')  # keys of the config


def publish(
    work_dir: str | Path, output: str | Path, without: Sequence[str] = ()
) -> dict[str, Any]:
    """Writes ``<output>`` (fp16 state dict) and ``<output>.json`` (training record) from a finished training.

    Args:
        work_dir: of ``tools/train.py``; its last checkpoint, config and log are read.
        output: the weights file, e.g. ``hrtk/models/weights/r18_studio.pt``.
        without: parts of the network that other files provide, e.g. ``('backbone', 'segmenter')``.

    Returns:
        The content of the json: config, seed, iterations, versions, validation after every epoch, size in bytes.

    Raises:
        InputError: the folder contains no checkpoint of an estimator or temporal network.
    """
    folder = Path(work_dir)
    output = Path(output)
    path = last_checkpoint(folder)
    if path is None:
        raise InputError(
            f'{folder}: no last_checkpoint; expected the work_dir of a training by tools/train.py'
        )
    checkpoint = read_checkpoint(path)
    weights = _network_weights(checkpoint.get('state_dict'), without)
    if not weights:
        raise InputError(
            f'{path}: has no weights under {" or ".join(TRAINED)}; publish reads '
            f'checkpoints of SupervisedTraining or TemporalTraining'
        )
    check_weights(weights, str(path))
    meta = checkpoint.get('meta')
    if not isinstance(meta, Mapping) or not {'seed', 'iter', 'cfg'} <= set(meta):
        raise InputError(f'{path}: its meta lacks seed, iter or cfg; {AGAIN}')
    config = _config_of(meta['cfg'], path)
    validation = _validation(folder)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(output, lambda file: torch.save({'state_dict': weights}, file))
    record = {
        'config': {key: value for key, value in config.items() if key not in NOT_RECORDED},
        'seed': meta['seed'],
        'iterations': meta['iter'],
        'versions': versions(),
        'validation': validation,
        'bytes': output.stat().st_size,
    }
    text = json.dumps(record, indent=1, default=str)
    write_text_atomically(output.with_suffix('.json'), f'{text}\n')
    return record


def _config_of(text: Any, path: Path) -> dict[str, Any]:
    """The config of a training, from the text in its checkpoint, which is not executed."""
    try:
        return parse_literals(text)
    except (TypeError, ValueError) as error:
        raise InputError(f'{path}: holds no config of literals ({error}); {AGAIN}') from error


def _network_weights(state: Any, without: Sequence[str]) -> dict[str, Tensor]:
    """The weights of the trained network in half precision, by their names in the network; empty if there are none."""
    weights = {}
    if not isinstance(state, Mapping):
        return {}
    for key, value in state.items():
        name = key.partition('.')[2]
        if not isinstance(value, Tensor) or name.partition('.')[0] in without:
            continue
        if key.startswith(TRAINED):
            weights[name] = value.half() if value.is_floating_point() else value
    return weights


def _validation(folder: Path) -> list[dict[str, float]]:
    """The validation rows of all logs of a training, in order."""
    rows: dict[int, dict[str, float]] = {}
    for log in sorted(folder.glob('*/vis_data/scalars.json')):
        for line in read_text(log).splitlines():
            scalars = parse_json(line, log)
            try:
                metrics = {
                    name.partition('/')[2]: round(value, 2)
                    for name, value in scalars.items()
                    if name.startswith(VALIDATED) and name.count('/') == 1
                }
                if metrics:
                    rows[int(scalars['step'])] = {'epoch': int(scalars['step']), **metrics}
            except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
                raise InputError(
                    f'{log}: a line is no object of numbers with a step ({error}); {AGAIN}'
                ) from error
    return [rows[step] for step in sorted(rows)]
