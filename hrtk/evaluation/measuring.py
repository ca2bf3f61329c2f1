"""Errors of one sequence, computed chunk by chunk."""

from __future__ import annotations

import dataclasses
from typing import Any, Optional
from typing import Sequence as SequenceOf

import numpy as np
import torch
from torch import Tensor

from hrtk.body_models.skeletons import on_body
from hrtk.evaluation.alignment import RootAligned, RootAligner
from hrtk.evaluation.calibrated import (
    crop_rotations,
    path_errors,
    placed_by_crop,
    ray_errors,
    true_image,
)
from hrtk.evaluation.functional import (
    AUC_MM,
    MM_PER_METRE,
    accel_error,
    mpjpe,
    pa_mpjpe,
    pck,
    procrustes,
    pve,
    reprojection_error_px,
)
from hrtk.evaluation.silhouettes import crop_masks, silhouette_iou
from hrtk.geometry.boxes import to_crop, to_image
from hrtk.geometry.camera import project
from hrtk.results import Result
from hrtk.structures import Prediction, Sequence

CHUNK = 64  # frames whose full meshes are in memory at once
ERRORS_2D = ('reprojection_px', 'iou')


@dataclasses.dataclass(frozen=True)
class Measured:
    """Errors of F frames.

    Attributes:
        errors: by metric name, (F,).
        joints: (F, J, 3) predicted, root-aligned, m, in the axes that the protocol compares; None without 3D ground
            truth.
        true_joints: (F, J, 3), root-aligned, m; None without 3D ground truth.
        roots: (F, 3) predicted roots in the frame of the body, in the axes of the crop, m; None without 3D ground
            truth.
    """

    errors: dict[str, np.ndarray]
    joints: Optional[np.ndarray] = None
    true_joints: Optional[np.ndarray] = None
    roots: Optional[np.ndarray] = None

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
            _concatenate([chunk.roots for chunk in chunks]),
        )

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

    def joint_errors(self, scored: np.ndarray) -> Optional[np.ndarray]:
        """(F, J) distances from the true joints, mm; NaN in frames that are not scored, None without truth."""
        if self.joints is None or self.true_joints is None:
            return None
        difference = np.float64(self.joints) - self.true_joints
        distance = MM_PER_METRE * np.linalg.norm(difference, axis=-1)
        return np.where(scored[:, None], distance, np.nan)


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
    turn = crop_rotations(aligner.protocol, result.boxes, sequence)
    before: list[Measured] = []
    after: list[Measured] = []
    for start in range(0, len(result), CHUNK):
        frames = slice(start, start + CHUNK)
        truth = aligner.truth(body, sequence.truth, frames)
        masks = None
        if silhouettes and sequence.masks is not None:
            masks = crop_masks(sequence, frames)
        for chunks, prediction in ((before, result.before), (after, result.after)):
            chunks.append(_measure(body, aligner, result, prediction, frames, truth, masks, turn))
    return Measured.concatenate(before), Measured.concatenate(after)


@torch.no_grad()
def keypoint_losses(body: Any, result: Result, prediction: Prediction) -> np.ndarray:
    """The normalised 2D loss of every frame, the x axis of Figure 7 of BOA.

    Args:
        body: the neutral body.
        result: F frames, for their keypoints and boxes.
        prediction: F frames.

    Returns:
        (F,) mean squared distances of the projected joints from the visible keypoints per coordinate, in crop
        coordinates [-1, 1]; NaN without a visible keypoint.
    """
    device = body.template.device
    skeleton, compared = on_body(result.skeleton)
    joints = body.joints(prediction.rotmat.to(device), prediction.betas.to(device), skeleton)
    projected = project(joints, prediction.camera.to(device)).double().cpu()
    keypoints = torch.from_numpy(np.float64(result.keypoints2d[:, list(compared)]))
    in_crop = to_crop(keypoints[..., :2], torch.from_numpy(np.float64(result.boxes)))
    visible = keypoints[..., 2] > 0
    squared = (projected - in_crop).square().mean(-1)
    total = squared.where(visible, squared.new_zeros(())).sum(1)
    return (total / visible.sum(1)).numpy()


def camera_errors(
    aligner: RootAligner,
    measured: Measured,
    prediction: Prediction,
    boxes: np.ndarray,
    sequence: Sequence,
    scored: np.ndarray,
) -> dict[str, np.ndarray]:
    """The errors of :mod:`hrtk.evaluation.calibrated`, (F,) each; empty if the truth has no camera.

    Args:
        aligner: of the protocol.
        measured: the whole sequence.
        prediction: F frames.
        boxes: (F, 3) of the crops, px.
        sequence: for its ground truth.
        scored: (F,) bool; errors of all other frames are NaN.
    """
    truth = sequence.truth
    if truth is None or truth.joints3d is None or measured.joints is None:
        return {}
    assert measured.true_joints is not None and measured.roots is not None
    compared, root = aligner.measured_indices(truth.skeleton)
    image = true_image(truth, compared)
    if image is None:
        return {}
    true_projected, intrinsics = image
    camera = prediction.camera.cpu().double()
    turn = crop_rotations(aligner.protocol, boxes, sequence)
    in_crop = measured.joints
    if turn is not None:
        in_crop = in_crop @ turn.numpy()  # the inverse of the turn
    joints = torch.from_numpy(np.float64(in_crop + measured.roots[:, None]))
    projected = to_image(project(joints, camera), torch.from_numpy(np.float64(boxes))).numpy()
    errors = ray_errors(
        measured.joints, in_crop, measured.true_joints, projected, true_projected, intrinsics
    )
    roots = measured.roots + placed_by_crop(camera.numpy(), np.float64(boxes), intrinsics)
    true_positions = np.float64(truth.joints3d.cpu().numpy())
    errors.update(
        path_errors(
            aligner.protocol,
            measured.joints + roots[:, None],
            true_positions[:, compared],
            roots,
            true_positions[:, root].mean(1),
            scored,
            sequence.fps,
        )
    )
    return {name: np.where(scored, values, np.nan) for name, values in errors.items()}


@torch.no_grad()
def _measure(
    body: Any,
    aligner: RootAligner,
    result: Result,
    prediction: Prediction,
    frames: slice,
    truth: Optional[RootAligned],
    masks: Optional[Tensor],
    turn: Optional[Tensor],
) -> Measured:
    """Errors of one chunk of a prediction; ``turn`` (F, 3, 3) is of the whole sequence."""
    device = body.template.device
    rotmat = prediction.rotmat[frames].to(device)
    betas = prediction.betas[frames].to(device)
    camera = prediction.camera[frames].to(device)
    boxes = torch.as_tensor(result.boxes[frames], device=device)
    skeleton, compared = on_body(result.skeleton)
    keypoints = result.keypoints2d[frames][:, list(compared)]
    projected = to_image(project(body.joints(rotmat, betas, skeleton), camera), boxes)
    errors = {
        'reprojection_px': reprojection_error_px(projected, keypoints[..., :2], keypoints[..., 2])
    }
    if masks is not None:
        errors['iou'] = silhouette_iou(body, rotmat, betas, camera, masks)
    if truth is None:
        return Measured(errors)
    predicted = aligner.prediction(body, rotmat, betas, meshes=bool(truth.meshes))
    if turn is not None:
        predicted = predicted.turned(turn[frames].to(rotmat))
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
    roots = None
    if predicted.roots is not None:
        roots = predicted.roots.cpu().numpy()
    return Measured(errors, joints, true_joints, roots)


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
