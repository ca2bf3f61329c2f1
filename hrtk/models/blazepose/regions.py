"""Where to look for a person: regions of interest, and guards against wrong ones."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hrtk.geometry.regions import wrap_angle
from hrtk.models.blazepose.people import People

SCALE = 1.25  # side of a region over the diameter of the circle around the body, as in MediaPipe
LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP = 11, 12, 23, 24
LARGEST_LEAN = math.radians(45)  # between a region's vertical and the trunk of the person in it
# Limits of a change of region from one look to the next, generous for clips of ten frames per second.
LARGEST_SHIFT = 0.4  # of the centre, in sides
LARGEST_RATIO = 1.8  # of the sides
LARGEST_TURN = math.radians(75)
SAME_PERSON = 0.05  # mean distance of the landmarks of two people, in sides


def regions_of_axes(axes: Tensor, scale: float = SCALE) -> Tensor:
    """Squares about the hips whose vertical points from the hips to the point on the circle around the body.

    Args:
        axes: (P, 2, 2) px: the middle of the hips, and the point on the circle.
        scale: side over the diameter of the circle.

    Returns:
        (P, 4) ``[cx, cy, side, angle]``.
    """
    hips, reach = axes.unbind(1)
    up = reach - hips
    side = 2 * scale * up.norm(dim=1)
    return torch.cat([hips, side[:, None], _tilt(up)[:, None]], dim=1)


def next_regions(people: People) -> Tensor:
    """The regions in which the landmark network should look for the same people next.

    The axis may point away from the body although the landmarks are right and the flag is high. Where it is more than
    45 degrees off the line from the hips to the shoulders, that line gives the angle.

    Returns:
        (P, 4).
    """
    regions = regions_of_axes(people.axis)
    xy = people.landmarks[..., :2]
    hips = (xy[:, LEFT_HIP] + xy[:, RIGHT_HIP]) / 2
    shoulders = (xy[:, LEFT_SHOULDER] + xy[:, RIGHT_SHOULDER]) / 2
    trunk = _tilt(shoulders - hips)
    leaning = wrap_angle(regions[:, 3] - trunk).abs() > LARGEST_LEAN
    angle = torch.where(leaning, trunk, regions[:, 3])
    return torch.cat([regions[:, :3], angle[:, None]], dim=1)


def plausible(before: Tensor, after: Tensor) -> Tensor:
    """Whether regions may be those of the same people a look later.

    Args:
        before: (P, 4) regions.
        after: (P, 4) regions of the next look.

    Returns:
        (P,) bool: finite, the centre moved by less than 0.4 sides, the side changed by less than a factor of 1.8, and
        the angle by less than 75 degrees.
    """
    shift = (after[:, :2] - before[:, :2]).norm(dim=1) / before[:, 2]
    ratio = (after[:, 2] / before[:, 2]).log().abs()
    angle = wrap_angle(after[:, 3] - before[:, 3]).abs()
    small = (shift < LARGEST_SHIFT) & (ratio < math.log(LARGEST_RATIO)) & (angle < LARGEST_TURN)
    return small & after.isfinite().all(1)


def distinct(people: People) -> Tensor:
    """Finds people that were found twice.

    Returns:
        (P,) bool, False for the one with the lower flag of two people whose landmarks are at the same places.
    """
    xy = people.landmarks[..., :2]
    distance = (xy[:, None] - xy[None]).norm(dim=-1).mean(-1)
    same = distance < SAME_PERSON * people.region[:, 2]
    kept = torch.zeros(len(people), dtype=torch.bool)
    for index in people.flag.argsort(descending=True).tolist():
        kept[index] = not bool((same[index] & kept).any())
    return kept


def _tilt(up: Tensor) -> Tensor:
    """Angles by which vectors (P, 2) px are turned clockwise against straight up."""
    return wrap_angle(torch.atan2(up[:, 1], up[:, 0]) + math.pi / 2)
