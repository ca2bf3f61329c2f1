"""The adapting weights of an estimator, and their optimisers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional
from typing import Sequence as SequenceOf

import torch
from torch import Tensor

from hrtk.adapters.parts.gradients import (
    Objective,
    cascaded_gradients,
    clip_norm,
    plain_gradient,
)
from hrtk.adapters.parts.guarded_adam import GuardedAdam
from hrtk.adapters.parts.parameter_selection import select_parameters
from hrtk.models.estimators import Estimator

ADAM = 'adam'


class Learner:
    """The adapting weights of an estimator, with one or more Adam optimisers.

    BatchNorm statistics stay unchanged.

    Args:
        estimator: network; set to evaluation mode, and only its selected parameters require gradients afterwards.
        parameters: which weights adapt, see :func:`~hrtk.adapters.parts.parameter_selection.select_parameters`.
        lr: learning rate of every Adam.
        adam_betas: decay rates of every Adam's moments.
        max_norm: maximum norm of the gradient, which is scaled down to it; None disables this.
        optimisers: names of the Adams; all optimise the same weights, and each has its own moments.
        pull: share of the way back to the start weights that every step ends with, in [0, 1): the decoupled form of
            L2-SP (Li et al., "Explicit Inductive Bias for Transfer Learning with Convolutional Networks", ICML 2018,
            Eq. 2).
        soft_reset: whether :meth:`soften` will be called, for which a copy of the weights is kept.

    Attributes:
        weights: the selected parameters by name; the same tensors as in the estimator.
        adams: the optimisers by name.
        start: the start weights by name; empty without ``pull``.
        average: the moving average of :meth:`soften` by name; empty without ``soft_reset``.
    """

    def __init__(
        self,
        estimator: Estimator,
        parameters: str,
        lr: float,
        adam_betas: tuple[float, float],
        max_norm: Optional[float] = None,
        optimisers: SequenceOf[str] = (ADAM,),
        pull: float = 0.0,
        soft_reset: bool = False,
    ) -> None:
        self.estimator = estimator.eval().requires_grad_(False)
        self.max_norm = max_norm
        self.weights: dict[str, Tensor] = {}
        for name, weight in select_parameters(estimator, parameters).items():
            self.weights[name] = weight.requires_grad_()
        self.adams = {
            name: GuardedAdam(self.weights.values(), lr, adam_betas) for name in optimisers
        }
        self.pull = pull
        self.start: dict[str, Tensor] = {}
        if pull:
            self.start = self._copied()
        self.average: dict[str, Tensor] = {}
        if soft_reset:
            self.average = self._copied()

    def descend(self, objective: Objective, optimiser: str = ADAM) -> Tensor:
        """Takes one step down an objective and returns the loss before it.

        The step is skipped where the loss or the gradient is not finite.
        """
        gradient, loss = plain_gradient(self.weights, objective)
        if self.max_norm is not None:
            gradient = clip_norm(gradient, self.max_norm)
        self.step(gradient, [loss], optimiser)
        return loss

    def descend_twice(self, first: Objective, second: Objective, rate: float) -> None:
        """Takes a step of plain gradient descent on ``first``, then, from there, a step of Adam on ``second``.

        Both steps are skipped where a loss or a gradient of one of them is not finite.

        Args:
            first: objective of the first step.
            second: objective of the second step.
            rate: learning rate of the first step.
        """
        gradient, next_gradient, losses = cascaded_gradients(self.weights, first, second, rate)
        norms = torch._foreach_norm([*gradient, *next_gradient])
        is_finite = torch.stack([*norms, *losses]).sum().isfinite()
        with torch.no_grad():
            for weight, change in zip(self.weights.values(), gradient):
                weight.sub_(change.where(is_finite, change.new_zeros(())), alpha=rate)
        self.step(next_gradient, [*losses, *norms])

    def step(
        self, gradient: SequenceOf[Tensor], losses: SequenceOf[Tensor], optimiser: str = ADAM
    ) -> None:
        """Takes one step with a gradient in the order of :attr:`weights`; skipped where a value is not finite."""
        adam = self.adams[optimiser]
        skipped = adam.skipped
        adam.step(gradient, losses)
        if self.pull:
            self._pull_back(1 + skipped - adam.skipped)

    @torch.no_grad()
    def _pull_back(self, made: Tensor) -> None:
        """Moves the weights towards the start weights; ``made`` is 1, or 0 after a skipped step."""
        weights = list(self.weights.values())
        way = torch._foreach_sub(list(self.start.values()), weights)
        torch._foreach_mul_(way, made.to(weights[0].dtype))
        torch._foreach_add_(weights, way, alpha=self.pull)

    @torch.no_grad()
    def soften(self, keep: float) -> None:
        """Moves the average to ``keep * average + (1 - keep) * weights``, and sets the weights to it.

        The average begins with the start weights.
        """
        weights = list(self.weights.values())
        averages = list(self.average.values())
        torch._foreach_lerp_(averages, weights, 1 - keep)
        torch._foreach_copy_(weights, averages)

    def _copied(self) -> dict[str, Tensor]:
        return {name: weight.detach().clone() for name, weight in self.weights.items()}

    def set_lr(self, lr: float) -> None:
        """Sets the learning rate of the next steps."""
        for adam in self.adams.values():
            adam.lr = lr

    def restart(self) -> None:
        """Every Adam begins again, without moments."""
        for adam in self.adams.values():
            adam.restart()

    @property
    def skipped(self) -> int:
        """Number of skipped steps; synchronises with the GPU."""
        return sum(int(adam.skipped) for adam in self.adams.values())

    def reset_counts(self) -> None:
        """Sets :attr:`skipped` to zero."""
        for adam in self.adams.values():
            adam.reset_count()

    @property
    def state_bytes(self) -> int:
        """Bytes of the adapting weights, of all moments and of the copies for ``pull`` and ``soft_reset``."""
        tensors = (*self.weights.values(), *self.start.values(), *self.average.values())
        adams = sum(adam.state_bytes for adam in self.adams.values())
        return sum(tensor.nbytes for tensor in tensors) + adams

    @property
    def skipped_by_name(self) -> dict[str, int]:
        """Number of skipped steps of each optimiser."""
        return {name: int(adam.skipped) for name, adam in self.adams.items()}

    def load_skipped(self, counts: Mapping[str, int]) -> None:
        """Continues to count from :attr:`skipped_by_name`."""
        for name, adam in self.adams.items():
            adam.skipped = torch.full_like(adam.skipped, counts[name])

    def state_dict(self) -> dict[str, Any]:
        """Returns the optimisers' moments by name; the weights are in the estimator's state dict."""
        return {name: adam.state_dict() for name, adam in self.adams.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resumes from a :meth:`state_dict`."""
        for name, adam in self.adams.items():
            adam.load_state_dict(state[name])
