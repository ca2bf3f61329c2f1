"""Segmentation losses against numpy and torch's own, at the edges, and by finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hrtk.errors import InputError
from hrtk.losses import segmentation_losses, soft_iou_loss, weighted_cross_entropy


@pytest.fixture
def batch():
    generator = np.random.default_rng(0)
    masks = generator.integers(0, 2, (3, 8, 8)).astype(np.uint8)
    masks[1, :3] = 255
    return generator.normal(size=(3, 2, 8, 8)), masks


def test_cross_entropy_weighs_pixels_by_their_class(batch):
    logits, masks = batch
    log_share = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    weights = np.where(masks == 1, 1.0, 0.5) * (masks != 255)
    picked = np.where(masks == 1, log_share[:, 1], log_share[:, 0])
    expected = -(weights * picked).sum() / weights.sum()
    loss = weighted_cross_entropy(torch.from_numpy(logits), torch.from_numpy(masks))
    assert float(loss) == pytest.approx(expected, rel=1e-12)
    # The criterion of the released training, for the other choice of the thesis.
    released = torch.nn.CrossEntropyLoss(torch.tensor([1.0, 0.5]).double(), ignore_index=255)
    assert float(
        weighted_cross_entropy(torch.from_numpy(logits), torch.from_numpy(masks), (1.0, 0.5))
    ) == pytest.approx(
        float(released(torch.from_numpy(logits), torch.from_numpy(masks).long())), rel=1e-12
    )


def test_soft_iou(batch):
    logits, masks = batch
    share = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1])) * (masks != 255)
    truth = masks == 1
    each = (share * truth).sum((1, 2)) / (share + truth - share * truth).sum((1, 2))
    loss = soft_iou_loss(torch.from_numpy(logits), torch.from_numpy(masks))
    assert float(loss) == pytest.approx(1 - each.mean(), rel=1e-12)


def test_best_and_worst_answers():
    masks = torch.zeros(2, 6, 6, dtype=torch.uint8)
    masks[:, 2:4, 1:5] = 1
    right = torch.stack([1.0 - masks, masks.float()], 1) * 60
    assert (
        float(soft_iou_loss(right, masks)) < 1e-6
        and float(weighted_cross_entropy(right, masks)) < 1e-6
    )
    assert float(soft_iou_loss(right.flip(1), masks)) > 0.999
    # All background is wrong in 16 of 72 pixels that count twice as much as the others.
    nothing = torch.zeros(2, 2, 6, 6)
    nothing[:, 0] = 60
    assert float(weighted_cross_entropy(nothing, masks)) == pytest.approx(
        60 * 16 / (16 + 56 / 2), rel=1e-6
    )


def test_pictures_without_a_label_or_a_person_count_for_nothing(batch):
    logits, masks = (torch.from_numpy(part) for part in batch)
    unlabelled = torch.full_like(masks[:1], 255)
    more = torch.cat([logits, 3 * logits[:1]]), torch.cat([masks, unlabelled])
    for loss in (weighted_cross_entropy, soft_iou_loss):
        assert float(loss(*more)) == pytest.approx(float(loss(logits, masks)), rel=1e-12)
        assert float(loss(logits[:1], unlabelled)) == 0
    empty = torch.zeros_like(masks[:1])
    assert (
        float(soft_iou_loss(logits[:1], empty)) == 0
        and float(weighted_cross_entropy(logits[:1], empty)) > 0
    )


def test_logits_are_enlarged_to_the_masks():
    logits = torch.randn(1, 2, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    masks = (torch.rand(1, 16, 12, generator=torch.Generator().manual_seed(1)) > 0.5).byte()
    large = torch.nn.functional.interpolate(logits, (16, 12), mode='bilinear', align_corners=False)
    for loss in (weighted_cross_entropy, soft_iou_loss):
        assert float(loss(logits, masks)) == pytest.approx(float(loss(large, masks)), rel=1e-12)


def test_gradients(batch):
    logits, masks = (torch.from_numpy(part) for part in batch)
    for loss in (weighted_cross_entropy, soft_iou_loss):
        assert torch.autograd.gradcheck(lambda x: loss(x, masks), logits.clone().requires_grad_())


def test_terms_of_a_training(batch):
    logits, masks = (torch.from_numpy(part) for part in batch)
    terms = segmentation_losses(logits, 2 * logits, masks, (1.0, 1.0))
    assert float(terms['auxiliary']) == float(weighted_cross_entropy(2 * logits, masks, (1.0, 1.0)))
    assert float(terms['main']) == float(weighted_cross_entropy(logits, masks, (1.0, 1.0)))
    assert float(terms['iou']) == float(soft_iou_loss(logits, masks))


@pytest.mark.parametrize(
    'logits, masks',
    [((2, 3, 4, 4), (2, 8, 8)), ((2, 2, 4, 4), (3, 8, 8)), ((2, 2, 4, 4), (2, 1, 8, 8))],
)
def test_bad_shapes(logits, masks):
    with pytest.raises(InputError, match='logits'):
        weighted_cross_entropy(torch.zeros(logits), torch.zeros(masks, dtype=torch.uint8))
