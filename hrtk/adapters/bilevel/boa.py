"""Bilevel online adaptation (BOA): Guan et al., "Bilevel Online Adaptation for Out-of-Domain Human Mesh
Reconstruction", CVPR 2021.

Differences from the released code: source samples are drawn at random (as in the paper; ``order='sequential'`` of the
source replays the code), motion history ends at the end of a sequence, the motion loss uses keypoints that are visible
at both ends, and it starts as soon as a frame ``interval`` frames back exists. Cost per step: two forward and backward
passes over one small batch, one Hessian-vector product with ``order='second'``, one teacher pass.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, Literal, Optional

import torch
from torch import Tensor

from hrtk.adapters.base import FROZEN, Effort
from hrtk.adapters.bilevel.online import Frame, OnlineAdapter, OnlineSession
from hrtk.adapters.parts.gradients import Weights, bilevel_gradient, twice_differentiable
from hrtk.adapters.parts.posed import PosedPrediction
from hrtk.adapters.parts.source_bank import (
    SourceBank,
    SourceBatch,
    SourceSampler,
    warn_without_labels,
)
from hrtk.errors import OptionError
from hrtk.models.estimators import Estimator
from hrtk.registry import ADAPTERS
from hrtk.structures import Prediction, Sequence

TERMS = ('frame', 'temporal')


@ADAPTERS.register_module()
@dataclasses.dataclass(frozen=True, kw_only=True)
class Bilevel(OnlineAdapter):
    """BOA and its single-level baselines.

    The options are those of :class:`~hrtk.adapters.bilevel.online.OnlineAdapter`, with ``adam_betas`` (0.5, 0.999) for
    3DPW and (0.2, 0.999) for 3DHP, and:

    Args:
        steps: steps per frame, T of Algorithm 1; with ``until`` the largest number of steps.
        scheme: ``'bilevel'``; ``'one-stage'`` takes one Adam step on ``upper`` alone (B1 to B3 of Table 5);
            ``'two-stage'`` differs from ``'bilevel'``, first order, only in the weights that Adam's step starts from:
            those of the probe (B4, B5). Its first step is the probe's, plain gradient descent with ``inner_lr``.
        lower: losses of the lower level: ``'frame'``.
        upper: losses of the upper level: ``'frame'`` and ``'temporal'`` (motion and teacher).
        source: config of the labelled source batch, see :class:`~hrtk.adapters.parts.source_bank.SourceBank`; None
            disables the source loss.

    Raises:
        InputError: an option has a value that is not allowed.
    """

    steps: int = 1
    scheme: Literal['bilevel', 'one-stage', 'two-stage'] = 'bilevel'
    lower: tuple[str, ...] = ('frame',)
    upper: tuple[str, ...] = ('frame', 'temporal')
    source: Optional[Mapping[str, Any]] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not set(self.lower) <= {'frame'} or not self.upper or not set(self.upper) <= set(TERMS):
            raise OptionError(
                f"Bilevel: lower holds 'frame' and upper any of {TERMS}, not {self.lower!r} and {self.upper!r}"
            )
        # Build this now, so that bad options fail at construction.
        self.source_bank

    @functools.cached_property
    def source_bank(self) -> Optional[SourceBank]:
        """The labelled crops, or None if the source loss is disabled."""
        if self.source is None or not self.loss_weights.source:
            return None
        return SourceBank(**self.source)

    def start(self, estimator: Estimator) -> BilevelSession:
        """Reads the source crops and starts a session."""
        warn_without_labels('Bilevel', 'source', self.source, self.loss_weights.source)
        if self.source_bank is not None:
            self.source_bank.load(estimator)
        return BilevelSession(self, estimator)

    def fingerprint(self) -> dict[str, str]:
        """Returns hashes of the pose prior's file and of the source data."""
        hashes = super().fingerprint()
        if self.source_bank is not None:
            hashes.update(self.source_bank.fingerprint())
        return hashes


class BilevelSession(OnlineSession):
    """Algorithm 1 of BOA.

    Args:
        options: the adapter.
        estimator: network whose weights adapt.
    """

    def __init__(self, options: Bilevel, estimator: Estimator) -> None:
        super().__init__(options, estimator)
        self.options = options
        self.steps = options.steps
        self.order: str = options.order
        self.source: Optional[SourceSampler] = None
        if options.source_bank is not None:
            self.source = SourceSampler(options.source_bank)

    @property
    def efforts(self) -> tuple[Effort, ...]:
        """All numbers of steps up to that of the options, each in both orders where the second one is chosen."""
        orders: tuple[str, ...] = ('first',)
        if self.options.scheme == 'bilevel' and self.options.order == 'second':
            orders = ('second', 'first')
        efforts = []
        for steps in range(self.options.steps, 0, -1):
            efforts += [Effort(steps, order) for order in orders]
        return (*efforts, FROZEN)

    def push(self, sequence: Sequence, effort: Optional[Effort] = None) -> Prediction:
        """Adapts on the last frame of the sequence with the steps and the order of an effort."""
        chosen = effort or self.efforts[0]
        if chosen.steps:
            self.steps = chosen.steps
            self.order = chosen.order
        try:
            return super().push(sequence, chosen)
        finally:
            self.steps = self.options.steps
            self.order = self.options.order

    def adapt_to(self, frame: Frame, past: Optional[Frame]) -> Prediction:
        """Takes all steps on one frame."""
        if self.options.until is not None:
            return self._adapt_until(frame, past)
        if self.options.predict == 'before':
            prediction = self.state.predict(frame.inputs)
            self._take_steps(frame, past)
            return prediction
        self._take_steps(frame, past)
        return self.state.predict(frame.inputs)

    def state_dict(self) -> dict[str, Any]:
        """Returns Adam's moments, the mean teacher and the position in the source."""
        position = 0
        if self.source is not None:
            position = self.source.next
        return {**super().state_dict(), 'source': position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resumes from a :meth:`state_dict`."""
        super().load_state_dict(state)
        if self.source is not None:
            self.source.next = state['source']

    def _take_steps(self, frame: Frame, past: Optional[Frame]) -> None:
        options = self.options
        teacher = self._ask_teacher(frame)
        for step in range(self.steps):
            self._step(frame, past, teacher, self._draw())
            if options.teacher_update == 'step':
                self.state.update_teacher(options.teacher_keep)
                is_last = step == self.steps - 1
                if not is_last:
                    teacher = self._ask_teacher(frame)
        if options.teacher_update == 'frame':
            self.state.update_teacher(options.teacher_keep)

    def _adapt_until(self, frame: Frame, past: Optional[Frame]) -> Prediction:
        """Takes steps until the evidence is met; the pass that meets it, or the one after the last step, predicts.

        Every other pass is also the first pass of the step that follows, with the step's past frame and source crops:
        a convolution takes less time for one batch than for two.
        """
        options = self.options
        predictions = []
        teacher = None
        for count in range(self.steps + 1):
            if count == self.steps:
                predictions.append(self.state.predict(frame.inputs))
                break
            source = self._draw()
            present = self._first_pass(frame, past, source)
            predictions.append(present[:1].prediction.detach())
            if self.evidence_is_met(present[:1], frame):
                break
            if count == 0 or options.teacher_update == 'step':
                teacher = self._ask_teacher(frame)
            self._step(frame, past, teacher, source, present)
            if options.teacher_update == 'step':
                self.state.update_teacher(options.teacher_keep)
        self.steps_taken.append(count)
        self.last_steps = count
        if options.teacher_update == 'frame':
            self.state.update_teacher(options.teacher_keep)
        if options.predict == 'before':
            return predictions[0]
        return predictions[-1]

    def _draw(self) -> Optional[SourceBatch]:
        """Draws the source crops of one step."""
        if self.source is None:
            return None
        return self.source.draw(self.state.trunk)

    def _ask_teacher(self, frame: Frame) -> Optional[PosedPrediction]:
        """Returns the mean teacher's prediction of a frame, or None if its loss is not in use."""
        if 'temporal' not in self.options.upper or not self.options.loss_weights.teacher:
            return None
        if not frame.temporal:
            return None
        return self.state.predict_as_teacher(frame.inputs)

    def _first_pass(
        self, frame: Frame, past: Optional[Frame], source: Optional[SourceBatch]
    ) -> PosedPrediction:
        """Runs the pass of a step that is at the present weights: that of its lower level, if it has one."""
        options = self.options
        if options.scheme == 'one-stage':
            return self._pass(self.state.weights, options.upper, frame, past, source)
        context: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
        if options.scheme == 'bilevel' and self.order == 'second':
            context = twice_differentiable()
        with context:
            return self._pass(self.state.weights, options.lower, frame, None, source)

    def _step(
        self,
        frame: Frame,
        past: Optional[Frame],
        teacher: Optional[PosedPrediction],
        source: Optional[SourceBatch],
        present: Optional[PosedPrediction] = None,
    ) -> None:
        """Takes one step; ``present`` is its pass at the present weights, if that was made already."""
        options = self.options
        state = self.state

        def lower(weights: Weights) -> Tensor:
            return self._loss(weights, options.lower, frame, None, None, source, present)

        def upper(weights: Weights) -> Tensor:
            known = None
            if weights is state.weights:
                known = present
            return self._loss(weights, options.upper, frame, past, teacher, source, known)

        if options.scheme == 'bilevel':
            gradient, losses = bilevel_gradient(
                state.weights, lower, upper, options.inner_lr, self.order
            )
            state.learner.step(gradient, losses)
        elif options.scheme == 'two-stage':
            state.learner.descend_twice(lower, upper, options.inner_lr)
        else:
            state.learner.descend(upper)

    def _pass(
        self,
        weights: Weights,
        terms: tuple[str, ...],
        frame: Frame,
        past: Optional[Frame],
        source: Optional[SourceBatch],
    ) -> PosedPrediction:
        """Runs the network once on the frame, and on the past frame and the source crops that the terms use."""
        inputs = [frame.inputs]
        if past is not None and self._uses_past(terms):
            inputs.append(past.inputs)
        if source is not None and 'frame' in terms:
            inputs.append(source.images)
        prediction = self.state.run(weights, torch.cat(inputs))
        return PosedPrediction.of(prediction, self.estimator.required_body)

    def _uses_past(self, terms: tuple[str, ...]) -> bool:
        return 'temporal' in terms and self.objectives.loss_weights.motion > 0

    def _loss(
        self,
        weights: Weights,
        terms: tuple[str, ...],
        frame: Frame,
        past: Optional[Frame],
        teacher: Optional[PosedPrediction],
        source: Optional[SourceBatch],
        posed: Optional[PosedPrediction] = None,
    ) -> Tensor:
        """Returns the sum of losses, from one forward pass; ``posed`` is this pass, if it was made already."""
        objectives = self.objectives
        if posed is None:
            posed = self._pass(weights, terms, frame, past, source)
        now = posed[:1]
        loss = frame.inputs.new_zeros(())
        if 'frame' in terms:
            loss = loss + objectives.frame(now, frame.keypoints)
        if source is not None and 'frame' in terms:
            body = self.estimator.required_body
            loss = loss + objectives.source(posed[-len(source) :], source, body)
        if teacher is not None and 'temporal' in terms:
            loss = loss + objectives.teacher(now, teacher)
        if past is not None and self._uses_past(terms):
            loss = loss + objectives.motion(now, posed[1:2], frame.keypoints, past.keypoints)
        return loss
