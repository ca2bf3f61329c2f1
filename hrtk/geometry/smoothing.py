"""Smoothing of motion over time: positions, and rotations on their group SO(3); frames may have uneven times.

Every frame is replaced by the value of a quadratic polynomial that is fitted in least squares to the frames around it.
For evenly spaced frames this is the filter of Savitzky and Golay (Analytical Chemistry, 1964); for other times it is
its generalisation by Gorry (Analytical Chemistry, 1991). Unlike a mean it keeps the height of peaks. At both ends the
polynomial of the first and of the last window is continued.

The filter looks ahead, so it is meant for stored motion. :mod:`hrtk.geometry.one_euro` filters a live stream.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch
from torch import Tensor

from hrtk.geometry.rotation import (
    axis_angle_to_rotmat,
    rotmat_to_axis_angle,
    rotmat_to_quaternion,
)

ORDER = 2  # of the polynomials
ROUNDS = 3  # of the fit on SO(3); each one squares the relative error of the one before
CHUNK = 256  # frames


@dataclasses.dataclass(frozen=True)
class TimeFilter:
    """A linear filter of F frames: frame t becomes the sum of ``weights[t] * values[frames[t]]``.

    Attributes:
        frames: (F, W) int64 indices.
        weights: (F, W) float64; every row sums to one.
        window: the largest number of frames that are weighed together; 1 for a filter that changes nothing.
    """

    frames: Tensor
    weights: Tensor
    window: int


def time_filter(times: np.ndarray, seconds: float) -> TimeFilter:
    """The filter for frames at given times.

    A window reaches half of its length to both sides of a frame, rounded to whole frames at the local frame rate, and
    is not longer than the motion. Frames whose windows would hold too few frames for a polynomial stay as they are.

    Args:
        times: (F,) seconds, rising.
        seconds: length of the window; 0 changes nothing.
    """
    times = np.asarray(times, dtype=np.float64)
    count = len(times)
    steps = np.ones(1)
    if count > 1:
        steps = np.gradient(times)
    halves = np.round(np.round(seconds / (2 * steps), 6))  # 0.3 / 0.2 is not quite 1.5
    halves = np.minimum(halves, (count - 1) // 2)
    reach = halves * steps
    centres = np.clip(times, times[0] + reach, np.maximum(times[-1] - reach, times[0] + reach))
    slack = 0.49 * steps
    first = np.searchsorted(times, centres - reach - slack)
    stop = np.searchsorted(times, centres + reach + slack)
    few = (stop - first <= ORDER + 1) | (halves < 1)
    own = np.arange(count)
    first = np.where(few, own, first)
    stop = np.where(few, own + 1, stop)
    widest = int((stop - first).max())
    frames = np.minimum(first[:, None] + np.arange(widest), count - 1)
    weights = np.zeros((count, widest))
    for frame in range(count):
        length = int(stop[frame] - first[frame])
        inside = times[first[frame] : stop[frame]] - times[frame]
        weights[frame, :length] = _value_weights(inside / steps[frame])
    return TimeFilter(torch.from_numpy(frames), torch.from_numpy(weights), widest)


def smooth_positions(values: Tensor, over_time: TimeFilter) -> Tensor:
    """Filters (F, ...) values over time.

    Args:
        values: of F frames.
        over_time: of the same frames.
    """
    if over_time.window == 1:
        return values
    around = values[over_time.frames].flatten(2).to(over_time.weights)
    return torch.einsum('fw,fwc->fc', over_time.weights, around).view(values.shape)


def smooth_rotations(rotmat: Tensor, over_time: TimeFilter) -> Tensor:
    """Filters rotations (F, ..., 3, 3) over time, on SO(3).

    The polynomial of a frame is fitted in the tangent space at the result itself: the weighted sum of the logarithms of
    all rotations of the window, relative to the result, is zero. Newton's iteration starts at the frame's own rotation.
    Turning all rotations, from the left or from the right, turns the result in the same way, so neither the axes of the
    camera nor the rest pose matter.

    Args:
        rotmat: of F frames. Within a window they differ by less than half a turn.
        over_time: of the same frames.
    """
    if over_time.window == 1:
        return rotmat
    flat = rotmat.reshape(len(rotmat), -1, 3, 3).to(over_time.weights)
    smooth = []
    for start in range(0, len(flat), CHUNK):
        rows = slice(start, start + CHUNK)
        around = flat[over_time.frames[rows]]  # (f, W, N, 3, 3)
        weights = over_time.weights[rows]
        middle = flat[rows]
        for _ in range(ROUNDS):
            logarithms = rotmat_to_axis_angle(middle[:, None].mT @ around)
            step = torch.einsum('fw,fwnc->fnc', weights, logarithms)
            middle = middle @ axis_angle_to_rotmat(step)
        smooth.append(middle)
    return torch.cat(smooth).view(rotmat.shape)


def unbroken(rotmat: Tensor, most_degrees: float) -> list[slice]:
    """The pieces of a motion between jumps, in order.

    Args:
        rotmat: (F, 3, 3) rotation of the whole body.
        most_degrees: a larger turn from one frame to the next is a jump.
    """
    turns = rotmat[:-1].mT @ rotmat[1:]
    cosine = (turns.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    jumps = (cosine < math.cos(math.radians(most_degrees))).nonzero()[:, 0] + 1
    edges = [0, *jumps.tolist(), len(rotmat)]
    return [slice(start, stop) for start, stop in zip(edges[:-1], edges[1:])]


def continuous_quaternions(rotmat: Tensor) -> Tensor:
    """Unit quaternions (F, ..., 4), w x y z, of rotations (F, ..., 3, 3), every frame in the hemisphere of the last."""
    quaternions = rotmat_to_quaternion(rotmat)
    flips = (quaternions[1:] * quaternions[:-1]).sum(-1, keepdim=True) < 0
    signs = (1 - 2 * flips.to(quaternions)).cumprod(0)
    return torch.cat([quaternions[:1], signs * quaternions[1:]])


def running_percentile(values: np.ndarray, percentile: float, window: int) -> np.ndarray:
    """A percentile over the frames around every frame; the first and the last value extend beyond the ends.

    The same as ``scipy.ndimage.percentile_filter(values, percentile, size=window, mode='nearest')`` of SciPy 1.17. That
    of SciPy 1.15, the last one for Python 3.10, returns zeros where the window is more than twice as long as the clip.

    Args:
        values: (F,) without NaN.
        percentile: of 0 to 100; 50 is the median of an odd window.
        window: number of frames, at least 1.
    """
    before = window // 2
    padded = np.pad(values, (before, window - before - 1), mode='edge')
    rank = min(int(window * percentile / 100), window - 1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, window)
    return np.asarray(np.partition(windows, rank, axis=1)[:, rank])


def jitter(points: Tensor) -> float:
    """The mean length of the second differences of points (F, N, 3) over time, per frame squared; 0 for two frames."""
    if len(points) < 3:
        return 0.0
    return float(points.diff(n=2, dim=0).norm(dim=-1).mean())


def _value_weights(offsets: np.ndarray) -> np.ndarray:
    """The weights (W,) that give the value at 0 of the polynomial fitted to W values at some offsets."""
    if len(offsets) == 1:
        return np.ones(1)
    powers = np.vander(offsets, ORDER + 1, increasing=True)
    return np.linalg.pinv(powers)[0]
