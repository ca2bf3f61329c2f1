"""TrackFit: adaptation to a whole track, with one shape, a perspective camera and the depth of the source model."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any, Optional
from typing import Sequence as SequenceOf

import torch
from torch import Tensor
from torch.func import functional_call

from hrtk.adapters.base import Adapter, Session
from hrtk.adapters.parts.guarded_adam import GuardedAdam
from hrtk.adapters.parts.learner import Learner
from hrtk.adapters.parts.loss_weights import merged_loss_weights
from hrtk.adapters.parts.targets import report_unseen
from hrtk.adapters.track.objectives import SKELETON, LossWeights, Objectives, TrackTargets
from hrtk.errors import InputError
from hrtk.geometry.perspective import fit_crop_camera
from hrtk.models.estimators import Estimator
from hrtk.registry import ADAPTERS, ESTIMATORS
from hrtk.structures import Prediction, Sequence

BATCH_SIZE = 32  # crops that are read at once
FEWEST_POINTS = 4  # visible ones, for a camera that is fitted to them


@ADAPTERS.register_module()
@dataclasses.dataclass(frozen=True, kw_only=True)
class TrackFit(Adapter):
    """Fits the network to all frames of a track at once.

    2D keypoints say where a body is seen and nothing about its depth. A network that is fitted to them alone moves the
    depth of its joints too, because its bones and the definition of its joints are not exactly those of the person.
    Here the source model's depth is kept (the *anchor*), the 2D error is that of a perspective camera, and the whole
    track has one shape, which is fitted as well. Frames without a visible keypoint take no part; they are predicted by
    the fitted network.

    Args:
        lr: rate of Adam for the weights.
        shape_lr: rate of Adam for the betas of the track, standard deviations per step.
        adam_betas: decay rates of Adam's moments.
        steps: steps of Adam, each over a whole segment.
        segment: longest number of frames that are fitted together; longer tracks are cut.
        weights: overrides of the loss weights, see :class:`~hrtk.adapters.track.objectives.LossWeights`.
        robust: of :class:`~hrtk.adapters.track.objectives.Objectives`.
        anchor: config of the estimator whose depth and pose are kept; None is the estimator itself with the weights
            that the session starts with.
        parameters: which weights adapt, see :func:`~hrtk.adapters.parts.parameter_selection.select_parameters`.
        reset: of :class:`~hrtk.adapters.Adapter`.

    Raises:
        InputError: an option has a value that is not allowed.
    """

    uses_camera = True
    lr: float = 5e-5
    shape_lr: float = 0.05
    adam_betas: tuple[float, float] = (0.9, 0.99)
    steps: int = 60
    segment: int = 256
    weights: Optional[Mapping[str, float]] = None
    robust: float = 0.1
    anchor: Optional[Mapping[str, Any]] = None
    parameters: str = 'all'

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps < 0 or self.segment < 1 or not self.robust > 0:
            raise InputError(
                f'TrackFit: steps is not negative, segment and robust are positive, not {self.steps}, '
                f'{self.segment} and {self.robust}'
            )
        self.objectives  # noqa: B018  # bad weights fail at construction

    @functools.cached_property
    def objectives(self) -> Objectives:
        """The losses."""
        defaults = dataclasses.asdict(LossWeights())
        merged = merged_loss_weights(type(self).__name__, defaults, self.weights)
        return Objectives(LossWeights(**merged), self.robust)

    @functools.cached_property
    def anchor_network(self) -> Optional[Estimator]:
        """The estimator of the anchor, or None."""
        if self.anchor is None:
            return None
        return ESTIMATORS.build(dict(self.anchor)).eval()

    def start(self, estimator: Estimator) -> TrackFitSession:
        """Starts a session with the estimator's present weights."""
        return TrackFitSession(self, estimator)

    def fingerprint(self) -> dict[str, str]:
        """Returns the hashes of the anchor."""
        if self.anchor_network is None:
            return {}
        hashes = self.anchor_network.fingerprint()
        return {f'anchor_{name}': value for name, value in hashes.items()}


class TrackFitSession(Session):
    """The weights under adaptation.

    Args:
        options: the adapter.
        estimator: network whose weights adapt.
    """

    def __init__(self, options: TrackFit, estimator: Estimator) -> None:
        self.options = options
        self.estimator = estimator
        self.body = estimator.required_body
        self.learner = Learner(estimator, options.parameters, options.lr, options.adam_betas)
        self.start_weights = {
            name: weight.detach().clone() for name, weight in self.learner.weights.items()
        }
        self._unseen: dict[str, int | float] = {}

    def run(self, sequence: Sequence) -> Iterator[Prediction]:
        """Adapts to one segment after the other and yields the predictions of each."""
        self.learner.reset_counts()
        targets = TrackTargets.of(sequence, self.estimator.device)
        self._unseen = report_unseen(sequence, targets.keypoints.seen)
        for start in range(0, len(sequence), self.options.segment):
            stop = min(start + self.options.segment, len(sequence))
            prediction = self._fit(sequence, range(start, stop), targets[start:stop])
            for t in range(stop - start):
                yield prediction[t : t + 1]

    @property
    def counts(self) -> dict[str, int | float]:
        """Counts of the last sequence.

        ``skipped_updates``: steps whose loss or gradient was not finite; ``frames_without_evidence``, if there are any:
        frames without a visible keypoint.
        """
        return {'skipped_updates': self.learner.skipped, **self._unseen}

    def state_dict(self) -> dict[str, Any]:
        """Returns Adam's moments and the weights of the anchor."""
        return {'learner': self.learner.state_dict(), 'start': self.start_weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resumes from a :meth:`state_dict`."""
        self.learner.load_state_dict(state['learner'])
        self.start_weights = dict(state['start'])

    def _fit(self, sequence: Sequence, frames: range, targets: TrackTargets) -> Prediction:
        """Adapts to the frames of a segment with a visible keypoint, and predicts all of them."""
        inputs = self._read(self.estimator, sequence, frames)
        seen = torch.nonzero(targets.keypoints.seen).flatten()
        if not len(seen):
            with torch.no_grad():
                return self.estimator(inputs)
        shape = self._adapt(
            sequence, [frames[t] for t in seen.tolist()], inputs[seen], targets[seen]
        )
        return self._final(inputs, shape, targets)

    def _adapt(
        self, sequence: Sequence, frames: list[int], inputs: Tensor, targets: TrackTargets
    ) -> Tensor:
        """Takes all steps on frames and returns their shape, (1, 10)."""
        anchor = self._anchor(sequence, frames, inputs)
        anchor_joints = self._joints(anchor)
        shape = anchor.betas.mean(0, keepdim=True).clone().requires_grad_()
        shape_adam = GuardedAdam([shape], self.options.shape_lr, self.options.adam_betas)
        leaves = [*self.learner.weights.values(), shape]
        for _ in range(self.options.steps):
            prediction = self._with_shape(self.estimator(inputs), shape)
            loss = self.options.objectives(
                self._joints(prediction), prediction, anchor_joints, anchor, targets
            )
            *gradient, shape_gradient = torch.autograd.grad(
                loss, leaves, allow_unused=True, materialize_grads=True
            )
            self.learner.step(gradient, [loss.detach()])
            shape_adam.step([shape_gradient], [loss.detach()])
        return shape.detach()

    @torch.no_grad()
    def _final(self, inputs: Tensor, shape: Tensor, targets: TrackTargets) -> Prediction:
        """Predictions with one shape and cameras that fit the keypoints, where enough of them are visible."""
        prediction = self._with_shape(self.estimator(inputs), shape)
        confidence = targets.keypoints.confidence
        camera = fit_crop_camera(
            self._joints(prediction), targets.keypoints.xy, confidence.clamp_min(1e-6)
        )
        enough = (confidence > 0).sum(1, keepdim=True) >= FEWEST_POINTS
        usable = enough & camera.isfinite().all(1, keepdim=True) & (camera[:, :1] > 0)
        return dataclasses.replace(
            prediction, camera=torch.where(usable, camera, prediction.camera)
        )

    @torch.no_grad()
    def _anchor(self, sequence: Sequence, frames: SequenceOf[int], inputs: Tensor) -> Prediction:
        """The prediction whose depth and pose are kept."""
        network = self.options.anchor_network
        if network is None:
            return functional_call(self.estimator, self.start_weights, (inputs,))
        network.to(self.estimator.device)
        return network(self._read(network, sequence, frames))

    @staticmethod
    @torch.no_grad()
    def _read(estimator: Estimator, sequence: Sequence, frames: SequenceOf[int]) -> Tensor:
        """The crops of all frames."""
        chunks = []
        for start in range(0, len(frames), BATCH_SIZE):
            chunks.append(estimator.crops(sequence, frames[start : start + BATCH_SIZE]))
        return torch.cat(chunks)

    def _joints(self, prediction: Prediction) -> Tensor:
        return self.body.joints(prediction.rotmat, prediction.betas, SKELETON)

    @staticmethod
    def _with_shape(prediction: Prediction, shape: Tensor) -> Prediction:
        return dataclasses.replace(prediction, betas=shape.expand(len(prediction), -1))
