"""What all tests share."""

import logging
import os
import runpy
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

torch.set_num_threads(1)  # tests run side by side, and small tensors gain nothing from more


ROOT = Path(__file__).parents[1]
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_script(path, arguments):
    """Runs a script as the main program of this process, which saves the start of another one; returns its exit code.

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


@pytest.fixture
def call_tool(capfd):
    """Runs a file of tools/ in this process; returns its exit code and what it printed."""

    def call(name, *arguments):
        capfd.readouterr()
        code = run_script(ROOT / 'tools' / f'{name}.py', arguments)
        printed = capfd.readouterr()
        return SimpleNamespace(returncode=code, stdout=printed.out, stderr=printed.err)

    return call


@pytest.fixture
def data_root() -> Path:
    """The folder of real photographs, clips and annotations that HRTK_TEST_DATA names."""
    if 'HRTK_TEST_DATA' not in os.environ:
        pytest.skip('HRTK_TEST_DATA names no folder of real photographs and annotations')
    return Path(os.environ['HRTK_TEST_DATA'])
