"""The losses of bilevel online adaptation: single-frame, temporal and source losses (Eq. 2 to 5 of BOA)."""

from __future__ import annotations

import dataclasses
from typing import Optional

from torch import Tensor, nn

from hrtk.adapters.parts.posed import SKELETON, CropKeypoints, PosedPrediction
from hrtk.adapters.parts.source_bank import SourceBatch
from hrtk.adapters.parts.source_loss import SourceLabels, source_loss
from hrtk.body_models import BodyModel
from hrtk.geometry.rotation import rotmat_to_axis_angle
from hrtk.losses import (
    hips,
    keypoint2d_loss,
    keypoint3d_loss,
    motion_loss,
    parameter_loss,
    shape_prior,
)


@dataclasses.dataclass(frozen=True)
class LossWeights:
    """Loss weights; the defaults are BOA's for 3DPW. A loss of weight zero is not computed.

    Attributes:
        keypoints2d: gamma1, weight of the reprojection error of the frame's 2D keypoints.
        shape_prior: weight of the squared betas (part of gamma2).
        pose_prior: weight of the mixture-of-Gaussians energy (part of gamma2).
        source: gamma3, weight of the loss on the labelled source batch.
        motion: mu1, weight of the 2D motion loss over the interval.
        teacher: mu2, weight of the consistency with the mean teacher.
    """

    keypoints2d: float = 10.0
    shape_prior: float = 2e-6
    pose_prior: float = 1e-4
    source: float = 0.1
    motion: float = 0.1
    teacher: float = 0.1


class Objectives:
    """The weighted losses.

    Args:
        loss_weights: the loss weights.
        pose_prior: maps (B, 69) axis-angle to (B,) energies; None if its loss weight is zero.
        normalise: normalisation of :func:`~hrtk.losses.keypoint2d_loss`.
        teacher_skeleton: the joints that are compared between student and teacher: ``'spin24'`` relative to the
            mid-hip, as in BOA, or ``'spin49'`` in the camera frame, as in DynaBOA.
        certain_motion: compute the motion loss only where both confidences are exactly one, as DynaBOA's code does.
        source_labels: of :func:`~hrtk.adapters.parts.source_loss.source_loss`.
    """

    def __init__(
        self,
        loss_weights: LossWeights,
        pose_prior: Optional[nn.Module],
        normalise: str,
        teacher_skeleton: str = SKELETON,
        certain_motion: bool = False,
        source_labels: SourceLabels = 'body',
    ) -> None:
        self.loss_weights = loss_weights
        self.pose_prior = pose_prior
        self.normalise = normalise
        self.certain_motion = certain_motion
        self.source_labels = source_labels
        self._teacher_root: Optional[tuple[int, ...]] = None
        if teacher_skeleton == SKELETON:
            self._teacher_root = hips(SKELETON)

    def frame(self, posed: PosedPrediction, keypoints: CropKeypoints) -> Tensor:
        """Returns the single-frame losses: reprojection and both priors (the unlabelled part of Eq. 2)."""
        loss_weights = self.loss_weights
        reprojection = keypoint2d_loss(
            posed.spin24_joints2d, keypoints.xy, keypoints.confidence, self.normalise
        )
        loss = loss_weights.keypoints2d * reprojection
        if loss_weights.shape_prior:
            loss = loss + loss_weights.shape_prior * shape_prior(posed.prediction.betas)
        if self.pose_prior is not None:
            body_pose = rotmat_to_axis_angle(posed.prediction.rotmat[:, 1:]).flatten(1)
            loss = loss + loss_weights.pose_prior * self.pose_prior(body_pose).mean()
        return loss

    def source(self, posed: PosedPrediction, batch: SourceBatch, body: BodyModel) -> Tensor:
        """Returns the supervised loss on source crops, see :func:`~hrtk.adapters.parts.source_loss.source_loss`.

        Raises:
            InputError: the source data have no measured joints.
        """
        return self.loss_weights.source * source_loss(posed, batch, body, self.source_labels)

    def teacher(self, student: PosedPrediction, teacher: PosedPrediction) -> Tensor:
        """Returns the consistency with the mean teacher (Eq. 4): the source loss with its prediction as label."""
        error3d = keypoint3d_loss(student.joints3d, teacher.joints3d, root=self._teacher_root)
        error2d = (student.joints2d - teacher.joints2d).square().mean()
        parameters = parameter_loss(student.prediction, teacher.prediction)
        return self.loss_weights.teacher * (5 * error3d + 5 * error2d + parameters)

    def motion(
        self,
        now: PosedPrediction,
        past: PosedPrediction,
        keypoints_now: CropKeypoints,
        keypoints_past: CropKeypoints,
    ) -> Tensor:
        """Returns the 2D motion loss over the interval (Eq. 3), for keypoints that are visible at both ends."""
        if self.certain_motion:
            visible = keypoints_now.confidence + keypoints_past.confidence == 2
        else:
            visible = (keypoints_now.confidence > 0) & (keypoints_past.confidence > 0)
        joints_now = now.spin24_joints2d
        joints_past = past.spin24_joints2d
        error = motion_loss(
            joints_now,
            joints_past,
            keypoints_now.xy,
            keypoints_past.xy,
            visible.to(joints_now.dtype),
        )
        return self.loss_weights.motion * error
