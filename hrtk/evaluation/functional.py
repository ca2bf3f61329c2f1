"""Errors of reconstructed bodies, one number per frame, in the units that papers print.

Every function takes numpy arrays or tensors and computes in float64. Inputs are in metres, outputs in millimetres.
Callers align the roots, see :mod:`hrtk.evaluation.protocols`.
"""

from __future__ import annotations

from typing import Union

import numpy as np
from torch import Tensor

Array = Union[np.ndarray, Tensor]

MM_PER_METRE = 1000.0
PCK_MM = 150.0
AUC_MM = np.linspace(0, PCK_MM, 31)


def mpjpe(predicted: Array, truth: Array) -> np.ndarray:
    """Mean per-joint position error.

    Args:
        predicted: (F, J, 3) root-aligned joints, m.
        truth: (F, J, 3) root-aligned joints, m.

    Returns:
        (F,) mm.
    """
    return MM_PER_METRE * _distance(_float64(predicted), _float64(truth)).mean(-1)


def pa_mpjpe(predicted: Array, truth: Array) -> np.ndarray:
    """MPJPE after a least-squares similarity transform per frame (rotation, translation and scale, no reflection).

    Args:
        predicted: (F, J, 3), m; any root.
        truth: (F, J, 3), m; any root.

    Returns:
        (F,) mm.
    """
    truth = _float64(truth)
    return MM_PER_METRE * _distance(procrustes(_float64(predicted), truth), truth).mean(-1)


def n_mpjpe(predicted: Array, truth: Array) -> np.ndarray:
    """MPJPE after the least-squares scale of each frame, relative to the root.

    Source: Rhodin et al., Unsupervised Geometry-Aware Representation for 3D Human Pose Estimation, 2018.

    Args:
        predicted: (F, J, 3) root-aligned joints, m.
        truth: (F, J, 3) root-aligned joints, m.

    Returns:
        (F,) mm.
    """
    predicted = _float64(predicted)
    truth = _float64(truth)
    squared_norm = np.square(predicted).sum((1, 2))
    scale = (predicted * truth).sum((1, 2)) / np.maximum(squared_norm, np.finfo(float).tiny)
    return MM_PER_METRE * _distance(scale[:, None, None] * predicted, truth).mean(-1)


def pve(predicted: Array, truth: Array) -> np.ndarray:
    """Per-vertex error, the mean distance of corresponding vertices.

    Args:
        predicted: (F, V, 3) aligned vertices, m.
        truth: (F, V, 3) aligned vertices, m.

    Returns:
        (F,) mm.
    """
    return mpjpe(predicted, truth)


def pck(
    predicted: Array, truth: Array, thresholds: Union[float, np.ndarray] = PCK_MM
) -> np.ndarray:
    """Percentage of correct keypoints: joints strictly nearer than a threshold, averaged over several thresholds.

    With :data:`AUC_MM` the result is the area under the curve as mmhuman3d and DynaBOA compute it. Threshold 0 counts,
    so a perfect prediction scores 96.8.

    Args:
        predicted: (F, J, 3) aligned joints, m.
        truth: (F, J, 3) aligned joints, m.
        thresholds: mm.

    Returns:
        (F,) in [0, 100].
    """
    distance = MM_PER_METRE * _distance(_float64(predicted), _float64(truth))
    return 100 * (distance[..., None] < np.atleast_1d(thresholds)).mean((1, 2))


def accel_error(predicted: Array, truth: Array) -> np.ndarray:
    """Error of the second difference over time, as in VIBE and TCMR.

    Papers label it mm/s^2, but its unit is mm per frame squared.

    Args:
        predicted: (F, J, 3) root-aligned joints of consecutive frames, m.
        truth: (F, J, 3) likewise.

    Returns:
        (F - 2,) mm/frame^2 of frames 1 .. F - 2; empty for fewer than three frames.
    """
    difference = _float64(predicted) - _float64(truth)
    if len(difference) < 3:
        return np.zeros(0)
    return MM_PER_METRE * np.linalg.norm(np.diff(difference, n=2, axis=0), axis=-1).mean(-1)


def reprojection_error_px(predicted: Array, observed: Array, confidence: Array) -> np.ndarray:
    """Mean distance between projected joints and the visible 2D keypoints.

    Args:
        predicted: (F, K, 2) px of the source image.
        observed: (F, K, 2) px of the source image.
        confidence: (F, K); points above zero count, with equal weight.

    Returns:
        (F,) px; NaN for a frame without any keypoint.
    """
    visible = _float64(confidence) > 0
    distance = np.where(visible, _distance(_float64(predicted), _float64(observed)), 0.0)
    count = visible.sum(-1)
    return np.where(count > 0, distance.sum(-1) / np.maximum(count, 1), np.nan)


def procrustes(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Aligns every frame's points with its target by the least-squares similarity transform.

    Umeyama, Least-squares estimation of transformation parameters between two point patterns, 1991, eqs. 38-43.

    Args:
        points: (F, J, 3).
        target: (F, J, 3).

    Returns:
        (F, J, 3) the aligned points.
    """
    centre = points.mean(1, keepdims=True)
    target_centre = target.mean(1, keepdims=True)
    centred = points - centre
    centred_target = target - target_centre
    u, singular, vt = np.linalg.svd(np.swapaxes(centred_target, 1, 2) @ centred)
    # The last axis is flipped where the best orthogonal matrix is a reflection.
    sign = np.ones_like(singular)
    sign[:, -1] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * sign[:, None]) @ vt
    squared_norm = np.square(centred).sum((1, 2))
    # If all points coincide, rotation and scale are undefined; scale 0 returns the target's centre.
    scale = np.divide(
        (singular * sign).sum(1),
        squared_norm,
        out=np.zeros_like(squared_norm),
        where=squared_norm > 0,
    )
    return scale[:, None, None] * (centred @ np.swapaxes(rotation, 1, 2)) + target_centre


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.linalg.norm(a - b, axis=-1)


def _float64(array: Array) -> np.ndarray:
    if isinstance(array, Tensor):
        array = array.detach().cpu().numpy()
    return np.asarray(array, dtype=np.float64)
