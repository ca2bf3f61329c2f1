"""Sessions that refine predictions chunk by chunk: those of the network as it is, or those of another adapter."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterator
from typing import Any, Optional

from hrtk.adapters.base import Session
from hrtk.adapters.parts.posed import CropKeypoints
from hrtk.adapters.parts.targets import crop_targets, report_unseen
from hrtk.models.estimators import Estimator, predict_chunks
from hrtk.structures import Prediction, Sequence


class RefinementSession(Session):
    """Refines the predictions of consecutive frames together. A subclass implements :meth:`refine`.

    Args:
        estimator: network whose predictions are refined. This class changes no weight.
        chunk: frames that are refined together.
        wrapped: session of the same estimator whose predictions are refined; None: those of the network as it is.
    """

    def __init__(self, estimator: Estimator, chunk: int, wrapped: Optional[Session] = None) -> None:
        self.estimator = estimator.eval()
        self.body = estimator.required_body
        self.chunk = chunk
        self.wrapped = wrapped
        self._unseen: dict[str, int | float] = {}
        self._rest: Optional[Prediction] = None  # refined frames that are not yielded yet
        self._resumed: Optional[dict[str, Any]] = None  # of the wrapped session, until it continues

    def refine(self, prediction: Prediction, keypoints: CropKeypoints, frames: slice) -> Prediction:
        """Returns better parameters of consecutive frames.

        Args:
            prediction: B frames, constants.
            keypoints: of the same frames; some may have no visible keypoint.
            frames: the places of the frames in the sequence.
        """
        raise NotImplementedError

    def begin(self, sequence: Sequence) -> None:
        """Reads what else a subclass needs of a sequence; comes before its first :meth:`refine`."""

    @property
    def counts(self) -> dict[str, int | float]:
        """``frames_without_evidence``, if there are any: frames without a visible keypoint.

        Those of the wrapped session are here too.
        """
        if self.wrapped is None:
            return self._unseen
        return {**self.wrapped.counts, **self._unseen}

    @property
    def state_bytes(self) -> int:
        """Those of the wrapped session."""
        if self.wrapped is None:
            return 0
        return self.wrapped.state_bytes

    def state_dict(self) -> dict[str, Any]:
        """Returns the state of the wrapped session."""
        if self.wrapped is None:
            return {}
        return self.wrapped.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resumes from a :meth:`state_dict`."""
        if self.wrapped is not None:
            self.wrapped.load_state_dict(state)

    def run(self, sequence: Sequence) -> Iterator[Prediction]:
        """Yields the refined prediction of every frame."""
        predictions = None
        if self.wrapped is not None:
            predictions = self.wrapped.run(sequence)
        yield from self._run_chunks(sequence, 0, predictions)

    def midway_state(self, done: int) -> Optional[dict[str, Any]]:
        """Returns the refined frames that are not yielded yet, and the state of the wrapped session behind them."""
        rest = self._rest
        assert rest is not None, 'run() comes first'
        state: dict[str, Any] = {
            'rotmat': rest.rotmat.cpu().clone(),
            'betas': rest.betas.cpu().clone(),
            'camera': rest.camera.cpu().clone(),
        }
        if self.wrapped is None:
            return {'rest': state}
        wrapped = self._resumed
        if wrapped is None:
            wrapped = self.wrapped.midway_state(done + len(rest))
        if wrapped is None:
            return None
        return {'rest': state, 'wrapped': wrapped}

    def run_from(
        self, sequence: Sequence, done: int, state: dict[str, Any]
    ) -> Iterator[Prediction]:
        """Yields the predictions of the frames behind the first ``done``."""
        parts = {name: value.to(self.estimator.device) for name, value in state['rest'].items()}
        rest = Prediction(**parts)
        first = done + len(rest)
        predictions = None
        if self.wrapped is not None:
            self._resumed = state['wrapped']
            predictions = self.wrapped.run_from(sequence, first, state['wrapped'])
        yield from self._each(rest)
        self._resumed = None
        yield from self._run_chunks(sequence, first, predictions)

    def _run_chunks(
        self, sequence: Sequence, first: int, predictions: Optional[Iterator[Prediction]]
    ) -> Iterator[Prediction]:
        """Refines the frames from ``first`` on; ``predictions`` are those of the wrapped session from there on."""
        keypoints = crop_targets(sequence, device=self.estimator.device)
        self._unseen = report_unseen(sequence, keypoints.seen)
        self.begin(sequence)
        for start in range(first, len(sequence), self.chunk):
            stop = min(start + self.chunk, len(sequence))
            frames = slice(start, stop)
            if predictions is None:
                parts = predict_chunks(self.estimator, sequence, first=start, stop=stop)
            else:
                parts = itertools.islice(predictions, stop - start)
            prediction = Prediction.cat([part.detach() for part in parts])
            yield from self._each(self.refine(prediction, keypoints[frames], frames))
        if predictions is not None:
            # No frame is left, but a session may finish something behind its last one.
            collections.deque(predictions, maxlen=0)

    def _each(self, refined: Prediction) -> Iterator[Prediction]:
        """Yields one frame after the other, and keeps the rest."""
        for i in range(len(refined)):
            self._rest = refined[i + 1 :]
            yield refined[i : i + 1]
