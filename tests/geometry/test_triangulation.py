"""Triangulation against the direct linear transform written out, and against minimised reprojection errors."""

import cv2
import numpy as np
import pytest
from scipy.optimize import minimize

from hrtk.geometry.calibrated_camera import CalibratedCamera
from hrtk.geometry.triangulation import triangulate

MATRIX = np.array([[1000.0, 0, 500], [0, 1000, 500], [0, 0, 1]])


def make_cameras(count, lens=(0.0,) * 5):
    """Cameras on a circle of 4 m that look at the origin."""
    found = []
    for index in range(count):
        angle = 0.9 * index
        position = 4 * np.array([np.sin(angle), -np.cos(angle), 0.2 * index])
        forward = -position / np.linalg.norm(position)
        right = np.cross(forward, [0, 0, 1.0])
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward])
        found.append(
            CalibratedCamera(
                str(index), (1000, 1000), MATRIX, np.array(lens), rotation, -rotation @ position
            )
        )
    return found


def seen(cameras, points):
    """(N, C, 2) px by OpenCV."""
    pixels = []
    for camera in cameras:
        rotation = cv2.Rodrigues(camera.rotation)[0]
        projected = cv2.projectPoints(
            points, rotation, camera.translation, camera.matrix, camera.distortion
        )[0]
        pixels.append(projected[:, 0])
    return np.stack(pixels, axis=1)


def dlt_by_hand(cameras, pixels):
    """One point from (C, 2) px: the smallest eigenvector of A'A, without lens."""
    rows = []
    for camera, (u, v) in zip(cameras, pixels):
        P = camera.matrix @ np.hstack([camera.rotation, camera.translation[:, None]])
        rows += [u * P[2] - P[0], v * P[2] - P[1]]
    A = np.array(rows)
    values, vectors = np.linalg.eigh(A.T @ A)
    return vectors[:3, 0] / vectors[3, 0]


def errors_px(cameras, pixels, point):
    return np.linalg.norm(seen(cameras, point[None])[0] - pixels, axis=-1)


@pytest.fixture
def points():
    return np.random.default_rng(0).uniform(-0.8, 0.8, (20, 3))


@pytest.mark.parametrize('count', [2, 3, 4])
def test_exact_points_are_those_of_the_linear_transform(points, count):
    cameras = make_cameras(count)
    pixels = seen(cameras, points)
    found = triangulate(cameras, pixels, np.ones((20, count)))
    np.testing.assert_allclose(found.points, points, atol=1e-9)
    by_hand = [dlt_by_hand(cameras, pixels[i]) for i in range(20)]
    np.testing.assert_allclose(found.points, by_hand, atol=1e-7)
    assert found.kept.all() and found.error_px.max() < 1e-6


def test_lens_is_undone(points):
    cameras = make_cameras(3, (-0.15, 0.03, 0.001, -0.002, 0.0))
    found = triangulate(cameras, seen(cameras, points), np.ones((20, 3)))
    np.testing.assert_allclose(found.points, points, atol=1e-7)


def test_noisy_points_minimise_the_reprojection_error(points):
    """The linear transform alone minimises an algebraic error; the rounds come to the geometric one."""
    cameras = make_cameras(3)
    rng = np.random.default_rng(1)
    pixels = seen(cameras, points) + rng.normal(0, 3, (20, 3, 2))
    confidence = rng.uniform(0.3, 1, (20, 3))
    found = triangulate(cameras, pixels, confidence, huber_px=1e6, reject_px=1e6)
    for i in range(20):

        def cost(point, i=i):
            return np.square(confidence[i] * errors_px(cameras, pixels[i], point)).sum()

        best = minimize(cost, points[i], method='Nelder-Mead', options=dict(xatol=1e-8, fatol=1e-8))
        assert np.linalg.norm(found.points[i] - best.x) < 1e-3
        assert cost(found.points[i]) < 1.001 * best.fun
        assert cost(found.points[i]) < cost(dlt_by_hand(cameras, pixels[i]))


def test_weights_are_hubers(points):
    cameras = make_cameras(4)
    rng = np.random.default_rng(2)
    pixels = seen(cameras, points) + rng.normal(0, 1, (20, 4, 2))
    pixels[:, 1] += 14
    found = triangulate(cameras, pixels, np.ones((20, 4)), reject_px=1e6)
    for i in range(5):

        def cost(point, i=i):
            error = errors_px(cameras, pixels[i], point)
            return np.where(error < 5, error**2 / 2, 5 * (error - 2.5)).sum()

        best = minimize(cost, points[i], method='Nelder-Mead', options=dict(xatol=1e-8, fatol=1e-8))
        assert np.linalg.norm(found.points[i] - best.x) < 1.5e-3
        linear = dlt_by_hand(cameras, pixels[i])
        error = np.linalg.norm(found.points[i] - points[i])
        assert error < 0.8 * np.linalg.norm(linear - points[i])


def test_wrong_view_is_left_out(points):
    cameras = make_cameras(4)
    pixels = seen(cameras, points)
    pixels[:10, 2] += 150
    pixels[3, 0] -= 90
    found = triangulate(cameras, pixels, np.ones((20, 4)))
    np.testing.assert_allclose(np.delete(found.points, 3, 0), np.delete(points, 3, 0), atol=1e-9)
    kept = np.ones((20, 4), bool)
    kept[:10, 2] = False
    np.testing.assert_array_equal(np.delete(found.kept, 3, 0), np.delete(kept, 3, 0))
    assert found.kept[3].sum() == 2


def test_points_that_are_not_seen(points):
    cameras = make_cameras(3)
    pixels = seen(cameras, points)
    confidence = np.ones((20, 3))
    confidence[0] = (1, 0, 0)
    confidence[1] = (1, 1, 0)
    pixels[0, 1:] = pixels[1, 2] = 5000
    pixels[2, 0] = np.nan
    found = triangulate(cameras, pixels, confidence)
    assert np.isnan(found.points[0]).all() and np.isnan(found.error_px[0])
    np.testing.assert_allclose(found.points[1:], points[1:], atol=1e-9)
    assert found.kept[:3].tolist() == [
        [True, False, False],
        [True, True, False],
        [False, True, True],
    ]
