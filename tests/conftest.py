"""What all tests share."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from script_calls import run_script

TOOLS = Path(__file__).parents[1] / 'tools'
torch.set_num_threads(1)  # tests run side by side, and small tensors gain nothing from more


@pytest.fixture(scope='session')
def shared_cache(tmp_path_factory):
    """The cache of tests whose subject is not the drawing: what one of them draws, others find, in all processes."""
    root = tmp_path_factory.getbasetemp()
    if 'PYTEST_XDIST_WORKER' in os.environ:
        root = root.parent  # that of this run
    return root / 'shared_cache'


@pytest.fixture
def call_tool(capfd):
    """Runs a file of tools/ in this process; returns its exit code and what it printed."""

    def call(name, *arguments):
        capfd.readouterr()
        code = run_script(TOOLS / f'{name}.py', arguments)
        printed = capfd.readouterr()
        return SimpleNamespace(returncode=code, stdout=printed.out, stderr=printed.err)

    return call


@pytest.fixture
def data_root() -> Path:
    """The folder of real photographs, clips and annotations that HRTK_TEST_DATA names."""
    if 'HRTK_TEST_DATA' not in os.environ:
        pytest.skip('HRTK_TEST_DATA names no folder of real photographs and annotations')
    return Path(os.environ['HRTK_TEST_DATA'])
