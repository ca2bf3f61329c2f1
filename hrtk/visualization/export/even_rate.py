"""Motions of a varying frame rate at an even one, for file formats that know no times."""

from __future__ import annotations

import dataclasses
import functools
import logging
import math

import numpy as np
import torch
from scipy.spatial.transform import Rotation, Slerp
from torch import Tensor

from hrtk.reading.frame_times import is_even, playing_rate
from hrtk.visualization.export.motion import Motion

_log = logging.getLogger(__name__)
ROUNDING = 1e-6  # of an interval


def at_even_rate(motion: Motion) -> Motion:
    """Returns the motion at an even rate; the same one if its frames are evenly spaced already.

    The rate is :func:`hrtk.reading.frame_times.playing_rate`. Rotations are interpolated on the shortest arc (Shoemake,
    Animating rotation with quaternion curves, 1985), translations and betas linearly. A frame has the label of the
    nearest one of the video. The log says that the motion was resampled.
    """
    if motion.times is None or len(motion) < 2:
        return motion
    times = motion.seconds()
    if is_even(times):
        return motion
    rate = playing_rate(times)
    count = math.ceil(times[-1] * rate - ROUNDING) + 1
    wanted = np.minimum(np.arange(count) / rate, times[-1])
    nearest = np.abs(wanted[:, None] - times).argmin(1)
    _say(motion.name, len(motion), count, rate)
    return dataclasses.replace(
        motion,
        rotmat=_slerp(motion.rotmat, times, wanted),
        betas=_linear(motion.betas, times, wanted),
        translation=_linear(motion.translation, times, wanted),
        frame_ids=tuple(motion.frame_ids[frame] for frame in nearest),
        fps=rate,
        times=None,
    )


def _slerp(rotmat: Tensor, times: np.ndarray, wanted: np.ndarray) -> Tensor:
    """Rotations (F, J, 3, 3) at other times."""
    joints = []
    for joint in rotmat.numpy().swapaxes(0, 1):
        joints.append(Slerp(times, Rotation.from_matrix(joint))(wanted).as_matrix())
    return torch.from_numpy(np.stack(joints, axis=1))


def _linear(values: Tensor, times: np.ndarray, wanted: np.ndarray) -> Tensor:
    """Values (F, C) at other times."""
    columns = [np.interp(wanted, times, column) for column in values.numpy().T]
    return torch.from_numpy(np.stack(columns, axis=1))


@functools.lru_cache(maxsize=1024)  # once for all formats
def _say(name: str, frames: int, count: int, rate: float) -> None:
    _log.warning(
        '%s: the frame rate of its video varies; formats of an even rate (BVH, npz) get %d frames at %.2f per second '
        'instead of %d',
        name,
        count,
        rate,
        frames,
    )
