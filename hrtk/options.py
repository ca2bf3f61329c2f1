"""Checks the options of a configured class against the class's type annotations, and numbers against their ranges."""

from __future__ import annotations

import collections.abc
import dataclasses
import numbers
import pathlib
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, Optional, Union

from hrtk.errors import OptionError

# The least value of numeric options, by name, for all classes: one name means the same everywhere.
LEAST: dict[str, float] = {
    **dict.fromkeys(
        (
            'batch',
            'batch_size',
            'check_every',
            'clip',
            'depth',
            'frames',
            'hidden',
            'hop',
            'interval',
            'layers',
            'length',
            'max_people',
            'min_length',
            'passes',
            'pool',
            'resolution',
            'save_every',
            'segment',
            'sequences',
            'topk',
            'temporal_every',
            'tracks',
            'width',
            'window',
        ),
        1,
    ),
    'size': 8,
    **dict.fromkeys(
        (
            'augment',
            'blocks',
            'clusters',
            'epochs',
            'every',
            'first_frame',
            'fitting_rate',
            'fitting_steps',
            'inner_lr',
            'iterations',
            'leave_out',
            'lr',
            'max_extra',
            'max_gap',
            'max_norm',
            'patches',
            'resident',
            'shape_lr',
            'shots',
            'sigma',
            'steps',
        ),
        0,
    ),
}
# The greatest value, likewise: what no camera, clip or network has.
MOST: dict[str, float] = {
    'blocks': 1000,
    'depth': 1000,
    'fps': 1e5,
    'frames': 1e9,
    'iterations': 1e5,
    'layers': 1000,
    'max_gap': 1e9,
    'min_length': 1e9,
    'resolution': 8192,
}
WIDEST = 2**63  # whole numbers have 64 bits in torch and numpy
PLAIN = (str, bytes, bool, int, float, list, tuple, set)
WORDS = {int: 'a whole number', float: 'a number', bool: 'True or False', str: 'a text'}


def check_options(cls: type, options: Mapping[str, Any], label: str) -> None:
    """Checks the options of a class: :func:`check_literals`, the types of plain values, and ranges of numbers.

    Checked are annotations of ``int``, ``float``, ``bool``, ``str``, ``Path``, tuples, lists and mappings, and unions
    of them. A list may stand for a tuple, as in JSON, and an object that is built already for a mapping. No number may
    be NaN, whole numbers have 64 bits, and those of :data:`LEAST` and :data:`MOST` have a least and a greatest value.

    Args:
        cls: the class that receives the options, a dataclass or a class with an ``__init__``.
        options: name to value.
        label: names the class in the message, e.g. ``'adapter Bilevel'``.

    Raises:
        OptionError: a value has another type than its annotation, or lies outside its range.
    """
    check_literals(cls, options, label)
    hints = _type_hints(cls)
    for option, value in options.items():
        if option not in hints:
            continue
        if not _fits(value, hints[option]):
            raise OptionError(f'{label}: {option} is {_described(hints[option])}, not {value!r}')
        _check_members(f'{label}: {option}', value, hints[option])
        if isinstance(value, numbers.Real) and not isinstance(value, bool):
            number: Any = value  # typeshed gives numbers.Real no order
            least = LEAST.get(option)
            most = MOST.get(option)
            too_small = least is not None and number < least
            too_large = most is not None and number > most
            is_nan = number != number  # a whole number may be too large for math.isnan
            if is_nan or too_small or too_large:
                raise OptionError(f'{label}: {option} is {_range(least, most)}, not {value!r}')
            if isinstance(number, int) and abs(number) >= WIDEST:
                raise OptionError(f'{label}: {option} is a whole number of 64 bits, not {value!r}')


def _check_members(label: str, value: Any, hint: Any) -> None:
    """Raises OptionError for a value of a mapping that does not have the annotated type, or that is no number."""
    kinds = [hint]
    if typing.get_origin(hint) in (Union, types.UnionType):
        kinds = list(typing.get_args(hint))
    wanted = [typing.get_args(kind)[1] for kind in kinds if _is_mapping(kind)]
    if not isinstance(value, Mapping) or len(wanted) != 1:
        return
    for name, member in value.items():
        is_nan = isinstance(member, numbers.Real) and member != member
        if is_nan or not _fits(member, wanted[0]):
            raise OptionError(f'{label}.{name} is {_described(wanted[0])}, not {member!r}')


def _is_mapping(hint: Any) -> bool:
    return typing.get_origin(hint) in (dict, Mapping)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value has the type of an annotation; True for an annotation that is not checked."""
    origin = typing.get_origin(hint)
    members = typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, member) for member in members)
    if origin is Literal:
        return value in members
    if hint is None or hint is type(None):
        return value is None
    if hint is bool:
        return isinstance(value, bool) or type(value).__name__ in ('bool', 'bool_')
    if hint in (int, float):
        kind = numbers.Integral if hint is int else numbers.Real
        return isinstance(value, kind) and not isinstance(value, bool)
    if hint in (str, pathlib.Path):
        return isinstance(value, (str, pathlib.Path))
    if (origin or hint) in (tuple, list, collections.abc.Sequence):
        return _members_fit(value, origin, members)
    if (origin or hint) in (dict, Mapping):
        return not isinstance(value, PLAIN) and value is not None
    return True


def _members_fit(value: Any, origin: Any, members: tuple[Any, ...]) -> bool:
    """Whether a list or tuple, or an array that stands for one, has members of the annotated types."""
    if isinstance(value, (str, bytes, bool, int, float, Mapping)) or value is None:
        return False
    if not isinstance(value, (list, tuple)) or not members:
        return True
    if origin is tuple and Ellipsis not in members:
        return len(value) == len(members) and all(map(_fits, value, members))
    return all(_fits(member, members[0]) for member in value)


def _range(least: Optional[float], most: Optional[float]) -> str:
    """A range in words."""
    if most is not None:
        if least is None:
            return f'a number up to {most:g}'
        return f'a number from {least:g} to {most:g}'
    if least is None:
        return 'a number'
    if least == 1:
        return 'a positive number'
    return f'at least {least:g}'


def _described(hint: Any) -> str:
    """An annotation in words."""
    origin = typing.get_origin(hint)
    members = typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return ' or '.join(_described(member) for member in members)
    if hint is None or hint is type(None):
        return 'None'
    if origin is Literal:
        return ' or '.join(map(repr, members))
    if (origin or hint) in (dict, Mapping):
        return 'a dict'
    if origin is tuple and Ellipsis not in members:
        return f'{len(members)} values ({", ".join(map(_described, members))})'
    if (origin or hint) in (tuple, list, collections.abc.Sequence):
        return 'a list'
    return WORDS.get(hint, getattr(hint, '__name__', str(hint)))


def check_literals(cls: type, options: Mapping[str, Any], label: str) -> None:
    """Checks every option that is annotated ``Literal[...]`` or ``Optional[Literal[...]]``.

    Options with another annotation, or with none, are not checked. A class whose annotations cannot be resolved
    (e.g. names that are imported for type checkers only) is not checked either.

    Args:
        cls: the class that receives the options, a dataclass or a class with an ``__init__``.
        options: name to value.
        label: names the class in the message, e.g. ``'adapter Bilevel'``.

    Raises:
        OptionError: a value is none of those that its annotation allows.
    """
    hints = _type_hints(cls)
    for option, value in options.items():
        allowed = _allowed_values(hints.get(option))
        if allowed is None or value in allowed:
            continue
        listing = ', '.join(map(repr, allowed))
        raise OptionError(f'{label}: {option} is one of {listing}, not {value!r}')


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
