"""JSON and YAML files as plain dicts, lists, strings and numbers: nothing in them is executed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Optional

import yaml

from hrtk.errors import InputError
from hrtk.reading.regular import CHECK, LARGEST_TEXT, read_bytes, read_text

LARGEST_JSON = 1 << 30  # bytes; COCO's largest annotations have 0.5 GB
DIGITS = 19  # of an integer: those of 64 bits; more overflow in numpy and torch
DEEPEST = 60  # nested lists and objects; hrtk's own files need 10
MOST_NODES = 1_000_000  # values of a YAML file; aliases can stand for any number
KINDS: dict[type, str] = {dict: 'an object {...}', list: 'a list [...]'}


def read_json(path: str | Path, remedy: str = CHECK, kind: Optional[type] = None) -> Any:
    """Reads a JSON file.

    Args:
        path: the file.
        remedy: end of messages, how to get such a file.
        kind: ``dict`` or ``list``, what the file must hold; None for anything.

    Raises:
        InputError: the file is missing, no regular file, no JSON, truncated, of another kind, nested more than 60
            times, or holds an integer of more than 19 digits.
    """
    content = parse_json(read_bytes(path, remedy, LARGEST_JSON), path, remedy)
    if kind is not None and not isinstance(content, kind):
        raise InputError(f'{path}: holds {_kind_of(content)}, expected {KINDS[kind]}; {remedy}')
    return content


def parse_json(data: bytes | str, path: str | Path, remedy: str = CHECK) -> Any:
    """Parses JSON, see :func:`read_json`; messages name ``path``."""
    try:
        content = json.loads(data, parse_int=_integer)
    except (ValueError, RecursionError, MemoryError) as error:  # bad unicode is a ValueError, too
        reason = 'nested too deeply' if isinstance(error, RecursionError) else error
        raise InputError(f'{path}: not json, or truncated ({reason}); {remedy}') from error
    if _depth_exceeds(content):
        raise InputError(f'{path}: nested more than {DEEPEST} times; {remedy}')
    return content


def read_yaml(path: str | Path, remedy: str = CHECK) -> Any:
    """Reads a YAML file with plain values only: a tag such as ``!!python/object`` is an error.

    Raises:
        InputError: the file is missing, no regular file, no UTF-8, no plain YAML, or too deep or too large once its
            aliases are written out.
    """
    text = read_text(path, remedy, LARGEST_TEXT)
    try:
        content = yaml.safe_load(text)
        values = _count(content, 0)
    except (yaml.YAMLError, RecursionError, ValueError, MemoryError) as error:
        reason = 'nested too deeply' if isinstance(error, RecursionError) else error
        raise InputError(f'{path}: cannot be read as yaml: {reason}') from error
    if values > MOST_NODES:
        raise InputError(
            f'{path}: stands for more than {MOST_NODES} values, its aliases written out; {remedy}'
        )
    return content


def _integer(text: str) -> int:
    if len(text.lstrip('-')) > DIGITS:
        raise ValueError(f'an integer of {len(text)} digits, {text[:12]}...')
    return int(text)


def _kind_of(content: Any) -> str:
    for kind, text in KINDS.items():
        if isinstance(content, kind):
            return text
    return f'the value {str(content)[:40]!r}'


def _depth_exceeds(content: Any) -> bool:
    """Whether lists and dicts are nested more than :data:`DEEPEST` times; level by level, without recursion."""
    level = [content]
    for _ in range(DEEPEST):
        deeper: list[Any] = []
        for value in level:
            members = _members(value)
            deeper.extend(member for member in members if isinstance(member, (dict, list)))
        if not deeper:
            return False
        level = deeper
    return True


def _members(value: Any) -> Any:
    if isinstance(value, dict):
        return value.values()
    if isinstance(value, list):
        return value
    return ()


def _count(value: Any, seen: int, depth: int = 0) -> int:
    """Number of values, aliases written out; stops above :data:`MOST_NODES`.

    Raises:
        RecursionError: the value is nested more than :data:`DEEPEST` times, or contains itself.
    """
    if depth > DEEPEST:
        raise RecursionError
    seen += 1
    for member in _members(value):
        if seen > MOST_NODES:
            break
        seen = _count(member, seen, depth + 1)
    return seen
