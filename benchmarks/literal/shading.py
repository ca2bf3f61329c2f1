"""Shading per sample: normals and positions are interpolated, and every fine pixel computes its own light."""

from __future__ import annotations

import cv2
import numpy as np

from hrtk.silhouettes.raster import interpolate, rasterize, vertex_normals
from hrtk.visualization import render


def draw_per_sample(
    image: np.ndarray, vertices: np.ndarray, faces: np.ndarray, focal: float
) -> np.ndarray:
    """The arguments and the result of :func:`hrtk.visualization.render.draw_mesh`."""
    height, width = image.shape[:2]
    n = render.SUPERSAMPLING
    points = render.project_points(vertices, focal, ((width - 1) / 2, (height - 1) / 2))
    points[:, :2] = points[:, :2] * n + (n - 1) / 2
    low = np.maximum(np.floor(points[:, :2].min(0) / n).astype(int), 0)
    high = np.minimum(np.ceil(points[:, :2].max(0) / n).astype(int) + 1, (width, height))
    points[:, :2] -= low * n
    size = high - low
    fragments = rasterize(points, faces, size[1] * n, size[0] * n)
    attributes = np.concatenate([vertex_normals(vertices, faces), vertices], axis=1)
    values = interpolate(fragments, faces, attributes)[fragments.mask]
    normals = render._unit(values[:, :3])
    to_eye = render._unit(-values[:, 3:])
    rgba = np.zeros((*fragments.mask.shape, 4), np.float32)
    rgba[fragments.mask, :3] = 255 * render._light(normals, to_eye, np.float32(render.BLUE)[None])
    rgba[fragments.mask, 3] = 1
    mean = cv2.resize(rgba, tuple(size.tolist()), interpolation=cv2.INTER_AREA)
    result = image.copy()
    pixels = result[low[1] : high[1], low[0] : high[0]]
    blended = mean[..., :3] + pixels * (1 - mean[..., 3:])
    pixels[...] = np.rint(blended.clip(0, 255)).astype(np.uint8)
    return result
