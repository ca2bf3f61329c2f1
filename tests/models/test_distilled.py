"""DistilledTraining: what a ViT's patches learn from the maps of a convolutional teacher."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from hrtk.errors import InputError
from hrtk.models.backbones import ViT
from hrtk.training import DistilledTraining
from hrtk.training.distilled import at_patches, patch_centres, standardised

STUDENT = dict(
    type='HMR2',
    backbone=dict(type='ViT', image_size=(64, 48), patch=16, width=16, depth=2, heads=2),
    head=dict(type='TransformerDecoderHead', width=16, depth=1, heads=2, head_width=8, hidden=16),
    resolution=64,
    weights_body='open',
    body=dict(type='BodyModel', file='open'),
)
TEACHER = dict(
    type='HMR',
    backbone=dict(type='ResNet', depth=18, width=4),
    head=dict(type='IterativeRegressor', hidden=16),
    resolution=64,
    body=None,
)


@pytest.fixture(scope='module')
def batch():
    generator = torch.Generator().manual_seed(0)
    return dict(
        image=torch.randint(0, 256, (6, 3, 64, 64), generator=generator, dtype=torch.uint8),
        rotmat=torch.eye(3).expand(6, 24, 3, 3),
        betas=torch.zeros(6, 10),
        keypoints2d=torch.zeros(6, 24, 2),
        camera=torch.ones(6, 3),
    )


@pytest.fixture
def training():
    torch.manual_seed(0)
    return DistilledTraining(STUDENT, TEACHER)


def test_a_patch_answers_for_the_map_at_its_centre():
    """A map that names its own pixels: values at the centres of the patches, in the pixels of the crop."""
    backbone = ViT(image_size=(64, 48), patch=16, padding=2, width=4, depth=1, heads=1)
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(2, 3, 64, 64))
    values = at_patches(torch.as_tensor(maps), patch_centres(backbone, 64))
    # Patch (i, j) of the padded columns 8..55 covers 16 px from row 16 i - 2 and column 8 + 16 j - 2 on.
    rows = np.array([16 * i - 2 + 7.5 for i in range(4)])
    columns = np.array([8 + 16 * j - 2 + 7.5 for j in range(3)])
    y, x = np.meshgrid(rows, columns, indexing='ij')
    for b in range(2):
        for c in range(3):
            expected = map_coordinates(maps[b, c], [y.ravel(), x.ravel()], order=1)
            np.testing.assert_allclose(values[b, :, c], expected, atol=1e-5)


def test_standardised_targets():
    values = torch.as_tensor(np.random.default_rng(0).normal(3, 5, (4, 7, 2)))
    flat = values.numpy().reshape(28, 2)
    expected = (flat - flat.mean(0)) / (flat.std(0) + 1e-3)
    np.testing.assert_allclose(standardised(values).reshape(28, 2), expected, atol=1e-12)
    assert torch.equal(standardised(torch.ones(3, 2)), torch.zeros(3, 2))  # a dead channel


def test_losses_train_the_student_alone(training, batch):
    before = {name: value.clone() for name, value in training.teacher.state_dict().items()}
    training.train()
    optimizer = torch.optim.Adam([p for p in training.parameters() if p.requires_grad], 3e-3)
    history = []
    for _ in range(12):
        torch.manual_seed(0)
        losses = training(**batch, mode='loss')
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        history.append({name: loss.item() for name, loss in losses.items()})
    assert set(history[0]) == {
        f'loss_{name}'
        for name in ('rotmat', 'joints3d', 'keypoints2d', 'betas', 'maps', 'features')
    }
    for name in ('loss_maps', 'loss_features'):
        assert history[-1][name] < 0.8 * history[0][name]
    for name, value in training.teacher.state_dict().items():  # nor its statistics of batches
        assert torch.equal(value, before[name]), name
    assert training.estimator.backbone.blocks[0].mlp.fc1.weight.grad.abs().sum() > 0


def test_the_best_constant_costs_one(training, batch):
    """The unit of the teacher's losses."""
    training.loss_weights = dict.fromkeys(training.loss_weights, 1.0)
    for layer in (training.to_maps[1], training.to_features):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    losses = training(**batch, mode='loss')
    for name in ('loss_maps', 'loss_features'):
        assert losses[name].item() == pytest.approx(1, abs=0.1)


def test_errors_of_views(training, batch):
    errors = training.eval()(**batch, mode='predict')
    assert len(errors) == 6 and all(error['mpjpe_mm'] > 0 for error in errors)


def test_what_does_not_fit():
    with pytest.raises(InputError, match='backbone is a ViT'):
        DistilledTraining(TEACHER, TEACHER)
    with pytest.raises(InputError, match='same crops, not such of 64 and 32 px'):
        DistilledTraining(STUDENT, dict(TEACHER, resolution=32))
