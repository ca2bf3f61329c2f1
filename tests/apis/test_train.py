"""Training of start models: resumes, and says what is wrong with a config."""

import runpy
import sys
from pathlib import Path

import pytest
import torch

from hrtk.apis.adaptation import load_config
from hrtk.apis.train import train
from hrtk.datasets.open_stream import OpenViews
from hrtk.errors import InputError
from hrtk.training import TrainRunner
from hrtk.training import supervised as training

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / 'configs/hmr/r18_plain.py'
SMALL = {
    'model.estimator.backbone.width': 4,
    'model.estimator.head.hidden': 16,
    'model.estimator.resolution': 32,
    'model.bf16': False,
    'model.augment': 0.0,
    'train_dataloader.batch_size': 8,
    'train_dataloader.num_workers': 0,
    'train_dataloader.persistent_workers': False,
    'train_dataloader.dataset.length': 16,
    'train_dataloader.dataset.resolution': 32,
    'train_dataloader.dataset.cache': False,
    'val_dataloader.batch_size': 8,
    'val_dataloader.dataset.length': 8,
    'val_dataloader.dataset.resolution': 32,
    'val_dataloader.dataset.cache': False,
}


def run(work_dir, name, **options):
    return train(
        CONFIG,
        work_dir=work_dir,
        experiment_name=name,
        cfg_options={**SMALL, 'train_cfg.max_epochs': 2, **options},
    )


def test_runs_of_one_second_share_no_logs(tmp_path, monkeypatch):
    """mmengine keeps a run's visualizer, with its folder, under the name and the second of the run."""
    monkeypatch.setattr('time.time', lambda: 1.7e9)
    runners = []
    for name in ('first', 'second'):
        cfg = load_config(CONFIG, {**SMALL, 'work_dir': str(tmp_path / name)})
        runners.append(TrainRunner.from_cfg(cfg))
    assert runners[0].visualizer is not runners[1].visualizer
    for name, runner in zip(('first', 'second'), runners):
        (backend,) = runner.visualizer._vis_backends.values()
        assert Path(backend._save_dir).is_relative_to(tmp_path / name)


def test_interrupted_training_goes_on_to_the_same_length_and_rate(
    tmp_path, monkeypatch, shared_cache
):
    monkeypatch.setenv('HRTK_CACHE', str(shared_cache))
    assert run(tmp_path / 'whole', 'whole')['views/mpjpe_mm'] > 0
    steps, mirror_half = iter(range(100)), training.mirror_half

    def killed(*args):
        if next(steps) == 3:  # in the second epoch
            raise KeyboardInterrupt
        return mirror_half(*args)

    monkeypatch.setattr(training, 'mirror_half', killed)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / 'parts', 'first')
    run(tmp_path / 'parts', 'second')
    whole, parts = (
        torch.load(tmp_path / folder / 'epoch_2.pth', weights_only=True)['optimizer']
        for folder in ('whole', 'parts')
    )
    assert whole['state'][0]['step'] == parts['state'][0]['step'] == 4
    # Mirroring and dropout of the second epoch draw what they draw without the interruption.
    for index, moments in whole['state'].items():
        for name, value in moments.items():
            assert torch.equal(value, parts['state'][index][name]), (index, name)
    assert whole['param_groups'][0]['lr'] == pytest.approx(parts['param_groups'][0]['lr'], rel=1e-9)
    assert run(tmp_path / 'parts', 'third') == {}


def test_views_that_a_training_draws_stay_on_disk(tmp_path, monkeypatch):
    monkeypatch.setenv('HRTK_CACHE', str(tmp_path))
    views = dict(length=2, resolution=16, cache=True)
    loader = TrainRunner.build_dataloader(
        dict(
            batch_size=2,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='default_collate'),
            dataset=dict(type='OpenViews', **views),
        )
    )
    (drawn,) = loader
    again = OpenViews(**views)
    for index in range(2):
        assert index in again.cache
        assert torch.equal(again[index]['image'], drawn['image'][index])


@pytest.mark.parametrize(
    'options, parts',
    [
        ({'modle': {}}, ["unknown key 'modle'", "'model'"]),
        ({'load_from': 'none.pth'}, ['none.pth', 'load_from']),
        (
            {'model.type': 'SupervisedTrainning'},
            ['SupervisedTrainning', "Did you mean 'SupervisedTraining'"],
        ),
        ({'model.estimator.backbone.type': 'ResNett'}, ["Did you mean 'ResNet'"]),
        ({'train_dataloader.dataset.type': 'OpenView'}, ["Did you mean 'OpenViews'"]),
        ({'train_dataloader.dataset.domain': 'studi'}, ['studio']),
        ({'optim_wrapper.optimizer.type': 'AdammW'}, ["Did you mean 'AdamW'"]),
        ({'val_evaluator.type': 'ViewErrors'}, ["Did you mean 'ViewError'"]),
        ({'custom_hooks': [{'type': 'PlainCheckpoint'}]}, ["Did you mean 'PlainCheckpoints'"]),
        ({'model.bf17': True}, ['bf17']),
        ({'train_dataloader.num_workers': 10**19}, ['num_workers', '0 to 1024']),
        ({'train_dataloader.num_workers': '2'}, ['num_workers', 'whole number']),
        ({'train_dataloader.batch_size': 0}, ['batch_size', 'from 1']),
        ({'train_dataloader.dataset': []}, ['a list, holds nothing']),
    ],
)
def test_bad_config(tmp_path, options, parts):
    with pytest.raises(InputError) as error:
        train(
            CONFIG,
            work_dir=tmp_path,
            experiment_name=str(tmp_path),
            cfg_options={**SMALL, **options},
        )
    for part in parts:
        assert part in str(error.value)


def test_tool_prints_one_line_and_exits_with_2(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['train.py', str(tmp_path / 'none.py')])
    with pytest.raises(SystemExit) as exit:
        runpy.run_path(str(ROOT / 'tools/train.py'), run_name='__main__')
    assert exit.value.code == 2
    assert capsys.readouterr().err.startswith('error: there is no config')
