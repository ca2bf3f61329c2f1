"""tools/adapt.py: exit codes and messages."""

import runpy
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[1] / 'tools/adapt.py'


@pytest.fixture
def adapt(tmp_path, monkeypatch, capsys):
    """Runs tools/adapt.py in this process: (exit code, stderr)."""

    def run(*arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *arguments])
        with pytest.raises(SystemExit) as exit:
            runpy.run_path(str(TOOL), run_name='__main__')
        return exit.value.code, capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    'name, text, parts',
    [
        ('other', 'a = 1', ['there is no config run_photo.py', 'run_photos.py']),
        ('run_photo', 'estimator = dict(\nadapter = 3', ['run_photo.py:1', 'SyntaxError']),
        ('run_photo', "_base_ = 'broken.py'", ['broken.py:2', 'SyntaxError']),
        ('run_photo', 'a = 1\nestimator = dict(type=Undefined)', ['run_photo.py:2', 'Undefined']),
        ('run_photo', "_base_ = 'missing.py'", ['missing.py']),
        ('run_photo', "custom_imports = dict(imports=['not_a_module'])", ['not_a_module']),
        ('run_photo', 'estimatr = dict()', ["unknown key 'estimatr'", "Did you mean 'estimator'"]),
        (
            'run_photo',
            "estimator = dict(type='HMRR')\ndataset = adapter = evaluator = dict(type='x')",
            ['HMR'],
        ),
    ],
)
def test_bad_config(adapt, tmp_path, name, text, parts):
    (tmp_path / 'run_photos.py').write_text('')
    (tmp_path / f'{name}.py').write_text(text)
    (tmp_path / 'broken.py').write_text('\nmodel = {')
    code, message = adapt('run_photo.py')
    assert code == 2 and message.startswith('error: ')
    for part in parts:
        assert part in message


def test_options_without_value(adapt):
    code, message = adapt('x.py', '--cfg-options', 'adapter.steps')
    assert code == 2 and 'KEY=VALUE' in message


def test_options_that_do_not_fit(adapt, tmp_path):
    (tmp_path / 'run.py').write_text('adapter = 3')
    code, message = adapt('run.py', '--cfg-options', 'adapter.steps=1')
    assert code == 2 and 'adapter.steps' in message


def test_interrupt(adapt, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr('hrtk.apis.adapt', interrupted)
    code, message = adapt('x.py')
    assert code == 130 and 'run again to resume' in message
