"""The smallest useful adapter: a few Adam steps on 2D keypoints before every prediction."""

from __future__ import annotations

from typing import Any, Iterator, Optional

import torch

from hrtk.adapters import Adapter, predict
from hrtk.adapters.parts.parameter_selection import select_parameters
from hrtk.adapters.parts.posed import Posed
from hrtk.adapters.parts.targets import crop_targets
from hrtk.models.estimators import Estimator
from hrtk.registry import ADAPTERS, LOSSES
from hrtk.structures import Prediction, Sequence


@ADAPTERS.register_module()
class KeypointTuner(Adapter):
    """Moves a few weights towards the keypoints of the frame, then predicts it.

    Args:
        lr: rate of Adam.
        steps: of Adam, per frame.
        parameters: which weights move, see :func:`~hrtk.adapters.parts.parameter_selection.select_parameters`.
        loss: config of a loss ``(found, wanted, confidence) -> scalar``.
        reset: of :class:`~hrtk.adapters.base.Adapter`.
    """

    def __init__(
        self,
        lr: float = 1e-4,
        steps: int = 2,
        parameters: str = 'head',
        loss: Optional[dict] = None,
        reset: str = 'sequence',
    ) -> None:
        super().__init__(reset)
        self.lr, self.steps, self.parameters = lr, steps, parameters
        self.loss = LOSSES.build(loss or dict(type='GemanMcClure'))
        self._optimizer: Optional[torch.optim.Adam] = None
        self._restored: Optional[dict[str, Any]] = None

    def adapt(self, estimator: Estimator, sequence: Sequence) -> Iterator[Prediction]:
        """Yields one prediction per frame, after the steps on it."""
        estimator.eval().requires_grad_(False)  # evaluation mode: BatchNorm keeps its statistics
        xy, confidence = crop_targets(sequence, device=estimator.device)
        start = {name: value.detach().clone() for name, value in estimator.state_dict().items()}
        self._begin(estimator)
        for t in range(len(sequence)):
            if self.reset == 'frame' and t > 0:
                estimator.load_state_dict(start)
                self._begin(estimator)
            crop = estimator.crops(sequence, [t])
            for _ in range(self.steps if confidence[t].any() else 0):
                joints = Posed.of(estimator(crop), estimator.body).joints2d
                self._optimizer.zero_grad()
                self.loss(joints, xy[t : t + 1], confidence[t : t + 1]).backward()
                self._optimizer.step()
            yield predict(estimator, crop)

    def state_dict(self) -> dict[str, Any]:
        """Adam's moments, for ``reset='never'``."""
        return {} if self._optimizer is None else {'optimizer': self._optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes them back; used when the next sequence begins."""
        self._restored = state.get('optimizer')

    def _begin(self, estimator: Estimator) -> None:
        weights = [
            value.requires_grad_()
            for value in select_parameters(estimator, self.parameters).values()
        ]
        if self.reset != 'never' or self._optimizer is None:
            self._optimizer = torch.optim.Adam(weights, lr=self.lr)
        if self._restored is not None:
            self._optimizer.load_state_dict(self._restored)
            self._restored = None
