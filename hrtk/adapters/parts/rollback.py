"""The last good weights of a session: where the steps on a frame end in a prediction that is not finite, they return.

A step with a loss or gradient that is not finite is skipped by Adam itself. What remains is a step that is finite and
far too large, e.g. with a learning rate of one, behind which the network overflows.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hrtk.adapters.parts.learner import Learner
from hrtk.structures import Prediction


class GoodWeights:
    """A copy of the adapting weights, of the last state whose prediction was finite.

    Args:
        learner: the weights with their Adam.
        delayed: whether a prediction is that of the weights before the steps of its frame, so that the weights after
            them are known to be good one frame later.
    """

    def __init__(self, learner: Learner, delayed: bool) -> None:
        self.learner = learner
        self.delayed = delayed
        self._latest = self._copied()
        self._good = self._latest
        if delayed:
            self._good = self._copied()

    def remember(self) -> None:
        """Copies the weights before the steps on a frame."""
        torch._foreach_copy_(self._latest, self._weights())

    def confirm(self) -> None:
        """The prediction of the frame is finite."""
        if self.delayed:
            self._latest, self._good = self._good, self._latest

    def as_dict(self) -> dict[str, Tensor]:
        """The good weights by name."""
        return dict(zip(self.learner.weights, self._good))

    @torch.no_grad()
    def restore(self) -> None:
        """Returns to the good weights; Adam begins again."""
        torch._foreach_copy_(self._weights(), self._good)
        self.learner.restart()

    def state_dict(self) -> dict[str, list[Tensor]]:
        """Returns the good weights where they are not those of the estimator."""
        if not self.delayed:
            return {}
        return {'good': self._good}

    def load_state_dict(self, state: dict[str, list[Tensor]]) -> None:
        """Resumes from a :meth:`state_dict`."""
        for own, weight in zip(self._good, state.get('good', [])):
            own.copy_(weight)

    def _weights(self) -> list[Tensor]:
        return [weight.detach() for weight in self.learner.weights.values()]

    def _copied(self) -> list[Tensor]:
        return [weight.clone() for weight in self._weights()]


def is_finite(prediction: Prediction) -> bool:
    """Whether all body parameters and cameras are finite; waits for a GPU."""
    total = prediction.rotmat.sum() + prediction.betas.sum() + prediction.camera.sum()
    return bool(total.isfinite())
