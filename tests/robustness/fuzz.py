"""Corrupted files for every reader and every command, in forked children with limits, and counts of what happens.

``python tests/robustness/fuzz.py [--readers N] [--commands N] [--minutes M] [--seed S]`` prints a line per failure and
the counts by reader or command and by kind; ``make fuzz`` runs thousands.
"""

import argparse
import collections
import contextlib
import dataclasses
import itertools
import json
import logging
import os
import re
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import cv2
import torch
from children import Outcome, in_child
from corrupted_commands import COMMANDS, copy_inputs, says, targets
from corrupted_readers import READERS
from corruptions import KINDS, corrupt
from wrong_options import OPTION, change_option

from hrtk.errors import InputError

COMMAND_SECONDS = 30


def cases(names, kinds, seed=0):
    """Endless triples (name, kind, seed), every name and kind in turn."""
    for repeat in itertools.count():
        yield from itertools.product(names, kinds, [seed * 10**6 + repeat])


def try_case(reader, kind, seed, root):
    """Corrupts the file of a reader and reads it in a forked child."""
    folder = Path(tempfile.mkdtemp(dir=root))
    marker = folder / 'executed'
    write, read = READERS[reader]
    path = write(folder)
    corrupt(path, kind, seed, marker)

    def judge():
        try:
            read(path)
        except InputError as error:
            return _message(str(error), path.name)
        return ('read', '')

    return _outcome(f'{reader} {kind} {seed}', judge, folder, marker)


def try_command(name, kind, seed, root):
    """Corrupts one of the files that a command reads, or one of its options, and runs it in a forked child.

    Args:
        name: of the command in :data:`COMMANDS`.
        kind: of :data:`~corruptions.KINDS`, or :data:`~wrong_options.OPTION`.
        seed: of the random choices.
        root: a folder with the valid inputs of the command in ``valid/<name>``.
    """
    folder = Path(tempfile.mkdtemp(dir=root))
    marker = folder / 'executed'
    inputs = folder / 'inputs'
    copy_inputs(root / 'valid' / name, inputs)
    command = COMMANDS[name]
    arguments = list(command.arguments)
    if kind == OPTION:
        arguments, names = change_option(command, seed)
        case = f'{name} {kind} {seed} {names}'
    else:
        files = targets(command, inputs)
        path = files[seed % len(files)]
        corrupt(path, kind, seed, marker)
        names = (path.name, *_long_paths(path))
        case = f'{name} {kind} {seed} {path.relative_to(inputs)}'

    def judge():
        os.chdir(inputs)
        code, text = says(arguments, folder / 'output.txt')
        if 'Traceback (most recent call last)' in text:
            return ('traceback', text[-2500:])
        if code == 0:
            return ('read', '')
        if code not in command.codes:
            return (f'exit {code}', text[-1000:])
        return _message(text, *names, *command.accepted)

    return _outcome(case, judge, folder, marker, COMMAND_SECONDS)


def _long_paths(path):
    """Paths in a corrupted text that no file can have; a message about such a file names it, not the text."""
    if path.is_file() and path.suffix in ('.yaml', '.json') and path.stat().st_size < 1 << 20:
        return re.findall(r'[^\s"\']{255,}', path.read_text(errors='replace'))
    return []


def _message(text, *names):
    """A message has to contain one of the names."""
    named = any(name in text for name in names)
    return ('message' if named else 'nameless', text[-1500:])


def _outcome(case, judge, folder, marker, *seconds):
    try:
        outcome = in_child(case, judge, folder, *seconds)
        if marker.exists():
            outcome = Outcome(case, 'payload', 'the payload was executed')
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return outcome


def run_readers(count, seed=0, minutes=None, names=(), echo=lambda outcome: None):
    """Tries so many cases of readers and returns their outcomes.

    Args:
        count: number of cases.
        seed: of all cases.
        minutes: after which no case is started; None for no limit.
        names: of the readers; empty for all.
        echo: called with every outcome.
    """
    chosen = [name for name in READERS if name in names or not names]
    logging.disable(logging.CRITICAL)
    with _folder() as root:
        try:
            return _series(try_case, cases(chosen, KINDS, seed), count, minutes, root, echo)
        finally:
            logging.disable(logging.NOTSET)


def run_commands(count, seed=0, minutes=None, names=(), echo=lambda outcome: None):
    """Tries so many cases of commands, see :func:`run_readers`.

    Every command runs once in this process before it forks: its modules are imported and its input is known to be
    valid. Signals, loggers and functions of this process are changed by that.
    """
    chosen = [name for name in COMMANDS if name in names or not names]
    with _folder() as root:
        os.environ['HRTK_CACHE'] = str(root / 'cache')
        for name in chosen:
            write_valid(name, root)
        kinds = (*KINDS, OPTION)
        return _series(try_command, cases(chosen, kinds, seed), count, minutes, root, echo)


def in_server(run, *args):
    """The outcomes of a run in a forked process, which changes nothing in this one."""
    with _folder() as root:
        file = root / 'outcomes.json'

        def judge():
            outcomes = run(*args)
            file.write_text(json.dumps([dataclasses.astuple(outcome) for outcome in outcomes]))
            return ('read', '')

        server = in_child('server', judge, root, 600)
        assert not server.failed, server
        return [Outcome(*values) for values in json.loads(file.read_text())]


@contextlib.contextmanager
def _folder():
    cv2.setNumThreads(0)  # a forked child has no threads of its parent
    torch.set_num_threads(1)
    root = Path(tempfile.mkdtemp(prefix='hrtk_fuzz_'))
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _series(attempt, chosen, count, minutes, root, echo):
    end = float('inf') if minutes is None else time.monotonic() + 60 * minutes
    outcomes = []
    for case in itertools.islice(chosen, count):
        if time.monotonic() > end:
            break
        outcomes.append(attempt(*case, root))
        echo(outcomes[-1])
    return outcomes


def write_valid(name, root):
    """Writes the valid inputs of a command to ``valid/<name>``, and runs it on a copy, which has to succeed."""
    command = COMMANDS[name]
    folder = root / 'valid' / name
    folder.parent.mkdir(exist_ok=True)
    same = [other for other in COMMANDS if _inputs(COMMANDS[other]) == _inputs(command)]
    written = [other for other in same if (root / 'valid' / other).exists()]
    if written:
        copy_inputs(root / 'valid' / written[0], folder)
    else:
        folder.mkdir()
        command.write(folder)
        for arguments in command.before:
            _run_valid(arguments, (), folder, root)
    trial = root / 'trial'
    copy_inputs(folder, trial)
    _run_valid(command.arguments, command.accepted, trial, root)
    shutil.rmtree(trial)


def _inputs(command):
    return command.write, command.before


def _run_valid(arguments, accepted, folder, root):
    """Runs a command in this process, its output in a file."""
    here = os.getcwd()
    output = root / 'output.txt'
    saved = [os.dup(1), os.dup(2)]
    sys.stdout.flush()
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        os.chdir(folder)
        os.dup2(file, 1)
        os.dup2(file, 2)
        code, text = says(arguments, output)
    finally:
        os.chdir(here)
        for number, copy in zip((1, 2), saved):
            os.dup2(copy, number)
            os.close(copy)
        os.close(file)
    fine = code == 0 or any(message in text for message in accepted)
    assert fine, f'{arguments}: exit {code}\n{text[-3000:]}'


def table(outcomes):
    """Lines of counts by name and by kind."""
    lines = []
    for title, position in (('reader or command', 0), ('kind', 1)):
        counts = collections.defaultdict(collections.Counter)
        for outcome in outcomes:
            counts[outcome.case.split()[position]][outcome.status] += 1
        lines.append(f'by {title}:')
        for name, count in counts.items():
            texts = [f'{number} {status}' for status, number in sorted(count.items())]
            lines.append(f'  {name:<18}{sum(count.values()):>5}: {", ".join(texts)}')
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--readers', type=int, default=3000, help='number of cases')
    parser.add_argument('--commands', type=int, default=3000, help='number of cases')
    parser.add_argument('--minutes', type=float, default=20, help='at most, for each of the two')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--only', nargs='+', default=(), help='names of readers and commands')
    args = parser.parse_args()
    begin = time.perf_counter()

    def echo(outcome):
        if outcome.failed:
            print(f'--- {outcome.case}: {outcome.status}\n{outcome.text}', flush=True)

    options = (args.seed, args.minutes, args.only, echo)
    outcomes = run_readers(args.readers, *options) + run_commands(args.commands, *options)
    print('\n'.join(table(outcomes)))
    counts = collections.Counter(outcome.status for outcome in outcomes)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f'{len(outcomes)} cases, seed {args.seed}, {time.perf_counter() - begin:.0f} s, '
        f'{used.ru_utime + used.ru_stime:.0f} s of the processor: {dict(counts)}'
    )
    return any(outcome.failed for outcome in outcomes)


if __name__ == '__main__':
    sys.exit(main())
