"""Three ways to predict a sequence.

With unchanged weights, after adapting to each batch, or by fitting bodies to each batch's masks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Optional

import torch
from torch import Tensor

from hrtk.adapters.base import Session
from hrtk.adapters.parts.targets import WITHOUT_EVIDENCE
from hrtk.adapters.topology.learner import BodyFitter, MaskLearner
from hrtk.adapters.topology.objectives import MaskBatch, MaskObjectives
from hrtk.adapters.topology.pose_space import PoseSpace, Theta
from hrtk.adapters.topology.targets import SequenceTargets, join_batch
from hrtk.models.estimators import Estimator
from hrtk.structures import Prediction, Sequence


class PoseSpaceSession(Session):
    """Predicts with unchanged weights and projects every prediction onto the pose space.

    Args:
        estimator: network that predicts the bodies.
        space: pose space (prior) onto which every prediction is projected.
        batch_size: frames per batch.
    """

    def __init__(self, estimator: Estimator, space: PoseSpace, batch_size: int) -> None:
        self.estimator = estimator.eval()
        self.space = space
        self.batch_size = batch_size

    def start_sequence(self, sequence: Sequence) -> None:
        """Called before the first frame; does nothing here."""

    def process_batch(self, crops: Tensor, frames: range) -> Theta:
        """Returns the bodies of one batch; a subclass adapts the weights or fits the bodies first.

        Args:
            crops: (B, 3, R, R) of these frames.
            frames: B consecutive indices.
        """
        with torch.no_grad():
            return self.space.theta(self.estimator(crops))

    def run(self, sequence: Sequence) -> Iterator[Prediction]:
        """Yields the prediction of every frame, computed batch by batch."""
        return self._run_from(sequence, 0, None)

    def midway_state(self, done: int) -> Optional[dict[str, Any]]:
        """The state between two batches; None inside a batch, whose frames are predicted together."""
        if done % self.batch_size:
            return None
        return self.progress()

    def progress(self) -> dict[str, Any]:
        """What a subclass needs to continue between two batches of a sequence, without the estimator's weights."""
        return {}

    def load_progress(self, state: dict[str, Any]) -> None:
        """Continues from :meth:`progress`; the sequence is started."""

    def run_from(
        self, sequence: Sequence, done: int, state: dict[str, Any]
    ) -> Iterator[Prediction]:
        """Yields the predictions of the frames behind the first ``done``."""
        return self._run_from(sequence, done, state)

    def _run_from(
        self, sequence: Sequence, done: int, state: Optional[dict[str, Any]]
    ) -> Iterator[Prediction]:
        self.estimator.eval()
        self.start_sequence(sequence)
        if state is not None:
            self.load_progress(state)
        for first in range(done, len(sequence), self.batch_size):
            frames = range(first, min(first + self.batch_size, len(sequence)))
            crops = self.estimator.crops(sequence, frames)
            theta = self.process_batch(crops, frames)
            with torch.no_grad():
                prediction = self.space.prediction(theta)
            for i in range(len(frames)):
                yield prediction[i : i + 1]


class _MaskSession(PoseSpaceSession):
    """Base of the sessions that use the masks of a sequence.

    Args:
        estimator: network that predicts the bodies.
        space: pose space (prior) onto which every prediction is projected.
        objectives: the losses.
        batch_size: frames per batch.
    """

    targets: SequenceTargets  # supervision of the current sequence, see start_sequence

    def __init__(
        self, estimator: Estimator, space: PoseSpace, objectives: MaskObjectives, batch_size: int
    ) -> None:
        super().__init__(estimator, space, batch_size)
        self.objectives = objectives
        self._unusable = 0

    def start_sequence(self, sequence: Sequence) -> None:
        """Opens the masks and keypoints of a sequence."""
        self.targets = SequenceTargets(sequence, self.estimator, self.objectives)
        self._unusable = 0

    @property
    def counts(self) -> dict[str, int | float]:
        """Counts of the last sequence.

        ``skipped_masks``: frames whose mask was not usable; ``frames_without_evidence``, if there are any: frames that
        no loss could use.
        """
        counts: dict[str, int | float] = {'skipped_masks': sum(self.targets.skipped.values())}
        if self._unusable:
            counts[WITHOUT_EVIDENCE] = self._unusable
        return counts

    def progress(self) -> dict[str, Any]:
        """The counts."""
        return dict(skipped_masks=dict(self.targets.skipped), unusable=self._unusable)

    def load_progress(self, state: dict[str, Any]) -> None:
        """Continues to count."""
        self.targets.skipped.update(state['skipped_masks'])
        self._unusable = state['unusable']

    def _batch(self, crops: Tensor, frames: range) -> MaskBatch:
        batch = join_batch(crops, [self.targets.get(list(frames))], self.objectives)
        self._unusable += int((~batch.usable).sum())
        return batch


class LearningSession(_MaskSession):
    """Adapts the weights to each batch of frames by Algorithm 1, then predicts these frames.

    Iterations are numbered from 0 in every batch, so each batch begins with a fitting iteration; with ``iterations=1``
    the session only learns from fitted bodies.

    Args:
        mask_learner: performs one iteration on a batch.
        batch_size: frames per batch.
        iterations: iterations per batch.
    """

    def __init__(self, mask_learner: MaskLearner, batch_size: int, iterations: int) -> None:
        super().__init__(
            mask_learner.estimator, mask_learner.space, mask_learner.objectives, batch_size
        )
        self.mask_learner = mask_learner
        self.iterations = iterations

    def start_sequence(self, sequence: Sequence) -> None:
        """Opens the masks and keypoints of a sequence, and resets the counts."""
        super().start_sequence(sequence)
        self.mask_learner.reset_counts()

    def process_batch(self, crops: Tensor, frames: range) -> Theta:
        """Adapts the weights to a batch and returns the bodies that the adapted network predicts."""
        batch = self._batch(crops, frames)
        for iteration in range(self.iterations):
            self.mask_learner.step(iteration, batch)
        return super().process_batch(crops, frames)

    @property
    def counts(self) -> dict[str, int | float]:
        """Adds ``skipped_updates``: steps whose loss or gradient was not finite."""
        return {**super().counts, 'skipped_updates': self.mask_learner.skipped}

    @property
    def state_bytes(self) -> int:
        """Bytes of the adapting weights and of the moments of all optimisers."""
        return self.mask_learner.learner.state_bytes

    def progress(self) -> dict[str, Any]:
        """The counts and the moments of the optimisers."""
        learner = self.mask_learner
        return dict(
            super().progress(), moments=learner.state_dict(), updates=learner.skipped_by_name
        )

    def load_progress(self, state: dict[str, Any]) -> None:
        """Continues with the counts and the moments of the optimisers."""
        super().load_progress(state)
        self.mask_learner.load_state_dict(state['moments'])
        self.mask_learner.load_skipped(state['updates'])

    def state_dict(self) -> dict[str, Any]:
        """Returns the moments of the optimisers."""
        return self.mask_learner.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resumes from a :meth:`state_dict`."""
        self.mask_learner.load_state_dict(state)


class FittingSession(_MaskSession):
    """Fits the bodies of each batch of frames to their masks, with unchanged weights.

    Args:
        estimator: network that predicts the initial bodies.
        fitter: fits the bodies.
        batch_size: frames per batch.
    """

    def __init__(self, estimator: Estimator, fitter: BodyFitter, batch_size: int) -> None:
        super().__init__(estimator, fitter.space, fitter.objectives, batch_size)
        self.fitter = fitter
        self._improved: list[Tensor] = []

    def start_sequence(self, sequence: Sequence) -> None:
        """Opens the masks and keypoints of a sequence, and resets the counts."""
        super().start_sequence(sequence)
        self._improved = []

    def progress(self) -> dict[str, Any]:
        """The counts, and which bodies the fits improved."""
        return dict(super().progress(), improved=[part.cpu() for part in self._improved])

    def load_progress(self, state: dict[str, Any]) -> None:
        """Continues to count."""
        super().load_progress(state)
        self._improved = [part.to(self.estimator.device) for part in state['improved']]

    def process_batch(self, crops: Tensor, frames: range) -> Theta:
        """Returns the fitted bodies of a batch."""
        start = super().process_batch(crops, frames)
        theta, improved = self.fitter.fit(start, self._batch(crops, frames))
        self._improved.append(improved)
        return theta

    @property
    def counts(self) -> dict[str, int | float]:
        """Adds ``improved_by_fitting``, the fraction of frames whose fit improved their body."""
        counts = super().counts
        if self._improved:
            counts['improved_by_fitting'] = float(torch.cat(self._improved).float().mean())
        return counts
