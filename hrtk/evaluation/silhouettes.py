"""Overlap between the silhouette of a predicted body and a foreground mask."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
import torch
from torch import Tensor

from hrtk.geometry.camera import crop_points
from hrtk.silhouettes.coverage import cover
from hrtk.silhouettes.masks import crop_mask
from hrtk.structures import Sequence

SIDE = 224  # px of the crops that are compared


def frame_mask(sequence: Sequence, t: int, side: int = SIDE) -> Optional[Tensor]:
    """The mask of one frame, cropped to its box.

    Args:
        sequence: a sequence with masks.
        t: index of the frame.
        side: size of the crop, px.

    Returns:
        (side, side) bool, or None if the mask shows no person or two.

    Raises:
        InputError: the mask cannot be read, differs in size from its image, or has values between 0 and 1.
    """
    if sequence.masks is None:
        raise ValueError(f'{sequence.name} has no masks')
    mask, _ = crop_mask(
        sequence.masks[t],
        sequence.frames[t].shape[:2],
        sequence.boxes[t],
        side,
        f'{sequence.name}, mask of frame {sequence.frame_ids[t]}',
    )
    return mask


def crop_masks(sequence: Sequence, frames: slice, side: int = SIDE) -> Tensor:
    """The masks of several frames, cropped to their boxes.

    Args:
        sequence: a sequence with masks.
        frames: the N frames.
        side: size of the crops, px.

    Returns:
        (N, side, side) bool; all False where a mask shows no person or two.

    Raises:
        InputError: a mask cannot be read, differs in size from its image, or has values between 0 and 1.
    """
    indices = range(len(sequence))[frames]
    masks = torch.zeros(len(indices), side, side, dtype=torch.bool)
    for row, t in zip(masks, indices):
        mask = frame_mask(sequence, t, side)
        if mask is not None:
            row[:] = mask
    return masks


@torch.no_grad()
def silhouettes(
    body: Any, rotmat: Tensor, betas: Tensor, camera: Tensor, side: int = SIDE
) -> Tensor:
    """Rasterises bodies in their crops.

    Args:
        body: the body model.
        rotmat: (N, 24, 3, 3), on the body's device.
        betas: (N, 10), on the body's device.
        camera: (N, 3) crop cameras, on the body's device.
        side: size of the crops, px.

    Returns:
        (N, side, side) bool, in host memory.
    """
    points = crop_points(body(rotmat, betas).vertices, camera, side)
    return cover(points, body.faces, (side, side)).mask.cpu()


def silhouette_iou(
    body: Any, rotmat: Tensor, betas: Tensor, camera: Tensor, masks: Tensor
) -> np.ndarray:
    """Intersection over union of bodies and masks in their crops.

    Args:
        body: the body model.
        rotmat: (N, 24, 3, 3), on the body's device.
        betas: (N, 10), on the body's device.
        camera: (N, 3) crop cameras, on the body's device.
        masks: (N, R, R) bool, in host memory.

    Returns:
        (N,) percent; NaN where the mask is empty.
    """
    return mask_iou(silhouettes(body, rotmat, betas, camera, masks.shape[-1]), masks)


def mask_iou(predicted: Tensor, masks: Tensor) -> np.ndarray:
    """Intersection over union of predicted and true foreground.

    Args:
        predicted: (N, R, R) bool.
        masks: (N, R, R) bool.

    Returns:
        (N,) percent; NaN where the mask is empty.
    """
    intersection = (predicted & masks).sum((1, 2)).double()
    union = (predicted | masks).sum((1, 2)).double()
    return torch.where(masks.any(2).any(1), 100 * intersection / union, torch.nan).numpy()
