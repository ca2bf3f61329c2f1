"""The filters against Kalman's matrices, and the search against every possible answer."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hrtk.datasets.own.pair_filter import (
    OPPOSITE,
    STATES,
    PairFilters,
    PairMotion,
    best_states,
    chain_cost,
    change_costs,
)

AGITATION = np.array([2.0, 8.0, 5.0])
LOWER = np.array([False, False, True])
RATES = np.array(
    [[0, 0.2, 0.01, 0.01], [2.0, 0, 0.03, 0.03], [2.0, 0.6, 0, 0.001], [2.0, 0.6, 0.001, 0]]
)
PRIOR = -np.log([0.9, 0.08, 0.01, 0.01])


class MatrixFilter:
    """One vector's Kalman filter with state (position, velocity), written with matrices; weights as PairMotion's."""

    def __init__(self, motion, agitation):
        self.motion = motion
        self.agitation = agitation
        self.mean = None

    def advance(self, seconds):
        if self.mean is None:
            return
        rate = 1 / self.motion.damping
        kept = np.exp(-rate * seconds)
        change = np.array([[1, (1 - kept) / rate], [0, kept]])
        random = np.array([[seconds**3 / 3, seconds**2 / 2], [seconds**2 / 2, seconds]])
        self.mean = change @ self.mean
        self.covariance = change @ self.covariance @ change.T + self.agitation * random

    def observe(self, vector, noise):
        """The cost of the vector; takes it over."""
        if self.mean is None:
            self.mean = np.stack([vector, np.zeros(2)])
            self.covariance = np.diag([noise, self.motion.speed**2])
            return 0.0
        row = np.array([1.0, 0.0])
        deviation = vector - row @ self.mean
        squared = deviation @ deviation / (row @ self.covariance @ row + noise)
        freedom = self.motion.freedom
        weight = min((freedom + 2) / (freedom + squared), 1)
        gain = self.covariance @ row / (row @ self.covariance @ row + noise / weight)
        self.mean = self.mean + np.outer(gain, deviation)
        self.covariance = (np.eye(2) - np.outer(gain, row)) @ self.covariance
        return self.motion.independence * (freedom + 2) / 2 * np.log(1 + squared / freedom)


def motion_cost(motion, vectors, noise, times, states):
    """What a sequence of states costs by the motion alone."""
    total = 0.0
    for pair in range(vectors.shape[1]):
        matrix_filter = MatrixFilter(motion, AGITATION[pair])
        for frame in range(len(vectors)):
            if frame:
                matrix_filter.advance(times[frame] - times[frame - 1])
            if np.isfinite(vectors[frame, pair]).all():
                turned = STATES[states[frame], int(LOWER[pair])]
                sign = -1 if turned else 1
                total += matrix_filter.observe(sign * vectors[frame, pair], noise[frame, pair])
    return total


def random_track(seed, frames=5):
    """Vectors that move smoothly, some exchanged, some missing."""
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.03, 0.12, frames))
    begin = rng.normal(size=(3, 2)) * 0.15
    vectors = begin + times[:, None, None] * rng.normal(size=(3, 2)) * 0.6
    vectors += rng.normal(size=vectors.shape) * 0.01
    states = np.zeros(frames, int)
    start = rng.integers(1, frames - 1)
    states[start : start + rng.integers(1, 4)] = rng.integers(0, 4)
    signs = np.where(STATES[states][:, LOWER.astype(int)], -1, 1)
    vectors = vectors * signs[..., None]
    hidden = rng.random((frames, 3)) < 0.15
    hidden[hidden.all(1), 0] = False
    vectors[hidden] = np.nan
    noise = rng.uniform(1e-4, 4e-4, (frames, 3))
    return vectors, noise, times, rng.normal(size=(frames, 4)) * 0.3


def test_filters_are_kalmans():
    motion = PairMotion({}, speed=0.7, damping=0.4)
    vectors, noise, times, _ = random_track(1, frames=30)
    visible = np.isfinite(vectors).all(-1)
    filters = PairFilters(motion, AGITATION, 1)
    matrices = [MatrixFilter(motion, agitation) for agitation in AGITATION]
    for frame in range(30):
        if frame:
            seconds = times[frame] - times[frame - 1]
            filters.advance(seconds)
            for matrix_filter in matrices:
                matrix_filter.advance(seconds)
        shown = np.nan_to_num(vectors[frame])
        cost = motion.cost(filters.deviations(shown, noise[frame])[0, 0])
        known = visible[frame] & filters.seen
        for pair in np.flatnonzero(visible[frame]):
            expected = matrices[pair].observe(vectors[frame, pair], noise[frame, pair])
            if known[pair]:
                assert cost[pair] == pytest.approx(expected, rel=1e-9)
        filters.update(np.array([0]), shown[None], noise[frame], visible[frame])
    for pair, matrix_filter in enumerate(matrices):
        np.testing.assert_allclose(filters.position[0, pair], matrix_filter.mean[0])
        np.testing.assert_allclose(filters.velocity[0, pair], matrix_filter.mean[1])
        assert filters.of_both[0, pair] == pytest.approx(matrix_filter.covariance[0, 1])


@pytest.mark.parametrize('seed', range(8))
def test_search_finds_the_best_of_all_answers(seed):
    motion = PairMotion({}, speed=0.7, damping=0.4)
    vectors, noise, times, costs = random_track(seed)

    def total(states):
        states = np.array(states)
        chain = chain_cost(states, times, PRIOR, RATES, costs)
        return chain + motion_cost(motion, vectors, noise, times, states)

    found = best_states(motion, vectors, noise, times, LOWER, AGITATION, PRIOR, RATES, costs)
    best = min(itertools.product(range(4), repeat=len(vectors)), key=total)
    assert tuple(found) == best


def test_motion_does_not_tell_an_answer_from_its_opposite():
    motion = PairMotion({})
    vectors, noise, times, _ = random_track(4)
    states = np.array([0, 2, 1, 0, 3])
    same = motion_cost(motion, vectors, noise, times, states)
    assert same == pytest.approx(motion_cost(motion, vectors, noise, times, OPPOSITE[states]))


def test_changes_are_probabilities():
    for seconds in (1 / 60, 0.2, 10.0):
        probabilities = np.exp(-change_costs(RATES, np.array([seconds]))[0])
        np.testing.assert_allclose(probabilities.sum(1), 1)
        assert (np.diag(probabilities) > 0.09).all()
    seconds = np.array([0.1])
    expected = RATES * 0.1 + np.diag(1 - RATES.sum(1) * 0.1)
    np.testing.assert_allclose(np.exp(-change_costs(RATES, seconds)[0]), expected)


def test_chain_cost_by_hand():
    costs = np.arange(12.0).reshape(3, 4)
    times = np.array([0.0, 0.1, 0.3])
    states = np.array([0, 1, 1])
    limited = 1 - np.minimum(RATES[1] * 0.2, 0.3).sum()
    expected = PRIOR[0] + 0 + 5 + 9 - np.log(0.2 * 0.1) - np.log(limited)
    assert chain_cost(states, times, PRIOR, RATES, costs) == pytest.approx(expected)
