"""The state of bilevel adaptation: the student, its mean teacher and the frozen trunk."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from hrtk.adapters.parts.learner import ADAM, Learner
from hrtk.adapters.parts.posed import SKELETON, PosedPrediction
from hrtk.adapters.parts.trunk import Trunk
from hrtk.models.estimators import Estimator
from hrtk.structures import Prediction


class BilevelState:
    """The adapting weights with their Adam, and the mean teacher.

    Args:
        model: the estimator; of its parameters only the selected ones require gradients from now on.
        parameters: which weights adapt, see :func:`~hrtk.adapters.parts.parameter_selection.select_parameters`.
        lr: learning rate of Adam.
        adam_betas: decay rates of Adam's moments.
        pull: of :class:`~hrtk.adapters.parts.learner.Learner`.
        soft_reset: of :class:`~hrtk.adapters.parts.learner.Learner`.

    Attributes:
        learner: the weights and Adam.
        teacher: the mean teacher's values of these weights.
        trunk: computes the input of the adapting part, the argument ``inputs`` of all methods here.
    """

    def __init__(
        self,
        model: Estimator,
        parameters: str,
        lr: float,
        adam_betas: tuple[float, float],
        pull: float = 0.0,
        soft_reset: bool = False,
    ) -> None:
        self.model = model
        self.learner = Learner(model, parameters, lr, adam_betas, pull=pull, soft_reset=soft_reset)
        self.trunk = Trunk(model, self.learner.weights)
        detached = {name: weight.detach() for name, weight in self.learner.weights.items()}
        self.teacher = copy.deepcopy(detached)
        self._adapting_part = _AdaptingPart(model)

    @property
    def weights(self) -> dict[str, Tensor]:
        """The adapting parameters by name, the model's own tensors."""
        return self.learner.weights

    def run(self, weights: Mapping[str, Tensor], inputs: Tensor) -> Prediction:
        """Runs the adapting part with ``weights`` in place of the model's own."""
        if not self.trunk.shared:
            return functional_call(self.model, dict(weights), (inputs,))
        prefixed = {f'model.{name}': value for name, value in weights.items()}
        return functional_call(self._adapting_part, prefixed, (inputs,))

    @torch.no_grad()
    def predict(self, inputs: Tensor) -> Prediction:
        """Returns the prediction of the present weights, without a graph."""
        if self.trunk.shared:
            return self.model.from_trunk(inputs)
        return self.model(inputs)

    @torch.no_grad()
    def predict_as_teacher(self, inputs: Tensor, skeleton: str = SKELETON) -> PosedPrediction:
        """Returns the mean teacher's prediction, without a graph."""
        return PosedPrediction.of(
            self.run(self.teacher, inputs), self.model.required_body, skeleton
        )

    @torch.no_grad()
    def update_teacher(self, keep: float) -> None:
        """Moves the teacher: ``teacher = keep * teacher + (1 - keep) * student``."""
        student = [weight.detach() for weight in self.weights.values()]
        torch._foreach_lerp_(list(self.teacher.values()), student, 1 - keep)

    @torch.no_grad()
    def reset_teacher(self) -> None:
        """Sets the teacher to the student, as at the start of a session."""
        student = [weight.detach() for weight in self.weights.values()]
        torch._foreach_copy_(list(self.teacher.values()), student)

    @property
    def state_bytes(self) -> int:
        """Bytes of the student, of Adam's moments and of the teacher."""
        return self.learner.state_bytes + sum(value.nbytes for value in self.teacher.values())

    def state_dict(self) -> dict[str, Any]:
        """Returns Adam's moments, the teacher and the learner's copies; the student's weights are the estimator's."""
        return {
            'optimizer': self.learner.state_dict()[ADAM],
            'teacher': dict(self.teacher),
            'start': dict(self.learner.start),
            'average': dict(self.learner.average),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resumes from a :meth:`state_dict`."""
        self.learner.load_state_dict({ADAM: state['optimizer']})
        device = self.model.device
        self.learner.start = {name: value.to(device) for name, value in state['start'].items()}
        average = {name: value.to(device) for name, value in state['average'].items()}
        self.learner.average = average
        self.teacher = {name: value.to(device) for name, value in state['teacher'].items()}


class _AdaptingPart(nn.Module):
    """An estimator behind its trunk, as a module of its own."""

    def __init__(self, model: Estimator) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> Prediction:
        return self.model.from_trunk(inputs)
