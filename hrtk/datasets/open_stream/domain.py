"""Domains of the stream: the ranges that a scene is drawn from, and named shifts that replace some of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from hrtk.errors import InputError, suggestion


@dataclasses.dataclass(frozen=True)
class Domain:
    """The ranges that a scene is drawn from; the defaults are the studio.

    Attributes:
        split: of the motion clips, ``'train'`` or ``'test'``.
        motion: factor on the joint angles' deviation from the mean pose of the motion.
        upright: share of people whose knees are straightened by 30 to 100 percent of their bend.
        distance: camera to person, metres; the focal length keeps the person's size in the image.
        tilt: camera pitch, degrees, positive looks down.
        roll: standard deviation of the camera's roll, degrees.
        sway: amplitude of the hand-held camera's shake, degrees.
        shape: standard deviation of the betas.
        plain: share of scenes with a plain wall as background.
        texture: range of the contrast of all other backgrounds.
        patterns: whether clothes have stripes, checks and blots and any colour.
        light: standard deviation of the light's horizontal direction; 0.4 is frontal.
        ambient: range of the share of ambient light.
        exposure: range of the image's gain.
        tint: range of the per-channel gain around 1.
        blur: largest Gaussian blur, px.
        noise: largest sensor noise, share of white.
        shrink: largest factor by which the image loses resolution.
        occluders: share of videos with an occluder in front of the person.
    """

    split: str = 'train'
    motion: float = 1.0
    upright: float = 0.5
    distance: tuple[float, float] = (5.0, 7.0)
    tilt: tuple[float, float] = (-5.0, 10.0)
    roll: float = 3.0
    sway: float = 0.5
    shape: float = 0.8
    plain: float = 0.4
    texture: tuple[float, float] = (0.05, 0.35)
    patterns: bool = False
    light: float = 0.4
    ambient: tuple[float, float] = (0.5, 0.7)
    exposure: tuple[float, float] = (0.95, 1.05)
    tint: float = 0.0
    blur: float = 0.0
    noise: float = 0.01
    shrink: float = 1.0
    occluders: float = 0.0


SHIFTS: dict[str, dict] = {
    'motion': dict(split='test', motion=1.1),
    'camera': dict(distance=(2.5, 4.5), tilt=(-8.0, 30.0), roll=9.0, sway=3.0),
    'shape': dict(shape=1.3),
    'background': dict(plain=0.0, texture=(0.35, 0.85)),
    'clothing': dict(patterns=True),
    'light': dict(light=1.2, ambient=(0.25, 0.6), exposure=(0.5, 1.2), tint=0.15),
    'blur': dict(blur=2.0, noise=0.05),
    'low_resolution': dict(shrink=3.0),
    'occluders': dict(occluders=0.6),
}

DOMAINS: dict[str, dict] = {
    'plain': dict(plain=1.0),
    'studio': {},
    'wild': {name: value for shift in SHIFTS.values() for name, value in shift.items()},
}


def make_domain(name: str = 'studio', shifts: Iterable[str] | None = None) -> Domain:
    """The domain of a name, or the studio with only the given shifts.

    Raises:
        InputError: an unknown domain or shift.
    """
    if shifts is None:
        if name not in DOMAINS:
            raise InputError(
                f'OpenStream: there is no domain {name!r}; use one of {", ".join(DOMAINS)}, or name '
                f'`shifts`'
            )
        return dataclasses.replace(Domain(), **DOMAINS[name])
    fields: dict = {}
    for shift in shifts:
        if shift not in SHIFTS:
            raise InputError(
                f'OpenStream: there is no shift {shift!r}. {suggestion(shift, SHIFTS)}'
            )
        fields.update(SHIFTS[shift])
    return dataclasses.replace(Domain(), **fields)
