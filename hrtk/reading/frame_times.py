"""The times of a video's frames: whether they are even, and which rates describe them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

import numpy as np

# Of the mean interval. Containers round times to milliseconds, 3 % of the interval at 30 frames per second.
UNEVEN = 0.1
SAME_RATE = 0.01  # a header that is farther from the mean rate than this share is wrong
FAST_SHARE = 0.1  # of the intervals: shorter ones do not set the rate of a resampled motion


def seconds_from_first(times: Sequence[float]) -> Optional[np.ndarray]:
    """The time of every frame after the first one.

    Args:
        times: N time stamps in the order of the frames, seconds.

    Returns:
        (N,) float64 seconds, or None if the stamps are not finite or do not rise: such a file has no usable times.
    """
    values = np.array(times, np.float64)
    if len(values) == 0 or not np.isfinite(values).all() or (np.diff(values) <= 0).any():
        return None
    return values - values[0]


def is_even(times: np.ndarray) -> bool:
    """Whether no frame is farther than a tenth of the mean interval from its place at an even rate."""
    if len(times) < 3:
        return True
    even = np.linspace(times[0], times[-1], len(times))
    interval = (times[-1] - times[0]) / (len(times) - 1)
    return bool(np.abs(times - even).max() <= UNEVEN * interval)


def mean_rate(times: np.ndarray, claimed: float) -> float:
    """Frames per second over the whole video.

    Args:
        times: (N,) rising seconds.
        claimed: the rate of the header, which is exact where it agrees with the times.
    """
    if len(times) < 2:
        return claimed
    mean = (len(times) - 1) / float(times[-1] - times[0])
    # Of few frames the rounded times say less than the header.
    if is_even(times) and abs(mean - claimed) <= max(SAME_RATE, UNEVEN / len(times)) * claimed:
        return claimed
    return mean


def playing_rate(times: np.ndarray) -> float:
    """An even rate, frames per second, that loses little of uneven frames.

    That of the intervals about the median, or if a tenth of all is much shorter, about those. A mean of them, because
    containers round times to milliseconds.

    Args:
        times: (N,) rising seconds, N > 1.
    """
    intervals = np.diff(times)
    usual = float(np.median(intervals))
    fast = float(np.quantile(intervals, FAST_SHARE))
    if fast < usual * (1 - 2 * UNEVEN):
        usual = fast
    alike = intervals[np.abs(intervals - usual) <= 2 * UNEVEN * usual]
    return 1 / float(alike.mean())
