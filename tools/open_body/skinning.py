"""Forward kinematics, linear blend skinning and its dual-quaternion counterpart, batched in numpy."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from .skeleton import PARENTS


def joint_transforms(rotations: np.ndarray, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """World rotations (N, 24, 3, 3) and the translations (N, 24, 3) that act on rest-pose points.

    Args:
        rotations: (N, 24, 3, 3) relative to the parent.
        joints: (N, 24, 3) or (24, 3) rest joints, metres.
    """
    joints = np.broadcast_to(joints, (len(rotations), 24, 3))
    world = rotations.copy()
    positions = joints.copy()
    for j, parent in enumerate(PARENTS):
        if parent >= 0:
            world[:, j] = world[:, parent] @ rotations[:, j]
            step = np.einsum('nij,nj->ni', world[:, parent], joints[:, j] - joints[:, parent])
            positions[:, j] = positions[:, parent] + step
    return world, positions - np.einsum('njab,njb->nja', world, joints)


def blend_linear(
    world: np.ndarray, shift: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Per-vertex matrices (N, V, 3, 3) and translations (N, V, 3) of linear blend skinning."""
    matrix = (weights @ world.reshape(len(world), 24, 9)).reshape(len(world), -1, 3, 3)
    return matrix, weights @ shift


def skin(
    rotations: np.ndarray,
    joints: np.ndarray,
    rest: np.ndarray,
    weights: np.ndarray,
    posedirs: np.ndarray | None = None,
) -> np.ndarray:
    """Posed vertices (N, V, 3) from rest vertices (N, V, 3) or (V, 3), metres."""
    if posedirs is not None:
        feature = (rotations[:, 1:] - np.eye(3)).reshape(len(rotations), -1)
        rest = rest + (feature @ posedirs.reshape(-1, posedirs.shape[-1]).T).reshape(
            len(rotations), -1, 3
        )
    matrix, shift = blend_linear(*joint_transforms(rotations, joints), weights)
    return (matrix @ np.broadcast_to(rest, shift.shape)[..., None])[..., 0] + shift


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Hamilton product of quaternions stored (x, y, z, w)."""
    vector = a[..., 3:] * b[..., :3] + b[..., 3:] * a[..., :3] + np.cross(a[..., :3], b[..., :3])
    scalar = a[..., 3:] * b[..., 3:] - (a[..., :3] * b[..., :3]).sum(-1, keepdims=True)
    return np.concatenate([vector, scalar], -1)


def skin_dual_quaternion(
    world: np.ndarray, shift: np.ndarray, rest: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Posed vertices (N, V, 3) by dual-quaternion blending (Kavan et al. 2008), which keeps volume at bends."""
    real = Rotation.from_matrix(world.reshape(-1, 3, 3)).as_quat().reshape(*world.shape[:2], 4)
    dual = _product(np.concatenate([shift, np.zeros((*shift.shape[:2], 1))], -1), real) / 2
    # q and -q are the same rotation: blend every vertex's influences in the hemisphere of its strongest joint.
    pivot = real[:, weights.argmax(1)]
    signed = weights * np.where(np.einsum('nvq,njq->nvj', pivot, real) < 0, -1, 1)
    real = signed @ real
    dual = signed @ dual
    size = np.linalg.norm(real, axis=-1, keepdims=True)
    real = real / size
    dual = dual / size
    translation = 2 * _product(dual, real * [-1, -1, -1, 1])[..., :3]
    rotated = Rotation.from_quat(real.reshape(-1, 4)).apply(
        np.broadcast_to(rest, translation.shape).reshape(-1, 3)
    )
    return rotated.reshape(translation.shape) + translation
