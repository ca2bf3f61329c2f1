"""A session whose state is one optimiser with the weights that it changes."""

from __future__ import annotations

from typing import Any, Generic, Optional, Protocol, TypeVar

from torch import Tensor

from hrtk.adapters.base import Session
from hrtk.adapters.parts.learner import Learner
from hrtk.adapters.parts.posed import CropKeypoints
from hrtk.adapters.parts.targets import crop_targets, report_unseen
from hrtk.models.estimators import Estimator
from hrtk.structures import Sequence


class LearnerOptions(Protocol):
    """The options that an adapter has for its learner."""

    @property
    def lr(self) -> float: ...

    @property
    def adam_betas(self) -> tuple[float, float]: ...


Options = TypeVar('Options', bound=LearnerOptions)


class LearnerSession(Session, Generic[Options]):
    """The weights of an estimator under adaptation, with one Adam. A subclass implements :meth:`run`.

    Args:
        options: the adapter.
        estimator: network whose weights adapt.
        parameters: of :class:`~hrtk.adapters.parts.learner.Learner`; None is the option of this name.
    """

    def __init__(
        self, options: Options, estimator: Estimator, parameters: Optional[str] = None
    ) -> None:
        self.options = options
        self.estimator = estimator
        if parameters is None:
            parameters = getattr(options, 'parameters')
        self.learner = Learner(estimator, parameters, options.lr, options.adam_betas)
        self._unseen: dict[str, int | float] = {}

    def look_at(self, sequence: Sequence) -> tuple[CropKeypoints, Tensor]:
        """Returns the keypoints of F frames, and on the CPU, (F,), which frames have a visible one."""
        keypoints = crop_targets(sequence, device=self.estimator.device)
        seen = keypoints.seen.cpu()
        self._unseen = report_unseen(sequence, seen)
        return keypoints, seen

    @property
    def counts(self) -> dict[str, int | float]:
        """Counts of the last sequence.

        ``skipped_updates``: steps whose loss or gradient was not finite; ``frames_without_evidence``, if there are any.
        """
        return {'skipped_updates': self.learner.skipped, **self._unseen}

    @property
    def state_bytes(self) -> int:
        """Bytes of the adapting weights and of Adam's moments."""
        return self.learner.state_bytes

    def state_dict(self) -> dict[str, Any]:
        """Returns Adam's moments."""
        return self.learner.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resumes from a :meth:`state_dict`."""
        self.learner.load_state_dict(state)
