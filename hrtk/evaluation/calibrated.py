"""Errors that need the true camera: along its rays, in its image, and of the path through its frame.

========================  ========================================================================================
metric                    meaning
========================  ========================================================================================
``n_mpjpe_mm``            MPJPE with the best scale of each frame
``ray_mpjpe_mm``          MPJPE after the prediction was turned by the true camera's ray to the person: the camera of a
                          crop looks along this ray, and the prediction is in the frame of that camera
``truth_px``              mean distance of the projected joints from the projected true joints, lens included
``root_path_mm``          distance of the root from the true one in the camera frame, both relative to their mean over
                          the sequence
``foot_sliding_mm``       distance between the displacement of a planted foot's ankle to the next frame and the true
                          one; a foot is planted while the true ankle moves slower than 0.3 m/s
========================  ========================================================================================

The last two place the body by the translation of its crop camera for the true focal length and principal point.

Under protocols with ``viewing_ray`` predictions are turned by :func:`crop_rotations` before all 3D errors but
``ray_mpjpe_mm``, which has a turn of its own.
"""

from __future__ import annotations

from typing import Optional

import numpy as np
import torch
from torch import Tensor

from hrtk.body_models.skeletons import joint_names
from hrtk.errors import InputError
from hrtk.evaluation.functional import MM_PER_METRE, mpjpe, n_mpjpe
from hrtk.evaluation.protocols import Protocol
from hrtk.geometry.camera import clip_focal, image_middle, viewing_rotation
from hrtk.structures import GroundTruth, Sequence

PLANTED = 0.3  # m/s


def ray_errors(
    joints: np.ndarray,
    unturned: np.ndarray,
    true_joints: np.ndarray,
    projected: Optional[np.ndarray],
    true_projected: np.ndarray,
    intrinsics: np.ndarray,
) -> dict[str, np.ndarray]:
    """``n_mpjpe_mm``, ``ray_mpjpe_mm`` and ``truth_px`` of F frames, (F,) each.

    Args:
        joints: (F, J, 3) predicted, root-aligned, metres.
        unturned: the same without the turn of the protocol, for ``ray_mpjpe_mm``.
        true_joints: (F, J, 3) root-aligned, metres.
        projected: (F, J, 2) px predicted; None leaves ``truth_px`` out.
        true_projected: (F, J, 2) px; their mean is the position of the person in the image.
        intrinsics: (F, 3) ``[focal, cx, cy]``, px.
    """
    turn = ray_rotations(true_projected.mean(1), intrinsics)
    errors = dict(
        n_mpjpe_mm=n_mpjpe(np.float64(joints), true_joints),
        ray_mpjpe_mm=mpjpe(np.float64(unturned) @ np.swapaxes(turn, 1, 2), true_joints),
    )
    if projected is not None:
        errors['truth_px'] = np.linalg.norm(projected - true_projected, axis=-1).mean(-1)
    return errors


def ray_rotations(pixels: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """The least rotations that take the optical axis to the rays of pixels.

    Args:
        pixels: (F, 2) px.
        intrinsics: (F, 3) ``[focal, cx, cy]``, px.

    Returns:
        (F, 3, 3), see :func:`hrtk.geometry.camera.viewing_rotation`.
    """
    points = torch.from_numpy(np.float64(pixels))
    camera = torch.from_numpy(np.float64(intrinsics))
    return viewing_rotation(points, camera[:, 0], camera[:, 1:]).numpy()


def crop_rotations(
    protocol: Protocol, boxes: np.ndarray | Tensor, sequence: Sequence
) -> Optional[Tensor]:
    """Rotations from the axes of the crops to the axes of the camera, under protocols with ``viewing_ray``.

    ``'true'`` uses the intrinsics of the ground truth without its lens distortion. ``'assumed'`` uses the focal length
    of the sequence, or :func:`~hrtk.geometry.camera.default_focal` where it has none, and the middle of the image.

    Args:
        protocol: of the comparison.
        boxes: (F, 3) of the crops, px.
        sequence: for its ground truth.

    Returns:
        (F, 3, 3) float64; None under other protocols and without ground truth.

    Raises:
        InputError: the ground truth has no camera.
    """
    truth = sequence.truth
    if not protocol.viewing_ray or truth is None:
        return None
    centres = torch.as_tensor(boxes, dtype=torch.float64, device='cpu')
    if protocol.viewing_ray == 'assumed':
        height, width = sequence.frames[0].shape[:2]
        focal = clip_focal((width, height), sequence.focal)
        return viewing_rotation(centres, focal, image_middle((width, height)))
    if truth.intrinsics is None:
        raise InputError(
            f'protocol {protocol.name!r} turns predictions by the viewing ray, which needs the intrinsics of the '
            f'ground truth; {sequence.name!r} has none. Use a protocol without this turn'
        )
    intrinsics = truth.intrinsics.double().cpu()
    return viewing_rotation(centres, intrinsics[:, 0], intrinsics[:, 1:])


def path_errors(
    protocol: Protocol,
    positions: np.ndarray,
    true_positions: np.ndarray,
    roots: np.ndarray,
    true_roots: np.ndarray,
    scored: np.ndarray,
    fps: float,
) -> dict[str, np.ndarray]:
    """``root_path_mm`` and ``foot_sliding_mm`` of consecutive frames, (F,) each; NaN where there is no value.

    Args:
        protocol: has the joints.
        positions: (F, J, 3) predicted joints in the camera frame, metres.
        true_positions: (F, J, 3) likewise.
        roots: (F, 3) predicted roots in the camera frame, metres.
        true_roots: (F, 3) likewise.
        scored: (F,) bool, frames with valid truth.
        fps: frames per second.
    """
    path = np.full(len(roots), np.nan)
    if scored.any():
        difference = roots - true_roots
        difference = difference - difference[scored].mean(0)
        path = MM_PER_METRE * np.linalg.norm(difference, axis=-1)
    errors = dict(root_path_mm=np.where(scored, path, np.nan))
    names = joint_names(protocol.joints)
    ankles = [index for index, name in enumerate(names) if 'ankle' in name]
    if ankles and len(positions) > 1:
        moved = np.diff(positions[:, ankles], axis=0)
        truly_moved = np.diff(true_positions[:, ankles], axis=0)
        both = scored[:-1] & scored[1:]
        planted = (np.linalg.norm(truly_moved, axis=-1) * fps < PLANTED) & both[:, None]
        sliding = MM_PER_METRE * np.linalg.norm(moved - truly_moved, axis=-1)
        count = planted.sum(1)
        sums = np.where(planted, sliding, 0.0).sum(1)
        values = np.full(len(positions), np.nan)
        values[:-1] = np.where(count > 0, sums / np.maximum(count, 1), np.nan)
        errors['foot_sliding_mm'] = values
    return errors


def placed_by_crop(camera: np.ndarray, boxes: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """Translations (F, 3) of bodies in the true camera's frame, metres.

    As :func:`hrtk.geometry.camera.crop_to_image_camera`, with the true principal point.

    Args:
        camera: (F, 3) weak-perspective ``[s, tx, ty]``.
        boxes: (F, 3) ``[cx, cy, side]``, px.
        intrinsics: (F, 3) ``[focal, cx, cy]``, px.
    """
    scale = boxes[:, 2] * camera[:, 0] + 1e-9
    shift = 2 * (boxes[:, :2] - intrinsics[:, 1:]) / scale[:, None]
    depth = 2 * intrinsics[:, 0] / scale
    return np.concatenate([camera[:, 1:] + shift, depth[:, None]], axis=1)


def true_image(
    truth: Optional[GroundTruth], indices: list[int]
) -> Optional[tuple[np.ndarray, np.ndarray]]:
    """Projected true joints (F, J, 2) px and intrinsics (F, 3), float64; None if the truth lacks one.

    Args:
        truth: of F frames.
        indices: the J joints in the skeleton of the truth.
    """
    if truth is None or truth.joints2d is None or truth.intrinsics is None:
        return None
    projected = _float64(truth.joints2d)[:, indices]
    return projected, _float64(truth.intrinsics)


def _float64(values: torch.Tensor) -> np.ndarray:
    return values.detach().cpu().numpy().astype(np.float64)
