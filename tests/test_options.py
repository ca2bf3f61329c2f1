"""Options that are checked against Literal annotations."""

from __future__ import annotations

import dataclasses
import sys
import types
from typing import TYPE_CHECKING, Literal, Optional, Union

import pytest

from hrtk.errors import InputError
from hrtk.options import check_literals
from hrtk.registry import DETECTORS, Registry

if TYPE_CHECKING:
    from nowhere import Unknown


class Plain:
    def __init__(
        self,
        mode: Literal['fast', 'exact'],
        level: Optional[Literal[1, 2]] = None,
        short: Literal['a'] | None = None,
        size: Union[Literal['auto'], int] = 'auto',
        name: str = '',
    ):
        self.mode = mode


@dataclasses.dataclass
class Fields:
    mode: Literal['fast', 'exact'] = 'fast'


class Unresolvable:
    def __init__(self, mode: Literal['fast'], other: Unknown = None):
        self.mode = mode


def test_literal():
    check_literals(Plain, dict(mode='exact'), 'thing Plain')
    with pytest.raises(InputError) as error:
        check_literals(Plain, dict(mode='slow'), 'thing Plain')
    assert str(error.value) == "thing Plain: mode is one of 'fast', 'exact', not 'slow'"


@pytest.mark.parametrize('option, value', [('level', 3), ('short', 'b')])
def test_optional_literal(option, value):
    check_literals(Plain, {option: None}, 'thing Plain')
    with pytest.raises(
        InputError, match=f'thing Plain: {option} is one of .*, None, not {value!r}'
    ):
        check_literals(Plain, {option: value}, 'thing Plain')


def test_unhashable_value():
    with pytest.raises(InputError, match=r"mode is one of 'fast', 'exact', not \['fast'\]"):
        check_literals(Plain, dict(mode=['fast']), 'thing Plain')


def test_other_annotations_and_unknown_options_are_not_checked():
    check_literals(Plain, dict(size=3, name=4, misspelt=5), 'thing Plain')


def test_dataclass_fields():
    with pytest.raises(InputError, match="mode is one of 'fast', 'exact', not 3"):
        check_literals(Fields, dict(mode=3), 'thing Fields')


def test_fields_inherited_from_a_dataclass_of_another_module(monkeypatch):
    source = '\n'.join(
        (
            'from __future__ import annotations',
            'import dataclasses',
            'from typing import Literal as OneOf',
            '@dataclasses.dataclass',
            'class Base:',
            "    side: OneOf['left', 'right'] = 'left'",
        )
    )
    module = types.ModuleType('module_of_the_base')
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(source, module.__dict__)

    @dataclasses.dataclass
    class Derived(module.Base):
        mode: Literal['fast', 'exact'] = 'fast'

    check_literals(Derived, dict(side='right', mode='exact'), 'thing Derived')
    with pytest.raises(InputError, match="side is one of 'left', 'right', not 'top'"):
        check_literals(Derived, dict(side='top'), 'thing Derived')


def test_unresolvable_annotations_are_ignored():
    check_literals(Unresolvable, dict(mode='slow'), 'thing Unresolvable')


def test_registries_check_what_they_build():
    things = Registry('thing')
    things.register_module(module=Plain)
    things.register_module(module=Fields)
    assert things.build(dict(type='Plain', mode='exact')).mode == 'exact'
    assert things.build(dict(type=Fields), default_args=dict(mode='exact')).mode == 'exact'
    for name in ('Plain', 'Fields'):
        with pytest.raises(
            InputError, match=f"thing {name}: mode is one of 'fast', 'exact', not 'slow'"
        ):
            things.build(dict(type=name, mode='slow'))


def test_detectors_have_a_registry():
    assert DETECTORS.name == 'detector'
