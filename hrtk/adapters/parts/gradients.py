"""Gradients of one- and two-level objectives over an explicit set of weights."""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Mapping
from typing import Sequence as SequenceOf

import torch
from torch import Tensor

Weights = Mapping[str, Tensor]
Objective = Callable[[Weights], Tensor]


def plain_gradient(weights: Weights, objective: Objective) -> tuple[tuple[Tensor, ...], Tensor]:
    """Computes the gradient of one objective.

    Args:
        weights: leaves that require gradients.
        objective: maps weights to a scalar loss.

    Returns:
        Gradients in the order of ``weights``, and the loss, detached.
    """
    loss = objective(weights)
    return _gradient(loss, tuple(weights.values())), loss.detach()


def twice_differentiable() -> contextlib.AbstractContextManager[Any]:
    """Returns a context in which torch's attention runs by operations that can be differentiated twice.

    The fused kernels behind ``scaled_dot_product_attention``, ``nn.MultiheadAttention`` and
    ``nn.TransformerEncoderLayer`` have no second derivative. Only the forward pass has to run in this context. It needs
    the memory of the explicit attention matrix.
    """
    try:
        from torch.nn.attention import SDPBackend, sdpa_kernel
    except ImportError:  # torch before 2.3
        return torch.backends.cuda.sdp_kernel(
            enable_flash=False, enable_math=True, enable_mem_efficient=False
        )
    return sdpa_kernel(SDPBackend.MATH)


def bilevel_gradient(
    weights: Weights, lower: Objective, upper: Objective, rate: float, order: str = 'second'
) -> tuple[tuple[Tensor, ...], tuple[Tensor, Tensor]]:
    """Computes the gradient of ``upper(w - rate * grad lower(w))`` with respect to ``w`` (BOA, Algorithm 1, lines 5-8).

    With v the gradient of ``upper`` at the probed weights, this is ``v - rate * H v``, H the Hessian of ``lower`` at
    ``w``. The upper pass does not use the lower graph; it is freed as soon as v is computed, and the second-order term
    is a single Hessian-vector product. The result equals differentiating through the probe.

    Args:
        weights: leaves that require gradients.
        lower: objective of the probe step.
        upper: objective at the probed weights.
        rate: learning rate of the probe (plain gradient descent).
        order: ``'second'``, or ``'first'``, which drops ``H v`` (as DynaBOA's released code does).

    Returns:
        Gradients in the order of ``weights``, and the two losses, detached.
    """
    leaves = tuple(weights.values())
    is_second = order == 'second'
    with twice_differentiable() if is_second else contextlib.nullcontext():
        lower_loss = lower(weights)
    probe = _gradient(lower_loss, leaves, create_graph=is_second)
    probed = _descended(weights, probe, rate)
    gradient, upper_loss = plain_gradient(probed, upper)
    # Gradients of the probe that do not depend on the weights have no second-order part.
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
    return tuple(gradient), (lower_loss.detach(), upper_loss)


def cascaded_gradients(
    weights: Weights, first: Objective, second: Objective, rate: float
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], tuple[Tensor, Tensor]]:
    """Computes the gradients of two successive steps (the two-stage scheme of BOA, Section 3.2).

    Args:
        weights: leaves that require gradients.
        first: objective of the first step.
        second: objective of the second step.
        rate: learning rate of the first step (plain gradient descent).

    Returns:
        The gradient of ``first`` at ``weights``, the gradient of ``second`` at ``weights - rate * gradient``, both in
        the order of ``weights``, and the two losses, detached.
    """
    gradient, first_loss = plain_gradient(weights, first)
    moved = _descended(weights, gradient, rate)
    next_gradient, second_loss = plain_gradient(moved, second)
    return gradient, next_gradient, (first_loss, second_loss)


def clip_norm(gradient: SequenceOf[Tensor], max_norm: float) -> tuple[Tensor, ...]:
    """Scales a gradient to a norm over all weights of at most ``max_norm``, without synchronising with the GPU."""
    norm = torch.stack(torch._foreach_norm(list(gradient))).norm()
    scale = (max_norm / norm).clamp(max=1.0)
    return tuple(torch._foreach_mul(list(gradient), scale))


def _descended(weights: Weights, gradient: SequenceOf[Tensor], rate: float) -> dict[str, Tensor]:
    """Takes one step of plain gradient descent and returns new leaves."""
    values = [weight.detach() for weight in weights.values()]
    moved = torch._foreach_sub(values, [g.detach() for g in gradient], alpha=rate)
    return {name: value.requires_grad_() for name, value in zip(weights, moved)}


def _gradient(
    loss: Tensor, leaves: tuple[Tensor, ...], create_graph: bool = False
) -> tuple[Tensor, ...]:
    if not loss.requires_grad:
        # No term of the objective applies, e.g. motion alone at the first frame.
        return tuple(torch.zeros_like(leaf) for leaf in leaves)
    return torch.autograd.grad(
        loss, leaves, create_graph=create_graph, allow_unused=True, materialize_grads=True
    )
