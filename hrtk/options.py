"""Checks the options of a configured class against the class's type annotations."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, Optional, Union

from hrtk.errors import InputError


def check_literals(cls: type, options: Mapping[str, Any], label: str) -> None:
    """Checks every option that is annotated ``Literal[...]`` or ``Optional[Literal[...]]``.

    Options with another annotation, or with none, are not checked. A class whose annotations cannot be resolved
    (e.g. names that are imported for type checkers only) is not checked either.

    Args:
        cls: the class that receives the options, a dataclass or a class with an ``__init__``.
        options: name to value.
        label: names the class in the message, e.g. ``'adapter Bilevel'``.

    Raises:
        InputError: a value is none of those that its annotation allows.
    """
    hints = _type_hints(cls)
    for option, value in options.items():
        allowed = _allowed_values(hints.get(option))
        if allowed is None or value in allowed:
            continue
        listing = ', '.join(map(repr, allowed))
        raise InputError(f'{label}: {option} is one of {listing}, not {value!r}')


def _type_hints(cls: type) -> dict[str, Any]:
    # The generated __init__ of a dataclass holds the annotations of its bases as text, which resolves only in the
    # modules of the bases; the hints of the class itself are resolved there.
    annotated: Any = cls.__init__  # type: ignore[misc]  # whichever __init__ this class has
    if dataclasses.is_dataclass(cls):
        annotated = cls
    try:
        return typing.get_type_hints(annotated)
    except Exception:  # evaluating an annotation runs arbitrary code of the class's module
        return {}


def _allowed_values(hint: Any) -> Optional[tuple[Any, ...]]:
    """The values of ``Literal[...]``, with None for ``Optional[Literal[...]]``; None for any other hint."""
    if typing.get_origin(hint) is Literal:
        return typing.get_args(hint)
    if typing.get_origin(hint) not in (Union, types.UnionType):
        return None
    literals = [member for member in typing.get_args(hint) if member is not type(None)]
    if len(literals) == 1 and typing.get_origin(literals[0]) is Literal:
        return (*typing.get_args(literals[0]), None)
    return None
