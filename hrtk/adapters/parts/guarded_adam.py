"""Adam that leaves everything as it is where a loss or a gradient is not finite, without waiting for the device."""

from __future__ import annotations

from typing import Iterable
from typing import Sequence as SequenceOf

import torch
from torch import Tensor


class GuardedAdam:
    """Adam over a list of weights.

    Args:
        weights: leaves to step.
        lr: the rate.
        betas: Adam's.

    Attributes:
        skipped: how many steps were left out, a tensor on the weights' device.
    """

    def __init__(self, weights: Iterable[Tensor], lr: float, betas: tuple[float, float]) -> None:
        self.weights = list(weights)
        self.optimizer = torch.optim.Adam(
            self.weights, lr=lr, betas=betas, **_fused(self.weights[0])
        )
        self.skipped = self.weights[0].new_zeros((), dtype=torch.float32)

    @torch.no_grad()
    def step(self, gradients: SequenceOf[Tensor], losses: Iterable[Tensor]) -> None:
        """One step, or none: the last good weights and moments stay."""
        total = torch.stack([*torch._foreach_norm(list(gradients)), *losses]).sum()
        bad = (~torch.isfinite(total)).float()
        self.skipped = self.skipped + bad
        for weight, value in zip(self.weights, gradients):
            # Fused kernels walk through memory side by side, so both must be laid out alike.
            weight.grad = (
                value
                if value.stride() == weight.stride()
                else torch.empty_like(weight).copy_(value)
            )
        if self.optimizer.defaults.get('fused'):
            # The fused kernel itself leaves everything as it is when told so: no wait for the device.
            self.optimizer.grad_scale, self.optimizer.found_inf = None, bad
            self.optimizer.step()
        elif not bad:
            self.optimizer.step()


def _fused(example: Tensor) -> dict[str, bool]:
    """Adam in one kernel where this torch has it for the device (CPU: since 2.4)."""
    try:
        torch.optim.Adam([example], fused=True)
    except (RuntimeError, TypeError):
        return {}
    return {'fused': True}
