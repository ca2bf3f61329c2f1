"""Pixels near segments: what a skeleton of keypoints covers when it is given flesh."""

from __future__ import annotations

import numpy as np


def capsule_mask(
    starts: np.ndarray, ends: np.ndarray, radius: float, size: tuple[int, int]
) -> np.ndarray:
    """Pixels whose centres are at most ``radius`` from a segment.

    Args:
        starts: (N, 2) one end of every segment, px; the centre of the top-left pixel is (0, 0).
        ends: (N, 2) the other end; it may be the same point.
        radius: px.
        size: (H, W) of the picture.

    Returns:
        (H, W) bool.
    """
    mask = np.zeros(size, bool)
    for start, end in zip(np.asarray(starts, np.float64), np.asarray(ends, np.float64)):
        low = np.ceil(np.minimum(start, end) - radius).astype(int).clip(0)
        high = (np.floor(np.maximum(start, end) + radius).astype(int) + 1).clip(0)
        x, y = (
            np.arange(low[0], min(high[0], size[1])),
            np.arange(low[1], min(high[1], size[0]))[:, None],
        )
        along = end - start
        place = (
            ((x - start[0]) * along[0] + (y - start[1]) * along[1]) / max(along @ along, 1e-12)
        ).clip(0, 1)
        distance = (x - start[0] - place * along[0]) ** 2 + (y - start[1] - place * along[1]) ** 2
        mask[low[1] : high[1], low[0] : high[0]] |= distance <= radius**2
    return mask
