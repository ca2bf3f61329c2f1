"""A session whose state is one optimiser with the weights that it changes."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from hrtk.adapters.base import Session
from hrtk.adapters.parts.learner import Learner
from hrtk.adapters.parts.posed import CropKeypoints
from hrtk.adapters.parts.targets import crop_targets, report_unseen
from hrtk.models.estimators import Estimator
from hrtk.structures import Sequence


class LearnerSession(Session):
    """The weights of an estimator under adaptation, with one Adam. A subclass implements :meth:`run`.

    Args:
        estimator: network whose weights adapt.
        parameters: of :class:`~hrtk.adapters.parts.learner.Learner`.
        lr: of the learner.
        adam_betas: of the learner.
    """

    def __init__(
        self, estimator: Estimator, parameters: str, lr: float, adam_betas: tuple[float, float]
    ) -> None:
        self.estimator = estimator
        self.learner = Learner(estimator, parameters, lr, adam_betas)
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
