"""``hrtk test``: networks of training configs on their test part, with own, published and official weights."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from hrtk import apis
from hrtk.apis.network_test import fingerprint_with_files
from hrtk.apis.train import train
from hrtk.cli.main import run_command
from hrtk.datasets import MocapLifting
from hrtk.errors import InputError
from hrtk.models.lifting import MPMStage2
from hrtk.models.temporal import VIBE
from hrtk.reading.hashes import sha256
from hrtk.registry import MODELS

ROOT = Path(__file__).parents[2]
LIFTER = ROOT / 'configs/mpm/stage2_open.py'
SIZE = {'channels': 16, 'hidden': 32, 'layers': 1, 'frames': 9}
WINDOWS = dict(type='MocapLifting', split='test', frames=9, step=2, stride=400)
SMALL = {
    **{f'model.network.{key}': value for key, value in SIZE.items()},
    'train_dataloader.dataset.frames': 9,
    'train_dataloader.dataset.stride': 800,
    'train_dataloader.batch_size': 8,
    'val_dataloader.dataset': WINDOWS,
    'train_cfg.max_epochs': 2,
    'train_cfg.val_interval': 1,
}
LIFTED = {**SMALL, 'model.network.pretrained': None, 'model.flip_test': False}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch, shared_cache):
    monkeypatch.setenv('HRTK_CACHE', str(shared_cache))
    monkeypatch.chdir(tmp_path)


def lifter(path):
    """Weights of a small lifter, under the keys of MPM's released checkpoints."""
    torch.manual_seed(1)
    network = MPMStage2(**SIZE)
    state = {f'module.{key}': value for key, value in network.state_dict().items()}
    torch.save(state, path)
    return network.eval()


def test_numbers_are_those_of_the_network(tmp_path):
    network = lifter(tmp_path / 'official.pth')
    metrics = apis.test(LIFTER, tmp_path / 'official.pth', cfg_options=LIFTED, work_dir=tmp_path)
    errors = {}
    windows = MocapLifting(**{key: value for key, value in WINDOWS.items() if key != 'type'})
    for index in range(len(windows)):
        window = windows[index]
        with torch.no_grad():
            joints = network(torch.as_tensor(window['keypoints2d'])[None])['joints3d'][0, 0]
        joints = joints.double().numpy()
        joints[0] = 0
        truth = np.asarray(window['joints3d'], np.float64)
        distance = np.linalg.norm(joints - truth[len(truth) // 2], axis=-1)
        errors.setdefault(window['action'], []).append(1000 * distance.mean())
    expected = np.mean([np.mean(values) for values in errors.values()])
    assert metrics['lifting/mpjpe_mm'] == pytest.approx(expected, rel=1e-5)
    report = json.loads((tmp_path / 'metrics.json').read_text())
    assert report['metrics'] == metrics and report['part'] == 'val'
    assert report['items'] == len(windows)
    assert report['weights']['sha256'] == sha256(tmp_path / 'official.pth')
    assert report['test']['model']['network']['channels'] == 16 and 'torch' in report['versions']


def test_checkpoint_of_a_training_scores_as_its_validation_did(tmp_path):
    options = {**LIFTED, 'train_cfg.max_epochs': 1}
    validated = train(LIFTER, cfg_options=options, work_dir=tmp_path, experiment_name='val')
    scored = apis.test(LIFTER, tmp_path / 'epoch_1.pth', cfg_options=options)
    assert scored['lifting/mpjpe_mm'] == pytest.approx(validated['lifting/mpjpe_mm'], rel=1e-6)
    assert (Path('work_dirs/stage2_open/test') / 'metrics.json').is_file()


def test_a_test_part_has_precedence_and_training_does_not_read_it(tmp_path):
    lifter(tmp_path / 'weights.pth')
    other = dict(WINDOWS, stride=900)
    part = {
        'test_dataloader': dict(batch_size=2, sampler=dict(type='DefaultSampler', shuffle=False)),
        'test_dataloader.dataset': other,
        'test_dataloader.collate_fn': dict(type='default_collate'),
        'test_evaluator': dict(type='LiftingEvaluator', metric='released'),
    }
    apis.test(LIFTER, 'weights.pth', cfg_options={**LIFTED, **part}, work_dir='out')
    report = json.loads(Path('out/metrics.json').read_text())
    assert report['part'] == 'test' and report['evaluator'] == 'LiftingEvaluator released'
    missing = {**part, 'test_dataloader.dataset': dict(type='H36MLifting', file='data/none.npz')}
    options = {**LIFTED, **missing, 'train_cfg.max_epochs': 1}
    assert train(LIFTER, cfg_options=options, work_dir='t', experiment_name='unread')


def test_video_model_keeps_the_regressor_of_its_weights(tmp_path):
    torch.manual_seed(0)
    head = dict(type='IterativeRegressor', hidden=8)
    body = dict(type='BodyModel', file='open')
    backbone = dict(type='ResNet', depth=18, width=4)
    start = dict(type='HMR', backbone=backbone, head=head, resolution=32, body=body)
    network = dict(type='VIBE', features=32, hidden=8, regressor=head)
    vibe = VIBE(features=32, hidden=8, regressor=head)
    state = {}
    for key, value in vibe.state_dict().items():
        name = key if key.startswith('regressor') else f'encoder.{key}'
        state[name] = value
    state['regressor.smpl.betas'] = torch.zeros(64, 10)
    performance = np.float64(56.5)
    torch.save(dict(gen_state_dict=state, epoch=3, performance=performance), 'vibe.pth.tar')
    model = MODELS.build(
        dict(type='VideoTraining', network=dict(network, weights='vibe.pth.tar'), start=start)
    )
    for key, value in vibe.state_dict().items():
        assert torch.equal(model.network.state_dict()[key], value)


@pytest.mark.parametrize(
    'config, parts',
    [
        ('boa/r18_wild', ['hrtk adapt', 'Bilevel']),
        ('source/r18_wild', ['hrtk adapt', 'estimator.weights=FILE']),
        ('hmr/r18_plain', ['SupervisedTraining', 'start model', 'hrtk adapt']),
        ('mpm/stage2_open', ['no weights to test', '--weights']),
    ],
)
def test_other_configs_name_their_command(config, parts, capsys):
    assert run_command('test', [config]) == 2
    message = ' '.join(capsys.readouterr().err.split())
    assert all(part in message for part in parts)


def test_wrong_weights(tmp_path):
    with pytest.raises(InputError, match='nowhere.pth: no such checkpoint'):
        apis.test(LIFTER, 'nowhere.pth', cfg_options=LIFTED)
    torch.save({'conv1.weight': torch.zeros(3)}, 'other.pth')
    with pytest.raises(InputError, match='other.pth: not a checkpoint of MPMStage2'):
        apis.test(LIFTER, 'other.pth', cfg_options=LIFTED)


def test_bundled_weights_by_the_command(capsys):
    options = ['val_evaluator.0.type=ViewError', 'val_dataloader.dataset.split=test']
    command = ['pose_prior/aae_open', '--weights', 'open:pose_aae_open', '--cfg-options', *options]
    assert run_command('test', command) == 0
    assert 'views/mpjpe_mm' in capsys.readouterr().out


def test_a_long_text_in_a_config_is_no_file():
    text = 'x' * 300  # longer than a file system allows for a name
    fingerprints = {fingerprint_with_files(dict(note=note)) for note in (text, text[:-1])}
    assert len(fingerprints) == 2
