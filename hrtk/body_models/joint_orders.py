"""Joint orders of the networks from 2D to 3D, by name: root, limbs and mirror image of each.

Human3.6M and MPI-INF-3DHP both have 17 joints, in different orders. A number of joints therefore never stands for an
order, and nothing but this module knows which joint is the root.
"""

from __future__ import annotations

from hrtk.body_models.skeletons import joint_names, mirrored
from hrtk.errors import OptionError

H36M17 = joint_names('human36m17')

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

# The joints of a limb, from the trunk outwards.
LIMBS = {
    f'{side}_{limb}': tuple(f'{side}_{joint}' for joint in joints)
    for limb, joints in (
        ('leg', ('hip', 'knee', 'ankle')),
        ('arm', ('shoulder', 'elbow', 'wrist')),
    )
    for side in ('right', 'left')
}


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
        raise OptionError(
            f'{owner}: joints is one of {", ".join(map(repr, allowed))}, not {joints!r}'
        )


def check_number(joints: str, number: int, owner: str) -> None:
    """Checks that poses or a network have as many joints as their order.

    Args:
        joints: name of the order.
        number: of joints.
        owner: class that has both, for the message.

    Raises:
        InputError: the name is not valid, or the numbers differ.
    """
    check_order(joints, tuple(ORDERS), owner)
    expected = len(ORDERS[joints])
    if number != expected:
        raise OptionError(
            f'{owner}: {joints!r} has {expected} joints, not {number}; set `joints` of the model and of the data '
            f"set to the same order and the network's number of joints to that of the order"
        )


def root_of(joints: str) -> int:
    """Index of the root, the pelvis, in an order."""
    return _points(joints).index('pelvis')


def limb_joints(joints: str, limb: str) -> tuple[int, ...]:
    """Indices of the joints of a limb of :data:`LIMBS` in an order, from the trunk outwards."""
    points = _points(joints)
    return tuple(points.index(name) for name in LIMBS[limb])


def mirror_order(joints: str) -> tuple[int, ...]:
    """The joint that each joint of the mirrored body comes from: left and right are exchanged."""
    names = ORDERS[joints]
    return tuple(names.index(mirrored(name)) for name in names)


def _points(joints: str) -> list[str]:
    """Names without the suffix of regressed joints."""
    return [name.removesuffix('_mocap') for name in ORDERS[joints]]
