"""Arguments of keypoint losses: the joints of predictions and the 2D keypoints of crops."""

from __future__ import annotations

import dataclasses

from torch import Tensor

from hrtk.body_models import BodyModel
from hrtk.geometry.camera import project
from hrtk.structures import Prediction

SKELETON = 'spin24'


@dataclasses.dataclass(frozen=True)
class PosedPrediction:
    """B predictions with their joints, of the skeleton ``spin24`` or ``spin49``.

    Attributes:
        prediction: B bodies and cameras.
        joints3d: (B, J, 3) metres.
        joints2d: (B, J, 2) projected joints in the crop, [-1, 1].
    """

    prediction: Prediction
    joints3d: Tensor
    joints2d: Tensor

    @staticmethod
    def of(prediction: Prediction, body: BodyModel, skeleton: str = SKELETON) -> PosedPrediction:
        """Computes the joints of predictions, without the mesh."""
        joints3d = body.joints(prediction.rotmat, prediction.betas, skeleton)
        return PosedPrediction(prediction, joints3d, project(joints3d, prediction.camera))

    def __getitem__(self, index: slice) -> PosedPrediction:
        return PosedPrediction(self.prediction[index], self.joints3d[index], self.joints2d[index])

    @property
    def spin24_joints2d(self) -> Tensor:
        """(B, 24, 2) ``spin24`` joints, the last 24 of either skeleton, which are compared with keypoints."""
        return self.joints2d[:, -24:]

    @property
    def spin24_joints3d(self) -> Tensor:
        """(B, 24, 3) ``spin24`` joints, metres."""
        return self.joints3d[:, -24:]


@dataclasses.dataclass(frozen=True)
class CropKeypoints:
    """2D keypoints of B crops.

    Attributes:
        xy: (B, 24, 2) positions of ``spin24`` in the crop, [-1, 1].
        confidence: (B, 24) in [0, 1].
    """

    xy: Tensor
    confidence: Tensor

    @property
    def seen(self) -> Tensor:
        """(B,) bool: crops with at least one keypoint of a confidence above 0."""
        return (self.confidence > 0).any(1)

    def __getitem__(self, index: slice | list[int] | Tensor) -> CropKeypoints:
        return CropKeypoints(self.xy[index], self.confidence[index])
