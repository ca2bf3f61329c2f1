"""``hrtk COMMAND``: every tool by name, configs by name, and an installed hrtk far away from its repository."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hrtk.apis import load_config, locations
from hrtk.apis.locations import find_config
from hrtk.apis.tables.table import load_table
from hrtk.cli import main as cli
from hrtk.errors import InputError
from hrtk.version import __version__

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_help_lists_every_tool_with_a_line(capsys):
    assert cli.main(['--help']) == cli.main([]) == 0
    printed = capsys.readouterr().out
    tools = {path.stem.replace('_', '-') for path in (ROOT / 'tools').glob('*.py')} - {
        'build-open-body',
        'fit-motion',
        'fit-pose-gmm',
    }
    lines = dict(line.split(maxsplit=1) for line in printed.splitlines() if line.startswith('  '))
    assert set(lines) == tools >= {'adapt', 'train', 'evaluate', 'benchmark', 'export', 'list'}
    assert lines['adapt'] == 'Adapts an estimator to footage'


@pytest.mark.parametrize('name', cli.commands())
def test_every_command_explains_itself(name, capsys):
    assert cli.main([name, '--help']) == 0
    assert f'usage: hrtk {name}' in capsys.readouterr().out


def test_exit_codes(capsys):
    assert cli.main(['--version']) == 0 and capsys.readouterr().out == f'hrtk {__version__}\n'
    assert cli.main(['adpat', 'x']) == 2 and "Did you mean 'adapt'" in capsys.readouterr().err
    before = list(sys.argv)
    assert cli.main(['adapt', 'boa/r18_wold']) == 2
    assert 'Bundled configs with similar names: boa/r18_wild' in capsys.readouterr().err
    assert cli.main(['check_assets', '--quick']) == 0
    assert sys.argv == before


def test_a_config_by_name(elsewhere):
    wanted = load_config(ROOT / 'configs/boa/r18_wild.py').to_dict()
    for name in (
        'boa/r18_wild',
        'boa/r18_wild.py',
        'configs/boa/r18_wild.py',
        Path('configs/boa/r18_wild'),
    ):
        assert load_config(name).to_dict() == wanted
    assert (
        load_table('3dhrco/tables/open').title
        == load_table(ROOT / 'configs/3dhrco/tables/open.yaml').title
    )
    assert find_config('../boa/r18_wild') is None and find_config('boa') is None
    (elsewhere / 'boa').mkdir()
    (elsewhere / 'boa/r18_wild').write_text('')
    assert find_config('boa/r18_wild') == Path('boa/r18_wild')  # a file goes before a name


def test_a_bare_name_is_not_guessed():
    with pytest.raises(InputError, match='source/r18_wild'):
        load_config('r18_wild')


def test_configs_inside_the_package_go_first(elsewhere, monkeypatch):
    (elsewhere / 'hrtk/configs').mkdir(parents=True)
    (elsewhere / 'configs').mkdir()
    monkeypatch.setattr(locations, 'PACKAGE', elsewhere / 'hrtk')
    assert locations.bundled_folder('configs') == elsewhere / 'hrtk/configs'
    assert locations.bundled_folder('tools') == elsewhere / 'tools'


PARTS = (
    'hrtk',
    'configs',
    'tools',
    'requirements',
    'setup.py',
    'pyproject.toml',
    'MANIFEST.in',
    'README.md',
)
CODE = """
import hrtk
from pathlib import Path
from hrtk.apis import load_config, load_model
from hrtk.cli.main import main
from hrtk.registry import DATASETS
package = Path(hrtk.__file__).parent
assert package.parts[-2:] == ('site', 'hrtk'), package
assert (package / 'visualization/report_page/page.html').exists()
assert Path(load_config('boa/r18_wild').filename).is_relative_to(package)
assert load_model('r18_studio').body is not None
DATASETS.build(load_config('topology/r18_studio_uap').dataset)
assert main(['adapt', 'source/r18_wild', '--cfg-options', 'dataset.sequences=1', 'dataset.frames=2', 'dataset.size=64',
             'outputs=None']) == 0
assert main(['evaluate', 'work_dirs/r18_wild']) == 0
"""


def test_installed_from_a_wheel(elsewhere):
    source = elsewhere / 'source'
    for name in PARTS:  # setuptools builds inside the source
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        source.mkdir(exist_ok=True)
        copy(ROOT / name, source / name)
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
            str(elsewhere / 'site'),
            str(source),
        ],
        check=True,
    )
    assert not list((elsewhere / 'site/hrtk/tools').glob('fit_*'))
    environment = {
        **os.environ,
        'PYTHONPATH': str(elsewhere / 'site'),
        'HRTK_CACHE': str(elsewhere / 'cache'),
        'OMP_NUM_THREADS': '1',
    }
    run = subprocess.run(
        [sys.executable, '-c', CODE],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert run.returncode == 0, run.stdout
