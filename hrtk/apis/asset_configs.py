"""The files below ``data`` that the bundled configs and tables name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from hrtk.apis.locations import bundled_configs


def files_of_configs(root: str) -> dict[str, list[str]]:
    """Every path below a folder that a bundled config or table names.

    The files are read, not executed; a name that a config composes at run time is not found.

    Args:
        root: name of the folder, ``'data'``.

    Returns:
        ``{path below root: names of the configs that contain it}``, both sorted.
    """
    folder = bundled_configs()
    found: dict[str, set[str]] = {}
    for file in sorted(folder.glob('**/*')):
        if file.suffix not in ('.py', '.yaml'):
            continue
        for text in _texts(file):
            if text.startswith(f'{root}/'):
                name = file.relative_to(folder).as_posix()
                found.setdefault(text.removeprefix(f'{root}/'), set()).add(name)
    return {path: sorted(found[path]) for path in sorted(found)}


def _texts(file: Path) -> Iterator[str]:
    """All strings of a config or table, comments excepted."""
    content = file.read_text(encoding='utf-8')
    if file.suffix == '.yaml':
        yield from strings_in(yaml.safe_load(content))
        return
    for node in ast.walk(ast.parse(content)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def strings_in(value: Any) -> Iterator[str]:
    """All strings and paths in nested dicts, lists and tuples, as text."""
    if isinstance(value, (str, Path)):
        yield str(value)
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from strings_in(item)
