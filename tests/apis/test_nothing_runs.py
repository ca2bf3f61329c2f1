"""No file runs code: payloads in configs, tables, results and checkpoints create no file, whatever reads them."""

import json
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from hrtk.apis import adapt, evaluate, load_config
from hrtk.apis.look.view import view
from hrtk.apis.zoo.publish import publish
from hrtk.cli.main import main
from hrtk.errors import InputError
from hrtk.registry import BACKBONES, HOOKS, check_names
from hrtk.training.runner import TrainRunner

ROOT = Path(__file__).parents[2]
ADAPT = ROOT / 'configs/source/r18_wild.py'
TRAIN = ROOT / 'configs/hmr/r18_studio.py'
OPTIONS = {'dataset.sequences': 1, 'dataset.frames': 2, 'dataset.size': 64, 'outputs': None}


@pytest.fixture
def marker(tmp_path, monkeypatch):
    """The file that every payload would create; modules called ``evil`` can be imported, and create it."""
    marker = tmp_path / 'executed'
    (tmp_path / 'evil').mkdir()
    code = f'open({str(marker)!r}, "w").close()\n'
    (tmp_path / 'evil/__init__.py').write_text(code)
    (tmp_path / 'evil/registry.py').write_text(code)
    (tmp_path / 'base.py').write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    yield marker
    assert not marker.exists() and 'evil' not in sys.modules


def call(marker):
    return {'type': 'os.system', 'command': f'touch {marker}'}


def payloads(marker):
    """Changes of a config, each of which mmengine alone would execute."""
    command = call(marker)
    return {
        'adapter': {'adapter': {'_delete_': True, **command}},
        'nested': {'dataset': {'masks': command}},
        'evaluator list': {'evaluator': [command]},
        'hook': {'custom_hooks': [command]},
        'default hook': {'default_hooks': {'progress': command}},
        'visualizer': {'visualizer': {'type': 'Visualizer', 'vis_backends': [command]}},
        'average': {'custom_hooks': [{'type': 'EMAHook', 'ema_type': 'os.system'}]},
        'module': {'custom_hooks': [{'type': 'evil'}]},
        'scope prefix': {'custom_hooks': [{'type': 'evil.Hook'}]},
        'scope': {'custom_hooks': [{'type': 'EMAHook', '_scope_': 'evil'}]},
        'default scope': {'default_scope': 'evil'},
        'imports': {'custom_imports': {'imports': ['evil']}},
    }


TRAIN_PAYLOADS = {
    'optimizer': lambda command: {'optim_wrapper': {'optimizer': {'_delete_': True, **command}}},
    'wrapper': lambda command: {'optim_wrapper': {'type': command['type']}},
    'constructor': lambda command: {'optim_wrapper': {'constructor': 'os.system'}},
    'schedule': lambda command: {'param_scheduler': [command]},
    'model': lambda command: {'model': {'estimator': {'backbone': command}}},
    'sampler': lambda command: {'train_dataloader': {'sampler': command}},
    'collate': lambda command: {'train_dataloader': {'collate_fn': command}},
    'worker': lambda command: {'train_dataloader': {'worker_init_fn': command}},
    'loop': lambda command: {'train_cfg': command},
    'log': lambda command: {'log_processor': command},
    'wrapped': lambda command: {'model_wrapper_cfg': command},
    'imports': lambda command: {'custom_imports': {'imports': ['evil']}},
}
NAMES = tuple(payloads(Path('x')))


@pytest.mark.parametrize('suffix', ['.yaml', '.json'])
@pytest.mark.parametrize('name', NAMES)
def test_data_config_of_adapt(marker, capsys, name, suffix):
    path = marker.parent / f'run{suffix}'
    content = {'_base_': str(ADAPT), **payloads(marker)[name]}
    path.write_text(json.dumps(content))  # JSON is YAML
    assert main(['adapt', str(path), '--work-dir', 'out']) == 2
    assert str(path) in capsys.readouterr().err


@pytest.mark.parametrize('name', TRAIN_PAYLOADS)
def test_data_config_of_train(marker, capsys, name):
    path = marker.parent / 'training.yaml'
    content = {'_base_': str(TRAIN), **TRAIN_PAYLOADS[name](call(marker))}
    path.write_text(json.dumps(content))
    assert main(['train', str(path), '--work-dir', 'out']) == 2
    assert str(path) in capsys.readouterr().err


@pytest.mark.parametrize('command', ['adapt', 'train', 'infer'])
def test_yaml_tags(marker, capsys, command):
    path = marker.parent / 'run.yaml'
    path.write_text(f'adapter: !!python/object/apply:os.system ["touch {marker}"]\n')
    arguments = [command, str(path)]
    if command == 'infer':
        arguments = ['infer', str(ROOT / 'docs'), '--adapt', str(path)]
    assert main(arguments) == 2
    assert str(path) in capsys.readouterr().err


def test_base_in_python_is_not_executed_for_a_data_config(marker):
    path = marker.parent / 'run.yaml'
    path.write_text('_base_: base.py\n')
    with pytest.raises(InputError, match=r'run.yaml: its _base_ .*base.py is code'):
        load_config(path)


def test_options_do_not_import(marker):
    for options in (
        {'adapter.type': 'os.system'},
        {'custom_imports.imports': ['evil']},
        {'custom_hooks': [call(marker)]},
    ):
        with pytest.raises(InputError, match='registered|py config only'):
            load_config(ADAPT, options)


def test_table(marker, capsys):
    path = marker.parent / 'table.yaml'
    for options in (
        call(marker),
        {'adapter.type': 'os.system'},
        {'custom_hooks': [{'type': 'evil'}]},
    ):
        row = {'label': 'a', 'config': str(ADAPT), 'options': options}
        path.write_text(json.dumps({'title': 't', 'metrics': ['mpjpe_mm'], 'rows': [row]}))
        assert main(['benchmark', str(path), '--work-dir', 'out']) != 0
    path.write_text(f'title: !!python/object/apply:os.system ["touch {marker}"]\n')
    assert main(['benchmark', str(path)]) == 2
    assert str(path) in capsys.readouterr().err


def stored_payloads(marker):
    config = load_config(ADAPT).to_dict()
    command = call(marker)
    return {
        'statement': f'import os\nos.system("touch {marker}")\n',
        'call': f'adapter = __import__("os").system("touch {marker}")\n',
        'keyword': f'adapter = dict(a=open({str(marker)!r}, "w"))\n',
        'imports': "custom_imports = dict(imports=['evil'])\n" + Config(config).pretty_text,
        'dataset': {**config, 'dataset': command},
        'estimator': {**config, 'estimator': {'type': 'HMR', 'body': command}},
        'evaluator': {**config, 'evaluator': [command]},
        'adapter': {**config, 'adapter': command},
        'module': {**config, 'dataset': {'type': 'evil'}},
        'scope': {**config, 'dataset': {'type': 'OpenStream', '_scope_': 'evil'}},
    }


@pytest.mark.parametrize('name', stored_payloads(Path('x')))
def test_results_folder(marker, name):
    folder = marker.parent / 'out/results/123'
    folder.mkdir(parents=True)
    content = {'config': stored_payloads(marker)[name], 'seed': 0, 'versions': {}}
    (folder / 'run.json').write_text(json.dumps(content))
    (folder / 'a.npz').write_bytes(b'')
    for command in ('evaluate', 'report', 'export'):
        assert main([command, str(folder)]) == 2
    with pytest.raises(InputError, match='results'):
        view(folder)


class Touch:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return open, (str(self.marker), 'w')


def test_text_of_a_config_in_a_checkpoint(marker):
    (marker.parent / 'out').mkdir()
    options = {'train_dataloader.dataset.length': 64, 'train_dataloader.num_workers': 0}
    runner = TrainRunner.from_cfg(load_config(TRAIN, {**options, 'work_dir': 'out'}))
    path = marker.parent / 'out/epoch_1.pth'
    meta = {'config': f'import os\nos.system("touch {marker}")\n', 'epoch': 1, 'iter': 2}
    torch.save({'state_dict': runner.model.state_dict(), 'meta': meta}, path)
    checkpoint = runner.load_checkpoint(str(path))
    assert 'config' not in checkpoint['meta'] and checkpoint['meta']['iter'] == 2


@pytest.mark.parametrize('resume', [False, True])
def test_checkpoint_of_a_training(marker, capsys, resume):
    (marker.parent / 'out').mkdir()
    path = marker.parent / 'out/epoch_1.pth'
    torch.save({'state_dict': {}, 'meta': Touch(marker)}, path)
    arguments = [
        'train',
        str(TRAIN),
        '--work-dir',
        'out',
        '--cfg-options',
        'train_dataloader.dataset.length=64',
    ]
    if resume:
        (marker.parent / 'out/last_checkpoint').write_text(str(path))
        arguments.append('resume=True')
    else:
        arguments.append(f'load_from={path}')
    assert main(arguments) == 2
    assert 'out/epoch_1.pth: holds something' in capsys.readouterr().err


def test_published_checkpoint(marker):
    folder = marker.parent / 'out'
    folder.mkdir()
    weights = {'estimator.head.weight': torch.zeros(2)}
    meta = {'cfg': f'import os\nos.system("touch {marker}")\n', 'seed': 0, 'iter': 1}
    torch.save({'state_dict': weights, 'meta': meta}, folder / 'a.pth')
    (folder / 'last_checkpoint').write_text('a.pth')
    with pytest.raises(InputError, match='a.pth: holds no config of literals'):
        publish(folder, folder / 'weights.pt')


@pytest.mark.parametrize('chain', [['a'], ['a', 'b'], ['a', 'b', 'c']])
def test_a_python_config_that_is_its_own_base(tmp_path, chain):
    for name, base in zip(chain, [*chain[1:], chain[0]]):
        (tmp_path / f'{name}.py').write_text(
            f"_base_ = ['{base}.py']\nopen({str(tmp_path / 'executed')!r}, 'w')\n"
        )
    with pytest.raises(InputError, match=r'a\.py: is its own _base_, through .*\.py'):
        load_config(tmp_path / 'a.py')
    assert not (tmp_path / 'executed').exists()


def test_exit_in_a_config_names_the_file(tmp_path, capsys):
    path = tmp_path / 'run.py'
    path.write_text('import sys\nsys.exit(0)\n')
    assert main(['adapt', str(path)]) == 2
    assert 'run.py:2: the config calls exit' in capsys.readouterr().err


def test_results_of_an_earlier_version(tmp_path):
    metrics = adapt(ADAPT, work_dir=tmp_path, cfg_options=OPTIONS)
    record = next(tmp_path.glob('results/*/run.json'))
    content = json.loads(record.read_text())
    cfg = load_config(ADAPT, {**OPTIONS, 'work_dir': str(tmp_path)})
    content['config'] = cfg.pretty_text  # what run.json held before: a program of literals
    record.write_text(json.dumps(content))
    assert next(iter(evaluate(tmp_path).values())) == metrics


def test_data_config_runs(tmp_path):
    (tmp_path / 'half.json').write_text(json.dumps({'_base_': str(ADAPT), 'outputs': None}))
    dataset = '{sequences: 1, frames: 2, size: 64}'
    (tmp_path / 'run.yaml').write_text(f'_base_: half.json\ndataset: {dataset}\n')
    wanted = adapt(ADAPT, work_dir=tmp_path / 'py', cfg_options=OPTIONS)
    found = adapt(tmp_path / 'run.yaml', work_dir=tmp_path / 'yaml')
    assert found['Source/mpjpe_mm'] == wanted['Source/mpjpe_mm']
    assert [path.name for path in tmp_path.glob('py/results/*')] == [
        path.name for path in tmp_path.glob('yaml/results/*')
    ]


@pytest.mark.parametrize(
    'text, message',
    [
        ('_base_: run.yaml', 'is its own _base_'),
        ('[1, 2]', 'is a mapping'),
        ('1: 2', 'names as keys'),
        ('_base_: 3', 'is a path'),
        ('_base_: none.yaml', 'none.yaml: there is no such config'),
        ('a: ' + '[' * 2000, 'run.yaml'),
        ('a: &a [*a]', 'nested too deeply'),
        (
            'a: &a [1,1,1,1,1,1,1,1,1]\n'
            + '\n'.join(
                f'{new}: &{new} [{", ".join(["*" + old] * 9)}]'
                for old, new in zip('abcdefgh', 'bcdefghi')
            ),
            'aliases',
        ),
    ],
)
def test_wrong_data_configs(tmp_path, text, message):
    (tmp_path / 'run.yaml').write_text(text)
    with pytest.raises(InputError, match=message):
        load_config(tmp_path / 'run.yaml')


def test_names_of_registered_classes_stay_valid():
    check_names({'type': 'torch.optim.Adam', 'a': [{'type': 'mmengine.EMAHook'}]}, 'x')
    check_names({'type': 'hrtk.models.backbones.resnet.ResNet', 'clip_grad': {'type': 'norm'}}, 'x')
    assert BACKBONES.get('hrtk.models.backbones.ResNet') is BACKBONES.get('ResNet')
    assert BACKBONES.get('hrtk.ResNet') is BACKBONES.get('ResNet')
    assert HOOKS.get('mmengine.EMAHook') is HOOKS.get('EMAHook')
