"""Algorithm 1 of silhouette-topology alignment on one batch."""

from __future__ import annotations

import dataclasses
import functools

import torch
from torch import Tensor

from hrtk.adapters.parts.gradients import Weights
from hrtk.adapters.parts.learner import Learner
from hrtk.adapters.topology.fitting import fit
from hrtk.adapters.topology.objectives import MaskBatch, MaskObjectives
from hrtk.adapters.topology.pose_space import PoseSpace, Theta
from hrtk.models.estimators import Estimator
from hrtk.structures import Prediction

FIT = 'fit'


@dataclasses.dataclass(frozen=True)
class Fitting:
    """How bodies are fitted to masks.

    Attributes:
        steps: of Adam.
        lr: Adam's rate.
    """

    steps: int
    lr: float


class BodyFitter:
    """Fits bodies to their masks, from where the network puts them.

    Args:
        estimator: its body is fitted.
        space: the coordinates that are fitted.
        objectives: the losses.
        fitting: steps and rate.
    """

    def __init__(
        self,
        estimator: Estimator,
        space: PoseSpace,
        objectives: MaskObjectives,
        fitting: Fitting,
    ) -> None:
        self.body = estimator.required_body
        self.space = space
        self.objectives = objectives
        self.fitting = fitting

    def fit(self, start: Theta, batch: MaskBatch) -> tuple[Theta, Tensor]:
        """Returns the fitted bodies, unchanged where a mask is not usable, and (B,) bool, which improved."""

        def objective(prediction: Prediction) -> Tensor:
            return self.objectives.all_terms(prediction, self.body, batch)

        return fit(self.space, start, objective, self.fitting.steps, self.fitting.lr)


class MaskLearner:
    """The weights that adapt, with one Adam per loss and one for the fitted bodies.

    Args:
        learner: the weights, with the optimisers :func:`optimiser_names`.
        fitter: fits bodies to masks.
        fit_every: K of Algorithm 1: one of so many iterations learns from fitted bodies; 0 for none.
    """

    def __init__(self, learner: Learner, fitter: BodyFitter, fit_every: int) -> None:
        self.learner = learner
        self.estimator = learner.estimator
        self.fitter = fitter
        self.space = fitter.space
        self.objectives = fitter.objectives
        self.fit_every = fit_every

    def step(self, iteration: int, batch: MaskBatch) -> dict[str, Tensor]:
        """Takes one iteration and returns its losses by name."""
        if self.fit_every and iteration % self.fit_every == 0:
            return {FIT: self._learn_from_fits(batch)}
        losses = {}
        for name in self.objectives.names:
            objective = functools.partial(self._alignment_loss, name, batch)
            losses[name] = self.learner.descend(objective, name)
        return losses

    def _learn_from_fits(self, batch: MaskBatch) -> Tensor:
        with torch.no_grad():
            start = self.space.theta(self.estimator(batch.crops))
        target, improved = self.fitter.fit(start, batch)
        objective = functools.partial(self._fit_loss, batch.crops, target, improved)
        return self.learner.descend(objective, FIT)

    def _alignment_loss(self, name: str, batch: MaskBatch, _: Weights) -> Tensor:
        """L_S, L_T or the reprojection error of the network's predictions."""
        theta = self.space.theta(self.estimator(batch.crops))
        prediction = self.space.prediction(theta)
        return self.objectives.mean(name, prediction, self.fitter.body, batch)

    def _fit_loss(self, crops: Tensor, target: Theta, improved: Tensor, _: Weights) -> Tensor:
        """L_Theta over the bodies that the fit improved."""
        distance = self.space.distance(self.space.theta(self.estimator(crops)), target)
        weight = self.objectives.loss_weights['fit']
        return weight * (distance * improved).sum() / improved.sum().clamp_min(1)


def optimiser_names(objectives: MaskObjectives) -> tuple[str, ...]:
    """The optimisers of Algorithm 1: one per loss, and one for fitted bodies."""
    return (*objectives.names, FIT)
