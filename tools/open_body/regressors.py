"""Sparse joint regressors: each joint as a convex combination of a few vertices around it.

A regressed joint stays inside a bent limb only if its vertices surround it, so rows are fitted by non-negative least
squares over a shell of nearby vertices, on all shapes and poses at once.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

MAX_VERTICES = 16
SUM_WEIGHT = 30.0  # metres: weight of the equation that rows sum to one, before they are normalised


def shell(
    vertices: np.ndarray,
    centre: np.ndarray,
    allowed: np.ndarray,
    directions: int = 64,
    nearest: int = 24,
) -> np.ndarray:
    """Indices of allowed vertices around a point: the closest in each of many directions, and the closest of all."""
    index = np.nonzero(allowed)[0]
    offset = vertices[index] - centre
    distance = np.linalg.norm(offset, axis=1)
    step = np.arange(directions) + 0.5
    polar = np.arccos(1 - 2 * step / directions)
    azimuth = np.pi * (1 + 5**0.5) * step
    rays = np.stack(
        [np.cos(azimuth) * np.sin(polar), np.cos(polar), np.sin(azimuth) * np.sin(polar)], 1
    )
    cosine = offset @ rays.T / distance[:, None]
    cost = np.where(cosine > 0.9, distance[:, None] * (5 - 4 * cosine), np.inf)
    chosen = cost.argmin(0)[np.isfinite(cost.min(0))]
    return np.unique(index[np.concatenate([chosen, np.argsort(distance, kind='stable')[:nearest]])])


def fit_row(
    bodies: np.ndarray,
    points: np.ndarray,
    candidates: np.ndarray,
    mirror: np.ndarray,
    central: bool,
) -> np.ndarray:
    """Fits one regressor row.

    Args:
        bodies: (N, V, 3) metres.
        points: (N, 3) target of the row on each body, metres.
        candidates: indices of vertices that can have a weight.
        mirror: (V,) the vertex on the other side.
        central: whether the row must be its own mirror image.

    Returns:
        (V,) non-negative, sums to one, at most MAX_VERTICES entries.
    """
    pairs = np.unique(
        np.stack([candidates, mirror[candidates] if central else candidates], 1).astype(int), axis=0
    )
    if central:
        pairs = np.unique(np.sort(pairs, 1), axis=0)
    while True:
        columns = (bodies[:, pairs[:, 0]] + bodies[:, pairs[:, 1]]).astype(float) / 2
        design = np.concatenate(
            [
                columns.transpose(0, 2, 1).reshape(-1, len(pairs)),
                np.full((1, len(pairs)), SUM_WEIGHT * len(bodies) ** 0.5),
            ]
        )
        target = np.append(points.reshape(-1), SUM_WEIGHT * len(bodies) ** 0.5)
        share, _ = nnls(design, target)
        keep = np.argsort(-share, kind='stable')[: np.count_nonzero(share > 2e-3)]
        used = np.cumsum(np.where(pairs[keep, 0] == pairs[keep, 1], 1, 2))
        fits = keep[used <= MAX_VERTICES]
        if len(fits) == len(pairs):
            break
        # Drop a few at a time: the best small set is not the set of largest entries of the best large one.
        drop_to = max(len(fits), int(0.8 * len(keep))) if len(fits) < len(keep) else len(fits)
        pairs = pairs[np.sort(keep[:drop_to])]
    row = np.zeros(bodies.shape[1])
    for k in (0, 1):
        np.add.at(row, pairs[:, k], share / 2)
    return row / row.sum()


def row_error(rows: np.ndarray, bodies: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N, J) distances in metres between regressed rows (J, V) and the target points (N, J, 3)."""
    return np.linalg.norm(np.einsum('jv,nvd->njd', rows, bodies, optimize=True) - points, axis=-1)
