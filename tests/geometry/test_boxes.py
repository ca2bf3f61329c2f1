"""Boxes against loops over visible points, and crops against a plain bilinear loop in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hrtk.geometry.boxes import (
    boxes_from_centers,
    boxes_from_corners,
    boxes_from_diagonal,
    boxes_from_keypoints,
    crop_image,
    normalise,
    to_crop,
    to_image,
    truncate_to_crop_pixels,
)

RNG = np.random.default_rng(0)
XY = RNG.uniform(0, 500, (5, 17, 2)).astype(np.float32)
CONFIDENCE = np.where(RNG.random((5, 17)) < 0.4, 0, RNG.random((5, 17))).astype(np.float32)
CONFIDENCE[3] = 0


def visible_box(xy, keep, scale, diagonal=False, aspect=1.0):
    if not keep.any():
        return [np.nan] * 3
    left = min(x for x, _ in xy[keep])
    top = min(y for _, y in xy[keep])
    right = max(x for x, _ in xy[keep])
    bottom = max(y for _, y in xy[keep])
    width = right - left
    height = bottom - top
    side = (width**2 + height**2) ** 0.5 if diagonal else max(width / aspect, height)
    return [(left + right) / 2, (top + bottom) / 2, scale * side]


@pytest.mark.parametrize('scale, aspect', [(1.2, 1.0), (1.0, 1.0), (1.1, 0.75)])
def test_boxes_from_keypoints(scale, aspect):
    ours = boxes_from_keypoints(torch.from_numpy(XY), torch.from_numpy(CONFIDENCE), scale, aspect)
    expected = [visible_box(xy, c > 0, scale, aspect=aspect) for xy, c in zip(XY, CONFIDENCE)]
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-6)


def test_boxes_from_diagonal():
    ours = boxes_from_diagonal(torch.from_numpy(XY), torch.from_numpy(CONFIDENCE))
    expected = [visible_box(xy, c > 0.3, 1.1, diagonal=True) for xy, c in zip(XY, CONFIDENCE)]
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-6)


def test_boxes_from_centers_and_corners():
    boxes = boxes_from_centers(torch.tensor([[10.0, 20.0]]), torch.tensor([1.5]))
    assert boxes.tolist() == [[10.0, 20.0, 300.0]]
    boxes = boxes_from_corners(
        torch.tensor([[10.0, 20.0, 110.0, 70.0], [0.0, 0.0, 40.0, 80.0]]), scale=1.5
    )
    assert boxes.tolist() == [[60.0, 45.0, 150.0], [20.0, 40.0, 120.0]]


def test_to_crop_puts_corners_at_one_and_to_image_inverts():
    boxes = torch.tensor([[100.0, 50.0, 80.0], [3.0, 4.0, 11.0]], dtype=torch.float64)
    corners = torch.tensor(
        [[[60.0, 10.0], [140.0, 90.0], [100.0, 50.0]], [[-2.5, -1.5], [8.5, 9.5], [3.0, 4.0]]],
        dtype=torch.float64,
    )
    expected = torch.tensor([[-1.0, -1.0], [1.0, 1.0], [0.0, 0.0]], dtype=torch.float64).expand(
        2, 3, 2
    )
    torch.testing.assert_close(to_crop(corners, boxes), expected)
    points = torch.from_numpy(RNG.normal(size=(2, 9, 2)))
    torch.testing.assert_close(to_crop(to_image(points, boxes), boxes), points)


def spin_transform(point, center, scale, resolution):
    """SPIN's ``transform`` (its utils/imutils.py, without rotation) in float64: points count from 1."""
    height = 200 * scale
    matrix = np.zeros((3, 3))
    matrix[0, 0] = resolution / height
    matrix[1, 1] = resolution / height
    matrix[0, 2] = resolution * (-center[0] / height + 0.5)
    matrix[1, 2] = resolution * (-center[1] / height + 0.5)
    matrix[2, 2] = 1
    new_point = matrix @ np.array([point[0] - 1, point[1] - 1, 1.0])
    return new_point[:2].astype(int) + 1


@pytest.mark.parametrize('resolution', [224, 256])
def test_truncated_targets_are_those_of_spins_loader(resolution):
    """``j2d_processing``: ``transform(kp + 1, ...)`` of every point, then ``2 * kp / resolution - 1``."""
    centers = RNG.uniform(200, 800, (4, 2))
    scales = RNG.uniform(0.7, 3, 4)
    # Inside of the box and around it: left of the crop, the cast rounds towards zero.
    points = centers[:, None] + 240 * scales[:, None, None] * RNG.uniform(-0.5, 0.5, (4, 24, 2))
    expected = np.empty_like(points)
    for frame in range(4):
        for joint in range(24):
            pixels = spin_transform(
                points[frame, joint] + 1, centers[frame], scales[frame], resolution
            )
            expected[frame, joint] = 2.0 * pixels / resolution - 1
    boxes = boxes_from_centers(torch.from_numpy(centers), torch.from_numpy(scales))
    normalised = to_crop(torch.from_numpy(points), boxes)
    ours = truncate_to_crop_pixels(normalised, resolution).numpy()
    np.testing.assert_allclose(ours, expected, atol=1e-12)
    assert (normalised.numpy() < -1).any() and (normalised.numpy() > 1).any()


def bilinear_loop(image: np.ndarray, box, resolution: int) -> np.ndarray:
    """One sample per crop pixel at its centre; pixels outside the image are zero."""
    height, width = image.shape[:2]
    out = np.zeros((resolution, resolution, 3))
    for row in range(resolution):
        for column in range(resolution):
            x = box[0] - box[2] / 2 + (column + 0.5) * box[2] / resolution
            y = box[1] - box[2] / 2 + (row + 0.5) * box[2] / resolution
            for py in (int(np.floor(y)), int(np.floor(y)) + 1):
                for px in (int(np.floor(x)), int(np.floor(x)) + 1):
                    if 0 <= px < width and 0 <= py < height:
                        out[row, column] += (1 - abs(x - px)) * (1 - abs(y - py)) * image[py, px]
    return out.transpose(2, 0, 1)


IMAGE = RNG.integers(0, 256, (41, 57, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    'box, resolution',
    [
        ((28.3, 20.7, 30.2), 16),  # smaller, by less than two
        ((28.3, 20.7, 13.0), 32),  # enlarged
        ((1.5, 39.0, 25.0), 24),  # over two edges
        ((28.0, 20.0, 200.0), 128),  # the whole image and much around it
        ((56.4, -3.1, 9.7), 11),
    ],
)
def test_crop_equals_a_bilinear_loop(box, resolution):
    ours = crop_image(IMAGE, torch.tensor(box), resolution).numpy()
    assert ours.shape == (3, resolution, resolution)
    np.testing.assert_allclose(ours, bilinear_loop(IMAGE, box, resolution), atol=2e-2)


def test_identity_crop_returns_the_pixels():
    square = IMAGE[:41, :41]
    np.testing.assert_allclose(
        crop_image(square, torch.tensor([20.0, 20.0, 41.0]), 41).numpy(),
        square.transpose(2, 0, 1),
        atol=2e-3,
    )


def test_whole_pixel_shift_is_exact_and_zero_outside():
    crop = crop_image(
        IMAGE, torch.tensor([4.5, 34.5, 20.0]), 20
    ).numpy()  # columns -5..14, rows 25..44
    np.testing.assert_allclose(crop[:, :16, 5:], IMAGE[25:41, :15].transpose(2, 0, 1), atol=2e-3)
    assert (crop[:, :, :5] == 0).all() and (crop[:, 16:] == 0).all()


@pytest.mark.parametrize(
    'box', [(500.0, 500.0, 40.0), (20.0, 20.0, 0.0), (20.0, 20.0, -3.0), (np.nan, np.nan, np.nan)]
)
def test_a_box_that_shows_nothing_is_black(box):
    crop = crop_image(IMAGE, torch.tensor(box), 8)
    assert crop.shape == (3, 8, 8) and (crop == 0).all()


@pytest.mark.parametrize('side', [96.0, 130.0, 187.5])
def test_downscaling_averages(side):
    # A linear image stays linear under any symmetric average, so its crop is known exactly.
    y, x = np.mgrid[0:300, 0:300]
    ramp = np.stack([x / 300, y / 300, (x + y) / 600], -1).astype(np.float32) * 255
    crop = crop_image(ramp, torch.tensor([149.2, 151.7, side]), 32).numpy()
    np.testing.assert_allclose(crop, bilinear_loop(ramp, (149.2, 151.7, side), 32), atol=1e-2)
    board = np.repeat(((x + y) % 2 * 255).astype(np.uint8)[..., None], 3, 2)
    grey = crop_image(board, torch.tensor([149.5, 149.5, 256.0]), 64).numpy()
    np.testing.assert_allclose(grey, 127.5, atol=1e-3)


def test_normalise_is_imagenets():
    crops = torch.from_numpy(RNG.uniform(0, 255, (2, 3, 4, 4)).astype(np.float32))
    for channel, (mean, std) in enumerate(((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))):
        expected = (crops[:, channel].double() / 255 - mean) / std
        np.testing.assert_allclose(
            normalise(crops)[:, channel].numpy(), expected.numpy(), atol=1e-5
        )
