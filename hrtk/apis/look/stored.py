"""Stored results and the config, body and data of the run that computed them."""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import Any, Iterator

from mmengine.config import Config

from hrtk.body_models import BodyModel
from hrtk.errors import InputError, named_config
from hrtk.evaluation.calibrated import crop_rotations
from hrtk.evaluation.protocols import Protocol
from hrtk.files import escaped_name
from hrtk.geometry.camera import turn_root
from hrtk.reading import read_json
from hrtk.reading.literals import parse_literals
from hrtk.registry import ADAPTERS, BODY_MODELS, ESTIMATORS, check_names
from hrtk.results import Result
from hrtk.structures import Sequence
from hrtk.visualization.export import Placing

RUN_AGAIN = 'run tools/adapt.py again'
PARTS = ('estimator', 'dataset', 'adapter', 'evaluator')


def result_folders(folder: Path) -> list[Path]:
    """Returns the folder itself if it holds results, or all folders of results of a work dir.

    Raises:
        InputError: there are no results.
    """
    if (folder / 'run.json').is_file():
        return [folder]
    folders = sorted(path.parent for path in folder.glob('results/*/run.json'))
    if not folders:
        raise InputError(
            f'{folder}: neither a folder of results (with a run.json) nor a work dir that has some in '
            f'results/; run tools/adapt.py first'
        )
    return folders


def latest_folder(folder: Path) -> Path:
    """Returns the folder itself if it holds results, or the folder of results that a work dir's ``metrics.json`` names.

    Raises:
        InputError: there are no results, or several folders of which ``metrics.json`` names none.
    """
    folders = result_folders(folder)
    if len(folders) == 1:
        return folders[0]
    try:
        fingerprint = read_json(folder / 'metrics.json', kind=dict).get('fingerprint')
    except InputError:
        fingerprint = None
    for path in folders:
        if path.name == fingerprint:
            return path
    raise InputError(
        f'{folder}: holds {len(folders)} folders of results and no metrics.json that names one of them; '
        f'give one of {", ".join(map(str, folders))}'
    )


def stored_config(path: Path) -> Config:
    """Returns the config that results were computed with, from their ``run.json``, without executing anything.

    Earlier versions stored the config as text; that is read if it consists of literals.

    Raises:
        InputError: the config cannot be read, lacks a part, or a ``type`` in it is not registered.
    """
    run = read_json(path, RUN_AGAIN, dict)
    content = run.get('config')
    if isinstance(content, str):
        try:
            content = parse_literals(content)
        except ValueError as error:
            raise InputError(f'{path}: its config cannot be read ({error}); {RUN_AGAIN}') from error
    _check_parts(content, path)
    content.pop('custom_imports', None)  # names modules that are not imported here
    check_names(content, str(path))
    try:
        cfg = Config(content)
    except (TypeError, KeyError, AttributeError) as error:
        raise InputError(f'{path}: its config cannot be read ({error}); {RUN_AGAIN}') from error
    cfg._config_file = run.get('config_file')
    return cfg


def _check_parts(content: Any, path: Path) -> None:
    """Raises InputError unless a stored config has the parts that a run is described by."""
    if not isinstance(content, dict):
        raise InputError(f'{path}: holds no config; {RUN_AGAIN}')
    for key in PARTS:
        parts = content.get(key)
        if not isinstance(parts, (list, tuple)) or key != 'evaluator':
            parts = [parts]
        for part in parts:
            if not isinstance(part, dict) or not isinstance(part.get('type'), str):
                raise InputError(
                    f'{path}: its config has no {key} with the name of a class as `type`; {RUN_AGAIN}'
                )


def body_of(estimator: dict) -> Any:
    """Builds only the body of an estimator's config: its weights may be large, or missing."""
    kind = estimator['type']
    cls = ESTIMATORS.get(kind) if isinstance(kind, str) else kind
    default = None
    if cls is not None:
        parameter = inspect.signature(cls).parameters.get('body')
        if parameter is not None:
            default = parameter.default
    config = estimator.get('body', default)
    if config is None:
        return ESTIMATORS.build(estimator).body
    return BODY_MODELS.build(config)


def stored_body(folder: Path) -> BodyModel:
    """Returns the body that results are parameters of.

    Raises:
        InputError: its file is missing, or differs from the one that the results were computed with.
    """
    path = folder / 'run.json'
    estimator = stored_config(path).estimator
    try:
        with named_config(path):
            body = body_of(estimator)
    except (TypeError, AttributeError) as error:  # options of other types
        raise InputError(f'{path}: its body cannot be built ({error}); {RUN_AGAIN}') from error
    except InputError as error:
        if str(path) in str(error):
            raise
        raise InputError(f'{path} names a body that cannot be read: {error}') from error
    expected = read_json(path, RUN_AGAIN, dict)
    for key in ('fingerprints', 'estimator', 'body'):
        expected = expected.get(key) if isinstance(expected, dict) else None
    if expected not in (None, body.data.sha256):
        raise InputError(
            f'{body.data.path}: not the body file that the results were computed with, by {path}; '
            f'bring that back, or run tools/adapt.py again'
        )
    return body


def stored_results(folder: Path) -> dict[str, Result]:
    """Returns all results of a folder by the name of their sequence.

    Raises:
        InputError: a result is damaged.
    """
    results = map(Result.load, sorted(folder.glob('*.npz')))
    return {result.name: result for result in results}


def stored_pairs(folder: Path, dataset: Any) -> Iterator[tuple[Sequence, Result]]:
    """Yields every sequence of a data set with its stored result.

    Raises:
        InputError: a result is missing, or was computed from other data.
    """
    results = stored_results(folder)
    for index in range(len(dataset)):
        sequence = dataset[index]
        result = results.get(sequence.name)
        if result is None:
            raise InputError(
                f'{folder}: {sequence.name!r} has no result, {len(results)} of {len(dataset)} sequences '
                f'have one; run tools/adapt.py again to finish it'
            )
        if not result.matches(sequence):
            path = folder / f'{escaped_name(sequence.name)}.npz'
            raise InputError(
                f'{path}: computed from other frames, boxes or keypoints of {sequence.name!r} than the data '
                f'set of {folder / "run.json"} has now{_files_of(folder)}. The data changed, or one of the two '
                f'files is damaged; run tools/adapt.py again'
            )
        yield sequence, result


def _files_of(folder: Path) -> str:
    """The files and folders of the data set that results were computed from, in brackets."""
    dataset = stored_config(folder / 'run.json').dataset
    paths = []
    for key, value in dataset.items():
        if isinstance(value, str) and os.path.exists(value):
            paths.append(f'{key}={value}')
    if not paths:
        return ''
    return f' ({", ".join(paths)})'


def adapter_name(adapter: dict) -> str:
    """Returns the class name of an adapter's config, as tables print it."""
    kind = adapter['type']
    cls = ADAPTERS.get(kind) if isinstance(kind, str) else kind
    if cls is None:
        return kind
    return cls.__name__


def bodies_by_role(
    sequence: Sequence, result: Result, adapted: bool, placing: Placing, protocol: Protocol
) -> dict[str, tuple[Any, Any]]:
    """Returns ``rotmat`` and ``betas`` of a sequence by role: ``'before'``, ``'after'`` and ``'truth'``.

    Predictions of footage without ground truth are turned by the viewing rays of their crops. Beside a ground truth
    they are as the protocol compares them.

    Gendered ground truth is left out: on the neutral body its betas would give another shape.

    Args:
        sequence: for its ground truth.
        result: of the sequence.
        adapted: whether there is an ``'after'``; the frozen baseline has none.
        placing: focal length, and whether to turn footage without ground truth.
        protocol: of the metrics.
    """
    predictions = {'before': result.before}
    if adapted:
        predictions['after'] = result.after
    if sequence.truth is not None:
        rotation = crop_rotations(protocol, result.boxes, sequence)
    else:
        rotation = placing.rotation_of(result)
    bodies = {}
    for role, prediction in predictions.items():
        rotmat = prediction.rotmat
        if rotation is not None:
            rotmat = turn_root(rotmat, rotation.to(rotmat))
        bodies[role] = (rotmat, prediction.betas)
    truth = sequence.truth
    if truth is None or truth.gender != 'neutral':
        return bodies
    if truth.rotmat is not None and truth.betas is not None:
        bodies['truth'] = (truth.rotmat, truth.betas)
    return bodies
