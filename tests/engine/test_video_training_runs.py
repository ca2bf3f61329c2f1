"""Training of video networks as a run: wrong options, resumption, and the bundled weights."""

from __future__ import annotations

import shutil

import pytest
import torch
from video_training_parts import CONFIGS, HEAD, NETWORK, SGD, TRACKS, build

from hrtk.apis import load_config
from hrtk.apis.train import KEYS, REQUIRED, train
from hrtk.apis.zoo.publish import publish
from hrtk.datasets import OpenStream
from hrtk.engine.runner import check_keys
from hrtk.errors import InputError
from hrtk.evaluation import accel_error
from hrtk.models.checkpoints import find_weights
from hrtk.registry import ESTIMATORS, MODELS, TEMPORAL
from hrtk.training.part_optimizers import PartOptimizers


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(motion=None), 'needs captured motion'),
        (dict(weights=dict(pose=1.0)), 'weights are of keypoints2d'),
        (dict(motion=dict(type='MotionWindow')), 'MotionWindows'),
        (dict(metric=dict(type='LogRatioLoss', variant='log')), "variant is one of .*'kim'.*'log'"),
    ],
)
def test_wrong_options(start_config, options, message):
    with pytest.raises(InputError, match=message):
        build(start_config, **options)


@pytest.mark.parametrize(
    'parts, message',
    [
        (dict(netwrok=SGD['network']), 'netwrok: expected a part of VideoTraining'),
        (dict(network=dict(lr=1.0)), '`optimizer`'),
        (dict(network=dict(optimizer=dict(type='Adan'))), 'Adam'),
    ],
)
def test_wrong_optimisers(start_config, parts, message):
    with pytest.raises(InputError, match=message):
        PartOptimizers(parts)(build(start_config))
    with pytest.raises(InputError, match='paramwise_cfg'):
        PartOptimizers(parts, dict(norm_decay_mult=0.0))


def run(folder, start_config):
    loaders = {
        f'{loader}.dataset.{key}': value
        for loader in ('train_dataloader', 'val_dataloader')
        for key, value in dict(frames=6, stride=1, tracks=TRACKS, estimator=start_config).items()
    }
    train(
        CONFIGS / 'vibe/vibe_open.py',
        work_dir=folder,
        cfg_options={
            **loaders,
            'model.start': start_config,
            'model.network': dict(NETWORK, regressor=dict(HEAD, dropout=0.5)),
            'model.critic.hidden': 8,
            'model.critic.attention': 8,
            'model.motion.frames': 6,
            'train_dataloader.batch_size': 2,
            'train_cfg.max_epochs': 2,
            'default_hooks.logger.interval': 1,
        },
    )
    return torch.load(folder / 'epoch_2.pth', weights_only=True)


def flat(value):
    """All tensors and numbers of nested containers."""
    if isinstance(value, (dict, list, tuple)):
        return [
            leaf
            for item in (value.values() if isinstance(value, dict) else value)
            for leaf in flat(item)
        ]
    return [torch.as_tensor(value)] if isinstance(value, (torch.Tensor, int, float)) else []


def test_resumed_training_gives_the_same_digits_and_publishes(start_config, tmp_path):
    whole = run(tmp_path / 'whole', start_config)
    killed = tmp_path / 'parts'  # as a kill in the second epoch leaves it
    killed.mkdir()
    shutil.copy(tmp_path / 'whole/epoch_1.pth', killed)
    (killed / 'last_checkpoint').write_text(str(killed / 'epoch_1.pth'))
    torch.manual_seed(99)
    resumed = run(killed, start_config)
    assert whole['state_dict']['steps'] == 6 and set(whole['optimizer']) == {'network', 'critic'}
    for key in ('state_dict', 'optimizer'):
        first, second = flat(whole[key]), flat(resumed[key])
        assert len(first) == len(second) > 40 and all(
            torch.equal(*pair) for pair in zip(first, second)
        )
    record = publish(tmp_path / 'whole', tmp_path / 'mine.pt')
    assert [row['epoch'] for row in record['validation']] == [1, 2]
    assert all(row['mpjpe_mm'] > 0 and row['accel_mm'] > 0 for row in record['validation'])
    network = TEMPORAL.build(dict(NETWORK, weights=str(tmp_path / 'mine.pt')))
    torch.testing.assert_close(
        network.gru.weight_ih_l0,
        whole['state_dict']['network.gru.weight_ih_l0'],
        atol=1e-3,
        rtol=1e-3,
    )


@pytest.mark.parametrize('name', ['vibe_open', 'vibe_metric_open'])
def test_config_fits_the_video_estimator(track_cache, name):
    cfg = load_config(CONFIGS / f'vibe/{name}.py')
    check_keys(cfg, KEYS, REQUIRED)
    model = MODELS.build(cfg.model)
    PartOptimizers(
        {name: part for name, part in cfg.optim_wrapper.items() if name != 'constructor'}
    )(model)
    estimator = cfg.estimator
    estimator.network.weights = None
    video = ESTIMATORS.build(estimator)
    video.network.load_state_dict(model.network.state_dict())
    assert len(model.motion) > 10000


def test_bundled_weights_move_more_smoothly_than_their_image_network(track_cache):
    config = load_config(CONFIGS / 'vibe/r18_vibe_wild.py').estimator
    plain, metric = (
        ESTIMATORS.build(
            {**config, 'network': {**config.network, 'weights': f'open:{name}'}}
        ).eval()
        for name in ('vibe_open', 'vibe_metric_open')
    )
    assert find_weights('open:vibe_metric_open').stat().st_size < 6 * 2**20
    sequence = OpenStream(domain='wild', sequences=1, frames=24, seed=7)[0]
    with torch.no_grad():
        crops = plain.crops(sequence, range(24))
        true, *found = (
            plain.body.joints(body.rotmat, body.betas, 'spin24')
            for body in (sequence.truth, metric(crops), plain(crops), plain.image(crops[0]))
        )
    errors = [accel_error(joints, true).mean() for joints in found]
    assert 0 < errors[0] < errors[1] < errors[2]
