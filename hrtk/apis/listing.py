"""Classes that configs can name: every registered class, its summary, and the package that provides it.

The classes of hrtk are read from its source, because importing all of them takes seconds. Plugins are imported, because
a plugin may register its classes in any way.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from collections.abc import Iterator, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Optional

from hrtk import registry as registries
from hrtk.errors import InputError, suggestion
from hrtk.registry import Registry

HRTK = 'hrtk'
CUSTOM_IMPORT = 'custom import'
PACKAGE = Path(__file__).parents[1]


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
    registries.load_plugins()
    classes = []
    for item in (*_declared(), *_registered(known, distributions)):
        if item.registry in selected and plugin in (None, item.origin):
            classes.append(item)
    return sorted(classes, key=lambda item: (selected.index(item.registry), item.name))


def _declared() -> Iterator[Registered]:
    """The classes of hrtk: those that its source decorates with ``@REGISTRY.register_module()``."""
    for file in sorted(PACKAGE.rglob('*.py')):
        text = file.read_text(encoding='utf-8')
        if '.register_module()' not in text:
            continue
        module = '.'.join([HRTK, *file.relative_to(PACKAGE).with_suffix('').parts])
        for node in ast.parse(text).body:
            if not isinstance(node, ast.ClassDef):
                continue
            summary = _first_sentence(ast.get_docstring(node))
            for decorator in map(ast.unparse, node.decorator_list):
                registry, _, call = decorator.partition('.')
                if call == 'register_module()':
                    path = f'{module}.{node.name}'
                    yield Registered(registry, node.name, summary, HRTK, path)


def _registered(known: dict[str, Registry], distributions: dict[str, str]) -> Iterator[Registered]:
    """The classes that something else than hrtk has registered: plugins, and modules that the caller imported."""
    for registry, value in known.items():
        for name, cls in value.module_dict.items():
            package = cls.__module__.partition('.')[0]
            if package != HRTK:
                origin = distributions.get(package, CUSTOM_IMPORT)
                summary = _first_sentence(inspect.getdoc(cls))
                path = f'{cls.__module__}.{cls.__qualname__}'
                yield Registered(registry, name, summary, origin, path)


def _distributions() -> dict[str, str]:
    """Top-level package -> distribution, of hrtk and every installed plugin."""
    distributions = {HRTK: HRTK}
    for entry in entry_points(group='hrtk.plugins'):
        package = re.split('[.:]', entry.value)[0]
        distributions[package] = entry.dist.name if entry.dist else entry.name
    return distributions


def _first_sentence(docstring: Optional[str]) -> str:
    """The first sentence of a docstring, without its full stop."""
    paragraph = ' '.join((docstring or '').partition('\n\n')[0].split())
    return re.split(r'\.\s+(?=[A-Z])', paragraph)[0].rstrip('.')
