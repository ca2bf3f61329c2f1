"""No adaptation: the row that every other one is compared with."""

from __future__ import annotations

from typing import Iterator

from hrtk.adapters.base import Adapter, predict
from hrtk.models.estimators import Estimator
from hrtk.registry import ADAPTERS
from hrtk.structures import Prediction, Sequence


@ADAPTERS.register_module()
class Source(Adapter):
    """The frozen source model.

    Args:
        batch_size: frames per forward pass.
    """

    def __init__(self, batch_size: int = 32) -> None:
        super().__init__(reset='sequence')
        self.batch_size = batch_size

    def adapt(self, estimator: Estimator, sequence: Sequence) -> Iterator[Prediction]:
        """Yields the unchanged model's prediction of every frame."""
        estimator.eval()
        for start in range(0, len(sequence), self.batch_size):
            chunk = range(start, min(start + self.batch_size, len(sequence)))
            prediction = predict(estimator, estimator.crops(sequence, chunk))
            for i in range(len(chunk)):
                yield prediction[i : i + 1]
