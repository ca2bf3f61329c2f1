"""The crop camera that fits 2D keypoints, where enough of them are visible."""

from __future__ import annotations

import torch
from torch import Tensor

from hrtk.adapters.parts.posed import CropKeypoints
from hrtk.geometry.perspective import fit_crop_camera

FEWEST_POINTS = 4  # visible ones, for a camera that is fitted to them


def fitted_camera(joints: Tensor, keypoints: CropKeypoints, fallback: Tensor) -> Tensor:
    """Fits the crop cameras of B bodies to their keypoints in least squares.

    Args:
        joints: (B, K, 3) metres, axes of the crops.
        keypoints: of the same B crops and K joints.
        fallback: (B, 3) cameras of crops with too few keypoints, or whose fit is behind the camera.

    Returns:
        (B, 3) cameras ``[s, tx, ty]``.
    """
    confidence = keypoints.confidence
    camera = fit_crop_camera(joints, keypoints.xy, confidence.clamp_min(1e-6))
    enough = (confidence > 0).sum(1, keepdim=True) >= FEWEST_POINTS
    usable = enough & camera.isfinite().all(1, keepdim=True) & (camera[:, :1] > 0)
    return torch.where(usable, camera, fallback)
