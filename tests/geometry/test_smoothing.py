"""Smoothing over time against scipy and the symmetry of rotations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.ndimage import percentile_filter
from scipy.signal import savgol_filter
from scipy.spatial.transform import Rotation

from hrtk.geometry.smoothing import (
    continuous_quaternions,
    jitter,
    running_percentile,
    smooth_positions,
    smooth_rotations,
    time_filter,
)

RNG = np.random.default_rng(0)
FRAMES = 60
FPS = 30.0


def over(window: int, frames: int = FRAMES):
    """The filter of a window of some frames, for even frames."""
    return time_filter(np.arange(frames) / FPS, (window - 1) / FPS)


def slow_rotations(noise: float) -> tuple[np.ndarray, np.ndarray]:
    """(F, 2, 3, 3) noisy and true rotations that pass half a turn."""
    time = np.linspace(0, 1, FRAMES)[:, None, None]
    vectors = np.stack([[2.5 * np.pi, 0.3, 0.2], [0.1, -1.5 * np.pi, 0.4]]) * time
    truth = Rotation.from_rotvec(vectors.reshape(-1, 3))
    spoilt = truth * Rotation.from_rotvec(RNG.normal(0, noise, (2 * FRAMES, 3)))
    shape = (FRAMES, 2, 3, 3)
    return spoilt.as_matrix().reshape(shape), truth.as_matrix().reshape(shape)


def degrees_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    difference = Rotation.from_matrix(a.reshape(-1, 3, 3)).inv() * Rotation.from_matrix(
        b.reshape(-1, 3, 3)
    )
    return np.degrees(difference.magnitude())


@pytest.mark.parametrize(
    'seconds, fps, frames, window',
    [
        (0.3, 30.0, 100, 9),
        (0.3, 60.0, 100, 19),
        (0.3, 15.0, 100, 5),
        (0.3, 10.0, 100, 5),
        (0.3, 25.0, 100, 9),
        (0.3, 29.97, 100, 9),
        (0.3, 30.0, 8, 7),
        (0.3, 30.0, 3, 1),
        (0.1, 15.0, 100, 1),
        (0.0, 30.0, 100, 1),
        (0.3, 30.0, 1, 1),
    ],
)
def test_windows_are_odd_and_fit(seconds, fps, frames, window):
    assert time_filter(np.arange(frames) / fps, seconds).window == window


def test_positions_are_filtered_by_scipy():
    values = RNG.normal(size=(FRAMES, 4, 3))
    ours = smooth_positions(torch.from_numpy(values), over(9)).numpy()
    expected = savgol_filter(values, 9, 2, axis=0, mode='interp')
    np.testing.assert_allclose(ours, expected, atol=1e-12)
    parabola = np.arange(FRAMES)[:, None] ** 2 * [1.0, -0.5]
    kept = smooth_positions(torch.from_numpy(parabola), over(9)).numpy()
    np.testing.assert_allclose(kept, parabola, atol=1e-9)


def test_noise_of_rotations_falls_and_the_motion_stays():
    spoilt, truth = slow_rotations(0.05)
    smooth = smooth_rotations(torch.from_numpy(spoilt), over(9)).numpy()
    before = degrees_between(spoilt, truth).mean()
    after = degrees_between(smooth, truth).mean()
    # A quadratic window of nine has the middle weight 59 / 231: noise falls to its square root.
    assert after < 1.2 * before * np.sqrt(59 / 231)
    exact = smooth_rotations(torch.from_numpy(truth), over(9)).numpy()
    assert degrees_between(exact, truth).max() < 0.2


def test_results_are_rotations_and_turn_with_their_input():
    spoilt, _ = slow_rotations(0.2)
    smooth = smooth_rotations(torch.from_numpy(spoilt), over(7)).numpy()
    identity = np.broadcast_to(np.eye(3), smooth.shape)
    np.testing.assert_allclose(smooth @ np.swapaxes(smooth, -1, -2), identity, atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(smooth), 1)
    left, right = Rotation.random(2, random_state=0).as_matrix()
    turned = smooth_rotations(torch.from_numpy(left @ spoilt @ right), over(7)).numpy()
    np.testing.assert_allclose(turned, left @ smooth @ right, atol=1e-12)


def test_quaternions_are_continuous():
    _, truth = slow_rotations(0.0)
    quaternions = continuous_quaternions(torch.from_numpy(truth)).numpy()
    assert (quaternions[1:] * quaternions[:-1]).sum(-1).min() > 0.99
    again = Rotation.from_quat(quaternions[..., [1, 2, 3, 0]].reshape(-1, 4)).as_matrix()
    np.testing.assert_allclose(again.reshape(truth.shape), truth, atol=1e-12)


def test_no_window_changes_nothing():
    values = torch.randn(3, 3, 3)
    none = over(1, 3)
    assert smooth_positions(values, none) is values and smooth_rotations(values, none) is values


def test_uneven_times_are_fitted_by_numpy():
    """12 frames at 30 per second, then 12 at 15: polyfit over the frames of each window."""
    steps = np.r_[np.full(12, 1 / 30), np.full(12, 1 / 15)]
    times = np.cumsum(steps) - steps[0]
    values = RNG.normal(size=(24, 2))
    ours = smooth_positions(torch.from_numpy(values), time_filter(times, 0.4)).numpy()
    # In the middle of each half six, respectively three frames lie on both sides; at the ends windows are shifted.
    for frame, first, stop in ((0, 0, 12), (6, 0, 12), (18, 15, 22), (23, 17, 24)):
        coefficients = np.polyfit(times[first:stop] - times[frame], values[first:stop], 2)
        np.testing.assert_allclose(ours[frame], coefficients[2], atol=1e-12)
    parabola = np.stack([times**2, 3 - times], 1)
    kept = smooth_positions(torch.from_numpy(parabola), time_filter(times, 0.4)).numpy()
    np.testing.assert_allclose(kept, parabola, atol=1e-12)


def test_rotations_are_filtered_on_their_group():
    """At the result the weighted logarithms of the window sum to zero; scipy computes them."""
    spoilt, _ = slow_rotations(0.2)
    over_time = over(9)
    smooth = smooth_rotations(torch.from_numpy(spoilt), over_time).numpy()
    frames, weights = over_time.frames.numpy(), over_time.weights.numpy()
    for frame in (0, 5, 30, 59):
        middle = Rotation.from_matrix(smooth[frame, 0])
        window = Rotation.from_matrix(spoilt[frames[frame], 0])
        logarithms = (middle.inv() * window).as_rotvec()
        assert np.abs(weights[frame] @ logarithms).max() < 1e-6


def test_rotations_about_one_axis_are_filtered_as_angles():
    angles = RNG.normal(0, 0.3, FRAMES).cumsum()
    axis = np.array([2.0, -1, 2]) / 3
    rotmat = Rotation.from_rotvec(angles[:, None] * axis).as_matrix()
    smooth = smooth_rotations(torch.from_numpy(rotmat), over(9)).numpy()
    expected = Rotation.from_rotvec(savgol_filter(angles, 9, 2, mode='interp')[:, None] * axis)
    np.testing.assert_allclose(smooth, expected.as_matrix(), atol=1e-8)


def test_jitter_is_the_mean_second_difference():
    points = RNG.normal(size=(6, 5, 3))
    lengths = [
        np.linalg.norm(points[t - 1, n] - 2 * points[t, n] + points[t + 1, n])
        for t in range(1, 5)
        for n in range(5)
    ]
    assert jitter(torch.from_numpy(points)) == pytest.approx(np.mean(lengths))
    assert jitter(torch.from_numpy(points[:2])) == 0


def test_a_percentile_over_time_is_that_of_its_frames():
    """Also where the window is far longer than the clip, which SciPy 1.15 gets wrong; elsewhere the digits are its."""
    rng = np.random.default_rng(0)
    for count, window, percentile in itertools.product(
        (1, 2, 5, 8), (1, 2, 9, 60), (0, 50, 90, 100)
    ):
        values = rng.uniform(1, 2, count)
        found = running_percentile(values, percentile, window)
        for t in range(count):
            frames = [min(max(t - window // 2 + i, 0), count - 1) for i in range(window)]
            ordered = sorted(values[frames])
            assert found[t] == ordered[min(int(window * percentile / 100), window - 1)]
    values = rng.uniform(1, 2, 200)
    for window, percentile in ((7, 50), (8, 90)):
        expected = percentile_filter(values, percentile, size=window, mode='nearest')
        np.testing.assert_array_equal(running_percentile(values, percentile, window), expected)
