"""A motion at other times: for formats that have one rate, and for programs that read a whole number of frames."""

from __future__ import annotations

import dataclasses
import functools
import logging

import numpy as np
import torch
from torch import Tensor

from hrtk.body_models import BodyModel
from hrtk.geometry.rotation import axis_angle_to_rotmat, rotmat_to_axis_angle
from hrtk.reading.frame_times import is_even, playing_rate
from hrtk.visualization.export.motion import Motion, rest_joints

_log = logging.getLogger(__name__)
SAME = 1e-3  # frames per second


def even(motion: Motion, body: BodyModel) -> Motion:
    """The motion at one frame rate, for formats without times; the same one if its frames are evenly spaced.

    The rate is :func:`hrtk.reading.frame_times.playing_rate`. The log says that the motion was resampled.
    """
    if not _varies(motion):
        return motion
    resampled = at_rate(motion, body, playing_rate(motion.times))
    _say(motion.name, len(motion), len(resampled), resampled.fps)
    return resampled


def at_whole_rate(motion: Motion, body: BodyModel) -> Motion:
    """The motion at a whole number of frames per second: 29.97 becomes 30, and no second gets longer or shorter."""
    varies = _varies(motion)
    fps = motion.fps
    if varies:
        fps = playing_rate(motion.times)
    rate = float(max(1, round(fps)))
    if not varies and abs(fps - rate) < SAME:
        return dataclasses.replace(motion, fps=rate, given_times=None)
    resampled = at_rate(motion, body, rate)
    if varies:
        _say(motion.name, len(motion), len(resampled), rate)
    return resampled


def _varies(motion: Motion) -> bool:
    return motion.given_times is not None and len(motion) > 1 and not is_even(motion.times)


@functools.lru_cache(maxsize=1024)  # once for all formats of one rate
def _say(name: str, frames: int, count: int, rate: float) -> None:
    _log.warning(
        '%s: the frame rate of its video varies; formats of an even rate get %d frames at %.2f per second instead of '
        '%d',
        name,
        count,
        rate,
        frames,
    )


def at_rate(motion: Motion, body: BodyModel, fps: float) -> Motion:
    """The motion at even times, from its first frame to its last.

    Rotations go along geodesics between neighbouring frames; shape and pelvis go along straight lines. The label of a
    new frame is that of the nearest old one.

    Args:
        motion: in any world.
        body: the body model of the motion.
        fps: frames per second.
    """
    times = motion.times
    count = int(np.floor(times[-1] * fps + 1e-6)) + 1
    wanted = (np.arange(count) / fps).clip(max=times[-1])
    first = np.searchsorted(times, wanted, side='right') - 1
    first = first.clip(0, max(len(times) - 2, 0))
    second = np.minimum(first + 1, len(times) - 1)
    gap = times[second] - times[first]
    share = torch.from_numpy((wanted - times[first]) / np.where(gap > 0, gap, 1))
    betas = _between(motion.betas, first, second, share)
    pelvis = rest_joints(body, motion.betas)[:, 0] + motion.translation
    pelvis = _between(pelvis, first, second, share)
    start = motion.rotmat[first]
    turn = rotmat_to_axis_angle(start.mT @ motion.rotmat[second])
    rotmat = start @ axis_angle_to_rotmat(share[:, None, None] * turn)
    nearest = np.where(share.numpy() < 0.5, first, second)
    return dataclasses.replace(
        motion,
        rotmat=rotmat,
        betas=betas,
        translation=pelvis - rest_joints(body, betas)[:, 0],
        frame_ids=tuple(motion.frame_ids[frame] for frame in nearest),
        fps=fps,
        given_times=None,
    )


def _between(values: Tensor, first: np.ndarray, second: np.ndarray, share: Tensor) -> Tensor:
    return torch.lerp(values[first], values[second], share[:, None].to(values))
