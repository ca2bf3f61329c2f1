"""Labels of shots and source crops, and the supervised losses on them."""

from __future__ import annotations

import dataclasses
from typing import Optional
from typing import Sequence as SequenceOf

import torch
from torch import Tensor

from hrtk.adapters.parts.posed import SKELETON, PosedPrediction
from hrtk.adapters.parts.source_bank import SourceBatch
from hrtk.adapters.parts.targets import crop_targets
from hrtk.body_models import BodyModel
from hrtk.body_models.gendered import WHERE, GenderedBodies
from hrtk.body_models.skeletons import flip_map
from hrtk.errors import InputError
from hrtk.geometry.mirror import mirror_points
from hrtk.losses import betas_loss, hips, keypoint2d_loss, keypoint3d_loss, rotmat_loss
from hrtk.models.augmentation import mirror_labels
from hrtk.models.estimators import Estimator
from hrtk.structures import Sequence


@dataclasses.dataclass(frozen=True)
class Labels:
    """Labels of N frames.

    Attributes:
        rotmat: (N, 24, 3, 3).
        betas: (N, 10).
        neutral: (N, 1), 1 if the betas are those of the estimator's body model, 0 if those of a gendered one, or if
            there is no body.
        posed: (N, 1), 1 if there is a body, 0 if there are joints alone; then ``rotmat`` is the rest pose.
        joints3d: (N, 24, 3) ``spin24``, metres. The 14 common joints are known in every frame.
        measured: (N, 24), 1 if the 3D joint is known.
        keypoints2d: (N, 24, 2) ``spin24`` in [-1, 1].
        confidence: (N, 24) confidences of the keypoints.
    """

    rotmat: Tensor
    betas: Tensor
    neutral: Tensor
    posed: Tensor
    joints3d: Tensor
    measured: Tensor
    keypoints2d: Tensor
    confidence: Tensor

    @staticmethod
    def of_source(batch: SourceBatch, body: BodyModel) -> Labels:
        """Returns the labels of source crops, or of all frames of source clips; ``body`` is the estimator's.

        Frames whose rotations or betas are not numbers have no body; their joints are the measured ones, ``batch.S``.
        """
        rotmat = batch.rotmat.reshape(-1, 24, 3, 3)
        betas = batch.betas.reshape(-1, 10)
        keypoints2d = batch.keypoints2d.reshape(-1, 24, 2)
        has_body = torch.isfinite(betas).all(1) & torch.isfinite(rotmat).flatten(1).all(1)
        rest = torch.eye(3, device=rotmat.device, dtype=rotmat.dtype)
        rotmat = torch.where(has_body[:, None, None, None], rotmat, rest)
        betas = torch.where(has_body[:, None], betas, 0.0)
        posed = has_body[:, None].to(betas.dtype)
        with torch.no_grad():
            joints3d = body.joints(rotmat, betas, SKELETON)
        measured = torch.ones_like(keypoints2d[..., 0])
        if batch.S is not None:
            points = batch.S.reshape(-1, 24, 4).to(joints3d)
            joints3d = torch.where(has_body[:, None, None], joints3d, points[..., :3])
            measured = torch.where(has_body[:, None], measured, points[..., 3])
        confidence = torch.ones_like(keypoints2d[..., 0])
        if batch.part is not None:
            confidence = batch.part.reshape(-1, 24, 3)[..., 2]
        return Labels(rotmat, betas, posed, posed, joints3d, measured, keypoints2d, confidence)

    @staticmethod
    def cat(parts: SequenceOf[Labels]) -> Labels:
        """Concatenates labels along the frames."""
        joined = {}
        for field in dataclasses.fields(Labels):
            joined[field.name] = torch.cat([getattr(part, field.name) for part in parts])
        return Labels(**joined)

    def mirrored(self, chosen: Tensor) -> Labels:
        """Returns the labels with the frames that are ``chosen``, (N,) bool, mirrored."""
        order = list(flip_map(SKELETON))
        rotmat, keypoints2d = mirror_labels(chosen, self.rotmat, self.keypoints2d)
        joints3d = mirror_points(self.joints3d, order)
        return dataclasses.replace(
            self,
            rotmat=rotmat,
            keypoints2d=keypoints2d,
            joints3d=torch.where(chosen[:, None, None], joints3d, self.joints3d),
            measured=torch.where(chosen[:, None], self.measured[:, order], self.measured),
            confidence=torch.where(chosen[:, None], self.confidence[:, order], self.confidence),
        )

    def losses(self, posed: PosedPrediction) -> dict[str, Tensor]:
        """Returns SPIN's and VIBE's supervised losses, unweighted: squared errors, 3D joints relative to the hips.

        What is not known adds nothing; all losses are means over all frames.
        """
        prediction = posed.prediction
        has_body = self.posed[:, :, None, None]
        return dict(
            keypoints2d=keypoint2d_loss(posed.joints2d, self.keypoints2d, self.confidence),
            joints3d=keypoint3d_loss(
                posed.joints3d, self.joints3d, self.measured, root=hips(SKELETON)
            ),
            rotmat=rotmat_loss(has_body * prediction.rotmat, has_body * self.rotmat),
            betas=betas_loss(self.neutral * prediction.betas, self.neutral * self.betas),
        )


@torch.no_grad()
def labels_of_frames(
    estimator: Estimator, sequence: Sequence, frames: range, bodies: Optional[GenderedBodies]
) -> Labels:
    """Returns the labels of frames of a sequence with ground truth.

    Args:
        estimator: provides the body model of neutral betas.
        sequence: sequence with ground-truth bodies.
        frames: consecutive indices.
        bodies: body models of gendered ground truth, or None.

    Raises:
        InputError: the ground truth is of a gendered body model and ``bodies`` is None.
    """
    truth = sequence.truth
    assert truth is not None and truth.rotmat is not None and truth.betas is not None
    like = next(estimator.parameters())
    index = slice(frames.start, frames.stop)
    if truth.gender == 'neutral':
        body = estimator.required_body
    elif bodies is not None:
        body = bodies.get(truth.gender, like=estimator.required_body)
    else:
        raise InputError(
            f'{sequence.name}: its bodies are {truth.gender}; give the adapter bodies=dict(male=..., female=...). '
            f'{WHERE}'
        )
    rotmat = truth.rotmat[index].to(like)
    betas = truth.betas[index].to(like)
    keypoints = crop_targets(sequence, SKELETON)[index]
    neutral = torch.full_like(betas[:, :1], float(truth.gender == 'neutral'))
    return Labels(
        rotmat=rotmat,
        betas=betas,
        neutral=neutral,
        posed=torch.ones_like(neutral),
        joints3d=body.joints(rotmat, betas, SKELETON),
        measured=torch.ones_like(keypoints.confidence).to(like),
        keypoints2d=keypoints.xy.to(like),
        confidence=keypoints.confidence.to(like),
    )
