"""Reads corrupted files in forked children with limits of time and memory, and counts what happens.

``python tests/robustness/fuzz.py CASES [SEED]`` prints a line per failure and the counts; ``make fuzz`` runs thousands.
"""

import collections
import dataclasses
import itertools
import json
import logging
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

import cv2
from corrupted_readers import READERS
from corruptions import KINDS, corrupt

from hrtk.errors import InputError

SECONDS = 10
MEMORY = 1 << 30  # bytes above those at the start
SAFETY = 6 << 30  # bytes of address space above that at the start: protects the machine


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a reader did with a file: ``read``, ``message``, or one of the failures."""

    case: str
    status: str
    text: str = ''

    @property
    def failed(self):
        return self.status not in ('read', 'message')


def cases(count, seed=0):
    """``count`` triples (reader, kind, seed), every reader and kind in turn."""
    endless = itertools.chain.from_iterable(
        itertools.product(READERS, KINDS, [seed * 10**6 + repeat]) for repeat in itertools.count()
    )
    return list(itertools.islice(endless, count))


def try_case(reader, kind, seed, root):
    """Corrupts the file of a reader and reads it in a forked child."""
    folder = Path(tempfile.mkdtemp(dir=root))
    marker = folder / 'executed'
    write, read = READERS[reader]
    path = write(folder)
    corrupt(path, kind, seed, marker)
    case = f'{reader} {kind} {seed}'
    try:
        outcome = _in_child(case, read, path, folder / 'outcome.json')
        if marker.exists():
            outcome = Outcome(case, 'payload', 'the payload was executed')
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return outcome


def _in_child(case, read, path, report):
    child = os.fork()
    if child == 0:
        try:
            _limit()
            report.write_text(json.dumps(_read(read, path)))
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        name = 'hang' if number == signal.SIGALRM else f'signal {signal.Signals(number).name}'
        return Outcome(case, name)
    if not report.exists():
        return Outcome(case, 'died')
    return Outcome(case, *json.loads(report.read_text()))


def _limit():
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(SECONDS)
    pages = int(Path('/proc/self/statm').read_text().split()[0])
    size = pages * resource.getpagesize() + SAFETY
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)


def _read(read, path):
    """(status, text) of a reader."""
    start = _peak()
    try:
        read(path)
        status = ('read', '')
    except InputError as error:
        status = ('message', str(error)[:300])
        if path.name not in str(error):
            status = ('nameless', str(error)[:300])
    except BaseException:
        status = ('traceback', traceback.format_exc()[-1500:])
    if _peak() - start > MEMORY:
        status = ('memory', f'{(_peak() - start) / 1e9:.1f} GB; {status}')
    return status


def _peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def run(count, seed=0):
    """Tries so many cases and returns their outcomes."""
    cv2.setNumThreads(0)  # a forked child has no threads of its parent
    logging.disable(logging.CRITICAL)
    root = Path(tempfile.mkdtemp(prefix='hrtk_fuzz_'))
    try:
        return [try_case(*case, root) for case in cases(count, seed)]
    finally:
        logging.disable(logging.NOTSET)
        shutil.rmtree(root, ignore_errors=True)


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    begin = time.perf_counter()
    outcomes = run(count, seed)
    failures = [outcome for outcome in outcomes if outcome.failed]
    for outcome in failures:
        print(f'--- {outcome.case}: {outcome.status}\n{outcome.text}')
    counts = collections.Counter(outcome.status for outcome in outcomes)
    print(f'{count} cases, seed {seed}, {time.perf_counter() - begin:.0f} s: {dict(counts)}')
    return bool(failures)


if __name__ == '__main__':
    sys.exit(main())
