"""People followed from frame to frame by their 2D keypoints, and crop boxes that do not jitter.

Each frame's people are matched to the tracks so far by the Hungarian method on the mean of two similarities: the
overlap of their boxes and COCO's object keypoint similarity (OKS, https://cocodataset.org/#keypoints-eval), which tells
apart people who overlap.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d, median_filter
from scipy.optimize import linear_sum_assignment

from hrtk.body_models.skeletons import joint_names

# COCO's sigmas of its 17 points (pycocotools.cocoeval.Params); for points that COCO lacks, those of their neighbours.
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
MEDIAN, SIGMA, RATE = 11, 8.0, 30.0


def track(
    frames: np.ndarray,
    points: np.ndarray,
    boxes: np.ndarray,
    skeleton: str,
    max_gap: int = 10,
    min_similarity: float = 0.2,
) -> np.ndarray:
    """Says which person is whom.

    Args:
        frames: (N,) frame number of every person, in any order.
        points: (N, K, 3) x, y in px and confidence; 0 marks a point that is not there.
        boxes: (N, 3) crop boxes ``[cx, cy, side]``, px.
        skeleton: joint list of the points.
        max_gap: for how many frames a track may miss its person and still get them back.
        min_similarity: below it nobody is matched; see :func:`similarity`.

    Returns:
        (N,) identities 0, 1, ... in the order of first appearance, larger people first.
    """
    sigmas, identity = sigmas_of(skeleton), np.full(len(frames), -1)
    last: list[int] = []  # the row where each track was last seen
    for frame in np.unique(frames):
        rows = np.flatnonzero(frames == frame)
        rows = rows[np.argsort(-boxes[rows, 2], kind='stable')]
        alive = np.array(
            [i for i, row in enumerate(last) if frame - frames[row] <= max_gap + 1], int
        )
        seen = np.array(last, int)[alive]
        scores = similarity(points[seen], boxes[seen], points[rows], boxes[rows], sigmas)
        for old, new in zip(*linear_sum_assignment(scores, maximize=True)):
            if scores[old, new] >= min_similarity:
                identity[rows[new]] = alive[old]
                last[alive[old]] = rows[new]
        for row in rows[identity[rows] < 0]:
            identity[row] = len(last)
            last.append(row)
    return identity


def similarity(
    points_a: np.ndarray,
    boxes_a: np.ndarray,
    points_b: np.ndarray,
    boxes_b: np.ndarray,
    sigmas: np.ndarray,
) -> np.ndarray:
    """(A, B) mean of the boxes' intersection over union and the OKS, in [0, 1].

    The area that OKS wants is that of the first person's box. People without a common point are compared by their boxes
    alone.
    """
    overlap, area = iou(boxes_a, boxes_b), boxes_a[:, 2] ** 2
    likeness = oks(points_a, points_b, area, sigmas)
    return np.where(np.isnan(likeness), overlap, (overlap + likeness) / 2)


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(A, B) intersection over union of square boxes (A, 3) and (B, 3) ``[cx, cy, side]``."""
    half_a, half_b = a[:, None, 2:] / 2, b[None, :, 2:] / 2
    low = np.maximum(a[:, None, :2] - half_a, b[None, :, :2] - half_b)
    high = np.minimum(a[:, None, :2] + half_a, b[None, :, :2] + half_b)
    common = (high - low).clip(0).prod(-1)
    return common / (a[:, None, 2] ** 2 + b[None, :, 2] ** 2 - common)


def oks(a: np.ndarray, b: np.ndarray, area: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    """(A, B) object keypoint similarity over the points that both have; NaN where there is none.

    Args:
        a: (A, K, 3) x, y, confidence.
        b: (B, K, 3).
        area: (A,) px², the scale of each of ``a``.
        sigmas: (K,) of every joint, see :func:`sigmas_of`.
    """
    squared = np.square(a[:, None, :, :2] - b[None, :, :, :2]).sum(-1)
    both = (a[:, None, :, 2] > 0) & (b[None, :, :, 2] > 0)
    each = np.where(both, np.exp(-squared / (2 * area[:, None, None] * np.square(2 * sigmas))), 0)
    with np.errstate(invalid='ignore'):
        return each.sum(-1) / both.sum(-1)


def sigmas_of(skeleton: str) -> np.ndarray:
    """(K,) COCO's sigma of every joint of a list."""
    names = (name.removesuffix('_lsp').removesuffix('_mocap') for name in joint_names(skeleton))
    return np.array([SIGMAS.get(name.split('_')[-1], OTHER_SIGMA) for name in names])


def fill(times: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """(F, C) values at the wanted times, linear between those (N, C) at the known ones, which ascend."""
    return np.stack([np.interp(wanted, times, column) for column in values.T], axis=1)


def smooth_boxes(boxes: np.ndarray, fps: float) -> np.ndarray:
    """Filters the boxes of consecutive frames over time as VIBE's script for 3DPW does.

    A running median, which drops single wrong boxes, then a Gaussian. VIBE's lengths are of 30 frames per second; here
    they are scaled to the clip's rate. Ends are prolonged by their last value.

    Args:
        boxes: (F, 3) ``[cx, cy, side]``, px.
        fps: frames per second.
    """
    window = 2 * round((MEDIAN * fps / RATE - 1) / 2) + 1
    calm = median_filter(boxes, size=(max(window, 1), 1), mode='nearest')
    return gaussian_filter1d(calm, SIGMA * fps / RATE, axis=0, mode='nearest')
