"""Training of video networks: its data, one step against its formulas, who learns from what, and resuming."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch.utils.data import default_collate
from video_training_parts import RATE, SGD, TRACKS, build, changes

from hrtk.datasets import FeatureClips, MotionWindows
from hrtk.datasets.motion import load_motion
from hrtk.errors import InputError
from hrtk.geometry.camera import project
from hrtk.models.augmentation import mirror_features, mirror_labels
from hrtk.models.lifting import step_generator
from hrtk.registry import DATASETS
from hrtk.training.metrics import ClipError
from hrtk.training.part_optimizers import PartOptimizers


@pytest.fixture(scope='module')
def batch(start_config):
    clips = FeatureClips(TRACKS, start_config, frames=6, stride=1)
    return default_collate([clips[index] for index in range(len(clips))])


def test_clips_of_features(start_config):
    clips = FeatureClips(
        TRACKS, start_config, frames=5, stride=3, mirror=True
    )  # begin at the frames 0 and 3
    assert len(clips) == 4 and clips[3]['features'].shape == (2, 5, 32)
    windows = DATASETS.build(
        dict(type='FeatureWindows', tracks=TRACKS, estimator=start_config, mirror=True)
    )
    track = DATASETS.build(TRACKS)[1]
    for name in ('rotmat', 'betas', 'camera', 'keypoints2d'):
        assert torch.equal(clips[3][name], track[name][3:])
    for frame in range(5):
        # The middle of the window around a frame is that frame.
        assert torch.equal(clips[3]['features'][:, frame], windows[8 + 3 + frame]['features'][:, 8])
    with pytest.raises(IndexError):
        clips[4]
    with pytest.raises(InputError, match='no clip is longer than a track of 8 frames'):
        FeatureClips(TRACKS, start_config, frames=9)


def test_windows_of_motion():
    motion, clips = MotionWindows('test', frames=16, fps=15), load_motion('test')
    assert len(motion) == sum(max(len(clip) - 30, 0) for clip in clips)
    np.testing.assert_array_equal(
        motion[7]['body_pose'], clips[0].poses[7:38:2, 1:].reshape(16, 69)
    )
    first_of_second = len(clips[0]) - 30
    np.testing.assert_array_equal(
        motion[first_of_second]['body_pose'], clips[1].poses[:31:2, 1:].reshape(16, 69)
    )
    np.testing.assert_array_equal(
        motion[len(motion) - 1]['body_pose'], clips[-1].poses[-31::2, 1:].reshape(16, 69)
    )
    both = MotionWindows('test', mirror=True)
    assert len(both) == 2 * len(motion)
    left_knee, right_knee = (slice(3 * (joint - 1), 3 * joint) for joint in (4, 5))
    np.testing.assert_array_equal(
        both[len(motion) + 7]['body_pose'][:, right_knee],
        motion[7]['body_pose'][:, left_knee] * torch.tensor([1.0, -1, -1]),
    )
    with pytest.raises(InputError, match='no clip holds 100000 frames'):
        MotionWindows('test', frames=100000)


def test_one_step_is_that_of_the_formulas(start_config, batch):
    model = build(start_config, seed=5, weights=dict(betas=2.0))
    network, critic, body = copy.deepcopy(model.network), copy.deepcopy(model.critic), model.body
    logged = model.train_step(batch, PartOptimizers(SGD)(model))

    predicted = network(batch['features'][:, 0])
    shape = predicted.rotmat.shape[:2]
    matrices = predicted.rotmat[:, :, 1:].double()
    axis = (
        torch.stack(
            [
                matrices[..., 2, 1] - matrices[..., 1, 2],
                matrices[..., 0, 2] - matrices[..., 2, 0],
                matrices[..., 1, 0] - matrices[..., 0, 1],
            ],
            -1,
        )
        / 2
    )
    angle = torch.atan2(axis.norm(dim=-1), (matrices.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2)
    made_up = (axis * (angle / axis.norm(dim=-1))[..., None]).flatten(2).float()
    np.testing.assert_allclose(
        made_up.detach().reshape(-1, 3),
        Rotation.from_matrix(matrices.detach().reshape(-1, 3, 3)).as_rotvec(),
        atol=1e-5,
    )
    joints, true = (
        body.joints(rotmat.flatten(0, 1), betas.flatten(0, 1), 'spin24').unflatten(0, shape)
        for rotmat, betas in (
            (predicted.rotmat, predicted.betas),
            (batch['rotmat'], batch['betas']),
        )
    )
    in_crop = project(joints.flatten(0, 1), predicted.camera.flatten(0, 1)).unflatten(0, shape)
    apart = (joints - (joints[:, :, 2:3] + joints[:, :, 3:4]) / 2) - (
        true - (true[:, :, 2:3] + true[:, :, 3:4]) / 2
    )
    terms = dict(
        rotmat=60 * ((predicted.rotmat - batch['rotmat']) ** 2).mean(),
        joints3d=300 * (apart**2).mean(),
        keypoints2d=300 * ((in_crop - batch['keypoints2d']) ** 2).mean(),
        betas=2 * ((predicted.betas - batch['betas']) ** 2).mean(),
        motion=0.5 * ((critic(made_up) - 1) ** 2).mean(),
    )
    for name, value in terms.items():
        torch.testing.assert_close(logged[f'loss_{name}'], value, rtol=1e-4, atol=1e-6)
    for name, gradient in zip(
        dict(network.named_parameters()),
        torch.autograd.grad(sum(terms.values()), network.parameters()),
    ):
        change = changes(network, model.network)[name]
        torch.testing.assert_close(change, -RATE['network'] * gradient, rtol=2e-3, atol=2e-7)

    motion = MotionWindows('test', frames=6)
    chosen = torch.randint(len(motion), (len(made_up),), generator=step_generator(5, 0))
    real = torch.stack([motion[int(number)]['body_pose'] for number in chosen])
    loss = 0.5 * ((critic(real) - 1) ** 2).mean() + 0.5 * (critic(made_up.detach()) ** 2).mean()
    torch.testing.assert_close(
        logged['loss_critic_real'] + logged['loss_critic_made_up'], loss, rtol=1e-4, atol=1e-6
    )
    gradients = torch.autograd.grad(loss, critic.parameters())
    assert all(
        gradient.abs().max() > 0
        for name, gradient in zip(dict(critic.named_parameters()), gradients)
        if not name.startswith('attention.6.bias')
    )  # which softmax forgets
    for name, gradient in zip(dict(critic.named_parameters()), gradients):
        torch.testing.assert_close(
            changes(critic, model.critic)[name], -RATE['critic'] * gradient, rtol=2e-3, atol=2e-7
        )


def triple_loop(variant, features, joints, anchors, near):
    """The loss of every triplet; features (B, T, C), joints (B, T, J, 3); distances in quadrature with 1e-4."""
    joints = joints - (joints[:, :, 2:3] + joints[:, :, 3:4]) / 2
    total = 0.0
    for clip, anchor in enumerate(anchors):
        found = []
        for positive in (frame for frame in range(features.shape[1]) if abs(frame - anchor) > near):
            for other in (other for other in range(len(features)) if other != clip):
                for frame in range(features.shape[1]):
                    (f_near, y_near), (f_far, y_far) = (
                        (
                            np.hypot(
                                np.linalg.norm(features[clip, anchor] - features[place]), 1e-4
                            ),
                            np.hypot(
                                np.linalg.norm(
                                    joints[clip, anchor] - joints[place], axis=-1
                                ).mean(),
                                1e-4,
                            ),
                        )
                        for place in ((clip, positive), (other, frame))
                    )
                    ratio = f_near / f_far * y_far / y_near
                    found.append(np.log1p(ratio) if variant == 'thesis' else np.log(ratio) ** 2)
        total += np.mean(found)
    return total


@pytest.mark.parametrize('variant', ['thesis', 'kim'])
def test_metric_loss_compares_the_clips_of_a_batch(start_config, batch, variant):
    model = build(
        start_config,
        seed=5,
        metric=dict(type='LogRatioLoss', variant=variant, skip=2),
        weights=dict(metric=0.5, metric_joints=0.2),
    )
    predicted = copy.deepcopy(model.network)(batch['features'][:, 0])
    shape = predicted.rotmat.shape[:2]
    logged = model.train_step(batch, PartOptimizers(SGD)(model))

    joints, true = (
        model.body.joints(rotmat.flatten(0, 1), betas.flatten(0, 1), 'spin24')[:, :14]
        .detach()
        .double()
        .unflatten(0, shape)
        .numpy()
        for rotmat, betas in (
            (predicted.rotmat, predicted.betas),
            (batch['rotmat'], batch['betas']),
        )
    )
    relative = joints - (joints[:, :, 2:3] + joints[:, :, 3:4]) / 2
    torch.manual_seed(step_generator(5, 0).initial_seed())
    for name, factor, features in (
        ('metric', 0.5, predicted.features.detach().double().numpy()),
        ('metric_joints', 0.2, relative.reshape(*shape, -1)),
    ):
        anchors = torch.randint(shape[1], shape[:1]).tolist()
        wanted = factor * triple_loop(variant, features, true, anchors, near=2)
        assert logged[f'loss_{name}'].item() == pytest.approx(wanted, rel=2e-4)


def test_who_learns_from_which_loss(start_config, batch):
    model = build(start_config)

    def learners():
        found = {
            name.split('.')[0]
            for name, value in model.named_parameters()
            if value.grad is not None and value.grad.abs().sum() > 0
        }
        model.zero_grad()
        return found

    losses, made_up = model.network_losses(**batch)
    losses['loss_motion'].backward(retain_graph=True)
    assert learners() == {'network'} and all(
        value.requires_grad for value in model.critic.parameters()
    )
    real = model.motion.batch(torch.arange(len(made_up)))
    sum(model.critic_losses(real, made_up.detach()).values()).backward()
    assert learners() == {'critic'}


def test_without_the_prior(start_config, batch):
    model = build(start_config, critic=None, motion=None)
    optimisers = PartOptimizers(SGD)(model)
    before = copy.deepcopy(model.network)
    logged = model.train_step(batch, optimisers)
    assert list(optimisers.keys()) == ['network']
    assert set(logged) == {'loss', 'loss_rotmat', 'loss_joints3d', 'loss_keypoints2d', 'loss_betas'}
    assert changes(before, model.network)['regressor.decpose.weight'].abs().max() > 0
    assert set(model(**batch, mode='loss')) == set(logged) - {'loss'}


def test_critic_learns_to_tell_and_network_to_deceive(start_config, batch):
    model = build(
        start_config, weights=dict(keypoints2d=0.0, joints3d=0.0, rotmat=0.0, betas=0.0, motion=1.0)
    )
    optimisers = PartOptimizers(
        dict(
            network=dict(optimizer=dict(type='Adam', lr=0.0)),
            critic=dict(optimizer=dict(type='Adam', lr=1e-2)),
        )
    )(model)
    for _ in range(40):
        logged = model.train_step(batch, optimisers)
    assert (
        logged['loss_critic_real'] < 0.1
        and logged['loss_critic_made_up'] < 0.1
        and logged['loss_motion'] > 0.5
    )
    optimisers = PartOptimizers(
        dict(
            network=dict(optimizer=dict(type='Adam', lr=1e-2)),
            critic=dict(optimizer=dict(type='Adam', lr=0.0)),
        )
    )(model)
    for _ in range(40):
        logged = model.train_step(batch, optimisers)
    assert logged['loss_motion'] < 0.3


def test_mirrored_clips_come_with_mirrored_labels(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    features, rotmat, points = (
        torch.randn(*shape, generator=generator)
        for shape in ((2, 2, 3, 4), (2, 3, 24, 3, 3), (2, 3, 24, 2))
    )
    monkeypatch.setattr(torch, 'rand', lambda *args, **kwargs: torch.tensor([0.9, 0.1]))
    clips, turned, flipped = mirror_features(features, rotmat, points)
    assert torch.equal(clips, torch.stack([features[0, 0], features[1, 1]]))
    for frame in range(3):
        for clip, chosen in enumerate((False, True)):
            one = mirror_labels(
                torch.tensor([chosen]),
                rotmat[clip, frame : frame + 1],
                points[clip, frame : frame + 1],
            )
            assert torch.equal(turned[clip, frame], one[0][0]) and torch.equal(
                flipped[clip, frame], one[1][0]
            )
    assert all(
        torch.equal(*pair)
        for pair in zip(
            mirror_features(features[:, :1], rotmat, points), (features[:, 0], rotmat, points)
        )
    )


def test_validation_measures_position_and_acceleration(start_config, batch):
    model = build(start_config).eval()
    with torch.no_grad():
        samples = model.val_step(batch)
        predicted = model.network(batch['features'][:, 0])
    metric = ClipError()
    metric.process({}, samples)
    found = metric.compute_metrics(metric.results)
    place, acceleration = [], []
    for clip in range(len(samples)):
        joints, true = (
            model.body.joints(rotmat[clip], betas[clip], 'spin24').detach().double().numpy()
            for rotmat, betas in (
                (predicted.rotmat, predicted.betas),
                (batch['rotmat'], batch['betas']),
            )
        )
        apart = (joints - joints[:, 2:4].mean(1, keepdims=True)) - (
            true - true[:, 2:4].mean(1, keepdims=True)
        )
        place.append(np.linalg.norm(apart, axis=-1).mean())
        acceleration.append(
            np.linalg.norm(apart[2:] - 2 * apart[1:-1] + apart[:-2], axis=-1).mean()
        )
    assert found == {
        'mpjpe_mm': pytest.approx(1000 * np.mean(place), rel=1e-4),
        'accel_mm': pytest.approx(1000 * np.mean(acceleration), rel=1e-4),
    }
    assert found['accel_mm'] > 1
