"""Mirror images of poses: x negated, left and right exchanged. Doing it twice changes nothing."""

from __future__ import annotations

from typing import Sequence

import torch
from torch import Tensor


def mirror_points(points: Tensor, order: Sequence[int]) -> Tensor:
    """Points in a mirror.

    Args:
        points: (..., J, D), 2D or 3D, x first, relative to the plane of the mirror.
        order: (J,) place of every point's counterpart, see :func:`~hrtk.body_models.skeletons.flip_map`.
    """
    points = points[..., list(order), :]
    points[..., 0] *= -1
    return points


def mirror_rotmat(rotmat: Tensor, order: Sequence[int]) -> Tensor:
    """Rotations of joints, or of joints relative to their parents, in a mirror.

    Args:
        rotmat: (..., J, 3, 3).
        order: (J,) as of :func:`mirror_points`.
    """
    reflect = torch.tensor([-1.0, 1.0, 1.0], device=rotmat.device, dtype=rotmat.dtype)
    return reflect[:, None] * rotmat[..., list(order), :, :] * reflect
