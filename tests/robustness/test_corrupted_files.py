"""Corrupted files of every reader: a message that names the file, no code, no traceback, no hang, no gigabytes."""

import children
import fuzz
from corrupted_commands import COMMANDS
from corrupted_readers import READERS
from wrong_options import change_option


def test_valid_files_are_read(tmp_path):
    for name, (write, read) in READERS.items():
        folder = tmp_path / name
        folder.mkdir()
        assert read(write(folder)) is not None, name


def test_corrupted_files():
    outcomes = fuzz.run_readers(len(READERS) * len(fuzz.KINDS))
    failures = [outcome for outcome in outcomes if outcome.failed]
    assert failures == []
    statuses = [outcome.status for outcome in outcomes]
    assert statuses.count('message') > 100  # most corruptions are seen


def test_corrupted_inputs_of_commands():
    """Every kind for some commands; ``make fuzz`` tries all of them."""
    names = ('infer', 'evaluate', 'export', 'benchmark', 'publish-model')
    outcomes = fuzz.in_server(fuzz.run_commands, 35, 0, None, names)
    assert [outcome for outcome in outcomes if outcome.failed] == []
    assert len(outcomes) == 35
    assert [outcome.status for outcome in outcomes].count('message') > 15


def _run_valid_inputs(root):
    outcomes = []
    for name in COMMANDS:
        fuzz.write_valid(name, root)
        outcomes.append(children.Outcome(name, 'read', ''))
    return outcomes


def test_valid_inputs_of_commands(tmp_path):
    outcomes = fuzz.in_server(_run_valid_inputs, tmp_path)
    assert [outcome.case for outcome in outcomes] == list(COMMANDS)


def test_options_are_those_of_the_commands():
    for name, command in COMMANDS.items():
        arguments, names = change_option(command, 3)
        assert arguments != list(command.arguments) and names, name


def test_generator_sees_failures(tmp_path, monkeypatch):
    """What the generator has to report is reported."""

    def big(path):
        return bytearray(b'x') * (children.MEMORY + (200 << 20))

    def silent(path):
        raise fuzz.InputError('something is wrong')

    def broken(path):
        raise KeyError('a')

    found = []
    for read in (big, silent, broken):
        monkeypatch.setitem(fuzz.READERS, 'fake', (READERS['png'][0], read))
        found.append(fuzz.try_case('fake', 'flip', 0, tmp_path).status)
    assert found == ['memory', 'nameless', 'traceback']
