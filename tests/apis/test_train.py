"""Training of start models: learns, resumes, and says what is wrong with a config."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch

from hrtk.apis.train import train
from hrtk.structures import InputError

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / 'configs/hmr/r18_studio.py'
SMALL = {
    'model.estimator.backbone.width': 4, 'model.estimator.head.hidden': 16, 'model.estimator.resolution': 32,
    'model.bf16': False, 'model.augment': 0.0, 'train_dataloader.batch_size': 8, 'train_dataloader.num_workers': 0,
    'train_dataloader.persistent_workers': False, 'train_dataloader.dataset.length': 16,
    'train_dataloader.dataset.resolution': 32, 'train_dataloader.dataset.cache': False, 'val_dataloader.batch_size': 8,
    'val_dataloader.dataset.length': 8, 'val_dataloader.dataset.resolution': 32, 'val_dataloader.dataset.cache': False,
    'default_hooks.checkpoint.interval': 1, 'default_hooks.logger.interval': 1, 'custom_hooks': [
        {'type': 'PlainCheckpoints'}]}


def run(work_dir, name, epochs, **options):
    return train(CONFIG, work_dir=work_dir, experiment_name=name,
                 cfg_options={**SMALL, 'train_cfg.max_epochs': epochs, **options})


def losses(work_dir):
    rows = {}
    for log in sorted(work_dir.glob('*/vis_data/scalars.json')):
        rows.update((row['step'], row['loss']) for row in map(json.loads, log.read_text().splitlines())
                    if 'loss' in row)
    return rows


def test_resumed_training_ends_as_an_uninterrupted_one(tmp_path, monkeypatch):
    monkeypatch.setenv('HRTK_CACHE', str(tmp_path / 'cache'))
    options = {'param_scheduler': [], 'train_dataloader.sampler.shuffle': False, 'model.weights': dict(
        rotmat=1.0, joints3d=1.0, keypoints2d=1.0, betas=1.0)}
    metrics = run(tmp_path / 'whole', 'whole', 2, **options)
    assert metrics['views/mpjpe_mm'] > 0
    run(tmp_path / 'parts', 'first', 1, **options)
    run(tmp_path / 'parts', 'second', 2, **options)
    first, second = (torch.load(tmp_path / folder / 'iter_4.pth', weights_only=True)['optimizer']['state'][0]['step']
                     for folder in ('whole', 'parts'))
    assert first == second == 4
    assert set(losses(tmp_path / 'whole')) == set(losses(tmp_path / 'parts')) == {1, 2, 3, 4}
    assert run(tmp_path / 'parts', 'third', 2, **options) == {}


@pytest.mark.parametrize('options, parts', [
    ({'modle': {}}, ["unknown key 'modle'", "'model'"]),
    ({'model.type': 'SupervisedTrainning'}, ['SupervisedTrainning', "Did you mean 'SupervisedTraining'"]),
    ({'model.estimator.backbone.type': 'ResNett'}, ["Did you mean 'ResNet'"]),
    ({'train_dataloader.dataset.type': 'OpenView'}, ["Did you mean 'OpenViews'"]),
    ({'train_dataloader.dataset.domain': 'studi'}, ['studio']),
    ({'optim_wrapper.optimizer.type': 'AdamWW'}, ['optim_wrapper', 'AdamWW']),
    ({'val_evaluator.type': 'ViewErrors'}, ["Did you mean 'ViewError'"]),
    ({'custom_hooks': [{'type': 'PlainCheckpoint'}]}, ["Did you mean 'PlainCheckpoints'"]),
    ({'model.bf17': True}, ['bf17'])])
def test_bad_config(tmp_path, options, parts):
    with pytest.raises(InputError) as error:
        train(CONFIG, work_dir=tmp_path, experiment_name=str(tmp_path), cfg_options={**SMALL, **options})
    for part in parts:
        assert part in str(error.value)


def test_tool_prints_one_line_and_exits_with_2(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['train.py', str(tmp_path / 'none.py')])
    with pytest.raises(SystemExit) as exit:
        runpy.run_path(str(ROOT / 'tools/train.py'), run_name='__main__')
    assert exit.value.code == 2
    assert capsys.readouterr().err.startswith('error: there is no config')
