"""Mirrored poses: x negated, left and right exchanged. Mirroring twice gives the input."""

from __future__ import annotations

from typing import Sequence

from torch import Tensor

from hrtk.geometry.constants import constant, indices


def mirror_points(points: Tensor, order: Sequence[int]) -> Tensor:
    """Mirrors points.

    Args:
        points: (..., J, D), 2D or 3D, x first, relative to the plane of the mirror.
        order: (J,) index of every point's counterpart, see :func:`~hrtk.body_models.skeletons.flip_map`.
    """
    points = points[..., indices(tuple(order), points), :]
    points[..., 0] *= -1
    return points


def mirror_rotmat(rotmat: Tensor, order: Sequence[int]) -> Tensor:
    """Mirrors rotations of joints, absolute or relative to their parents.

    Args:
        rotmat: (..., J, 3, 3).
        order: (J,) as of :func:`mirror_points`.
    """
    reflect = constant((-1.0, 1.0, 1.0), rotmat)
    return reflect[:, None] * rotmat[..., indices(tuple(order), rotmat), :, :] * reflect
