"""How well the outline of a predicted body covers a mask."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from hrtk.geometry.camera import crop_points
from hrtk.geometry.coverage import cover
from hrtk.geometry.masks import crop_mask
from hrtk.structures import Sequence

SIDE = 224  # px of the crops that are compared


def crop_masks(sequence: Sequence, part: slice, side: int = SIDE) -> Tensor:
    """(N, side, side) bool masks of frames in their boxes; all False where a mask shows no person or two.

    Raises:
        InputError: a mask cannot be read, has another size than its picture, or values between 0 and 1.
    """
    masks = torch.zeros(len(range(len(sequence))[part]), side, side, dtype=torch.bool)
    for row, t in zip(masks, range(len(sequence))[part]):
        crop, _ = crop_mask(
            sequence.masks[t],
            sequence.frames[t].shape[:2],
            sequence.boxes[t],
            side,
            f'{sequence.name}, mask of frame {sequence.frame_ids[t]}',
        )
        if crop is not None:
            row[:] = crop
    return masks


@torch.no_grad()
def silhouette_iou(
    body: Any, rotmat: Tensor, betas: Tensor, camera: Tensor, masks: Tensor
) -> np.ndarray:
    """Intersection over union of bodies and masks in their crops.

    Args:
        body: the body model.
        rotmat: (N, 24, 3, 3).
        betas: (N, 10).
        camera: (N, 3) crop cameras.
        masks: (N, R, R) bool.

    Returns:
        (N,) percent; NaN where the mask is empty.
    """
    side = masks.shape[-1]
    points = crop_points(body(rotmat, betas).vertices, camera, side)
    return mask_iou(cover(points, body.faces, (side, side)).mask.cpu(), masks)


def mask_iou(found: Tensor, masks: Tensor) -> np.ndarray:
    """Intersection over union of what was found and what is there.

    Args:
        found: (N, R, R) bool.
        masks: (N, R, R) bool.

    Returns:
        (N,) percent; NaN where the mask is empty.
    """
    both, either = (
        (op(found, masks)).sum((1, 2)).double() for op in (torch.logical_and, torch.logical_or)
    )
    return torch.where(masks.any(2).any(1), 100 * both / either, torch.nan).numpy()
