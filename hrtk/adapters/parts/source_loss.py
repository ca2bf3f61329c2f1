"""The supervised loss on labelled source crops, the same for all methods that mix them in."""

from __future__ import annotations

from typing import Literal, Optional

import torch
from torch import Tensor

from hrtk.adapters.parts.posed import SKELETON, PosedPrediction
from hrtk.adapters.parts.source_bank import SourceBatch
from hrtk.body_models import BodyModel
from hrtk.errors import InputError
from hrtk.losses import hips, keypoint2d_loss, keypoint3d_loss, parameter_loss
from hrtk.structures import Prediction

SourceLabels = Literal['measured', 'body']


def source_loss(
    posed: PosedPrediction, batch: SourceBatch, body: BodyModel, labels: SourceLabels = 'body'
) -> Tensor:
    """Returns the supervised loss on source crops (Eq. 2 of BOA, with the weights of its code).

    The weights are 5 for 3D joints relative to the hips, 5 for 2D joints, 1 for rotmat, 0.001 for betas.

    Args:
        posed: predictions of the crops.
        batch: the crops and their labels.
        body: poses the labels.
        labels: ``'measured'``: the joints are, as in BOA's and DynaBOA's code, those that were measured, weighted by
            their confidences (17 of the 24 in Human3.6M); ``'body'``: all 24 joints of the labelled body, for source
            data without measured joints.

    Raises:
        InputError: the source data have no measured joints.
    """
    confidence3d = None
    confidence2d = torch.ones_like(posed.spin24_joints2d[..., 0])
    if labels == 'measured':
        joints3d, confidence3d = _measured(batch.S, 'S')
        joints2d, confidence2d = _measured(batch.part, 'part')
    else:
        joints2d = batch.keypoints2d
        with torch.no_grad():
            joints3d = body.joints(batch.rotmat, batch.betas, SKELETON)
    labelled = Prediction(batch.rotmat, batch.betas, posed.prediction.camera)
    error3d = keypoint3d_loss(posed.spin24_joints3d, joints3d, confidence3d, hips(SKELETON))
    error2d = keypoint2d_loss(posed.spin24_joints2d, joints2d, confidence2d)
    return 5 * error3d + 5 * error2d + parameter_loss(posed.prediction, labelled)


def _measured(joints: Optional[Tensor], name: str) -> tuple[Tensor, Tensor]:
    """Splits measured joints (S, 24, 3 or 4) into positions and confidences (S, 24)."""
    if joints is None:
        raise InputError(
            f"source_labels='measured' compares with joints that were measured, and the source data have no {name!r}; "
            f"name data that have it, e.g. dict(type='SPINViews'), or set source_labels='body', which takes the joints "
            f'of the labelled bodies'
        )
    return joints[..., :-1], joints[..., -1]
