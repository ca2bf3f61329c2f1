"""Optimisation in the loop: fits every body to its image, starting from the network's prediction."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from hrtk.adapters.topology.pose_space import PoseSpace, Theta
from hrtk.structures import Prediction


def fit_bodies(
    space: PoseSpace,
    start: Theta,
    objective: Callable[[Prediction], Tensor],
    steps: int,
    lr: float,
) -> tuple[Theta, Tensor]:
    """Fits every body of a batch by Adam and returns each body's iterate with the lowest loss.

    Rows are independent: the objective has one value per row, and Adam works element by element.

    Args:
        space: the coordinates in which bodies are fitted.
        start: initial coordinates; returned for rows that do not improve.
        objective: maps B predictions to (B,) losses; a row whose loss is not finite is never the best.
        steps: number of Adam steps.
        lr: learning rate of Adam, the same for every coordinate.

    Returns:
        The best coordinates, detached, and a (B,) bool mask of the rows that improved.
    """
    values = [value.detach().clone().requires_grad_() for value in start.tensors()]
    theta = Theta(*values)
    adam = torch.optim.Adam(values, lr=lr)
    best = start.detach()
    start_loss = objective(space.prediction(theta))
    lowest = start_loss.detach()
    loss = start_loss
    for _ in range(steps):
        gradients = torch.autograd.grad(loss.sum(), values)
        for value, gradient in zip(values, gradients):
            value.grad = gradient.nan_to_num(0.0, 0.0, 0.0)
        adam.step()
        space.confine(theta.pose)
        loss = objective(space.prediction(theta))
        with torch.no_grad():
            improved = loss < lowest
            lowest = torch.where(improved, loss, lowest)
            best = theta.where(improved, best).clone()
    return best.detach(), lowest < start_loss.detach()
