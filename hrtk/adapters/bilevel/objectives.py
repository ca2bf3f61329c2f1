"""The losses of bilevel online adaptation: one frame, time, and labelled source (Eq. 2 to 5 of BOA)."""

from __future__ import annotations

import dataclasses
from typing import Optional

import torch
from torch import Tensor, nn

from hrtk.adapters.parts.posed import SKELETON, Evidence, Posed
from hrtk.adapters.parts.source_bank import SourceBatch
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
from hrtk.structures import Prediction


@dataclasses.dataclass(frozen=True)
class Weights:
    """Factors of the terms; the defaults are BOA's for 3DPW. A zero leaves the term out and its work undone.

    Attributes:
        keypoints2d: gamma1, reprojection of the frame's 2D keypoints.
        shape_prior: on the squared betas (part of gamma2).
        pose_prior: on the mixture-of-Gaussians energy (part of gamma2).
        source: gamma3, the labelled source batch.
        motion: mu1, 2D motion over the interval.
        teacher: mu2, the mean teacher.
    """

    keypoints2d: float = 10.0
    shape_prior: float = 2e-6
    pose_prior: float = 1e-4
    source: float = 0.1
    motion: float = 0.1
    teacher: float = 0.1


class Objectives:
    """The terms with their weights.

    Args:
        weights: factors of the terms.
        pose_prior: maps (B, 69) axis-angle to (B,) energies; None if its weight is zero.
        normalise: of :func:`~hrtk.losses.keypoint2d_loss`.
        teacher_joints: what student and teacher share: ``'spin24'`` about the mid-hip, as BOA, or ``'spin49'`` where
            they lie in space, as DynaBOA.
        certain_motion: score motion only where both confidences are exactly one, as DynaBOA's code does.
    """

    def __init__(
        self,
        weights: Weights,
        pose_prior: Optional[nn.Module],
        normalise: str,
        teacher_joints: str = SKELETON,
        certain_motion: bool = False,
    ) -> None:
        self.weights, self.pose_prior, self.normalise = weights, pose_prior, normalise
        self.teacher_joints, self.certain_motion = teacher_joints, certain_motion
        self.hips = hips(SKELETON)

    def frame(self, posed: Posed, evidence: Evidence) -> Tensor:
        """Single-frame constraints: reprojection and both priors (the unlabelled part of Eq. 2)."""
        w, prediction = self.weights, posed.prediction
        loss = w.keypoints2d * keypoint2d_loss(
            posed.points, evidence.xy, evidence.confidence, self.normalise
        )
        if w.shape_prior:
            loss = loss + w.shape_prior * shape_prior(prediction.betas)
        if w.pose_prior:
            pose = rotmat_to_axis_angle(prediction.rotmat[:, 1:]).flatten(1)
            loss = loss + w.pose_prior * self.pose_prior(pose).mean()
        return loss

    def source(self, posed: Posed, batch: SourceBatch, body: BodyModel) -> Tensor:
        """Full supervision on source crops: 5 S3D (hips-centred), 5 S2D, 1 rotmat, 0.001 betas, as BOA's code."""
        with torch.no_grad():
            true = body.joints(batch.rotmat, batch.betas, SKELETON)
        labels = Prediction(batch.rotmat, batch.betas, posed.prediction.camera)
        return self.weights.source * (
            5 * keypoint3d_loss(posed.joints, true, root=self.hips)
            + 5 * (posed.points - batch.keypoints2d).square().mean()
            + parameter_loss(posed.prediction, labels)
        )

    def teacher(self, student: Posed, teacher: Posed) -> Tensor:
        """Consistency with the mean teacher (Eq. 4 of BOA): the mixture of the source loss, against its predictions."""
        root = self.hips if self.teacher_joints == SKELETON else None
        return self.weights.teacher * (
            5 * keypoint3d_loss(student.joints3d, teacher.joints3d, root=root)
            + 5 * (student.joints2d - teacher.joints2d).square().mean()
            + parameter_loss(student.prediction, teacher.prediction)
        )

    def motion(
        self, now: Posed, then: Posed, evidence_now: Evidence, evidence_then: Evidence
    ) -> Tensor:
        """2D motion over the interval (Eq. 3 of BOA), where both ends of a point's path were seen."""
        a, b = evidence_now.confidence, evidence_then.confidence
        both = (a + b == 2 if self.certain_motion else (a > 0) & (b > 0)).to(now.points.dtype)
        return self.weights.motion * motion_loss(
            now.points, then.points, evidence_now.xy, evidence_then.xy, both
        )
