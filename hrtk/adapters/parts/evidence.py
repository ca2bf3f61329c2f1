"""Where the evidence is met: the 2D error of a prediction in the unit of the keypoints' own noise."""

from __future__ import annotations

import math
from typing import Optional

import torch
from torch import Tensor

from hrtk.adapters.parts.posed import CropKeypoints
from hrtk.errors import OptionError

NOISE_CROP = 224  # px, side of the crop to which the noise of keypoints refers (hrtk/datasets/keypoint_noise.py)


def keypoint_error(joints2d: Tensor, keypoints: CropKeypoints) -> Tensor:
    """Computes the root mean square error per coordinate, weighted by confidence.

    A body that is exactly right has an error of sigma if the keypoints have independent normal errors of standard
    deviation sigma per coordinate. A fit that goes below sigma fits the noise.

    Args:
        joints2d: (B, K, 2) projected joints in the crop, [-1, 1].
        keypoints: of the same B crops and K joints; each crop has a visible keypoint.

    Returns:
        (B,) px on a crop of 224 px.
    """
    confidence = keypoints.confidence
    target = keypoints.xy.where(confidence[..., None] > 0, joints2d)
    squared = confidence[..., None] * (joints2d - target).square()
    smallest = torch.finfo(squared.dtype).tiny
    mean = squared.sum((1, 2)) / (2 * confidence.sum(1)).clamp_min(smallest)
    return NOISE_CROP / 2 * mean.sqrt()


def check_until(label: str, until: Optional[float]) -> None:
    """Checks an error at which a method stops.

    Raises:
        InputError: it is neither None nor a finite number above 0.
    """
    if until is None:
        return
    if not (math.isfinite(until) and until > 0):
        raise OptionError(
            f'{label}: until is the 2D error at which the steps end, px on a crop of 224 px and above 0, or None, '
            f'not {until}'
        )
