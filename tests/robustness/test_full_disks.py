"""On a full and on a read-only disk every command says which disk it is, without a traceback, and keeps what it had."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = ('adapt', 'infer', 'train', 'benchmark', 'export', 'report')
OWN = ['unshare', '--user', '--map-root-user', '--mount']


def can_mount():
    if shutil.which('unshare') is None:
        return False
    trial = [*OWN, 'mount', '-t', 'tmpfs', 'none', '/tmp']
    return subprocess.run(trial, capture_output=True).returncode == 0


@pytest.fixture(scope='module')
def said():
    if not can_mount():
        pytest.skip('this user cannot mount a disk of its own')
    script = Path(__file__).with_name('full_disks.py')
    done = subprocess.run([*OWN, sys.executable, script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize('kind', ['full', 'read-only'])
@pytest.mark.parametrize('command', COMMANDS)
def test_the_disk_is_named(said, command, kind):
    code, text = said[f'{command} {kind}']
    assert code == 2 and 'Traceback' not in text, text[-3000:]
    message = text[text.index('error: ') :]
    reason = 'No space left' if kind == 'full' else 'Read-only'
    assert reason in message and 'the disk of' in message and 'are kept' in message
    assert len(message.splitlines()) == 1


def test_a_cache_on_a_full_disk_costs_time_only(said):
    """Its files are mapped into memory: without room, writing to them would end the process (SIGBUS)."""
    code, text = said['cache full']
    assert code == 0, text[-3000:]
    assert 'no room for cached views' in text


def test_both_kinds_of_every_command_are_tried(said):
    assert len(said) == 2 * len(COMMANDS) + 1
