"""From MakeHuman's 163 bones to SMPL's layout: a T-pose, 24 joints and their skin weights.

The pose is set by directions in the world, not by rotations of the rig, so that bone directions do not depend on
the body's shape; the shape space describes only size and form.
"""

from __future__ import annotations

from typing import Callable

import numpy as np
from scipy.spatial.transform import Rotation

from .makehuman import Rig
from .skeleton import INDEX, JOINTS, MIRROR_JOINTS

# Arguments: bone name, world rotations (N, 3, 3) for the bone and all its descendants.
SetWorld = Callable[[str, np.ndarray], None]
FINGERS = (2, 3, 4, 5)  # without the thumb
SHOULDER_LIFT = 0.12  # rad: a raised arm lifts the girdle
HIP_NARROWING = (
    0.8  # MakeHuman's hip centres are 11 cm from the midline, anatomical ones about 9 cm
)

# The first prefix that matches a bone's name selects the joint of its skin weights; torso bones are split by height.
TORSO_BONES = ('root', 'pelvis', 'spine')
BONE_JOINT = (
    ('breast', 'spine3'),
    ('upperleg', 'hip'),
    ('lowerleg', 'knee'),
    ('foot', 'ankle'),
    ('toe', 'foot'),
    ('clavicle', 'collar'),
    ('shoulder01', 'collar'),
    ('upperarm', 'shoulder'),
    ('lowerarm', 'elbow'),
    ('wrist', 'wrist'),
    ('metacarpal', 'wrist'),
    ('finger1-1', 'wrist'),
    ('finger', 'hand'),
    ('neck01', 'neck'),
    ('neck02', 'neck'),
    ('', 'head'),
)


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def _turn(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The smallest rotations (N, 3, 3) that take directions ``start`` to ``end``, both broadcast to (N, 3)."""
    start, end = np.broadcast_arrays(_unit(start), _unit(np.asarray(end, float)))
    axis = np.cross(start, end)
    sine = np.linalg.norm(axis, axis=-1, keepdims=True)
    angle = np.arctan2(sine, (start * end).sum(-1, keepdims=True))
    return Rotation.from_rotvec(axis / np.maximum(sine, 1e-12) * angle).as_matrix()


def _frame(along: np.ndarray, towards: np.ndarray) -> np.ndarray:
    """Orthonormal frames (N, 3, 3) with first column ``along`` and third column nearest to ``towards``."""
    x = _unit(along)
    z = _unit(towards - (towards * x).sum(-1, keepdims=True) * x)
    return np.stack([x, np.cross(z, x), z], -1)


def _mean_of(points: np.ndarray, rig: Rig, names: list[str]) -> np.ndarray:
    return np.mean([points[:, rig.index(n)] for n in names], axis=0)


def _arm(rig: Rig, heads: np.ndarray, tails: np.ndarray, side: str, set_world: SetWorld) -> None:
    out = 1.0 if side == 'L' else -1.0

    def head(bone: str) -> np.ndarray:
        return heads[:, rig.index(f'{bone}.{side}')]

    lift = np.array([[out * np.cos(SHOULDER_LIFT), np.sin(SHOULDER_LIFT), 0]])
    set_world(f'shoulder01.{side}', _turn(np.array([[out, 0.0, 0.0]]), lift))
    set_world(
        f'upperarm01.{side}', _turn(head('lowerarm01') - head('upperarm01'), [out, -0.03, -0.03])
    )
    forearm = _turn(head('wrist') - head('lowerarm01'), [out, 0, 0])
    knuckles = [f'finger{k}-1.{side}' for k in FINGERS]
    along = _mean_of(heads, rig, knuckles) - head('wrist')
    across = head('finger5-1') - head('finger2-1')
    palm_down = _frame(np.array([[out, 0.0, 0.0]]), np.array([[0.0, 0.0, -1.0]]))
    hand = palm_down @ np.swapaxes(_frame(along, across), -1, -2)
    # Half of the wrist's twist is applied to the distal forearm, otherwise its skin would collapse.
    half = Rotation.from_rotvec(
        0.5 * Rotation.from_matrix(hand @ np.swapaxes(forearm, -1, -2)).as_rotvec()
    )
    set_world(f'lowerarm01.{side}', forearm)
    set_world(f'lowerarm02.{side}', half.as_matrix() @ forearm)
    set_world(f'wrist.{side}', hand)
    for finger in FINGERS:
        for phalanx in (1, 2, 3):
            bone = rig.index(f'finger{finger}-{phalanx}.{side}')
            direction = _unit(np.einsum('nij,nj->ni', hand, tails[:, bone] - heads[:, bone]))
            set_world(rig.names[bone], _turn(direction, direction * [1, 0.25, 0.6]) @ hand)


def _leg(rig: Rig, heads: np.ndarray, side: str, set_world: SetWorld) -> None:
    out = 1.0 if side == 'L' else -1.0

    def head(bone: str) -> np.ndarray:
        return heads[:, rig.index(f'{bone}.{side}')]

    set_world(
        f'upperleg01.{side}', _turn(head('lowerleg01') - head('upperleg01'), [0.02 * out, -1, 0.01])
    )
    set_world(
        f'lowerleg01.{side}', _turn(head('foot') - head('lowerleg01'), [-0.01 * out, -1, -0.06])
    )
    forward = _mean_of(heads, rig, [f'toe{k}-1.{side}' for k in (1, 2, 3, 4)]) - head('foot')
    yaw = 0.12 * out - np.arctan2(forward[:, 0], forward[:, 2])
    set_world(f'foot.{side}', Rotation.from_euler('y', yaw[:, None]).as_matrix())


def to_t_pose(
    rig: Rig, rest: np.ndarray, used: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Poses MakeHuman bodies into a T-pose by linear blend skinning over all 163 bones.

    Args:
        rig: the default rig.
        rest: (N, M, 3) base-mesh vertices in MakeHuman's rest pose.
        used: (V,) base-mesh vertices to return.

    Returns:
        vertices (N, V, 3) float32, bone heads (N, B, 3) and bone tails (N, B, 3) in the T-pose.
    """
    heads, tails = (
        np.stack([rows @ x for x in rest.astype(float)]) for rows in (rig.heads, rig.tails)
    )
    rotation = np.tile(np.eye(3), (len(rest), len(rig.names), 1, 1))

    def set_world(bone: str, value: np.ndarray) -> None:
        rotation[:, rig.subtree(bone)] = value[:, None]

    for side in 'LR':
        _arm(rig, heads, tails, side, set_world)
        _leg(rig, heads, side, set_world)
    posed = heads.copy()
    for bone, parent in enumerate(rig.parents):
        if parent >= 0:
            step = np.einsum('nij,nj->ni', rotation[:, parent], heads[:, bone] - heads[:, parent])
            posed[:, bone] = posed[:, parent] + step
    shift = posed - np.einsum('nbij,nbj->nbi', rotation, heads)
    transform = np.concatenate([rotation, shift[..., None]], -1).reshape(
        len(rest), len(rig.names), 12
    )
    weights = rig.weights[used].astype(np.float32)
    vertices = np.empty((len(rest), len(used), 3), np.float32)
    for n, matrix in enumerate(transform.astype(np.float32)):
        blended = (weights @ matrix).reshape(-1, 3, 4)
        vertices[n] = np.einsum('vij,vj->vi', blended[..., :3], rest[n, used]) + blended[..., 3]
    return vertices, posed, posed + np.einsum('nbij,nbj->nbi', rotation, tails - heads)


def joints_from_bones(rig: Rig, heads: np.ndarray) -> np.ndarray:
    """The 24 joints (N, 24, 3) as SMPL defines them, from the bone heads (N, B, 3)."""

    def mix(**shares: float) -> np.ndarray:
        return sum(share * heads[:, rig.index(name)] for name, share in shares.items())

    joints = np.zeros((len(heads), len(JOINTS), 3))
    for side, name in (('L', 'left_'), ('R', 'right_')):
        ends = {
            'hip': 'upperleg01',
            'knee': 'lowerleg01',
            'ankle': 'foot',
            'shoulder': 'upperarm01',
            'elbow': 'lowerarm01',
            'wrist': 'wrist',
        }
        for joint, bone in ends.items():
            joints[:, INDEX[name + joint]] = heads[:, rig.index(f'{bone}.{side}')]
        joints[:, INDEX[name + 'hip'], 0] *= HIP_NARROWING
        joints[:, INDEX[name + 'collar']] = mix(
            **{f'shoulder01.{side}': 0.5, f'clavicle.{side}': 0.5}
        )
        joints[:, INDEX[name + 'foot']] = _mean_of(
            heads, rig, [f'toe{k}-1.{side}' for k in (1, 2, 3, 4)]
        )
        joints[:, INDEX[name + 'hand']] = _mean_of(
            heads, rig, [f'finger{k}-1.{side}' for k in (2, 3, 4)]
        )
    central = {
        'pelvis': mix(spine04=0.75, spine03=0.25),
        'spine1': mix(spine03=0.5, spine02=0.5),
        'spine2': mix(spine02=0.35, spine01=0.65),
        'spine3': mix(spine01=1.0),
        'neck': mix(neck01=1.0),
        'head': mix(head=0.7, neck03=0.3),
    }
    for name, position in central.items():
        joints[:, INDEX[name]] = position * [0, 1, 1]
    return joints


def _joint_of_bone(bone: str) -> int:
    name, _, side = bone.partition('.')
    joint = next(j for prefix, j in BONE_JOINT if name.startswith(prefix))
    if joint in INDEX:
        return INDEX[joint]
    return INDEX[{'L': 'left_', 'R': 'right_'}[side] + joint]


def skin_weights(
    rig: Rig, used: np.ndarray, mirror: np.ndarray, template: np.ndarray, joints: np.ndarray
) -> np.ndarray:
    """Skin weights (V, 24), rows sum to one and mirror exactly, with any number of influences.

    Args:
        rig: the default rig.
        used: (V,) base-mesh vertices.
        mirror: (V,) the vertex on the other side.
        template: (V, 3) T-pose vertices, metres.
        joints: (24, 3) T-pose joints.
    """
    bones = rig.weights[used].toarray()
    weights = np.zeros((len(used), len(JOINTS)))
    torso = np.zeros(len(used))
    for bone, name in enumerate(rig.names):
        if name.startswith(TORSO_BONES):
            torso += bones[:, bone]
        else:
            weights[:, _joint_of_bone(name)] += bones[:, bone]
    # Share of the torso's weight that belongs to this joint or a higher one.
    reached = np.ones(len(used))
    for name, upper, width in (
        ('pelvis', 'spine1', 0.055),
        ('spine1', 'spine2', 0.055),
        ('spine2', 'spine3', 0.035),
    ):
        ramp = np.clip((template[:, 1] - joints[INDEX[upper], 1] + width) / (2 * width), 0, 1)
        beyond = np.minimum(reached, ramp**2 * (3 - 2 * ramp))
        weights[:, INDEX[name]] += torso * (reached - beyond)
        reached = beyond
    weights[:, INDEX['spine3']] += torso * reached
    weights = weights + weights[mirror][:, MIRROR_JOINTS]
    return weights / weights.sum(1, keepdims=True)
