"""Optimisation in the loop: bodies are fitted to their pictures one by one, from where the network puts them."""

from __future__ import annotations

from typing import Callable

import torch
from torch import Tensor

from hrtk.adapters.topology.pose_space import PoseSpace, Theta
from hrtk.structures import Prediction


def fit(
    space: PoseSpace, start: Theta, objective: Callable[[Prediction], Tensor], steps: int, lr: float
) -> tuple[Theta, Tensor]:
    """Fits every body of a batch by Adam and keeps the best of what it passes.

    Rows never see each other: the objective gives one number per row, and Adam works number by number.

    Args:
        space: what is fitted.
        start: where to begin; returned for rows that nothing beats.
        objective: B predictions -> (B,) losses; a row that is not finite is not the best.
        steps: of Adam.
        lr: its rate, for every coordinate alike.

    Returns:
        The best coordinates without a graph, and (B,) bool, which rows got better than they were.
    """
    values = [value.detach().clone().requires_grad_() for value in start.tensors()]
    moving = Theta(*values)
    adam = torch.optim.Adam(values, lr=lr)
    best, first = start.detach(), None
    for step in range(steps + 1):
        loss = objective(space.prediction(moving))
        with torch.no_grad():
            if first is None:
                first = least = loss.detach()
            better = loss < least
            least = torch.where(better, loss, least)
            best = Theta(*(value.clone() for value in moving.where(better, best).tensors()))
        if step < steps:
            gradients = torch.autograd.grad(loss.sum(), values)
            for value, gradient in zip(values, gradients):
                value.grad = gradient.nan_to_num(0.0, 0.0, 0.0)
            adam.step()
            space.confine(moving.pose)
    return best.detach(), least < first
