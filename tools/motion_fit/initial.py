"""Initial rotations in closed form: a frame for every large body part from the directions of its bones."""

from __future__ import annotations

import torch
from motion_fit import skeleton as sk
from motion_fit.targets import BONES, Targets
from torch import Tensor

from hrtk.geometry.rotation import axis_angle_to_rotmat, rotmat_to_axis_angle


def initial_rotations(body: sk.Skeleton, targets: Targets) -> Tensor:
    """(F, 24, 3, 3) local rotations: exact for the ends of the trunk and the limbs, rest pose elsewhere."""
    bones = {(a, b): targets.directions[:, i] for i, (a, b, *_) in enumerate(BONES)}
    points = sk.markers(body, targets.rig)
    markers = {name: body.rest[joint] + offset for name, (joint, offset) in points.items()}
    rest = body.rest
    world = torch.eye(3).expand(len(targets.step), 24, 3, 3).clone()

    def turn(rest_frame: Tensor, captured_frame: Tensor) -> Tensor:
        return captured_frame @ rest_frame.mT

    pelvis = turn(
        sk.frame(rest[1] - rest[2], markers['spine'] - markers['middle']),
        sk.frame(bones['r_hip', 'l_hip'], bones['pelvis', 'spine']),
    )
    chest = turn(
        sk.frame(rest[16] - rest[17], markers['thorax'] - markers['spine']),
        sk.frame(bones['r_shoulder', 'l_shoulder'], bones['spine', 'thorax']),
    )
    bend = rotmat_to_axis_angle(pelvis.mT @ chest)
    world[:, 0] = pelvis
    for joint, part in ((sk.SPINE1, 1 / 3), (sk.SPINE2, 2 / 3), (sk.CHEST, 1.0)):
        world[:, joint] = pelvis @ axis_angle_to_rotmat(part * bend)
    for joint in (sk.NECK, sk.HEAD, *sk.COLLARS):
        world[:, joint] = world[:, sk.CHEST]
    for side, letter in enumerate('lr'):
        _limb(
            world,
            rest,
            0,
            (sk.HIPS[side], sk.KNEES[side], sk.ANKLES[side]),
            torch.tensor([1.0, 0, 0]),
            bones[f'{letter}_hip', f'{letter}_knee'],
            bones[f'{letter}_knee', f'{letter}_ankle'],
        )
        _limb(
            world,
            rest,
            sk.COLLARS[side],
            (sk.SHOULDERS[side], sk.ELBOWS[side], sk.WRISTS[side]),
            torch.tensor([0, -1.0 + 2 * side, 0]),
            bones[f'{letter}_shoulder', f'{letter}_elbow'],
            bones[f'{letter}_elbow', f'{letter}_wrist'],
        )
        world[:, sk.FEET[side]] = world[:, sk.ANKLES[side]]
        world[:, sk.HANDS[side]] = world[:, sk.WRISTS[side]]
    parents = torch.tensor(body.parents)
    local = world[:, parents.clamp_min(0)].mT @ world
    local[:, 0] = world[:, 0]
    return local


def _limb(
    world: Tensor,
    rest: Tensor,
    parent: int,
    chain: tuple[int, int, int],
    hinge: Tensor,
    upper: Tensor,
    lower: Tensor,
) -> None:
    """Points two bones and turns the upper one so that the middle joint bends about its hinge axis."""
    top, middle, end = chain
    rest_upper = rest[middle] - rest[top]
    rest_lower = rest[end] - rest[middle]
    swing = _shortest(world[:, parent] @ (rest_upper / rest_upper.norm()), upper) @ world[:, parent]
    normal = torch.linalg.cross(upper, lower, dim=-1)
    sine = normal.norm(dim=-1, keepdim=True)
    # A nearly straight limb does not determine its hinge axis: the shortest swing is used there.
    trust = ((sine - 0.1) / 0.3).clamp(0, 1)
    axis = trust * normal / sine.clamp_min(1e-6) + (1 - trust) * (swing @ hinge)
    world[:, top] = sk.frame(upper, axis) @ sk.frame(rest_upper, hinge).mT
    bent = _shortest(world[:, top] @ (rest_lower / rest_lower.norm()), lower) @ world[:, top]
    world[:, middle] = world[:, end] = bent


def _shortest(a: Tensor, b: Tensor) -> Tensor:
    """(F, 3, 3) the smallest rotation that takes unit vectors a (F, 3) to b (F, 3)."""
    axis = torch.linalg.cross(a, b, dim=-1)
    angle = torch.atan2(axis.norm(dim=-1), (a * b).sum(-1))
    return axis_angle_to_rotmat(torch.nn.functional.normalize(axis, dim=-1) * angle[:, None])
