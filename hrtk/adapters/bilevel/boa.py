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

from hrtk.adapters.bilevel.online import Frame, OnlineAdapter, OnlineSession
from hrtk.adapters.parts.gradients import bilevel_gradient, twice_differentiable
from hrtk.adapters.parts.posed import PosedPrediction
from hrtk.adapters.parts.source_bank import (
    SourceBank,
    SourceBatch,
    SourceSampler,
    warn_without_labels,
)
from hrtk.errors import InputError
from hrtk.models.estimators import Estimator
from hrtk.registry import ADAPTERS
from hrtk.structures import Prediction

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
            raise InputError(
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
        self.source: Optional[SourceSampler] = None
        if options.source_bank is not None:
            self.source = SourceSampler(options.source_bank)

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
        for step in range(options.steps):
            self._step(frame, past, teacher)
            if options.teacher_update == 'step':
                self.state.update_teacher(options.teacher_keep)
                is_last = step == options.steps - 1
                if not is_last:
                    teacher = self._ask_teacher(frame)
        if options.teacher_update == 'frame':
            self.state.update_teacher(options.teacher_keep)

    def _adapt_until(self, frame: Frame, past: Optional[Frame]) -> Prediction:
        """Takes steps until the evidence is met; the pass that meets it, or the one after the last step, predicts."""
        options = self.options
        teacher = None
        step = 0
        first = present = self._pass(frame, has_graph=options.steps > 0)
        while step < options.steps and not self.evidence_is_met(present, frame):
            if step == 0 or options.teacher_update == 'step':
                teacher = self._ask_teacher(frame)
            self._step(frame, past, teacher, present)
            if options.teacher_update == 'step':
                self.state.update_teacher(options.teacher_keep)
            step += 1
            present = self._pass(frame, has_graph=step < options.steps)
        self.steps_taken.append(step)
        if options.teacher_update == 'frame':
            self.state.update_teacher(options.teacher_keep)
        if options.predict == 'before':
            return first.prediction.detach()
        return present.prediction.detach()

    def _pass(self, frame: Frame, has_graph: bool) -> PosedPrediction:
        """Runs the network on a frame alone, at the present weights."""
        context: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
        if self.options.scheme == 'bilevel' and self.options.order == 'second':
            context = twice_differentiable()
        with torch.set_grad_enabled(has_graph), context:
            prediction = self.state.run(self.state.weights, frame.inputs)
            return PosedPrediction.of(prediction, self.estimator.required_body)

    def _ask_teacher(self, frame: Frame) -> Optional[PosedPrediction]:
        """Returns the mean teacher's prediction of a frame, or None if its loss is not in use."""
        if 'temporal' not in self.options.upper or not self.options.loss_weights.teacher:
            return None
        if not frame.temporal:
            return None
        return self.state.predict_as_teacher(frame.inputs)

    def _step(
        self,
        frame: Frame,
        past: Optional[Frame],
        teacher: Optional[PosedPrediction],
        present: Optional[PosedPrediction] = None,
    ) -> None:
        """Takes one step; ``present`` is the frame's prediction at the present weights, with its graph, if known."""
        options = self.options
        state = self.state
        source = None
        if self.source is not None:
            source = self.source.draw(state.trunk)

        def lower(weights: Mapping[str, Tensor]) -> Tensor:
            return self._loss(weights, options.lower, frame, None, None, source, present)

        def upper(weights: Mapping[str, Tensor]) -> Tensor:
            known = None
            if weights is state.weights:
                known = present
            return self._loss(weights, options.upper, frame, past, teacher, source, known)

        if options.scheme == 'bilevel':
            gradient, losses = bilevel_gradient(
                state.weights, lower, upper, options.inner_lr, options.order
            )
            state.learner.step(gradient, losses)
        elif options.scheme == 'two-stage':
            state.learner.descend_twice(lower, upper, options.inner_lr)
        else:
            state.learner.descend(upper)

    def _loss(
        self,
        weights: Mapping[str, Tensor],
        terms: tuple[str, ...],
        frame: Frame,
        past: Optional[Frame],
        teacher: Optional[PosedPrediction],
        source: Optional[SourceBatch],
        known: Optional[PosedPrediction] = None,
    ) -> Tensor:
        """Returns the sum of losses, from one forward pass over the past frame, the source crops and the frame.

        Args:
            weights: of the network.
            terms: groups of losses.
            frame: the frame.
            past: the frame ``interval`` frames ago, or None.
            teacher: the mean teacher's prediction of the frame, or None.
            source: labelled crops, or None.
            known: prediction of the frame at these weights, with its graph; None computes it in the same pass.
        """
        objectives = self.objectives
        if 'frame' not in terms:
            source = None
        if 'temporal' not in terms:
            teacher = None
        if 'temporal' not in terms or objectives.loss_weights.motion <= 0:
            past = None
        inputs = []
        if known is None:
            inputs.append(frame.inputs)
        if past is not None:
            inputs.append(past.inputs)
        if source is not None:
            inputs.append(source.images)
        body = self.estimator.required_body
        posed = None
        if inputs:
            posed = PosedPrediction.of(self.state.run(weights, torch.cat(inputs)), body)
        now = known
        others = posed
        if now is None:
            assert posed is not None
            now = posed[:1]
            others = posed[1:]
        loss = frame.inputs.new_zeros(())
        if 'frame' in terms:
            loss = loss + objectives.frame(now, frame.keypoints)
        if source is not None and others is not None:
            loss = loss + objectives.source(others[-len(source) :], source, body)
        if teacher is not None:
            loss = loss + objectives.teacher(now, teacher)
        if past is not None and others is not None:
            loss = loss + objectives.motion(now, others[:1], frame.keypoints, past.keypoints)
        return loss
