"""Losses of foreground segmentation."""

from __future__ import annotations

from typing import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from hrtk.errors import InputError
from hrtk.geometry.constants import constant

IGNORED = 255  # in masks: pixels without a label
CLASS_WEIGHTS = (0.5, 1.0)  # background, foreground: option 2 of the thesis, section 4.4


def weighted_cross_entropy(
    logits: Tensor, masks: Tensor, class_weights: Sequence[float] = CLASS_WEIGHTS
) -> Tensor:
    """Computes the cross-entropy per pixel, a mean weighted by the class of each pixel.

    Args:
        logits: (B, 2, h, w), background first; resized bilinearly to the masks, as HRNet's released code does.
        masks: (B, H, W) of 0, 1 and :data:`IGNORED`.
        class_weights: of background and foreground.

    Returns:
        A scalar; 0 if no pixel is labelled.

    Raises:
        InputError: the shapes do not match.
    """
    target = masks.long()
    weights = constant(tuple(class_weights), logits)
    resized = _resized(logits, masks)
    total = F.cross_entropy(resized, target, weights, ignore_index=IGNORED, reduction='sum')
    pixels = torch.stack([(masks == label).sum() for label in (0, 1)])
    return total / (pixels * weights).sum().clamp_min(1e-6)


def soft_iou_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Computes one minus the IoU of the foreground's probability and the mask, averaged over images.

    Args:
        logits: (B, 2, h, w), background first; resized bilinearly to the masks.
        masks: (B, H, W) of 0, 1 and :data:`IGNORED`.

    Returns:
        A scalar in [0, 1]; images without a foreground pixel are skipped.

    Raises:
        InputError: the shapes do not match.
    """
    resized = _resized(logits, masks)
    labelled = (masks != IGNORED).to(resized.dtype)
    foreground = (masks == 1).to(resized.dtype)
    probability = (resized[:, 1] - resized[:, 0]).sigmoid() * labelled
    intersection = (probability * foreground).sum((1, 2))
    union = (probability + foreground).sum((1, 2)) - intersection
    iou = intersection / union.clamp_min(1e-6)
    has_foreground = foreground.amax((1, 2))
    return ((1 - iou) * has_foreground).sum() / has_foreground.sum().clamp_min(1)


def segmentation_losses(
    main: Tensor, auxiliary: Tensor, masks: Tensor, class_weights: Sequence[float] = CLASS_WEIGHTS
) -> dict[str, Tensor]:
    """Computes the terms of a segmenter's training, unweighted.

    Args:
        main: (B, 2, h, w) logits.
        auxiliary: (B, 2, h, w) logits of the coarse prediction.
        masks: (B, H, W) of 0, 1 and :data:`IGNORED`.
        class_weights: of background and foreground.

    Returns:
        ``main`` and ``auxiliary`` cross-entropy, and ``iou`` of the main prediction.
    """
    return dict(
        main=weighted_cross_entropy(main, masks, class_weights),
        auxiliary=weighted_cross_entropy(auxiliary, masks, class_weights),
        iou=soft_iou_loss(main, masks),
    )


def _resized(logits: Tensor, masks: Tensor) -> Tensor:
    if logits.ndim != 4 or logits.shape[1] != 2 or masks.ndim != 3 or len(masks) != len(logits):
        raise InputError(
            f'segmentation losses take logits (B, 2, h, w) and masks (B, H, W), not '
            f'{tuple(logits.shape)} and {tuple(masks.shape)}'
        )
    return F.interpolate(logits, masks.shape[-2:], mode='bilinear', align_corners=False)
