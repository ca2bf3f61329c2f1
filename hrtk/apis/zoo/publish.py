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
from hrtk.models.checkpoints import TRAINED, read_checkpoint
from hrtk.reading import parse_json, read_text
from hrtk.reading.literals import parse_literals

VALIDATED = ('views/', 'lifting/')  # prefixes of validation metrics in a training's log
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
    pointer = folder / 'last_checkpoint'
    if not pointer.is_file():
        raise InputError(
            f'{folder}: no last_checkpoint; expected the work_dir of a training by tools/train.py'
        )
    checkpoint = read_checkpoint(folder / Path(read_text(pointer).strip()).name)
    weights = _network_weights(checkpoint.get('state_dict', {}), without)
    if not weights:
        raise InputError(
            f'{folder}: its last checkpoint has no weights under {" or ".join(TRAINED)}; publish reads '
            f'checkpoints of SupervisedTraining or TemporalTraining'
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    torch.save({'state_dict': weights}, output)
    config = _config_of(checkpoint, folder)
    record = {
        'config': {key: value for key, value in config.items() if key not in NOT_RECORDED},
        'seed': checkpoint['meta']['seed'],
        'iterations': checkpoint['meta']['iter'],
        'versions': versions(),
        'validation': _validation(folder),
        'bytes': output.stat().st_size,
    }
    output.with_suffix('.json').write_text(json.dumps(record, indent=1, default=str) + '\n')
    return record


def _config_of(checkpoint: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The config of a training, from the text in its checkpoint, which is not executed."""
    try:
        return parse_literals(checkpoint['meta']['cfg'])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f'{folder}: its last checkpoint holds no config of literals ({error}); train again'
        ) from error


def _network_weights(state: Mapping[str, Tensor], without: Sequence[str]) -> dict[str, Tensor]:
    """The weights of the trained network in half precision, by their names in the network."""
    weights = {}
    for key, value in state.items():
        name = key.partition('.')[2]
        if key.startswith(TRAINED) and name.partition('.')[0] not in without:
            weights[name] = value.half() if value.is_floating_point() else value
    return weights


def _validation(folder: Path) -> list[dict[str, float]]:
    """The validation rows of all logs of a training, in order."""
    rows = {}
    for log in sorted(folder.glob('*/vis_data/scalars.json')):
        for line in read_text(log).splitlines():
            scalars = parse_json(line, log)
            metrics = {
                name.partition('/')[2]: round(value, 2)
                for name, value in scalars.items()
                if name.startswith(VALIDATED) and name.count('/') == 1
            }
            if metrics:
                rows[scalars['step']] = {'epoch': scalars['step'], **metrics}
    return [rows[step] for step in sorted(rows)]
