"""Losses of masked pose modelling and of lifting (MPM): distances between joints, not squared.

Loss weights of the released code: 5 for 2D and 2 for 3D in stage I (2 and 3 in the paper), 1 for both heads in stage
II, and 2 for lifting against 1 for 2D where 2D poses are completed.
"""

from __future__ import annotations

from typing import Optional

import torch
from torch import Tensor


def joint_distance(predicted: Tensor, target: Tensor, valid: Optional[Tensor] = None) -> Tensor:
    """Computes the mean distance between joints, the norms of Eqs. 6, 9 and 10 as in the released code.

    Args:
        predicted: (..., J, D).
        target: (..., J, D).
        valid: bool that broadcasts to (..., J); the mean is over these joints only. None means all joints, visible
            ones included, as in the released pretext tasks.

    Returns:
        A scalar in the unit of the joints; 0 without gradient if no joint is valid, where the released code gives NaN.
    """
    distance = torch.linalg.vector_norm(predicted - target, dim=-1)
    if valid is None:
        return distance.sum() / max(distance.numel(), 1)
    valid = valid.expand_as(distance)
    return distance.where(valid, distance.new_zeros(())).sum() / valid.sum().clamp_min(1)


def pretext_losses(
    reconstruction2d: Tensor,
    keypoints2d: Tensor,
    reconstruction3d: Tensor,
    joints3d: Tensor,
    hidden2d: Optional[Tensor] = None,
    hidden3d: Optional[Tensor] = None,
) -> dict[str, Tensor]:
    """Computes the losses of both pretext tasks of stage I (Eq. 6), unweighted.

    A shuffled batch may contain only 2D or only 3D poses; the loss of the other kind is 0 then.

    Args:
        reconstruction2d: (B2, F, J, 2).
        keypoints2d: (B2, F, J, 2) without masking.
        reconstruction3d: (B3, F, J, 3).
        joints3d: (B3, F, J, 3) metres from the root, without masking.
        hidden2d: (B2 or 1, F, J) bool, the masked joints, to average over these only; None averages over all, as
            released.
        hidden3d: the same for 3D.

    Returns:
        ``pose2d`` in units of the image and ``pose3d`` in metres.
    """
    return dict(
        pose2d=joint_distance(reconstruction2d, keypoints2d, hidden2d),
        pose3d=joint_distance(reconstruction3d, joints3d, hidden3d),
    )


def lifting_losses(
    joints3d_seq: Tensor, joints3d: Tensor, target: Tensor, root: int
) -> dict[str, Tensor]:
    """Computes the losses of both heads of stage II (Eqs. 9 and 10), unweighted.

    Args:
        joints3d_seq: (B, F, J, 3) of the sequence head.
        joints3d: (B, 1, J, 3) of the centre head, for frame ``F // 2``.
        target: (B, F, J, 3) metres from the root; the root's row is ignored, official files store its position
            in the camera frame there.
        root: index of the root, whose target is zero: :func:`hrtk.body_models.joint_orders.root_of` the joint order.

    Returns:
        ``sequence`` and ``centre``, mean distances in metres.
    """
    target = target.clone()
    target[..., root, :] = 0
    middle = target.shape[1] // 2
    return dict(
        sequence=joint_distance(joints3d_seq, target),
        centre=joint_distance(joints3d, target[:, middle : middle + 1]),
    )
