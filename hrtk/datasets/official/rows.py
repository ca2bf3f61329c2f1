"""Rows of the official tables as tensors, and the check of their shapes."""

from __future__ import annotations

from typing import Optional

import numpy as np
import torch
from torch import Tensor

from hrtk.datasets.arrays import float_tensor
from hrtk.geometry.rotation import axis_angle_to_rotmat
from hrtk.structures import Keypoints2D


def has_shape(array: np.ndarray, expected: tuple[Optional[int], ...]) -> bool:
    """Whether an array has the expected shape; None stands for any length."""
    if array.ndim != len(expected):
        return False
    return all(length in (None, actual) for length, actual in zip(expected, array.shape))


def no_keypoints(frames: int) -> Keypoints2D:
    """``spin24`` keypoints of confidence 0, for files without 2D evidence."""
    return Keypoints2D(torch.zeros(frames, 24, 2), torch.zeros(frames, 24), 'spin24', 'none')


def keypoints_of_points(points: Tensor, skeleton: str, source: str) -> Keypoints2D:
    """Keypoints of (F, K, 3) positions in px with confidences, which are clamped to [0, 1]."""
    return Keypoints2D(points[..., :2], points[..., 2].clamp(0, 1), skeleton, source)


def rotmat_of_pose(pose: np.ndarray) -> Tensor:
    """(F, 72) axis-angle -> (F, 24, 3, 3) float32 rotation matrices."""
    return axis_angle_to_rotmat(float_tensor(pose).unflatten(1, (24, 3)))
