"""Dynamic bilevel adaptation (DynaBOA): Guan et al., "Out-of-Domain Human Mesh Reconstruction via Dynamic Bilevel
Online Adaptation", TPAMI 2022, as its code was released.

Per frame, one bilevel step with labelled crops that resemble the frame, then plain steps on the upper level as long as
they still change the regressor's features. Each pass over the frame is used more than once: the pass for the stopping
rule is also the first pass of the next step, or the prediction. Differences from the released code: the teacher has no
dropout, motion history ends at the end of a sequence, and the motion loss uses keypoints that are visible at both ends.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Optional

import torch
from torch import Tensor
from torch.nn import functional as F

from hrtk.adapters.base import Preparation
from hrtk.adapters.bilevel.objectives import LossWeights, Objectives
from hrtk.adapters.bilevel.online import Frame, OnlineAdapter, OnlineSession
from hrtk.adapters.bilevel.retrieval import ExemplarLookup, RetrievalBank
from hrtk.adapters.parts.gradients import bilevel_gradient
from hrtk.adapters.parts.posed import PosedPrediction
from hrtk.adapters.parts.source_bank import SourceBatch, warn_without_labels
from hrtk.errors import InputError
from hrtk.models.estimators import Estimator
from hrtk.registry import ADAPTERS
from hrtk.structures import Prediction

SKELETON = 'spin49'
Weights = Mapping[str, Tensor]
Level = Literal['lower', 'upper']


@ADAPTERS.register_module()
@dataclasses.dataclass(frozen=True, kw_only=True)
class DynamicBilevel(OnlineAdapter):
    """DynaBOA.

    Per frame, one pass computes the losses of the lower level, the query for its exemplars and the features with which
    the stopping rule compares those after the step. The upper level looks up its exemplars again, at the probed
    weights. While a step changes the direction of the regressor's features (first layer, last iteration) by more than
    ``threshold``, another step follows, up to ``max_extra``. Each level expects the exemplars of the previous look-up
    and includes them in the pass over the frame; a second pass runs only if the look-up finds other exemplars. The
    stopping rule and the look-up need values on the host: the GPU is synchronised once per step and once per look-up.

    The options are those of :class:`~hrtk.adapters.bilevel.online.OnlineAdapter`, with ``adam_betas`` (0.5, 0.9),
    ``order`` ``'first'``, ``teacher_update`` ``'step'`` (the released code updates the teacher after every extra step,
    too) and the loss weight ``motion`` 0.8 as defaults, and:

    Args:
        exemplars: config of the labelled crops, see :class:`~hrtk.adapters.bilevel.retrieval.RetrievalBank`; None
            disables their loss.
        threshold: 1 - cosine between the features before and after a step, above which another step follows; without
            effect if ``until`` is set, which takes its place.
        max_extra: maximum number of steps after the first one.
        extra: kind of these steps: ``'single'``, plain Adam steps on the upper level, as released, or ``'bilevel'``.
        certain_motion: compute the motion loss only where both confidences are exactly one, as the released code does.

    Raises:
        InputError: an option has a value that is not allowed.
    """

    adam_betas: tuple[float, float] = (0.5, 0.9)
    order: Literal['second', 'first'] = 'first'
    teacher_update: Literal['frame', 'step'] = 'step'
    exemplars: Optional[Mapping[str, Any]] = None
    threshold: float = 3.1e-4
    max_extra: int = 7
    extra: Literal['single', 'bilevel'] = 'single'
    certain_motion: bool = False

    DEFAULT_LOSS_WEIGHTS: ClassVar[LossWeights] = LossWeights(motion=0.8)

    def __post_init__(self) -> None:
        super().__post_init__()
        # Build this now, so that bad options fail at construction.
        self.exemplar_bank

    @functools.cached_property
    def objectives(self) -> Objectives:
        """The losses."""
        return Objectives(
            self.loss_weights,
            self.pose_prior_network,
            self.normalise,
            SKELETON,
            self.certain_motion,
            self.source_labels,
        )

    @functools.cached_property
    def exemplar_bank(self) -> Optional[RetrievalBank]:
        """The labelled crops, or None if their loss is disabled."""
        if self.exemplars is None or not self.loss_weights.source:
            return None
        return RetrievalBank(**self.exemplars)

    def prepare(self, estimator: Estimator, dataset: Any, preparation: Preparation) -> None:
        """Opens or builds the bank of exemplars while the estimator has the source model's weights."""
        self._load(estimator)

    def start(self, estimator: Estimator) -> DynamicBilevelSession:
        """Opens the exemplars and starts a session."""
        warn_without_labels('DynamicBilevel', 'exemplars', self.exemplars, self.loss_weights.source)
        self._load(estimator)
        return DynamicBilevelSession(self, estimator)

    def fingerprint(self) -> dict[str, str]:
        """Returns hashes of the pose prior's file and of the exemplars."""
        hashes = super().fingerprint()
        if self.exemplar_bank is not None:
            hashes.update(self.exemplar_bank.fingerprint())
        return hashes

    def _load(self, estimator: Estimator) -> None:
        if self.exemplar_bank is not None:
            self.exemplar_bank.load(estimator)


@dataclasses.dataclass(frozen=True)
class Observation:
    """Predictions at one set of weights.

    Attributes:
        frame: prediction of the frame.
        past: prediction of the frame ``interval`` frames ago, or None if it was not requested.
        exemplars: labelled crops that resemble the frame, or None if they were not looked up.
        exemplar_predictions: predictions of these crops, or None.
    """

    frame: PosedPrediction
    past: Optional[PosedPrediction] = None
    exemplars: Optional[SourceBatch] = None
    exemplar_predictions: Optional[PosedPrediction] = None

    @property
    def hidden(self) -> Optional[Tensor]:
        """The frame's features in the regressor, (1, H)."""
        return self.frame.prediction.hidden


class DynamicBilevelSession(OnlineSession):
    """Takes one bilevel step per frame, then further steps until the stopping rule ends them.

    Args:
        options: the adapter.
        estimator: network whose weights adapt.
    """

    def __init__(self, options: DynamicBilevel, estimator: Estimator) -> None:
        super().__init__(options, estimator)
        self.options = options
        self.lookup: Optional[ExemplarLookup] = None
        if options.exemplar_bank is not None:
            self.lookup = ExemplarLookup(options.exemplar_bank)

    def start_sequence(self) -> None:
        """Resets the counts and the last location of the exemplars."""
        super().start_sequence()
        if self.lookup is not None:
            # Expected exemplars share a pass with the frame, which rounds differently. After the reset, results do not
            # depend on the previous sequence.
            self.lookup.forget()

    def adapt_to(self, frame: Frame, past: Optional[Frame]) -> Prediction:
        """Takes one bilevel step on a frame, then further steps while they change the regressor's features."""
        options = self.options
        if not options.loss_weights.motion:
            past = None
        level: Optional[Level] = None
        if options.until is None:
            level = 'lower'
        first = self._observe(self.state.weights, frame, level)
        self._require_hidden(first)
        latest = first
        step = 0
        while step <= options.max_extra and not self.evidence_is_met(latest.frame, frame):
            before = latest
            is_bilevel = step == 0 or options.extra == 'bilevel'
            self._step(frame, past, before, is_bilevel)
            step += 1
            is_last = step > options.max_extra
            # The next step needs the graph; the last pass is only the prediction.
            with torch.set_grad_enabled(not is_last):
                latest = self._observe(self.state.weights, frame)
            if options.until is not None:
                continue
            if is_last or not _direction_change(before.hidden, latest.hidden) > options.threshold:
                break
        self.steps_taken.append(step)
        if options.teacher_update == 'frame':
            self.state.update_teacher(options.teacher_keep)
        if options.predict == 'before':
            return first.frame.prediction.detach()
        return latest.frame.prediction.detach()

    @property
    def counts(self) -> dict[str, int | float]:
        """Adds ``extra_steps``, the mean number of extra steps per frame that was adapted to."""
        counts = super().counts
        if self.steps_taken and self.until is None:
            extra_steps = sum(self.steps_taken) - len(self.steps_taken)
            counts['extra_steps'] = extra_steps / len(self.steps_taken)
        return counts

    def midway_state(self, done: int) -> dict[str, Any]:
        """Adds the last location of the exemplars."""
        state = super().midway_state(done)
        if self.lookup is not None:
            state['lookup'] = self.lookup.state_dict()
        return state

    def load_midway(self, state: Mapping[str, Any]) -> None:
        """Restores what a sequence changes besides the session's state."""
        super().load_midway(state)
        if self.lookup is not None:
            self.lookup.load_state_dict(state['lookup'])

    def _require_hidden(self, observation: Observation) -> None:
        needs_hidden = self.options.max_extra and self.options.until is None
        if needs_hidden and observation.hidden is None:
            raise InputError(
                f'DynamicBilevel: the predictions of {type(self.estimator).__name__} have no `hidden`, which the '
                f'stopping rule compares; use the head IterativeRegressor, or max_extra=0'
            )

    def _step(
        self, frame: Frame, past: Optional[Frame], present: Observation, is_bilevel: bool
    ) -> None:
        """Takes one step: a bilevel step, or a plain one on the upper level.

        Args:
            frame: the frame.
            past: the frame ``interval`` frames ago, or None without the motion loss.
            present: observation of the frame at the present weights.
            is_bilevel: whether the step is bilevel.
        """
        options = self.options
        state = self.state
        teacher = None
        if options.loss_weights.teacher and frame.temporal:
            teacher = state.predict_as_teacher(frame.inputs, SKELETON)

        def lower(weights: Weights) -> Tensor:
            observation = present
            if present.exemplar_predictions is None:
                observation = self._complete(weights, 'lower', present)
            return self._loss(observation, frame)

        def upper(weights: Weights) -> Tensor:
            if weights is state.weights:
                observation = self._complete(weights, 'upper', present, past)
            else:
                observation = self._observe(weights, frame, 'upper', past)
            loss = self._loss(observation, frame, past)
            if teacher is not None:
                loss = loss + self.objectives.teacher(observation.frame, teacher)
            return loss

        if is_bilevel:
            gradient, losses = bilevel_gradient(
                state.weights, lower, upper, options.inner_lr, options.order
            )
            state.learner.step(gradient, losses)
        else:
            state.learner.descend(upper)
        if options.teacher_update == 'step':
            state.update_teacher(options.teacher_keep)

    def _observe(
        self,
        weights: Weights,
        frame: Frame,
        level: Optional[Level] = None,
        past: Optional[Frame] = None,
    ) -> Observation:
        """Runs the network on a frame and, for a level, on its exemplars.

        One pass suffices if the look-up finds the expected exemplars.
        """
        if level is None or self.lookup is None:
            posed = self._pass(weights, frame, past)
            return Observation(posed[:1], _second(posed, past))
        random_numbers = self.lookup.bank.random_numbers()
        expected = self.lookup.expected_crops(level, random_numbers, self.state.trunk)
        posed = self._pass(weights, frame, past, expected)
        now = posed[:1]
        exemplars = self.lookup.find_crops(
            level, random_numbers, now.prediction.features, self.state.trunk, expected
        )
        if exemplars is expected:
            exemplar_predictions = posed[-len(exemplars) :]
        else:
            exemplar_predictions = self._pass(weights, exemplars=exemplars)
        return Observation(now, _second(posed, past), exemplars, exemplar_predictions)

    def _complete(
        self, weights: Weights, level: Level, present: Observation, past: Optional[Frame] = None
    ) -> Observation:
        """Adds the past frame and the exemplars to an observation of the frame at the same weights."""
        exemplars = None
        if self.lookup is not None:
            exemplars = self.lookup.find_crops(
                level,
                self.lookup.bank.random_numbers(),
                present.frame.prediction.features,
                self.state.trunk,
            )
        if past is None and exemplars is None:
            return present
        posed = self._pass(weights, past=past, exemplars=exemplars)
        past_prediction = None
        if past is not None:
            past_prediction = posed[:1]
        exemplar_predictions = None
        if exemplars is not None:
            exemplar_predictions = posed[-len(exemplars) :]
        return Observation(present.frame, past_prediction, exemplars, exemplar_predictions)

    def _pass(
        self,
        weights: Weights,
        frame: Optional[Frame] = None,
        past: Optional[Frame] = None,
        exemplars: Optional[SourceBatch] = None,
    ) -> PosedPrediction:
        """Runs the network once on the frame, the past frame and the exemplars that are not None, in this order."""
        inputs = []
        if frame is not None:
            inputs.append(frame.inputs)
        if past is not None:
            inputs.append(past.inputs)
        if exemplars is not None:
            inputs.append(exemplars.images)
        prediction = self.state.run(weights, torch.cat(inputs))
        return PosedPrediction.of(prediction, self.estimator.required_body, SKELETON)

    def _loss(self, observation: Observation, frame: Frame, past: Optional[Frame] = None) -> Tensor:
        """Returns the sum of the losses on the frame, its exemplars and its motion."""
        loss = self.objectives.frame(observation.frame, frame.keypoints)
        if observation.exemplars is not None and observation.exemplar_predictions is not None:
            loss = loss + self.objectives.source(
                observation.exemplar_predictions,
                observation.exemplars,
                self.estimator.required_body,
            )
        if past is not None and observation.past is not None:
            loss = loss + self.objectives.motion(
                observation.frame, observation.past, frame.keypoints, past.keypoints
            )
        return loss


def _second(posed: PosedPrediction, past: Optional[Frame]) -> Optional[PosedPrediction]:
    """Returns the prediction of the past frame, which is second in a pass."""
    if past is None:
        return None
    return posed[1:2]


def _direction_change(before: Optional[Tensor], after: Optional[Tensor]) -> float:
    """Returns 1 - cosine; NaN if a value is not finite, which ends the steps."""
    if before is None or after is None:
        return float('nan')
    return 1 - F.cosine_similarity(before, after).item()
