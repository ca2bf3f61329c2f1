"""What adapters share that learn frame by frame from 2D keypoints: bilevel adaptation in its two forms."""

from __future__ import annotations

import collections
import dataclasses
import inspect
from typing import Any, Iterator, Optional

import torch
from torch import Tensor

from hrtk.adapters.base import Adapter
from hrtk.adapters.bilevel.objectives import Objectives, Weights
from hrtk.adapters.bilevel.state import State
from hrtk.adapters.parts.posed import SKELETON, Evidence
from hrtk.adapters.parts.targets import crop_targets
from hrtk.errors import InputError
from hrtk.models.estimators import Estimator, hash_tensors
from hrtk.registry import LOSSES
from hrtk.structures import Prediction, Sequence


@dataclasses.dataclass(frozen=True)
class View:
    """A frame: its crop (1, 3, R, R), or what a frozen trunk made of it, and its keypoints."""

    maps: Tensor
    evidence: Evidence


class Online(Adapter):
    """Adapts on every frame in turn. A subclass implements :meth:`frame`.

    Args:
        lr, adam_betas, inner_lr, order, interval, teacher_keep, pose_prior, normalise, parameters, predict, truncate,
            reset: as of :class:`~hrtk.adapters.bilevel.Bilevel`.
        weights: factors of the losses, see :meth:`factors`.
        teacher_joints, certain_motion: of :class:`~hrtk.adapters.bilevel.objectives.Objectives`.

    Raises:
        InputError: ``order``, ``predict`` or ``normalise`` has another value.
    """

    def __init__(
        self,
        lr: float,
        adam_betas: tuple[float, float],
        inner_lr: float,
        order: str,
        weights: Weights,
        interval: int,
        teacher_keep: float,
        pose_prior: Optional[dict],
        normalise: str,
        parameters: str,
        predict: str,
        truncate: bool,
        reset: str,
        teacher_joints: str = SKELETON,
        certain_motion: bool = False,
    ) -> None:
        super().__init__(reset)
        self.check('order', order, ('second', 'first'))
        self.check('predict', predict, ('after', 'before'))
        self.check('normalise', normalise, ('all', 'visible'))
        prior = (
            LOSSES.build(pose_prior or dict(type='GMMPosePrior')) if weights.pose_prior else None
        )
        self.objectives = Objectives(weights, prior, normalise, teacher_joints, certain_motion)
        self.lr, self.adam_betas, self.inner_lr, self.order = lr, tuple(adam_betas), inner_lr, order
        self.interval, self.teacher_keep, self.parameters = interval, teacher_keep, parameters
        self.when, self.truncate = predict, truncate
        self._state: Optional[State] = None
        self._restored: Optional[dict[str, Any]] = None

    def frame(self, state: State, view: View, past: Optional[View]) -> Prediction:
        """Adapts on one frame.

        Args:
            state: what changes.
            view: the frame.
            past: the frame ``interval`` frames ago, if the track goes that far back.

        Returns:
            The frame's prediction.
        """
        raise NotImplementedError

    def adapt(self, estimator: Estimator, sequence: Sequence) -> Iterator[Prediction]:
        """Adapts on every frame in turn and yields its prediction."""
        estimator.eval()  # BatchNorm on one image has no statistics, and dropout no place in a probe
        state = self.begin(estimator)
        xy, confidence = crop_targets(sequence, truncate=self.truncate, device=estimator.device)
        history: collections.deque[View] = collections.deque(maxlen=self.interval)
        for t in range(len(sequence)):
            if self.reset == 'frame' and t > 0:
                state.restart()
            view = View(
                state.trunk(estimator.crops(sequence, [t])),
                Evidence(xy[t : t + 1], confidence[t : t + 1]),
            )
            prediction = self.frame(
                state, view, history[0] if len(history) == self.interval else None
            )
            history.append(view)
            yield prediction

    def begin(self, estimator: Estimator) -> State:
        """The state at the start of a sequence."""
        if self.objectives.pose_prior is not None:
            self.objectives.pose_prior.to(estimator.device)
        if self._state is None or self.reset != 'never':
            self._state = State(estimator, self.parameters, self.lr, self.adam_betas, self._state)
        if self._restored is not None:
            self._state.adam.optimizer.load_state_dict(self._restored['optimizer'])
            self._state.teacher = {
                k: v.to(estimator.device) for k, v in self._restored['teacher'].items()
            }
            self._restored = None
        self._state.adam.skipped = torch.zeros((), device=estimator.device)
        return self._state

    def report(self) -> dict[str, float]:
        """``skipped_updates`` of the last sequence: steps whose loss or gradient was not finite."""
        return {'skipped_updates': float(self._state.adam.skipped)} if self._state else {}

    def state_dict(self) -> dict[str, Any]:
        """Adam's moments and the teacher, for ``reset='never'``."""
        if self._state is None:
            return {}
        return {
            'optimizer': self._state.adam.optimizer.state_dict(),
            'teacher': dict(self._state.teacher),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes the state back; used when the next sequence begins."""
        self._restored = state or None

    def fingerprint(self) -> dict[str, str]:
        """A hash of the pose prior's file."""
        prior = self.objectives.pose_prior
        return (
            {'pose_prior': hash_tensors(dict(prior.named_buffers()))} if prior is not None else {}
        )

    def check(self, name: str, value: Any, known: tuple) -> None:
        """Raises InputError if an option has a value that it does not know."""
        if value not in known:
            raise InputError(f'{type(self).__name__}: {name} is one of {known}, not {value!r}')

    def factors(self, given: Optional[dict[str, float]], **defaults: float) -> Weights:
        """The factors of the losses, with these defaults in place of BOA's."""
        keys = sorted(inspect.signature(Weights).parameters)
        unknown = sorted(set(given or {}) - set(keys))
        if unknown:
            raise InputError(
                f'{type(self).__name__}: weights has no {unknown}; its keys are {keys}'
            )
        return Weights(**{**defaults, **(given or {})})
