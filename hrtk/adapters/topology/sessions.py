"""The three ways to predict a sequence: as it is, after learning from each batch, and by fitting each batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from hrtk.adapters.base import Session
from hrtk.adapters.topology.learner import BodyFitter, MaskLearner
from hrtk.adapters.topology.pose_space import PoseSpace, Theta
from hrtk.adapters.topology.targets import MaskBatch, SequenceTargets, joined_batch
from hrtk.models.estimators import Estimator
from hrtk.structures import Prediction, Sequence


class PoseSpaceSession(Session):
    """Predicts through the pose prior, with the weights as they are.

    Args:
        estimator: predicts.
        space: every prediction passes through its coordinates.
        batch_size: frames at once.
    """

    def __init__(self, estimator: Estimator, space: PoseSpace, batch_size: int) -> None:
        self.estimator = estimator.eval()
        self.space = space
        self.batch_size = batch_size

    def start_sequence(self, sequence: Sequence) -> None:
        """Reads what a sequence is adapted to."""

    def theta(self, crops: Tensor, frames: range) -> Theta:
        """The bodies of some frames of the sequence.

        Args:
            crops: (B, 3, R, R) of these frames.
            frames: B consecutive indices.
        """
        with torch.no_grad():
            return self.space.theta(self.estimator(crops))

    def run(self, sequence: Sequence) -> Iterator[Prediction]:
        """Yields the prediction of every frame, computed batch by batch."""
        self.estimator.eval()
        self.start_sequence(sequence)
        for first in range(0, len(sequence), self.batch_size):
            frames = range(first, min(first + self.batch_size, len(sequence)))
            theta = self.theta(self.estimator.crops(sequence, frames), frames)
            with torch.no_grad():
                prediction = self.space.prediction(theta)
            for i in range(len(frames)):
                yield prediction[i : i + 1]


class _MaskSession(PoseSpaceSession):
    """Predicts a sequence with the help of its masks.

    Args:
        estimator: predicts.
        fitter: has the pose space and the losses.
        batch_size: frames at once.
    """

    targets: SequenceTargets

    def __init__(self, estimator: Estimator, fitter: BodyFitter, batch_size: int) -> None:
        super().__init__(estimator, fitter.space, batch_size)
        self.objectives = fitter.objectives
        self.fitter = fitter

    def start_sequence(self, sequence: Sequence) -> None:
        """Opens the masks and keypoints of a sequence."""
        self.targets = SequenceTargets(sequence, self.estimator, self.objectives)

    @property
    def counts(self) -> dict[str, int | float]:
        """``skipped_masks`` of the last sequence: frames whose mask was not usable."""
        return {'skipped_masks': sum(self.targets.skipped.values())}

    def _batch(self, crops: Tensor, frames: range) -> MaskBatch:
        return joined_batch(crops, [self.targets.get(list(frames))], self.objectives)


class LearningSession(_MaskSession):
    """Takes iterations of Algorithm 1 on a batch of frames, then predicts these frames.

    Args:
        learner: changes the weights.
        batch_size: frames at once.
        iterations: per batch.
    """

    def __init__(self, learner: MaskLearner, batch_size: int, iterations: int) -> None:
        super().__init__(learner.estimator, learner.fitter, batch_size)
        self.learner = learner
        self.iterations = iterations

    def start_sequence(self, sequence: Sequence) -> None:
        """Opens the masks and keypoints of a sequence."""
        super().start_sequence(sequence)
        self.learner.learner.reset_counts()

    def theta(self, crops: Tensor, frames: range) -> Theta:
        """Adapts to some frames; returns the bodies that the adapted network predicts."""
        batch = self._batch(crops, frames)
        for iteration in range(self.iterations):
            self.learner.step(iteration, batch)
        return super().theta(crops, frames)

    @property
    def counts(self) -> dict[str, int | float]:
        """Adds ``skipped_updates``: steps whose loss or gradient was not finite."""
        return {**super().counts, 'skipped_updates': self.learner.learner.skipped}

    def state_dict(self) -> dict[str, Any]:
        """Returns the moments of the optimisers."""
        return self.learner.learner.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resumes from a :meth:`state_dict`."""
        self.learner.learner.load_state_dict(state)


class FittingSession(_MaskSession):
    """Fits the bodies of a batch of frames to their masks; the weights stay as they are."""

    def start_sequence(self, sequence: Sequence) -> None:
        """Opens the masks and keypoints of a sequence."""
        super().start_sequence(sequence)
        self._improved: list[Tensor] = []

    def theta(self, crops: Tensor, frames: range) -> Theta:
        """The fitted bodies of some frames."""
        theta, improved = self.fitter.fit(super().theta(crops, frames), self._batch(crops, frames))
        self._improved.append(improved)
        return theta

    @property
    def counts(self) -> dict[str, int | float]:
        """Adds ``improved_by_fitting``, the share of frames whose fit improved their body."""
        share = float(torch.cat(self._improved).float().mean())
        return {**super().counts, 'improved_by_fitting': share}
