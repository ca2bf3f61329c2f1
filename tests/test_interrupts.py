"""Ctrl-C and SIGTERM at any moment of a command: one line, the exit code of shells, no traceback."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hrtk import interrupts
from hrtk.cli.main import run_command

ROOT = Path(__file__).parents[1]
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
WORDS = {signal.SIGINT: 'interrupted', signal.SIGTERM: 'terminated'}
ENDING = """
import atexit, sys, time

def slow():
    print('ending', flush=True)
    time.sleep(60)

atexit.register(slow)
sys.argv = ['hrtk', 'list', 'adapters']
from hrtk.cli.main import main
sys.exit(main())
"""
RUNNING = """
import sys, time
import hrtk.apis
sys.argv = ['hrtk', 'adapt', 'boa/r18_wild']

def adapt(*args, **options):
    print('running', flush=True)
    time.sleep(60)

hrtk.apis.adapt = adapt
from hrtk.cli.main import main
sys.exit(main())
"""


def start(*arguments):
    env = dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1')
    return subprocess.Popen(
        [sys.executable, *arguments],
        env=env,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


TOOL = 'tools/adapt.py'
MODULE = '-m hrtk.cli adapt'


@pytest.mark.parametrize(
    ('number', 'module', 'program'),
    [  # every pair of two of the three
        (signal.SIGINT, 'mmengine', TOOL),
        (signal.SIGTERM, 'mmengine', MODULE),
        (signal.SIGTERM, 'torch', TOOL),
        (signal.SIGINT, 'torch', MODULE),
        (signal.SIGINT, 'hrtk.registry', TOOL),
        (signal.SIGTERM, 'hrtk.registry', MODULE),
    ],
)
def test_during_the_imports(number, module, program):
    # Python reports every finished import, so that the signal arrives among them.
    process = start('-X', 'importtime', *program.split(), 'boa/r18_wild')
    for line in process.stderr:
        if line.rpartition('|')[2].strip() == module:
            process.send_signal(number)
            break
    else:
        raise AssertionError(f'{module} was not imported')
    _, errors = process.communicate(timeout=60)
    lines = [line for line in errors.splitlines() if not line.startswith('import time:')]
    assert process.returncode == CODES[number]
    assert len(lines) == 1 and lines[0].startswith(WORDS[number]), lines


@pytest.mark.parametrize('number', CODES)
@pytest.mark.parametrize(('script', 'sign'), [(RUNNING, 'running'), (ENDING, 'ending')])
def test_while_it_runs_and_ends(number, script, sign):
    process = start('-c', script)
    for line in process.stdout:
        if line.strip() == sign:
            break
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == CODES[number]
    (line,) = errors.splitlines()
    note = 'run again to resume' if sign == 'running' else 'had ended'
    assert line.startswith(WORDS[number]) and note in line


def test_a_program_that_calls_a_command_keeps_its_handlers(monkeypatch, capsys):
    before = [signal.getsignal(number) for number in CODES]

    def stopped(*args, **options):
        assert signal.getsignal(signal.SIGTERM) not in before
        raise interrupts.Terminated

    monkeypatch.setattr('hrtk.apis.adapt', stopped)
    assert run_command('adapt', ['boa/r18_wild']) == 143
    assert capsys.readouterr().err.startswith('terminated; everything finished is stored')
    assert [signal.getsignal(number) for number in CODES] == before


def test_an_interrupt_that_a_package_turned_into_its_own_error(monkeypatch, capsys):
    def stopped(*args, **options):
        try:
            raise KeyboardInterrupt
        except BaseException:  # as mmengine does while it formats a config
            raise SyntaxError('Failed to format the config file')

    monkeypatch.setattr('hrtk.apis.adapt', stopped)
    assert run_command('adapt', ['boa/r18_wild']) == 130
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_ranks_end_at_once(monkeypatch):
    # A rank that waits for another one in C++ runs no handler of Python.
    monkeypatch.setenv('WORLD_SIZE', '2')
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with interrupts.raised():
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    signal.signal(signal.SIGTERM, before)
