"""Losses between joints against loops over points."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from hrtk.losses import hips, keypoint2d_loss, keypoint3d_loss, motion_loss

RNG = np.random.default_rng(0)
PREDICTED, TARGET, OLD, OLD_TARGET = RNG.normal(size=(4, 2, 5, 2))
CONFIDENCE = np.array([[1, 0.5, 0, 0.25, 0], [0, 0.1, 0.9, 1, 1.0]])
JOINTS, TRUE = RNG.normal(size=(2, 2, 5, 3))


def tensors(*arrays):
    return [torch.tensor(np.asarray(a, float)) for a in arrays]


def test_keypoint2d_loss_counts_every_entry_as_boa_does():
    total = sum(
        CONFIDENCE[b, k] * (PREDICTED[b, k, c] - TARGET[b, k, c]) ** 2
        for b in range(2)
        for k in range(5)
        for c in range(2)
    )
    assert keypoint2d_loss(*tensors(PREDICTED, TARGET, CONFIDENCE)).item() == pytest.approx(
        total / 20, rel=1e-12
    )
    visible = keypoint2d_loss(*tensors(PREDICTED, TARGET, CONFIDENCE), normalise='visible').item()
    assert visible == pytest.approx(total / (2 * CONFIDENCE.sum()), rel=1e-12)


@pytest.mark.parametrize('normalise', ['all', 'visible'])
def test_absent_points_do_not_matter_whatever_they_hold(normalise):
    broken = TARGET.copy()
    broken[CONFIDENCE == 0] = np.nan
    predicted, target, confidence = tensors(PREDICTED, broken, CONFIDENCE)
    predicted.requires_grad_()
    loss = keypoint2d_loss(predicted, target, confidence, normalise)
    assert loss.item() == pytest.approx(
        keypoint2d_loss(*tensors(PREDICTED, TARGET, CONFIDENCE), normalise).item()
    )
    (gradient,) = torch.autograd.grad(loss, predicted, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum(), predicted)
    assert torch.isfinite(second).all() and torch.isfinite(gradient).all()
    assert (gradient[confidence == 0] == 0).all() and (gradient[confidence > 0] != 0).all()


def test_a_frame_without_points_has_no_loss():
    for normalise in ('all', 'visible'):
        loss = keypoint2d_loss(*tensors(PREDICTED, TARGET, 0 * CONFIDENCE), normalise)
        assert loss == 0


def test_keypoint3d_loss():
    total = sum(
        (JOINTS[b, j, c] - TRUE[b, j, c]) ** 2 for b in range(2) for j in range(5) for c in range(3)
    )
    assert keypoint3d_loss(*tensors(JOINTS, TRUE)).item() == pytest.approx(total / 30, rel=1e-12)
    weighted = sum(
        CONFIDENCE[b, j] * (JOINTS[b, j, c] - TRUE[b, j, c]) ** 2
        for b in range(2)
        for j in range(5)
        for c in range(3)
    )
    assert keypoint3d_loss(*tensors(JOINTS, TRUE, CONFIDENCE)).item() == pytest.approx(
        weighted / 30, rel=1e-12
    )


def test_keypoint3d_loss_about_the_middle_of_two_joints():
    total = 0.0
    for b in range(2):
        for c in range(3):
            root = (JOINTS[b, 2, c] + JOINTS[b, 3, c]) / 2
            true_root = (TRUE[b, 2, c] + TRUE[b, 3, c]) / 2
            total += sum(
                ((JOINTS[b, j, c] - root) - (TRUE[b, j, c] - true_root)) ** 2 for j in range(5)
            )
    assert keypoint3d_loss(*tensors(JOINTS, TRUE), root=(2, 3)).item() == pytest.approx(
        total / 30, rel=1e-12
    )
    shifted = keypoint3d_loss(*tensors(JOINTS + [1, -2, 3.0], TRUE), root=(2, 3)).item()
    assert shifted == pytest.approx(total / 30, rel=1e-12)


def test_hips():
    assert hips('spin24') == (2, 3)
    assert hips('smpl24') == (2, 1)
    assert hips('coco17') == (12, 11)


def test_motion_loss():
    both = np.array([[1, 1, 0, 1, 0], [0, 1, 1, 0, 1.0]])
    total = sum(
        both[b, k]
        * ((PREDICTED[b, k, c] - OLD[b, k, c]) - (TARGET[b, k, c] - OLD_TARGET[b, k, c])) ** 2
        for b in range(2)
        for k in range(5)
        for c in range(2)
    )
    target = TARGET.copy()
    old_target = OLD_TARGET.copy()
    target[both == 0] = np.nan
    old_target[0, 2] = math.inf
    predicted, old, target, old_target, both = tensors(PREDICTED, OLD, target, old_target, both)
    predicted.requires_grad_()
    loss = motion_loss(predicted, old, target, old_target, both)
    assert loss.item() == pytest.approx(total / 20, rel=1e-12)
    loss.backward()
    assert torch.isfinite(predicted.grad).all()


def test_a_common_shift_of_body_and_keypoints_is_no_motion_error():
    both = np.ones((2, 5))
    loss = motion_loss(
        *tensors(PREDICTED + [0.3, -0.1], PREDICTED, TARGET + [0.3, -0.1], TARGET, both)
    )
    assert loss.item() == pytest.approx(0, abs=1e-15)


def test_gradients():
    predicted, target, confidence, old, old_target = tensors(
        PREDICTED, TARGET, CONFIDENCE, OLD, OLD_TARGET
    )
    joints, true = tensors(JOINTS, TRUE)
    predicted.requires_grad_(), joints.requires_grad_(), old.requires_grad_()
    assert gradcheck(lambda p: keypoint2d_loss(p, target, confidence, 'visible'), predicted)
    assert gradcheck(lambda j: keypoint3d_loss(j, true, confidence, (2, 3)), joints)
    assert gradcheck(
        lambda p, o: motion_loss(p, o, target, old_target, confidence), (predicted, old)
    )
