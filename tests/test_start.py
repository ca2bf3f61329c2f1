"""What is imported at the start: no command and no call loads a library that it does not use."""

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import hrtk.apis
from hrtk import registry as registries
from hrtk.apis.listing import list_registered
from hrtk.registry import Registry

HEAVY = (
    'torch',
    'torch._dynamo',
    'torch.distributed.fsdp',
    'sympy',
    'scipy',
    'matplotlib',
    'cv2',
    'numba',
    'onnxruntime',
    'rich.progress',
)


def imported(code):
    """The heavy modules that a program imports."""
    report = f'import json, sys; print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))'
    run = subprocess.run(
        [sys.executable, '-c', f'{code}\n{report}'], capture_output=True, text=True, check=True
    )
    return set(json.loads(run.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    'arguments',
    [
        ['--help'],
        ['list'],
        ['list', 'adapters', '--json'],
        ['adapt', '--help'],
        ['train', '--help'],
    ],
    ids=' '.join,
)
def test_commands_that_compute_nothing_import_no_library(arguments):
    code = f'from hrtk.cli.main import main; assert main({arguments!r}) == 0'
    assert imported(code) - {'rich.progress'} == set()  # mmengine's config imports rich.progress


@pytest.mark.parametrize('code', ['import hrtk', 'import hrtk.apis', 'import hrtk.apis.listing'])
def test_hrtk_alone_imports_no_library(code):
    assert imported(code) - {'rich.progress'} == set()


def test_networks_need_no_compiler_and_no_training_loop():
    code = 'from hrtk.apis import build_model, load_config; import hrtk.adapters, hrtk.datasets'
    assert (
        imported(code) & {'torch._dynamo', 'torch.distributed.fsdp', 'matplotlib', 'sympy'} == set()
    )
    code = "from hrtk.apis import load_config; load_config('source/r18_wild')"
    assert (
        imported(code) & {'torch._dynamo', 'torch.distributed.fsdp', 'matplotlib', 'sympy'} == set()
    )


def test_every_call_is_found_and_known_to_type_checkers():
    for name in hrtk.apis.__all__:
        assert getattr(hrtk.apis, name).__name__ == name
        assert hrtk.apis.__dict__[name] is getattr(hrtk.apis, name)
    assert set(hrtk.apis.HOMES) == set(hrtk.apis.__all__) <= set(dir(hrtk.apis))
    with pytest.raises(AttributeError, match='adpat'):
        hrtk.apis.adpat
    tree = ast.parse(Path(hrtk.apis.__file__).read_text(encoding='utf-8'))
    declared = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or '').startswith('hrtk.apis'):
            declared.update({alias.name: node.module for alias in node.names})
    assert declared == {name: f'hrtk.apis.{home}' for name, home in hrtk.apis.HOMES.items()}


def test_the_list_read_from_the_source_is_that_of_the_registries():
    listed = {(item.registry, item.path): item.summary for item in list_registered(plugin='hrtk')}
    found = {}
    for registry, value in vars(registries).items():
        if not isinstance(value, Registry):
            continue
        value.import_from_location()
        for name, cls in value.module_dict.items():
            if cls.__module__.startswith('hrtk.'):
                assert name == cls.__name__
                found[registry, f'{cls.__module__}.{name}'] = cls.__doc__
    assert set(listed) == set(found) and len(found) > 90
    for key, docstring in found.items():
        assert ' '.join(docstring.split()).startswith(listed[key])
    module, _, name = next(iter(found))[1].rpartition('.')
    assert hasattr(importlib.import_module(module), name)
