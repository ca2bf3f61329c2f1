"""The example plugin, installed into a folder of its own as a user would install it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hrtk.registry import BACKBONES

ROOT = Path(__file__).parents[1]
PLUGIN = ROOT / 'projects/example_plugin'


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
    """A folder that holds the installed plugin alone."""
    folder = tmp_path_factory.mktemp('plugin')
    source = shutil.copytree(PLUGIN, folder / 'source')  # setuptools builds inside the source
    subprocess.run(
        [
            sys.executable,
            '-m',
            'pip',
            'install',
            '--quiet',
            '--no-deps',
            '--no-build-isolation',
            '--no-index',
            '--target',
            str(folder / 'site'),
            str(source),
        ],
        check=True,
    )
    return folder / 'site'


def test_unknown_until_it_is_installed():
    assert BACKBONES.get('TinyConvNet') is None


def test_dotted_path_of_an_unregistered_class_is_not_imported():
    assert BACKBONES.get('torch.nn.Identity') is None


def test_its_own_tests_pass_where_it_is_installed(installed):
    path = os.pathsep.join([str(installed), str(ROOT), os.environ.get('PYTHONPATH', '')])
    run = subprocess.run(
        [
            sys.executable,
            '-m',
            'pytest',
            '-q',
            '-rs',
            '-p',
            'no:cacheprovider',
            str(PLUGIN / 'tests'),
        ],
        env={**os.environ, 'PYTHONPATH': path, 'OMP_NUM_THREADS': '1'},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert run.returncode == 0, run.stdout
    skipped = [line for line in run.stdout.splitlines() if line.startswith('SKIPPED')]
    assert ' passed' in run.stdout and all('timm can' in line for line in skipped), run.stdout
