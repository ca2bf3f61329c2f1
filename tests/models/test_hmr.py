"""HMR against numbers of SPIN's own classes, run once under the rule of golden_rule.py."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_rule import golden_weights, normal
from torch import nn

from hrtk.errors import InputError
from hrtk.models.backbones.layout import lay_out_convolutions
from hrtk.models.checkpoints import load_official
from hrtk.models.estimators import HMR
from hrtk.models.heads import RegressorOutput

GOLDEN = dict(
    np.load(Path(__file__).parents[1] / 'data' / 'spin_hmr_golden.npz', allow_pickle=False)
)
TOLERANCE = 1e-5  # the reference's float32 and float64 runs differ by up to 2.2e-6


@pytest.fixture(scope='module')
def weights():
    return golden_weights(GOLDEN)


@pytest.fixture(scope='module')
def spin(weights):
    network = HMR(body=None).eval()
    report = load_official(network, weights)
    assert (
        report.missing_keys == report.unexpected_keys == report.dropped == ()
        and len(report.loaded) == 331
    )
    return network


@pytest.fixture(scope='module')
def images():
    images = normal('input:image', (2, 3, 224, 224))
    np.testing.assert_array_equal(images.flatten()[:4].numpy(), GOLDEN['image_first'])
    return images


@pytest.fixture(scope='module')
def features(spin, images):
    """The pooled features, with mean and standard deviation of five maps on the way."""
    statistics = []
    stages = [
        spin.backbone.get_submodule(name)
        for name in ('maxpool', 'layer1', 'layer2', 'layer3', 'layer4')
    ]
    hooks = [
        stage.register_forward_hook(
            lambda module, given, out: statistics.append((out.mean(), out.std()))
        )
        for stage in stages
    ]
    with torch.no_grad():
        found = spin.backbone(images)
    for hook in hooks:
        hook.remove()
    return found, torch.tensor(statistics)


@torch.no_grad()
def regress(network, features, iterations=3, activation=None):
    head = network.head
    kept = head.iterations, head.activation
    head.iterations, head.activation = iterations, activation
    try:
        return head(features)
    finally:
        head.iterations, head.activation = kept


def worst(found, name):
    return np.abs(found.numpy() - GOLDEN[name]).max()


def test_features_and_maps(features):
    found, statistics = features
    assert worst(found, 'features') < TOLERANCE
    assert (
        worst(statistics[:, 0], 'layer_mean') < TOLERANCE
        and worst(statistics[:, 1], 'layer_std') < TOLERANCE
    )


def test_prediction(spin, images):
    with torch.no_grad():
        prediction = spin(images)
    assert prediction.rotmat.shape == (2, 24, 3, 3)
    for found, name in (
        (prediction.rotmat, 'pred_rotmat'),
        (prediction.betas, 'pred_betas'),
        (prediction.camera, 'pred_cam'),
        (prediction.features, 'features'),
    ):
        assert worst(found, name) < TOLERANCE


@pytest.mark.parametrize('iteration', [1, 2, 3])
def test_pose_after_every_iteration(spin, features, iteration):
    assert worst(regress(spin, features[0], iteration)[0], f'pose6d_iter{iteration}') < TOLERANCE


def test_one_iteration(spin, features):
    prediction = spin.decode(RegressorOutput(*regress(spin, features[0], 1)), features[0])
    assert worst(prediction.rotmat, 'niter1_pred_rotmat') < TOLERANCE
    assert worst(prediction.betas, 'niter1_pred_betas') < TOLERANCE
    assert worst(prediction.camera, 'niter1_pred_cam') < TOLERANCE


def test_the_goldens_notice_a_wrong_network(spin, features):
    pose, betas, camera, _ = regress(spin, features[0], 3, 'relu')
    assert (
        worst(spin.decode(RegressorOutput(pose, betas, camera), features[0]).rotmat, 'pred_rotmat')
        > 0.1
    )
    assert worst(regress(spin, features[0], 2)[0], 'pose6d_iter3') > 0.01


def test_the_shared_product_equals_the_plain_regressor():
    torch.manual_seed(0)
    head = (
        HMR(
            dict(type='ResNet', depth=18, width=4),
            dict(type='IterativeRegressor', hidden=16, activation='relu'),
            body=None,
        )
        .head.double()
        .eval()
    )
    features = torch.randn(5, 32, dtype=torch.float64)
    state = [buffer.expand(5, -1) for buffer in (head.init_pose, head.init_shape, head.init_cam)]
    for _ in range(3):
        hidden = head.fc1(torch.cat([features, *state], 1)).clamp_min(0)
        hidden = head.fc2(hidden).clamp_min(0)
        state = [
            value + layer(hidden)
            for value, layer in zip(state, (head.decpose, head.decshape, head.deccam))
        ]
    for ours, plain in zip(head(features), state):
        torch.testing.assert_close(ours, plain, rtol=1e-12, atol=1e-13)


def test_dropout_acts_in_training_only():
    torch.manual_seed(0)
    network = HMR(
        dict(type='ResNet', depth=18, width=4),
        dict(type='IterativeRegressor', hidden=16),
        body=None,
    )
    features = torch.randn(3, 32)
    network.train()
    assert not torch.equal(network.head(features)[0], network.head(features)[0])
    network.eval()
    assert torch.equal(network.head(features)[0], network.head(features)[0])


def test_start_state(tmp_path):
    small = dict(backbone=dict(type='ResNet', depth=18, width=4), body=None)
    head = HMR(**small).head
    prediction = HMR.decode(RegressorOutput(head.init_pose, head.init_shape, head.init_cam))
    np.testing.assert_array_equal(
        prediction.rotmat[0, 0].numpy(), np.diag([1.0, -1.0, -1.0])
    )  # upright in the picture
    np.testing.assert_array_equal(
        prediction.rotmat[0, 1:].numpy(), np.broadcast_to(np.eye(3), (23, 3, 3))
    )
    means = dict(pose=np.arange(144.0), shape=np.arange(10.0), cam=np.array([0.9, 0.1, 0.2]))
    np.savez(tmp_path / 'smpl_mean_params.npz', **means)
    head = dict(type='IterativeRegressor', mean_params=str(tmp_path / 'smpl_mean_params.npz'))
    assert HMR(head=head, **small).head.init_pose[0].tolist() == means['pose'].tolist()
    np.savez(tmp_path / 'broken.npz', pose=means['pose'])
    with pytest.raises(InputError, match='broken.npz.*smpl_mean_params'):
        HMR(head=dict(type='IterativeRegressor', mean_params=str(tmp_path / 'broken.npz')), **small)
    with pytest.raises(InputError, match='activation'):
        HMR(head=dict(type='IterativeRegressor', activation='tanh'), **small)


def test_any_module_with_out_channels_is_a_backbone():
    class Mean(nn.Module):
        out_channels = 3

        def forward(self, images):
            return images.mean((2, 3))

    from hrtk.registry import BACKBONES

    BACKBONES.register_module(name='MeanOfTheImage', module=Mean, force=True)
    network = HMR(
        dict(type='MeanOfTheImage'),
        dict(type='IterativeRegressor', hidden=8),
        resolution=10,
        body=None,
    )
    assert network(torch.zeros(2, 3, 10, 10)).rotmat.shape == (2, 24, 3, 3)


def test_crops_and_fingerprint():
    class Clip:
        frames = np.random.default_rng(0).integers(0, 256, (2, 30, 40, 3), dtype=np.uint8)
        boxes = torch.tensor([[9.5, 9.5, 20.0], [24.5, 14.5, 20.0]])

    torch.manual_seed(0)
    network = HMR(
        dict(type='ResNet', depth=18, width=4),
        dict(type='IterativeRegressor', hidden=8),
        20,
        body=None,
    )
    crop = network.crops(Clip, [1])[0].permute(1, 2, 0).double().numpy()
    expected = (Clip.frames[1, 5:25, 15:35] / 255.0 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(crop, expected, atol=1e-4)
    before = network.fingerprint()
    assert network.fingerprint() == before
    with torch.no_grad():
        network.head.deccam.bias[1] += 1e-6
    assert network.fingerprint() != before


def test_bfloat16_is_close_and_leaves_weights_and_gradients_whole(images):
    torch.manual_seed(0)
    network = HMR(
        dict(type='ResNet', depth=18, width=8),
        dict(type='IterativeRegressor', hidden=32),
        64,
        body=None,
    )
    network.eval()
    pictures = images[:, :, :64, :64]
    found = {}
    for precision in ('float32', 'bfloat16'):
        network.precision = precision
        prediction = network(pictures)
        loss = (prediction.rotmat.sum((1, 2, 3)) + prediction.betas.sum(1)).sum()
        # Twice, as the outer level of second-order adaptation does.
        first = torch.autograd.grad(loss, list(network.parameters()), create_graph=True)
        second = torch.autograd.grad(
            sum(g.square().sum() for g in first), list(network.backbone.parameters())
        )
        found[precision] = prediction, first, second
        assert torch.equal(network.from_trunk(network.trunk(pictures)).rotmat, prediction.rotmat)
    (exact, *gradients), (rough, *halves) = found.values()
    assert {x.dtype for x in (rough.rotmat, rough.features, *halves[0], *halves[1])} == {
        torch.float32
    }
    assert 0 < (exact.rotmat - rough.rotmat).abs().max() < 0.01
    for whole, half, least in zip(gradients, halves, (0.999, 0.95)):
        whole, half = (torch.cat([g.flatten() for g in part]) for part in (whole, half))
        assert nn.functional.cosine_similarity(whole, half, dim=0) > least
    with pytest.raises(InputError, match='float16'):
        HMR(precision='float16')


def test_kernels_lie_with_channels_last_and_the_numbers_are_those_of_the_other_layout(images):
    tiny = dict(type='ResNet', depth=18, width=8)
    network = HMR(tiny, dict(type='IterativeRegressor', hidden=32), 64, body=None).eval()
    twin = copy.deepcopy(network)
    lay_out_convolutions(twin, torch.contiguous_format)
    kernels = [module.weight for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)
    assert twin.backbone.layer4[1].conv2.weight.is_contiguous()
    assert network.fingerprint() == twin.fingerprint()
    pictures = images[:, :, :64, :64]
    found = []
    for model in (network, twin):
        prediction = model(pictures)
        loss = prediction.rotmat.square().sum((1, 2, 3)).mul(torch.tensor([1.0, 2.0])).sum()
        gradient = torch.autograd.grad(loss + prediction.betas.sum(), list(model.parameters()))
        found.append((prediction.rotmat, torch.cat([g.flatten() for g in gradient])))
    for last, first in zip(*found):
        assert (last - first).abs().max() < 1e-5 * first.abs().max()
    network.load_state_dict(twin.state_dict())
    assert kernels[-1].is_contiguous(memory_format=torch.channels_last)
