"""Training with bodies on some views and 2D joints alone on others."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hrtk.body_models import BodyModel
from hrtk.geometry.camera import project
from hrtk.registry import MODELS
from hrtk.structures import Prediction
from hrtk.training.supervision import supervise

BODY = BodyModel('open')


def batch(seed: int = 0) -> tuple[Prediction, dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)

    def turned() -> torch.Tensor:
        return torch.linalg.qr(torch.randn(4, 24, 3, 3, generator=generator))[0]

    predicted = Prediction(
        turned(), torch.randn(4, 10, generator=generator), torch.tensor([[0.9, 0.1, 0.2]] * 4)
    )
    labels = dict(
        rotmat=turned(),
        betas=torch.randn(4, 10, generator=generator),
        keypoints2d=torch.rand(4, 24, 2, generator=generator) * 2 - 1,
    )
    return predicted, labels


@pytest.mark.parametrize('squared', [False, True])
def test_views_without_a_body_count_by_their_visible_joints(squared: bool) -> None:
    predicted, labels = batch()
    has_body = torch.tensor([1.0, 0, 1, 0])
    confidence = torch.rand(4, 24, generator=torch.Generator().manual_seed(3))
    losses = supervise(
        BODY, predicted, **labels, squared=squared, has_body=has_body, confidence=confidence
    ).losses
    rows = [0, 2]
    power = 2 if squared else 1
    difference = (predicted.rotmat - labels['rotmat'])[rows].double().numpy()
    assert losses['rotmat'].item() == pytest.approx((difference**2).mean(), rel=1e-5)
    difference = (predicted.betas - labels['betas'])[rows].double().numpy()
    assert losses['betas'].item() == pytest.approx((difference**2).mean(), rel=1e-5)
    both = []
    for rotmat, betas in ((predicted.rotmat, predicted.betas), (labels['rotmat'], labels['betas'])):
        joints = BODY.joints(rotmat, betas, 'spin24').double().numpy()
        both.append(joints - joints[:, 2:4].mean(1, keepdims=True))
    difference = np.abs(both[0] - both[1])[rows] ** power
    assert losses['joints3d'].item() == pytest.approx(difference.mean(), rel=1e-4)
    joints = BODY.joints(predicted.rotmat, predicted.betas, 'spin24')
    distance = (project(joints, predicted.camera) - labels['keypoints2d']).abs() ** power
    expected = (distance * confidence[..., None]).sum().item() / (4 * 24 * 2)
    assert losses['keypoints2d'].item() == pytest.approx(expected, rel=1e-5)


def test_a_batch_without_any_body_has_2d_losses_alone() -> None:
    predicted, labels = batch()
    losses = supervise(
        BODY, predicted, **labels, has_body=torch.zeros(4), confidence=torch.ones(4, 24)
    ).losses
    assert losses['rotmat'] == losses['joints3d'] == losses['betas'] == 0
    assert losses['keypoints2d'] > 0
    everything = supervise(BODY, predicted, **labels).losses
    ones = supervise(
        BODY, predicted, **labels, has_body=torch.ones(4), confidence=torch.ones(4, 24)
    ).losses
    for name, value in everything.items():
        torch.testing.assert_close(ones[name], value)


def test_confidences_are_mirrored_with_their_joints() -> None:
    """A joint that only one side has: in the mirrored view its loss is that of the counterpart's position."""
    torch.manual_seed(0)
    training = MODELS.build(
        dict(
            type='SupervisedTraining',
            augment=0.0,
            estimator=dict(
                type='LatentHMR',
                backbone=dict(type='ResNet', depth=18, width=4, norm='gn'),
                head=dict(hidden=8),
                resolution=32,
            ),
        )
    ).eval()
    image = torch.randint(0, 256, (16, 3, 32, 32), dtype=torch.uint8)
    confidence = torch.zeros(16, 24)
    confidence[:, 0] = 1  # the right ankle; the left one is joint 5
    keypoints2d = torch.rand(16, 24, 2) * 2 - 1
    labels = dict(
        rotmat=torch.eye(3).repeat(16, 24, 1, 1),
        betas=torch.zeros(16, 10),
        camera=torch.zeros(16, 3),
        keypoints2d=keypoints2d,
        has_body=torch.zeros(16),
        confidence=confidence,
    )
    torch.manual_seed(5)
    losses = training(image=image, **labels, mode='loss')
    torch.manual_seed(5)
    mirrored = torch.rand(16) < 0.5
    assert 0 < mirrored.sum() < 16
    total = 0.0
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    estimator = training.estimator
    for row in range(16):
        picture = image[row].float()
        joint, target = 0, keypoints2d[row, 0].clone()
        if mirrored[row]:
            picture, joint = picture.flip(-1), 5
            target[0] *= -1
        with torch.no_grad():
            seen = estimator(((picture / 255 - mean) / deviation)[None])
            joints = estimator.body.joints(seen.rotmat, seen.betas, 'spin24')
            distance = (project(joints, seen.camera)[0, joint] - target).abs().sum().item()
        total += distance
    expected = training.loss_weights['keypoints2d'] * total / (16 * 24 * 2)
    assert losses['loss_keypoints2d'].item() == pytest.approx(expected, rel=1e-4)
