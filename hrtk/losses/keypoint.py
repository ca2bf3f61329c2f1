"""Losses between 2D keypoints and between 3D joints."""

from __future__ import annotations

from typing import Optional

from torch import Tensor

from hrtk.body_models.skeletons import joint_names
from hrtk.geometry.constants import indices


def keypoint2d_loss(
    predicted: Tensor, target: Tensor, confidence: Tensor, normalise: str = 'all'
) -> Tensor:
    """Computes the confidence-weighted squared 2D error in normalised crop coordinates (the data term of Eq. 2 in BOA).

    Args:
        predicted: (B, K, 2).
        target: (B, K, 2); values where the confidence is zero have no effect, not even NaN.
        confidence: (B, K) in [0, 1].
        normalise: ``'all'`` divides by all ``B * K * 2`` numbers, also those of invisible points, as SPIN, BOA and
            DynaBOA do; ``'visible'`` divides by twice the sum of the confidences, so that frames with few visible
            points have the weight of others; ``'each'`` divides every image by twice its own sum.

    Returns:
        A scalar; (B,) for ``'each'``.
    """
    weight = confidence[..., None]
    visible_target = target.where(weight > 0, predicted.detach())
    squared = weight * (predicted - visible_target).square()
    if normalise == 'all':
        return squared.mean()
    if normalise == 'each':
        return squared.sum((1, 2)) / (2 * confidence.sum(1)).clamp_min(1)
    return squared.sum() / (2 * confidence.sum()).clamp_min(1)


def keypoint3d_loss(
    predicted: Tensor,
    target: Tensor,
    confidence: Optional[Tensor] = None,
    root: Optional[tuple[int, ...]] = None,
) -> Tensor:
    """Computes the squared 3D error in metres, optionally relative to a root.

    Args:
        predicted: (B, J, 3).
        target: (B, J, 3).
        confidence: (B, J), or None for all ones.
        root: joints whose mean is subtracted from both; None compares absolute positions (DynaBOA's teacher term).

    Returns:
        The mean over all ``B * J * 3`` numbers.
    """
    if root is not None:
        joints = indices(root, predicted)
        predicted = predicted - predicted[:, joints].mean(1, keepdim=True)
        target = target - target[:, joints].mean(1, keepdim=True)
    squared = (predicted - target).square()
    if confidence is not None:
        squared = confidence[..., None] * squared
    return squared.mean()


def hips(skeleton: str) -> tuple[int, int]:
    """Returns the indices of both hips, the root of SPIN's and BOA's 3D losses (joints 2 and 3 of ``spin24``)."""
    names = joint_names(skeleton)
    suffix = '_lsp' if 'right_hip_lsp' in names else ''
    return names.index(f'right_hip{suffix}'), names.index(f'left_hip{suffix}')


def motion_loss(
    predicted: Tensor,
    predicted_before: Tensor,
    target: Tensor,
    target_before: Tensor,
    confidence: Tensor,
) -> Tensor:
    """Computes the squared difference between predicted and observed 2D motion over an interval (Eq. 3 of BOA).

    Args:
        predicted: (B, K, 2) projected joints of the present frame.
        predicted_before: (B, K, 2) projected joints ``interval`` frames ago.
        target: (B, K, 2) keypoints of the present frame.
        target_before: (B, K, 2) keypoints ``interval`` frames ago.
        confidence: (B, K) weight of a point's motion: all ones in BOA's code; in hrtk the indicator that both points
            are visible; in DynaBOA's code the indicator that both confidences are one.

    Returns:
        The mean over all ``B * K * 2`` numbers.
    """
    weight = confidence[..., None]
    observed = (target - target_before).where(weight > 0, target.new_zeros(()))
    return (weight * (predicted - predicted_before - observed).square()).mean()
