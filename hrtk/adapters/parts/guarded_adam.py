"""Adam that skips a step whose loss or gradient is not finite, without synchronising with the GPU.

The fused kernel of torch is called directly. It gives the bits of ``torch.optim.Adam(fused=True)``, whose first
instance imports torch's compiler, half a second.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, Optional
from typing import Sequence as SequenceOf

import torch
from torch import Tensor

EPS = 1e-8  # the default of torch.optim.Adam and of Kingma and Ba, "Adam", ICLR 2015


class GuardedAdam:
    """Adam over a list of weights.

    Args:
        weights: leaves to optimise, all on one device.
        lr: learning rate.
        betas: decay rates of both moments.

    Attributes:
        lr: learning rate of the next step.
        skipped: number of skipped steps, a tensor on the weights' device.
    """

    def __init__(self, weights: Iterable[Tensor], lr: float, betas: tuple[float, float]) -> None:
        self.weights = list(weights)
        self.lr = lr
        self.betas = (betas[0], betas[1])
        self.skipped = self.weights[0].new_zeros((), dtype=torch.float32)
        # Made by the first step, because not every Adam of a learner takes one.
        self._steps: list[Tensor] = []
        self._means: list[Tensor] = []
        self._squares: list[Tensor] = []

    @torch.no_grad()
    def step(self, gradients: SequenceOf[Tensor], losses: Iterable[Tensor]) -> None:
        """Takes one step, or skips it and leaves weights and moments unchanged."""
        norms = torch._foreach_norm(list(gradients))
        total = torch.stack([*norms, *losses]).sum()
        not_finite = (~torch.isfinite(total)).float()
        self.skipped = self.skipped + not_finite
        if not self._steps:
            self._make_moments()
        laid_out = list(map(_laid_out_like, self.weights, gradients))
        if has_fused_adam(self.weights[0].device.type):
            self._fused_update(laid_out, not_finite)
        else:
            self._plain_update(laid_out, not_finite)

    @property
    def state_bytes(self) -> int:
        """Bytes of the moments; 0 before the first step."""
        return sum(value.nbytes for value in (*self._steps, *self._means, *self._squares))

    def restart(self) -> None:
        """Forgets the moments and the number of steps."""
        self._steps, self._means, self._squares = [], [], []

    def reset_count(self) -> None:
        """Sets :attr:`skipped` to zero."""
        self.skipped = torch.zeros_like(self.skipped)

    def state_dict(self) -> dict[str, Any]:
        """Returns both moments and the number of steps, in the layout of ``torch.optim.Adam``."""
        state = {}
        for index, moments in enumerate(zip(self._steps, self._means, self._squares)):
            state[index] = dict(zip(('step', 'exp_avg', 'exp_avg_sq'), moments))
        group = {'lr': self.lr, 'betas': self.betas, 'eps': EPS}
        return {'state': state, 'param_groups': [group]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resumes from a :meth:`state_dict`, or from one of ``torch.optim.Adam``."""
        group = state['param_groups'][0]
        self.lr = group['lr']
        self.betas = tuple(group['betas'])
        if not state['state']:
            self.restart()
            return
        self._make_moments()
        for index in range(len(self.weights)):
            moments = state['state'][index]
            self._steps[index].copy_(moments['step'])
            self._means[index].copy_(moments['exp_avg'])
            self._squares[index].copy_(moments['exp_avg_sq'])

    def _make_moments(self) -> None:
        self._steps = [weight.new_zeros((), dtype=torch.float32) for weight in self.weights]
        self._means = [torch.zeros_like(weight) for weight in self.weights]
        self._squares = [torch.zeros_like(weight) for weight in self.weights]

    def _fused_update(self, gradients: list[Tensor], not_finite: Tensor) -> None:
        """The kernel of torch, which itself skips the step where ``not_finite`` is one, without synchronisation."""
        torch._foreach_add_(self._steps, 1)
        _call_fused(
            self.weights,
            gradients,
            self._means,
            self._squares,
            self._steps,
            self.lr,
            self.betas,
            not_finite,
        )
        torch._foreach_sub_(self._steps, [not_finite] * len(self._steps))

    def _plain_update(self, gradients: list[Tensor], not_finite: Tensor) -> None:
        """Algorithm 1 of Kingma and Ba for a device without the kernel; also without synchronisation."""
        beta1, beta2 = self.betas
        skip = not_finite.bool()
        for weight, gradient, mean, square, step in zip(
            self.weights, gradients, self._means, self._squares, self._steps
        ):
            next_step = step + 1
            next_mean = mean.lerp(gradient, 1 - beta1)
            next_square = square * beta2 + gradient.square() * (1 - beta2)
            count = next_step.to(weight.dtype)
            unbiased_mean = next_mean / (1 - beta1**count)
            unbiased_square = next_square / (1 - beta2**count)
            next_weight = weight - self.lr * unbiased_mean / (unbiased_square.sqrt() + EPS)
            pairs = (
                (weight, next_weight),
                (mean, next_mean),
                (square, next_square),
                (step, next_step),
            )
            for old, new in pairs:
                old.copy_(torch.where(skip, old, new))


@functools.cache
def has_fused_adam(device_type: str) -> bool:
    """Whether this torch has a kernel of the fused Adam for a device (CPU: since 2.4); found by a trial."""
    example = torch.zeros(1, device=device_type)
    others = [torch.zeros_like(example) for _ in range(3)]
    try:
        _call_fused([example], [others[0]], [others[1]], [others[2]], [example + 1], 0.0, (0, 0))
    except (RuntimeError, TypeError, AttributeError):  # NotImplementedError is a RuntimeError
        return False
    return True


def _call_fused(
    weights: list[Tensor],
    gradients: list[Tensor],
    means: list[Tensor],
    squares: list[Tensor],
    steps: list[Tensor],
    lr: float,
    betas: tuple[float, float],
    found_inf: Optional[Tensor] = None,
) -> None:
    torch._fused_adam_(
        weights,
        gradients,
        means,
        squares,
        [],
        steps,
        lr=lr,
        beta1=betas[0],
        beta2=betas[1],
        weight_decay=0.0,
        eps=EPS,
        amsgrad=False,
        maximize=False,
        found_inf=found_inf,
    )


def _laid_out_like(weight: Tensor, gradient: Tensor) -> Tensor:
    """Returns the gradient in the memory layout of its weight, which fused kernels require."""
    if gradient.stride() == weight.stride():
        return gradient
    return torch.empty_like(weight).copy_(gradient)
