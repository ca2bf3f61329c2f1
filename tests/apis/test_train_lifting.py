"""Training of masked pose modelling: its three tasks learn, resume with the same masks, and hand weights on."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from hrtk.apis.train import train
from hrtk.errors import InputError
from hrtk.evaluation.lifting import lifting_errors
from hrtk.losses import joint_distance
from hrtk.models.lifting import step_generator
from hrtk.registry import DATASETS
from hrtk.training.lifting import CompletionTraining, LiftingTraining, MaskedPoseTraining

CONFIGS = Path(__file__).parents[2] / 'configs/mpm'
SIZE = dict(frames=9, channels=16, hidden=16, layers=1, heads=2)
SMALL = {
    'model.network.frames': 9,
    'model.network.channels': 16,
    'model.network.hidden': 16,
    'model.network.layers': 1,
    'model.network.heads': 2,
    'train_dataloader.batch_size': 32,
    'val_dataloader.batch_size': 64,
    'train_dataloader.dataset.frames': 9,
    'train_dataloader.dataset.stride': 400,
    'val_dataloader.dataset.frames': 9,
    'val_dataloader.dataset.stride': 400,
    'train_cfg.max_epochs': 2,
    'train_cfg.val_interval': 1,
    'default_hooks.checkpoint.interval': 1,
    'default_hooks.logger.interval': 1,
}


@pytest.fixture(scope='module')
def batch():
    return DATASETS.build(dict(type='MocapLifting', split='test', frames=9, stride=300)).batch(
        range(40)
    )


def steps(model, batch, count, rate=3e-3):
    """Losses of a few steps, summed over the terms."""
    adam, losses = torch.optim.Adam(model.parameters(), rate), []
    for _ in range(count):
        loss = sum(model(**batch, mode='loss').values())
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize(
    'model',
    [
        lambda: MaskedPoseTraining(dict(type='MPMStage1', **SIZE)),
        lambda: LiftingTraining(dict(type='MPMStage2', **SIZE)),
        lambda: CompletionTraining(
            dict(type='MPMStage1', decoder_layers=2, **SIZE), 'complete2d', [6], test=6
        ),
        lambda: CompletionTraining(
            dict(type='MPMStage1', decoder_layers=2, **SIZE), 'complete3d', [3], test='left_leg'
        ),
    ],
)
def test_it_learns_what_it_is_asked(model, batch):
    torch.manual_seed(0)
    model = model()
    losses = steps(model.train(), batch, 60)
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])
    with torch.no_grad():
        samples = model.eval()(**batch, mode='predict')
    assert len(samples) == 40 and samples[0]['joints3d'].shape[1:] == (17, 3)
    if 'masked' in samples[0]:
        again = model(**batch, mode='predict')
        assert torch.equal(
            samples[0]['masked'], again[0]['masked']
        )  # every validation asks the same


def test_released_weights_and_masks_of_a_step(batch):
    torch.manual_seed(0)
    model = MaskedPoseTraining(
        dict(type='MPMStage1', dropout=0.0, mlp_dropout=0.0, **SIZE), seed=3
    ).train()
    found = model(**batch, mode='loss')
    generator, size = step_generator(3, 0), (40, 9, 17)
    masks2d, masks3d = (model.masks(*size, generator) for _ in range(2))
    torch.testing.assert_close(
        found['loss_pose2d'],
        5
        * joint_distance(model.network(batch['keypoints2d'], '2d', masks2d), batch['keypoints2d']),
    )
    torch.testing.assert_close(
        found['loss_pose3d'],
        2 * joint_distance(model.network(batch['joints3d'], '3d', masks3d), batch['joints3d']),
    )
    hidden = MaskedPoseTraining(dict(type='MPMStage1', **SIZE), counted='hidden')
    assert set(hidden(**batch, mode='loss')) == {'loss_pose2d', 'loss_pose3d'}
    holes = MaskedPoseTraining(dict(type='MPMStage1', **SIZE), masks=dict(type='HoleSampler'))
    assert set(holes(**batch, mode='loss')) == {'loss_pose2d', 'loss_pose3d'}
    with pytest.raises(InputError, match='masks.type'):
        MaskedPoseTraining(dict(type='MPMStage1', **SIZE), masks=dict(type='Holes'))
    with pytest.raises(InputError, match='counted'):
        MaskedPoseTraining(dict(type='MPMStage1', **SIZE), counted='some')
    with pytest.raises(InputError, match='task'):
        CompletionTraining(dict(type='MPMStage1', **SIZE), task='complete')


def test_a_kind_without_weight_leaves_the_network_alone(batch):
    model = MaskedPoseTraining(dict(type='MPMStage1', **SIZE), weights=dict(pose3d=0.0)).train()
    before = {name: value.clone() for name, value in model.network.encoder3d.state_dict().items()}
    losses = model(**batch, mode='loss')
    losses['loss_pose2d'].backward()
    assert set(losses) == {'loss_pose2d'}
    assert all(
        torch.equal(value, before[name])
        for name, value in model.network.encoder3d.state_dict().items()
    )
    assert all(weight.grad is None for weight in model.network.encoder3d.parameters())
    statistics = next(
        value
        for name, value in model.network.shared_layers_spatial.named_buffers()
        if name.endswith('num_batches_tracked')
    )
    assert int(statistics) == 1


def run(folder, config, **more):
    train(CONFIGS / config, work_dir=folder, cfg_options={**SMALL, **more})
    return torch.load(sorted(folder.glob('epoch_*.pth'))[-1], weights_only=True)['state_dict']


def test_stages_and_resume(tmp_path):
    # Dropout draws from torch's generator, which a checkpoint does not hold; masks and the order of windows must agree.
    still = {'model.network.dropout': 0.0, 'model.network.mlp_dropout': 0.0}
    whole = run(tmp_path / 'whole', 'stage1_open.py', **still)
    killed = tmp_path / 'parts'  # as a kill in the second epoch leaves it
    killed.mkdir()
    shutil.copy(tmp_path / 'whole/epoch_1.pth', killed)
    (killed / 'last_checkpoint').write_text(str(killed / 'epoch_1.pth'))
    resumed = run(tmp_path / 'parts', 'stage1_open.py', **still)
    assert whole.keys() == resumed.keys() and whole['steps'] > 0
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    first = tmp_path / 'whole/epoch_2.pth'
    second = run(
        tmp_path / 'second',
        'stage2_open.py',
        **{'model.network.pretrained': str(first), 'optim_wrapper.optimizer.lr': 1e-9},
    )
    shared = [
        name
        for name in whole
        if name.startswith('network.shared_layers_spatial') and 'batch_norm' not in name
    ]
    assert shared and all((second[name] - whole[name]).abs().max() < 1e-6 for name in shared)


def test_completion_scores_hidden_joints_only(batch):
    torch.manual_seed(0)
    model = CompletionTraining(
        dict(type='MPMStage1', decoder_layers=2, **SIZE), 'complete3d', [3], test='right_leg'
    )
    samples = model.eval()(**batch, mode='predict')
    assert samples[0]['masked'][0].nonzero().flatten().tolist() == [1, 2, 3]
    predicted, masked = (
        torch.stack([sample[key] for sample in samples]).detach().numpy()
        for key in ('joints3d', 'masked')
    )
    errors, weights = lifting_errors(
        predicted, batch['joints3d'].numpy(), 'completion3d', masked=masked
    )['mpjpe_mm']
    expected = (
        1000 * np.linalg.norm(predicted - batch['joints3d'].numpy(), axis=-1)[:, :, 1:4].mean()
    )
    assert np.average(errors, weights=weights) == pytest.approx(expected, rel=1e-5)
