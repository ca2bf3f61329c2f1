"""What configs may name: every registered class, what it is, and who brings it."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import re
from importlib.metadata import entry_points
from typing import Optional
from typing import Sequence as SequenceOf

from hrtk import registry as registries
from hrtk.errors import InputError
from hrtk.registry import Registry

OURS, CUSTOM = 'hrtk', 'custom import'


@dataclasses.dataclass(frozen=True)
class Registered:
    """One name.

    Attributes:
        registry: where, e.g. ``'ADAPTERS'``.
        name: what configs call it.
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


def list_registered(names: SequenceOf[str] = (), plugin: Optional[str] = None) -> list[Registered]:
    """Everything registered with hrtk, by registry and name; what mmengine itself brings is left out.

    Args:
        names: of registries, in any case, e.g. ``('adapters',)``; default all.
        plugin: only what this distribution brings, e.g. ``'hrtk-example'``.

    Raises:
        InputError: there is no such registry, or no such plugin is installed (near names are listed).
    """
    known = {name: value for name, value in vars(registries).items() if isinstance(value, Registry)}
    for name in names:
        _require('registry', name.upper(), list(known))
    plugins = {
        entry.value.partition('.')[0].partition(':')[0]: entry.dist.name
        if entry.dist
        else entry.name
        for entry in entry_points(group='hrtk.plugins')
    }
    if plugin is not None:
        _require('plugin', plugin, sorted({OURS, *plugins.values()}))
    chosen = [name.upper() for name in names] or list(known)
    found = [
        _describe(registry, name, cls, plugins)
        for registry in chosen
        for name, cls in _members(known[registry])
    ]
    return [item for item in found if plugin in (None, item.origin)]


def _members(registry: Registry) -> list[tuple[str, type]]:
    registry.import_from_location()
    return sorted(registry.module_dict.items())


def _describe(registry: str, name: str, cls: type, plugins: dict[str, str]) -> Registered:
    package = cls.__module__.partition('.')[0]
    text = ' '.join((inspect.getdoc(cls) or '').partition('\n\n')[0].split())
    sentence = re.split(r'\.\s+(?=[A-Z])', text)[0].rstrip('.')
    origin = OURS if package == OURS else plugins.get(package, CUSTOM)
    return Registered(registry, name, sentence, origin, f'{cls.__module__}.{cls.__qualname__}')


def _require(what: str, name: str, known: list[str]) -> None:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        raise InputError(
            f'there is no {what} {name!r}; {"did you mean" if near else "there are"} '
            f'{", ".join(near or known)}'
        )
