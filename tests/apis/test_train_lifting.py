"""Training of masked pose modelling: its three tasks learn, resume with the same masks, and hand weights on."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from hrtk.apis.train import train
from hrtk.body_models.joint_orders import ORDERS
from hrtk.errors import InputError
from hrtk.evaluation.lifting import LiftingEvaluator, lifting_errors
from hrtk.losses import joint_distance
from hrtk.models.lifting import step_generator
from hrtk.registry import DATASETS
from hrtk.testing import write_lifting_files
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


@pytest.fixture(scope='module')
def windows(tmp_path_factory):
    """One batch per joint order, of files in the official layouts."""
    root = write_lifting_files(tmp_path_factory.mktemp('files'), frames=12)
    h36m = dict(
        type='H36MLifting',
        file=str(root / 'h36m/data_3d_h36m.npz'),
        keypoints=str(root / 'h36m/data_2d_h36m_gt.npz'),
        subjects=['S1'],
        stride=7,
        frames=9,
    )
    mpi = dict(
        type='MPIINF3DHPLifting', file=str(root / '3dhp/data_train_3dhp.npz'), stride=7, frames=9
    )
    configs = {
        'h36m17': h36m,
        'h36m16': dict(h36m, joints='h36m16'),
        'mpi17': mpi,
        'h36m16 of 3dhp': dict(mpi, joints='h36m16'),
    }
    return {name: DATASETS.build(config).batch(range(12)) for name, config in configs.items()}


class Perfect(torch.nn.Module):
    """A lifter that knows the answer."""

    def __init__(self, joints3d):
        super().__init__()
        self.joints3d = joints3d

    def forward(self, keypoints2d):
        middle = self.joints3d[:, self.joints3d.shape[1] // 2]
        return dict(joints3d_seq=self.joints3d, joints3d=middle[:, None])


@pytest.mark.parametrize('name', ['h36m17', 'h36m16', 'mpi17', 'h36m16 of 3dhp'])
def test_a_perfect_prediction_has_no_loss_and_no_error_in_every_joint_order(windows, name):
    order = name.split()[0]
    batch = windows[name]
    assert set(batch['joint_order']) == {order}
    size = dict(SIZE, joints=batch['joints3d'].shape[2])
    model = LiftingTraining(dict(type='MPMStage2', **size), joints=order, flip_test=False)
    model.network = Perfect(batch['joints3d'])
    losses = model(**batch, mode='loss')
    assert {key: value.item() for key, value in losses.items()} == dict(
        loss_sequence=0.0, loss_centre=0.0
    )
    samples = model(**batch, mode='predict')
    protocol = '3dhp' if order == 'mpi17' else 'h36m'
    evaluator = LiftingEvaluator(protocol)
    evaluator.process(batch, samples)
    assert evaluator.compute_metrics(evaluator.results)['mpjpe_mm'] == 0
    # Only the root may be wrong: any other joint counts.
    for joint in range(size['joints']):
        wrong = batch['joints3d'].clone()
        wrong[:, :, joint] += 0.1
        model.network = Perfect(wrong)
        evaluator = LiftingEvaluator(protocol)
        evaluator.process(batch, model(**batch, mode='predict'))
        error = evaluator.compute_metrics(evaluator.results)['mpjpe_mm']
        assert (error == 0) == (ORDERS[order][joint].startswith('pelvis'))


@pytest.mark.parametrize('training', [MaskedPoseTraining, LiftingTraining, CompletionTraining])
def test_a_model_refuses_windows_of_another_joint_order(windows, training):
    kind = 'MPMStage2' if training is LiftingTraining else 'MPMStage1'
    model = training(dict(type=kind, **SIZE))
    for mode in ('loss', 'predict'):
        with pytest.raises(InputError, match="joints='h36m17', but the windows have 'mpi17'"):
            model(**windows['mpi17'], mode=mode)
    with pytest.raises(InputError, match='17 joints, not 16'):
        training(dict(type=kind, **dict(SIZE, joints=16)))


def test_the_evaluator_takes_no_number_of_joints_for_an_order(windows):
    batch = windows['h36m17']
    samples = [dict(joints3d=joints) for joints in batch['joints3d']]
    with pytest.raises(InputError, match="official 17 joints, .* 'h36m17'"):
        LiftingEvaluator('3dhp').process(batch, samples)
    unnamed = {key: value for key, value in batch.items() if key != 'joint_order'}
    with pytest.raises(InputError, match='joint_order'):
        LiftingEvaluator().process(unnamed, samples)
