"""Optimisation in the loop: every body is fitted to its image by itself, from where the network puts it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from hrtk.adapters.topology.pose_space import PoseSpace, Theta
from hrtk.structures import Prediction


def fit(
    space: PoseSpace,
    start: Theta,
    objective: Callable[[Prediction], Tensor],
    steps: int,
    lr: float,
) -> tuple[Theta, Tensor]:
    """Fits every body of a batch by Adam and returns the best coordinates that each one passed.

    Rows are independent: the objective has one value per row, and Adam works element by element.

    Args:
        space: the coordinates that are fitted.
        start: where to begin; returned for rows that do not improve.
        objective: maps B predictions to (B,) losses; a row that is not finite is never the best.
        steps: of Adam.
        lr: Adam's rate, the same for every coordinate.

    Returns:
        The best coordinates without a graph, and (B,) bool, which rows improved.
    """
    values = [value.detach().clone().requires_grad_() for value in start.tensors()]
    theta = Theta(*values)
    adam = torch.optim.Adam(values, lr=lr)
    best = start.detach()
    start_loss = objective(space.prediction(theta))
    least = start_loss.detach()
    loss = start_loss
    for _ in range(steps):
        gradients = torch.autograd.grad(loss.sum(), values)
        for value, gradient in zip(values, gradients):
            value.grad = gradient.nan_to_num(0.0, 0.0, 0.0)
        adam.step()
        space.confine(theta.pose)
        loss = objective(space.prediction(theta))
        with torch.no_grad():
            improved = loss < least
            least = torch.where(improved, loss, least)
            best = theta.where(improved, best).clone()
    return best.detach(), least < start_loss.detach()
