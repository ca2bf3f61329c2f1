"""The interface of teachers."""

from __future__ import annotations

from hrtk.models.estimators import Estimator
from hrtk.structures import Prediction, Sequence


class Teacher:
    """Base class of frozen networks that label the frames of a sequence for an estimator, the student.

    A subclass implements :meth:`label` and :meth:`fingerprint` and registers in ``hrtk.registry.TEACHERS``.
    """

    def label(self, sequence: Sequence, estimator: Estimator) -> Prediction:
        """Labels all frames of a sequence.

        Args:
            sequence: F frames.
            estimator: the student before it learns.

        Returns:
            F predictions without a graph, on the estimator's device.
        """
        raise NotImplementedError

    def fingerprint(self) -> dict[str, str]:
        """Returns hashes of everything that the labels depend on besides the config."""
        raise NotImplementedError
