"""Intervals of mean errors and of paired differences, by resampling whole sequences within seeds.

The frames of a video are no independent samples: neighbouring frames show the same person in nearly the same pose. The
unit that is drawn is therefore the sequence. A seed is a stratum: sequences are drawn within each seed, since every
seed contributes the same number of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Optional

import numpy as np

RESAMPLES = 10_000
LEVEL = 0.95


class Stratum(NamedTuple):
    """The sequences of one seed.

    Attributes:
        values: (N,) mean of every sequence, or difference of two means.
        weights: (N,) its number of scored frames.
    """

    values: np.ndarray
    weights: np.ndarray

    def mean(self) -> float:
        """Mean over all frames of the seed."""
        return float(np.average(self.values, weights=self.weights))


class Estimate(NamedTuple):
    """A mean with its interval.

    Attributes:
        mean: over the seeds, of the means over the frames of each.
        low: lower end of the interval; None without one.
        high: upper end.
    """

    mean: float
    low: Optional[float] = None
    high: Optional[float] = None

    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of zero; False without an interval."""
        if self.low is None or self.high is None:
            return False
        return self.low > 0 or self.high < 0


def resampled_mean(
    strata: Sequence[Stratum], resample: bool = True, resamples: int = RESAMPLES
) -> Estimate:
    """The mean over seeds, with the percentile interval of a stratified bootstrap over sequences.

    Of the N sequences of a seed N - 1 are drawn with replacement. With N the variance of a mean would come out too
    small by the factor (N - 1) / N, a quarter for four sequences; with N - 1 it is unbiased (Rao and Wu, Resampling
    inference with complex survey data, JASA 1988, Section 2.1, with m = n - 1). The draws are the same in every call.

    Args:
        strata: the seeds, each with at least one sequence.
        resample: False for data whose sequences are not independent; the result has no interval then.
        resamples: number of draws.

    Returns:
        The mean; without an interval if any seed has a single sequence.
    """
    mean = float(np.mean([stratum.mean() for stratum in strata]))
    if not resample or min(len(stratum.values) for stratum in strata) < 2:
        return Estimate(mean)
    rng = np.random.default_rng(0)
    means = np.zeros(resamples)
    for stratum in strata:
        count = len(stratum.values)
        drawn = rng.integers(count, size=(resamples, count - 1))
        weights = stratum.weights[drawn]
        means += (weights * stratum.values[drawn]).sum(1) / weights.sum(1)
    tail = 50 * (1 - LEVEL)
    low, high = np.percentile(means / len(strata), [tail, 100 - tail])
    return Estimate(mean, float(low), float(high))
