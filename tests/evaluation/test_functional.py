"""Errors against plain float64 loops and SciPy."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.spatial import procrustes as scipy_procrustes
from scipy.spatial.transform import Rotation

from hrtk.evaluation import accel_error, mpjpe, pa_mpjpe, procrustes, pve, reprojection_error_px

RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(2, 6, 14, 3))


def length(v):
    return sum(float(x) ** 2 for x in v) ** 0.5


def test_mpjpe_in_millimetres():
    wanted = [1000 * sum(length(a - b) for a, b in zip(p, q)) / 14 for p, q in zip(A, B)]
    np.testing.assert_allclose(mpjpe(A, B), wanted, rtol=1e-12)
    np.testing.assert_allclose(pve(torch.as_tensor(A), torch.as_tensor(B)), wanted, rtol=1e-12)
    assert mpjpe(A.astype(np.float32), torch.as_tensor(A)).max() < 1e-3


def test_accel_is_the_second_difference():
    wanted = [
        1000
        * sum(
            length((A[t - 1] - 2 * A[t] + A[t + 1] - B[t - 1] + 2 * B[t] - B[t + 1])[j])
            for j in range(14)
        )
        / 14
        for t in range(1, 5)
    ]
    np.testing.assert_allclose(accel_error(A, B), wanted, rtol=1e-12)
    steady = B + np.arange(6)[:, None, None] * 0.3 + 1
    assert accel_error(steady, B).max() < 1e-9
    assert accel_error(A[:2], B[:2]).shape == (0,)


def test_reprojection_counts_visible_points_alike():
    predicted, observed = A[..., :2], B[..., :2]
    confidence = RNG.uniform(size=(6, 14)) * (RNG.uniform(size=(6, 14)) > 0.4)
    confidence[3] = 0
    error = reprojection_error_px(predicted, observed, confidence)
    for t in (0, 1, 2, 4, 5):
        seen = [length(predicted[t, k] - observed[t, k]) for k in range(14) if confidence[t, k] > 0]
        assert error[t] == pytest.approx(sum(seen) / len(seen), rel=1e-12)
    assert np.isnan(error[3])


def test_missing_points_may_hold_anything():
    observed = B[..., :2].copy()
    confidence = np.ones((6, 14))
    confidence[:, 0], observed[:, 0] = 0, np.nan
    assert np.isfinite(reprojection_error_px(A[..., :2], observed, confidence)).all()


def test_procrustes_agrees_with_scipy():
    for a, noise in zip(
        A, B
    ):  # alike enough that SciPy, which would accept a mirror image, needs none
        b = 2 * Rotation.from_rotvec(noise[0]).apply(a) + 0.3 * noise + noise[1]
        _, moved, _ = scipy_procrustes(b, a)  # in units of the centred target's norm
        centre = b.mean(0)
        np.testing.assert_allclose(
            procrustes(a[None], b[None])[0] - centre, moved * np.linalg.norm(b - centre), atol=1e-10
        )


def test_procrustes_is_the_best_similarity_without_reflection():
    # A mirrored body: the best orthogonal matrix is the mirror, which must not be used.
    target = B[0]
    points = target * [-1, 1, 1] + 0.05 * A[0]

    def cost(x):
        return np.square(
            np.exp(x[6]) * Rotation.from_rotvec(x[:3]).apply(points) + x[3:6] - target
        ).sum()

    starts = Rotation.random(12, random_state=1).as_rotvec()
    best = min(minimize(cost, [*start, 0, 0, 0, 0]).fun for start in starts)
    assert np.square(procrustes(points[None], target[None])[0] - target).sum() == pytest.approx(
        best, rel=1e-6
    )
    assert best > 1


def test_pa_mpjpe_ignores_similarities():
    rotation = Rotation.random(6, random_state=0).as_matrix()
    moved = 1.7 * A @ np.swapaxes(rotation, 1, 2) + RNG.normal(size=(6, 1, 3))
    assert pa_mpjpe(moved, A).max() < 1e-9
    np.testing.assert_allclose(pa_mpjpe(moved, B), pa_mpjpe(A, B), rtol=1e-9)
    assert (pa_mpjpe(A, B) < mpjpe(A, B)).all()


def test_points_in_one_place_get_the_target_s_centre():
    moved = procrustes(np.zeros((1, 14, 3)), B[:1])
    np.testing.assert_allclose(moved, np.broadcast_to(B[:1].mean(1, keepdims=True), (1, 14, 3)))
