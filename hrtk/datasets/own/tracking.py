"""People tracked from frame to frame by their 2D keypoints, and crop boxes without jitter.

The people of each frame are matched to the tracks so far by the Hungarian method on the mean of two similarities: the
overlap of their boxes and COCO's object keypoint similarity (OKS, https://cocodataset.org/#keypoints-eval), which
separates people who overlap.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d, median_filter

from hrtk.body_models.person_similarity import oks_sigmas, similarity
from hrtk.geometry.assignment import best_pairs

# VIBE's filters of 3DPW's boxes (its script `smooth_bbox.py`): a median over 11 frames, then a Gaussian of 8, at 30 Hz.
MEDIAN = 11
SIGMA = 8.0
RATE = 30.0


def track_people(
    frames: np.ndarray,
    points: np.ndarray,
    boxes: np.ndarray,
    skeleton: str,
    max_gap: int = 10,
    min_similarity: float = 0.2,
) -> np.ndarray:
    """Assigns an identity to every person of every frame.

    Args:
        frames: (N,) frame number of every person, in any order.
        points: (N, K, 3) x, y in px and confidence; 0 marks a missing point.
        boxes: (N, 3) crop boxes ``[cx, cy, side]``, px.
        skeleton: joint list of the points.
        max_gap: the number of frames in which a track may miss its person and still continue.
        min_similarity: pairs of lower similarity are never matched; see :func:`similarity`.

    Returns:
        (N,) identities 0, 1, ... in the order of first appearance, larger people first.
    """
    sigmas = oks_sigmas(skeleton)
    identities = np.full(len(frames), -1)
    last_rows: list[int] = []  # of every identity, the row of its last appearance
    for frame in np.unique(frames):
        rows = np.flatnonzero(frames == frame)
        rows = rows[np.argsort(-boxes[rows, 2], kind='stable')]
        active = [
            identity for identity, row in enumerate(last_rows) if frame - frames[row] <= max_gap + 1
        ]
        previous = np.array([last_rows[identity] for identity in active], int)
        scores = similarity(points[previous], boxes[previous], points[rows], boxes[rows], sigmas)
        for old, new in best_pairs(scores):
            if scores[old, new] >= min_similarity:
                identities[rows[new]] = active[old]
                last_rows[active[old]] = rows[new]
        for row in rows[identities[rows] < 0]:
            identities[row] = len(last_rows)
            last_rows.append(row)
    return identities


def interpolate(times: np.ndarray, values: np.ndarray, new_times: np.ndarray) -> np.ndarray:
    """(F, C) values at new times, linear between the (N, C) values at the known times, which ascend."""
    columns = [np.interp(new_times, times, column) for column in values.T]
    return np.stack(columns, axis=1)


def smooth_boxes(boxes: np.ndarray, fps: float) -> np.ndarray:
    """Filters the boxes of consecutive frames over time as VIBE's script for 3DPW does.

    A running median, which removes single wrong boxes, is followed by a Gaussian. VIBE's lengths are for 30 frames per
    second and are scaled to the rate of the clip. The first and the last value extend beyond the ends.

    Args:
        boxes: (F, 3) ``[cx, cy, side]``, px.
        fps: frames per second.
    """
    window = 2 * round((MEDIAN * fps / RATE - 1) / 2) + 1
    median = median_filter(boxes, size=(max(window, 1), 1), mode='nearest')
    return gaussian_filter1d(median, SIGMA * fps / RATE, axis=0, mode='nearest')
