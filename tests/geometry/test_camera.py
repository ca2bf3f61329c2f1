"""Cameras against the formulas of SPIN, VIBE and HMR2 written out, and against each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hrtk.errors import InputError
from hrtk.geometry.boxes import to_image
from hrtk.geometry.camera import (
    clip_focal,
    crop_to_image_camera,
    crop_to_image_weak,
    crop_translation,
    default_focal,
    distant_focal,
    fit_weak_perspective,
    image_to_crop_camera,
    project,
    turn_root,
    viewing_rotation,
)

SIZE = (1280, 720)
RNG = np.random.default_rng(0)
CAMERAS = np.stack(
    [RNG.uniform(0.6, 1.2, 6), RNG.uniform(-0.2, 0.2, 6), RNG.uniform(-0.3, 0.3, 6)], 1
)
BOXES = np.stack([RNG.uniform(540, 740, 6), RNG.uniform(260, 460, 6), RNG.uniform(150, 400, 6)], 1)
POINTS = RNG.uniform(-1, 1, (6, 40, 3)) * [0.8, 0.9, 0.2]


def tensors(*arrays):
    return [torch.from_numpy(np.ascontiguousarray(a)) for a in arrays]


def spin_projection(point: np.ndarray, camera: np.ndarray) -> np.ndarray:
    """SPIN, one point: translate, intrinsics with f = 5000 and centre 0, divide by half the crop of 224 px."""
    translation = np.array([camera[1], camera[2], 2 * 5000.0 / (224 * camera[0] + 1e-9)])
    intrinsics = np.array([[5000.0, 0, 0], [0, 5000.0, 0], [0, 0, 1]])
    moved = point + translation
    pixel = intrinsics @ (moved / moved[2])
    return pixel[:2] / (224 / 2)


def test_project_is_spins():
    ours = project(*tensors(POINTS, CAMERAS)).numpy()
    expected = [[spin_projection(p, c) for p in points] for points, c in zip(POINTS, CAMERAS)]
    np.testing.assert_allclose(ours, expected, rtol=1e-13, atol=1e-14)


def test_project_has_the_signs_of_an_image():
    # The camera [1, 0, 0] puts a point 10 cm right and 20 cm down at about (0.1, 0.2).
    out = project(torch.tensor([[[0.1, 0.2, 0.0]]]), torch.tensor([[1.0, 0, 0]]))
    np.testing.assert_allclose(out[0, 0].numpy(), [0.1, 0.2], rtol=1e-5)
    np.testing.assert_allclose(
        crop_translation(torch.tensor([[1.0, 0, 0]]))[0, 2], 10000 / 224, rtol=1e-6
    )


def test_fit_weak_perspective_is_the_least_squares_solution():
    targets = RNG.normal(size=(6, 40, 2))
    ours = fit_weak_perspective(*tensors(POINTS, targets)).numpy()
    for points, target, camera in zip(POINTS, targets, ours):
        rows = np.zeros((80, 3))
        rows[0::2, 0] = points[:, 0]
        rows[0::2, 1] = 1
        rows[1::2, 0] = points[:, 1]
        rows[1::2, 2] = 1
        (s, a, b), *_ = np.linalg.lstsq(rows, target.reshape(-1), rcond=None)
        np.testing.assert_allclose(camera, [s, a / s, b / s], rtol=1e-9)


def test_fit_weak_perspective_inverts_a_weak_camera():
    targets = CAMERAS[:, None, :1] * (POINTS[..., :2] + CAMERAS[:, None, 1:])
    np.testing.assert_allclose(
        fit_weak_perspective(*tensors(POINTS, targets)).numpy(), CAMERAS, rtol=1e-10
    )


def through_the_image(points: np.ndarray, focal: float) -> np.ndarray:
    translation = crop_to_image_camera(*tensors(CAMERAS, BOXES), SIZE, focal).numpy()
    moved = points + translation[:, None]
    centre = np.array([(SIZE[0] - 1) / 2, (SIZE[1] - 1) / 2])
    return focal * moved[..., :2] / moved[..., 2:] + centre


def through_the_crop(points: np.ndarray) -> np.ndarray:
    points, cameras, boxes = tensors(points, CAMERAS, BOXES)
    return to_image(project(points, cameras), boxes).numpy()


@pytest.mark.parametrize('focal', [1000.0, 5000.0])
def test_crop_and_image_camera_agree_exactly_in_the_plane_of_the_root(focal):
    flat = POINTS * [1, 1, 0]
    np.testing.assert_allclose(through_the_image(flat, focal), through_the_crop(flat), atol=1e-6)


def test_crop_and_image_camera_agree_to_a_pixel_on_a_body():
    assert np.abs(through_the_image(POINTS, 5000.0) - through_the_crop(POINTS)).max() < 1.0


def test_crop_to_image_camera_is_hmr2s_formula():
    focal = 1234.0
    ours = crop_to_image_camera(*tensors(CAMERAS, BOXES), SIZE, 1234.0).numpy()
    for (s, tx, ty), (cx, cy, side), got in zip(CAMERAS, BOXES, ours):
        # HMR2 counts pixel edges: the centre of the top-left pixel is (0.5, 0.5).
        centre_x = cx + 0.5
        centre_y = cy + 0.5
        w_2 = SIZE[0] / 2.0
        h_2 = SIZE[1] / 2.0
        bs = side * s + 1e-9
        np.testing.assert_allclose(
            got,
            [2 * (centre_x - w_2) / bs + tx, 2 * (centre_y - h_2) / bs + ty, 2 * focal / bs],
            rtol=1e-13,
        )


def test_image_to_crop_camera_is_the_inverse():
    translation = crop_to_image_camera(*tensors(CAMERAS, BOXES), SIZE, 1234.0)
    back = image_to_crop_camera(translation, torch.from_numpy(BOXES), SIZE, 1234.0)
    np.testing.assert_allclose(back.numpy(), CAMERAS, rtol=1e-9)


def test_focal_lengths():
    assert default_focal((3, 4)) == 5.0
    assert distant_focal((1280, 720)) == distant_focal((720, 1280)) == 25000.0  # HMR2's
    assert clip_focal((600, 800)) == 1000.0
    assert clip_focal((600, 800), focal=700) == 700.0
    for size in ((1920, 1080), (1080, 1920)):
        focal = clip_focal(size, fov=60.0)
        assert np.degrees(2 * np.arctan2(960, focal)) == pytest.approx(60)


@pytest.mark.parametrize(
    'values, part',
    [
        (dict(focal=0), 'not 0'),
        (dict(focal=float('inf')), 'not inf'),
        (dict(focal=float('nan')), 'not nan'),
        (dict(fov=180.0), 'not 180'),
        (dict(fov=-3), 'not -3'),
        (dict(focal=900, fov=60), 'not both'),
    ],
)
def test_impossible_cameras(values, part):
    with pytest.raises(InputError, match=part):
        clip_focal((640, 480), **values)


def rays(boxes: np.ndarray, focal: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """(F, 3) unit vectors from the camera through the centres of boxes."""
    offset = np.concatenate([boxes[:, :2] - centre, np.broadcast_to(focal, (len(boxes), 1))], 1)
    return offset / np.linalg.norm(offset, axis=1, keepdims=True)


def shortest_turn(ray: np.ndarray) -> np.ndarray:
    """scipy's rotation that takes the optical axis to a ray about their common normal."""
    axis = np.cross([0.0, 0, 1], ray)
    angle = np.arctan2(np.linalg.norm(axis), ray[2])
    return Rotation.from_rotvec(axis / max(np.linalg.norm(axis), 1e-12) * angle).as_matrix()


@pytest.mark.parametrize('one_camera', [True, False])
def test_viewing_rotation_takes_the_optical_axis_to_the_ray(one_camera):
    focal = np.array([[1000.0]]) if one_camera else RNG.uniform(400, 2000, (6, 1))
    centre = np.array([[630.0, 350.0]]) if one_camera else RNG.uniform(200, 700, (6, 2))
    boxes = BOXES * [1.5, 2.0, 1] - [500, 400, 0]
    if one_camera:
        given = (1000.0, (630.0, 350.0))
    else:
        given = tensors(focal[:, 0], centre)
    ours = viewing_rotation(torch.from_numpy(boxes), *given).numpy()
    expected = rays(boxes, focal, centre)
    np.testing.assert_allclose(ours[:, :, 2], expected, atol=1e-12)
    np.testing.assert_allclose(ours, [shortest_turn(ray) for ray in expected], atol=1e-12)
    assert np.abs(ours - np.eye(3)).max() > 0.2


def test_viewing_rotation_of_a_turned_region_turns_in_the_image_first():
    angle = RNG.uniform(-3, 3, 6)
    boxes, angles = tensors(BOXES, angle)
    ours = viewing_rotation(boxes, 900.0, (100.0, 50.0), angles).numpy()
    upright = viewing_rotation(boxes, 900.0, (100.0, 50.0)).numpy()
    roll = Rotation.from_rotvec(angle[:, None] * [0.0, 0, 1]).as_matrix()
    np.testing.assert_allclose(ours, upright @ roll, atol=1e-12)
    # The same region in an image that is turned back: its x axis lies along the image's rows again.
    for t in range(6):
        offset = (BOXES[t, :2] - [100.0, 50.0]) @ roll[t, :2, :2]
        box = torch.tensor([[*offset, 1.0]], dtype=torch.float64)
        turned_back = viewing_rotation(box, 900.0, (0.0, 0.0)).numpy()[0]
        np.testing.assert_allclose(ours[t], roll[t] @ turned_back, atol=1e-12)


def test_viewing_rotation_is_the_identity_in_the_middle():
    box = torch.tensor([[320.0, 240.0, 100.0]])
    assert torch.equal(viewing_rotation(box, 500.0, (320.0, 240.0))[0], torch.eye(3))


def test_viewing_rotation_is_differentiable():
    boxes = torch.from_numpy(BOXES[:2]).requires_grad_()
    boxes.data[0, :2] = torch.tensor([630.0, 350.0])  # the optical axis itself
    focal = torch.tensor([900.0, 1500.0], dtype=torch.float64, requires_grad=True)
    centre = torch.tensor([[630.0, 350.0]], dtype=torch.float64).repeat(2, 1).requires_grad_()
    angle = torch.tensor([0.3, -2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(viewing_rotation, (boxes, focal, centre, angle), atol=1e-8)


def test_turn_root_turns_the_first_joint_only():
    rotations = Rotation.random(12, random_state=1).as_matrix().reshape(2, 6, 3, 3)
    turn = Rotation.random(2, random_state=2).as_matrix()
    ours = turn_root(*tensors(rotations, turn)).numpy()
    for t in range(2):
        np.testing.assert_allclose(ours[t, 0], turn[t] @ rotations[t, 0])
    np.testing.assert_array_equal(ours[:, 1:], rotations[:, 1:])


def test_crop_to_image_weak_draws_where_the_crop_does():
    sx, sy, tx, ty = crop_to_image_weak(*tensors(CAMERAS, BOXES), SIZE).numpy().T[..., None]
    u = sx * (POINTS[..., 0] + tx)
    v = sy * (POINTS[..., 1] + ty)
    # The sides of the image are [-1, 1], and its first pixel centre is half a pixel inside.
    image = np.stack([(u + 1) / 2 * SIZE[0] - 0.5, (v + 1) / 2 * SIZE[1] - 0.5], -1)
    weak = CAMERAS[:, None, :1] * (POINTS[..., :2] + CAMERAS[:, None, 1:])
    np.testing.assert_allclose(image, to_image(*tensors(weak, BOXES)).numpy(), atol=1e-9)
    assert np.abs(image - through_the_crop(POINTS)).max() < 2.0
