"""How alike two people look: the overlap of their boxes, and COCO's object keypoint similarity (OKS).

OKS: https://cocodataset.org/#keypoints-eval.
"""

from __future__ import annotations

import numpy as np

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
