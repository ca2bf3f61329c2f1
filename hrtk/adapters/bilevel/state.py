"""What online adapters carry from step to step."""

from __future__ import annotations

import copy
from typing import Mapping, Optional

import torch
from torch import Tensor, nn
from torch.func import functional_call

from hrtk.adapters.parts.guarded_adam import GuardedAdam
from hrtk.adapters.parts.parameter_selection import select_parameters
from hrtk.adapters.parts.posed import SKELETON, Posed
from hrtk.adapters.parts.trunk import Trunk
from hrtk.models.estimators import Estimator
from hrtk.structures import Prediction


class State:
    """The weights that adapt, Adam's moments and the mean teacher.

    Args:
        model: the estimator; of its parameters only the selected ones require gradients from now on.
        parameters: of :func:`~hrtk.adapters.parts.parameter_selection.select_parameters`.
        lr: of Adam.
        adam_betas: of Adam.
        before: the state that this one replaces.

    Attributes:
        weights: the adapting parameters by name, the model's own tensors.
        teacher: the mean teacher's values of them.
        trunk: turns crops into what :meth:`run` takes.
        adam: steps the weights; it counts the updates that were not finite.
    """

    def __init__(
        self,
        model: Estimator,
        parameters: str,
        lr: float,
        adam_betas: tuple[float, float],
        before: Optional[State] = None,
    ) -> None:
        self.model = model
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        self.weights = {
            name: value.requires_grad_()
            for name, value in select_parameters(model, parameters).items()
        }
        self.trunk = Trunk(model, self.weights)
        if before is not None:
            self.trunk.inherit(before.trunk)
        self._rest = _Rest(model)
        self.start = copy.deepcopy({name: value.detach() for name, value in self.weights.items()})
        self._rates = lr, adam_betas
        self.adam = GuardedAdam(self.weights.values(), *self._rates)
        self.teacher = copy.deepcopy(self.start)

    @torch.no_grad()
    def restart(self) -> None:
        """Back to the weights of the beginning, without memory of any step."""
        torch._foreach_copy_(list(self.weights.values()), list(self.start.values()))
        self.teacher = copy.deepcopy(self.start)
        skipped = self.adam.skipped
        self.adam = GuardedAdam(self.weights.values(), *self._rates)
        self.adam.skipped = skipped  # a count, not a memory

    def run(self, weights: Mapping[str, Tensor], maps: Tensor) -> Prediction:
        """The network behind the trunk with these weights in place of its own."""
        if not self.trunk.shared:
            return functional_call(self.model, dict(weights), (maps,))
        return functional_call(
            self._rest, {f'model.{name}': value for name, value in weights.items()}, (maps,)
        )

    @torch.no_grad()
    def predict(self, maps: Tensor) -> Prediction:
        """The present prediction, without a graph."""
        return self.model.from_trunk(maps) if self.trunk.shared else self.model(maps)

    @torch.no_grad()
    def teach(self, maps: Tensor, skeleton: str = SKELETON) -> Posed:
        """The mean teacher's view of a frame."""
        return Posed.of(self.run(self.teacher, maps), self.model.body, skeleton)

    @torch.no_grad()
    def update_teacher(self, keep: float) -> None:
        """teacher = keep * teacher + (1 - keep) * student."""
        torch._foreach_lerp_(
            list(self.teacher.values()), [w.detach() for w in self.weights.values()], 1 - keep
        )


class _Rest(nn.Module):
    """An estimator behind its trunk, as a module of its own."""

    def __init__(self, model: Estimator) -> None:
        super().__init__()
        self.model = model

    def forward(self, maps: Tensor) -> Prediction:
        return self.model.from_trunk(maps)
