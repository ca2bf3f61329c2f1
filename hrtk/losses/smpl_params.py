"""Losses between body parameters."""

from __future__ import annotations

from torch import Tensor

from hrtk.structures import Prediction


def rotmat_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Computes the mean squared difference of rotation matrices, (B, 24, 3, 3), as in SPIN and BOA."""
    return (predicted - target).square().mean()


def betas_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Computes the mean squared difference of shape coefficients, (B, 10)."""
    return (predicted - target).square().mean()


def shape_prior(betas: Tensor) -> Tensor:
    """Computes the squared norm of the betas, (B, 10) -> batch mean (weight 2e-6 in BOA)."""
    return betas.square().sum(1).mean()


def parameter_loss(
    predicted: Prediction, target: Prediction, rotmat: float = 1.0, betas: float = 0.001
) -> Tensor:
    """Computes the parameter terms of BOA's source and teacher losses.

    Args:
        predicted: of B crops.
        target: of B crops.
        rotmat: weight of the rotation matrices.
        betas: weight of the betas.
    """
    pose_term = rotmat * rotmat_loss(predicted.rotmat, target.rotmat)
    shape_term = betas * betas_loss(predicted.betas, target.betas)
    return pose_term + shape_term
