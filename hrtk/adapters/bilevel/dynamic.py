"""Dynamic bilevel adaptation (DynaBOA): Guan et al., "Out-of-Domain Human Mesh Reconstruction via Dynamic Bilevel
Online Adaptation", TPAMI 2022, as its code was released.

A bilevel step whose labelled crops are found by their similarity to the frame, then plain steps on the upper level for
as long as they still change the regressor's features. Each pass over the frame serves several purposes: the pass that
the stopping rule needs is also that of the next step, or the prediction. Where it differs from the released code: the
teacher has no dropout, motion history ends at the end of a sequence, and motion is scored where a keypoint is visible
at both ends.
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
from hrtk.adapters.parts.source_bank import SourceBatch
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

    Per frame: one pass over it gives the terms of the lower level, the query for its exemplars and, after the step, the
    features to compare with; the upper level at the probed weights finds exemplars of its own. While a step changes the
    direction of the regressor's features (first layer, last iteration) by more than ``threshold``, another step
    follows, up to ``max_extra``. Each level expects the exemplars of the look-up before: it takes them along in the
    frame's own pass and runs a second pass only where other ones are found. The stopping rule and the look-up need
    numbers on the host: one wait for the device per step, and one per look-up.

    The options of :class:`~hrtk.adapters.bilevel.online.OnlineAdapter`, with other defaults: ``adam_betas`` (0.5, 0.9),
    ``order`` ``'first'``, and the factor ``motion`` 0.8; and:

    Args:
        exemplars: config of the labelled crops, see :class:`~hrtk.adapters.bilevel.retrieval.RetrievalBank`; None
            leaves their term out.
        threshold: 1 - cosine between the features before and after a step, above which another step follows.
        max_extra: the largest number of steps after the first one.
        extra: the kind of these steps: ``'single'``, plain Adam steps on the upper level, as released, or
            ``'bilevel'``.
        certain_motion: score motion only where both confidences are exactly one, as the code does.

    Raises:
        InputError: an option has a value that is not allowed.
    """

    adam_betas: tuple[float, float] = (0.5, 0.9)
    order: Literal['second', 'first'] = 'first'
    exemplars: Optional[Mapping[str, Any]] = None
    threshold: float = 3.1e-4
    max_extra: int = 7
    extra: Literal['single', 'bilevel'] = 'single'
    certain_motion: bool = False

    DEFAULT_LOSS_WEIGHTS: ClassVar[LossWeights] = LossWeights(motion=0.8)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.exemplar_bank  # builds the data set, so that a wrong config is reported now

    @functools.cached_property
    def objectives(self) -> Objectives:
        """The losses."""
        return Objectives(
            self.loss_weights,
            self.pose_prior_network,
            self.normalise,
            SKELETON,
            self.certain_motion,
        )

    @functools.cached_property
    def exemplar_bank(self) -> Optional[RetrievalBank]:
        """The labelled crops, or None if their term is left out."""
        if self.exemplars is None or not self.loss_weights.source:
            return None
        return RetrievalBank(**self.exemplars)

    def prepare(self, estimator: Estimator, dataset: Any, preparation: Preparation) -> None:
        """Opens or builds the bank of exemplars while the estimator has the weights of the source."""
        self._load(estimator)

    def start(self, estimator: Estimator) -> DynamicBilevelSession:
        """Starts a session, with the exemplars opened."""
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
        frame: of the frame.
        past: of the frame ``interval`` frames ago, if it was asked for.
        exemplars: labelled crops that resemble the frame, if they were looked up.
        exemplar_predictions: of these crops.
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
    """One bilevel step per frame and as many more as the stopping rule asks for.

    Args:
        options: of the adapter.
        estimator: whose weights adapt.
    """

    def __init__(self, options: DynamicBilevel, estimator: Estimator) -> None:
        super().__init__(options, estimator)
        self.options = options
        self.lookup: Optional[ExemplarLookup] = None
        if options.exemplar_bank is not None:
            self.lookup = ExemplarLookup(options.exemplar_bank)
        self._extra_steps: list[int] = []

    def start_sequence(self) -> None:
        """Forgets the counts of the last sequence, and its exemplars."""
        super().start_sequence()
        self._extra_steps = []
        if self.lookup is not None:
            # An expected exemplar takes another way to the same numbers, but for rounding: every sequence begins alike.
            self.lookup.forget()

    def adapt_to(self, frame: Frame, past: Optional[Frame]) -> Prediction:
        """Takes one bilevel step on a frame, then further steps while they change the regressor's features."""
        options = self.options
        if not options.loss_weights.motion:
            past = None
        first = self._observe(self.state.weights, frame, 'lower')
        self._require_hidden(first)
        latest = first
        for step in range(options.max_extra + 1):
            before = latest
            is_bilevel = step == 0 or options.extra == 'bilevel'
            self._step(frame, past, before, is_bilevel)
            is_last = step == options.max_extra
            # The graph is for the next step; without a next step this pass is the prediction.
            with torch.set_grad_enabled(not is_last):
                latest = self._observe(self.state.weights, frame)
            if is_last or not _direction_change(before.hidden, latest.hidden) > options.threshold:
                break
        self._extra_steps.append(step)
        if options.predict == 'before':
            return first.frame.prediction.detach()
        return latest.frame.prediction.detach()

    @property
    def counts(self) -> dict[str, int | float]:
        """``skipped_updates`` of the last sequence, and ``extra_steps``, their mean number per frame."""
        counts = super().counts
        if self._extra_steps:
            counts['extra_steps'] = sum(self._extra_steps) / len(self._extra_steps)
        return counts

    def _require_hidden(self, observation: Observation) -> None:
        if self.options.max_extra and observation.hidden is None:
            raise InputError(
                f'DynamicBilevel: the predictions of {type(self.estimator).__name__} have no `hidden`, which the '
                f'stopping rule compares; use the head IterativeRegressor, or max_extra=0'
            )

    def _step(
        self, frame: Frame, past: Optional[Frame], present: Observation, is_bilevel: bool
    ) -> None:
        """Takes one step: on two levels, or a plain one on the upper level.

        Args:
            frame: the frame.
            past: the frame ``interval`` frames ago, if motion is scored.
            present: what was observed at the present weights.
            is_bilevel: which kind of step.
        """
        options = self.options
        state = self.state
        teacher = None
        if options.loss_weights.teacher:
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
        state.update_teacher(options.teacher_keep)

    def _observe(
        self,
        weights: Weights,
        frame: Frame,
        level: Optional[Level] = None,
        past: Optional[Frame] = None,
    ) -> Observation:
        """Runs the network on a frame and, for a level, on the crops that this level compares it with.

        One pass suffices if the exemplars are those that were expected.
        """
        if level is None or self.lookup is None:
            posed = self._pass(weights, frame, past)
            return Observation(posed[:1], _second(posed, past))
        draw = self.lookup.bank.random_numbers()
        expected = self.lookup.expect(level, draw, self.state.trunk)
        posed = self._pass(weights, frame, past, expected)
        now = posed[:1]
        exemplars = self.lookup.find(
            level, draw, now.prediction.features, self.state.trunk, expected
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
            exemplars = self.lookup.find(
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
        """Runs the network once on everything that is given, in this order."""
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
        """The terms of the frame, of its exemplars and of its motion."""
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
    """The prediction of the past frame, which follows the frame in a pass."""
    if past is None:
        return None
    return posed[1:2]


def _direction_change(before: Optional[Tensor], after: Optional[Tensor]) -> float:
    """1 - cosine; NaN, which ends the steps, if a value is not finite."""
    if before is None or after is None:
        return float('nan')
    return 1 - F.cosine_similarity(before, after).item()
