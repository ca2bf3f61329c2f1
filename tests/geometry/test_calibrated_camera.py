"""Calibrated cameras against OpenCV's projection and undistortion."""

import cv2
import numpy as np
import pytest

from hrtk.geometry.calibrated_camera import CalibratedCamera

MATRIX = np.array([[900.0, 0, 640], [0, 950, 360], [0, 0, 1]])
LENSES = ([0.0] * 5, [-0.2, 0.05, 0.002, -0.003, 0.01], [0.1, -0.02, -0.001, 0.002, 0.0])


def camera(lens):
    rotation = cv2.Rodrigues(np.array([0.3, -0.8, 0.1]))[0]
    translation = np.array([0.2, -0.1, 4.0])
    return CalibratedCamera('a', (1280, 720), MATRIX, np.array(lens), rotation, translation)


@pytest.mark.parametrize('lens', LENSES)
def test_projection_is_opencvs(lens):
    points = np.random.default_rng(0).uniform(-1, 1, (50, 3))
    cam = camera(lens)
    rotation = cv2.Rodrigues(cam.rotation)[0]
    expected = cv2.projectPoints(points, rotation, cam.translation, MATRIX, np.array(lens))[0]
    projected = cam.project(cam.to_camera(points))
    np.testing.assert_allclose(projected, expected[:, 0], atol=1e-9)


@pytest.mark.parametrize('lens', LENSES)
def test_undistortion_inverts_the_lens(lens):
    plane = np.random.default_rng(1).uniform(-0.6, 0.6, (4, 25, 2))
    cam = camera(lens)
    pixels = cam.project(np.concatenate([plane, np.ones((4, 25, 1))], -1) * 3.0)
    np.testing.assert_allclose(cam.undistort(pixels), plane, atol=1e-7)


def test_focal_is_the_mean():
    assert camera(LENSES[0]).focal == 925
