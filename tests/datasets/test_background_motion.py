"""Cameras that stand and cameras that move, before a textured wall and a person who walks past it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from hrtk.datasets.frames import ArrayFrames
from hrtk.datasets.own.background_motion import background_shift

HEIGHT, WIDTH, FRAMES = 240, 320, 12
RNG = np.random.default_rng(0)


def wall() -> np.ndarray:
    """(480, 800, 3) uint8 blots of several sizes."""
    noise = np.zeros((480, 800), np.float32)
    for sigma in (2, 5):
        blurred = cv2.GaussianBlur(RNG.normal(size=noise.shape).astype(np.float32), (0, 0), sigma)
        noise += blurred / blurred.std()
    grey = np.clip(128 + 40 * noise, 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, 2)


WALL = wall()


def clip(step: tuple[float, float], person: bool = True) -> tuple[np.ndarray, dict]:
    """Images of a window that moves over the wall by ``step`` px per frame, and boxes of a striped person."""
    images, boxes = [], {}
    for t in range(FRAMES):
        offset = np.float32([[1, 0, -100 - step[0] * t], [0, 1, -100 - step[1] * t]])
        image = cv2.warpAffine(WALL, offset, (WIDTH, HEIGHT))
        image = np.clip(image + RNG.normal(0, 3, image.shape), 0, 255).astype(np.uint8)
        x = 60 + 12 * t
        boxes[t] = np.float32([[x, 120, 120]])
        if person:
            image[70:170, x - 25 : x + 25] = RNG.integers(0, 255, (100, 50, 3))
        images.append(image)
    return np.stack(images), boxes


@pytest.mark.parametrize('step', [(0, 0), (0.1, 0)])
def test_a_camera_that_stands(step) -> None:
    images, boxes = clip(step)
    assert background_shift(ArrayFrames(images), boxes) < 0.005


@pytest.mark.parametrize('step', [(3.0, 0), (-2.0, 2.0)])
def test_a_camera_that_pans(step) -> None:
    images, boxes = clip(step)
    expected = np.hypot(*step) * (FRAMES - 1) / np.hypot(HEIGHT, WIDTH)
    shift = background_shift(ArrayFrames(images), boxes)
    assert shift == pytest.approx(expected, rel=0.1)


def test_a_cut_is_a_large_shift() -> None:
    images, boxes = clip((0, 0))
    images[6:] = images[6:, ::-1, ::-1]
    assert background_shift(ArrayFrames(images), boxes) == 1.0


def test_unknown_without_background() -> None:
    images, boxes = clip((0, 0))
    everywhere = {t: np.float32([[160, 120, 400]]) for t in boxes}
    assert background_shift(ArrayFrames(images), everywhere) is None
    assert background_shift(ArrayFrames(np.zeros_like(images)), boxes) is None
    assert background_shift(ArrayFrames(images), {0: boxes[0]}) is None


def test_large_images_are_compared_at_a_smaller_size() -> None:
    images, boxes = clip((3.0, 0))
    large = np.stack([cv2.resize(image, None, fx=4, fy=4) for image in images])
    large_boxes = {t: box * 4 for t, box in boxes.items()}
    small_shift = background_shift(ArrayFrames(images), boxes)
    large_shift = background_shift(ArrayFrames(large), large_boxes)
    assert large_shift == pytest.approx(small_shift, rel=0.1)
