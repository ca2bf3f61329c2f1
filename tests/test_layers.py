"""The layers of hrtk: who may import whom, read from the source."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# From the lowest to the highest: a module imports from those before its own only.
LAYERS = (
    'geometry',
    'silhouettes',
    'body_models',
    'losses',
    'models',
    'teachers',
    'detectors',
    'adapters',
    'datasets',
    'evaluation',
    'visualization',
    'testing',
    'engine',
    'training',
    'apis',
    'cli',
    'tools',
)
# A registry knows its modules by name only, so it stands below them.
BASE = (
    'interrupts',
    'moved',
    'version',
    'errors',
    'options',
    'files',
    'prefetch',
    'reading',
    'structures',
    'results',
    'registry',
)
STRANGERS = {'datasets', 'evaluation', 'visualization'}
# mmengine is touched where it is the shell, and by the base class of metrics.
MMENGINE = (
    'hrtk/registry.py',
    'hrtk/engine/',
    'hrtk/training/',
    'hrtk/apis/',
    'hrtk/cli/',
    'hrtk/evaluation/evaluator.py',
    'tools/',
)
FILES = sorted([*ROOT.glob('hrtk/**/*.py'), *ROOT.glob('tools/**/*.py')])


def layer_of(module):
    """``hrtk.geometry.camera`` -> ``geometry``; None for hrtk itself."""
    parts = module.split('.')
    return 'tools' if parts[0] == 'tools' else (parts[1] if len(parts) > 1 else None)


def rank(layer):
    return -1 if layer in BASE else LAYERS.index(layer)


def imports(path):
    """(line, module) of every import, wherever in the file it stands."""
    package = '.'.join(path.relative_to(ROOT).with_suffix('').parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ''
            if node.level:
                parents = package.split('.')[: len(package.split('.')) - node.level + 1]
                base = '.'.join([*parents, *([base] if base else [])])
            names = [f'{base}.{alias.name}' for alias in node.names] if base == 'hrtk' else [base]
            yield from ((node.lineno, name) for name in names)


def breaches(path, found):
    """What a file at ``path`` may not import of ``found``, as messages."""
    name = path.relative_to(ROOT).as_posix()
    layer = layer_of(name.removesuffix('.py').removesuffix('/__init__').replace('/', '.'))
    for line, module in found:
        place = f'{name}:{line} imports {module}'
        if module.split('.')[0] == 'mmengine' and not name.startswith(MMENGINE):
            yield f'{place}: only {", ".join(MMENGINE)} may'
        if module.split('.')[0] not in ('hrtk', 'tools') or layer is None:
            continue
        other = layer_of(module)
        if other is None or other.startswith('_'):
            continue
        if layer != other and rank(other) >= rank(layer) and layer not in BASE:
            yield f'{place}: {other} does not stand below {layer}'
        if layer in BASE and BASE.index(layer) < (
            BASE.index(other) if other in BASE else len(BASE)
        ):
            yield f'{place}: {layer} stands below everything'
        if layer in STRANGERS and other in (STRANGERS | {'adapters'}) - {layer}:
            yield f'{place}: {layer} and {other} do not know each other'


def test_every_package_has_a_layer():
    packages = {
        path.name for path in (ROOT / 'hrtk').iterdir() if path.is_dir() and any(path.glob('*.py'))
    }
    modules = {path.stem for path in (ROOT / 'hrtk').glob('*.py')} - {'__init__'}
    assert packages <= {*LAYERS, *BASE} and modules <= set(BASE)


def test_imports_look_down():
    assert [breach for path in FILES for breach in breaches(path, imports(path))] == []


@pytest.mark.parametrize(
    'name, module',
    [
        ('hrtk/geometry/x.py', 'hrtk.models.checkpoints'),
        ('hrtk/datasets/x.py', 'hrtk.evaluation'),
        ('hrtk/visualization/x.py', 'hrtk.adapters.base'),
        ('hrtk/losses/x.py', 'hrtk.engine'),
        ('hrtk/engine/x.py', 'hrtk.apis.adapt'),
        ('hrtk/structures.py', 'hrtk.registry'),
        ('hrtk/registry.py', 'hrtk.losses'),
        ('hrtk/models/x.py', 'mmengine.config'),
        ('hrtk/apis/x.py', 'tools.adapt'),
    ],
)
def test_breach_is_seen(name, module):
    assert list(breaches(ROOT / name, [(1, module)]))


def test_no_file_holds_a_second_idea():
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding='utf-8').splitlines())
        for path in FILES
    }
    assert [name for name, length in lengths.items() if length > 450] == []
