"""Backgrounds, occluders, and the effects of the camera on the image: exposure, blur, resolution, noise."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from hrtk.datasets.open_stream.domain import Domain

# Cells along each side and weight of the scales of the background's noise.
NOISE_SCALES = ((4, 0.5), (9, 0.3), (24, 0.25))


def sample_background(rng: np.random.Generator, size: int, domain: Domain) -> np.ndarray:
    """A background of a domain, (size, size, 3) float32 in [0, 1]."""
    if rng.random() < domain.plain:
        return sample_wall(rng, size)
    return sample_clutter(rng, size, rng.uniform(*domain.texture))


def sample_wall(rng: np.random.Generator, size: int) -> np.ndarray:
    """A studio wall: one colour, a soft gradient, sometimes a floor. (size, size, 3) float32 in [0, 1]."""
    if rng.random() < 0.6:
        colour = rng.uniform(0.1, 0.9, 3)
    else:
        colour = np.full(3, rng.uniform(0.1, 0.9))
    column = colour + np.linspace(-1, 1, size)[:, None] * rng.uniform(-0.12, 0.12)
    if rng.random() < 0.5:
        floor = int(size * rng.uniform(0.7, 0.98))
        column[floor:] += rng.uniform(-0.2, 0.2)
    return np.repeat(np.clip(column, 0, 1).astype(np.float32)[:, None], size, axis=1)


def sample_clutter(rng: np.random.Generator, size: int, contrast: float) -> np.ndarray:
    """A busy background: value noise at three scales, boxes and lines. (size, size, 3) float32 in [0, 1]."""
    base = rng.uniform(0.2, 0.8) + rng.uniform(-0.15, 0.15, 3)
    noise = np.zeros((size, size, 3), np.float32)
    for cells, weight in NOISE_SCALES:
        grid = 0.45 * rng.normal(size=(cells, cells, 3)) + 0.8 * rng.normal(size=(cells, cells, 1))
        interpolation = cv2.INTER_NEAREST
        if rng.random() < 0.6:
            interpolation = cv2.INTER_CUBIC
        noise += weight * cv2.resize(
            grid.astype(np.float32), (size, size), interpolation=interpolation
        )
    image = np.ascontiguousarray(base + 0.5 * contrast * noise, dtype=np.float32)
    for _ in range(rng.integers(2, 9)):
        _draw_shape(rng, image, base, contrast)
    return np.clip(image, 0, 1)


def _draw_shape(
    rng: np.random.Generator, image: np.ndarray, base: np.ndarray, contrast: float
) -> None:
    """Draws a box or a line of a random colour near ``base``, in place."""
    size = len(image)
    colour = (base + contrast * (0.45 * rng.normal() + 0.2 * rng.normal(size=3))).tolist()
    x, y = rng.integers(0, size, 2).tolist()
    if rng.random() < 0.6:
        width, height = rng.integers(size // 20, size // 2, 2).tolist()
        cv2.rectangle(image, (x, y), (x + width, y + height), colour, -1)
    else:
        end = rng.integers(0, size, 2).tolist()
        thickness = int(rng.integers(1, 2 + size // 40))
        cv2.line(image, (x, y), end, colour, thickness)


@dataclasses.dataclass(frozen=True)
class Optics:
    """The effects of one camera and its recording on every frame of a video.

    Attributes:
        gain: (3,) per channel.
        blur: standard deviation, px; below 0.3 there is none.
        noise: standard deviation, share of white.
        shrink: factor of lost resolution, 1 for none.
    """

    gain: np.ndarray
    blur: float
    noise: float
    shrink: float

    @staticmethod
    def sample(rng: np.random.Generator, domain: Domain) -> Optics:
        """Draws one camera of a domain. The order of the arguments is the order of the draws."""
        return Optics(
            gain=rng.uniform(*domain.exposure) * rng.uniform(1 - domain.tint, 1 + domain.tint, 3),
            blur=rng.uniform(0, domain.blur),
            noise=rng.uniform(0, domain.noise),
            shrink=rng.uniform(1, domain.shrink),
        )

    def apply(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(H, W, 3) float in [0, 1] -> uint8 RGB."""
        image = np.minimum(image * self.gain.astype(np.float32), 1)
        if self.blur > 0.3:
            image = cv2.GaussianBlur(image, (0, 0), self.blur)
        if self.shrink > 1.05:
            height, width = image.shape[:2]
            small_width = max(int(width / self.shrink), 8)
            small_height = max(int(height / self.shrink), 8)
            small = cv2.resize(image, (small_width, small_height), interpolation=cv2.INTER_AREA)
            image = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
        if self.noise > 0:
            image = image + self.noise * rng.standard_normal(image.shape, dtype=np.float32)
        return cv2.convertScaleAbs(np.maximum(image, 0), alpha=255)


@dataclasses.dataclass(frozen=True)
class Occluder:
    """A textured board in front of the person.

    Attributes:
        texture: (h, w, 3) in [0, 1].
    """

    texture: np.ndarray

    @staticmethod
    def sample(rng: np.random.Generator, size: int) -> Occluder:
        """Draws a board with sides of an eighth to a third of the image's."""
        width, height = rng.uniform(size / 8, size / 3, 2).astype(int).tolist()
        texture = sample_clutter(rng, max(width, height, 32), 0.6)
        return Occluder(texture[:height, :width])

    def cover(self, image: np.ndarray, mask: np.ndarray, x: int, y: int) -> None:
        """Draws the board with its top-left corner at (x, y), in place, and removes its area from the mask."""
        height, width = self.texture.shape[:2]
        left = max(x, 0)
        right = min(x + width, image.shape[1])
        top = max(y, 0)
        bottom = min(y + height, image.shape[0])
        if left < right and top < bottom:
            visible = self.texture[top - y : bottom - y, left - x : right - x]
            image[top:bottom, left:right] = visible
            mask[top:bottom, left:right] = 0
