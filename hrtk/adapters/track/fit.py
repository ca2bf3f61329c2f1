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

from hrtk.adapters.base import Adapter
from hrtk.adapters.parts.crop_reader import read_crops
from hrtk.adapters.parts.evidence import check_until, keypoint_error
from hrtk.adapters.parts.fitted_camera import fitted_camera
from hrtk.adapters.parts.guarded_adam import GuardedAdam
from hrtk.adapters.parts.learner_session import LearnerSession
from hrtk.adapters.parts.loss_weights import overridden
from hrtk.adapters.parts.posed import PosedPrediction
from hrtk.adapters.parts.source_bank import SourceBank, SourceSampler, warn_without_labels
from hrtk.adapters.parts.source_loss import source_loss
from hrtk.adapters.parts.targets import report_unseen
from hrtk.adapters.track.objectives import (
    SKELETON,
    LossWeights,
    Objectives,
    TrackTargets,
)
from hrtk.errors import OptionError
from hrtk.models.estimators import Estimator, hash_tensors
from hrtk.registry import ADAPTERS, ESTIMATORS, LOSSES
from hrtk.structures import Prediction, Sequence


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
        steps: passes over a segment; without ``batch`` each pass is one step of Adam.
        batch: frames per step of Adam, consecutive ones, so that accelerations are known; None is the whole segment. A
            start model that is far from the keypoints needs many steps, and with batches a pass makes many.
        until: 2D error at which a frame leaves the passes, px per coordinate on a crop of 224 px, see
            :func:`~hrtk.adapters.parts.evidence.keypoint_error`: the noise of the keypoints. Once all frames have left,
            their errors are measured again, and those above the limit return while passes remain. None: every frame is
            in all passes.
        segment: longest number of frames that are fitted together; longer tracks are cut.
        weights: overrides of the loss weights, see :class:`~hrtk.adapters.track.objectives.LossWeights`.
        robust: of :class:`~hrtk.adapters.track.objectives.Objectives`.
        anchor: config of the estimator whose depth and pose are kept; None is the estimator itself with the weights
            that the session starts with.
        source: config of the labelled source crops that are in every step if ``weights.source`` is above 0, see
            :class:`~hrtk.adapters.parts.source_bank.SourceBank`: they keep the depth of a start model whose own
            predictions are too poor to be an anchor.
        pose_prior: config of the pose prior, if ``weights.pose_prior`` is above 0; default the mixture fitted to the
            free motion.
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
    batch: Optional[int] = None
    until: Optional[float] = None
    segment: int = 256
    weights: Optional[Mapping[str, float]] = None
    robust: float = 0.1
    anchor: Optional[Mapping[str, Any]] = None
    source: Optional[Mapping[str, Any]] = None
    pose_prior: Optional[Mapping[str, Any]] = None
    parameters: str = 'all'

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.robust > 0:
            raise OptionError(f'TrackFit: robust is positive, not {self.robust}')
        check_until('TrackFit', self.until)
        # Build these now, so that bad options fail at construction.
        self.objectives
        self.source_bank

    @functools.cached_property
    def objectives(self) -> Objectives:
        """The losses."""
        loss_weights = overridden('TrackFit', LossWeights(), self.weights)
        prior = None
        if loss_weights.pose_prior:
            prior = LOSSES.build(self.pose_prior or dict(type='GMMPosePrior'))
        return Objectives(loss_weights, self.robust, prior)

    @functools.cached_property
    def source_bank(self) -> Optional[SourceBank]:
        """The labelled crops, or None if their loss is disabled."""
        if self.source is None or not self.objectives.loss_weights.source:
            return None
        return SourceBank(**self.source)

    @functools.cached_property
    def anchor_network(self) -> Optional[Estimator]:
        """The estimator of the anchor, or None."""
        if self.anchor is None:
            return None
        return ESTIMATORS.build(dict(self.anchor)).eval()

    def start(self, estimator: Estimator) -> TrackFitSession:
        """Reads the source crops and starts a session with the estimator's present weights."""
        warn_without_labels('TrackFit', 'source', self.source, self.objectives.loss_weights.source)
        if self.source_bank is not None:
            self.source_bank.load(estimator)
        return TrackFitSession(self, estimator)

    def fingerprint(self) -> dict[str, str]:
        """Returns the hashes of the anchor, of the pose prior and of the source data."""
        hashes = {}
        if self.anchor_network is not None:
            for name, value in self.anchor_network.fingerprint().items():
                hashes[f'anchor_{name}'] = value
        prior = self.objectives.pose_prior
        if prior is not None:
            hashes['pose_prior'] = hash_tensors(dict(prior.named_buffers()))
        if self.source_bank is not None:
            hashes.update(self.source_bank.fingerprint())
        return hashes


@dataclasses.dataclass(frozen=True)
class _Fit:
    """What the steps on F frames share: their crops, evidence and anchor, and their shape with its Adam."""

    inputs: Tensor
    targets: TrackTargets
    anchor: Prediction
    anchor_joints: Tensor
    shape: Tensor
    shape_adam: GuardedAdam


class TrackFitSession(LearnerSession[TrackFit]):
    """The weights under adaptation.

    Args:
        options: the adapter.
        estimator: network whose weights adapt.
    """

    def __init__(self, options: TrackFit, estimator: Estimator) -> None:
        super().__init__(options, estimator)
        self.body = estimator.required_body
        self.start_weights = {
            name: weight.detach().clone() for name, weight in self.learner.weights.items()
        }
        self.source: Optional[SourceSampler] = None
        if options.source_bank is not None:
            self.source = SourceSampler(options.source_bank)
        if options.objectives.pose_prior is not None:
            options.objectives.pose_prior.to(estimator.device)
        self._visits = 0
        self._seen = 0
        self._shape: Optional[Tensor] = None  # of the present segment

    def run(self, sequence: Sequence) -> Iterator[Prediction]:
        """Adapts to one segment after the other and yields the predictions of each."""
        self.learner.reset_counts()
        self._visits = 0
        yield from self._run_segments(sequence, 0)

    def midway_state(self, done: int) -> dict[str, Any]:
        """Returns the session's state, the shape of the segment and the counts of the sequence.

        All steps on a segment come before its first prediction, so the weights are already those of its last one, and
        the steps on a segment begin again if they are interrupted.
        """
        return {
            'learner': self.learner.state_dict(),
            'source': self._source_position,
            'skipped': self.learner.skipped_by_name,
            'visits': self._visits,
            'shape': self._shape,
        }

    def run_from(
        self, sequence: Sequence, done: int, state: dict[str, Any]
    ) -> Iterator[Prediction]:
        """Predicts the rest of the interrupted segment with its weights and shape, and adapts to the later ones."""
        self.learner.load_state_dict(state['learner'])
        self.learner.load_skipped(state['skipped'])
        if self.source is not None:
            self.source.next = state['source']
        self._visits = state['visits']
        self._shape = state['shape']
        if self._shape is not None:
            self._shape = self._shape.to(self.estimator.device)
        yield from self._run_segments(sequence, done)

    def _run_segments(self, sequence: Sequence, done: int) -> Iterator[Prediction]:
        """Yields the predictions behind the first ``done`` frames; a segment that they end in is fitted already."""
        length = self.options.segment
        targets = TrackTargets.of(sequence, self.estimator.device)
        self._unseen = report_unseen(sequence, targets.keypoints.seen)
        self._seen = int(targets.keypoints.seen.sum())
        for start in range(done - done % length, len(sequence), length):
            stop = min(start + length, len(sequence))
            frames = range(start, stop)
            inputs = read_crops(self.estimator, sequence, frames)
            if start >= done:
                self._shape = self._fit(sequence, frames, inputs, targets[start:stop])
            prediction = self._final(inputs, self._shape, targets[start:stop])
            for t in range(max(done - start, 0), stop - start):
                yield prediction[t : t + 1]

    @property
    def counts(self) -> dict[str, int | float]:
        """Adds, with ``until``, ``steps``: the mean number of passes that a frame was in."""
        counts = super().counts
        if self.options.until is not None and self._seen:
            counts['steps'] = self._visits / self._seen
        return counts

    def state_dict(self) -> dict[str, Any]:
        """Returns Adam's moments, the weights of the anchor and the position in the source."""
        return {
            'learner': self.learner.state_dict(),
            'start': self.start_weights,
            'source': self._source_position,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resumes from a :meth:`state_dict`."""
        self.learner.load_state_dict(state['learner'])
        self.start_weights = dict(state['start'])
        if self.source is not None:
            self.source.next = state['source']

    @property
    def _source_position(self) -> int:
        """The next source crop in sequential order."""
        if self.source is None:
            return 0
        return self.source.next

    def _fit(
        self, sequence: Sequence, frames: range, inputs: Tensor, targets: TrackTargets
    ) -> Optional[Tensor]:
        """Adapts to the frames of a segment with a visible keypoint; their shape, or None without such frames."""
        seen = torch.nonzero(targets.keypoints.seen).flatten()
        if not len(seen):
            return None
        return self._adapt(
            sequence, [frames[t] for t in seen.tolist()], inputs[seen], targets[seen]
        )

    def _adapt(
        self, sequence: Sequence, frames: list[int], inputs: Tensor, targets: TrackTargets
    ) -> Tensor:
        """Takes all steps on frames and returns their shape, (1, 10)."""
        options = self.options
        anchor = self._anchor(sequence, frames, inputs)
        shape = anchor.betas.mean(0, keepdim=True).clone().requires_grad_()
        fit = _Fit(
            inputs,
            targets,
            anchor,
            self._joints(anchor),
            shape,
            GuardedAdam([shape], options.shape_lr, options.adam_betas),
        )
        errors = inputs.new_full((len(inputs),), float('inf'))
        for number in range(options.steps):
            behind = torch.arange(len(inputs), device=inputs.device)
            if options.until is not None and number:
                behind = torch.nonzero(~(errors <= options.until)).flatten()
                if not len(behind):
                    errors = self._errors(fit)
                    behind = torch.nonzero(~(errors <= options.until)).flatten()
            if not len(behind):
                break
            for rows in self._batches(behind):
                errors[rows] = self._step(fit, rows).to(errors.dtype)
            self._visits += len(behind)
        return shape.detach()

    def _batches(self, frames: Tensor) -> SequenceOf[Tensor]:
        """Cuts frames into runs at a random place, and returns them in random order; each is sorted."""
        batch = self.options.batch
        if batch is None or batch >= len(frames):
            return [frames]
        offset = int(torch.randint(batch, ()))
        runs = [frames[:offset], *frames[offset:].split(batch)]
        runs = [run for run in runs if len(run)]
        return [runs[index] for index in torch.randperm(len(runs)).tolist()]

    def _step(self, fit: _Fit, rows: Tensor) -> Tensor:
        """Takes a step of both Adams on frames, and returns their 2D errors before it."""
        shape = fit.shape
        targets = fit.targets[rows]
        inputs = fit.inputs[rows]
        source = None
        if self.source is not None:
            source = self.source.draw()
            inputs = torch.cat([inputs, source.images])
        raw = self.estimator(inputs)
        prediction = self._with_shape(raw[: len(rows)], shape)
        joints = self._joints(prediction)
        loss = self.options.objectives(
            joints, prediction, fit.anchor_joints[rows], fit.anchor[rows], targets
        )
        if source is not None:
            posed = PosedPrediction.of(raw[len(rows) :], self.body)
            weight = self.options.objectives.loss_weights.source
            loss = loss + weight * source_loss(posed, source, self.body)
        leaves = [*self.learner.weights.values(), shape]
        *gradient, shape_gradient = torch.autograd.grad(
            loss, leaves, allow_unused=True, materialize_grads=True
        )
        self.learner.step(gradient, [loss.detach()])
        fit.shape_adam.step([shape_gradient], [loss.detach()])
        if self.options.until is None:
            return loss.new_zeros(())
        return keypoint_error(targets.project(joints.detach()), targets.keypoints)

    @torch.no_grad()
    def _errors(self, fit: _Fit) -> Tensor:
        """The 2D errors of all frames at the present weights."""
        prediction = self._with_shape(self.estimator(fit.inputs), fit.shape)
        return keypoint_error(fit.targets.project(self._joints(prediction)), fit.targets.keypoints)

    @torch.no_grad()
    def _final(self, inputs: Tensor, shape: Optional[Tensor], targets: TrackTargets) -> Prediction:
        """Predictions with one shape and cameras that fit the keypoints, where enough of them are visible.

        Without a shape, those of the network as they are.
        """
        if shape is None:
            return self.estimator(inputs)
        prediction = self._with_shape(self.estimator(inputs), shape)
        camera = fitted_camera(self._joints(prediction), targets.keypoints, prediction.camera)
        return dataclasses.replace(prediction, camera=camera)

    @torch.no_grad()
    def _anchor(self, sequence: Sequence, frames: SequenceOf[int], inputs: Tensor) -> Prediction:
        """The prediction whose depth and pose are kept."""
        network = self.options.anchor_network
        if network is None:
            return functional_call(self.estimator, self.start_weights, (inputs,))
        network.to(self.estimator.device)
        return network(read_crops(network, sequence, frames))

    def _joints(self, prediction: Prediction) -> Tensor:
        return self.body.joints(prediction.rotmat, prediction.betas, SKELETON)

    @staticmethod
    def _with_shape(prediction: Prediction, shape: Tensor) -> Prediction:
        return dataclasses.replace(prediction, betas=shape.expand(len(prediction), -1))
