"""The smallest useful adapter: a few Adam steps on 2D keypoints before every prediction."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Optional

from torch import Tensor

from hrtk.adapters import Adapter, Session, predict
from hrtk.adapters.parts.learner import Learner
from hrtk.adapters.parts.posed import PosedPrediction
from hrtk.adapters.parts.targets import crop_targets
from hrtk.models.estimators import Estimator
from hrtk.registry import ADAPTERS, LOSSES
from hrtk.structures import Prediction, Sequence


@ADAPTERS.register_module()
@dataclasses.dataclass(frozen=True, kw_only=True)
class KeypointTuner(Adapter):
    """Moves a few weights towards the keypoints of the frame, then predicts it.

    Args:
        lr: rate of Adam.
        steps: of Adam, per frame.
        parameters: which weights move, see :func:`~hrtk.adapters.parts.parameter_selection.select_parameters`.
        loss: config of a loss ``(joints2d, keypoints2d, confidence) -> scalar``.
        reset: of :class:`~hrtk.adapters.Adapter`.
    """

    lr: float = 1e-4
    steps: int = 2
    parameters: str = 'head'
    loss: Optional[Mapping[str, Any]] = None

    def start(self, estimator: Estimator) -> KeypointTunerSession:
        """Starts a session with the estimator's present weights."""
        return KeypointTunerSession(self, estimator)


class KeypointTunerSession(Session):
    """The weights that move, and Adam's moments.

    Args:
        options: of the adapter.
        estimator: its weights change.
    """

    def __init__(self, options: KeypointTuner, estimator: Estimator) -> None:
        self.steps = options.steps
        self.loss = LOSSES.build(options.loss or dict(type='GemanMcClure'))
        self.learner = Learner(estimator, options.parameters, options.lr, (0.9, 0.999))

    def run(self, sequence: Sequence) -> Iterator[Prediction]:
        """Yields one prediction per frame, after the steps on it."""
        estimator = self.learner.estimator
        keypoints = crop_targets(sequence, device=estimator.device)
        for t in range(len(sequence)):
            crop = estimator.crops(sequence, [t])

            def objective(_: Mapping[str, Tensor]) -> Tensor:
                joints2d = PosedPrediction.of(estimator(crop), estimator.required_body).joints2d
                return self.loss(joints2d, keypoints.xy[[t]], keypoints.confidence[[t]])

            if keypoints.confidence[t].any():
                for _ in range(self.steps):
                    self.learner.descend(objective)
            yield predict(estimator, crop)

    @property
    def counts(self) -> dict[str, int | float]:
        """Steps that were skipped because a value was not finite."""
        return {'skipped_updates': self.learner.skipped}

    def state_dict(self) -> dict[str, Any]:
        """Returns Adam's moments, for ``reset='never'``."""
        return self.learner.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resumes from a :meth:`state_dict`."""
        self.learner.load_state_dict(state)
