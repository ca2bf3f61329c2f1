"""What is registered, and who brought it."""

import json
import runpy
import sys
from pathlib import Path

import pytest

from hrtk.apis import list_registered, listing
from hrtk.errors import InputError
from hrtk.registry import ADAPTERS, BACKBONES

TOOL = Path(__file__).parents[2] / 'tools/list.py'


@pytest.fixture
def custom():
    """A class that somebody's script registers."""

    @BACKBONES.register_module(name='OfAScript')
    class OfAScript:
        """Looks twice, e.g. once more. Then sleeps."""

    OfAScript.__module__ = 'somebodys.script'
    yield OfAScript
    BACKBONES.module_dict.pop('OfAScript')


def test_everything_of_hrtk_is_listed_with_a_sentence():
    found = list_registered(plugin='hrtk')
    assert {item.name for item in found if item.registry == 'ADAPTERS'} >= {
        'Source',
        'Bilevel',
        'PreAdapt',
    }
    assert not [item for item in found if len(item.summary) < 5 or item.summary.endswith('.')]
    assert {'ProgressHook', 'AdaptLoop', 'OpenStream'} <= {item.name for item in found}
    assert 'CheckpointHook' not in {item.name for item in found}  # mmengine's own


def test_origins(custom, monkeypatch):
    class Distribution:
        name = 'their-plugin'

    class Entry:
        value, dist = 'somebodys.plugin:load', Distribution

    (item,) = (item for item in list_registered(['backbones']) if item.name == 'OfAScript')
    assert item.origin == 'custom import' and item.summary == 'Looks twice, e.g. once more'
    monkeypatch.setattr(listing, 'entry_points', lambda group: [Entry])
    (item,) = list_registered(plugin='their-plugin')
    assert (item.origin, item.path.split('.')[0]) == ('their-plugin', 'somebodys')


def test_unknown_registry_and_plugin():
    with pytest.raises(InputError, match="no registry 'ADAPTRS'. Did you mean 'ADAPTERS'"):
        list_registered(['adaptrs'])
    with pytest.raises(InputError, match="no plugin 'nobodys'"):
        list_registered(plugin='nobodys')


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, 'argv', [str(TOOL), *arguments])
    with pytest.raises(SystemExit) as exit:
        runpy.run_path(str(TOOL), run_name='__main__')
    return exit.value.code, capsys.readouterr()


def test_tool(monkeypatch, capsys):
    code, printed = run(monkeypatch, capsys, 'adapters', '--json')
    rows = json.loads(printed.out)
    ours = {row['name'] for row in rows if row['origin'] == 'hrtk'}
    assert code == 0 and ours == {
        name for name in ADAPTERS.names() if ADAPTERS.get(name).__module__.startswith('hrtk.')
    }
    code, printed = run(monkeypatch, capsys, 'corruptions')
    assert code == 0 and 'GaussianNoise' in printed.out and 'CORRUPTIONS' in printed.out
    code, printed = run(monkeypatch, capsys, 'nothing')
    assert code == 2 and 'no registry' in printed.err
