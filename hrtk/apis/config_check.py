"""What is wrong with an adapt config, before anything is run: misspelt names, and files that are not there."""

from __future__ import annotations

import difflib
import inspect
from typing import Any, Optional

from mmengine.config import Config

from hrtk import registry as known
from hrtk.apis.assets import ROOT, missing_assets
from hrtk.engine.store import canonical
from hrtk.errors import InputError

PARTS = {
    'dataset': known.DATASETS,
    'estimator': known.ESTIMATORS,
    'adapter': known.ADAPTERS,
    'evaluator': known.METRICS,
}
KINDS = (
    *PARTS.values(),
    known.BACKBONES,
    known.HEADS,
    known.BODY_MODELS,
    known.LOSSES,
    known.TEACHERS,
    known.TEMPORAL,
    known.SEGMENTERS,
    known.LIFTERS,
    known.CORRUPTIONS,
    known.TRANSFORMS,
    known.MASK_SOURCES,
)


def obstacles_of(cfg: Config, memory: Optional[dict[str, Optional[str]]] = None) -> list[str]:
    """Why the parts of an adapt config cannot be built on this machine; empty if they can.

    All licensed files that are not there; if none is missing, what else the parts say when they are built.

    Args:
        cfg: the config.
        memory: filled with what was found out, for other configs with the same parts.
    """
    missing = missing_assets({key: cfg[key] for key in PARTS})
    if missing:
        return [f'{ROOT}/{asset.path} ({asset.how}: {asset.home})' for asset in missing]
    memory = {} if memory is None else memory
    reasons = []
    for key, registry in PARTS.items():
        for part in cfg[key] if isinstance(cfg[key], (list, tuple)) else [cfg[key]]:
            name = canonical([key, part])
            if name not in memory:
                memory[name] = _obstacle(registry, part)
            reasons.append(memory[name])
    return [reason for reason in dict.fromkeys(reasons) if reason is not None]


def _obstacle(registry: Any, part: dict) -> Optional[str]:
    try:
        registry.build(part)
    except InputError as error:
        return str(error)
    return None


def check_arguments(cfg: Config, where: str) -> None:
    """Looks every ``type`` of an adapt config up, and the names of its arguments, without building anything.

    So that a misspelt option is told from a file that is not there.

    Raises:
        InputError: no registry knows a name, or a class takes no such argument.
    """
    for key in PARTS:
        _check(cfg[key], where)


def _check(config: Any, where: str) -> None:
    if isinstance(config, (list, tuple)):
        for item in config:
            _check(item, where)
    if not isinstance(config, dict):
        return
    kind = config.get('type')
    if kind is not None:
        # A name may stand in several registries, e.g. a corruption and a transform; one of them has to fit.
        classes = (
            [kind]
            if not isinstance(kind, str)
            else [cls for cls in (r.get(kind) for r in KINDS) if cls]
        )
        if not classes:
            near = difflib.get_close_matches(
                kind, [name for registry in KINDS for name in registry.names()], n=3
            )
            raise InputError(
                f'{where}: nothing is called {kind!r}{"; near: " + ", ".join(near) if near else ""}'
            )
        wrong = [_unknown(cls, config) for cls in dict.fromkeys(classes)]
        if all(wrong):
            takes = ', '.join(inspect.signature(classes[0]).parameters)
            raise InputError(
                f'{where}: {classes[0].__name__} has no argument {", ".join(wrong[0])}; it takes {takes}'
            )
    for item in config.values():
        _check(item, where)


def _unknown(cls: type, config: dict) -> list[str]:
    takes = inspect.signature(cls).parameters
    if any(p.kind is p.VAR_KEYWORD for p in takes.values()):
        return []
    return [key for key in config if key not in takes and key != 'type']
