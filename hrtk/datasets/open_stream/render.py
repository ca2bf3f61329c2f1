"""Draws the clothed body into a picture: skin, normals, rasterise, colour per pixel."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import torch

from hrtk.body_models import BodyModel
from hrtk.body_models.skeletons import SMPL24
from hrtk.datasets.open_stream.clothing import Landmarks, Outfit
from hrtk.geometry.raster import interpolate, rasterize, vertex_normals


@dataclasses.dataclass(frozen=True)
class Light:
    """A directional light in the camera frame, pointing from the surface to it, and an ambient share in [0, 1]."""

    direction: np.ndarray
    ambient: float

    @staticmethod
    def sample(rng: np.random.Generator, spread: float, ambient: tuple[float, float]) -> Light:
        """Draws a light from above and before the person."""
        direction = np.array([rng.normal() * spread, -abs(rng.normal()) - 0.3, -1.0])
        return Light(direction / np.linalg.norm(direction), rng.uniform(*ambient))


class Painter:
    """The bundled body with what drawing it needs, computed once per process."""

    def __init__(self) -> None:
        self.body = BodyModel('open')
        data = self.body.data
        self.rest = data.v_template.astype(np.float64)
        self.head = data.weights[:, SMPL24.index('head')].astype(np.float64)
        self.faces = data.f
        self.marks = Landmarks.of(data)
        self._surface = np.concatenate([self.rest, self.head[:, None]], axis=1)

    @torch.no_grad()
    def pose(self, rotmat: np.ndarray, betas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(F, 24, 3, 3) rotations and (F, 10) betas -> skin vertices (F, V, 3) and pelvis positions (F, 3)."""
        out = self.body(
            torch.as_tensor(rotmat, dtype=torch.float32),
            torch.as_tensor(betas, dtype=torch.float32),
        )
        return out.vertices.numpy().astype(np.float64), out.joints[:, 0].numpy().astype(np.float64)

    def draw(
        self,
        image: np.ndarray,
        vertices: np.ndarray,
        camera: np.ndarray,
        outfit: Outfit,
        light: Light,
    ) -> np.ndarray:
        """Draws one person over a background, in place.

        Args:
            image: (H, W, 3) float32 background in [0, 1].
            vertices: (V, 3) skin in the camera frame, metres.
            camera: ``[focal, cx, cy]``, px.
            outfit: what the person wears.
            light: where it is lit from.

        Returns:
            (H, W) uint8 mask, 1 on the person.
        """
        offsets = outfit.offsets(self.rest, self.head)
        normals = vertex_normals(vertices, self.faces)
        cloth = vertices + normals * offsets[:, None]
        points = np.concatenate(
            [cloth[:, :2] / cloth[:, 2:] * camera[0] + camera[1:], cloth[:, 2:]], axis=1
        )
        fragments = rasterize(points, self.faces, *image.shape[:2])
        seen = fragments.mask
        surface = interpolate(
            fragments, self.faces, np.concatenate([self._surface, normals], axis=1)
        )[seen]
        normal = surface[:, 4:]
        lambert = normal @ light.direction / np.maximum(np.linalg.norm(normal, axis=1), 1e-6)
        shade = light.ambient + (1 - light.ambient) * np.clip(lambert, 0, None)
        image[seen] = outfit.colours(surface[:, :3], surface[:, 3]) * shade[:, None]
        return seen.astype(np.uint8)


@functools.cache
def painter() -> Painter:
    """The process's painter."""
    return Painter()
