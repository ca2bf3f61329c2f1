"""The interface of adapters, the only place in hrtk where weights change."""

from __future__ import annotations

from typing import Any, Iterator, Optional

import torch
from torch import Tensor

from hrtk.models.estimators import Estimator
from hrtk.structures import InputError, Prediction, Sequence

RESETS = ('frame', 'sequence', 'never')


class Adapter:
    """Makes an estimator better on the footage it is shown.

    A subclass implements :meth:`adapt`, a generator: it may change the estimator's weights before each ``yield`` and
    yields one :class:`~hrtk.structures.Prediction` of batch size one per frame, in order. Never ``yield`` inside
    ``torch.no_grad()``: the caller would inherit it.

    Args:
        reset: ``'sequence'``, the weights return to the start at every new sequence; ``'frame'``, at every frame, for
            pictures that are not a video; ``'never'``, they carry over (as BOA's and DynaBOA's code does), which ties
            the result to the order of the sequences and to one process.
    """

    def __init__(self, reset: str = 'sequence') -> None:
        if reset not in RESETS:
            raise InputError(f'{type(self).__name__}: reset is one of {RESETS}, not {reset!r}')
        self.reset = reset

    def prepare(self, estimator: Estimator, dataset: Any) -> Optional[dict[str, Tensor]]:
        """Runs once over the whole target before any sequence.

        Returns:
            A state dict of the estimator to start every sequence from, or None to keep the given weights.
        """
        return None

    def adapt(self, estimator: Estimator, sequence: Sequence) -> Iterator[Prediction]:
        """Yields one prediction per frame of the sequence."""
        raise NotImplementedError

    def report(self) -> dict[str, float]:
        """Numbers about the last sequence, stored with its result; e.g. how many updates were skipped."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """What must be carried to the next sequence besides the estimator's weights (``reset='never'`` only)."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what :meth:`state_dict` gave."""

    def fingerprint(self) -> dict[str, str]:
        """Hashes of files that the results depend on besides the config."""
        return {}


@torch.no_grad()
def predict(estimator: Estimator, images: Tensor) -> Prediction:
    """A prediction without a graph; use this before a ``yield``."""
    return estimator(images)
