"""The linear shape space: area-weighted principal components scaled to standard deviations."""

from __future__ import annotations

import numpy as np


def vertex_areas(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V,) a third of the area of the faces around each vertex, square metres."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    return sum(np.bincount(faces[:, k], area / 3, len(vertices)) for k in range(3))


def principal_components(
    bodies: np.ndarray, faces: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean body and principal components.

    Args:
        bodies: (N, V, 3) metres, in the same pose.
        faces: (F, 3); vertices are weighted by their area, so that the dense meshes of hands and face do not dominate.
        count: number of components.

    Returns:
        mean (V, 3); components (V, 3, count), one standard deviation each, signed so that positive is taller;
        the explained share of the variance.
    """
    mean = bodies.mean(0, dtype=float)
    areas = vertex_areas(mean, faces)
    scale = np.sqrt(np.maximum(areas, areas[areas > 0].min()))[:, None]
    data = ((bodies - mean) * scale).reshape(len(bodies), -1)
    variances, vectors = np.linalg.eigh(data @ data.T / len(bodies))
    vectors = vectors[:, ::-1][:, :count]
    components = (data.T @ vectors / np.sqrt(len(bodies))).reshape(*mean.shape, count) / scale[
        ..., None
    ]
    top = mean[:, 1].argmax()
    bottom = mean[:, 1].argmin()
    components *= np.where(components[top, 1] < components[bottom, 1], -1, 1)
    return mean, components, float(variances[::-1][:count].sum() / variances.sum())
