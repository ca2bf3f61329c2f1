"""EstimatorTeacher: another frozen estimator labels the frames."""

from __future__ import annotations

import torch

from hrtk.models.estimators import Estimator, predict_sequence
from hrtk.registry import ESTIMATORS, TEACHERS
from hrtk.structures import Prediction, Sequence
from hrtk.teachers.base import Teacher


@TEACHERS.register_module()
class EstimatorTeacher(Teacher):
    """Labels by an estimator that is better on the footage than the student, e.g. one that has seen real people.

    Teacher and student predict cameras of the same crop boxes, so the cameras are comparable; the bodies must be of the
    same body model.

    Args:
        estimator: config of the estimator, with weights.

    Raises:
        InputError: the estimator cannot be built.
    """

    def __init__(self, estimator: dict) -> None:
        self.estimator: Estimator = ESTIMATORS.build(dict(estimator)).eval().requires_grad_(False)

    @torch.no_grad()
    def label(self, sequence: Sequence, estimator: Estimator) -> Prediction:
        """Labels all frames of a sequence.

        Args:
            sequence: F frames.
            estimator: the student; its device is used.

        Returns:
            F predictions without features, on the student's device.

        Raises:
            InputError: a frame cannot be read.
        """
        self.estimator.to(estimator.device)
        labels = predict_sequence(self.estimator, sequence)
        return Prediction(labels.rotmat, labels.betas, labels.camera)

    def fingerprint(self) -> dict[str, str]:
        """Returns hashes of the estimator."""
        return {f'teacher_{name}': value for name, value in self.estimator.fingerprint().items()}
