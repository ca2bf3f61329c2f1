"""Masks of capsules: pixels near segments, e.g. the limbs of a skeleton of keypoints."""

from __future__ import annotations

import numpy as np


def capsule_mask(
    starts: np.ndarray, ends: np.ndarray, radius: float, size: tuple[int, int]
) -> np.ndarray:
    """Computes the mask of all pixels whose centres are at most ``radius`` from a segment.

    Args:
        starts: (N, 2) first end of every segment, px; the centre of the top-left pixel is (0, 0).
        ends: (N, 2) second end; it may equal the first.
        radius: px.
        size: (H, W) of the image.

    Returns:
        (H, W) bool.
    """
    height, width = size
    mask = np.zeros(size, bool)
    for start, end in zip(np.asarray(starts, np.float64), np.asarray(ends, np.float64)):
        low = np.ceil(np.minimum(start, end) - radius).astype(int).clip(0)
        high = (np.floor(np.maximum(start, end) + radius).astype(int) + 1).clip(0)
        x = np.arange(low[0], min(high[0], width))
        y = np.arange(low[1], min(high[1], height))[:, None]
        distance = _squared_distance(x, y, start, end)
        mask[low[1] : high[1], low[0] : high[0]] |= distance <= radius**2
    return mask


def _squared_distance(
    x: np.ndarray, y: np.ndarray, start: np.ndarray, end: np.ndarray
) -> np.ndarray:
    """(H, W) squared distances of the points of columns x (W,) and rows y (H, 1) from a segment."""
    segment = end - start
    dx = x - start[0]
    dy = y - start[1]
    dot = dx * segment[0] + dy * segment[1]
    fraction = (dot / max(segment @ segment, 1e-12)).clip(0, 1)
    return (dx - fraction * segment[0]) ** 2 + (dy - fraction * segment[1]) ** 2
