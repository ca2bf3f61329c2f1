"""The One-Euro filter against the paper's algorithm in plain numbers, and against noise."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hrtk.errors import InputError
from hrtk.geometry.one_euro import OneEuro, OneEuroRotation

RNG = np.random.default_rng(0)
TIMES = np.cumsum(RNG.uniform(0.02, 0.06, 80))


def by_the_paper(values: np.ndarray, cutoff: float, slope: float) -> np.ndarray:
    """Algorithm 1 for one number per time, with exponential means as in algorithm 2."""

    def alpha(frequency: float, seconds: float) -> float:
        tau = 1 / (2 * math.pi * frequency)
        return 1 / (1 + tau / seconds)

    result = [values[0]]
    speed = 0.0
    for t in range(1, len(values)):
        seconds = TIMES[t] - TIMES[t - 1]
        share = alpha(1.0, seconds)
        speed = share * (values[t] - values[t - 1]) / seconds + (1 - share) * speed
        share = alpha(cutoff + slope * abs(speed), seconds)
        result.append(share * values[t] + (1 - share) * result[-1])
    return np.array(result)


def test_numbers_are_those_of_the_paper():
    values = RNG.normal(size=(80, 3)).cumsum(0)
    one_euro = OneEuro(0.8, 0.3)
    ours = [
        one_euro.push(torch.from_numpy(value)[:, None], time) for value, time in zip(values, TIMES)
    ]
    for column in range(3):
        expected = by_the_paper(values[:, column], 0.8, 0.3)
        np.testing.assert_allclose(torch.stack(ours)[:, column, 0], expected, atol=1e-12)


def test_rotations_about_one_axis_are_filtered_as_angles():
    angles = RNG.normal(0, 0.1, 80).cumsum()
    axis = np.array([0.6, 0, 0.8])
    rotmat = torch.from_numpy(Rotation.from_rotvec(angles[:, None] * axis).as_matrix())
    one_euro = OneEuroRotation(0.8, 0.3)
    ours = torch.stack([one_euro.push(r, time) for r, time in zip(rotmat, TIMES)])
    expected = Rotation.from_rotvec(by_the_paper(angles, 0.8, 0.3)[:, None] * axis).as_matrix()
    np.testing.assert_allclose(ours, expected, atol=1e-9)


def test_jitter_falls_and_a_cut_is_forgotten():
    noise = torch.from_numpy(Rotation.from_rotvec(RNG.normal(0, 0.1, (80, 3))).as_matrix())
    one_euro = OneEuroRotation()
    smooth = torch.stack([one_euro.push(r, time) for r, time in zip(noise, TIMES)]).numpy()
    raw_size = Rotation.from_matrix(noise.numpy()).magnitude()[20:].mean()
    assert Rotation.from_matrix(smooth).magnitude()[20:].mean() < 0.6 * raw_size
    one_euro.reset()
    assert torch.equal(one_euro.push(noise[0], 0.0), noise[0])


def test_wrong_values():
    with pytest.raises(InputError, match='not 0 and 0.5'):
        OneEuro(0)
    one_euro = OneEuro()
    one_euro.push(torch.zeros(1), 1.0)
    with pytest.raises(InputError, match='a frame at 1.0 s follows one at 1.0 s'):
        one_euro.push(torch.zeros(1), 1.0)
