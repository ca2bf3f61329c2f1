"""Mirrored poses: x negated, left and right exchanged. Mirroring twice gives the input."""

from __future__ import annotations

from typing import Sequence

import torch
from torch import Tensor


def mirror_points(points: Tensor, order: Sequence[int]) -> Tensor:
    """Mirrors points.

    Args:
        points: (..., J, D), 2D or 3D, x first, relative to the plane of the mirror.
        order: (J,) index of every point's counterpart, see :func:`~hrtk.body_models.skeletons.flip_map`.
    """
    points = points[..., list(order), :]
    points[..., 0] *= -1
    return points


def mirror_rotmat(rotmat: Tensor, order: Sequence[int]) -> Tensor:
    """Mirrors rotations of joints, absolute or relative to their parents.

    Args:
        rotmat: (..., J, 3, 3).
        order: (J,) as of :func:`mirror_points`.
    """
    reflect = torch.tensor([-1.0, 1.0, 1.0], device=rotmat.device, dtype=rotmat.dtype)
    return reflect[:, None] * rotmat[..., list(order), :, :] * reflect
