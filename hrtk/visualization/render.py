"""Shaded bodies on pictures, on the CPU: smooth normals, three soft lights, antialiased edges."""

from __future__ import annotations

from typing import Optional, Sequence

import cv2
import numpy as np

from hrtk.geometry.raster import interpolate, rasterize, vertex_normals

Color = Sequence[float]
BLUE: Color = (0.70, 0.79, 0.90)
PINK: Color = (0.94, 0.74, 0.72)
SUPERSAMPLING = 2

# Direction towards the light in the camera frame (x right, y down, z away), and strength in linear light.
LIGHTS = (((-0.60, -0.55, -0.60), 0.86), ((0.90, -0.10, -0.40), 0.26), ((0.15, -0.80, 0.60), 0.25))
AMBIENT_ABOVE, AMBIENT_BELOW = 0.26, 0.10
GLOSS, GLOSS_EXPONENT = 0.10, 18.0


def draw_mesh(
    image: np.ndarray,
    vertices: np.ndarray,
    faces: np.ndarray,
    focal: float,
    centre: Optional[tuple[float, float]] = None,
    color: Color | np.ndarray = BLUE,
    alpha: float = 1.0,
) -> np.ndarray:
    """Draws a mesh over a picture.

    Args:
        image: (H, W, 3) uint8 RGB; not changed.
        vertices: (V, 3) metres in the camera frame, translation included.
        faces: (F, 3) vertex indices, counter-clockwise seen from outside.
        focal: focal length in pixels.
        centre: (x, y) principal point in pixels; default the middle of the picture.
        color: RGB in [0, 1], one for the mesh or (V, 3) for its vertices.
        alpha: opacity in [0, 1].

    Returns:
        (H, W, 3) uint8 RGB.
    """
    vertices, faces = np.asarray(vertices, np.float64), np.asarray(faces)
    height, width = image.shape[:2]
    points = project_points(vertices, focal, centre or ((width - 1) / 2, (height - 1) / 2))
    result = image.copy()
    region = _region(points, height, width)
    if region is None:
        return result
    x0, y0, x1, y1 = region
    shaded, cover = _shade(
        points, vertices, faces, region, np.broadcast_to(np.asarray(color), vertices.shape)
    )
    window = result[y0:y1, x0:x1]
    mixed = shaded * alpha + window * (1 - cover * alpha)
    window[...] = np.rint(mixed.clip(0, 255)).astype(np.uint8)
    return result


def project_points(vertices: np.ndarray, focal: float, centre: tuple[float, float]) -> np.ndarray:
    """Pinhole projection (V, 3) metres -> (V, 3) u and v in pixels, z in metres; nan where z <= 0."""
    vertices = np.asarray(vertices, np.float64)
    z = np.where(vertices[:, 2:] > 0, vertices[:, 2:], np.nan)
    return np.concatenate([vertices[:, :2] / z * focal + centre, z], axis=1)


def _region(points: np.ndarray, height: int, width: int) -> Optional[tuple[int, int, int, int]]:
    """The part of the picture (x0, y0, x1, y1) that the mesh may touch."""
    uv = points[np.isfinite(points).all(1), :2]
    if len(uv) == 0:
        return None
    x0, y0 = np.floor(uv.min(0)).clip(0, (width, height)).astype(int)
    x1, y1 = (np.ceil(uv.max(0)) + 1).clip(0, (width, height)).astype(int)
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def _shade(
    points: np.ndarray,
    vertices: np.ndarray,
    faces: np.ndarray,
    region: tuple[int, int, int, int],
    colors: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Colours in [0, 255] weighted by coverage, (h, w, 3), and the coverage in [0, 1], (h, w, 1)."""
    x0, y0, x1, y1 = region
    n = SUPERSAMPLING
    fine = points.copy()
    # The centre of coarse pixel 0 lies in the middle of fine pixels 0 .. n - 1.
    fine[:, :2] = (points[:, :2] - (x0, y0)) * n + (n - 1) / 2
    fragments = rasterize(fine, faces, (y1 - y0) * n, (x1 - x0) * n)
    attributes = np.concatenate([vertex_normals(vertices, faces), vertices, colors], axis=1)
    seen = fragments.mask
    normals, position, albedo = np.split(interpolate(fragments, faces, attributes)[seen], 3, axis=1)
    pixels = np.zeros((*seen.shape, 4), np.float32)
    pixels[seen, :3] = 255 * _light(_unit(normals), _unit(-position), albedo)
    pixels[seen, 3] = 1
    mean = cv2.resize(
        pixels, (int(x1 - x0), int(y1 - y0)), interpolation=cv2.INTER_AREA
    )  # the mean of n x n
    return mean[..., :3], mean[..., 3:]


def _light(normals: np.ndarray, to_eye: np.ndarray, albedo: np.ndarray) -> np.ndarray:
    """Lambert with a sky and a ground, plus a little Blinn-Phong gloss; colours in and out are gamma-encoded."""
    up = (1 - normals[:, 1:2]) / 2
    diffuse = AMBIENT_BELOW + (AMBIENT_ABOVE - AMBIENT_BELOW) * up
    gloss = np.zeros_like(diffuse)
    for direction, strength in LIGHTS:
        light = np.asarray(direction, np.float32) / np.linalg.norm(direction).astype(np.float32)
        diffuse = diffuse + strength * (normals @ light).clip(0)[:, None]
        half = _unit(to_eye + light)
        gloss += GLOSS * strength * (normals * half).sum(1, keepdims=True).clip(0) ** GLOSS_EXPONENT
    return (albedo**2.2 * diffuse + gloss).clip(0, 1) ** (1 / 2.2)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-9)
