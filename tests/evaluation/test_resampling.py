"""Bootstrap intervals over sequences: the whole distribution written out, scipy's bootstrap, and the normal limit."""

import itertools

import numpy as np
import pytest
from scipy import stats

from hrtk.evaluation.resampling import Estimate, Stratum, resampled_mean


def strata_of(*values, weights=None):
    weights = weights or [np.ones(len(of_seed)) for of_seed in values]
    return [Stratum(np.array(v, float), np.array(w, float)) for v, w in zip(values, weights)]


@pytest.mark.parametrize('weights', [None, [[1, 1, 4], [2, 5, 1]]])
def test_interval_is_that_of_all_draws(weights):
    values = [[1.0, 4.0, 9.0], [-3.0, 2.0, 30.0]]
    given = weights or [[1, 1, 1], [1, 1, 1]]
    means_of_seed = []
    for of_seed, w in zip(values, given):
        draws = itertools.product(range(3), repeat=2)  # two of three sequences, in every order
        means_of_seed.append(
            [(of_seed[a] * w[a] + of_seed[b] * w[b]) / (w[a] + w[b]) for a, b in draws]
        )
    outcomes = [(one + other) / 2 for one, other in itertools.product(*means_of_seed)]
    low, high = np.percentile(outcomes, [2.5, 97.5], method='inverted_cdf')
    found = resampled_mean(strata_of(*values, weights=weights))
    assert found.low == pytest.approx(low) and found.high == pytest.approx(high)
    expected = np.mean([np.dot(v, w) / np.sum(w) for v, w in zip(values, given)])
    assert found.mean == pytest.approx(expected)


def test_interval_of_one_seed_is_that_of_scipy():
    values = np.random.default_rng(4).gamma(2.0, 10.0, 60)
    ours = resampled_mean(strata_of(values))
    theirs = stats.bootstrap(
        (values,), np.mean, method='percentile', n_resamples=20_000, rng=np.random.default_rng(7)
    ).confidence_interval
    assert ours.low == pytest.approx(theirs.low, abs=0.15)
    assert ours.high == pytest.approx(theirs.high, abs=0.15)


def test_few_sequences_do_not_make_the_interval_too_narrow():
    """Over data sets of four sequences, the mean squared width is that of the true variance of the mean."""
    rng = np.random.default_rng(0)
    squares = []
    for _ in range(150):
        found = resampled_mean(strata_of(*rng.normal(size=(6, 4))), resamples=1000)
        squares.append(((found.high - found.low) / (2 * stats.norm.ppf(0.975))) ** 2)
    # With four draws of four it would be 3/4 of it.
    assert np.mean(squares) == pytest.approx(1 / 24, rel=0.1)


def test_frames_do_not_count_as_samples():
    values = [[1.0, 4.0, 9.0], [-3.0, 2.0, 30.0]]
    few = resampled_mean(strata_of(*values, weights=[[1] * 3] * 2))
    many = resampled_mean(strata_of(*values, weights=[[1000] * 3] * 2))
    assert few == many


def test_no_interval():
    assert resampled_mean(strata_of([1.0, 3.0]), resample=False) == Estimate(2.0, None, None)
    assert resampled_mean(strata_of([1.0, 3.0], [4.0])) == Estimate(3.0, None, None)


@pytest.mark.parametrize(
    'low, high, answer', [(0.1, 2, True), (-2, -0.1, True), (-1, 1, False), (None, None, False)]
)
def test_beyond_chance(low, high, answer):
    assert Estimate(0.5, low, high).excludes_zero() is answer
