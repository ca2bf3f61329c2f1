"""Who is who: the filters and costs against scipy, colours against slow sums, and people who cross."""

import dataclasses

import numpy as np
import pytest
from scipy import stats
from scipy.interpolate import CubicHermiteSpline

from hrtk.datasets.own.identities import Crossing, Identities, identify
from hrtk.datasets.own.identities.appearance import BINS, Appearance, describe, look
from hrtk.datasets.own.identities.motion import (
    End,
    Filter,
    Motion,
    between,
    body_middles,
    fit_end,
    joining_cost,
)
from hrtk.testing.composites import composites
from hrtk.testing.crossings import FPS, SKELETON, score, similarity_tracker, simulate

BODY = np.random.default_rng(3).uniform(0, 1, (17, 2)) * (60, 160)


def test_filter_is_that_of_kalman():
    motion = Motion(noise=0.02, speed=0.8, agitation=0.5, freedom=1e12)  # Gaussian
    side, seconds = 100.0, 0.04
    rng = np.random.default_rng(1)
    seen = np.cumsum(rng.normal(3, 2, (12, 2)), axis=0)
    own = Filter(motion, seen[0], side, 1.0)
    # The textbook's equations, for x, in px.
    state = np.array([seen[0, 0], 0])
    covariance = np.diag([(0.02 * side) ** 2, (0.8 * side) ** 2])
    step = np.array([[1, seconds], [0, 1]])
    random = np.array([[seconds**3 / 3, seconds**2 / 2], [seconds**2 / 2, seconds]])
    noise = (0.02 * side) ** 2
    for middle in seen[1:]:
        own.advance(seconds)
        own.update(middle, side, 1.0)
        state = step @ state
        covariance = step @ covariance @ step.T + 0.5 * side**2 * random
        gain = covariance @ [1, 0] / (covariance[0, 0] + noise)
        state = state + gain * (middle[0] - state[0])
        covariance = (np.eye(2) - np.outer(gain, [1, 0])) @ covariance
    np.testing.assert_allclose([own.place[0], own.velocity[0]], state, rtol=1e-9)
    np.testing.assert_allclose(own.covariance * side**2, covariance, rtol=1e-7, atol=1e-9)


def test_ends_of_pieces_are_fitted():
    motion = Motion(speed=1e6)
    times = np.arange(10) / 25
    middles = np.array([100.0, 50]) + times[:, None] * [30, -12]
    end = fit_end(motion, times, middles, np.full(10, 80.0), np.ones(10), last=True)
    np.testing.assert_allclose(end.state, [middles[-1], [30, -12]], atol=1e-6)
    start = fit_end(motion, times, middles, np.full(10, 80.0), np.ones(10), last=False)
    np.testing.assert_allclose(start.state, [middles[0], [30, -12]], atol=1e-6)
    middles[4] += 300  # one wrong middle counts little
    end = fit_end(motion, times, middles, np.full(10, 80.0), np.ones(10), last=True)
    np.testing.assert_allclose(end.state, [middles[-1], [30, -12]], atol=8)


def test_cost_of_joints_is_a_likelihood():
    motion = Motion()
    rng = np.random.default_rng(2)
    spread = np.array([[2e-4, 1e-3], [1e-3, 2e-2]])
    end = End(1.0, np.array([[100.0, 50], [40, 3]]), spread, 90.0)
    costs, densities = [], []
    for seconds in (0.1, 0.5, 1.5):
        state = end.state + seconds * rng.normal(0, 30, (2, 2))
        start = End(1 + seconds, state, spread, 90 * (1 + seconds / 9))
        costs.append(joining_cost(motion, end, start))
        step = np.array([[1, seconds], [0, 1]])
        random = 0.3 * np.array([[seconds**3 / 3, seconds**2 / 2], [seconds**2 / 2, seconds]])
        covariance = step @ spread @ step.T + random + spread
        deviation = (state - step @ end.state) / np.sqrt(start.side * end.side)
        shape = np.kron(np.eye(2), covariance)  # x, vx, y, vy
        motion_density = stats.multivariate_t(np.zeros(4), shape, df=3).logpdf(deviation.T.ravel())
        size_density = stats.t(df=3, scale=0.06).logpdf(np.log(start.side / end.side))
        densities.append(motion_density + size_density)
    np.testing.assert_allclose(np.diff(costs), -np.diff(densities), rtol=1e-9)


def test_places_between_two_pieces():
    end = End(1.0, np.array([[10.0, 50], [40, 3]]), np.eye(2), 90.0)
    start = End(1.8, np.array([[70.0, 20], [-5, 9]]), np.eye(2), 90.0)
    curve = CubicHermiteSpline(
        [1.0, 1.8], [end.state[0], start.state[0]], [end.state[1], start.state[1]]
    )
    for time in (1.0, 1.3, 1.77):
        np.testing.assert_allclose(between(end, start, time), curve(time))


def test_middles_are_those_of_the_torso():
    points = np.column_stack([BODY, np.ones(17)])[None].repeat(3, 0)
    points[1, 5, 2] = 0  # a shoulder
    points[2, [5, 6, 11], 2] = 0
    boxes = np.array([[1.0, 2, 100]]).repeat(3, 0)
    middles, factors = body_middles(points, boxes, 'coco17')
    expected = [BODY[[5, 6, 11, 12]].mean(0), BODY[[6, 11, 12]].mean(0), [1, 2]]
    np.testing.assert_allclose(middles, expected)
    assert factors.tolist() == [1, 2.5, 5]


def test_colours_are_shared_between_neighbouring_bins():
    colours = np.random.default_rng(4).integers(0, 256, (50, 3)).astype(np.uint8)
    expected = np.zeros((BINS, BINS, BINS))
    centres = np.linspace(0, 255, BINS)
    for bins in np.ndindex(BINS, BINS, BINS):
        away = np.abs(colours - centres[list(bins)]) / (centres[1] - centres[0])
        expected[bins] = np.maximum(1 - away, 0).prod(1).mean()
    found = describe([colours, colours[:0]])
    np.testing.assert_allclose(found.histograms[0], expected.ravel(), atol=1e-12)
    assert found.histograms[1].sum() == 0 and found.weights.tolist() == [50, 0]


def test_distance_of_looks():
    first = Appearance(np.array([[0.5, 0.5], [1, 0], [0, 1]]), np.array([10.0, 9, 2]))
    second = Appearance(np.array([[0.1, 0.9], [0, 1], [0, 1]]), np.array([30.0, 8, 50]))
    hellinger = np.linalg.norm(np.sqrt([0.5, 0.5]) - np.sqrt([0.1, 0.9])) / np.sqrt(2)
    assert first.distance(second) == pytest.approx((hellinger + 1) / 2)  # the third is too small
    assert np.isnan(first.distance(Appearance(second.histograms, np.zeros(3))))
    mean = Appearance.mean([first, second])
    np.testing.assert_allclose(mean.histograms[0], [0.2, 0.8])


def test_what_is_read_are_the_pixels_of_the_body():
    points = np.column_stack([BODY + 20, np.ones(17)])
    image = np.zeros((220, 120, 3), np.uint8)
    image[:, :, 0] = 255
    seen = look(image, points, 'coco17')
    red = (BINS - 1) * BINS**2
    np.testing.assert_allclose(seen.histograms[:, red], 1)
    assert (seen.weights > 5).all()
    points[[9, 10], 2] = 0  # no wrists, no lower arms
    assert look(image, points, 'coco17').weights.tolist()[2] == 0
    assert look(image, points + [1000, 0, 0], 'coco17').weights.sum() == 0


def test_two_of_one_size_walk_through_each_other():
    frames, points, truth = [], [], []
    for t in range(24):
        for who, x in enumerate((0 + 12 * t, 276 - 12 * t)):
            rng = np.random.default_rng([t, who])
            xy = BODY + (x, 0) + rng.normal(0, 1.5, (17, 2))
            frames.append(t)
            points.append(np.column_stack([xy, np.ones(17)]))
            truth.append(who)
    points = np.array(points, np.float32)
    low, high = points[..., :2].min(1), points[..., :2].max(1)
    boxes = np.column_stack([(low + high) / 2, 1.2 * (high - low).max(1)])
    found = identify(np.array(frames), points, boxes, 'coco17', fps=12)
    assert found.of_rows.tolist() == [abs(who - found.of_rows[0]) for who in truth]
    (first, second) = found.crossings[:2]
    assert first.first < 12 < first.last and {first.identity, second.identity} == {0, 1}
    margins = found.margin(0, range(24))
    assert np.isfinite(margins).any() and np.isnan(margins[[0, 1, 2, 21, 22, 23]]).all()


def scores(cases, tracker):
    return [score(case.truth, case.frames, tracker(case)) for case in cases]


def full(case, colours=True, **options):
    seen = case.look if colours else None
    found = identify(case.frames, case.points, case.boxes, SKELETON, fps=FPS, look=seen, **options)
    return found.of_rows


def wrong(found):
    """Crossings with an exchange, and crossings with an exchange or a fragment."""
    return sum(one.exchanged for one in found), sum(one.idf1 < 0.9 for one in found)


def test_simulated_crossings():
    cases = list(simulate(1, seed=5))
    plain = wrong(scores(cases, lambda case: similarity_tracker(case, False, False)))
    steady = wrong(scores(cases, lambda case: similarity_tracker(case, True, True)))
    own = wrong(scores(cases, full))
    assert own[0] == 0 < plain[0]
    assert own[1] <= 2 and own[1] < steady[1] / 3


def test_identities_of_a_tracker_are_put_right():
    case = next(case for case in simulate(1, seed=5) if case.motion == 'pass' and not case.same)
    exchanged = np.where(case.frames > 60, 1 - case.truth, case.truth) + 3
    found = full(case, noted=exchanged)
    assert set(found) == {3, 4} and score(case.truth, case.frames, found).idf1 > 0.97


def test_doubt_where_nothing_tells_who_is_who():
    """People of one size in the same clothes turn back: the odds are smaller than in different clothes."""
    turning = [case for case in simulate(1, seed=5) if case.motion == 'turn back']
    margins = np.empty((2, len(turning)))
    different = np.stack([np.full((6, 3), 40.0), np.full((6, 3), 200.0)])
    for column, case in enumerate(turning):
        for row, clothes in enumerate((different[[0, 0]], different)):
            dressed = dataclasses.replace(case, clothes=clothes)
            found = identify(
                case.frames, case.points, case.boxes, SKELETON, fps=FPS, look=dressed.look
            )
            margins[row, column] = min((one.margin for one in found.crossings), default=99)
    assert np.median(margins[0]) < 20 and np.median(margins[1]) > np.median(margins[0]) + 5


def test_margins_of_frames():
    found = Identities(np.zeros(3, int), (Crossing(0, 4, 7, 2.5), Crossing(0, 6, 9, 1.5)))
    margins = found.margin(0, [3, 4, 5, 7, 8, 9, 10])
    np.testing.assert_array_equal(margins, [np.nan, np.nan, 2.5, 1.5, 1.5, 1.5, np.nan])
    assert found.margin(1, [5]) is None


def test_real_people_cut_out_of_pictures(data_root):
    cases = list(composites(data_root, 30, seed=0))
    steady = wrong(scores(cases, lambda case: similarity_tracker(case, True, True)))
    own = wrong(scores(cases, full))
    assert own[0] <= steady[0]
    assert own[1] < steady[1]
