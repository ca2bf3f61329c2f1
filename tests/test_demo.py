"""tools/demo.py: which commands it runs, that they exist, and how it ends."""

import argparse
import importlib
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def demo(tmp_path, monkeypatch):
    """(run, commands): calls the script's main with given exit codes by word; records what it runs."""
    for name in ('configs', 'tools'):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    commands = []

    def run(codes):
        def record(command):
            assert command[0] == sys.executable
            commands.append(command[1:])
            code = next((codes[word] for word in codes if word in command), 0)
            return subprocess.CompletedProcess(command, code)

        monkeypatch.setattr(subprocess, 'run', record)
        return runpy.run_path('tools/demo.py')['main']()

    return run, commands


def check(commands):
    """Every command is one that a user could call: its arguments are accepted, and its files exist."""
    for tool, *arguments in commands:
        assert Path(tool).is_file()
        command = importlib.import_module(f'hrtk.cli.commands.{Path(tool).stem}')
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        parser.parse_args(arguments)  # a wrong argument ends in SystemExit
        for word in arguments:
            assert not word.startswith('configs/') or Path(word).is_file()


def test_drawn_people_without_a_network(demo, capsys):
    run, commands = demo
    assert run({'pip': 1}) == 0
    assert [Path(command[0]).stem for command in commands[1:]] == ['adapt', 'export', 'report']
    assert commands[0][:3] == ['-m', 'pip', 'download']
    assert 'DRAWN' in capsys.readouterr().out
    check(commands[1:])


def test_real_video(demo, capsys):
    run, commands = demo
    for name in ('mediapipe_repaired', 'mean_pose'):
        folder = Path('data/real4/joints') / name
        folder.mkdir(parents=True)
        (folder / 'cam04_person1.json').touch()
    assert run({}) == 0
    tools = [Path(command[0]).stem for command in commands]
    assert tools == ['infer', 'infer', 'report', 'benchmark']
    assert 'DRAWN' not in capsys.readouterr().out
    check(commands)
    commands.clear()
    assert run({'tools/report.py': 2}) == 2
    assert len(commands) == 3


def test_a_wheel_is_prepared_once(demo):
    run, commands = demo
    wheel = Path('data/pose2sim-0.10.49-py3-none-any.whl')
    wheel.parent.mkdir()
    wheel.touch()
    assert run({'real4': 2}) == 2
    assert [command[1:3] for command in commands] == [['real4', str(wheel)]]
    check(commands)
