"""Bilevel online adaptation (BOA): Guan et al., "Bilevel Online Adaptation for Out-of-Domain Human Mesh
Reconstruction", CVPR 2021.

Where it differs from the released code: source samples are drawn at random (as the paper says; ``order='sequential'``
of the source replays the code), motion history ends at the end of a track, motion is scored where both ends are seen,
and the motion term starts as soon as a frame ``interval`` frames back exists. Cost per step: two forward and backward
passes over one small batch, one Hessian-vector product with ``order='second'``, one teacher pass.
"""

from __future__ import annotations

import collections
import copy
import inspect
from typing import Any, Iterator, Optional

import torch
from torch import Tensor
from torch.func import functional_call

from hrtk.adapters.base import Adapter, predict
from hrtk.adapters.parts.gradients import bilevel_gradient, plain_gradient
from hrtk.adapters.parts.objectives import Evidence, Objectives, Posed, Weights
from hrtk.adapters.parts.parameter_selection import select_parameters
from hrtk.adapters.parts.source_bank import SourceBank, SourceBatch
from hrtk.adapters.parts.targets import crop_targets
from hrtk.models.estimators import Estimator, hash_tensors
from hrtk.registry import ADAPTERS, LOSSES
from hrtk.structures import InputError, Prediction, Sequence

SCHEMES = ('bilevel', 'one-stage', 'two-stage')
TERMS = ('frame', 'temporal')


@ADAPTERS.register_module()
class Bilevel(Adapter):
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
        weights: factors of the losses, see :class:`~hrtk.adapters.parts.objectives.Weights`.
        interval: tau, frames between both ends of the motion term; 5 in the code.
        teacher_keep: delta, what the mean teacher keeps of itself at every step; 0.1 in the code.
        source: config of the labelled source batch, see :class:`~hrtk.adapters.parts.source_bank.SourceBank`; None
            leaves its term out.
        pose_prior: config of the pose prior, default the mixture fitted to the free motion.
        normalise: ``'all'`` or ``'visible'``, how the 2D loss counts absent points.
        parameters: which weights adapt, see :func:`~hrtk.adapters.parts.parameter_selection.select_parameters`.
        predict: ``'after'`` the update, as all published numbers, or ``'before'`` it.
        truncate: replay the official loaders' whole-pixel 2D targets.
        reset: ``'frame'``, ``'sequence'`` or ``'never'``, which is what BOA's code does.

    Raises:
        InputError: an option has another value.
    """

    def __init__(self, lr: float = 3e-6, adam_betas: tuple[float, float] = (0.5, 0.999), inner_lr: float = 8e-6,
                 steps: int = 1, scheme: str = 'bilevel', lower: tuple[str, ...] = ('frame',),
                 upper: tuple[str, ...] = ('frame', 'temporal'), order: str = 'second',
                 weights: Optional[dict[str, float]] = None, interval: int = 5, teacher_keep: float = 0.1,
                 source: Optional[dict] = None, pose_prior: Optional[dict] = None, normalise: str = 'all',
                 parameters: str = 'all', predict: str = 'after', truncate: bool = False,
                 reset: str = 'sequence') -> None:
        super().__init__(reset)
        for name, value, known in (('scheme', scheme, SCHEMES), ('order', order, ('second', 'first')),
                                   ('predict', predict, ('after', 'before')), ('normalise', normalise,
                                                                               ('all', 'visible'))):
            if value not in known:
                raise InputError(f'Bilevel: {name} is one of {known}, not {value!r}')
        if not set(lower) <= {'frame'} or not upper or not set(upper) <= set(TERMS):
            raise InputError(f"Bilevel: lower holds 'frame' and upper any of {TERMS}, not {lower!r} and {upper!r}")
        unknown = set(weights or {}) - set(inspect.signature(Weights).parameters)
        if unknown:
            raise InputError(f'Bilevel: weights has no {sorted(unknown)}; its keys are '
                             f'{sorted(inspect.signature(Weights).parameters)}')
        self.lr, self.adam_betas, self.inner_lr, self.steps = lr, tuple(adam_betas), inner_lr, steps
        self.scheme, self.lower, self.upper, self.order = scheme, tuple(lower), tuple(upper), order
        self.interval, self.teacher_keep, self.parameters = interval, teacher_keep, parameters
        self.when, self.truncate = predict, truncate
        factors = Weights(**(weights or {}))
        self.source = SourceBank(**source) if source is not None and factors.source else None
        prior = LOSSES.build(pose_prior or dict(type='GMMPosePrior')) if factors.pose_prior else None
        self.objectives = Objectives(factors, prior, normalise)
        self._state: Optional[_State] = None
        self._restored: Optional[dict[str, Any]] = None

    def adapt(self, estimator: Estimator, sequence: Sequence) -> Iterator[Prediction]:
        """Adapts on every frame in turn and yields its prediction."""
        estimator.eval()  # BatchNorm on one image has no statistics, and dropout no place in a probe
        state = self._begin(estimator)
        device = estimator.device
        xy, confidence = crop_targets(sequence, truncate=self.truncate, device=device)
        history: collections.deque[tuple[Tensor, Evidence]] = collections.deque(maxlen=self.interval)
        for t in range(len(sequence)):
            image = estimator.crops(sequence, [t])
            evidence = Evidence(xy[t:t + 1], confidence[t:t + 1])
            if self.reset == 'frame' and t > 0:
                state.restart()
            before = predict(estimator, image) if self.when == 'before' else None
            past = history[0] if len(history) == self.interval else None
            for _ in range(self.steps):
                self._step(state, image, evidence, past)
            history.append((image, evidence))
            yield before if before is not None else predict(estimator, image)

    def report(self) -> dict[str, float]:
        """``skipped_updates`` of the last sequence: steps whose loss or gradient was not finite."""
        return {'skipped_updates': float(self._state.skipped)} if self._state else {}

    def state_dict(self) -> dict[str, Any]:
        """Adam's moments, the teacher and the place in the source, for ``reset='never'``."""
        if self._state is None:
            return {}
        return {'optimizer': self._state.optimizer.state_dict(), 'teacher': dict(self._state.teacher),
                'source': self.source.next if self.source is not None else 0}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes the state back; used when the next sequence begins."""
        self._restored = state or None

    def fingerprint(self) -> dict[str, str]:
        """Hashes of the pose prior's file and of the source data."""
        prior, source = self.objectives.pose_prior, self.source and getattr(self.source.dataset, 'fingerprint', None)
        return {**({'pose_prior': hash_tensors(dict(prior.named_buffers()))} if prior is not None else {}),
                **(source() if source else {})}

    def _begin(self, estimator: Estimator) -> _State:
        if self.source is not None:
            self.source.load(estimator.resolution, estimator.device)
        if self.objectives.pose_prior is not None:
            self.objectives.pose_prior.to(estimator.device)
        if self._state is None or self.reset == 'sequence':
            self._state = _State(estimator, self)
            if self.source is not None:
                self.source.restart()
        if self._restored is not None:
            self._state.optimizer.load_state_dict(self._restored['optimizer'])
            self._state.teacher = {k: v.to(estimator.device) for k, v in self._restored['teacher'].items()}
            if self.source is not None:
                self.source.next = self._restored['source']
            self._restored = None
        self._state.skipped = torch.zeros((), device=estimator.device)
        return self._state

    def _step(self, state: _State, image: Tensor, evidence: Evidence,
              past: Optional[tuple[Tensor, Evidence]]) -> None:
        batch = self.source.draw() if self.source is not None else None
        teacher = state.teach(image) if 'temporal' in self.upper and self.objectives.weights.teacher else None

        def lower(weights: dict[str, Tensor]) -> Tensor:
            return self._loss(state, weights, self.lower, image, evidence, None, None, batch)

        def upper(weights: dict[str, Tensor]) -> Tensor:
            return self._loss(state, weights, self.upper, image, evidence, past, teacher, batch)

        if self.scheme == 'bilevel':
            gradient, losses = bilevel_gradient(state.weights, lower, upper, self.inner_lr, self.order)
            state.update(gradient, losses)
        else:
            if self.scheme == 'two-stage':
                gradient, loss = plain_gradient(state.weights, lower)
                state.update(gradient, (loss,))
            gradient, loss = plain_gradient(state.weights, upper)
            state.update(gradient, (loss,))
        state.update_teacher(self.teacher_keep)

    def _loss(self, state: _State, weights: dict[str, Tensor], terms: tuple[str, ...], image: Tensor,
              evidence: Evidence, past: Optional[tuple[Tensor, Evidence]], teacher: Optional[Posed],
              batch: Optional[SourceBatch]) -> Tensor:
        """The wanted terms from one forward pass over everything they look at."""
        temporal = 'temporal' in terms
        use_past = temporal and past is not None and self.objectives.weights.motion > 0
        use_source = 'frame' in terms and batch is not None
        images = [image] + ([past[0]] if use_past else []) + ([batch.images] if use_source else [])
        posed = Posed.of(functional_call(state.model, weights, (torch.cat(images),)), state.model.body)
        loss = image.new_zeros(())
        if 'frame' in terms:
            loss = loss + self.objectives.frame(posed[:1], evidence)
        if use_source:
            loss = loss + self.objectives.source(posed[len(posed.joints2d) - len(batch.images):], batch,
                                                 state.model.body)
        if temporal and teacher is not None:
            loss = loss + self.objectives.teacher(posed[:1], teacher)
        if use_past:
            loss = loss + self.objectives.motion(posed[:1], posed[1:2], evidence, past[1])
        return loss


class _State:
    """What lives from step to step: the weights that adapt, Adam's moments, the mean teacher."""

    def __init__(self, model: Estimator, settings: Bilevel) -> None:
        self.model = model
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        self.weights = {name: value.requires_grad_() for name, value in
                        select_parameters(model, settings.parameters).items()}
        self.start = copy.deepcopy({name: value.detach() for name, value in self.weights.items()})
        self.adam = dict(lr=settings.lr, betas=settings.adam_betas, **_fused(next(iter(self.weights.values()))))
        self.skipped = torch.zeros(())
        self.restart()

    @torch.no_grad()
    def restart(self) -> None:
        """Back to the weights of the beginning, without memory of any step."""
        torch._foreach_copy_(list(self.weights.values()), list(self.start.values()))
        self.teacher = copy.deepcopy(self.start)
        self.optimizer = torch.optim.Adam(self.weights.values(), **self.adam)

    @torch.no_grad()
    def teach(self, image: Tensor) -> Posed:
        """The mean teacher's view of a frame."""
        return Posed.of(functional_call(self.model, self.teacher, (image,)), self.model.body)

    @torch.no_grad()
    def update(self, gradient: tuple[Tensor, ...], losses: tuple[Tensor, ...]) -> None:
        """One Adam step, or none at all where a loss or a gradient is not finite: the last good weights stay."""
        total = torch.stack([*torch._foreach_norm(gradient), *losses]).sum()
        bad = (~torch.isfinite(total)).float()
        self.skipped = self.skipped + bad
        for weight, value in zip(self.weights.values(), gradient):
            weight.grad = value
        if self.optimizer.defaults.get('fused'):
            # The fused kernel itself leaves everything as it is when told so: no wait for the device.
            self.optimizer.grad_scale, self.optimizer.found_inf = None, bad
            self.optimizer.step()
        elif not bad:
            self.optimizer.step()

    @torch.no_grad()
    def update_teacher(self, keep: float) -> None:
        """teacher = keep * teacher + (1 - keep) * student."""
        torch._foreach_lerp_(list(self.teacher.values()), [w.detach() for w in self.weights.values()], 1 - keep)


def _fused(example: Tensor) -> dict[str, bool]:
    """Adam in one kernel where this torch has it for the device (CPU: since 2.4)."""
    try:
        torch.optim.Adam([example], fused=True)
    except (RuntimeError, TypeError):
        return {}
    return {'fused': True}
