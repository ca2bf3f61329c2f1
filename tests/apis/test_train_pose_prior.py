"""Training of the pose prior: its data, its losses, its config, and what is published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.spatial.transform import Rotation

from hrtk.apis import load_config
from hrtk.apis.train import KEYS, REQUIRED, train
from hrtk.apis.zoo.publish import publish
from hrtk.datasets import OpenPoses
from hrtk.datasets.motion import load_motion
from hrtk.engine.runner import check_keys
from hrtk.errors import InputError
from hrtk.models.priors import PoseAutoEncoder
from hrtk.registry import DATASETS, METRICS, MODELS
from hrtk.training import pose_prior as pose_prior_training
from hrtk.training.pose_prior import (
    PosePriorQuality,
    PosePriorTraining,
    angles_deg,
    mix_legs,
    outside,
)

CONFIG = Path(__file__).parents[2] / 'configs/pose_prior/aae_open.py'
NETWORK = dict(type='PoseAutoEncoder', latent=4, hidden=8)


def rotations(*shape, seed=0, scale=1.0):
    vectors = np.random.default_rng(seed).normal(scale=scale, size=(int(np.prod(shape)), 3))
    return torch.from_numpy(Rotation.from_rotvec(vectors).as_matrix()).float().view(*shape, 3, 3)


def test_poses_of_the_motion():
    poses, clips = OpenPoses('test'), load_motion('test')
    assert len(poses) == sum(map(len, clips)) and poses[3]['rotmat'].shape == (23, 3, 3)
    np.testing.assert_allclose(
        poses[3]['rotmat'], Rotation.from_rotvec(clips[0].poses[3, 1:]).as_matrix(), atol=1e-6
    )
    both = OpenPoses('test', mirror=True)
    assert len(both) == 2 * len(poses) and torch.equal(both[5]['rotmat'], poses[5]['rotmat'])
    # Seen in a mirror, the right knee bends as the left one did.
    reflect = np.diag([-1.0, 1.0, 1.0])
    np.testing.assert_allclose(
        both[len(poses) + 5]['rotmat'][4],
        reflect @ poses[5]['rotmat'][3].numpy() @ reflect,
        atol=1e-6,
    )
    assert len(OpenPoses(None)) == len(OpenPoses('train')) + len(poses)
    with pytest.raises(InputError, match='trian'):
        OpenPoses('trian')


def test_legs_of_another_pose():
    poses = rotations(64, 23)
    mixed = mix_legs(poses, 0.5)
    legs = [0, 1, 3, 4, 6, 7, 9, 10]
    rest = [joint for joint in range(23) if joint not in legs]
    assert torch.equal(mixed[:, rest], poses[:, rest])
    other = (mixed[:, legs] == poses.roll(1, 0)[:, legs]).flatten(1).all(1)
    own = (mixed[:, legs] == poses[:, legs]).flatten(1).all(1)
    assert (other ^ own).all() and 10 < other.sum() < 54
    assert torch.equal(mix_legs(poses, 0.0), poses)


def test_who_learns_from_which_loss():
    torch.manual_seed(0)
    model = PosePriorTraining(NETWORK, critic=8)
    poses = rotations(16, 23, scale=0.3)
    losses = model(poses, mode='loss')
    assert set(losses) == {'loss_rotmat', 'loss_joints3d', 'loss_adversarial', 'loss_critic'}

    def learners(name):
        model.zero_grad()
        losses[name].backward(retain_graph=True)
        return {
            key.split('.')[0] + '.' + key.split('.')[1] if key.startswith('network') else 'critic'
            for key, value in model.named_parameters()
            if value.grad is not None and value.grad.abs().sum() > 0
        }

    assert learners('loss_critic') == {'critic'}
    assert learners('loss_adversarial') == {'network.encoder'}
    assert learners('loss_rotmat') == {'network.decoder'}  # whose last layers are zero at the start


def test_critic_is_fooled_by_uniform_latents_alone():
    """Least squares: the best critic says 1/2 where both kinds are equally likely."""
    torch.manual_seed(0)
    model = PosePriorTraining(NETWORK, critic=16)
    optimiser = torch.optim.Adam(model.critic.parameters(), 3e-3)
    model.network.encode = lambda rotmat: torch.rand(len(rotmat), 4) * 2 - 1
    poses = rotations(256, 23)
    for _ in range(100):
        optimiser.zero_grad()
        model(poses, mode='loss')['loss_critic'].backward()
        optimiser.step()
    opinion = model.critic(torch.rand(1000, 4) * 2 - 1)
    assert abs(opinion.mean() - 0.5) < 0.05 and opinion.std() < 0.1


def test_angles():
    first, second = rotations(7, 23), rotations(7, 23, seed=1)
    true = (
        Rotation.from_matrix(first.view(-1, 3, 3))
        * Rotation.from_matrix(second.view(-1, 3, 3)).inv()
    ).magnitude()
    np.testing.assert_allclose(angles_deg(first, second).flatten(), np.rad2deg(true), atol=0.05)


def test_quality():
    metric = PosePriorQuality(dict(type='OpenPoses', split='test'), samples=50)
    reference, generator = metric.reference, np.random.default_rng(0)
    latents = generator.uniform(-1, 1, (200, 3)) ** [1, 3, 1]
    samples = [
        dict(
            mpjpe14_mm=torch.tensor(4.0),
            angle_deg=torch.tensor(2.0),
            latent=torch.from_numpy(latent),
            rotmat=reference[3 * i],
            random=rotations(23, seed=i),
        )
        for i, latent in enumerate(latents)
    ]
    metric.process({}, samples)
    found = metric.compute_metrics(metric.results)
    expected = [stats.kstest(column, stats.uniform(-1, 2).cdf).statistic for column in latents.T]
    assert found['latent_ks'] == pytest.approx(np.mean(expected), abs=1e-6)
    corr = np.abs(np.corrcoef(latents.T))[np.triu_indices(3, 1)].mean()
    assert found['latent_correlation'] == pytest.approx(corr, abs=1e-6)
    assert found['mpjpe14_mm'] == 4 and found['angle_deg'] == 2
    assert found['nearest_deg'] < 0.05 and found['outside'] == 0
    assert found['random_nearest_deg'] > 50 and found['random_outside'] > 0.5
    assert outside(rotations(9, 23, scale=1e-3), reference) < outside(
        rotations(9, 23, scale=1.0), reference
    )


def test_config_builds():
    cfg = load_config(CONFIG)
    check_keys(cfg, KEYS, REQUIRED)
    model = MODELS.build(cfg.model)
    assert isinstance(model.network, PoseAutoEncoder) and cfg.randomness.seed == 0
    assert len(DATASETS.build(cfg.train_dataloader.dataset)) == 2 * len(OpenPoses('train'))
    assert len(DATASETS.build(cfg.val_dataloader.dataset)) == len(OpenPoses('test'))
    for metric in cfg.val_evaluator:
        METRICS.build(metric)


@pytest.fixture
def few_poses(monkeypatch):
    """A motion of 64 poses."""
    every = OpenPoses('test').rotmat[::50][:64]
    monkeypatch.setattr(
        OpenPoses, '__init__', lambda self, **options: setattr(self, 'rotmat', every)
    )


def run(work_dir, name):
    return train(
        CONFIG,
        work_dir=work_dir,
        experiment_name=name,
        cfg_options={
            'model.network.hidden': 16,
            'train_dataloader.batch_size': 32,
            'train_cfg.max_epochs': 2,
            'train_cfg.val_interval': 1,
            'default_hooks.checkpoint.interval': 1,
        },
    )


def test_training_learns_resumes_and_publishes(tmp_path, few_poses, monkeypatch):
    metrics = run(tmp_path / 'whole', 'prior-whole')
    assert metrics['views/mpjpe_mm'] > 0 and 0 < metrics['poses/latent_ks'] < 1
    steps, mix = iter(range(100)), pose_prior_training.mix_legs

    def killed(*args):
        if next(steps) == 3:  # in the second epoch
            raise KeyboardInterrupt
        return mix(*args)

    monkeypatch.setattr(pose_prior_training, 'mix_legs', killed)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / 'parts', 'prior-first')
    run(tmp_path / 'parts', 'prior-second')
    whole, parts = (
        torch.load(tmp_path / folder / 'epoch_2.pth', weights_only=True)['optimizer']
        for folder in ('whole', 'parts')
    )
    assert whole['state'][0]['step'] == parts['state'][0]['step'] == 4
    assert whole['param_groups'][0]['lr'] == pytest.approx(parts['param_groups'][0]['lr'], rel=1e-9)
    assert run(tmp_path / 'parts', 'prior-third') == {}
    record = publish(tmp_path / 'parts', tmp_path / 'mine.pt')
    assert [row['epoch'] for row in record['validation']] == [1, 2] and record['seed'] == 0
    assert PoseAutoEncoder(hidden=16, weights=tmp_path / 'mine.pt').latent == 32
