"""From a training checkpoint to a weights file that can be shipped: half precision, with a record of its making."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Sequence

import torch
from mmengine.config import Config

from hrtk.engine.versions import versions
from hrtk.errors import InputError
from hrtk.models.checkpoints import TRAINED, read_checkpoint

VALIDATED = ('views/', 'lifting/')  # prefixes of validation metrics in a training's log


def publish(
    work_dir: str | Path, output: str | Path, without: Sequence[str] = ()
) -> dict[str, Any]:
    """Writes ``<output>`` (fp16 state dict) and ``<output>.json`` (how it was made) from a finished training.

    Args:
        work_dir: of ``tools/train.py``; its last checkpoint, config and log are read.
        output: the weights file, e.g. ``hrtk/models/weights/r18_studio.pt``.
        without: parts of the network that other files bring, e.g. ``('backbone', 'segmenter')``.

    Returns:
        What the json says: config, seed, versions, validation after every epoch, views per second.

    Raises:
        InputError: the folder holds no checkpoint of an estimator or temporal network.
    """
    folder, output = Path(work_dir), Path(output)
    pointer = folder / 'last_checkpoint'
    if not pointer.is_file():
        raise InputError(
            f'{folder}: no last_checkpoint; expected the work_dir of a training by tools/train.py'
        )
    checkpoint = read_checkpoint(folder / Path(pointer.read_text().strip()).name)
    weights = {
        key.partition('.')[2]: value.half() if value.is_floating_point() else value
        for key, value in checkpoint.get('state_dict', {}).items()
        if key.startswith(TRAINED)
    }
    weights = {key: value for key, value in weights.items() if key.partition('.')[0] not in without}
    if not weights:
        raise InputError(
            f'{folder}: its last checkpoint holds no weights under {" or ".join(TRAINED)}; publish takes '
            f'what SupervisedTraining or TemporalTraining trained'
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    torch.save({'state_dict': weights}, output)
    config = Config.fromstring(checkpoint['meta']['cfg'], '.py')
    record = dict(
        config=config.to_dict(),
        seed=checkpoint['meta']['seed'],
        iterations=checkpoint['meta']['iter'],
        versions=versions(),
        validation=_validation(folder),
        bytes=output.stat().st_size,
    )
    for key in ('work_dir', 'launcher', 'load_from', 'resume'):
        record['config'].pop(key, None)
    output.with_suffix('.json').write_text(json.dumps(record, indent=1, default=str) + '\n')
    return record


def _validation(folder: Path) -> list[dict[str, float]]:
    """The validation rows of all logs of a training, in order."""
    rows = {}
    for log in sorted(folder.glob('*/vis_data/scalars.json')):
        for line in log.read_text().splitlines():
            row = json.loads(line)
            found = {
                name.partition('/')[2]: round(value, 2)
                for name, value in row.items()
                if name.startswith(VALIDATED) and name.count('/') == 1
            }
            if found:
                rows[row['step']] = {'epoch': row['step'], **found}
    return [rows[step] for step in sorted(rows)]
