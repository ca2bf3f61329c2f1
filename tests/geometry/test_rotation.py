"""Rotations against scipy in float64, and their first and second derivatives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch.autograd import gradcheck, gradgradcheck

from hrtk.geometry.rotation import (
    axis_angle_to_rotmat,
    quaternion_to_rotmat,
    rot6d_to_rotmat,
    rotmat_to_axis_angle,
    rotmat_to_quaternion,
    rotmat_to_rot6d,
)

AXES = np.random.default_rng(0).normal(size=(20, 3))
AXES = np.concatenate([AXES / np.linalg.norm(AXES, axis=1, keepdims=True), np.eye(3), -np.eye(3)])
ANGLES = np.array(
    [0, 1e-12, 1e-9, 1e-6, 0.99e-4, 1.01e-4, 1e-3, 0.1, 1.0, 2.5, np.pi - 1e-3, np.pi - 1e-7, np.pi]
)
VECTORS = (ANGLES[:, None, None] * AXES).reshape(-1, 3)


def numpy_gram_schmidt(six: np.ndarray) -> np.ndarray:
    """(6,) -> (3, 3), the even numbers being the first column and the odd ones the second."""
    a = np.array([six[0], six[2], six[4]])
    b = np.array([six[1], six[3], six[5]])
    x = a / np.sqrt(a @ a)
    y = b - (x @ b) * x
    y = y / np.sqrt(y @ y)
    return np.array([[x[i], y[i], np.cross(x, y)[i]] for i in range(3)])


def test_axis_angle_to_rotmat_equals_scipy():
    ours = axis_angle_to_rotmat(torch.from_numpy(VECTORS)).numpy()
    np.testing.assert_allclose(ours, Rotation.from_rotvec(VECTORS).as_matrix(), rtol=0, atol=2e-15)


def test_rotmat_to_axis_angle_equals_scipy_below_pi():
    vectors = VECTORS[np.linalg.norm(VECTORS, axis=1) < np.pi - 1e-9]
    matrices = Rotation.from_rotvec(vectors).as_matrix()
    ours = rotmat_to_axis_angle(torch.from_numpy(matrices)).numpy()
    np.testing.assert_allclose(ours, vectors, rtol=0, atol=2e-13)


def test_rotmat_to_axis_angle_at_pi_is_the_same_rotation():
    matrices = Rotation.from_rotvec(np.pi * AXES).as_matrix()
    ours = rotmat_to_axis_angle(torch.from_numpy(matrices)).numpy()
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), np.pi, atol=1e-12)
    np.testing.assert_allclose(Rotation.from_rotvec(ours).as_matrix(), matrices, atol=1e-12)


def test_quaternion_to_rotmat_equals_scipy():
    quaternions = np.random.default_rng(1).normal(size=(2, 9, 4))
    ours = quaternion_to_rotmat(torch.from_numpy(quaternions)).numpy()
    expected = Rotation.from_quat(quaternions[..., [1, 2, 3, 0]].reshape(-1, 4)).as_matrix()
    np.testing.assert_allclose(ours.reshape(-1, 3, 3), expected, atol=1e-12)


def test_rotmat_to_quaternion_equals_scipy_up_to_sign():
    matrices = Rotation.from_rotvec(VECTORS).as_matrix()
    ours = rotmat_to_quaternion(torch.from_numpy(matrices)).numpy()
    scipy = Rotation.from_matrix(matrices).as_quat()[:, [3, 0, 1, 2]]
    np.testing.assert_allclose(np.abs((ours * scipy).sum(1)), 1, atol=1e-13)
    largest = np.take_along_axis(ours, np.abs(ours).argmax(1)[:, None], 1)
    assert (largest > 0).all()


def test_float32_is_accurate_at_every_angle():
    matrices = torch.from_numpy(Rotation.from_rotvec(VECTORS).as_matrix())
    back = Rotation.from_rotvec(rotmat_to_axis_angle(matrices.float()).double().numpy())
    error = (back * Rotation.from_rotvec(VECTORS).inv()).magnitude()
    assert error.max() < 1e-6


def test_rot6d_columns_against_a_plain_loop():
    six = np.random.default_rng(1).normal(size=(5, 4, 6))
    ours = rot6d_to_rotmat(torch.from_numpy(six)).numpy()
    for i in range(5):
        for j in range(4):
            np.testing.assert_allclose(ours[i, j], numpy_gram_schmidt(six[i, j]), atol=1e-14)
    np.testing.assert_allclose(np.linalg.det(ours), 1, atol=1e-13)


def test_three_rotations_are_crossed_along_the_last_axis():
    # torch.cross without a dimension takes the first axis of size three, here the batch.
    six = np.random.default_rng(2).normal(size=(3, 6))
    expected = np.stack([numpy_gram_schmidt(row) for row in six])
    np.testing.assert_allclose(rot6d_to_rotmat(torch.from_numpy(six)).numpy(), expected, atol=1e-14)


def test_rot6d_round_trip_and_layout():
    matrices = Rotation.random(30, random_state=3).as_matrix()
    six = rotmat_to_rot6d(torch.from_numpy(matrices))
    assert six[0].tolist() == [
        matrices[0, 0, 0],
        matrices[0, 0, 1],
        matrices[0, 1, 0],
        matrices[0, 1, 1],
        matrices[0, 2, 0],
        matrices[0, 2, 1],
    ]
    np.testing.assert_allclose(rot6d_to_rotmat(six).numpy(), matrices, atol=1e-14)


@pytest.mark.parametrize('angle', [0.0, 1e-6, 1e-3, 0.5, 3.0, np.pi - 1e-3])
def test_first_and_second_derivatives_of_axis_angle(angle):
    vectors = torch.from_numpy(angle * AXES[:3].copy()).requires_grad_()
    assert gradcheck(axis_angle_to_rotmat, vectors)
    assert gradgradcheck(axis_angle_to_rotmat, vectors)
    matrices = torch.from_numpy(Rotation.from_rotvec(angle * AXES[:3]).as_matrix()).requires_grad_()
    assert gradcheck(rotmat_to_axis_angle, matrices)
    assert gradgradcheck(rotmat_to_axis_angle, matrices)


def test_first_and_second_derivatives_of_rot6d():
    six = torch.from_numpy(np.random.default_rng(4).normal(size=(3, 6))).requires_grad_()
    assert gradcheck(rot6d_to_rotmat, six)
    assert gradgradcheck(rot6d_to_rotmat, six)


@pytest.mark.parametrize(
    'function, start',
    [
        (axis_angle_to_rotmat, torch.zeros(1, 3)),
        (rotmat_to_axis_angle, torch.eye(3)[None]),
        (rotmat_to_axis_angle, torch.diag(torch.tensor([1.0, -1.0, -1.0]))[None]),
        (rot6d_to_rotmat, torch.tensor([[1.0, 0, 0, 1, 0, 0]])),
    ],
)
def test_second_order_is_finite_at_the_identity_and_at_half_a_turn(function, start):
    start = start.clone().requires_grad_()
    weight = torch.linspace(-1, 2, function(start).numel()).reshape(function(start).shape)
    (gradient,) = torch.autograd.grad(
        (weight * function(start)).sum() + function(start).square().sum(), start, create_graph=True
    )
    (second,) = torch.autograd.grad(gradient.square().sum(), start)
    assert torch.isfinite(gradient).all() and torch.isfinite(second).all()
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize('angle', [1.01e-4, 2e-4, 5e-4, 1e-3, 1e-2])
def test_small_angles_have_exact_derivatives_in_float32(angle):
    def derivatives(dtype):
        vector = torch.from_numpy(angle * AXES[:4].copy()).to(dtype).requires_grad_()
        weight = torch.linspace(-1, 1, 36, dtype=dtype).reshape(4, 3, 3)
        (first,) = torch.autograd.grad(
            (weight * axis_angle_to_rotmat(vector)).sum(), vector, create_graph=True
        )
        (second,) = torch.autograd.grad(first.sum(), vector)
        return first.detach().double(), second.double()

    for single, double in zip(derivatives(torch.float32), derivatives(torch.float64)):
        assert (single - double).abs().max() < 2e-3 * double.abs().max()
