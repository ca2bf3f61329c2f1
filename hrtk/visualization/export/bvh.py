"""BVH: the skeleton and its rotations as text, for animation programs."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hrtk.body_models import BodyModel
from hrtk.geometry.rotation import axis_angle_to_rotmat, rotmat_to_axis_angle
from hrtk.visualization.export.motion import Motion, in_world, rest_joints, with_mean_shape
from hrtk.visualization.export.resampling import even
from hrtk.visualization.export.rigs import HUMAN_IK

ROTATION = 'Zrotation Xrotation Yrotation'
ROOT_CHANNELS = f'6 Xposition Yposition Zposition {ROTATION}'
JOINT_CHANNELS = f'3 {ROTATION}'
INDENT = '  '
END_SCALE = 0.5  # length of a leaf bone relative to its parent bone


def to_bvh(motion: Motion, body: BodyModel, world: str = 'y-up') -> str:
    """The text of a BVH file: lengths in metres, angles in degrees, ``R = Rz @ Rx @ Ry`` of the channels.

    The root's offset is zero and its position channels hold the position of the pelvis, so programs that add the two
    and programs that use only the channels agree. In the rest pose, all channels of rotation zero, the body stands y up
    with its arms to the sides, facing +z. Joints have the names of HumanIK
    (:data:`~hrtk.visualization.export.rigs.HUMAN_IK`). Uneven frames are resampled: the format has one frame time.

    Args:
        motion: in the camera frame.
        body: the body model of the motion.
        world: ``'y-up'``, which most programs expect, ``'z-up'`` or ``'camera'``.
    """
    motion = even(with_mean_shape(motion, body), body)
    motion = in_world(motion, body, world)
    rest = rest_joints(body, motion.betas[:1])[0]
    hierarchy, joint_order = _hierarchy(rest.numpy(), body.data.parents)
    pelvis = rest[0] + motion.translation
    angles = euler_zxy(motion.rotmat)[:, joint_order].flatten(1)
    channels = np.concatenate([pelvis.numpy(), angles.numpy()], axis=1)
    row_format = ' '.join(['%.6f'] * channels.shape[1])
    lines = [
        'HIERARCHY',
        *hierarchy,
        'MOTION',
        f'Frames: {len(motion)}',
        f'Frame Time: {1 / motion.fps:.8f}',
    ]
    lines += [row_format % tuple(values) for values in channels]
    return '\n'.join(lines) + '\n'


def euler_zxy(rotmat: Tensor) -> Tensor:
    """Rotations (F, J, 3, 3) -> degrees (F, J, 3) about z, x and y with ``R = Rz @ Rx @ Ry``, continuous over time.

    In gimbal lock, where x is 90 degrees and z and y rotate about one axis, y is zero.
    """
    # Exact rotations: near gimbal lock, rounding of a float32 matrix would change z and y by different amounts.
    m = axis_angle_to_rotmat(rotmat_to_axis_angle(rotmat.double()))
    cosine = torch.hypot(m[..., 0, 1], m[..., 1, 1])
    locked = cosine < 1e-9
    x = torch.atan2(m[..., 2, 1], cosine)
    y = torch.where(locked, torch.zeros_like(x), torch.atan2(-m[..., 2, 0], m[..., 2, 2]))
    locked_z = torch.atan2(m[..., 1, 0], m[..., 0, 0])
    z = torch.where(locked, locked_z, torch.atan2(-m[..., 0, 1], m[..., 1, 1]))
    radians = torch.stack([z, x, y], -1).numpy()
    return torch.as_tensor(np.rad2deg(np.unwrap(radians, axis=0)))


def _hierarchy(rest: np.ndarray, parents: np.ndarray) -> tuple[list[str], list[int]]:
    """The lines of the skeleton, and the joints in the order of their channels."""
    joint_order: list[int] = []
    lines = _joint_lines(0, rest, parents, joint_order)
    return lines, joint_order


def _joint_lines(
    joint: int, rest: np.ndarray, parents: np.ndarray, joint_order: list[int]
) -> list[str]:
    """The lines of a joint and its descendants, which are appended to ``joint_order``."""
    joint_order.append(joint)
    children = np.flatnonzero(parents == joint)
    if joint == 0:
        offset = np.zeros(3)
        header = f'ROOT {HUMAN_IK[joint]}'
        channels = ROOT_CHANNELS
    else:
        offset = rest[joint] - rest[parents[joint]]
        header = f'JOINT {HUMAN_IK[joint]}'
        channels = JOINT_CHANNELS
    inner = [_offset_line(offset), f'CHANNELS {channels}']
    for child in children:
        inner += _joint_lines(int(child), rest, parents, joint_order)
    if len(children) == 0:
        inner += ['End Site', '{', INDENT + _offset_line(END_SCALE * offset), '}']
    return [header, '{', *[INDENT + line for line in inner], '}']


def _offset_line(xyz: np.ndarray) -> str:
    return 'OFFSET ' + ' '.join(f'{value:.6f}' for value in xyz)
