"""From the pixels of any picture to the units of a network, and back."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from hrtk.body_models.skeletons import joint_names

# What people look like in training pictures, whose width is two units: means over the training split of MocapLifting,
# whose cameras stand where those of Human3.6M stood. A metre across the view is 2.292 / 5.4 m units.
UNITS_PER_METRE = 0.425
CENTRE = (0.0, -0.052)  # of the trunk
# Metres by which a joint is below the middle of hips and shoulders.
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
# Metres between joints across the view, and how much a pair counts: the trunk is hardly ever seen from its end, so
# that its length alone tells the scale to 2 %; all pairs alike would tell it to 5 %.
LENGTHS = {
    ('shoulder', 'hip'): (0.469, 10.0),
    ('hip', 'knee'): (0.356, 1.0),
    ('knee', 'ankle'): (0.391, 1.0),
    ('shoulder', 'elbow'): (0.234, 1.0),
    ('elbow', 'wrist'): (0.182, 1.0),
}
TRUNK = ('hip', 'shoulder')


@dataclasses.dataclass(frozen=True)
class Placement:
    """From pixels to a network's units, for each of W windows: ``(xy - centre) / unit``.

    Attributes:
        centre: (W, 2) px, what becomes the origin.
        unit: (W,) px per unit, half the width of the picture; NaN where nothing is known.
    """

    centre: Tensor
    unit: Tensor

    def to_network(self, xy: Tensor) -> Tensor:
        """(W, F, J, 2) px -> units."""
        return (xy - self.centre[:, None, None]) / self.unit[:, None, None, None]

    def to_pixels(self, xy: Tensor) -> Tensor:
        """(W, F, J, 2) units -> px."""
        return xy * self.unit[:, None, None, None] + self.centre[:, None, None]

    def __getitem__(self, rows: Tensor) -> Placement:
        return Placement(self.centre[rows], self.unit[rows])


def place_picture(width: int, height: int, windows: Tensor) -> Placement:
    """As networks are trained: the picture's width is [-1, 1], its middle the origin."""
    centre = torch.tensor([width / 2, height / 2], device=windows.device)
    return Placement(centre.expand(len(windows), 2), (centre[:1]).expand(len(windows)))


def place_person(pose: Tensor, seen: Tensor, windows: Tensor, skeleton: str) -> Placement:
    """Puts the person of every window where people are in training: same size, trunk in the same place.

    Both come from all joints seen in the window, a mean that trunk joints rule, so that hidden limbs move neither.
    The scale is that of the window and, counting as much as one frame, of the whole sequence.

    Args:
        pose: (N, J, 2) px of all frames.
        seen: (N, J) bool.
        windows: (W, F) frames within the sequence.
        skeleton: of the joints.

    Returns:
        The placement; units are NaN where a window shows nothing, or nothing in the sequence shows a size.
    """
    names = [
        name.removesuffix('_mocap').removeprefix('left_').removeprefix('right_')
        for name in joint_names(skeleton)
    ]
    sides = [name.partition('_')[0] for name in joint_names(skeleton)]
    bones = [
        (a, b, *LENGTHS[names[a], names[b]])
        for a in range(len(names))
        for b in range(len(names))
        if sides[a] == sides[b] and (names[a], names[b]) in LENGTHS
    ]
    start, end = (torch.tensor([bone[k] for bone in bones], device=pose.device) for k in (0, 1))
    metres, counts = (pose.new_tensor([bone[k] for bone in bones]) for k in (2, 3))
    both = (seen[:, start] & seen[:, end]) * counts
    lengths = (torch.linalg.vector_norm(pose[:, start] - pose[:, end], dim=-1) * both).sum(1)
    expected = (metres * both).sum(1)
    prior = (metres * counts).sum()
    overall = lengths.sum() / expected.sum()  # NaN if no pair was ever seen
    scale = (lengths[windows].sum(1) + prior * overall) / (expected[windows].sum(1) + prior)

    weights = seen * pose.new_tensor([10.0 if name in TRUNK else 1.0 for name in names])
    below = pose.new_tensor([BELOW[name] for name in names])
    mass = weights.sum(1)[windows].sum(1)
    middle = (weights[..., None] * pose).sum(1)[windows].sum(1) / mass[:, None]
    drop = (weights * below).sum(1)[windows].sum(1) / mass
    unit = torch.where(scale > 0, scale, torch.nan) / UNITS_PER_METRE
    trunk = torch.stack([middle[:, 0], middle[:, 1] - scale * drop], 1)
    return Placement(
        trunk - unit[:, None] * pose.new_tensor(CENTRE), torch.where(mass > 0, unit, torch.nan)
    )
