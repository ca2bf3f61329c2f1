"""Errors of one sequence, computed chunk by chunk."""

from __future__ import annotations

import dataclasses
from typing import Any, Optional
from typing import Sequence as SequenceOf

import numpy as np
import torch
from torch import Tensor

from hrtk.errors import InputError
from hrtk.evaluation.alignment import RootAligned, RootAligner
from hrtk.evaluation.functional import (
    AUC_MM,
    accel_error,
    mpjpe,
    pa_mpjpe,
    pck,
    procrustes,
    pve,
    reprojection_error_px,
)
from hrtk.evaluation.protocols import Protocol
from hrtk.evaluation.silhouettes import crop_masks, silhouette_iou
from hrtk.geometry.boxes import to_image
from hrtk.geometry.camera import project, viewing_rotation
from hrtk.results import Result
from hrtk.structures import GroundTruth, Prediction, Sequence

CHUNK = 64  # frames whose full meshes are in memory at once
ERRORS_2D = ('reprojection_px', 'iou')


@dataclasses.dataclass(frozen=True)
class Measured:
    """Errors of F frames.

    Attributes:
        errors: by metric name, (F,).
        joints: (F, J, 3) predicted, root-aligned, m; None without 3D ground truth.
        true_joints: (F, J, 3), root-aligned, m; None without 3D ground truth.
    """

    errors: dict[str, np.ndarray]
    joints: Optional[np.ndarray] = None
    true_joints: Optional[np.ndarray] = None

    @staticmethod
    def concatenate(chunks: SequenceOf[Measured]) -> Measured:
        """Joins the chunks of a sequence, in order."""
        errors = {}
        for name in chunks[0].errors:
            errors[name] = np.concatenate([chunk.errors[name] for chunk in chunks])
        return Measured(
            errors,
            _concatenate([chunk.joints for chunk in chunks]),
            _concatenate([chunk.true_joints for chunk in chunks]),
        )

    def add_ray_errors(self, rotation: np.ndarray) -> None:
        """Adds the error of joints that are turned by (F, 3, 3) rotations about the root."""
        if self.joints is None or self.true_joints is None:
            return
        turned = self.joints @ np.swapaxes(rotation, 1, 2)
        self.errors['crop_ray_mpjpe_mm'] = mpjpe(turned, self.true_joints)

    def scored_errors(self, scored: np.ndarray) -> dict[str, np.ndarray]:
        """The errors of a whole sequence, with the acceleration error ``accel_mm``.

        Args:
            scored: (F,) bool; 3D errors of all other frames become NaN. An acceleration error needs three consecutive
                scored frames.
        """
        errors = dict(self.errors)
        if self.joints is not None and self.true_joints is not None:
            triplets = scored[:-2] & scored[1:-1] & scored[2:]
            accel = np.full(len(scored), np.nan)
            accel[1:-1] = np.where(triplets, accel_error(self.joints, self.true_joints), np.nan)
            errors['accel_mm'] = accel
        for name, values in errors.items():
            if name not in ERRORS_2D:
                errors[name] = np.where(scored, values, np.nan)
        return errors


def measure_sequence(
    body: Any, aligner: RootAligner, result: Result, sequence: Sequence, silhouettes: bool
) -> tuple[Measured, Measured]:
    """Measures the predictions of one result.

    Args:
        body: the neutral body.
        aligner: of the protocol.
        result: F frames.
        sequence: the sequence of the result, for its ground truth and masks.
        silhouettes: whether silhouettes are compared with masks, if the sequence has masks.

    Returns:
        Errors before and after adaptation.

    Raises:
        InputError: the ground truth does not fit the protocol, or a mask cannot be used.
    """
    rotation = None
    if aligner.protocol.viewing_ray:
        rotation = _viewing_rotation(aligner.protocol, result, sequence.truth)
    before = []
    after = []
    for start in range(0, len(result), CHUNK):
        frames = slice(start, start + CHUNK)
        truth = aligner.truth(body, sequence.truth, frames)
        masks = None
        if silhouettes and sequence.masks is not None:
            masks = crop_masks(sequence, frames)
        before.append(_measure(body, aligner, result, result.before, frames, truth, masks))
        after.append(_measure(body, aligner, result, result.after, frames, truth, masks))
        if rotation is not None:
            before[-1].add_ray_errors(rotation[frames])
            after[-1].add_ray_errors(rotation[frames])
    return Measured.concatenate(before), Measured.concatenate(after)


def _viewing_rotation(
    protocol: Protocol, result: Result, truth: Optional[GroundTruth]
) -> Optional[np.ndarray]:
    """(F, 3, 3) from the axes of the crops to those of the true camera; None without ground truth."""
    if truth is None:
        return None
    if truth.intrinsics is None:
        raise InputError(
            f'protocol {protocol.name!r} turns predictions by the viewing ray, which needs the intrinsics of the '
            f'ground truth; {result.name!r} has none. Use the protocol without it'
        )
    intrinsics = truth.intrinsics.double().cpu()
    boxes = torch.as_tensor(result.boxes, dtype=torch.float64)
    return viewing_rotation(boxes, intrinsics[:, 0], intrinsics[:, 1:]).numpy()


@torch.no_grad()
def _measure(
    body: Any,
    aligner: RootAligner,
    result: Result,
    prediction: Prediction,
    frames: slice,
    truth: Optional[RootAligned],
    masks: Optional[Tensor],
) -> Measured:
    """Errors of one chunk of a prediction."""
    device = body.template.device
    rotmat = prediction.rotmat[frames].to(device)
    betas = prediction.betas[frames].to(device)
    camera = prediction.camera[frames].to(device)
    boxes = torch.as_tensor(result.boxes[frames], device=device)
    keypoints = result.keypoints2d[frames]
    projected = to_image(project(body.joints(rotmat, betas, result.skeleton), camera), boxes)
    errors = {
        'reprojection_px': reprojection_error_px(projected, keypoints[..., :2], keypoints[..., 2])
    }
    if masks is not None:
        errors['iou'] = silhouette_iou(body, rotmat, betas, camera, masks)
    if truth is None:
        return Measured(errors)
    predicted = aligner.prediction(body, rotmat, betas, meshes=bool(truth.meshes))
    joints = predicted.joints.cpu().numpy()
    true_joints = truth.joints.cpu().numpy()
    errors['mpjpe_mm'] = mpjpe(joints, true_joints)
    errors['pa_mpjpe_mm'] = pa_mpjpe(joints, true_joints)
    for mesh, vertices, true_vertices in zip(
        aligner.protocol.meshes, predicted.meshes, truth.meshes
    ):
        errors[mesh.name] = pve(vertices, true_vertices)
    if aligner.protocol.pck:
        errors.update(_pck_errors(joints, true_joints))
    return Measured(errors, joints, true_joints)


def _pck_errors(joints: np.ndarray, true_joints: np.ndarray) -> dict[str, np.ndarray]:
    """PCK and its area under the curve, root-aligned and after Procrustes."""
    joints = np.float64(joints)
    true_joints = np.float64(true_joints)
    aligned = procrustes(joints, true_joints)
    return dict(
        pck=pck(joints, true_joints),
        auc=pck(joints, true_joints, AUC_MM),
        pa_pck=pck(aligned, true_joints),
        pa_auc=pck(aligned, true_joints, AUC_MM),
    )


def _concatenate(chunks: SequenceOf[Optional[np.ndarray]]) -> Optional[np.ndarray]:
    """Joins arrays; None if the chunks have none."""
    arrays = [chunk for chunk in chunks if chunk is not None]
    if not arrays:
        return None
    return np.concatenate(arrays)
