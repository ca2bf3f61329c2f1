"""The documentation: its code runs, its build is clean, its links within the repository lead somewhere."""

import json
import re
import runpy
import shlex
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from script_calls import run_script

from hrtk import registry as registries
from hrtk.datasets import OpenViews

sybil = pytest.importorskip('sybil', reason='sybil executes the code of the documentation')
from sybil.parsers import myst  # noqa: E402

ROOT = Path(__file__).parents[1]
DOCS = ROOT / 'docs/en'
PAGES = sorted(DOCS.glob('**/*.md'))
LINKED = [*PAGES, *ROOT.glob('*.md'), *ROOT.glob('projects/**/*.md')]


@pytest.fixture(scope='module')
def drawn_views():
    """Views of the open stream, drawn once for all pages: most runs begin with the same pool of 512."""
    views = {}
    draw = OpenViews._draw_view

    def drawn(self, index):
        key = repr(self.domain), self.resolution, self.seed, self.box_scale, index
        if key not in views:
            views[key] = draw(self, index)
        return {name: value.clone() for name, value in views[key].items()}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OpenViews, '_draw_view', drawn)
        yield


@pytest.fixture
def clone(tmp_path, monkeypatch, shared_cache, drawn_views):
    """The current directory as the root of a clone, where runs may leave what they make.

    What a block installs with pip lies in a folder of the test, and is forgotten at its end.
    """
    for name in ('configs', 'tools'):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / 'projects', tmp_path / 'projects')  # pip builds inside a package
    site = tmp_path / 'site'
    site.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('HRTK_CACHE', str(shared_cache))
    monkeypatch.setenv('PIP_TARGET', str(site))
    monkeypatch.setenv('PYTHONPATH', f'{ROOT}:{site}', prepend=':')
    monkeypatch.setenv('PATH', str(Path(sys.executable).parent), prepend=':')
    monkeypatch.syspath_prepend(site)
    monkeypatch.setattr(registries.Registry, '_plugins_loaded', False)
    yield tmp_path
    forget(site)


def forget(site):
    """Takes the modules of a folder, and the classes that they registered, out of this process."""
    modules = [
        name
        for name, module in sys.modules.items()
        if str(getattr(module, '__file__', None)).startswith(f'{site}/')
    ]
    for registry in vars(registries).values():
        if isinstance(registry, registries.Registry):
            for name, cls in list(registry.module_dict.items()):
                if cls.__module__ in modules:
                    del registry.module_dict[name]
    for name in modules:
        del sys.modules[name]


def plain_calls(text):
    """The scripts with their arguments of a block that does nothing but run scripts of tools/; None for others."""
    calls = []
    for line in text.replace('\\\n', ' ').splitlines():
        if re.search(r'[|<>&;$`#\[\]]', line) or not line.startswith('python tools/'):
            return None
        _, script, *arguments = shlex.split(line)
        calls.append((script, arguments))
    return calls


def run_bash(example):
    """Runs a block as a reader would type it; scripts alone are run in this process, which saves seconds each."""
    calls = plain_calls(example.parsed)
    if calls is not None:
        for script, arguments in calls:
            code = run_script(script, arguments)
            assert code == 0, f'{example.path}:{example.line}\n{script} {arguments}: exit {code}'
        return
    run = subprocess.run(
        ['bash', '-euo', 'pipefail', '-c', example.parsed],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert run.returncode == 0, f'{example.path}:{example.line}\n{example.parsed}\n{run.stdout}'


def examples(page):
    """The blocks of a page; ``console`` blocks are for reading only."""
    return list(
        sybil.Sybil([myst.PythonCodeBlockParser(), myst.CodeBlockParser('bash', run_bash)]).parse(
            page
        )
    )


@pytest.mark.parametrize(
    'page',
    [page for page in PAGES if examples(page)],
    ids=lambda page: page.relative_to(DOCS).as_posix(),
)
def test_code(page, clone):
    for example in examples(page):
        example.evaluate()


def test_notebook(clone, capsys):
    cells = json.loads((DOCS / 'notebooks/hrtk.ipynb').read_text(encoding='utf-8'))['cells']
    assert not any(cell.get('outputs') for cell in cells)
    script = '\n'.join(''.join(cell['source']) for cell in cells if cell['cell_type'] == 'code')
    for name, value in (('FRAMES', 3), ('STEPS', 1)):
        script, count = re.subn(rf'^{name} = \d+', f'{name} = {value}', script, flags=re.M)
        assert count == 1, name
    exec(compile(script, 'hrtk.ipynb', 'exec'), {'__name__': 'notebook'})
    glb = Path(capsys.readouterr().out.split()[-3])
    version, size = struct.unpack('<II', glb.read_bytes()[4:12])
    assert (version, size) == (2, glb.stat().st_size)


def test_dockerfile_copies_what_the_installation_reads():
    text = (ROOT / 'docker/Dockerfile').read_text(encoding='utf-8')
    setup = (ROOT / 'setup.py').read_text(encoding='utf-8')
    copied = {}
    for line in re.findall(r'^COPY (.+)', text, flags=re.M):
        *sources, target = line.split()
        for source in sources:
            assert (ROOT / source).exists(), source
            # Docker copies the content of a folder, and a file into a folder.
            copied[source] = target if (ROOT / source).is_dir() else f'{target}{source}'
    assert all(target == f'/opt/hrtk/{source}' for source, target in copied.items())
    read = re.findall(r"HERE / '(\w[\w./]*)'", setup)
    assert len(read) >= 4
    for name in (*read, 'setup.py', 'pyproject.toml', 'MANIFEST.in', 'LICENSE'):
        assert {name, name.partition('/')[0]} & set(copied), f'{name} is not copied'
    ignored = (ROOT / '.dockerignore').read_text(encoding='utf-8').split()
    assert not set(ignored) & set(copied)
    (extras,) = re.findall(r'^ARG EXTRAS=(.+)', text, flags=re.M)
    for extra in extras.split(','):
        assert f"'{extra}'" in setup and (ROOT / f'requirements/{extra}.txt').is_file()


def test_build(tmp_path):
    build = pytest.importorskip('sphinx.cmd.build', reason='sphinx builds the documentation')
    assert (
        build.main(
            [
                '-W',
                '-q',
                '-b',
                'html',
                '-d',
                str(tmp_path / 'trees'),
                str(DOCS),
                str(tmp_path / 'html'),
            ]
        )
        == 0
    )


def test_generated_parts_are_up_to_date():
    script = runpy.run_path(str(ROOT / 'docs/build_pages.py'))
    for path, text in script['outputs']().items():
        assert path.read_text(encoding='utf-8') == text, (
            f'{path.relative_to(ROOT)}: run python docs/build_pages.py'
        )


def test_links_and_named_files_exist():
    missing = []
    for page in LINKED:
        text = page.read_text(encoding='utf-8')
        links = [
            link for link in re.findall(r'\]\(([^)#]+)(?:#[^)]*)?\)', text) if '://' not in link
        ]
        named = re.findall(
            r'(?<![\w/])((?:configs|tools|benchmarks|hrtk|requirements|docs|tests)/[\w./]+\w)', text
        )
        missing += [
            f'{page.relative_to(ROOT)}: {link}'
            for link in links
            if not (page.parent / link).exists()
        ]
        missing += [
            f'{page.relative_to(ROOT)}: {name}'
            for name in named
            if not (ROOT / name).exists() and not (page.parent / name).exists()
        ]
    assert not missing


def test_figures_are_those_that_their_script_draws(tmp_path):
    script = runpy.run_path(str(ROOT / 'docs/build_figures.py'))
    shown = script['FOLDER']
    script['main'].__globals__['FOLDER'] = tmp_path
    script['main']()
    drawn = sorted(path.name for path in tmp_path.iterdir())
    assert drawn == sorted(path.name for path in shown.glob('conventions_*.png'))
    for name in drawn:
        # Coarse: another matplotlib sets its letters otherwise.
        ours, theirs = (
            cv2.resize(
                cv2.imread(str(folder / name)), (40, 20), interpolation=cv2.INTER_AREA
            ).astype(int)
            for folder in (tmp_path, shown)
        )
        assert abs(ours - theirs).mean() < 3 < ours.std(), (
            f'{name}: run python docs/build_figures.py'
        )
