"""Ctrl-C and SIGTERM end a command with one line and an exit code, while it starts, runs and ends.

Python's own handler raises KeyboardInterrupt, which ends in a traceback while modules are imported or threads are
joined. There, :func:`exit_at_once` prints its line and leaves the process. This module imports nothing of hrtk, because
it is the first that a command needs.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Optional

INTERRUPTED = 130  # 128 + SIGINT, as shells have it
TERMINATED = 143  # 128 + SIGTERM
CODES = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}
WORDS = {INTERRUPTED: 'interrupted', TERMINATED: 'terminated'}
STARTING = 'nothing was started'
ENDED = 'the command had ended, its results are complete'


class Terminated(KeyboardInterrupt):
    """The process received SIGTERM; what ends a run on Ctrl-C ends it here, too."""


def exit_code(stop: KeyboardInterrupt) -> int:
    """The exit code of a command that was stopped."""
    if isinstance(stop, Terminated):
        return TERMINATED
    return INTERRUPTED


def cause(error: Optional[BaseException]) -> Optional[KeyboardInterrupt]:
    """The interrupt that an error was raised from: some packages turn every exception into one of their own."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return error
        error = error.__cause__ or error.__context__
    return None


def exit_at_once(note: str) -> None:
    """From now on, a signal prints a line with this note and ends the process, without a traceback."""

    def leave(number: int, frame: Optional[FrameType]) -> None:
        code = CODES[signal.Signals(number)]
        try:
            os.write(2, f'{WORDS[code]}; {note}\n'.encode())
        finally:
            os._exit(code)

    for number in _handled():
        signal.signal(number, leave)


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Within this context Ctrl-C raises KeyboardInterrupt and SIGTERM raises :class:`Terminated`."""
    process = os.getpid()

    def terminate(number: int, frame: Optional[FrameType]) -> None:
        if os.getpid() != process:  # a forked worker, which its parent ends
            os._exit(TERMINATED)
        raise Terminated

    handlers: dict[signal.Signals, Any] = {}
    for number in _handled():
        handler: Any = terminate if number == signal.SIGTERM else signal.default_int_handler
        handlers[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for handled, handler in handlers.items():
            signal.signal(handled, handler)


def guard_start() -> None:
    """Applies :func:`exit_at_once` if this process is a command of hrtk, and not a program that imports hrtk."""
    if _is_command():
        exit_at_once(STARTING)


def _handled() -> list[signal.Signals]:
    """The signals to handle: none outside the main thread, where Python sets no handler."""
    if threading.current_thread() is not threading.main_thread():
        return []
    if int(os.environ.get('WORLD_SIZE') or 1) > 1:
        # A process that waits for the others in a collective call runs no handler; SIGTERM has to end it nevertheless.
        return [signal.SIGINT]
    return [signal.SIGINT, signal.SIGTERM]


def _is_command() -> bool:
    program = Path(sys.argv[0] if sys.argv else '')
    if program.stem == 'hrtk':
        return True
    if str(program) == '-m':  # while Python looks for the module
        return 'hrtk.cli' in sys.orig_argv
    tools = Path(__file__).resolve().parents[1] / 'tools'
    return program.suffix == '.py' and program.resolve().parent == tools
