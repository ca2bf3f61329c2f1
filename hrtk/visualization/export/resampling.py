"""A motion at other times: for formats that have one rate, and for programs that read a whole number of frames."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor

from hrtk.body_models import BodyModel
from hrtk.geometry.rotation import axis_angle_to_rotmat, rotmat_to_axis_angle
from hrtk.visualization.export.motion import Motion, rest_joints

SAME = 1e-3  # frames per second


def even(motion: Motion, body: BodyModel) -> Motion:
    """The motion at its frame rate, for formats without times: only uneven frames are resampled."""
    if motion.given_times is None:
        return motion
    return at_rate(motion, body, motion.fps)


def at_whole_rate(motion: Motion, body: BodyModel) -> Motion:
    """The motion at a whole number of frames per second: 29.97 becomes 30, and no second gets longer or shorter."""
    rate = max(1, round(motion.fps))
    if motion.given_times is None and abs(motion.fps - rate) < SAME:
        return dataclasses.replace(motion, fps=float(rate))
    return at_rate(motion, body, float(rate))


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
