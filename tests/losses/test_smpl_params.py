"""Losses between body parameters against numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hrtk.losses import betas_loss, parameter_loss, rotmat_loss, shape_prior
from hrtk.structures import Prediction

RNG = np.random.default_rng(0)
ROTMAT, TRUE_ROTMAT = RNG.normal(size=(2, 3, 24, 3, 3))
BETAS, TRUE_BETAS = RNG.normal(size=(2, 3, 10))


def prediction(rotmat, betas):
    return Prediction(torch.from_numpy(rotmat), torch.from_numpy(betas), torch.zeros(3, 3))


def test_parameter_losses():
    rotmat = ((ROTMAT - TRUE_ROTMAT) ** 2).sum() / (3 * 24 * 9)
    betas = ((BETAS - TRUE_BETAS) ** 2).sum() / 30
    assert rotmat_loss(*map(torch.from_numpy, (ROTMAT, TRUE_ROTMAT))).item() == pytest.approx(
        rotmat, rel=1e-12
    )
    assert betas_loss(*map(torch.from_numpy, (BETAS, TRUE_BETAS))).item() == pytest.approx(
        betas, rel=1e-12
    )
    pair = prediction(ROTMAT, BETAS), prediction(TRUE_ROTMAT, TRUE_BETAS)
    assert parameter_loss(*pair).item() == pytest.approx(rotmat + 0.001 * betas, rel=1e-12)
    assert parameter_loss(*pair, rotmat=2.0, betas=0.5).item() == pytest.approx(
        2 * rotmat + 0.5 * betas, rel=1e-12
    )


def test_shape_prior_is_the_mean_squared_length():
    expected = np.mean([row @ row for row in BETAS])
    assert shape_prior(torch.from_numpy(BETAS)).item() == pytest.approx(expected, rel=1e-12)
