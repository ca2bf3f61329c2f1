"""``hrtk COMMAND``: every command by name, configs by name, and an installed hrtk without its repository."""

import os
import runpy
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
# Scripts of the checkout: they make what hrtk bundles, and `make demo` runs one.
MAKERS = {
    'build-landmark-views',
    'build-open-body',
    'convert-blazepose',
    'demo',
    'fit-motion',
    'fit-pose-gmm',
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_help_lists_every_tool_with_a_line(capsys):
    assert cli.main(['--help']) == cli.main([]) == 0
    printed = capsys.readouterr().out
    tools = {path.stem.replace('_', '-') for path in (ROOT / 'tools').glob('*.py')} - MAKERS
    lines = dict(line.split(maxsplit=1) for line in printed.splitlines() if line.startswith('  '))
    assert set(lines) == tools >= {'adapt', 'train', 'evaluate', 'benchmark', 'export', 'list'}
    assert lines['adapt'] == 'Adapts an estimator to footage'


def test_help_imports_no_network():
    code = "import sys; from hrtk.cli.main import main; main(['--help']); sys.exit('torch' in sys.modules)"
    run = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert run.returncode == 0 and 'adapt' in run.stdout


@pytest.mark.parametrize('name', cli.command_files())
def test_every_command_has_a_help(name, capsys):
    assert cli.main([name, '--help']) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f'usage: hrtk {name} [-h]')
    summary = dict(line.split(maxsplit=1) for line in help_lines(capsys))[name]
    assert f'\n{summary}.\n' in printed


@pytest.mark.parametrize('name', cli.command_files())
def test_tool_of_every_command(name, capsys, monkeypatch):
    tool = ROOT / 'tools' / f'{name.replace("-", "_")}.py'
    monkeypatch.setattr(sys, 'argv', [str(tool), '--help'])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(tool), run_name='__main__')
    assert not stop.value.code
    assert capsys.readouterr().out.startswith(f'usage: {tool.name} [-h]')


def help_lines(capsys):
    cli.main(['--help'])
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith('  ')]


@pytest.mark.parametrize('module', ['hrtk.cli', 'hrtk.cli.main'])
def test_module(module):
    run = subprocess.run([sys.executable, '-m', module, 'adpat'], capture_output=True, text=True)
    assert run.returncode == 2 and not run.stdout and "Did you mean 'adapt'" in run.stderr


def test_reader_that_closes_the_pipe():
    with subprocess.Popen(
        [sys.executable, '-m', 'hrtk.cli', 'list', 'backbones', '--json'],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == ''
    assert process.returncode == 1


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
    assert locations.bundled_configs() == elsewhere / 'hrtk/configs'
    (elsewhere / 'hrtk/configs').rmdir()
    assert locations.bundled_configs() == elsewhere / 'configs'


PARTS = (
    'hrtk',
    'configs',
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
    assert not (elsewhere / 'site/hrtk/tools').exists()
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
