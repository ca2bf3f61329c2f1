"""Measured statistics of the noise models."""

from __future__ import annotations

import numpy as np
import pytest

from hrtk.datasets.keypoint_noise import NOISE, KeypointNoise, make_noise
from hrtk.errors import InputError

SIDE = np.linspace(50, 400, 400)


def corrupt(noise, seed=0):
    xy = np.random.default_rng(1).uniform(0, 500, (400, 50, 2))
    found, confidence = noise.apply(np.random.default_rng(seed), xy, SIDE)
    return found - xy, confidence


@pytest.mark.parametrize('name, sigma, dropped', [('detector', 4.0, 0.1), ('poor', 8.0, 0.25)])
def test_sigma_in_crop_pixels_and_drop_rate(name, sigma, dropped):
    error, confidence = corrupt(make_noise(name))
    crop_error = error * 224 / SIDE[:, None, None]
    assert crop_error.std() == pytest.approx(
        sigma, rel=0.02
    )  # 40 000 numbers: 0.35 % per standard deviation
    assert np.abs(crop_error.mean((0, 1))).max() < 4 * sigma / 20_000**0.5
    assert np.corrcoef(crop_error[..., 0].ravel(), crop_error[..., 1].ravel())[
        0, 1
    ] == pytest.approx(0, abs=0.03)
    # Also within small and large boxes: the noise grows with the person in the picture.
    for part in (slice(0, 100), slice(300, 400)):
        assert crop_error[part].std() == pytest.approx(sigma, rel=0.03)
    assert set(np.unique(confidence)) == {0.0, 1.0}
    assert 1 - confidence.mean() == pytest.approx(
        dropped, abs=4 * (dropped * (1 - dropped) / 20_000) ** 0.5
    )


def test_clean_changes_nothing():
    error, confidence = corrupt(make_noise('clean'))
    assert (error == 0).all() and (confidence == 1).all()


def test_errors_depend_on_the_seed_alone():
    noise = KeypointNoise(sigma=2.0, dropped=0.3)
    for first, second in zip(corrupt(noise, 3), corrupt(noise, 3)):
        np.testing.assert_array_equal(first, second)
    assert (corrupt(noise, 3)[0] != corrupt(noise, 4)[0]).any()


def test_unknown_model():
    with pytest.raises(InputError, match="'openpose'.*" + ', '.join(NOISE)):
        make_noise('openpose')
