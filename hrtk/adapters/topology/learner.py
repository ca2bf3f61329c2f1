"""Algorithm 1 of silhouette-topology alignment on one batch."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hrtk.adapters.parts.gradients import Weights
from hrtk.adapters.parts.learner import Learner
from hrtk.adapters.topology.fitting import fit_bodies
from hrtk.adapters.topology.objectives import FIT_LOSS, MaskBatch, MaskObjectives
from hrtk.adapters.topology.pose_space import PoseSpace, Theta
from hrtk.models.estimators import Estimator
from hrtk.structures import Prediction


@dataclasses.dataclass(frozen=True)
class FittingOptions:
    """Options of fitting bodies to masks.

    Attributes:
        steps: number of Adam steps.
        lr: learning rate of Adam.
    """

    steps: int
    lr: float


class BodyFitter:
    """Fits bodies to their masks, starting from the network's prediction.

    Args:
        estimator: provides the body model.
        space: the coordinates in which bodies are fitted.
        objectives: the losses.
        options: number of steps and learning rate.
    """

    def __init__(
        self,
        estimator: Estimator,
        space: PoseSpace,
        objectives: MaskObjectives,
        options: FittingOptions,
    ) -> None:
        self.body = estimator.required_body
        self.space = space
        self.objectives = objectives
        self.options = options

    def fit(self, start: Theta, batch: MaskBatch) -> tuple[Theta, Tensor]:
        """Fits the bodies of a batch.

        Args:
            start: the network's prediction.
            batch: masks and keypoints to fit to.

        Returns:
            The fitted bodies, unchanged where a mask is not usable, and a (B,) bool mask of the bodies that the fit
            improved.
        """

        def objective(prediction: Prediction) -> Tensor:
            return self.objectives.all_terms(prediction, self.body, batch)

        return fit_bodies(self.space, start, objective, self.options.steps, self.options.lr)


class MaskLearner:
    """Runs Algorithm 1 on batches: one Adam per loss changes the weights, and one learns from fitted bodies.

    The objectives read the adapting weights through the estimator, so they do not use their argument ``_``.

    Args:
        learner: the adapting weights, with the optimisers that :func:`optimiser_names` lists.
        fitter: fits bodies to masks.
        fit_every: K of Algorithm 1: every ``fit_every``-th iteration, starting with iteration 0, learns from fitted
            bodies; 0 for none.
    """

    def __init__(self, learner: Learner, fitter: BodyFitter, fit_every: int) -> None:
        self.learner = learner
        self.estimator = learner.estimator
        self.fitter = fitter
        self.space = fitter.space
        self.objectives = fitter.objectives
        self.fit_every = fit_every

    def step(self, iteration: int, batch: MaskBatch) -> dict[str, Tensor]:
        """Performs one iteration on a batch and returns its losses by name.

        A batch without a usable frame gives no losses and no step: Adam would move the weights by its moments alone.
        """
        if not batch.has_usable:
            return {}
        is_fitting_step = self.fit_every > 0 and iteration % self.fit_every == 0
        if is_fitting_step:
            return {FIT_LOSS: self._learn_from_fits(batch)}
        losses = {}
        for name in self.objectives.names:
            objective = functools.partial(self._alignment_loss, name, batch)
            losses[name] = self.learner.descend(objective, name)
        return losses

    @property
    def skipped(self) -> int:
        """Number of steps whose loss or gradient was not finite; synchronises with the GPU."""
        return self.learner.skipped

    @property
    def skipped_by_name(self) -> dict[str, int]:
        """:attr:`skipped` of each optimiser."""
        return self.learner.skipped_by_name

    def load_skipped(self, counts: Mapping[str, int]) -> None:
        """Continues to count from :attr:`skipped_by_name`."""
        self.learner.load_skipped(counts)

    def reset_counts(self) -> None:
        """Sets :attr:`skipped` to zero."""
        self.learner.reset_counts()

    def state_dict(self) -> dict[str, Any]:
        """Returns the moments of the optimisers."""
        return self.learner.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resumes from a :meth:`state_dict`."""
        self.learner.load_state_dict(state)

    def _learn_from_fits(self, batch: MaskBatch) -> Tensor:
        with torch.no_grad():
            start = self.space.theta(self.estimator(batch.crops))
        target, improved = self.fitter.fit(start, batch)
        if not improved.any():
            return improved.new_zeros((), dtype=torch.float32)
        objective = functools.partial(self._fit_loss, batch.crops, target, improved)
        return self.learner.descend(objective, FIT_LOSS)

    def _alignment_loss(self, name: str, batch: MaskBatch, _: Weights) -> Tensor:
        """Returns L_S, L_T or the reprojection error of the network's predictions."""
        theta = self.space.theta(self.estimator(batch.crops))
        prediction = self.space.prediction(theta)
        return self.objectives.mean_loss(name, prediction, self.fitter.body, batch)

    def _fit_loss(self, crops: Tensor, target: Theta, improved: Tensor, _: Weights) -> Tensor:
        """Returns L_Theta, the distance to the fitted bodies, over those that the fit improved."""
        distance = self.space.distance(self.space.theta(self.estimator(crops)), target)
        weight = self.objectives.loss_weights[FIT_LOSS]
        return weight * (distance * improved).sum() / improved.sum().clamp_min(1)


def optimiser_names(objectives: MaskObjectives) -> tuple[str, ...]:
    """Returns the names of the optimisers of Algorithm 1: one per loss, and one for fitted bodies."""
    return (*objectives.names, FIT_LOSS)
