"""Options that are checked against Literal annotations."""

from __future__ import annotations

import dataclasses
import sys
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Optional, Union

import numpy as np
import pytest

from hrtk.errors import InputError
from hrtk.options import check_literals, check_options
from hrtk.registry import ADAPTERS, DETECTORS, Registry

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
    check_options(Plain, dict(misspelt=5), 'thing Plain')


class Typed:
    def __init__(
        self,
        steps: int = 1,
        lr: float = 1e-3,
        flag: bool = False,
        name: str = '',
        file: str | Path | None = None,
        betas: tuple[float, float] = (0.5, 0.9),
        terms: tuple[str, ...] = (),
        body: Optional[dict] = None,
        weights: Optional[Mapping[str, float]] = None,
        size: Union[Literal['auto'], int] = 'auto',
        resolution: int = 224,
        layers: int = 2,
        frames: int = 8,
        hook: Optional[Callable] = None,
    ):
        pass


@pytest.mark.parametrize(
    'options',
    [
        dict(steps=0, lr=1, flag=True, name='x', file=Path('x'), betas=[0, 1], terms=['a']),
        dict(lr=0.0, file='x', body={}, weights=None, size='auto', resolution=np.int64(32)),
        dict(lr=np.float32(1), size=9, body=object(), hook=print, terms=()),
        dict(lr=float('inf'), flag=np.bool_(True)),
    ],
)
def test_allowed_values(options):
    check_options(Typed, options, 'thing Typed')


@pytest.mark.parametrize(
    ('option', 'value', 'words'),
    [
        ('steps', -1, 'at least 0'),
        ('steps', 1.5, 'a whole number'),
        ('steps', True, 'a whole number'),
        ('steps', '2', 'a whole number'),
        ('steps', None, 'a whole number'),
        ('lr', float('nan'), 'at least 0'),
        ('lr', -1.0, 'at least 0'),
        ('lr', 'fast', 'a number'),
        ('lr', [1e-3], 'a number'),
        ('flag', 1, 'True or False'),
        ('flag', 'no', 'True or False'),
        ('name', 3, 'a text'),
        ('file', 3, 'a text or Path or None'),
        ('betas', 0.5, '2 values'),
        ('betas', [0.5], '2 values'),
        ('betas', [0.5, 'x'], '2 values'),
        ('terms', 'frame', 'a list'),
        ('terms', [1], 'a list'),
        ('body', 'BodyModel', 'a dict or None'),
        ('weights', 3, 'a dict or None'),
        ('size', 1, 'at least 8'),
        ('size', 'large', "'auto' or a whole number"),
        ('resolution', 0, 'a number from 1 to 8192'),
        ('resolution', 10**6, 'a number from 1 to 8192'),
        ('layers', 2**40, 'a number from 1 to 1000'),
        ('frames', 2**62, 'a number from 1 to 1e+09'),
        ('steps', 2**63, 'a whole number of 64 bits'),
    ],
)
def test_wrong_types_and_ranges(option, value, words):
    with pytest.raises(InputError) as error:
        check_options(Typed, {option: value}, 'thing Typed')
    assert str(error.value) == f'thing Typed: {option} is {_words(option, words)}, not {value!r}'


def _words(option, words):
    return {'betas': '2 values (a number, a number)'}.get(option, words)


@pytest.mark.parametrize(
    'config',
    [
        dict(type='Bilevel', steps=-1),
        dict(type='Bilevel', lr=float('nan')),
        dict(type='Bilevel', adam_betas=0.5),
        dict(type='Bilevel', upper='frame'),
        dict(type='DynamicBilevel', max_extra='many'),
        dict(type='DynamicBilevel', exemplars=dict(folder='x', batch=0)),
        dict(type='TrackFit', segment=0),
        dict(type='TrackFit', steps=-1),
        dict(type='TrackFit', batch=0),
        dict(type='TopologyAdapter', tracks=0),
        dict(type='TopologyAdapter', fitting_steps=-1),
        dict(type='PreAdapt', sequences=0),
        dict(type='Bilevel', temporal_every=0),
        dict(type='Source', batch_size=0),
        dict(type='Source', batch_size='all'),
        dict(type='PreAdapt', epochs=2.5),
    ],
)
def test_adapters_refuse_them(config):
    with pytest.raises(InputError, match='(is|are) '):
        ADAPTERS.build(config)


@pytest.mark.parametrize('option', ['batch', 'pool'])
@pytest.mark.parametrize(
    'adapter', [dict(type='Bilevel'), dict(type='TrackFit', weights=dict(source=1.0))]
)
def test_a_source_without_crops_is_refused(adapter, option):
    source = {'dataset': dict(type='OpenViews'), option: 0}
    with pytest.raises(InputError, match=f'source: {option} is a positive number, not 0'):
        ADAPTERS.build(dict(adapter, source=source))


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


@pytest.mark.parametrize('value', [1e30, float('inf'), float('nan'), 10**400])
def test_greatest_values(value):
    class Clip:
        def __init__(self, fps: float = 25.0) -> None:
            pass

    with pytest.raises(InputError, match='clip: fps is a number up to 100000, not'):
        check_options(Clip, {'fps': value}, 'clip')
    check_options(Clip, {'fps': 240}, 'clip')


@pytest.mark.parametrize('option, value, words', [('max_gap', -1, '0'), ('min_length', 0, '1')])
def test_both_ends_of_a_range_are_told(option, value, words):
    class Clip:
        def __init__(self, max_gap: int = 10, min_length: int = 5) -> None:
            pass

    expected = rf'clip: {option} is a number from {words} to 1e\+09, not {value}'
    with pytest.raises(InputError, match=expected):
        check_options(Clip, {option: value}, 'clip')


@pytest.mark.parametrize('value', ['/dev/null', None, True, float('nan'), [1.0]])
def test_members_of_a_mapping(value):
    config = dict(type='Bilevel', weights={'shape_prior': 1, 'keypoints2d': value})
    with pytest.raises(InputError) as error:
        ADAPTERS.build(config)
    assert str(error.value) == f'adapter Bilevel: weights.keypoints2d is a number, not {value!r}'
