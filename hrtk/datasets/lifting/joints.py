"""Joint orders of the networks from 2D to 3D, by name."""

from __future__ import annotations

import numpy as np

from hrtk.body_models.skeletons import joint_names
from hrtk.errors import InputError

H36M17 = joint_names('human36m17')

# Those of Human3.6M's 32 measured points that H36M17 keeps; the others do not move or exist twice.
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


def check_order(joints: str, allowed: tuple[str, ...], owner: str) -> str:
    """Returns ``joints`` if it is one of ``allowed``.

    Raises:
        InputError: it is not.
    """
    if joints not in allowed:
        raise InputError(
            f'{owner}: joints is one of {", ".join(map(repr, allowed))}, not {joints!r}'
        )
    return joints


def mirror_order(joints: str) -> tuple[int, ...]:
    """Where each joint of the mirrored body comes from: left and right change places."""
    names = ORDERS[joints]
    swap = {'left': 'right', 'right': 'left'}
    partner = [
        '_'.join([swap.get(side, side), *rest])
        for side, *rest in (name.split('_') for name in names)
    ]
    return tuple(names.index(name) for name in partner)


def from_regressor(joints: str) -> list[int]:
    """Where each joint of an order of Human3.6M lies in the body's ``h36m17``, which has the left leg first."""
    return [joint_names('h36m17').index(name) for name in ORDERS[joints]]


def h36m16_of_mpi17(points: np.ndarray, pipeline: str) -> np.ndarray:
    """MPI-INF-3DHP's 17 joints as the 16 that MPM shares between data sets.

    The head is the middle of the top of the head and the head. The neck of Human3.6M's order is 3DHP's neck; with
    ``pipeline='released'`` it is 3DHP's head, as in MPM's code.

    Args:
        points: (..., 17, D).
        pipeline: ``'correct'`` or ``'released'``.

    Returns:
        (..., 16, D).
    """
    here = {f'{name}_mocap': index for index, name in enumerate(MPI17)}
    if pipeline == 'released':
        here['neck_mocap'] = here['head_mocap']
    moved = points[..., [here[name] for name in ORDERS['h36m16']], :]
    top = points[..., MPI17.index('headtop'), :]
    moved[..., ORDERS['h36m16'].index('head_mocap'), :] = (
        points[..., MPI17.index('head'), :] + top
    ) / 2
    return moved
