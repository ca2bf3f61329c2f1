"""Classes that configs can name: every registered class, its summary, and the package that provides it."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Optional

from hrtk import registry as registries
from hrtk.errors import InputError, suggestion
from hrtk.registry import Registry

HRTK = 'hrtk'
CUSTOM_IMPORT = 'custom import'


@dataclasses.dataclass(frozen=True)
class Registered:
    """One registered class.

    Attributes:
        registry: name of its registry, e.g. ``'ADAPTERS'``.
        name: its ``type`` in configs.
        summary: first sentence of its docstring.
        origin: ``'hrtk'``, the distribution of an installed plugin, or ``'custom import'``: a module that a config or
            the caller imported.
        path: module and class.
    """

    registry: str
    name: str
    summary: str
    origin: str
    path: str


def list_registered(names: Sequence[str] = (), plugin: Optional[str] = None) -> list[Registered]:
    """Lists the classes registered with hrtk, sorted by registry and name; mmengine's own classes are left out.

    Args:
        names: of registries, in any case, e.g. ``('adapters',)``; default all.
        plugin: only classes of this distribution, e.g. ``'hrtk-example'``.

    Raises:
        InputError: there is no such registry, or no such plugin is installed (similar names are listed).
    """
    known = {name: value for name, value in vars(registries).items() if isinstance(value, Registry)}
    selected = [name.upper() for name in names] or list(known)
    for name in selected:
        if name not in known:
            raise InputError(f'there is no registry {name!r}. {suggestion(name, known)}')
    distributions = _distributions()
    if plugin is not None:
        installed = sorted(set(distributions.values()))
        if plugin not in installed:
            raise InputError(f'there is no plugin {plugin!r}. {suggestion(plugin, installed)}')
    classes = []
    for registry in selected:
        known[registry].import_from_location()
        for name, cls in sorted(known[registry].module_dict.items()):
            item = _describe(registry, name, cls, distributions)
            if plugin is None or item.origin == plugin:
                classes.append(item)
    return classes


def _distributions() -> dict[str, str]:
    """Top-level package -> distribution, of hrtk and every installed plugin."""
    distributions = {HRTK: HRTK}
    for entry in entry_points(group='hrtk.plugins'):
        package = re.split('[.:]', entry.value)[0]
        distributions[package] = entry.dist.name if entry.dist else entry.name
    return distributions


def _describe(registry: str, name: str, cls: type, distributions: dict[str, str]) -> Registered:
    package = cls.__module__.partition('.')[0]
    origin = distributions.get(package, CUSTOM_IMPORT)
    docstring = inspect.getdoc(cls) or ''
    paragraph = ' '.join(docstring.partition('\n\n')[0].split())
    sentence = re.split(r'\.\s+(?=[A-Z])', paragraph)[0].rstrip('.')
    return Registered(registry, name, sentence, origin, f'{cls.__module__}.{cls.__qualname__}')
