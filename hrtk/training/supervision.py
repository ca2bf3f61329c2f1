"""Supervision by labels of body pose, shape and keypoints: the losses of all trainings of mesh networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Optional

import torch
from torch import Tensor

from hrtk.body_models import BodyModel
from hrtk.geometry.camera import project
from hrtk.structures import Prediction

LOSS_WEIGHTS = dict(rotmat=8.0, joints3d=15.0, keypoints2d=6.0, betas=0.03)
HIPS = slice(2, 4)  # of `spin24` and of `lsp14`


class Supervision(NamedTuple):
    """The comparison of B predictions with their labels.

    Attributes:
        losses: ``rotmat``, ``joints3d``, ``keypoints2d`` and ``betas``, without weights.
        joints: (B, 24, 3) predicted ``spin24`` joints relative to the hips, m.
        true_joints: (B, 24, 3) those of the labels.
    """

    losses: dict[str, Tensor]
    joints: Tensor
    true_joints: Tensor


def supervise(
    body: BodyModel,
    predicted: Prediction,
    rotmat: Tensor,
    betas: Tensor,
    keypoints2d: Tensor,
    squared: bool = False,
    has_body: Optional[Tensor] = None,
    confidence: Optional[Tensor] = None,
) -> Supervision:
    """Compares predictions with labels.

    Args:
        body: gives the joints of both.
        predicted: B predictions.
        rotmat: (B, 24, 3, 3).
        betas: (B, 10).
        keypoints2d: (B, 24, 2) ``spin24``, [-1, 1] of the crop.
        squared: distances of joints, in the crop too, count squared as in SPIN and VIBE, else absolutely.
        has_body: (B,) 1 or 0: whether there are labels besides ``keypoints2d``; losses on bodies are means over the
            labelled ones. None: all are.
        confidence: (B, 24) weights of ``keypoints2d``, as in SPIN; None: 1.
    """
    joints = body.joints(predicted.rotmat, predicted.betas, 'spin24')
    with torch.no_grad():
        true_joints = centred(body.joints(rotmat, betas, 'spin24'))
    centred_joints = centred(joints)
    distance = torch.square if squared else torch.abs
    reprojection = distance(project(joints, predicted.camera) - keypoints2d)
    if confidence is not None:
        reprojection = reprojection * confidence[..., None]
    losses = dict(
        rotmat=mean_of_labelled((predicted.rotmat - rotmat).square(), has_body),
        joints3d=mean_of_labelled(distance(centred_joints - true_joints), has_body),
        keypoints2d=reprojection.mean(),
        betas=mean_of_labelled((predicted.betas - betas).square(), has_body),
    )
    return Supervision(losses, centred_joints, true_joints)


def mean_of_labelled(values: Tensor, labelled: Optional[Tensor]) -> Tensor:
    """The mean of (B, ...) over the rows with 1 in ``labelled`` (B,), 0 without any; None: over all rows."""
    if labelled is None:
        return values.mean()
    rows = values.flatten(1).mean(1)
    return (rows * labelled).sum() / labelled.sum().clamp_min(1)


def centred(joints: Tensor) -> Tensor:
    """Joints (B, J, 3) of ``spin24`` or ``lsp14``, relative to the middle of the hips."""
    return joints - joints[:, HIPS].mean(1, keepdim=True)


def weighted(losses: Mapping[str, Tensor], loss_weights: Mapping[str, float]) -> dict[str, Tensor]:
    """Losses times their weights, under the names that mmengine sums up: ``loss_<name>``."""
    return {f'loss_{name}': loss_weights[name] * loss for name, loss in losses.items()}
