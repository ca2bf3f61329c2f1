"""What stored results say about the run that made them."""

from __future__ import annotations

import inspect
import json
import tempfile
from pathlib import Path
from typing import Any

from mmengine.config import Config

from hrtk.registry import BODY_MODELS, ESTIMATORS
from hrtk.structures import InputError


def result_folders(folder: Path) -> list[Path]:
    """The folder of results itself, or all of a work dir.

    Raises:
        InputError: there are none.
    """
    if (folder / 'run.json').is_file():
        return [folder]
    found = sorted(path.parent for path in folder.glob('results/*/run.json'))
    if not found:
        raise InputError(f'{folder}: neither a folder of results (with a run.json) nor a work dir that has some in '
                         f'results/; run tools/adapt.py first')
    return found


def stored_config(path: Path) -> Config:
    """The config that results were computed with, from their ``run.json``.

    Raises:
        InputError: it cannot be read.
    """
    try:
        run = json.loads(path.read_text())
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / 'stored.py'  # a config is read from a file, so that its custom_imports happen
            file.write_text(run['config'])
            cfg = Config.fromfile(file)
    except (OSError, ValueError, KeyError, SyntaxError, ImportError) as error:
        raise InputError(f'{path}: its config cannot be read ({type(error).__name__}: {error})') from error
    cfg._config_file = run.get('config_file')
    return cfg


def body_of(estimator: dict) -> Any:
    """The estimator's body alone: its weights may be large, or gone."""
    kind = estimator['type']
    cls = ESTIMATORS.get(kind) if isinstance(kind, str) else kind
    parameter = inspect.signature(cls).parameters.get('body') if cls is not None else None
    config = estimator.get('body', parameter.default if parameter else None)
    if config is None:
        return ESTIMATORS.build(estimator).body
    return BODY_MODELS.build(config)
