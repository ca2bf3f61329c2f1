"""Losses of masked pose modelling against loops over joints."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from hrtk.losses import joint_distance, lifting_losses, pretext_losses

RNG = np.random.default_rng(0)
PREDICTED, TARGET = RNG.normal(size=(2, 2, 5, 4, 3))
HIDDEN = RNG.random((2, 5, 4)) < 0.4


def distances(predicted, target):
    return {
        index: math.dist(predicted[index], target[index])
        for index in np.ndindex(predicted.shape[:-1])
    }


def test_joint_distance():
    each = distances(PREDICTED, TARGET)
    predicted = torch.from_numpy(PREDICTED)
    target = torch.from_numpy(TARGET)
    hidden = torch.from_numpy(HIDDEN)
    assert joint_distance(predicted, target).item() == pytest.approx(
        np.mean([*each.values()]), rel=1e-12
    )
    some = np.mean([each[index] for index in zip(*HIDDEN.nonzero())])
    assert joint_distance(predicted, target, hidden).item() == pytest.approx(some, rel=1e-12)
    shared = np.mean([value for (_, f, j), value in each.items() if HIDDEN[0, f, j]])
    assert joint_distance(predicted, target, hidden[:1]).item() == pytest.approx(shared, rel=1e-12)


def test_gradients():
    predicted = torch.from_numpy(PREDICTED)
    target = torch.from_numpy(TARGET)
    hidden = torch.from_numpy(HIDDEN)
    predicted.requires_grad_()
    assert gradcheck(lambda p: joint_distance(p, target), predicted)
    assert gradcheck(lambda p: joint_distance(p, target, hidden), predicted)
    (gradient,) = torch.autograd.grad(joint_distance(predicted, target, hidden), predicted)
    assert torch.equal(gradient.abs().sum(-1) > 0, hidden)
    (met,) = torch.autograd.grad(joint_distance(predicted, predicted.detach()), predicted)
    assert (met == 0).all()


def test_a_batch_of_one_kind_only_has_a_loss():
    empty = torch.zeros(0, 5, 4, 2, requires_grad=True)
    losses = pretext_losses(empty, empty, torch.from_numpy(PREDICTED), torch.from_numpy(TARGET))
    assert losses['pose2d'] == 0
    assert losses['pose3d'].item() == pytest.approx(
        np.mean([*distances(PREDICTED, TARGET).values()])
    )
    sum(losses.values()).backward()
    assert empty.grad.shape == (0, 5, 4, 2)
    nothing = torch.zeros(2, 5, 4, dtype=torch.bool)
    assert joint_distance(torch.from_numpy(PREDICTED), torch.from_numpy(TARGET), nothing) == 0


def test_pretext_losses_over_hidden_joints():
    predicted2d = PREDICTED[..., :2]
    target2d = TARGET[..., :2]
    hidden = torch.from_numpy(HIDDEN)
    losses = pretext_losses(
        torch.from_numpy(predicted2d),
        torch.from_numpy(target2d),
        torch.from_numpy(PREDICTED),
        torch.from_numpy(TARGET),
        hidden,
        hidden[:1],
    )
    each2d = distances(predicted2d, target2d)
    each3d = distances(PREDICTED, TARGET)
    assert losses['pose2d'].item() == pytest.approx(
        np.mean([each2d[index] for index in zip(*HIDDEN.nonzero())])
    )
    assert losses['pose3d'].item() == pytest.approx(
        np.mean([value for (_, f, j), value in each3d.items() if HIDDEN[0, f, j]])
    )


@pytest.mark.parametrize('root', [0, 2])
def test_lifting_losses_take_the_root_for_zero_and_the_middle_frame(root):
    single = RNG.normal(size=(2, 1, 4, 3))
    target = TARGET.copy()
    target[:, :, root] = 0
    losses = lifting_losses(
        torch.from_numpy(PREDICTED), torch.from_numpy(single), torch.from_numpy(TARGET), root
    )
    assert losses['sequence'].item() == pytest.approx(
        np.mean([*distances(PREDICTED, target).values()]), rel=1e-12
    )
    assert losses['centre'].item() == pytest.approx(
        np.mean([*distances(single, target[:, 2:3]).values()]), rel=1e-12
    )
    assert TARGET[:, :, root].any()
