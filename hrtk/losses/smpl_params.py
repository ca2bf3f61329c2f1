"""Losses between body parameters."""

from __future__ import annotations

from torch import Tensor

from hrtk.structures import Prediction


def rotmat_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference of rotation matrices, (B, 24, 3, 3), as in SPIN and BOA."""
    return (predicted - target).square().mean()


def betas_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference of shape coefficients, (B, 10)."""
    return (predicted - target).square().mean()


def shape_prior(betas: Tensor) -> Tensor:
    """Squared length of the betas, (B, 10) -> batch mean (weight 2e-6 in BOA)."""
    return betas.square().sum(1).mean()


def parameter_loss(
    predicted: Prediction, target: Prediction, rotmat: float = 1.0, betas: float = 0.001
) -> Tensor:
    """The parameter part of BOA's source and teacher losses: rotation matrices and 0.001 of the betas."""
    return rotmat * rotmat_loss(predicted.rotmat, target.rotmat) + betas * betas_loss(
        predicted.betas, target.betas
    )
