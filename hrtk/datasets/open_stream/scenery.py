"""What is around the person and what the camera does to the picture: walls, things in the way, light, blur, noise."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from hrtk.datasets.open_stream.domain import Domain


def backdrop(rng: np.random.Generator, size: int, domain: Domain) -> np.ndarray:
    """A background of a domain, (size, size, 3) float32 in [0, 1]."""
    if rng.random() < domain.plain:
        return wall(rng, size)
    return clutter(rng, size, rng.uniform(*domain.texture))


def wall(rng: np.random.Generator, size: int) -> np.ndarray:
    """A studio wall: one colour, a soft gradient, perhaps a floor. (size, size, 3) float32 in [0, 1]."""
    colour = rng.uniform(0.1, 0.9, 3) if rng.random() < 0.6 else np.full(3, rng.uniform(0.1, 0.9))
    column = colour + np.linspace(-1, 1, size)[:, None] * rng.uniform(-0.12, 0.12)
    if rng.random() < 0.5:
        column[int(size * rng.uniform(0.7, 0.98)) :] += rng.uniform(-0.2, 0.2)
    return np.repeat(np.clip(column, 0, 1).astype(np.float32)[:, None], size, axis=1)


def clutter(rng: np.random.Generator, size: int, contrast: float) -> np.ndarray:
    """A busy background: value noise at three scales, boxes and lines. (size, size, 3) float32 in [0, 1]."""
    base = rng.uniform(0.2, 0.8) + rng.uniform(-0.15, 0.15, 3)
    noise = np.zeros((size, size, 3), np.float32)
    for cells, share in ((4, 0.5), (9, 0.3), (24, 0.25)):
        grid = 0.45 * rng.normal(size=(cells, cells, 3)) + 0.8 * rng.normal(size=(cells, cells, 1))
        smooth = cv2.INTER_CUBIC if rng.random() < 0.6 else cv2.INTER_NEAREST
        noise += share * cv2.resize(grid.astype(np.float32), (size, size), interpolation=smooth)
    image = np.ascontiguousarray(base + 0.5 * contrast * noise, dtype=np.float32)
    for _ in range(rng.integers(2, 9)):
        colour = [
            float(c) for c in base + contrast * (0.45 * rng.normal() + 0.2 * rng.normal(size=3))
        ]
        x, y = (int(v) for v in rng.integers(0, size, 2))
        if rng.random() < 0.6:
            w, h = (int(v) for v in rng.integers(size // 20, size // 2, 2))
            cv2.rectangle(image, (x, y), (x + w, y + h), colour, -1)
        else:
            x2, y2 = (int(v) for v in rng.integers(0, size, 2))
            cv2.line(image, (x, y), (x2, y2), colour, int(rng.integers(1, 2 + size // 40)))
    return np.clip(image, 0, 1)


@dataclasses.dataclass(frozen=True)
class Optics:
    """What the camera and its recording do to every frame of a video.

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
        """Draws one camera of a domain."""
        gain = rng.uniform(*domain.exposure) * rng.uniform(1 - domain.tint, 1 + domain.tint, 3)
        return Optics(
            gain,
            rng.uniform(0, domain.blur),
            rng.uniform(0, domain.noise),
            rng.uniform(1, domain.shrink),
        )

    def apply(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(H, W, 3) float in [0, 1] -> uint8 RGB."""
        image = np.minimum(image * self.gain.astype(np.float32), 1)
        if self.blur > 0.3:
            image = cv2.GaussianBlur(image, (0, 0), self.blur)
        if self.shrink > 1.05:
            height, width = image.shape[:2]
            small = (max(int(width / self.shrink), 8), max(int(height / self.shrink), 8))
            image = cv2.resize(
                cv2.resize(image, small, interpolation=cv2.INTER_AREA),
                (width, height),
                interpolation=cv2.INTER_CUBIC,
            )
        if self.noise > 0:
            image = image + self.noise * rng.standard_normal(image.shape, dtype=np.float32)
        return cv2.convertScaleAbs(np.maximum(image, 0), alpha=255)


@dataclasses.dataclass(frozen=True)
class Occluder:
    """A textured board before the person; its place may change from frame to frame."""

    texture: np.ndarray  # (h, w, 3)

    @staticmethod
    def sample(rng: np.random.Generator, size: int) -> Occluder:
        """Draws a board of an eighth to a third of the picture's side."""
        w, h = (int(v) for v in rng.uniform(size / 8, size / 3, 2))
        return Occluder(clutter(rng, max(w, h, 32), 0.6)[:h, :w])

    def cover(self, image: np.ndarray, mask: np.ndarray, x: int, y: int) -> None:
        """Draws the board with its top-left corner at (x, y), in place, and takes its area from the mask."""
        h, w = self.texture.shape[:2]
        x0, x1, y0, y1 = (
            max(x, 0),
            min(x + w, image.shape[1]),
            max(y, 0),
            min(y + h, image.shape[0]),
        )
        if x0 < x1 and y0 < y1:
            image[y0:y1, x0:x1] = self.texture[y0 - y : y1 - y, x0 - x : x1 - x]
            mask[y0:y1, x0:x1] = 0
