"""BVH: the skeleton and its rotations as text, for programs of animation."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hrtk.body_models import BodyModel
from hrtk.body_models.skeletons import SMPL24
from hrtk.geometry.rotation import axis_angle_to_rotmat, rotmat_to_axis_angle
from hrtk.visualization.export.motion import Motion, in_world, rest_joints, steady

ROTATION = 'Zrotation Xrotation Yrotation'
END = 0.5  # a leaf bone goes on by this share of the bone before it


def to_bvh(motion: Motion, body: BodyModel, world: str = 'y-up') -> str:
    """The text of a BVH file: lengths in metres, angles in degrees, ``R = Rz @ Rx @ Ry`` of the channels.

    The root's offset is zero and its position channels hold the place of the pelvis, so that programs which add the
    two and programs which take the channels alone agree. At rest the body stands y up, facing +z.

    Args:
        motion: in the camera frame.
        body: the body model that it is for.
        world: ``'y-up'``, which most programs expect, ``'z-up'`` or ``'camera'``.
    """
    motion = in_world(steady(motion, body), body, world)
    rest = rest_joints(body, motion.betas[:1])[0]
    order: list[int] = []
    lines = ['HIERARCHY', *_joint(0, rest.numpy(), body.data.parents, order, 0)]
    angles = euler_zxy(motion.rotmat)[:, order].flatten(1)
    channels = np.concatenate([(rest[0] + motion.translation).numpy(), angles.numpy()], axis=1)
    lines += ['MOTION', f'Frames: {len(motion)}', f'Frame Time: {1 / motion.fps:.8f}']
    row = ' '.join(['%.6f'] * channels.shape[1])
    return '\n'.join([*lines, *(row % tuple(values) for values in channels), ''])


def euler_zxy(rotmat: Tensor) -> Tensor:
    """Rotations (F, J, 3, 3) -> degrees (F, J, 3) about z, x and y with ``R = Rz @ Rx @ Ry``, unbroken over time.

    Where x is turned by 90 degrees z and y turn about one axis; there y is zero.
    """
    # Exact rotations: next to the pole, rounding of a float32 matrix would turn z and y by different amounts.
    m = axis_angle_to_rotmat(rotmat_to_axis_angle(rotmat.double()))
    cosine = torch.hypot(m[..., 0, 1], m[..., 1, 1])
    pole = cosine < 1e-9
    x = torch.atan2(m[..., 2, 1], cosine)
    y = torch.where(pole, torch.zeros_like(x), torch.atan2(-m[..., 2, 0], m[..., 2, 2]))
    z = torch.where(
        pole, torch.atan2(m[..., 1, 0], m[..., 0, 0]), torch.atan2(-m[..., 0, 1], m[..., 1, 1])
    )
    return torch.as_tensor(np.rad2deg(np.unwrap(torch.stack([z, x, y], -1).numpy(), axis=0)))


def _joint(
    joint: int, rest: np.ndarray, parents: np.ndarray, order: list[int], depth: int
) -> list[str]:
    """The lines of a joint and all below it; notes the order in which their channels follow."""
    order.append(joint)
    offset = rest[joint] - rest[parents[joint]] if joint else np.zeros(3)
    children = np.flatnonzero(parents == joint)
    kind, channels = (
        ('JOINT', f'3 {ROTATION}')
        if joint
        else ('ROOT', f'6 Xposition Yposition Zposition {ROTATION}')
    )
    lines = [f'{kind} {SMPL24[joint]}', '{', f'  {_offset(offset)}', f'  CHANNELS {channels}']
    for child in children:
        lines += _joint(int(child), rest, parents, order, 1)
    if not len(children):
        lines += ['  End Site', '  {', f'    {_offset(END * offset)}', '  }']
    return [depth * '  ' + line for line in (*lines, '}')]


def _offset(xyz: np.ndarray) -> str:
    return 'OFFSET ' + ' '.join(f'{value:.6f}' for value in xyz)
