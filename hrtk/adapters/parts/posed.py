"""What losses on 2D keypoints compare: joints of predictions, and keypoints of a crop."""

from __future__ import annotations

import dataclasses

from torch import Tensor

from hrtk.body_models import BodyModel
from hrtk.geometry.camera import project
from hrtk.structures import Prediction

SKELETON = 'spin24'


@dataclasses.dataclass(frozen=True)
class Posed:
    """A prediction with its joints (B, J, 3) in metres and (B, J, 2) in the crop: ``spin24`` or ``spin49``."""

    prediction: Prediction
    joints3d: Tensor
    joints2d: Tensor

    @staticmethod
    def of(prediction: Prediction, body: BodyModel, skeleton: str = SKELETON) -> Posed:
        """Poses the body's joints; no mesh is computed."""
        joints = body.joints(prediction.rotmat, prediction.betas, skeleton)
        return Posed(prediction, joints, project(joints, prediction.camera))

    def __getitem__(self, index: slice) -> Posed:
        return Posed(self.prediction[index], self.joints3d[index], self.joints2d[index])

    @property
    def points(self) -> Tensor:
        """The 24 of ``joints2d`` that keypoints are compared with, the last ones of either list."""
        return self.joints2d[:, -24:]

    @property
    def joints(self) -> Tensor:
        """The same 24 in space."""
        return self.joints3d[:, -24:]


@dataclasses.dataclass(frozen=True)
class Evidence:
    """2D keypoints (B, 24, 2) in [-1, 1] with their confidence (B, 24)."""

    xy: Tensor
    confidence: Tensor
