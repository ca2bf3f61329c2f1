"""Training of the open teachers: their configs build, learn and publish what a teacher then loads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hrtk.apis import load_config
from hrtk.apis.train import KEYS, REQUIRED, train
from hrtk.apis.zoo.publish import publish
from hrtk.datasets import FeatureWindows, OpenTracks
from hrtk.engine.runner import check_keys
from hrtk.errors import InputError
from hrtk.geometry.boxes import normalise
from hrtk.geometry.camera import project
from hrtk.models.estimators import HMR
from hrtk.registry import BODY_MODELS, DATASETS, MODELS, TEACHERS
from hrtk.teachers import window_indices
from hrtk.training import temporal as temporal_training
from hrtk.training.supervision import Supervision
from hrtk.training.temporal import TemporalTraining

CONFIGS = Path(__file__).parents[2] / 'configs'
HEAD = dict(type='IterativeRegressor', hidden=8)
ESTIMATOR = dict(
    type='HMR',
    backbone=dict(type='ResNet', depth=18, width=4),
    head=HEAD,
    resolution=32,
    body=dict(type='BodyModel', file='open'),
)
NETWORK = dict(type='MPSNet', features=32, hidden=8, attention=4, regressor=HEAD)
TRACKS = dict(type='OpenTracks', length=2, frames=6, resolution=32)


@pytest.fixture(autouse=True)
def cache(monkeypatch, shared_cache):
    monkeypatch.setenv('HRTK_CACHE', str(shared_cache))


@pytest.fixture
def estimator(tmp_path):
    """The config of a small image network with weights."""
    torch.manual_seed(0)
    torch.save(
        HMR(**{key: value for key, value in ESTIMATOR.items() if key != 'type'}).state_dict(),
        tmp_path / 'start.pt',
    )
    return dict(ESTIMATOR, weights=str(tmp_path / 'start.pt'))


def test_tracks_are_kept_and_their_labels_fit_the_picture(monkeypatch):
    tracks = OpenTracks(length=2, frames=4, resolution=32)
    track = tracks[1]
    assert {name: tuple(value.shape) for name, value in track.items()} == {
        'image': (4, 3, 32, 32),
        'rotmat': (4, 24, 3, 3),
        'betas': (4, 10),
        'camera': (4, 3),
        'keypoints2d': (4, 24, 2),
    }
    joints = BODY_MODELS.build(dict(type='BodyModel')).joints(
        track['rotmat'], track['betas'], 'spin24'
    )
    # A weak-perspective camera explains a person three metres away up to a few hundredths.
    assert (project(joints, track['camera']) - track['keypoints2d']).abs().mean() < 0.03
    assert track['keypoints2d'].abs().max() < 1.3 and track['image'].float().std() > 10

    def drawn_again(*args):
        raise AssertionError('drawn again')

    monkeypatch.setattr('hrtk.datasets.open_stream.stream.draw_video', drawn_again)
    again = OpenTracks(length=5, frames=4, resolution=32)[
        1
    ]  # a longer set begins with the same tracks
    assert all(torch.equal(again[name], value) for name, value in track.items())
    with pytest.raises(AssertionError):
        OpenTracks(length=2, frames=4, resolution=32, seed=1)[1]
    with pytest.raises(InputError, match='ligth'):
        OpenTracks(shifts=['ligth'])


def test_windows_of_features(estimator, monkeypatch):
    plain = FeatureWindows(TRACKS, estimator)
    both = FeatureWindows(TRACKS, estimator, mirror=True)
    assert len(plain) == 12 and both[7]['features'].shape == (2, 16, 32)
    network = HMR(**{key: value for key, value in estimator.items() if key != 'type'}).eval()
    track = DATASETS.build(TRACKS)[1]
    with torch.no_grad():
        features = [
            network(normalise(image.float())).features
            for image in (track['image'], track['image'].flip(3))
        ]
    for frame in (0, 1, 5):
        item, window = both[6 + frame], window_indices(6, 'clamp')[frame]
        torch.testing.assert_close(
            item['features'], torch.stack([f[window] for f in features]), rtol=0, atol=1e-5
        )
        torch.testing.assert_close(plain[6 + frame]['features'][0], item['features'][0])
        for name in ('rotmat', 'betas', 'camera', 'keypoints2d'):
            assert torch.equal(item[name], track[name][frame])
    monkeypatch.setattr(HMR, 'forward', lambda *args: pytest.fail('computed again'))
    assert torch.equal(FeatureWindows(TRACKS, estimator)[3]['features'], plain[3]['features'])


def test_the_regressor_starts_from_that_of_the_image_network(estimator):
    model = TemporalTraining(NETWORK, estimator)
    weights = torch.load(estimator['weights'], weights_only=True)
    for name, value in model.network.regressor.state_dict().items():
        assert torch.equal(value, weights[f'head.{name}'])
    with pytest.raises(InputError, match='cannot start from that of the image network'):
        TemporalTraining(dict(NETWORK, regressor=dict(HEAD, hidden=9)), estimator)


def test_mirrored_windows_come_with_mirrored_labels(estimator, monkeypatch):
    model = TemporalTraining(NETWORK, estimator).eval()
    item = {
        name: value[None]
        for name, value in FeatureWindows(TRACKS, estimator, mirror=True)[2].items()
    }
    calls = []

    def supervise(body, *labels):
        calls.append(labels)
        return Supervision({}, torch.zeros(1), torch.zeros(1))

    monkeypatch.setattr(temporal_training, 'supervise', supervise)
    for draw in (0.9, 0.1):
        monkeypatch.setattr(torch, 'rand', lambda *args, **kwargs: torch.tensor([draw]))
        model(**item, mode='loss')
    (plain, rotmat, _, points), (mirrored, flipped, _, turned) = calls
    assert torch.equal(rotmat, item['rotmat']) and torch.equal(points, item['keypoints2d'])
    assert torch.equal(plain.features, model.network(item['features'][:, 0]).features)
    assert torch.equal(mirrored.features, model.network(item['features'][:, 1]).features)
    joints = [model.body.joints(r, torch.zeros(1, 10), 'spin24')[0] for r in (rotmat, flipped)]
    order = [5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6, 12, 13, 14, 15, 16, 17, 18, 19, 21, 20, 23, 22]
    np.testing.assert_allclose(joints[1], joints[0][order] * torch.tensor([-1.0, 1, 1]), atol=0.02)
    assert torch.equal(turned[0], points[0][order] * torch.tensor([-1.0, 1.0]))


@pytest.mark.parametrize('name', ['mpsnet', 'tcmr'])
def test_config_learns_and_publishes_what_a_teacher_loads(name, tmp_path):
    small = {
        f'{loader}.dataset.tracks.{key}': value
        for loader in ('train_dataloader', 'val_dataloader')
        for key, value in dict(length=1, frames=8).items()
    }
    metrics = train(
        CONFIGS / f'teachers/{name}_open.py',
        work_dir=tmp_path / 'run',
        experiment_name=f'teacher-{name}',
        cfg_options={**small, 'train_dataloader.batch_size': 4, 'train_cfg.max_epochs': 1},
    )
    assert 0 < metrics['views/mpjpe_mm'] < 1000
    record = publish(tmp_path / 'run', tmp_path / 'mine.pt')
    assert record['validation'][0]['epoch'] == 1 and record['iterations'] == 2
    teacher = teacher_of_pre_adaptation(name)
    TEACHERS.build(
        dict(teacher, network=dict(teacher['network'], weights=str(tmp_path / 'mine.pt')))
    )


def teacher_of_pre_adaptation(name):
    short = {'mpsnet': 'mpn', 'tcmr': 'tcmr'}[name]
    return dict(load_config(CONFIGS / f'3dhrco/r18_{short}_pre_open.py').adapter.teacher)


@pytest.mark.parametrize('name', ['mpsnet', 'tcmr'])
def test_config_and_bundled_weights(name):
    cfg = load_config(CONFIGS / f'teachers/{name}_open.py')
    check_keys(cfg, KEYS, REQUIRED)
    MODELS.build(cfg.model)
    teacher = TEACHERS.build(teacher_of_pre_adaptation(name))
    weights = Path(temporal_training.__file__).parents[1] / f'models/weights/{name}_open.pt'
    assert weights.stat().st_size < 4 * 2**20
    assert (
        teacher.network.features
        == HMR(**{k: v for k, v in cfg.estimator.items() if k != 'type'}).backbone.out_channels
    )
