"""Algorithm 1 of silhouette-topology alignment on one batch: the weights that adapt, with an Adam per loss."""

from __future__ import annotations

import dataclasses
from typing import Any, Callable, Optional

import torch
from torch import Tensor

from hrtk.adapters.parts.gradients import plain_gradient
from hrtk.adapters.parts.guarded_adam import GuardedAdam
from hrtk.adapters.parts.parameter_selection import select_parameters
from hrtk.adapters.topology.fitting import fit
from hrtk.adapters.topology.objectives import MaskBatch, MaskObjectives
from hrtk.adapters.topology.pose_space import PoseSpace, Theta
from hrtk.models.estimators import Estimator


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How Algorithm 1 runs, see :class:`~hrtk.adapters.topology.TopologyAdapter`."""

    every: int
    fitting_steps: int
    fitting_rate: float
    lr: float
    adam_betas: tuple[float, float]
    parameters: str


class MaskLearner:
    """The weights that adapt, with an Adam per loss and one for what was fitted.

    Args:
        estimator: in evaluation mode; of its parameters only the selected ones require gradients from now on.
        space: in which bodies are fitted.
        objectives: the losses.
        schedule: rates and steps.
    """

    def __init__(
        self, estimator: Estimator, space: PoseSpace, objectives: MaskObjectives, schedule: Schedule
    ) -> None:
        self.estimator, self.space, self.objectives, self.schedule = (
            estimator,
            space,
            objectives,
            schedule,
        )
        estimator.eval().requires_grad_(False)
        self.weights = {
            name: value.requires_grad_()
            for name, value in select_parameters(estimator, schedule.parameters).items()
        }
        self._start = {name: value.detach().clone() for name, value in self.weights.items()}
        self._new_adams()

    @property
    def skipped(self) -> Tensor:
        """Steps that were left out since something was not finite."""
        return sum(adam.skipped for adam in self.adams.values())

    def step(self, iteration: int, batch: MaskBatch) -> dict[str, Tensor]:
        """One iteration; returns the losses."""
        every = self.schedule.every
        if every and iteration % every == 0:
            with torch.no_grad():
                start = self.space.theta(self.estimator(batch.crops))
            target, better = self.fit(start, batch)
            return {
                'fit': self._descend('fit', lambda _: self._towards(batch.crops, target, better))
            }
        return {
            name: self._descend(name, lambda _, name=name: self._aligned(name, batch))
            for name in self.objectives.names
        }

    def fit(self, start: Theta, batch: MaskBatch) -> tuple[Theta, Tensor]:
        """Bodies fitted to their masks, those of unusable masks as they were; and (B,) which got better."""

        def objective(prediction):
            return self.objectives.every(prediction, self.estimator.body, batch)

        return fit(
            self.space, start, objective, self.schedule.fitting_steps, self.schedule.fitting_rate
        )

    @torch.no_grad()
    def restart(self) -> None:
        """Back to the weights of the beginning, without memory of any step."""
        torch._foreach_copy_(list(self.weights.values()), list(self._start.values()))
        self._new_adams()

    def state_dict(self, iteration: int) -> dict[str, Any]:
        """Everything that the next iteration depends on."""
        return dict(
            iteration=iteration,
            estimator=self.estimator.state_dict(),
            adams={name: adam.optimizer.state_dict() for name, adam in self.adams.items()},
        )

    def resume(self, state: Optional[dict[str, Any]]) -> int:
        """Takes a state back and returns its iteration; 0 without one."""
        if not state:
            return 0
        self.estimator.load_state_dict(state['estimator'])
        for name, adam in self.adams.items():
            adam.optimizer.load_state_dict(state['adams'][name])
        return state['iteration']

    def _new_adams(self) -> None:
        self.adams = {
            name: GuardedAdam(self.weights.values(), self.schedule.lr, self.schedule.adam_betas)
            for name in (*self.objectives.names, 'fit')
        }

    def _descend(self, name: str, objective: Callable[[Any], Tensor]) -> Tensor:
        gradient, loss = plain_gradient(self.weights, objective)
        self.adams[name].step(gradient, [loss])
        return loss

    def _aligned(self, name: str, batch: MaskBatch) -> Tensor:
        prediction = self.space.prediction(self.space.theta(self.estimator(batch.crops)))
        return self.objectives.mean(name, prediction, self.estimator.body, batch)

    def _towards(self, crops: Tensor, target: Theta, better: Tensor) -> Tensor:
        """L_Theta over the bodies whose fit got better."""
        distance = self.space.distance(self.space.theta(self.estimator(crops)), target)
        return (
            self.objectives.weights['fit'] * (distance * better).sum() / better.sum().clamp_min(1)
        )
