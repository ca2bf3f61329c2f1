"""Where to look for a person: regions of interest, and guards against wrong ones."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hrtk.body_models.skeletons import flip_map
from hrtk.geometry.regions import wrap_angle
from hrtk.models.blazepose.people import SKELETON, People

SCALE = 1.25  # side of a region over the diameter of the circle around the body, as in MediaPipe
LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP = 11, 12, 23, 24
TORSO = (LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP)
LARGEST_LEAN = math.radians(45)  # between a region's vertical and the trunk of the person in it
SHORTEST_TRUNK = 0.08  # in sides; the direction of a shorter one, seen from its end, says nothing
# Limits of a change of region between looks a tenth of a second apart or farther.
LARGEST_SHIFT = 0.4  # of the centre, in sides
LARGEST_RATIO = 1.8  # of the sides
LARGEST_TURN = math.radians(75)
LONG = 0.1  # s, for which these limits hold
NOISE = 0.25  # share of these limits that holds however near in time two looks are
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
    45 degrees off the line from the hips to the shoulders, that line gives the angle, unless it is short.

    Returns:
        (P, 4).
    """
    regions = regions_of_axes(people.axis)
    xy = people.landmarks[..., :2]
    hips = (xy[:, LEFT_HIP] + xy[:, RIGHT_HIP]) / 2
    shoulders = (xy[:, LEFT_SHOULDER] + xy[:, RIGHT_SHOULDER]) / 2
    trunk = _tilt(shoulders - hips)
    long = (shoulders - hips).norm(dim=1) > SHORTEST_TRUNK * regions[:, 2]
    leaning = long & (wrap_angle(regions[:, 3] - trunk).abs() > LARGEST_LEAN)
    angle = torch.where(leaning, trunk, regions[:, 3])
    return torch.cat([regions[:, :3], angle[:, None]], dim=1)


def plausible(before: Tensor, after: Tensor, seconds: float = LONG, turn: bool = True) -> Tensor:
    """Whether regions may be those of the same people a look later.

    Args:
        before: (P, 4) regions.
        after: (P, 4) regions of the next look.
        seconds: between the looks; below 0.1 s the limits become smaller, down to a quarter.
        turn: whether the angle counts.

    Returns:
        (P,) bool: finite, the centre moved by less than 0.4 sides, the side changed by less than a factor of 1.8, and
        the angle by less than 75 degrees.
    """
    share = limit_share(seconds)
    shift = (after[:, :2] - before[:, :2]).norm(dim=1) / before[:, 2]
    ratio = (after[:, 2] / before[:, 2]).log().abs()
    small = (shift < share * LARGEST_SHIFT) & (ratio < share * math.log(LARGEST_RATIO))
    if turn:
        small &= wrap_angle(after[:, 3] - before[:, 3]).abs() < share * LARGEST_TURN
    return small & after.isfinite().all(1)


def limit_turn(before: Tensor, after: Tensor, seconds: float) -> Tensor:
    """Regions (P, 4) whose angle differs from that of ``before`` by no more than a body turns in so many seconds.

    Single wrong angles come with right landmarks and a high flag: the landmarks are kept, the angle is not.
    """
    largest = limit_share(seconds) * LARGEST_TURN
    change = wrap_angle(after[:, 3] - before[:, 3]).clamp(-largest, largest)
    angle = wrap_angle(before[:, 3] + change)
    return torch.cat([after[:, :3], angle[:, None]], dim=1)


def limit_share(seconds: float) -> float:
    """The share of the limits of a change that holds between looks so many seconds apart, in [0.25, 1]."""
    return NOISE + (1 - NOISE) * min(seconds / LONG, 1.0)


def distinct(people: People) -> Tensor:
    """Finds people that were found twice.

    Returns:
        (P,) bool, False for the one with the lower flag of two people whose landmarks are at the same places, apart
        from an exchange of left and right.
    """
    xy = people.landmarks[..., :2]
    exchanged = xy[:, list(flip_map(SKELETON))]
    distance = (xy[:, None] - xy[None]).norm(dim=-1).mean(-1)
    distance = torch.minimum(distance, (xy[:, None] - exchanged[None]).norm(dim=-1).mean(-1))
    same = distance < SAME_PERSON * people.region[:, 2]
    kept = torch.zeros(len(people), dtype=torch.bool)
    for index in people.flag.argsort(descending=True).tolist():
        kept[index] = not bool((same[index] & kept).any())
    return kept


def within(new: People, known: People) -> Tensor:
    """Finds people who may be a part of somebody else, e.g. the legs of a person whom a tile cuts.

    Args:
        new: P people.
        known: Q people.

    Returns:
        (P,) bool, True where the middle of the torso lies in the box of the landmarks of a known person.
    """
    middle = new.landmarks[:, TORSO, :2].mean(1)[:, None]
    xy = known.landmarks[..., :2]
    inside = (middle > xy.amin(1)) & (middle < xy.amax(1))
    return inside.all(-1).any(1)


def _tilt(up: Tensor) -> Tensor:
    """Angles by which vectors (P, 2) px are turned clockwise against straight up."""
    return wrap_angle(torch.atan2(up[:, 1], up[:, 0]) + math.pi / 2)
