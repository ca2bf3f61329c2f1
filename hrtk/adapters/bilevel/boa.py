"""Bilevel online adaptation (BOA): Guan et al., "Bilevel Online Adaptation for Out-of-Domain Human Mesh
Reconstruction", CVPR 2021.

Where it differs from the released code: source samples are drawn at random (as the paper says; ``order='sequential'``
of the source replays the code), motion history ends at the end of a track, motion is scored where both ends are seen,
and the motion term starts as soon as a frame ``interval`` frames back exists. Cost per step: two forward and backward
passes over one small batch, one Hessian-vector product with ``order='second'``, one teacher pass.
"""

from __future__ import annotations

from typing import Any, Optional

import torch
from torch import Tensor

from hrtk.adapters.bilevel.online import Online, View
from hrtk.adapters.bilevel.state import State
from hrtk.adapters.parts.gradients import bilevel_gradient, plain_gradient
from hrtk.adapters.parts.posed import Posed
from hrtk.adapters.parts.source_bank import SourceBank, SourceBatch
from hrtk.errors import InputError
from hrtk.models.estimators import Estimator
from hrtk.registry import ADAPTERS
from hrtk.structures import Prediction

SCHEMES = ('bilevel', 'one-stage', 'two-stage')
TERMS = ('frame', 'temporal')


@ADAPTERS.register_module()
class Bilevel(Online):
    """BOA and the single-level schemes it is compared with.

    Args:
        lr: rate of the outer Adam step; 3e-6 for 3DPW and ResNet-50, 2e-6 for 3DHP.
        adam_betas: (0.5, 0.999) for 3DPW, (0.2, 0.999) for 3DHP.
        inner_lr: rate of the probe, 8e-6 in the code.
        steps: T of Algorithm 1.
        scheme: ``'bilevel'``; ``'one-stage'`` takes one Adam step on ``upper`` alone (B1-B3 of Table 5);
            ``'two-stage'`` one on ``lower``, then one on ``upper`` (B4, B5).
        lower: terms of the lower level: ``'frame'``.
        upper: terms of the upper level: ``'frame'`` and ``'temporal'`` (motion and teacher).
        order: ``'second'`` differentiates through the probe, ``'first'`` does not.
        weights: factors of the losses, see :class:`~hrtk.adapters.bilevel.objectives.Weights`.
        interval: tau, frames between both ends of the motion term; 5 in the code.
        teacher_keep: delta, what the mean teacher keeps of itself at every step; 0.1 in the code.
        source: config of the labelled source batch, see :class:`~hrtk.adapters.parts.source_bank.SourceBank`; None
            leaves its term out.
        pose_prior: config of the pose prior, default the mixture fitted to the free motion.
        normalise: ``'all'`` or ``'visible'``, how the 2D loss counts absent points.
        parameters: which weights adapt, see :func:`~hrtk.adapters.parts.parameter_selection.select_parameters`; where
            they all lie in the last part of the network, the frozen part runs once per crop.
        predict: ``'after'`` the update, as all published numbers, or ``'before'`` it.
        truncate: replay the official loaders' whole-pixel 2D targets.
        reset: ``'frame'``, ``'sequence'`` or ``'never'``, which is what BOA's code does.

    Raises:
        InputError: an option has another value.
    """

    def __init__(
        self,
        lr: float = 3e-6,
        adam_betas: tuple[float, float] = (0.5, 0.999),
        inner_lr: float = 8e-6,
        steps: int = 1,
        scheme: str = 'bilevel',
        lower: tuple[str, ...] = ('frame',),
        upper: tuple[str, ...] = ('frame', 'temporal'),
        order: str = 'second',
        weights: Optional[dict[str, float]] = None,
        interval: int = 5,
        teacher_keep: float = 0.1,
        source: Optional[dict] = None,
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
            self.factors(weights),
            interval,
            teacher_keep,
            pose_prior,
            normalise,
            parameters,
            predict,
            truncate,
            reset,
        )
        self.check('scheme', scheme, SCHEMES)
        if not set(lower) <= {'frame'} or not upper or not set(upper) <= set(TERMS):
            raise InputError(
                f"Bilevel: lower holds 'frame' and upper any of {TERMS}, not {lower!r} and {upper!r}"
            )
        self.steps, self.scheme, self.lower, self.upper = steps, scheme, tuple(lower), tuple(upper)
        self.source = (
            SourceBank(**source) if source is not None and self.objectives.weights.source else None
        )

    def frame(self, state: State, view: View, past: Optional[View]) -> Prediction:
        """Takes all steps on one frame."""
        before = state.predict(view.maps) if self.when == 'before' else None
        for _ in range(self.steps):
            self._step(state, view, past)
        return before if before is not None else state.predict(view.maps)

    def begin(self, estimator: Estimator) -> State:
        """The state at the start of a sequence, with the source read."""
        if self.source is not None:
            self.source.load(estimator.resolution, estimator.device)
            if self._state is None or self.reset != 'never':
                self.source.restart()
            if self._restored is not None:
                self.source.next = self._restored['source']
        return super().begin(estimator)

    def state_dict(self) -> dict[str, Any]:
        """Adam's moments, the teacher and the place in the source, for ``reset='never'``."""
        state = super().state_dict()
        return (
            {**state, 'source': self.source.next if self.source is not None else 0} if state else {}
        )

    def fingerprint(self) -> dict[str, str]:
        """Hashes of the pose prior's file and of the source data."""
        source = self.source and getattr(self.source.dataset, 'fingerprint', None)
        return {**super().fingerprint(), **(source() if source else {})}

    def _step(self, state: State, view: View, past: Optional[View]) -> None:
        batch = self.source.draw(state.trunk) if self.source is not None else None
        wanted = 'temporal' in self.upper and self.objectives.weights.teacher
        teacher = state.teach(view.maps) if wanted else None

        def lower(weights: dict[str, Tensor]) -> Tensor:
            return self._loss(state, weights, self.lower, view, None, None, batch)

        def upper(weights: dict[str, Tensor]) -> Tensor:
            return self._loss(state, weights, self.upper, view, past, teacher, batch)

        if self.scheme == 'bilevel':
            gradient, losses = bilevel_gradient(
                state.weights, lower, upper, self.inner_lr, self.order
            )
            state.adam.step(gradient, losses)
        else:
            if self.scheme == 'two-stage':
                gradient, loss = plain_gradient(state.weights, lower)
                state.adam.step(gradient, (loss,))
            gradient, loss = plain_gradient(state.weights, upper)
            state.adam.step(gradient, (loss,))
        state.update_teacher(self.teacher_keep)

    def _loss(
        self,
        state: State,
        weights: dict[str, Tensor],
        terms: tuple[str, ...],
        view: View,
        past: Optional[View],
        teacher: Optional[Posed],
        batch: Optional[SourceBatch],
    ) -> Tensor:
        """The wanted terms from one forward pass over everything they look at."""
        temporal = 'temporal' in terms
        use_past = temporal and past is not None and self.objectives.weights.motion > 0
        use_source = 'frame' in terms and batch is not None
        maps = (
            [view.maps] + ([past.maps] if use_past else []) + ([batch.images] if use_source else [])
        )
        posed = Posed.of(state.run(weights, torch.cat(maps)), state.model.body)
        loss = view.maps.new_zeros(())
        if 'frame' in terms:
            loss = loss + self.objectives.frame(posed[:1], view.evidence)
        if use_source:
            loss = loss + self.objectives.source(
                posed[len(posed.joints2d) - len(batch.images) :], batch, state.model.body
            )
        if temporal and teacher is not None:
            loss = loss + self.objectives.teacher(posed[:1], teacher)
        if use_past:
            loss = loss + self.objectives.motion(
                posed[:1], posed[1:2], view.evidence, past.evidence
            )
        return loss
