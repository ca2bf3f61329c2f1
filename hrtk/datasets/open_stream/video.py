"""Draws one video of the stream with its ground truth."""

from __future__ import annotations

import dataclasses
from typing import Optional

import numpy as np
from torch import Tensor

from hrtk.datasets.open_stream.clothing import Outfit
from hrtk.datasets.open_stream.domain import Domain
from hrtk.datasets.open_stream.render import Light, body_renderer
from hrtk.datasets.open_stream.scene import Scene, sample_scene, smooth_noise
from hrtk.datasets.open_stream.scenery import Occluder, Optics, sample_background

PERSON_HEIGHT = 1.7  # metres
FILL = 0.68  # share of the image's height that a person of this height takes


@dataclasses.dataclass(frozen=True)
class Video:
    """A drawn video; the fields are also the arrays of its file in the cache.

    Attributes:
        frames: (F, H, W, 3) uint8 RGB.
        masks: (F, H, W) uint8 of 0 and 1, the visible part of the person.
        rotmat: (F, 24, 3, 3) float32, root in the camera frame.
        betas: (F, 10) float32.
        translation: (F, 3) float32 metres, from the body's own frame to the camera's.
        intrinsics: (F, 3) float32 pinhole camera ``[focal, cx, cy]``, px.
    """

    frames: np.ndarray
    masks: np.ndarray
    rotmat: np.ndarray
    betas: np.ndarray
    translation: np.ndarray
    intrinsics: np.ndarray


def draw_video(
    rng: np.random.Generator, domain: Domain, frames: int, fps: float, size: int
) -> Video:
    """Draws one video.

    Each component has a random generator of its own, so that a shift changes only its component: the same seed shows
    the same person in the same clothes against another background.

    Args:
        rng: parent of the generators.
        domain: ranges of the video.
        frames: F.
        fps: frames per second.
        size: side of the square frames, px.
    """
    (
        scene_rng,
        outfit_rng,
        light_rng,
        optics_rng,
        background_rng,
        occluder_rng,
        sensor_rng,
    ) = rng.spawn(7)
    scene = sample_scene(scene_rng, domain, frames, fps)
    renderer = body_renderer()
    outfit = Outfit.sample(outfit_rng, renderer.landmarks, domain.patterns)
    light = Light.sample(light_rng, domain.light, domain.ambient)
    optics = Optics.sample(optics_rng, domain)
    background = _MovingBackground(background_rng, domain, scene, size, fps)
    occluder = _MovingOccluder(occluder_rng, domain, frames, size, fps)
    betas = np.repeat(scene.betas[None], frames, 0)
    vertices, pelvis = renderer.pose(scene.rotmat, betas)
    translation = scene.offset - pelvis
    distance = float(np.median(scene.offset[:, 2]))
    focal = FILL * size * distance / PERSON_HEIGHT
    camera = np.array([focal, (size - 1) / 2, (size - 1) / 2])
    images = np.empty((frames, size, size, 3), np.uint8)
    masks = np.empty((frames, size, size), np.uint8)
    for t in range(frames):
        image = background.crop(t)
        masks[t] = renderer.draw(image, vertices[t] + translation[t], camera, outfit, light)
        occluder.cover(image, masks[t], t)
        images[t] = optics.apply(image, sensor_rng)
    return Video(
        frames=images,
        masks=masks,
        rotmat=scene.rotmat.astype(np.float32),
        betas=betas.astype(np.float32),
        translation=translation.astype(np.float32),
        intrinsics=np.repeat(camera[None], frames, 0).astype(np.float32),
    )


def project_pinhole(points: Tensor, intrinsics: Tensor) -> Tensor:
    """Projects camera-frame points (F, N, 3), metres, by pinhole cameras (F, 3) ``[focal, cx, cy]`` -> (F, N, 2) px."""
    return points[..., :2] / points[..., 2:] * intrinsics[:, None, :1] + intrinsics[:, None, 1:]


class _MovingBackground:
    """A large background; every frame shows the part that the hand-held camera points to."""

    def __init__(
        self, rng: np.random.Generator, domain: Domain, scene: Scene, size: int, fps: float
    ) -> None:
        self.size = size
        self.image = sample_background(rng, 2 * size, domain)
        shake = smooth_noise(rng, len(scene.rotmat), fps, 2, top=0.2)
        self.corners = (size * (0.5 + 0.04 * domain.sway * shake)).clip(0, size).astype(int)

    def crop(self, t: int) -> np.ndarray:
        """A copy of the part that frame t shows, (size, size, 3)."""
        y, x = self.corners[t]
        return self.image[y : y + self.size, x : x + self.size].copy()


class _MovingOccluder:
    """An occluder that drifts across the image, in a share of the videos."""

    def __init__(
        self, rng: np.random.Generator, domain: Domain, frames: int, size: int, fps: float
    ) -> None:
        self.occluder: Optional[Occluder] = None
        if rng.random() < domain.occluders:
            self.occluder = Occluder.sample(rng, size)
        start = rng.uniform(0.1, 0.8, 2)
        drift = 0.25 * smooth_noise(rng, frames, fps, 2, top=0.15) * [1, 0.2]
        path = start + drift
        self.x = (path[:, 0] * size).astype(int)
        self.y = ((0.35 + 0.5 * path[:, 1]) * size).astype(int)

    def cover(self, image: np.ndarray, mask: np.ndarray, t: int) -> None:
        """Draws the occluder of frame t, see :meth:`Occluder.cover`."""
        if self.occluder is not None:
            self.occluder.cover(image, mask, int(self.x[t]), int(self.y[t]))
