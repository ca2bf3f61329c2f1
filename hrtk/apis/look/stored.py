"""What stored results say about the run that made them."""

from __future__ import annotations

import inspect
import json
import tempfile
from pathlib import Path
from typing import Any, Iterator

from mmengine.config import Config

from hrtk.body_models import BodyModel
from hrtk.errors import InputError
from hrtk.registry import ADAPTERS, BODY_MODELS, ESTIMATORS
from hrtk.results import Result
from hrtk.structures import Sequence


def result_folders(folder: Path) -> list[Path]:
    """The folder of results itself, or all of a work dir.

    Raises:
        InputError: there are none.
    """
    if (folder / 'run.json').is_file():
        return [folder]
    found = sorted(path.parent for path in folder.glob('results/*/run.json'))
    if not found:
        raise InputError(
            f'{folder}: neither a folder of results (with a run.json) nor a work dir that has some in '
            f'results/; run tools/adapt.py first'
        )
    return found


def latest_folder(folder: Path) -> Path:
    """The folder of results itself, or of a work dir the one that its ``metrics.json`` was written for.

    Raises:
        InputError: there are none, or it cannot be said which.
    """
    found = result_folders(folder)
    if len(found) == 1:
        return found[0]
    try:
        named = json.loads((folder / 'metrics.json').read_text())['fingerprint']
    except (OSError, ValueError, KeyError):
        named = None
    for path in found:
        if path.name == named:
            return path
    raise InputError(
        f'{folder}: holds {len(found)} folders of results and no metrics.json that names one of them; '
        f'give one of {", ".join(map(str, found))}'
    )


def stored_config(path: Path) -> Config:
    """The config that results were computed with, from their ``run.json``.

    Raises:
        InputError: it cannot be read.
    """
    try:
        run = json.loads(path.read_text())
        with tempfile.TemporaryDirectory() as folder:
            file = (
                Path(folder) / 'stored.py'
            )  # a config is read from a file, so that its custom_imports happen
            file.write_text(run['config'])
            cfg = Config.fromfile(file)
    except (OSError, ValueError, KeyError, SyntaxError, ImportError) as error:
        raise InputError(
            f'{path}: its config cannot be read ({type(error).__name__}: {error})'
        ) from error
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


def stored_body(folder: Path) -> BodyModel:
    """The body that results are for.

    Raises:
        InputError: its file is missing, or another than the results were computed with.
    """
    path = folder / 'run.json'
    body = body_of(stored_config(path).estimator)
    expected = json.loads(path.read_text()).get('fingerprints', {}).get('estimator', {}).get('body')
    if expected not in (None, body.data.sha256):
        raise InputError(
            f'{body.data.path}: not the body file that the results in {folder} were computed with; '
            f'bring that back, or run tools/adapt.py again'
        )
    return body


def stored_pairs(folder: Path, dataset: Any) -> Iterator[tuple[Sequence, Result]]:
    """Every sequence of a data set, and what is stored of it.

    Raises:
        InputError: a result is missing, or was computed from other data.
    """
    stored = {result.name: result for result in map(Result.load, sorted(folder.glob('*.npz')))}
    for index in range(len(dataset)):
        sequence = dataset[index]
        result = stored.get(sequence.name)
        if result is None:
            raise InputError(
                f'{folder}: {sequence.name!r} has no result, {len(stored)} of {len(dataset)} sequences '
                f'have one; run tools/adapt.py again to finish it'
            )
        if not result.matches(sequence):
            raise InputError(
                f'{folder}: frames, boxes or keypoints of {sequence.name!r} changed since its result was '
                f'computed; run tools/adapt.py again'
            )
        yield sequence, result


def adapter_name(adapter: dict) -> str:
    """The class name of an adapter, as tables have it."""
    kind = adapter['type']
    cls = ADAPTERS.get(kind) if isinstance(kind, str) else kind
    return cls.__name__ if cls is not None else kind


def bodies_by_role(sequence: Sequence, result: Result, adapted: bool) -> dict[str, tuple[Any, Any]]:
    """The bodies that a sequence has: ``rotmat`` and ``betas`` by ``'before'``, ``'after'`` and ``'truth'``.

    Gendered truth is left out: its betas would give another person on the neutral body.

    Args:
        sequence: for its ground truth.
        result: of it.
        adapted: whether there is an ``'after'``, which the frozen baseline has not.
    """
    bodies = {'before': (result.before.rotmat, result.before.betas)}
    if adapted:
        bodies['after'] = result.after.rotmat, result.after.betas
    truth = sequence.truth
    if (
        truth is not None
        and truth.gender == 'neutral'
        and truth.rotmat is not None
        and truth.betas is not None
    ):
        bodies['truth'] = truth.rotmat, truth.betas
    return bodies
