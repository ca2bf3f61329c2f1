"""AdaptRunner offers what mmengine's hooks read of a runner while they test."""

import ast
import json
import logging
import sys
from pathlib import Path

import pytest
from mmengine import hooks as mmengine_hooks
from mmengine.runner import log_processor

from hrtk.apis import adapt, load_config
from hrtk.engine import AdaptRunner
from hrtk.engine.run_log import Console, RunLog, log_warnings
from hrtk.errors import InputError
from hrtk.registry import HOOKS

# The functions of mmengine's hooks that an adaptation calls, and those that these call.
CALLED = {
    'before_run',
    'before_test',
    'after_test_epoch',
    'after_test',
    'after_run',
    '_after_epoch',
    '_swap_ema_parameters',
}


def attributes_of_runner(path: Path, functions: set | None) -> set[str]:
    """Names that the functions of a file read of their argument ``runner``."""
    names = set()
    for function in ast.walk(ast.parse(path.read_text())):
        if not isinstance(function, ast.FunctionDef):
            continue
        if functions is not None and function.name not in functions:
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Attribute) and getattr(node.value, 'id', None) == 'runner':
                names.add(node.attr)
    return names


@pytest.fixture
def runner(config, tmp_path):
    cfg = load_config(config, {'work_dir': str(tmp_path), 'dataset.lengths': (2,)})
    return AdaptRunner.from_cfg(cfg)


def test_has_all_attributes_that_hooks_read(runner):
    names = attributes_of_runner(Path(log_processor.__file__), None)
    for path in Path(mmengine_hooks.__file__).parent.glob('*.py'):
        names |= attributes_of_runner(path, CALLED)
    assert {'cfg', 'message_hub', 'log_dir', 'test_dataloader', 'visualizer'} <= names
    assert [name for name in sorted(names) if not hasattr(runner, name)] == []


@pytest.mark.parametrize(
    'hook',
    [
        dict(type='RuntimeInfoHook'),
        dict(type='IterTimerHook'),
        dict(type='DistSamplerSeedHook'),
        dict(type='LoggerHook'),
        dict(type='ParamSchedulerHook'),
        dict(type='CheckpointHook', interval=1),
        dict(type='EMAHook'),
        dict(type='EmptyCacheHook', after_epoch=True),
        dict(type='SyncBuffersHook'),
        dict(type='NaiveVisualizationHook'),
    ],
    ids=lambda hook: hook['type'],
)
def test_hooks_of_mmengine_run(config, tmp_path, hook):
    options = {'dataset.lengths': (2,), 'custom_hooks': [hook]}
    adapt(config, work_dir=tmp_path, cfg_options=options)


def test_runtime_information_and_scalars_are_logged(config, tmp_path):
    options = {
        'dataset.lengths': (2, 3),
        'work_dir': str(tmp_path),
        'custom_hooks': [dict(type='RuntimeInfoHook'), dict(type='LoggerHook')],
    }
    runner = AdaptRunner.from_cfg(load_config(config, options))
    metrics = runner.adapt()
    assert runner.message_hub.get_info('seed') == runner.seed == 0
    assert runner.message_hub.get_info('experiment_name') == runner.experiment_name
    key = 'Jiggle/mpjpe_mm'
    assert runner.message_hub.get_scalar(f'test/{key}').current() == metrics[key]
    logged = json.loads(Path(runner.log_dir, f'{runner.timestamp}.json').read_text())
    assert logged[key] == pytest.approx(metrics[key], rel=1e-4)
    log = Path(runner.log_dir, f'{runner.timestamp}.log').read_text()
    assert 'Epoch(test)' in log and '[2/2] clip/1' in log


def test_hooks_run_in_the_order_of_their_priorities(config, tmp_path):
    first = dict(type='IterTimerHook', priority='HIGHEST')
    custom = [dict(type='EmptyCacheHook'), dict(type='SyncBuffersHook', priority=95), first]
    options = {'work_dir': str(tmp_path), 'custom_hooks': custom}
    runner = AdaptRunner.from_cfg(load_config(config, options))
    runner.register_hook(dict(type='RuntimeInfoHook'), priority=95)
    runner.register_hook(HOOKS.build(dict(type='EMAHook')))
    assert [type(hook).__name__ for hook in runner.hooks] == [
        'IterTimerHook',
        'EmptyCacheHook',
        'EMAHook',
        'ProgressHook',
        'SyncBuffersHook',
        'RuntimeInfoHook',
    ]
    with pytest.raises(TypeError, match='instance of Hook or dict'):
        runner.register_hook(object())


def test_a_wrong_hook_is_named(runner):
    class Broken(mmengine_hooks.Hook):
        def before_sequence(self, runner):
            pass

    runner.register_hook(Broken())
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'sequence' in .*Broken"):
        runner.adapt()


def test_a_visualizer_of_the_config_gets_its_folder(config, tmp_path):
    options = {
        'work_dir': str(tmp_path),
        'visualizer': dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')]),
    }
    runner = AdaptRunner.from_cfg(load_config(config, options))
    assert list(Path(runner.log_dir).glob('vis_data/config.py'))


@pytest.mark.parametrize(
    ('key', 'value', 'words'),
    [
        ('outputs', -1, 'outputs is a mapping'),
        ('dataset', 'clip', 'dataset is a mapping'),
        ('adapter', [1], 'adapter is a mapping'),
        ('evaluator', [3], 'evaluator is a mapping or a list'),
        ('custom_hooks', 'x', 'custom_hooks is a mapping or a list'),
        ('midway', 'x', 'midway is a mapping'),
        ('env_cfg', 3, 'env_cfg is a mapping'),
        ('work_dir', 3, 'work_dir is a text'),
        ('resume', 'yes', 'resume is true or false'),
        ('randomness', dict(seed='x'), 'randomness cannot be used'),
        ('randomness', dict(seed=10**12), 'randomness cannot be used'),
        ('randomness', dict(sead=1), 'randomness cannot be used'),
        ('log_level', 'LOUD', 'log_level cannot be used'),
        ('visualizer', dict(type='Visualizer', vis_backends=3), 'visualizer cannot be used'),
        ('custom_hooks', [dict(type='LoggerHook', interval='x')], 'hook LoggerHook: interval is'),
        ('adapter', dict(type='Bilevel', lr='x'), 'adapter Bilevel: lr is a number'),
        ('adapter', dict(type='Bilevel', pull=2.0), 'Bilevel: pull is in [0, 1)'),
        ('adapter', dict(type='Bilevvel'), 'there is no adapter called'),
        ('default_hooks', dict(progress=3), 'default_hooks cannot be used'),
        ('device', 'nowhere', 'device cannot be used'),
    ],
)
def test_wrong_values_name_file_and_key(config, tmp_path, key, value, words):
    part = json.dumps(value).replace('true', 'True')
    with open(config, 'a') as file:
        file.write(f'work_dir = {str(tmp_path)!r}\n{key} = {part}\n')
    with pytest.raises(InputError) as error:
        adapt(config)
    assert str(error.value).startswith(f'{config}: {words}')


def log_of(run):
    (path,) = Path(run.log_dir).glob('*.log')
    return path.read_text()


def test_warnings_of_modules_stand_in_the_log_of_the_run(config, tmp_path):
    package = logging.getLogger('hrtk')
    before = list(package.handlers)

    def runner_in(name):
        options = {'work_dir': str(tmp_path / name), 'dataset.lengths': (2,)}
        return AdaptRunner.from_cfg(load_config(config, options))

    first = runner_in('first')
    logging.getLogger('hrtk.datasets.some').warning('person %d is lost', 1)
    logging.getLogger('hrtk.datasets.some').warning('person %d is lost', 2)
    logging.getLogger('elsewhere').warning('of another program')
    second = runner_in('second')
    logging.getLogger('hrtk.models').warning('person %d is found', 1)
    assert 'person 1 is lost' in log_of(first) and 'person 2 is lost' in log_of(first)
    assert ' - WARNING - ' in log_of(first)
    assert 'another program' not in log_of(first)
    assert 'found' not in log_of(first) and 'person 1 is found' in log_of(second)
    assert len(package.handlers) == 2  # those of the last run
    others = [handler for handler in before if not isinstance(handler, (RunLog, Console))]
    assert all(handler in package.handlers for handler in others)


def test_warnings_are_printed_once(capfd, monkeypatch, tmp_path):
    monkeypatch.setattr(logging.getLogger(), 'handlers', [])
    log_warnings(tmp_path / 'run.log', None)
    logging.getLogger('hrtk.models').warning('a doubt')
    assert capfd.readouterr().err.splitlines() == ['a doubt']
    handler = logging.StreamHandler(sys.stdout)
    logging.getLogger().addHandler(handler)
    logging.getLogger('hrtk.models').warning('another doubt')
    out, err = capfd.readouterr()
    assert (out.splitlines(), err) == (['another doubt'], '')
    assert (tmp_path / 'run.log').read_text().splitlines() == ['a doubt', 'another doubt']
