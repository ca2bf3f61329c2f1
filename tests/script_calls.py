"""Scripts as the main program of the process of the tests, which saves the start of another one."""

import logging
import runpy
import signal
import sys

import pytest

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_script(path, arguments):
    """Runs a script with arguments; returns its exit code.

    A command that owns its process takes over signals and logging, so that both are put back.
    """
    handlers = [signal.getsignal(number) for number in SIGNALS]
    raises = logging.raiseExceptions
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'argv', [str(path), *map(str, arguments)])
        try:
            runpy.run_path(str(path), run_name='__main__')
        except SystemExit as stop:
            return stop.code or 0
        finally:
            for number, handler in zip(SIGNALS, handlers):
                signal.signal(number, handler)
            logging.raiseExceptions = raises
    return 0
