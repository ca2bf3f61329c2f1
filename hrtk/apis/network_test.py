"""``test``: scores the network of a training config, with given weights, on the config's test part."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Optional

from mmengine.config import Config

from hrtk.apis.adaptation import load_config
from hrtk.apis.asset_configs import strings_in
from hrtk.apis.assets import require_assets
from hrtk.apis.train import KEYS, PARTS
from hrtk.engine.runner import check_keys
from hrtk.engine.store import fingerprint
from hrtk.engine.versions import versions
from hrtk.errors import InputError, named_config
from hrtk.files import write_text_atomically
from hrtk.models.checkpoints import find_weights
from hrtk.reading.hashes import sha256
from hrtk.training.runner import TrainRunner
from hrtk.version import __version__

REPORT = 'metrics.json'
NETWORK = 'network'  # the part of a training's model that is tested
# Keys of a training config that a test takes over besides the model and the test part.
TAKEN = (
    'default_scope',
    'env_cfg',
    'log_level',
    'launcher',
    'randomness',
    'custom_imports',
    'work_dir',
)
_HASHES: dict[tuple[str, int, int], str] = {}


class ScoredPart(NamedTuple):
    """The part of a training config that tests.

    Attributes:
        name: ``'test'``, or ``'val'`` where a config has no test part.
        dataloader: config of the data.
        evaluator: config or configs of the metrics.
    """

    name: str
    dataloader: dict[str, Any]
    evaluator: Any


def test(
    config: str | Path | dict | Config,
    weights: Optional[str | Path] = None,
    *,
    cfg_options: Optional[dict[str, Any]] = None,
    **overrides: Any,
) -> dict[str, float]:
    """Scores the network of a training config on its test part: ``test_dataloader`` and ``test_evaluator``.

    A config without a test part is scored on its validation part. ``metrics.json`` in the ``work_dir`` holds the
    metrics, the hash of the weights, the versions and the config.

    Args:
        config: path of a training config, name of a bundled one (``'mpm/stage2_open'``), or the config itself. Its
            ``model`` has a ``network``: a lifter, a segmenter, a pose prior, a temporal teacher or a video model.
        weights: of the network: an official checkpoint, a checkpoint of ``hrtk train``, a file of ``hrtk
            publish-model``, or ``'open:<name>'``; None for those of the config's ``model.network.weights``.
        cfg_options: replacements by dotted key, e.g. ``{'test_evaluator.metric': 'released'}``.
        **overrides: top-level keys of the config, e.g. ``work_dir=...`` (default ``work_dirs/<config>/test``).

    Returns:
        The metrics, ``'<prefix>/<metric>'``.

    Raises:
        InputError: the config is no training config of such a network, or a file that it names is wrong.
    """
    cfg = load_config(config, {**(cfg_options or {}), **overrides})
    part = part_to_test(cfg)
    cfg = with_weights(cfg, weights)
    require_assets({'model': cfg.model, 'dataloader': part.dataloader, 'evaluator': part.evaluator})
    name = Path(cfg.filename).stem if cfg.filename else 'train'
    content = {key: cfg[key] for key in TAKEN if cfg.get(key) is not None}
    content.setdefault('randomness', dict(seed=0))
    content.setdefault('work_dir', str(Path('work_dirs') / name / 'test'))
    content.update(
        model=cfg.model,
        test_dataloader=part.dataloader,
        test_evaluator=part.evaluator,
        test_cfg=dict(),
        experiment_name=f'{name}-test',
    )
    with named_config(cfg.filename):
        runner = TrainRunner.from_cfg(Config(content, filename=cfg.filename))
        metrics = {key: float(value) for key, value in runner.test().items()}
    report = dict(
        config=cfg.filename,
        part=part.name,
        evaluator=evaluator_names(part),
        items=len(runner.test_dataloader.dataset),
        weights=_weights_record(cfg),
        fingerprint=fingerprint_of_test(cfg),
        seed=content['randomness'].get('seed'),
        versions=versions(),
        test={key: content[key] for key in ('model', 'test_dataloader', 'test_evaluator')},
        metrics=metrics,
    )
    text = json.dumps(report, indent=1, default=str) + '\n'
    write_text_atomically(Path(content['work_dir']) / REPORT, text)
    return metrics


def part_to_test(cfg: Config) -> ScoredPart:
    """The test part of a training config, or its validation part.

    Raises:
        InputError: the config is one of an adaptation or of a start model, whose commands are named, or it has neither
            part.
    """
    source = f'{cfg.filename}: ' if cfg.filename else ''
    if cfg.get('adapter') is not None or cfg.get('dataset') is not None:
        raise InputError(_adaptation_message(cfg, source))
    check_keys(cfg, KEYS, ('model',))
    if NETWORK not in cfg.model:
        raise InputError(_start_model_message(cfg, source))
    for name in ('test', 'val'):
        dataloader = cfg.get(f'{name}_dataloader')
        evaluator = cfg.get(f'{name}_evaluator')
        if dataloader and evaluator:
            return ScoredPart(name, dataloader, evaluator)
        if name == 'test' and (dataloader or evaluator):
            raise InputError(
                f'{source}test_dataloader and test_evaluator belong together; this config has one of them'
            )
    raise InputError(
        f'{source}nothing to test with: the config has neither test_dataloader and test_evaluator nor '
        f'val_dataloader and val_evaluator; add them, see docs/en/tables.md'
    )


def evaluator_names(part: ScoredPart) -> str:
    """The metrics of a test part in words, e.g. ``'LiftingEvaluator 3dhp'``."""
    evaluators = part.evaluator
    if not isinstance(evaluators, (list, tuple)):
        evaluators = [evaluators]
    names = []
    for evaluator in evaluators:
        words = [str(evaluator['type'])]
        words += [str(evaluator[key]) for key in ('protocol', 'metric') if evaluator.get(key)]
        names.append(' '.join(words))
    return ', '.join(names)


def fingerprint_of_test(cfg: Config) -> str:
    """A hash of everything that decides the numbers of a test: network, weights, data, metrics, seed and version.

    Args:
        cfg: a training config whose ``model.network.weights`` are those to test.

    Raises:
        InputError: the weights are missing.
    """
    part = part_to_test(cfg)
    parts = dict(
        hrtk=__version__,
        model=cfg.model,
        dataset=part.dataloader['dataset'],
        batch_size=part.dataloader.get('batch_size'),
        evaluator=part.evaluator,
        randomness=cfg.get('randomness'),
    )
    return fingerprint_with_files(parts)


def fingerprint_with_files(parts: Mapping[str, Any]) -> str:
    """A hash of parts of a config and of the files that they name.

    Raises:
        InputError: a value has no lasting text form.
    """
    return fingerprint(dict(parts, files=dict(_named_files(parts))))


def with_weights(cfg: Config, weights: Optional[str | Path]) -> Config:
    """A copy of a config whose network has the weights, and does not start from those of an earlier stage.

    Raises:
        InputError: there are no such weights, or none are named.
    """
    cfg = Config(cfg.to_dict(), filename=cfg.filename)
    for part in PARTS:
        cfg.pop(part, None)
    if not isinstance(cfg.model.get(NETWORK), dict):
        raise InputError(
            f'{cfg.filename or "the config"}: model.{NETWORK} is the config of a network'
        )
    if weights is not None:
        cfg.model[NETWORK]['weights'] = str(weights)
    if cfg.model[NETWORK].get('weights') is None:
        raise InputError(
            f'{cfg.filename or "the config"}: no weights to test; name a file with --weights (weights=... in '
            f'Python): an official checkpoint, one of hrtk train, or open:<name>'
        )
    find_weights(cfg.model[NETWORK]['weights'])
    cfg.model[NETWORK].pop('pretrained', None)
    return cfg


def _weights_record(cfg: Config) -> dict[str, str]:
    setting = cfg.model[NETWORK]['weights']
    return dict(file=setting, sha256=sha256(find_weights(setting)))


def _named_files(value: Any) -> Iterator[tuple[str, str]]:
    """The files that a config names, each with its hash; bundled weights too."""
    for text in strings_in(value):
        path = Path(text)
        if text.startswith('open:'):
            path = find_weights(text)
        if os.path.isfile(path):  # False, too, for a text that is too long for a name
            yield text, _hash(path)


def _hash(path: Path) -> str:
    """The hash of a file, computed once per process."""
    state = path.stat()
    key = (str(path.resolve()), state.st_mtime_ns, state.st_size)
    if key not in _HASHES:
        _HASHES[key] = sha256(path)
    return _HASHES[key]


def _adaptation_message(cfg: Config, source: str) -> str:
    name = cfg.filename or 'CONFIG'
    adapter = (cfg.get('adapter') or {}).get('type', 'an adapter')
    if adapter == 'Source':
        return (
            f'{source}this config scores a start model on a target (adapter=Source), it trains no network; run '
            f'`hrtk adapt {name}`, with --cfg-options estimator.weights=FILE for other weights'
        )
    return (
        f'{source}this is the config of an adaptation ({adapter}), whose command is `hrtk adapt {name}`; `hrtk '
        f'test` takes a training config, which has a model with a network, e.g. mpm/stage2_open'
    )


def _start_model_message(cfg: Config, source: str) -> str:
    kind = cfg.model.get('type', 'this model')
    return (
        f'{source}{kind} trains a start model, whose accuracy is that of a run without adaptation: `hrtk adapt '
        f'source/r18_wild --cfg-options estimator.weights=FILE`, or another config below configs/source that has the '
        f'same estimator'
    )
