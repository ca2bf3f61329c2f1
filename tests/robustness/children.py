"""A call in a forked child with limits of time, memory and address space, and what became of it."""

import contextlib
import dataclasses
import json
import os
import resource
import signal
import sys
import traceback
from pathlib import Path

SECONDS = 10  # of processor time
WAITING = 6  # times these seconds may pass on a busy machine
MEMORY = 1 << 30  # bytes above those at the start
SAFETY = 6 << 30  # bytes of address space above that at the start: protects the machine


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a program did with a file: ``read``, ``message``, or one of the failures."""

    case: str
    status: str
    text: str = ''

    @property
    def failed(self):
        return self.status not in ('read', 'message')


def in_child(case, judge, folder, seconds=SECONDS):
    """The outcome of a call in a child.

    Args:
        case: names the outcome.
        judge: called in the child; returns status and text.
        folder: of the child's report and of what it prints, in ``outcome.json`` and ``output.txt``.
        seconds: of processor time, after which it is killed; :data:`WAITING` times as many may pass.
    """
    report = folder / 'outcome.json'
    child = os.fork()
    if child == 0:
        try:
            _limit(seconds, folder / 'output.txt')
            report.write_text(json.dumps(_judged(judge)))
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(ProcessLookupError):  # what the child has started and left
        os.killpg(child, signal.SIGKILL)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        hung = number in (signal.SIGALRM, signal.SIGXCPU)
        name = 'hang' if hung else f'signal {signal.Signals(number).name}'
        return Outcome(case, name)
    if not report.exists():
        return Outcome(case, 'died')
    return Outcome(case, *json.loads(report.read_text()))


def _limit(seconds, output):
    os.setsid()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(WAITING * seconds)
    resource.setrlimit(
        resource.RLIMIT_CPU, (seconds, seconds + 1)
    )  # at the second one it is killed without a name
    pages = int(Path('/proc/self/statm').read_text().split()[0])
    size = pages * resource.getpagesize() + SAFETY
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:  # of a child of a child
        size = min(size, hard)
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    # Those of a test would be pytest's.
    sys.stdout = open(1, 'w', buffering=1, closefd=False)
    sys.stderr = open(2, 'w', buffering=1, closefd=False)


def _judged(judge):
    """(status, text), a traceback and too much memory included."""
    start = _peak()
    try:
        status = judge()
    except BaseException:
        status = ('traceback', traceback.format_exc()[-2500:])
    if _peak() - start > MEMORY:
        status = ('memory', f'{(_peak() - start) / 1e9:.1f} GB; {status}')
    return status


def _peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
