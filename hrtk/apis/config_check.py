"""Checks of an adapt config before anything runs: misspelt names, and missing files."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any, Optional

from mmengine.config import Config

from hrtk import registry as registries
from hrtk.apis.assets import missing_files
from hrtk.engine.store import canonical
from hrtk.errors import InputError, suggestion
from hrtk.registry import Registry

# The parts of an adapt config, with the registry of each.
PARTS = {
    'dataset': registries.DATASETS,
    'estimator': registries.ESTIMATORS,
    'adapter': registries.ADAPTERS,
    'evaluator': registries.METRICS,
}
# All registries whose classes can stand in these parts, at any depth.
REGISTRIES = (
    *PARTS.values(),
    registries.BACKBONES,
    registries.HEADS,
    registries.BODY_MODELS,
    registries.LOSSES,
    registries.TEACHERS,
    registries.TEMPORAL,
    registries.SEGMENTERS,
    registries.LIFTERS,
    registries.CORRUPTIONS,
    registries.TRANSFORMS,
    registries.MASK_SOURCES,
    registries.MODELS,
)


def obstacles_of(cfg: Config, cache: Optional[dict[str, Optional[str]]] = None) -> list[str]:
    """The reasons why the parts of an adapt config cannot be built on this machine; empty if they can.

    These are all files below the data folder that are missing; if none is missing, the errors that the parts raise
    when they are built.

    Args:
        cfg: the config.
        cache: filled with the results, for further configs with the same parts.
    """
    missing = missing_files({key: cfg[key] for key in PARTS})
    if missing:
        return missing
    if cache is None:
        cache = {}
    reasons = []
    for key, registry in PARTS.items():
        for part in configs_of(cfg, key):
            name = canonical([key, part])
            if name not in cache:
                cache[name] = _build_error(registry, part)
            reasons.append(cache[name])
    return [reason for reason in dict.fromkeys(reasons) if reason is not None]


def configs_of(cfg: Config, key: str) -> list[dict]:
    """The configs of one part of an adapt config; there can be several evaluators."""
    part = cfg[key]
    return list(part) if isinstance(part, (list, tuple)) else [part]


def _build_error(registry: Registry, part: dict) -> Optional[str]:
    try:
        registry.build(part)
    except InputError as error:
        return str(error)
    return None


def check_arguments(parts: Iterable[Any], source: str) -> None:
    """Checks every ``type`` of parts of a config, and the names of its arguments, without building anything.

    This distinguishes a misspelt option from a missing file.

    Args:
        parts: configs of objects, e.g. of an estimator.
        source: file, and row of a table, for messages.

    Raises:
        InputError: no registry contains a name, or a class does not take an argument.
    """
    for part in parts:
        _check(part, source)


def _check(config: Any, source: str) -> None:
    if isinstance(config, (list, tuple)):
        for item in config:
            _check(item, source)
    if not isinstance(config, dict):
        return
    if config.get('type') is not None:
        _check_type(config, source)
    for item in config.values():
        _check(item, source)


def _check_type(config: dict, source: str) -> None:
    kind = config['type']
    # A name can stand in several registries, e.g. a corruption and a transform; one of the classes has to fit.
    classes = _classes_of(kind) if isinstance(kind, str) else [kind]
    if not all(map(callable, classes)):
        raise InputError(f'{source}: type is the name of a class, not {kind!r}')
    if not classes:
        names: set[str] = set()
        for registry in REGISTRIES:
            names.update(registry.names())
        hint = suggestion(kind, sorted(names), count=3)
        raise InputError(f'{source}: no class is registered as {kind!r}. {hint}')
    unknown = [_unknown_arguments(cls, config) for cls in classes]
    if all(unknown):
        arguments = ', '.join(inspect.signature(classes[0]).parameters)
        raise InputError(
            f'{source}: {classes[0].__name__} has no argument {", ".join(unknown[0])}; '
            f'its arguments are {arguments}'
        )


def _classes_of(name: str) -> list[type]:
    """The classes that the registries contain under a name, each once."""
    classes = [registry.get(name) for registry in REGISTRIES]
    return [cls for cls in dict.fromkeys(classes) if cls is not None]


def _unknown_arguments(cls: type, config: dict) -> list[str]:
    parameters = inspect.signature(cls).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return []
    return [key for key in config if key not in parameters and key != 'type']
