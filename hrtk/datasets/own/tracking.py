"""Crop boxes of tracked people, over gaps and without jitter."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d, median_filter

# VIBE's filters of 3DPW's boxes (its script `smooth_bbox.py`): a median over 11 frames, then a Gaussian of 8, at 30 Hz.
MEDIAN = 11
SIGMA = 8.0
RATE = 30.0


def interpolate(times: np.ndarray, values: np.ndarray, new_times: np.ndarray) -> np.ndarray:
    """(F, C) values at new times, linear between the (N, C) values at the known times, which ascend."""
    columns = [np.interp(new_times, times, column) for column in values.T]
    return np.stack(columns, axis=1)


def boxes_of_rows(rows: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """The boxes (F, 3) of one person; interpolated linearly where the person was not detected.

    Args:
        rows: (F,) row of every frame, -1 in frames without the person, but not in all.
        boxes: (N, 3) of all detections.
    """
    detected = np.flatnonzero(rows >= 0)
    return interpolate(detected, boxes[rows[detected]], np.arange(len(rows)))


def points_of_rows(rows: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The points (F, K, 3) of one person; zeros where the person was not detected.

    Args:
        rows: (F,) row of every frame, -1 in frames without the person.
        points: (N, K, 3) of all detections.
    """
    absent = (rows < 0)[:, None, None]
    return np.where(absent, np.float32(0), points[rows])


def smooth_boxes(boxes: np.ndarray, fps: float) -> np.ndarray:
    """Filters the boxes of consecutive frames over time as VIBE's script for 3DPW does.

    A running median, which removes single wrong boxes, is followed by a Gaussian. VIBE's lengths are for 30 frames per
    second and are scaled to the rate of the clip. The first and the last value extend beyond the ends.

    Args:
        boxes: (F, 3) ``[cx, cy, side]``, px.
        fps: frames per second.
    """
    window = 2 * round((MEDIAN * fps / RATE - 1) / 2) + 1
    # In two dimensions, SciPy's filter is right for clips of any length.
    median = median_filter(boxes, size=(max(window, 1), 1), mode='nearest')
    return gaussian_filter1d(median, SIGMA * fps / RATE, axis=0, mode='nearest')
