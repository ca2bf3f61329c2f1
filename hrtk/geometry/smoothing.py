"""Smoothing of motion over time: rotations on the sphere of unit quaternions, positions as they are.

Both use the filter of Savitzky and Golay (Analytical Chemistry, 1964) in scipy's implementation: a polynomial is fitted
to every window, and its value in the middle replaces the frame. Unlike a mean it keeps the height of peaks. At both
ends the polynomial of the first and of the last window is continued.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from hrtk.geometry.rotation import quaternion_to_rotmat, rotmat_to_quaternion

ORDER = 2  # of the polynomials


def window_frames(seconds: float, fps: float, frames: int) -> int:
    """The odd number of frames of a window; 1, no smoothing, where it would be too short for the polynomials.

    Args:
        seconds: length of the window.
        fps: frames per second.
        frames: number of frames of the motion, which the window does not exceed.
    """
    longest = frames - 1 + frames % 2
    window = min(2 * round(seconds * fps / 2) + 1, longest)
    return window if window > ORDER + 1 else 1


def smooth_positions(values: Tensor, window: int) -> Tensor:
    """Filters (F, ...) values over time.

    Args:
        values: of F consecutive frames.
        window: odd number of frames, at most F, see :func:`window_frames`.
    """
    if window == 1:
        return values
    return torch.from_numpy(_filtered(values.numpy(), window))


def smooth_rotations(rotmat: Tensor, window: int) -> Tensor:
    """Filters rotations (F, ..., 3, 3) over time.

    Quaternions of neighbouring frames are brought into one hemisphere, filtered as vectors and normalised. Turning all
    rotations, from the left or from the right, turns the result in the same way, so neither the axes of the camera nor
    the rest pose matter.

    Args:
        rotmat: of F consecutive frames.
        window: odd number of frames, at most F, see :func:`window_frames`.
    """
    if window == 1:
        return rotmat
    quaternions = continuous_quaternions(rotmat)
    filtered = torch.from_numpy(_filtered(quaternions.numpy(), window))
    return quaternion_to_rotmat(filtered)


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


def jitter(points: Tensor) -> float:
    """The mean length of the second differences of points (F, N, 3) over time, per frame squared; 0 for two frames."""
    if len(points) < 3:
        return 0.0
    return float(points.diff(n=2, dim=0).norm(dim=-1).mean())


def _filtered(values: np.ndarray, window: int) -> np.ndarray:
    # scipy.signal imports scipy.stats, a third of a second.
    from scipy.signal import savgol_filter

    return savgol_filter(values, window, ORDER, axis=0, mode='interp')
