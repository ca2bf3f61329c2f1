"""Captured positions as bone directions, the targets of the fit."""

from __future__ import annotations

import dataclasses

import torch
from motion_fit import skeleton as sk
from motion_fit.clips import JOINTS, SourceClip
from torch import Tensor

from hrtk.geometry.rotation import axis_angle_to_rotmat

# Each bone: captured start and end, body start and end (a joint number or a marker), weight.
BONES = (
    ('r_hip', 'l_hip', sk.HIPS[1], sk.HIPS[0], 2.0),
    ('pelvis', 'spine', 'middle', 'spine', 1.0),
    ('spine', 'thorax', 'spine', 'thorax', 1.0),
    ('pelvis', 'thorax', 'middle', 'thorax', 1.0),
    ('r_shoulder', 'l_shoulder', sk.SHOULDERS[1], sk.SHOULDERS[0], 1.0),
    ('neck', 'head', sk.NECK, 'head', 0.3),
    ('l_hip', 'l_knee', sk.HIPS[0], sk.KNEES[0], 1.0),
    ('r_hip', 'r_knee', sk.HIPS[1], sk.KNEES[1], 1.0),
    ('l_knee', 'l_ankle', sk.KNEES[0], sk.ANKLES[0], 1.0),
    ('r_knee', 'r_ankle', sk.KNEES[1], sk.ANKLES[1], 1.0),
    ('l_shoulder', 'l_elbow', sk.SHOULDERS[0], sk.ELBOWS[0], 1.0),
    ('r_shoulder', 'r_elbow', sk.SHOULDERS[1], sk.ELBOWS[1], 1.0),
    ('l_elbow', 'l_wrist', sk.ELBOWS[0], sk.WRISTS[0], 1.0),
    ('r_elbow', 'r_wrist', sk.ELBOWS[1], sk.WRISTS[1], 1.0),
)
_NOD_REMOVED = 0.75


@dataclasses.dataclass
class Targets:
    """The captured motion of F frames (one rig, clips one after another).

    Attributes:
        directions: (F, B, 3) unit vectors of :data:`BONES` in the world.
        weights: (F, B), 0 where an end is invalid.
        standing: (F, 2) in [0, 1], confidence that the left and the right foot stand flat on the floor.
        step: (F,) bool, True where frame t continues frame t - 1.
        rig: the captured skeleton's convention.
    """

    directions: Tensor
    weights: Tensor
    standing: Tensor
    step: Tensor
    rig: str


def make_targets(body: sk.Skeleton, clips: list[SourceClip]) -> Targets:
    """Joins clips of one rig; the direction of a level head's bone is the body's."""
    level = _level_head(body, clips[0].rig)
    parts = [_of_clip(clip, level) for clip in clips]
    directions, weights, standing = (torch.cat([part[i] for part in parts]) for i in range(3))
    step = torch.cat([torch.arange(len(part[0])) > 0 for part in parts])
    return Targets(directions, weights, standing, step, clips[0].rig)


def _of_clip(clip: SourceClip, level_head: float) -> tuple[Tensor, Tensor, Tensor]:
    positions, valid = sk.to_tensor(clip.positions), torch.from_numpy(clip.valid)
    start = [JOINTS.index(bone[0]) for bone in BONES]
    end = [JOINTS.index(bone[1]) for bone in BONES]
    directions = torch.nn.functional.normalize(positions[:, end] - positions[:, start], dim=-1)
    names = [bone[:2] for bone in BONES]
    head, line, trunk = (
        names.index(name)
        for name in (('neck', 'head'), ('r_shoulder', 'l_shoulder'), ('pelvis', 'thorax'))
    )
    directions[:, head] = _levelled(
        directions[:, head], directions[:, line], directions[:, trunk], level_head
    )
    weights = torch.tensor([bone[4] for bone in BONES]) * (valid[:, start] & valid[:, end])
    ankles = positions[:, [JOINTS.index('l_ankle'), JOINTS.index('r_ankle')]]
    return directions, weights, _standing(ankles, clip.fps)


def _level_head(body: sk.Skeleton, rig: str) -> float:
    """Forward lean of the bone from neck to head in the rest pose, radians."""
    joint, offset = sk.markers(body, rig)['head']
    bone = body.rest[joint] + offset - body.rest[sk.NECK]
    return float(torch.atan2(bone[2], bone[1]))


def _levelled(head: Tensor, shoulders: Tensor, trunk: Tensor, level: float) -> Tensor:
    """Removes most of a clip's constant nod.

    The position of the head joint differs between recordings, so that the same upright walk would look up in one clip
    and down in another. The median lean over the upright frames is moved towards the level.
    """
    up = torch.tensor([0.0, 1.0, 0.0])
    left = torch.nn.functional.normalize(shoulders - shoulders[:, 1:2] * up, dim=-1)
    forward = torch.linalg.cross(left, up.expand_as(left), dim=-1)
    lean = torch.atan2((head * forward).sum(-1), head[:, 1])
    upright = trunk[:, 1] > 0.9
    if not upright.any():
        return head
    nod = _NOD_REMOVED * (level - lean[upright].median())
    axis = torch.nn.functional.normalize(shoulders, dim=-1)
    return (axis_angle_to_rotmat(nod * axis) @ head[:, :, None])[:, :, 0]


def _standing(ankles: Tensor, fps: float) -> Tensor:
    """Confidence that a foot stands: its ankle is low, for this clip, and slow."""
    floor = ankles[..., 1].flatten().quantile(0.03)
    speed = torch.gradient(ankles, dim=0)[0].norm(dim=-1) * fps
    low = torch.sigmoid((0.05 - (ankles[..., 1] - floor)) / 0.015)
    return low * torch.sigmoid((0.5 - speed) / 0.1)
