"""Dynamic bilevel adaptation (DynaBOA): Guan et al., "Out-of-Domain Human Mesh Reconstruction via Dynamic Bilevel
Online Adaptation", TPAMI 2022, as its code was released.

A bilevel step whose labelled crops are found by resemblance to the frame, then plain steps on the upper level for as
long as they still turn the regressor's features. Every pass over the frame serves all that asks for it: the pass that
the stopping rule looks at is that of the next step, or the prediction. Where it differs from the released code: the
teacher has no dropout, motion history ends at the end of a track and motion is scored where both ends are seen.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Optional

import torch
from torch import Tensor
from torch.nn import functional as F

from hrtk.adapters.base import Preparation
from hrtk.adapters.bilevel.online import Online, View
from hrtk.adapters.bilevel.retrieval import RetrievalBank
from hrtk.adapters.bilevel.state import State
from hrtk.adapters.parts.gradients import bilevel_gradient, plain_gradient
from hrtk.adapters.parts.posed import Posed
from hrtk.adapters.parts.source_bank import SourceBatch
from hrtk.errors import InputError
from hrtk.models.estimators import Estimator
from hrtk.registry import ADAPTERS
from hrtk.structures import Prediction

JOINTS = 'spin49'


@dataclasses.dataclass(frozen=True)
class Look:
    """What passes at the same weights showed.

    Attributes:
        now: the frame.
        hidden: its features in the regressor.
        then: the frame ``interval`` frames ago.
        batch: labelled crops that resemble the frame.
        exemplars: the network's view of them.
    """

    now: Posed
    hidden: Optional[Tensor]
    then: Optional[Posed] = None
    batch: Optional[SourceBatch] = None
    exemplars: Optional[Posed] = None


@ADAPTERS.register_module()
class DynamicBilevel(Online):
    """DynaBOA.

    Per frame: a pass over it gives the lower level's terms, the query for its exemplars and, at last, something to
    compare with; the upper level at the probed weights finds exemplars of its own. While the features of the regressor
    (first layer, last iteration) turn by more than ``threshold`` over a step, up to ``max_extra`` steps more. A level
    guesses that its exemplars are those of the look-up before, takes them along in the frame's own pass, and looks
    again only where that was wrong. The rule and the guess need their numbers on the host: one wait for the device per
    step, and one per look-up.

    Args:
        lr: rate of Adam.
        adam_betas: (0.5, 0.9) in the code, where BOA has (0.5, 0.999).
        inner_lr: rate of the probe.
        order: ``'first'`` as released, or ``'second'``, which differentiates through the probe.
        weights: factors of the losses, see :class:`~hrtk.adapters.bilevel.objectives.Weights`; ``motion`` is 0.8 here.
        interval: frames between both ends of the motion term.
        teacher_keep: what the mean teacher keeps of itself at every step.
        exemplars: config of the labelled crops, see
            :class:`~hrtk.adapters.bilevel.retrieval.RetrievalBank`; None leaves their term out.
        threshold: 1 - cosine that a step has to turn the features by for another one to follow.
        max_extra: steps after the first at most.
        extra: what they are: ``'single'``, plain Adam steps on the upper level, as released, or ``'bilevel'``.
        certain_motion: score motion only where both confidences are exactly one, as the code does.
        pose_prior, normalise, parameters, predict, truncate, reset: as of :class:`~hrtk.adapters.bilevel.Bilevel`.

    Raises:
        InputError: an option has another value.
    """

    def __init__(
        self,
        lr: float = 3e-6,
        adam_betas: tuple[float, float] = (0.5, 0.9),
        inner_lr: float = 8e-6,
        order: str = 'first',
        weights: Optional[dict[str, float]] = None,
        interval: int = 5,
        teacher_keep: float = 0.1,
        exemplars: Optional[dict] = None,
        threshold: float = 3.1e-4,
        max_extra: int = 7,
        extra: str = 'single',
        certain_motion: bool = False,
        pose_prior: Optional[dict] = None,
        normalise: str = 'all',
        parameters: str = 'all',
        predict: str = 'after',
        truncate: bool = False,
        reset: str = 'sequence',
    ) -> None:
        super().__init__(
            lr,
            adam_betas,
            inner_lr,
            order,
            self.factors(weights, motion=0.8),
            interval,
            teacher_keep,
            pose_prior,
            normalise,
            parameters,
            predict,
            truncate,
            reset,
            JOINTS,
            certain_motion,
        )
        self.check('extra', extra, ('single', 'bilevel'))
        self.threshold, self.max_extra, self.extra = threshold, max_extra, extra
        self.exemplars = (
            RetrievalBank(**exemplars)
            if exemplars is not None and self.objectives.weights.source
            else None
        )
        self._extra_steps: list[int] = []

    def prepare(
        self, estimator: Estimator, dataset: Any, preparation: Optional[Preparation] = None
    ) -> None:
        """Opens or builds the bank of exemplars, while the weights are those of the source."""
        if self.exemplars is not None:
            self.exemplars.load(estimator)

    def begin(self, estimator: Estimator) -> State:
        """The state at the start of a sequence, with the exemplars opened."""
        self.prepare(estimator, None)
        if self.exemplars is not None:
            self.exemplars.forget()  # a guess takes another way to the same numbers, but for rounding
        self._extra_steps = []
        return super().begin(estimator)

    def frame(self, state: State, view: View, past: Optional[View]) -> Prediction:
        """One bilevel step and as many more as it takes."""
        past = past if self.objectives.weights.motion else None
        first = look = self._look(state, state.weights, view, 'lower')
        if self.max_extra and first.hidden is None:
            raise InputError(
                f'DynamicBilevel: the predictions of {type(state.model).__name__} have no `hidden`, which tells '
                f'when to stop; use the head IterativeRegressor, or max_extra=0'
            )
        for step in range(self.max_extra + 1):
            hidden = look.hidden
            self._step(state, view, past, look, bilevel=step == 0 or self.extra == 'bilevel')
            last = step == self.max_extra
            # The graph is for the next step; without one this is the prediction.
            with torch.set_grad_enabled(not last):
                look = self._look(state, state.weights, view)
            if last or not _turn(hidden, look.hidden) > self.threshold:
                break
        self._extra_steps.append(step)
        return (first if self.when == 'before' else look).now.prediction.detach()

    def report(self) -> dict[str, float]:
        """``skipped_updates`` of the last sequence, and ``extra_steps``, their mean number per frame."""
        steps = self._extra_steps
        return {**super().report(), **({'extra_steps': sum(steps) / len(steps)} if steps else {})}

    def fingerprint(self) -> dict[str, str]:
        """Hashes of the pose prior's file and of the exemplars."""
        return {
            **super().fingerprint(),
            **(self.exemplars.fingerprint() if self.exemplars is not None else {}),
        }

    def _step(
        self, state: State, view: View, past: Optional[View], look: Look, bilevel: bool
    ) -> None:
        """One update from what was seen at the present weights: two-level, or plain on the upper level."""
        teacher = state.teach(view.maps, JOINTS) if self.objectives.weights.teacher else None

        def lower(weights: dict[str, Tensor]) -> Tensor:
            seen = (
                look
                if look.exemplars is not None
                else self._complete(state, weights, 'lower', look)
            )
            return self._loss(state, seen, view)

        def upper(weights: dict[str, Tensor]) -> Tensor:
            seen = (
                self._complete(state, weights, 'upper', look, past)
                if weights is state.weights
                else self._look(state, weights, view, 'upper', past)
            )
            loss = self._loss(state, seen, view, past)
            return loss if teacher is None else loss + self.objectives.teacher(seen.now, teacher)

        if bilevel:
            gradient, losses = bilevel_gradient(
                state.weights, lower, upper, self.inner_lr, self.order
            )
        else:
            gradient, *losses = plain_gradient(state.weights, upper)
        state.adam.step(gradient, losses)
        state.update_teacher(self.teacher_keep)

    def _look(
        self,
        state: State,
        weights: dict[str, Tensor],
        view: View,
        level: Optional[str] = None,
        past: Optional[View] = None,
    ) -> Look:
        """A pass over the frame, and with a ``level`` over what it compares: one pass if the exemplars were guessed."""
        bank = self.exemplars if level is not None else None
        chance = bank.chance() if bank is not None else None
        guess = bank.guess(level, chance, state.trunk) if bank is not None else None
        posed, hidden = self._pass(state, weights, view.maps, past, guess)
        now, then = posed[:1], posed[1:2] if past is not None else None
        if bank is None:
            return Look(now, hidden, then)
        batch = bank.draw(level, chance, now.prediction.features, state.trunk, guess)
        exemplars = (
            posed[-len(batch.images) :]
            if batch is guess
            else self._pass(state, weights, batch=batch)[0]
        )
        return Look(now, hidden, then, batch, exemplars)

    def _complete(
        self,
        state: State,
        weights: dict[str, Tensor],
        level: str,
        look: Look,
        past: Optional[View] = None,
    ) -> Look:
        """What a level compares a frame with that has been seen at these weights."""
        bank, batch = self.exemplars, None
        if bank is not None:
            batch = bank.draw(level, bank.chance(), look.now.prediction.features, state.trunk)
        if past is None and batch is None:
            return look
        posed, _ = self._pass(state, weights, past=past, batch=batch)
        return Look(
            look.now,
            look.hidden,
            posed[:1] if past is not None else None,
            batch,
            posed[-len(batch.images) :] if batch is not None else None,
        )

    @staticmethod
    def _pass(
        state: State,
        weights: dict[str, Tensor],
        maps: Optional[Tensor] = None,
        past: Optional[View] = None,
        batch: Optional[SourceBatch] = None,
    ) -> tuple[Posed, Optional[Tensor]]:
        """One pass over all that is given, in this order, and the regressor's features of the first."""
        given = [maps, past and past.maps, batch and batch.images]
        prediction = state.run(weights, torch.cat([part for part in given if part is not None]))
        hidden = prediction.hidden
        return Posed.of(prediction, state.model.body, JOINTS), None if hidden is None else hidden[
            :1
        ]

    def _loss(self, state: State, look: Look, view: View, past: Optional[View] = None) -> Tensor:
        """The frame's terms, the exemplars' and the motion's."""
        loss = self.objectives.frame(look.now, view.evidence)
        if look.exemplars is not None:
            loss = loss + self.objectives.source(look.exemplars, look.batch, state.model.body)
        if past is not None:
            loss = loss + self.objectives.motion(look.now, look.then, view.evidence, past.evidence)
        return loss


def _turn(before: Tensor, after: Tensor) -> float:
    """1 - cosine; a NaN, which ends the loop, where something was not finite."""
    return 1 - F.cosine_similarity(before, after).item()
