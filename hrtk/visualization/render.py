"""Shaded bodies over images, on the CPU: smooth normals, three soft lights, antialiased edges.

The light is computed at the vertices and interpolated over the faces (Gouraud, "Continuous shading of curved surfaces",
IEEE Trans. Computers 1971). A body has far fewer vertices than covered samples, and its faces are a few pixels large.
"""

from __future__ import annotations

from typing import NamedTuple, Optional, Sequence

import numpy as np

from hrtk.silhouettes.raster import mean_over_samples, rasterize, vertex_normals

Color = Sequence[float]
BLUE: Color = (0.70, 0.79, 0.90)
PINK: Color = (0.94, 0.74, 0.72)
# Of people side by side, in the hues of the report's.
PEOPLE: tuple[Color, ...] = (
    BLUE,
    (0.95, 0.78, 0.64),
    (0.73, 0.87, 0.68),
    (0.85, 0.75, 0.91),
    (0.93, 0.73, 0.81),
    (0.66, 0.86, 0.87),
)
SUPERSAMPLING = 2
GAMMA = 2.2

# Direction towards the light in the camera frame (x right, y down, z away), and strength in linear light.
LIGHTS = (((-0.60, -0.55, -0.60), 0.86), ((0.90, -0.10, -0.40), 0.26), ((0.15, -0.80, 0.60), 0.25))
AMBIENT_ABOVE = 0.26  # on surfaces that face up
AMBIENT_BELOW = 0.10
GLOSS = 0.10
GLOSS_EXPONENT = 18.0


class Region(NamedTuple):
    """A rectangle of whole pixels of an image, ``x0 <= x < x1``, ``y0 <= y < y1``."""

    x0: int
    y0: int
    x1: int
    y1: int


def draw_mesh(
    image: np.ndarray,
    vertices: np.ndarray,
    faces: np.ndarray,
    focal: float,
    centre: Optional[tuple[float, float]] = None,
    color: Color | np.ndarray = BLUE,
    alpha: float = 1.0,
) -> np.ndarray:
    """Draws a mesh over an image.

    Args:
        image: (H, W, 3) uint8 RGB; not changed.
        vertices: (V, 3) metres in the camera frame, translation included.
        faces: (F, 3) vertex indices, counter-clockwise seen from outside.
        focal: focal length in pixels.
        centre: (x, y) principal point in pixels; default the middle of the image.
        color: RGB in [0, 1], one for the mesh or (V, 3) for its vertices.
        alpha: opacity in [0, 1].

    Returns:
        (H, W, 3) uint8 RGB.
    """
    vertices = np.asarray(vertices, np.float64)
    faces = np.asarray(faces)
    height, width = image.shape[:2]
    if centre is None:
        centre = ((width - 1) / 2, (height - 1) / 2)
    points = project_points(vertices, focal, centre)
    result = image.copy()
    region = _mesh_region(points, height, width)
    if region is None:
        return result
    shaded, coverage = _shade(points, vertices, faces, region, np.asarray(color, np.float32))
    pixels = result[region.y0 : region.y1, region.x0 : region.x1]
    blended = shaded * alpha + pixels * (1 - coverage * alpha)
    pixels[...] = np.rint(blended.clip(0, 255)).astype(np.uint8)
    return result


def person_colors(people: Sequence[int]) -> np.ndarray:
    """(P, 3) RGB in [0, 1] of people by their numbers, which count from 0; six people have different colours."""
    return np.array([PEOPLE[number % len(PEOPLE)] for number in people])


def project_points(vertices: np.ndarray, focal: float, centre: tuple[float, float]) -> np.ndarray:
    """Pinhole projection (V, 3) metres -> (V, 3) u and v in pixels, z in metres; NaN where z <= 0."""
    vertices = np.asarray(vertices, np.float64)
    z = np.where(vertices[:, 2:] > 0, vertices[:, 2:], np.nan)
    return np.concatenate([vertices[:, :2] / z * focal + centre, z], axis=1)


def _mesh_region(points: np.ndarray, height: int, width: int) -> Optional[Region]:
    """The region of the image that the mesh may cover, or None if it lies outside."""
    uv = points[np.isfinite(points).all(1), :2]
    if len(uv) == 0:
        return None
    x0, y0 = np.floor(uv.min(0)).clip(0, (width, height)).astype(int)
    x1, y1 = (np.ceil(uv.max(0)) + 1).clip(0, (width, height)).astype(int)
    if x1 <= x0 or y1 <= y0:
        return None
    return Region(int(x0), int(y0), int(x1), int(y1))


def _shade(
    points: np.ndarray,
    vertices: np.ndarray,
    faces: np.ndarray,
    region: Region,
    color: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Colours in [0, 255] weighted by coverage, (h, w, 3), and the coverage in [0, 1], (h, w, 1).

    ``color`` is (3,) of the mesh or (V, 3) of its vertices.
    """
    n = SUPERSAMPLING
    height = region.y1 - region.y0
    width = region.x1 - region.x0
    fine_points = points.copy()
    # The centre of pixel 0 lies in the middle of fine pixels 0 .. n - 1.
    fine_points[:, :2] = (points[:, :2] - (region.x0, region.y0)) * n + (n - 1) / 2
    fragments = rasterize(fine_points, faces, height * n, width * n)
    colors = vertex_colors(vertices, faces, color)
    mean = mean_over_samples(fragments, faces, 255 * colors, n)
    return mean[..., :3], mean[..., 3:]


def vertex_colors(vertices: np.ndarray, faces: np.ndarray, color: np.ndarray) -> np.ndarray:
    """The colours of lit vertices as the camera at the origin sees them.

    Args:
        vertices: (V, 3) metres in the camera frame.
        faces: (F, 3) vertex indices, counter-clockwise seen from outside.
        color: gamma-encoded RGB in [0, 1] of the unlit mesh, (3,) or (V, 3).

    Returns:
        (V, 3) gamma-encoded RGB in [0, 1].
    """
    positions = np.asarray(vertices, np.float32)
    normals = vertex_normals(positions, faces)
    return _light(normals, _unit(-positions), np.asarray(color, np.float32))


def _light(normals: np.ndarray, to_eye: np.ndarray, albedo: np.ndarray) -> np.ndarray:
    """Lambertian shading with hemispheric ambient light and weak Blinn-Phong gloss, of gamma-encoded colours."""
    up = (1 - normals[:, 1:2]) / 2
    diffuse = AMBIENT_BELOW + (AMBIENT_ABOVE - AMBIENT_BELOW) * up
    gloss = np.zeros_like(diffuse)
    for direction, strength in LIGHTS:
        light = np.asarray(direction, np.float32) / np.linalg.norm(direction).astype(np.float32)
        diffuse = diffuse + strength * (normals @ light).clip(0)[:, None]
        half = _unit(to_eye + light)
        gloss += (
            GLOSS
            * strength
            * np.einsum('ij,ij->i', normals, half)[:, None].clip(0) ** GLOSS_EXPONENT
        )
    return (albedo**GAMMA * diffuse + gloss).clip(0, 1) ** (1 / GAMMA)


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.sqrt(np.einsum('ij,ij->i', vectors, vectors))
    return vectors / lengths.clip(1e-9)[:, None]
