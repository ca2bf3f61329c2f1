"""Translations in the full image's camera, against numpy, scipy and a camera that is turned to the crop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from hrtk.body_models import BodyModel
from hrtk.geometry.camera import project, viewing_rotation
from hrtk.geometry.perspective import (
    crop_to_perspective,
    crop_to_pixels,
    fit_crop_camera,
    fit_translation,
    perspective_pixels,
    perspective_to_crop,
)
from hrtk.geometry.rotation import axis_angle_to_rotmat

RNG = np.random.default_rng(0)
FRAMES = 5
POINTS = RNG.normal(size=(FRAMES, 24, 3)) * [0.3, 0.5, 0.3]
TRANSLATION = RNG.uniform([-1, -0.5, 2.5], [1, 0.5, 6], (FRAMES, 3))
FOCAL = RNG.uniform(700, 1500, FRAMES)
CENTRE = RNG.uniform(300, 600, (FRAMES, 2))


def tensors(*arrays):
    return [torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]


def pinhole(points: np.ndarray, focal: float, centre: np.ndarray) -> np.ndarray:
    """(N, 3) metres -> (N, 2) px, one camera."""
    matrix = np.array([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1]])
    homogeneous = points @ matrix.T
    return homogeneous[:, :2] / homogeneous[:, 2:]


def pixels_of_all() -> np.ndarray:
    moved = POINTS + TRANSLATION[:, None]
    return np.stack([pinhole(*values) for values in zip(moved, FOCAL, CENTRE)])


def test_perspective_pixels_is_a_pinhole_camera():
    moved, focal, centre = tensors(POINTS + TRANSLATION[:, None], FOCAL, CENTRE)
    ours = perspective_pixels(moved, focal, centre)
    np.testing.assert_allclose(ours.numpy(), pixels_of_all(), rtol=1e-12)


def test_an_exact_projection_gives_its_translation():
    pixels = pixels_of_all()
    points, seen, focal, centre = tensors(POINTS, pixels, FOCAL, CENTRE)
    ours = fit_translation(points, seen, focal, centre)
    np.testing.assert_allclose(ours.numpy(), TRANSLATION, atol=1e-9)
    spoilt = seen.clone()
    spoilt[:, 3] += 500
    weights = torch.ones(FRAMES, 24).double()
    weights[:, 3] = 0
    kept = fit_translation(points, spoilt, focal, centre, weights)
    np.testing.assert_allclose(kept.numpy(), TRANSLATION, atol=1e-9)


def test_a_noisy_projection_gives_nearly_the_least_squares_translation():
    pixels = pixels_of_all() + RNG.normal(0, 8, (FRAMES, 24, 2))
    ours = fit_translation(*tensors(POINTS, pixels, FOCAL, CENTRE)).numpy()
    for t in range(FRAMES):

        def errors(translation):
            return (pinhole(POINTS[t] + translation, FOCAL[t], CENTRE[t]) - pixels[t]).ravel()

        best = least_squares(errors, TRANSLATION[t])
        assert np.square(errors(ours[t])).mean() < 1.02 * 2 * best.cost / 48
        np.testing.assert_allclose(ours[t], best.x, rtol=0.02, atol=0.01)


def test_fit_crop_camera_inverts_project():
    cameras = RNG.uniform([0.5, -0.2, -0.2], [1.2, 0.2, 0.2], (FRAMES, 3))
    points, camera = tensors(POINTS, cameras)
    ours = fit_crop_camera(points, project(points, camera))
    np.testing.assert_allclose(ours.numpy(), cameras, atol=1e-7)


def body_in_crops(focal: float, centre: tuple[float, float], angle=None):
    """Joints in the axes of crops, the same turned into the axes of the camera, crop cameras, boxes."""
    rotations = RNG.normal(0, 0.3, (FRAMES, 24, 3))
    rotations[:, 0] += [np.pi, 0, 0]
    rotmat = axis_angle_to_rotmat(torch.from_numpy(rotations))
    boxes = torch.from_numpy(RNG.uniform([200, 300, 350], [1700, 800, 450], (FRAMES, 3)))
    camera = torch.from_numpy(RNG.uniform([0.8, -0.1, 0.1], [0.9, 0.1, 0.3], (FRAMES, 3)))
    body = BodyModel().double()
    points = body.joints(rotmat, torch.zeros(FRAMES, 10).double(), 'smpl24')
    turn = viewing_rotation(boxes, focal, centre, angle)
    pelvis = points[:, :1]
    turned = (points - pelvis) @ turn.mT + pelvis
    return points, turned, camera, boxes


@pytest.mark.parametrize('angle', [None, 0.6])
@pytest.mark.parametrize('focal', [1800.0, 20000.0])
def test_the_body_stays_where_it_was_in_the_image(focal, angle):
    centre = (959.5, 539.5)
    angles = None
    if angle is not None:
        angles = torch.full((FRAMES,), angle).double()
    points, turned, camera, boxes = body_in_crops(focal, centre, angles)
    translation = crop_to_perspective(points, turned, camera, boxes, focal, centre, angles)
    before = crop_to_pixels(points, camera, boxes, angles)
    after = perspective_pixels(turned + translation[:, None], focal, centre)
    error = (after - before).norm(dim=-1)
    # People are 370 px high; the camera of a crop is nearly orthographic, the true one stands 4 m away.
    assert error.mean() < {1800.0: 6.0, 20000.0: 1.0}[focal]
    unturned = before.mean(1)
    assert (after.mean(1) - unturned).norm(dim=-1).max() < 1.5
    back = perspective_to_crop(points, turned, translation, boxes, focal, centre, angles)
    again = crop_to_pixels(points, back, boxes, angles)
    assert (again - before).norm(dim=-1).max() < {1800.0: 4.0, 20000.0: 0.4}[focal]


def test_a_turned_camera_sees_the_same_up_to_a_homography():
    """The crop's camera looks along the ray; its image and the real one differ by the homography of the turn."""
    focal, centre = 1500.0, (959.5, 539.5)
    points, turned, _, boxes = body_in_crops(focal, centre)
    turn = viewing_rotation(boxes, focal, centre).numpy()
    pelvis = points[:, 0].numpy()
    intrinsics = np.array([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1]])
    for t in range(FRAMES):
        before_crop = points[t].numpy() - pelvis[t] + [0, 0, 4]
        seen = before_crop @ turn[t].T @ intrinsics.T
        seen = seen[:, :2] / seen[:, 2:]
        assert np.allclose(seen[0], boxes[t, :2])  # the pelvis lies on the ray
        translation = fit_translation(
            turned[t : t + 1], torch.from_numpy(seen[None]), focal, centre
        )
        moved = turned[t].numpy() + translation[0].numpy()
        np.testing.assert_allclose(moved, before_crop @ turn[t].T, atol=1e-7)


def test_a_turned_region_shows_the_body_upright():
    """A body that lies in the image, cropped by a turned region: crop and camera agree on where its joints are."""
    angle = torch.tensor([np.pi / 2], dtype=torch.float64)
    points = torch.tensor([[[0.0, -0.8, 0], [0, 0.8, 0]]]).double()  # head above feet in the region
    camera = torch.tensor([[1.0, 0, 0]]).double()
    boxes = torch.tensor([[100.0, 100, 50]]).double()
    pixels = crop_to_pixels(points, camera, boxes, angle)
    np.testing.assert_allclose(pixels[0].numpy(), [[120, 100], [80, 100]], atol=1e-6)
    roll = Rotation.from_rotvec([0, 0, np.pi / 2]).as_matrix()
    np.testing.assert_allclose(
        viewing_rotation(boxes, 900.0, (100.0, 100.0), angle)[0].numpy(), roll, atol=1e-12
    )


def test_translations_are_differentiable():
    points, turned, camera, boxes = body_in_crops(1500.0, (959.5, 539.5))

    def translation(points, turned, camera, boxes):
        return crop_to_perspective(points, turned, camera, boxes, 1500.0, (959.5, 539.5))

    values = [value[:1, :4].clone().requires_grad_() for value in (points, turned)]
    values += [value[:1].clone().requires_grad_() for value in (camera, boxes)]
    assert torch.autograd.gradcheck(translation, values, atol=1e-6)
