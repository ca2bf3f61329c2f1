"""Adam that skips a step whose loss or gradient is not finite, without synchronising with the GPU."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from typing import Sequence as SequenceOf

import torch
from torch import Tensor


class GuardedAdam:
    """Adam over a list of weights.

    Args:
        weights: leaves to optimise.
        lr: learning rate.
        betas: decay rates of both moments.

    Attributes:
        skipped: number of skipped steps, a tensor on the weights' device.
    """

    def __init__(self, weights: Iterable[Tensor], lr: float, betas: tuple[float, float]) -> None:
        self.weights = list(weights)
        options = _fused_option(self.weights[0])
        self.optimizer = torch.optim.Adam(
            self.weights, lr=lr, betas=(betas[0], betas[1]), **options
        )
        self.skipped = self.weights[0].new_zeros((), dtype=torch.float32)

    @torch.no_grad()
    def step(self, gradients: SequenceOf[Tensor], losses: Iterable[Tensor]) -> None:
        """Takes one step, or skips it and leaves weights and moments unchanged."""
        norms = torch._foreach_norm(list(gradients))
        total = torch.stack([*norms, *losses]).sum()
        not_finite = (~torch.isfinite(total)).float()
        self.skipped = self.skipped + not_finite
        for weight, gradient in zip(self.weights, gradients):
            weight.grad = _laid_out_like(weight, gradient)
        if self.optimizer.defaults.get('fused'):
            # The fused kernel itself skips the step when `found_inf` is set, without synchronisation.
            self.optimizer.grad_scale = None  # type: ignore[attr-defined]  # read by the fused kernel
            self.optimizer.found_inf = not_finite  # type: ignore[attr-defined]  # read by the fused kernel
            self.optimizer.step()
        elif not not_finite:
            self.optimizer.step()

    @property
    def lr(self) -> float:
        """Learning rate of the next step."""
        return self.optimizer.param_groups[0]['lr']

    @lr.setter
    def lr(self, lr: float) -> None:
        self.optimizer.param_groups[0]['lr'] = lr

    def reset_count(self) -> None:
        """Sets :attr:`skipped` to zero."""
        self.skipped = torch.zeros_like(self.skipped)

    def state_dict(self) -> dict[str, Any]:
        """Returns both moments and the number of steps."""
        return self.optimizer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resumes from a :meth:`state_dict`."""
        self.optimizer.load_state_dict(state)


def _laid_out_like(weight: Tensor, gradient: Tensor) -> Tensor:
    """Returns the gradient in the memory layout of its weight, which fused kernels require."""
    if gradient.stride() == weight.stride():
        return gradient
    return torch.empty_like(weight).copy_(gradient)


def _fused_option(example: Tensor) -> dict[str, Any]:
    """Returns ``fused=True`` if this torch has a fused Adam for the device (CPU: since 2.4)."""
    try:
        torch.optim.Adam([example], fused=True)
    except (RuntimeError, TypeError):
        return {}
    return {'fused': True}
