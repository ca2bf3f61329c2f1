"""Modules by name: old names of moved modules, and no module hidden behind a function of the same name."""

import importlib
import pickle
import pkgutil
import subprocess
import sys
from types import ModuleType

import pytest

import hrtk.apis
from hrtk import moved
from hrtk.moved import MOVED, current_name
from hrtk.version import __version__


@pytest.mark.parametrize('old', MOVED)
def test_old_name_warns_and_is_the_same_module(old, monkeypatch):
    monkeypatch.delitem(sys.modules, old, raising=False)
    with pytest.warns(FutureWarning, match=f'{old} is now {MOVED[old]}; ') as warnings:
        module = importlib.import_module(old)
    assert len(warnings) == 1 and warnings[0].filename == importlib.__file__
    assert module is importlib.import_module(MOVED[old])
    assert module.__name__ == module.__spec__.name == MOVED[old]


def test_old_names_are_free():
    """A file at an old name would be hidden."""
    for old in MOVED:
        package, _, name = old.rpartition('.')
        if current_name(package) is None:
            folders = importlib.import_module(package).__path__
            assert name not in [module.name for module in pkgutil.iter_modules(folders)]


@pytest.mark.filterwarnings('ignore::FutureWarning')
def test_a_function_is_kept_beside_the_old_module_of_its_name(monkeypatch):
    for name in ('adapt', 'benchmark', 'evaluate', 'export'):
        monkeypatch.delitem(sys.modules, f'hrtk.apis.{name}', raising=False)
        function = getattr(hrtk.apis, name)
        module = importlib.import_module(f'hrtk.apis.{name}')
        assert getattr(module, name) is getattr(hrtk.apis, name) is function
        assert not isinstance(function, ModuleType)


@pytest.mark.filterwarnings('ignore::FutureWarning')
def test_a_moved_package_covers_its_modules(monkeypatch):
    monkeypatch.setitem(MOVED, 'hrtk.old_losses', 'hrtk.losses')
    monkeypatch.delattr(hrtk, 'old_losses', raising=False)
    names = [
        module.name
        for module in pkgutil.iter_modules(importlib.import_module('hrtk.losses').__path__)
    ]
    for name in names:
        module = importlib.import_module(f'hrtk.old_losses.{name}')
        assert module is importlib.import_module(f'hrtk.losses.{name}')
        sys.modules.pop(f'hrtk.old_losses.{name}')
    sys.modules.pop('hrtk.old_losses')
    with pytest.raises(ModuleNotFoundError, match='hrtk.losses.nothing'):
        importlib.import_module('hrtk.old_losses.nothing')
    sys.modules.pop('hrtk.old_losses')


@pytest.mark.filterwarnings('ignore::FutureWarning')
def test_pickles_of_old_names_load():
    assert pickle.loads(b'chrtk.datasets.video\nVideoDataset\n.') is hrtk.datasets.VideoDataset


def test_other_names_are_not_taken():
    assert current_name('hrtk.apis') is None and current_name('torch.nn') is None
    with pytest.raises(ModuleNotFoundError, match="No module named 'hrtk.apis.nothing'"):
        importlib.import_module('hrtk.apis.nothing')


def test_installed_once():
    before = list(sys.meta_path)
    moved.install()
    assert sys.meta_path == before


def test_old_command_module_runs():
    run = subprocess.run(
        [sys.executable, '-m', 'hrtk.apis.cli', '--version'], capture_output=True, text=True
    )
    assert run.returncode == 0 and run.stdout == f'hrtk {__version__}\n'
    assert 'hrtk.apis.cli is now hrtk.cli.main' in run.stderr


MODULES = [
    info.name
    for info in pkgutil.walk_packages(hrtk.__path__, 'hrtk.')
    if not info.name.endswith('.__main__')
]


@pytest.mark.parametrize('path', MODULES)
def test_no_module_is_hidden_by_an_attribute(path):
    package, _, name = path.rpartition('.')
    parent = importlib.import_module(package)
    attribute = vars(parent).get(name)
    assert attribute is None or isinstance(attribute, ModuleType)
    module = importlib.import_module(path)
    assert getattr(parent, name) is module
