"""Sessions that leave the network as it is and refine its predictions, chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Optional

from hrtk.adapters.base import Session
from hrtk.adapters.parts.posed import CropKeypoints
from hrtk.adapters.parts.targets import crop_targets, report_unseen
from hrtk.models.estimators import Estimator, predict_chunks
from hrtk.structures import Prediction, Sequence


class RefinementSession(Session):
    """Predicts chunks of consecutive frames with unchanged weights. A subclass implements :meth:`refine`.

    Args:
        estimator: network whose weights stay unchanged.
        chunk: frames that are refined together.
    """

    def __init__(self, estimator: Estimator, chunk: int) -> None:
        self.estimator = estimator.eval()
        self.body = estimator.required_body
        self.chunk = chunk
        self._counts: dict[str, int | float] = {}

    def refine(self, prediction: Prediction, keypoints: CropKeypoints) -> Prediction:
        """Returns better parameters of consecutive frames.

        Args:
            prediction: of the network, B frames, constants.
            keypoints: of the same frames; some may have no visible keypoint.
        """
        raise NotImplementedError

    @property
    def counts(self) -> dict[str, int | float]:
        """``frames_without_evidence``, if there are any: frames without a visible keypoint."""
        return self._counts

    def run(self, sequence: Sequence) -> Iterator[Prediction]:
        """Yields the refined prediction of every frame."""
        return self.run_from(sequence, 0, {})

    def midway_state(self, done: int) -> Optional[dict[str, Any]]:
        """An empty state between two chunks; None inside a chunk."""
        if done % self.chunk:
            return None
        return {}

    def run_from(
        self, sequence: Sequence, done: int, state: dict[str, Any]
    ) -> Iterator[Prediction]:
        """Yields the predictions of the frames behind the first ``done``."""
        keypoints = crop_targets(sequence, device=self.estimator.device)
        self._counts = report_unseen(sequence, keypoints.seen)
        for start in range(done, len(sequence), self.chunk):
            stop = min(start + self.chunk, len(sequence))
            chunks = predict_chunks(self.estimator, sequence, first=start, stop=stop)
            prediction = Prediction.cat(list(chunks))
            refined = self.refine(prediction, keypoints[start:stop])
            for i in range(len(refined)):
                yield refined[i : i + 1]
