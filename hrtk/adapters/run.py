"""Runs an adapter over several sequences: starts its sessions, and resets the weights that they start from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Optional

import torch
from torch import Tensor

from hrtk.adapters.base import Adapter, Session
from hrtk.adapters.parts.lora import is_factor, remove_lora
from hrtk.models.estimators import Estimator
from hrtk.structures import Prediction, Sequence


class AdapterRun:
    """Predicts sequences in order and starts new sessions as defined by :attr:`Adapter.reset`.

    A new session starts from the weights that the estimator has when this object is constructed.

    Args:
        adapter: adapter, after :meth:`Adapter.prepare`.
        estimator: network with the prepared weights.

    Attributes:
        counts: counts of the last sequence, see :attr:`Session.counts`; complete once the generator of the sequence is
            exhausted.
        state_bytes: of the session of the last sequence, see :attr:`Session.state_bytes`; complete like the counts.
    """

    def __init__(self, adapter: Adapter, estimator: Estimator) -> None:
        self.adapter = adapter
        self.estimator = estimator
        self.counts: dict[str, int | float] = {}
        self.state_bytes = 0
        self._start_weights = copied_weights(estimator)
        self._session: Optional[Session] = None
        self._frame_counts: list[Mapping[str, int | float]] = []  # of reset='frame'

    def run(self, sequence: Sequence) -> Iterator[Prediction]:
        """Yields one prediction of batch size one per frame."""
        if self.adapter.reset == 'frame':
            self._frame_counts = []
            yield from self._run_frames(sequence, 0)
            return
        if self.adapter.reset == 'sequence' or self._session is None:
            self._session = self._new_session()
        yield from self._session.run(sequence)
        self.counts = dict(self._session.counts)
        self.state_bytes = self._session.state_bytes

    def midway_state(self, done: int) -> Optional[dict[str, Any]]:
        """Returns the changed weights and the session's state inside a sequence, or None where it cannot continue.

        Called while :meth:`run` waits at a ``yield``.

        Args:
            done: number of frames of the sequence that are predicted.
        """
        if self.adapter.reset == 'frame':
            return dict(
                weights={}, session=dict(counts=[dict(each) for each in self._frame_counts])
            )
        assert self._session is not None, 'run() comes first'
        state = self._session.midway_state(done)
        if state is None:
            return None
        weights = changed_weights(self.estimator, self._start_weights)
        return dict(weights=weights, session=state)

    def run_from(
        self, sequence: Sequence, done: int, state: dict[str, Any]
    ) -> Iterator[Prediction]:
        """Yields the predictions of the frames behind the first ``done``, as an uninterrupted :meth:`run` does.

        Args:
            sequence: all its frames.
            done: number of frames that were predicted before the interruption.
            state: result of :meth:`midway_state`.
        """
        if self.adapter.reset == 'frame':
            self._frame_counts = list(state['session']['counts'])
            yield from self._run_frames(sequence, done)
            return
        self._session = self._new_session()
        self.estimator.load_state_dict({**self._start_weights, **state['weights']})
        yield from self._session.run_from(sequence, done, state['session'])
        self.counts = dict(self._session.counts)
        self.state_bytes = self._session.state_bytes

    def state_dict(self) -> dict[str, Any]:
        """Returns the state of the persistent session (``reset='never'``)."""
        if self._session is None:
            return {}
        return self._session.state_dict()

    def resume(self, weights: Mapping[str, Tensor], state: dict[str, Any]) -> None:
        """Resumes the persistent session (``reset='never'``).

        Args:
            weights: state dict of the estimator after the last finished sequence.
            state: result of :meth:`state_dict` after that sequence.
        """
        plain = {name: value for name, value in weights.items() if not is_factor(name)}
        self.estimator.load_state_dict(plain)
        self._session = self.adapter.start(self.estimator)
        # start() saw the weights of the interrupted run, not the start weights; load_state_dict must restore anything
        # that is derived from the start weights, such as a mean teacher.
        self.estimator.load_state_dict(weights)
        self._session.load_state_dict(state)

    def _run_frames(self, sequence: Sequence, first: int) -> Iterator[Prediction]:
        for t in range(first, len(sequence)):
            session = self._new_session()
            # To its end, so that the counts are complete when the state behind the frame is stored.
            predictions = list(session.run(sequence.part(t, t + 1)))
            self._frame_counts.append(session.counts)
            self.state_bytes = session.state_bytes
            yield from predictions
        self.counts = _merged(self._frame_counts)

    def _new_session(self) -> Session:
        remove_lora(self.estimator)
        self.estimator.load_state_dict(self._start_weights)
        self.estimator.eval().zero_grad(set_to_none=True)
        return self.adapter.start(self.estimator)


def copied_weights(estimator: Estimator) -> dict[str, Tensor]:
    """Returns a copy of an estimator's state dict."""
    return {name: value.detach().clone() for name, value in estimator.state_dict().items()}


def changed_weights(estimator: Estimator, start: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the entries of an estimator's state dict that differ from the start weights, not copied.

    Args:
        estimator: under adaptation.
        start: state dict before it; factors of low rank that were added since count as changed.
    """
    return {
        name: value
        for name, value in estimator.state_dict().items()
        if is_factor(name) or not torch.equal(value, start[name])
    }


def _merged(counts: list[Mapping[str, int | float]]) -> dict[str, int | float]:
    """Merges the counts of the frames of a sequence: ints are totals and are summed, floats are means and averaged."""
    merged: dict[str, int | float] = {}
    names = dict.fromkeys(name for frame in counts for name in frame)
    for name in names:
        values = [frame[name] for frame in counts if name in frame]
        if isinstance(values[0], float):
            merged[name] = sum(values) / len(values)
        else:
            merged[name] = sum(values)
    return merged
