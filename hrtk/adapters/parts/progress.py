"""The steps of a preparation, which goes on after a kill with the digits that it would have had."""

from __future__ import annotations

from typing import Any, Iterator, Optional, Protocol

from torch import Tensor

from hrtk.adapters.base import Preparation
from hrtk.adapters.parts.gradients import Objective, clip_norm, plain_gradient
from hrtk.adapters.parts.guarded_adam import GuardedAdam
from hrtk.adapters.parts.parameter_selection import select_parameters
from hrtk.models.estimators import Estimator


class Learning(Protocol):
    """What changes an estimator step by step."""

    estimator: Estimator

    def state_dict(self, iteration: int) -> dict[str, Any]:
        """Everything that the next iteration depends on."""

    def resume(self, state: Optional[dict[str, Any]]) -> int:
        """Takes a state back and returns its iteration; 0 without one."""


class Learner:
    """Some weights of an estimator and the Adam that moves them; BatchNorm keeps its statistics.

    Args:
        estimator: goes to evaluation mode; of its parameters only the selected ones require gradients from now on.
        parameters: of :func:`~hrtk.adapters.parts.parameter_selection.select_parameters`.
        lr: rate of Adam.
        adam_betas: Adam's.
        max_norm: longer gradients are shortened to this norm; None leaves them.

    Attributes:
        weights: the selected parameters by name, the estimator's own tensors.
    """

    def __init__(
        self,
        estimator: Estimator,
        parameters: str,
        lr: float,
        adam_betas: tuple[float, float],
        max_norm: Optional[float] = None,
    ) -> None:
        self.max_norm = max_norm
        self.estimator = estimator.eval().requires_grad_(False)
        self.weights = {
            name: value.requires_grad_()
            for name, value in select_parameters(estimator, parameters).items()
        }
        self.adam = GuardedAdam(self.weights.values(), lr, adam_betas)

    def descend(self, objective: Objective) -> Tensor:
        """One step, left out where something is not finite; returns the loss."""
        gradient, loss = plain_gradient(self.weights, objective)
        if self.max_norm is not None:
            gradient = clip_norm(gradient, self.max_norm)
        self.adam.step(gradient, [loss])
        return loss

    @property
    def rate(self) -> float:
        """Of Adam's next step."""
        return self.adam.optimizer.param_groups[0]['lr']

    @rate.setter
    def rate(self, rate: float) -> None:
        self.adam.optimizer.param_groups[0]['lr'] = rate

    def state_dict(self, iteration: int) -> dict[str, Any]:
        """Everything that the next iteration depends on."""
        return dict(
            iteration=iteration,
            estimator=self.estimator.state_dict(),
            adam=self.adam.optimizer.state_dict(),
        )

    def resume(self, state: Optional[dict[str, Any]]) -> int:
        """Takes a state back and returns its iteration; 0 without one."""
        if not state:
            return 0
        self.estimator.load_state_dict(state['estimator'])
        self.adam.optimizer.load_state_dict(state['adam'])
        return state['iteration']


class Progress:
    """Counts the steps, stores states between them, and reports.

    A step's random numbers must follow from its number alone.

    Args:
        preparation: where states lie; the learner takes the last one back.
        learner: what the steps change.
        total: steps of a whole preparation.
        save_every: steps between states.

    Attributes:
        first: the step to begin with.
    """

    def __init__(
        self, preparation: Preparation, learner: Learning, total: int, save_every: int
    ) -> None:
        self.preparation, self.learner, self.total, self.save_every = (
            preparation,
            learner,
            total,
            save_every,
        )
        self.first = learner.resume(preparation.load('progress'))

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.first, self.total))

    def finish(self, step: int, **numbers: Any) -> None:
        """Ends a step, with numbers such as the loss."""
        done = step + 1
        if done == self.total or done % self.save_every == 0:
            self.preparation.save('progress', self.learner.state_dict(done))
        self.preparation.step(done, self.total, **numbers)

    def weights(self) -> dict[str, Tensor]:
        """The estimator's, which no longer require gradients: what a preparation returns."""
        estimator = self.learner.estimator
        estimator.requires_grad_(False).zero_grad(set_to_none=True)
        return {name: value.detach().clone() for name, value in estimator.state_dict().items()}
