"""Gradients of one- and two-level objectives over an explicit set of weights."""

from __future__ import annotations

from typing import Callable, Mapping
from typing import Sequence as SequenceOf

import torch
from torch import Tensor

Weights = Mapping[str, Tensor]
Objective = Callable[[Weights], Tensor]


def plain_gradient(weights: Weights, objective: Objective) -> tuple[tuple[Tensor, ...], Tensor]:
    """The gradient of one objective: (gradients in the order of ``weights``, loss)."""
    loss = objective(weights)
    return _gradient(loss, tuple(weights.values())), loss.detach()


def bilevel_gradient(
    weights: Weights, lower: Objective, upper: Objective, rate: float, order: str = 'second'
) -> tuple[tuple[Tensor, ...], tuple[Tensor, Tensor]]:
    """The gradient of ``upper(w - rate * grad lower(w))`` with respect to ``w`` (Algorithm 1, lines 5-8, of BOA).

    With v the gradient of ``upper`` at the probed weights, this is ``v - rate * H v``, H the Hessian of ``lower`` at
    ``w``. So the upper pass never sees the lower graph: it is freed as soon as v is known, and the second-order term
    is a single Hessian-vector product. The result equals differentiating through the probe.

    Args:
        weights: the adaptable weights; leaves that require grad.
        lower: loss of the probe step.
        upper: loss of the probed weights.
        rate: step of the probe (plain gradient descent).
        order: ``'second'``, or ``'first'``, which drops ``H v`` (as DynaBOA's released code does).

    Returns:
        Gradients in the order of ``weights``, and the two losses, detached.
    """
    leaves = tuple(weights.values())
    low = lower(weights)
    probe = _gradient(low, leaves, create_graph=order == 'second')
    moved = torch._foreach_sub(
        [w.detach() for w in leaves], [g.detach() for g in probe], alpha=rate
    )
    fast = {name: value.requires_grad_() for name, value in zip(weights, moved)}
    gradient, up = plain_gradient(fast, upper)
    curved = [i for i, g in enumerate(probe) if g.requires_grad]
    if curved:
        product = torch.autograd.grad(
            [probe[i] for i in curved],
            leaves,
            [gradient[i] for i in curved],
            allow_unused=True,
            materialize_grads=True,
        )
        gradient = torch._foreach_sub(list(gradient), list(product), alpha=rate)
    return tuple(gradient), (low.detach(), up)


def clip_norm(gradient: SequenceOf[Tensor], most: float) -> tuple[Tensor, ...]:
    """A gradient whose norm over all weights is at most ``most``; without waiting for the device."""
    norm = torch.stack(torch._foreach_norm(list(gradient))).norm()
    return tuple(torch._foreach_mul(list(gradient), (most / norm).clamp(max=1.0)))


def _gradient(
    loss: Tensor, leaves: tuple[Tensor, ...], create_graph: bool = False
) -> tuple[Tensor, ...]:
    if (
        not loss.requires_grad
    ):  # no term of the objective is there, e.g. motion alone at the first frame
        return tuple(torch.zeros_like(leaf) for leaf in leaves)
    return torch.autograd.grad(
        loss, leaves, create_graph=create_graph, allow_unused=True, materialize_grads=True
    )
