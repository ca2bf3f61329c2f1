"""Conversions between representations of rotations, differentiable, and twice where the second order is used."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def rot6d_to_rotmat(rot6d: Tensor, eps: float = 1e-12) -> Tensor:
    """Converts the 6-D representation of SPIN by Gram-Schmidt: (..., 6) -> (..., 3, 3).

    The six numbers are a (3, 2) matrix whose *columns* are the first two columns of the rotation before
    orthogonalisation (the layout of SPIN, VIBE and their successors), not two consecutive triples.

    Args:
        rot6d: (..., 6) numbers of any scale.
        eps: lower bound of a norm before the division by it; 1e-12 as in SPIN, 1e-6 in the VIBE family.
    """
    columns = rot6d.reshape(*rot6d.shape[:-1], 3, 2)
    a = columns[..., 0]
    b = columns[..., 1]
    x = F.normalize(a, dim=-1, eps=eps)
    y = F.normalize(b - (x * b).sum(-1, keepdim=True) * x, dim=-1, eps=eps)
    z = torch.linalg.cross(x, y, dim=-1)
    return torch.stack([x, y, z], dim=-1)


def rotmat_to_rot6d(rotmat: Tensor) -> Tensor:
    """Inverts :func:`rot6d_to_rotmat`: (..., 3, 3) -> (..., 6)."""
    return rotmat[..., :2].reshape(*rotmat.shape[:-2], 6)


def axis_angle_to_rotmat(axis_angle: Tensor) -> Tensor:
    """Rodrigues' formula: (..., 3) radians -> (..., 3, 3).

    Smooth at zero, where a series replaces both coefficients: the gradient of a zero rotation is exact.
    """
    angle_squared = (axis_angle * axis_angle).sum(-1)
    # The square root has no derivative at zero.
    small = angle_squared < 1e-8
    angle = torch.where(small, torch.ones_like(angle_squared), angle_squared).sqrt()
    first = torch.where(small, 1 - angle_squared / 6, angle.sin() / angle)
    # (1 - cos a) / a^2 in half angles: the difference would cancel to nothing in float32 below 1e-3.
    half = angle / 2
    second = torch.where(small, 0.5 - angle_squared / 24, 0.5 * (half.sin() / half).square())
    skew = _skew(axis_angle)
    identity = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    linear = first[..., None, None] * skew
    return identity + linear + second[..., None, None] * (skew @ skew)


def rotmat_to_axis_angle(rotmat: Tensor) -> Tensor:
    """Computes the logarithm of rotations: (..., 3, 3) -> (..., 3) radians, angle in [0, pi].

    The unit quaternion, computed from its largest component, makes the result accurate for every angle. Values and
    gradients stay finite at the identity, where the plain formula divides zero by zero.
    """
    quaternion = rotmat_to_quaternion(rotmat)
    w = quaternion[..., :1]
    xyz = quaternion[..., 1:]
    negative = w < 0
    w = torch.where(negative, -w, w)
    xyz = torch.where(negative, -xyz, xyz)
    squared = (xyz * xyz).sum(-1, keepdim=True)
    small = squared < 1e-10
    sine = torch.where(small, torch.ones_like(squared), squared).sqrt()
    scale = torch.where(small, 2 / w.clamp_min(0.5), 2 * torch.atan2(sine, w) / sine)
    return scale * xyz


def rotmat_to_quaternion(rotmat: Tensor) -> Tensor:
    """Converts rotations (..., 3, 3) to unit quaternions (..., 4), w x y z; the largest component is positive."""
    m = rotmat.reshape(*rotmat.shape[:-2], 9)
    m00, m01, m02, m10, m11, m12, m20, m21, m22 = m.unbind(-1)
    # Four multiples of the same quaternion, row i scaled by four times its component i.
    rows = (
        (1 + m00 + m11 + m22, m21 - m12, m02 - m20, m10 - m01),
        (m21 - m12, 1 + m00 - m11 - m22, m10 + m01, m02 + m20),
        (m02 - m20, m10 + m01, 1 - m00 + m11 - m22, m21 + m12),
        (m10 - m01, m02 + m20, m21 + m12, 1 - m00 - m11 + m22),
    )
    candidates = torch.stack([torch.stack(row, -1) for row in rows], -2)
    best = torch.diagonal(candidates, dim1=-2, dim2=-1).argmax(-1)
    index = best[..., None, None].expand(*best.shape, 1, 4)
    return F.normalize(candidates.gather(-2, index)[..., 0, :], dim=-1)


def quaternion_to_rotmat(quaternion: Tensor) -> Tensor:
    """Converts quaternions (..., 4), w x y z, of any length but zero to rotations (..., 3, 3)."""
    w, x, y, z = F.normalize(quaternion, dim=-1).unbind(-1)
    entries = [
        1 - 2 * (y * y + z * z),
        2 * (x * y - w * z),
        2 * (x * z + w * y),
        2 * (x * y + w * z),
        1 - 2 * (x * x + z * z),
        2 * (y * z - w * x),
        2 * (x * z - w * y),
        2 * (y * z + w * x),
        1 - 2 * (x * x + y * y),
    ]
    return torch.stack(entries, dim=-1).unflatten(-1, (3, 3))


def _skew(vector: Tensor) -> Tensor:
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    entries = [zero, -z, y, z, zero, -x, -y, x, zero]
    return torch.stack(entries, dim=-1).reshape(*vector.shape, 3)
