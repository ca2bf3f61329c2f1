"""Conversion between the pixels of any image and the coordinates of a network."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from hrtk.body_models.skeletons import joint_names
from hrtk.geometry.constants import constant, indices

# The size and position of people in training images, whose width is two units: means over the training split of
# MocapLifting, whose cameras stand where those of Human3.6M stood. A metre across the view is 2.292 / 5.4 m units.
UNITS_PER_METRE = 0.425
CENTRE = (0.0, -0.052)  # of the trunk
# Metres from the centre of hips and shoulders down to a joint.
BELOW = {
    'pelvis': 0.231,
    'hip': 0.231,
    'knee': 0.550,
    'ankle': 0.902,
    'spine': 0.0,
    'neck': -0.285,
    'jaw': -0.380,
    'head': -0.491,
    'shoulder': -0.232,
    'elbow': -0.048,
    'wrist': -0.029,
}
# Metres between joints across the view, and the weight of a pair: the trunk hardly ever points at the camera, so that
# its length alone determines the scale to 2 %; equal weights would determine it to 5 %.
LENGTHS = {
    ('shoulder', 'hip'): (0.469, 10.0),
    ('hip', 'knee'): (0.356, 1.0),
    ('knee', 'ankle'): (0.391, 1.0),
    ('shoulder', 'elbow'): (0.234, 1.0),
    ('elbow', 'wrist'): (0.182, 1.0),
}
TRUNK = ('hip', 'shoulder')
TRUNK_WEIGHT = 10.0


@dataclasses.dataclass(frozen=True)
class Placement:
    """The map from pixels to a network's coordinates, for each of W windows: ``(xy - centre) / unit``.

    Attributes:
        centre: (W, 2) px, the origin.
        unit: (W,) px per unit, half the width of the image; NaN where it is unknown.
    """

    centre: Tensor
    unit: Tensor

    def to_network(self, xy: Tensor) -> Tensor:
        """(W, F, J, 2) px -> units."""
        return (xy - self.centre[:, None, None]) / self.unit[:, None, None, None]

    def to_pixels(self, xy: Tensor) -> Tensor:
        """(W, F, J, 2) units -> px."""
        return xy * self.unit[:, None, None, None] + self.centre[:, None, None]

    def __getitem__(self, windows: Tensor) -> Placement:
        return Placement(self.centre[windows], self.unit[windows])


@dataclasses.dataclass(frozen=True)
class _Bones:
    """The pairs of joints of :data:`LENGTHS` in a skeleton, ``start[i]`` to ``end[i]``."""

    start: list[int]
    end: list[int]
    metres: list[float]
    weights: list[float]


def place_image(width: int, height: int, windows: Tensor) -> Placement:
    """Places windows as networks are trained: the image's width is [-1, 1], its centre the origin."""
    centre = torch.tensor([width / 2, height / 2], device=windows.device)
    return Placement(centre.expand(len(windows), 2), centre[:1].expand(len(windows)))


def place_person(pose: Tensor, visible: Tensor, windows: Tensor, skeleton: str) -> Placement:
    """Places the person of every window as in training: at the same size, with the trunk at the same position.

    Both are computed from all joints that are visible in the window, as means that trunk joints dominate, so that
    hidden limbs change neither. The scale is that of the window and, with the weight of one frame, of the whole
    sequence.

    Args:
        pose: (N, J, 2) px of all frames.
        visible: (N, J) bool.
        windows: (W, F) frames within the sequence.
        skeleton: of the joints.

    Returns:
        The placement; units are NaN where a window has no visible joint, or no pair of joints in the sequence shows a
        size.
    """
    scale = _pixels_per_metre(pose, visible, windows, skeleton)
    names = [_without_side(name) for name in joint_names(skeleton)]
    joint_weights = [1.0] * len(names)
    for joint, name in enumerate(names):
        if name in TRUNK:
            joint_weights[joint] = TRUNK_WEIGHT
    weights = visible * constant(tuple(joint_weights), pose)
    below = constant(tuple(BELOW[name] for name in names), pose)
    mass = weights.sum(1)[windows].sum(1)
    mean = (weights[..., None] * pose).sum(1)[windows].sum(1) / mass[:, None]
    mean_below = (weights * below).sum(1)[windows].sum(1) / mass
    trunk = torch.stack([mean[:, 0], mean[:, 1] - scale * mean_below], 1)
    unit = torch.where(scale > 0, scale, torch.nan) / UNITS_PER_METRE
    centre = trunk - unit[:, None] * constant(CENTRE, pose)
    return Placement(centre, torch.where(mass > 0, unit, torch.nan))


def _pixels_per_metre(pose: Tensor, visible: Tensor, windows: Tensor, skeleton: str) -> Tensor:
    """Returns the (W,) scales of windows, NaN if no pair of joints is ever visible."""
    bones = _bones(skeleton)
    start = indices(tuple(bones.start), pose)
    end = indices(tuple(bones.end), pose)
    metres = constant(tuple(bones.metres), pose)
    bone_weights = constant(tuple(bones.weights), pose)
    weights = (visible[:, start] & visible[:, end]) * bone_weights
    pixels = torch.linalg.vector_norm(pose[:, start] - pose[:, end], dim=-1)
    lengths = (pixels * weights).sum(1)
    expected = (metres * weights).sum(1)
    prior = (metres * bone_weights).sum()
    overall = lengths.sum() / expected.sum()
    return (lengths[windows].sum(1) + prior * overall) / (expected[windows].sum(1) + prior)


def _bones(skeleton: str) -> _Bones:
    full_names = joint_names(skeleton)
    names = [_without_side(name) for name in full_names]
    sides = [name.partition('_')[0] for name in full_names]
    bones = _Bones([], [], [], [])
    for start, start_name in enumerate(names):
        for end, end_name in enumerate(names):
            if sides[start] == sides[end] and (start_name, end_name) in LENGTHS:
                metres, weight = LENGTHS[start_name, end_name]
                bones.start.append(start)
                bones.end.append(end)
                bones.metres.append(metres)
                bones.weights.append(weight)
    return bones


def _without_side(name: str) -> str:
    return name.removesuffix('_mocap').removeprefix('left_').removeprefix('right_')
