"""The interface of adapters, the only place in hrtk where weights change."""

from __future__ import annotations

from typing import Any, Iterator, Optional

import torch
from torch import Tensor

from hrtk.errors import InputError
from hrtk.models.estimators import Estimator
from hrtk.structures import Prediction, Sequence

RESETS = ('frame', 'sequence', 'never')
STATES = ('labels', 'progress')  # names of what a preparation may keep


class Preparation:
    """Where :meth:`Adapter.prepare` keeps what has to survive a kill, and whom it tells how far it is.

    This one keeps nothing and tells nobody; a run's own (:mod:`hrtk.engine.preparation`) does both.
    """

    def result(self) -> Optional[dict[str, Tensor]]:
        """The weights that an earlier run of the same configuration ended with, or None: nothing is left to do."""
        return None

    def load(self, name: str) -> Optional[dict[str, Any]]:
        """What was saved under this name by an earlier, interrupted run of the same configuration, or None."""
        return None

    def save(self, name: str, state: dict[str, Any]) -> None:
        """Keeps tensors and plain types under a name, one of :data:`STATES`."""

    def step(self, done: int, total: int, **numbers: float) -> None:
        """Reports progress, with numbers such as the loss."""


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

    def prepare(
        self, estimator: Estimator, dataset: Any, preparation: Optional[Preparation] = None
    ) -> Optional[dict[str, Tensor]]:
        """Runs once over the whole target before any sequence.

        Random numbers are seeded before the call, alike in every process.

        Args:
            estimator: may be changed.
            dataset: every sequence of the target.
            preparation: keeps states of long work and shows its progress.

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
