"""People tracked from frame to frame by their 2D keypoints, and crop boxes without jitter.

The people of each frame are matched to the tracks so far by the Hungarian method on the mean of two similarities: the
overlap of their boxes and COCO's object keypoint similarity (OKS, https://cocodataset.org/#keypoints-eval), which
separates people who overlap.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d, median_filter
from scipy.optimize import linear_sum_assignment

from hrtk.body_models.skeletons import joint_names

# COCO's sigmas of its 17 points (pycocotools.cocoeval.Params); points that COCO lacks use those of their neighbours.
SIGMAS = {
    'nose': 0.026,
    'eye': 0.025,
    'ear': 0.035,
    'shoulder': 0.079,
    'elbow': 0.072,
    'wrist': 0.062,
    'hip': 0.107,
    'knee': 0.087,
    'ankle': 0.089,
}
OTHER_SIGMA = 0.089
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
        for old, new in zip(*linear_sum_assignment(scores, maximize=True)):
            if scores[old, new] >= min_similarity:
                identities[rows[new]] = active[old]
                last_rows[active[old]] = rows[new]
        for row in rows[identities[rows] < 0]:
            identities[row] = len(last_rows)
            last_rows.append(row)
    return identities


def similarity(
    points_a: np.ndarray,
    boxes_a: np.ndarray,
    points_b: np.ndarray,
    boxes_b: np.ndarray,
    sigmas: np.ndarray,
) -> np.ndarray:
    """(A, B) mean of the boxes' intersection over union and the OKS, in [0, 1].

    The area of OKS is that of the first person's box. People without a common point are compared by their boxes only.
    """
    overlap = iou(boxes_a, boxes_b)
    keypoint_similarity = oks(points_a, points_b, boxes_a[:, 2] ** 2, sigmas)
    mean = (overlap + keypoint_similarity) / 2
    return np.where(np.isnan(keypoint_similarity), overlap, mean)


def iou(boxes_a: np.ndarray, boxes_b: np.ndarray) -> np.ndarray:
    """(A, B) intersection over union of square boxes (A, 3) and (B, 3) ``[cx, cy, side]``."""
    a = boxes_a[:, None]
    b = boxes_b[None]
    half_a = a[..., 2:] / 2
    half_b = b[..., 2:] / 2
    low = np.maximum(a[..., :2] - half_a, b[..., :2] - half_b)
    high = np.minimum(a[..., :2] + half_a, b[..., :2] + half_b)
    intersection = (high - low).clip(0).prod(-1)
    return intersection / (a[..., 2] ** 2 + b[..., 2] ** 2 - intersection)


def oks(
    points_a: np.ndarray, points_b: np.ndarray, area: np.ndarray, sigmas: np.ndarray
) -> np.ndarray:
    """(A, B) object keypoint similarity over the points that both have; NaN where there is no common point.

    Args:
        points_a: (A, K, 3) x, y, confidence.
        points_b: (B, K, 3).
        area: (A,) px², the scale of each of ``points_a``.
        sigmas: (K,) of every joint, see :func:`oks_sigmas`.
    """
    a = points_a[:, None]
    b = points_b[None]
    squared_distance = np.square(a[..., :2] - b[..., :2]).sum(-1)
    common = (a[..., 2] > 0) & (b[..., 2] > 0)
    scale = 2 * area[:, None, None] * np.square(2 * sigmas)
    terms = np.where(common, np.exp(-squared_distance / scale), 0)
    with np.errstate(invalid='ignore'):
        return terms.sum(-1) / common.sum(-1)


def oks_sigmas(skeleton: str) -> np.ndarray:
    """(K,) COCO's sigma of every joint of a list."""
    sigmas = []
    for joint in joint_names(skeleton):
        joint = joint.removesuffix('_lsp').removesuffix('_mocap')
        sigmas.append(SIGMAS.get(joint.split('_')[-1], OTHER_SIGMA))
    return np.array(sigmas)


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
