"""Whether the camera of a clip moves: how far the background shifts in the image, beside the people."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Optional

import cv2
import numpy as np

from hrtk.structures import Frames

SIDE = 640  # px of the longer side of the compared images
SAMPLES = 9  # frames
CORNERS = 200
LEAST_POINTS = 12
RETURN = 1.0  # px: a tracked point must come back to its start when it is tracked backwards
BOX_MARGIN = 1.2


def background_shift(frames: Frames, boxes: Mapping[int, np.ndarray]) -> Optional[float]:
    """The largest shift of the background between the first and a later frame, as a share of the image's diagonal.

    Corners outside the boxes are tracked from sample to sample by Lucas and Kanade's method, and their median positions
    compared. Where more than half of the corners are lost between two samples, the background is taken to have left
    the image, a shift of 1.

    Args:
        frames: of a clip, in order.
        boxes: (N, 3) ``[cx, cy, side]`` of all people, px, by the index of the frame; other frames are not used.

    Returns:
        None if there are fewer than two frames, or too few corners beside the people.
    """
    known = sorted(boxes)
    if len(known) < 2:
        return None
    picked = np.linspace(0, len(known) - 1, min(SAMPLES, len(known)))
    samples = [known[round(float(index))] for index in picked]
    previous: Optional[np.ndarray] = None
    points: np.ndarray = np.zeros((0, 1, 2), np.float32)
    shift = np.zeros(2)
    largest = 0.0
    for index in samples:
        image, scale = _small_grey(frames[index])
        outside = _outside(image.shape, boxes[index] * scale)
        if previous is not None:
            step = _step(previous, image, points, outside)
            if step is None:
                return None
            shift = shift + step
            largest = max(largest, float(np.hypot(*shift)))
        found = cv2.goodFeaturesToTrack(image, CORNERS, 0.01, 8, mask=outside)
        if found is None or len(found) < LEAST_POINTS:
            return None
        points = np.asarray(found, np.float32)
        previous = image
    return min(1.0, largest / math.hypot(*image.shape))


def _step(
    previous: np.ndarray, image: np.ndarray, points: np.ndarray, outside: np.ndarray
) -> Optional[np.ndarray]:
    """Median shift (2,) px of points (N, 1, 2) between two images, infinite if most of them are lost; None if people
    cover nearly all of them."""
    moved, found = _track(previous, image, points)
    back, found_back = _track(image, previous, moved)
    returned = np.linalg.norm(back - points, axis=-1)[:, 0] < RETURN
    kept = returned & found & found_back
    # Points that people cover in the second image say nothing about the camera.
    columns, rows = np.rint(points[:, 0].T).astype(int)
    uncovered = outside[rows.clip(0, len(outside) - 1), columns.clip(0, outside.shape[1] - 1)] > 0
    if uncovered.sum() < LEAST_POINTS:
        return None
    if (kept & uncovered).sum() < uncovered.sum() / 2:
        return np.full(2, np.inf)
    return np.median((moved - points)[kept & uncovered, 0], axis=0)


def _track(
    previous: np.ndarray, image: np.ndarray, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 1, 2) px of one image in another one, and whether each was found, (N,) bool."""
    tracked: Any = cv2.calcOpticalFlowPyrLK  # its types do not allow the None that it documents
    moved, found, _ = tracked(previous, image, points, None)
    return moved, found[:, 0] == 1


def _small_grey(image: np.ndarray) -> tuple[np.ndarray, float]:
    """A grey image of at most :data:`SIDE` px, and its scale."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    scale = min(1.0, SIDE / max(grey.shape))
    if scale < 1:
        size = (round(grey.shape[1] * scale), round(grey.shape[0] * scale))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return grey, scale


def _outside(shape: tuple[int, ...], boxes: np.ndarray) -> np.ndarray:
    """(H, W) uint8: 255 outside the boxes (N, 3), 0 inside."""
    mask = np.full(shape, 255, np.uint8)
    for cx, cy, side in boxes:
        half = side * BOX_MARGIN / 2
        low = np.maximum([cx - half, cy - half], 0).astype(int)
        high = np.maximum([cx + half, cy + half], 0).astype(int)
        mask[low[1] : high[1] + 1, low[0] : high[0] + 1] = 0
    return mask
