"""The joints of official files in the orders of :mod:`hrtk.body_models.joint_orders`."""

from __future__ import annotations

import numpy as np

from hrtk.body_models.joint_orders import MPI17, ORDERS
from hrtk.body_models.skeletons import joint_names

# Indices of H36M17 among Human3.6M's 32 measured points; the others do not move or are duplicates.
OF_H36M32 = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)


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
