"""Draws the clothed body into an image: offset along the normals, rasterise, shade per pixel."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import torch

from hrtk.body_models import BodyModel
from hrtk.body_models.skeletons import SMPL24
from hrtk.datasets.open_stream.clothing import Landmarks, Outfit
from hrtk.silhouettes.raster import interpolate, rasterize, vertex_normals


@dataclasses.dataclass(frozen=True)
class Light:
    """A directional light and an ambient light.

    Attributes:
        direction: (3,) unit vector in the camera frame, from the surface to the light.
        ambient: share of the ambient light, in [0, 1].
    """

    direction: np.ndarray
    ambient: float

    @staticmethod
    def sample(rng: np.random.Generator, spread: float, ambient: tuple[float, float]) -> Light:
        """Draws a light from above and in front of the person."""
        direction = np.array([rng.normal() * spread, -abs(rng.normal()) - 0.3, -1.0])
        return Light(direction / np.linalg.norm(direction), rng.uniform(*ambient))


class BodyRenderer:
    """The bundled body with everything that is needed to draw it."""

    def __init__(self) -> None:
        self.body = BodyModel('open')
        data = self.body.data
        self.rest = data.v_template.astype(np.float64)
        self.head_weights = data.weights[:, SMPL24.index('head')].astype(np.float64)
        self.faces = data.f
        self.landmarks = Landmarks.measure(data)
        self._surface = np.concatenate([self.rest, self.head_weights[:, None]], axis=1)

    @torch.no_grad()
    def pose(self, rotmat: np.ndarray, betas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(F, 24, 3, 3) rotations and (F, 10) betas -> skin vertices (F, V, 3) and pelvis positions (F, 3)."""
        output = self.body(
            torch.as_tensor(rotmat, dtype=torch.float32),
            torch.as_tensor(betas, dtype=torch.float32),
        )
        vertices = output.vertices.numpy().astype(np.float64)
        pelvis = output.joints[:, 0].numpy().astype(np.float64)
        return vertices, pelvis

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
            outfit: clothes of the person.
            light: lights of the scene.

        Returns:
            (H, W) uint8 mask, 1 on the person.
        """
        offsets = outfit.offsets(self.rest, self.head_weights)
        normals = vertex_normals(vertices, self.faces)
        cloth = vertices + normals * offsets[:, None]
        depth = cloth[:, 2:]
        pixels = cloth[:, :2] / depth * camera[0] + camera[1:]
        height, width = image.shape[:2]
        fragments = rasterize(np.concatenate([pixels, depth], axis=1), self.faces, height, width)
        mask = fragments.mask
        attributes = np.concatenate([self._surface, normals], axis=1)
        surface = interpolate(fragments, self.faces, attributes)[mask]
        rest = surface[:, :3]
        head_weights = surface[:, 3]
        normal = surface[:, 4:]
        lambert = normal @ light.direction / np.maximum(np.linalg.norm(normal, axis=1), 1e-6)
        shade = light.ambient + (1 - light.ambient) * np.clip(lambert, 0, None)
        image[mask] = outfit.colours(rest, head_weights) * shade[:, None]
        return mask.astype(np.uint8)


@functools.cache
def body_renderer() -> BodyRenderer:
    """The renderer of this process, built on the first call."""
    return BodyRenderer()
