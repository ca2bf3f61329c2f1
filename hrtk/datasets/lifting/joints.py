"""Joint orders of the networks from 2D to 3D, by name."""

from __future__ import annotations

import numpy as np

from hrtk.body_models.skeletons import joint_names
from hrtk.errors import InputError

H36M17 = joint_names('human36m17')

# Indices of H36M17 among Human3.6M's 32 measured points; the others do not move or are duplicates.
OF_H36M32 = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)

MPI17 = (
    'headtop',
    'neck',
    'right_shoulder',
    'right_elbow',
    'right_wrist',
    'left_shoulder',
    'left_elbow',
    'left_wrist',
    'right_hip',
    'right_knee',
    'right_ankle',
    'left_hip',
    'left_knee',
    'left_ankle',
    'pelvis',
    'spine',
    'head',
)

ORDERS = {'h36m17': H36M17, 'h36m16': joint_names('human36m16'), 'mpi17': MPI17}
ROOTS = {'h36m17': 0, 'h36m16': 0, 'mpi17': MPI17.index('pelvis')}


def check_order(joints: str, allowed: tuple[str, ...], owner: str) -> None:
    """Checks the name of a joint order.

    Args:
        joints: the name.
        allowed: valid names.
        owner: class of the option, for the message.

    Raises:
        InputError: the name is not valid.
    """
    if joints not in allowed:
        raise InputError(
            f'{owner}: joints is one of {", ".join(map(repr, allowed))}, not {joints!r}'
        )


def mirror_order(joints: str) -> tuple[int, ...]:
    """The joint that each joint of the mirrored body comes from: left and right are exchanged."""
    names = ORDERS[joints]
    return tuple(names.index(_other_side(name)) for name in names)


def from_regressor(joints: str) -> list[int]:
    """Indices of the joints of Human3.6M's order in the body's ``h36m17``, which has the left leg first."""
    return [joint_names('h36m17').index(name) for name in ORDERS[joints]]


def h36m16_of_mpi17(points: np.ndarray, pipeline: str) -> np.ndarray:
    """MPI-INF-3DHP's 17 joints -> the 16 joints that MPM shares between data sets.

    The head is the midpoint of the top of the head and the head. The neck of Human3.6M's order is 3DHP's neck; with
    ``pipeline='released'`` it is 3DHP's head, as in MPM's code.

    Args:
        points: (..., 17, D).
        pipeline: ``'correct'`` or ``'released'``.

    Returns:
        (..., 16, D).
    """
    source = {f'{name}_mocap': index for index, name in enumerate(MPI17)}
    if pipeline == 'released':
        source['neck_mocap'] = source['head_mocap']
    reordered = points[..., [source[name] for name in ORDERS['h36m16']], :]
    top = points[..., MPI17.index('headtop'), :]
    head = points[..., MPI17.index('head'), :]
    reordered[..., ORDERS['h36m16'].index('head_mocap'), :] = (head + top) / 2
    return reordered


def _other_side(name: str) -> str:
    """``'left_knee'`` -> ``'right_knee'`` and back; other names stay the same."""
    if name.startswith('left_'):
        return 'right_' + name.removeprefix('left_')
    if name.startswith('right_'):
        return 'left_' + name.removeprefix('right_')
    return name
