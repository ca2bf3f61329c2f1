"""Losses of foreground segmentation."""

from __future__ import annotations

from typing import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from hrtk.errors import InputError

IGNORED = 255  # in masks: pixels that nobody labelled
CLASS_WEIGHTS = (0.5, 1.0)  # background, foreground: option 2 of the thesis, section 4.4


def weighted_cross_entropy(
    logits: Tensor, masks: Tensor, class_weights: Sequence[float] = CLASS_WEIGHTS
) -> Tensor:
    """Cross-entropy per pixel, a mean in which every pixel counts as much as its class.

    Args:
        logits: (B, 2, h, w), background first; enlarged bilinearly to the masks, as HRNet's released code does.
        masks: (B, H, W) of 0, 1 and :data:`IGNORED`.
        class_weights: of background and foreground.

    Returns:
        A scalar; 0 if no pixel is labelled.

    Raises:
        InputError: the shapes do not fit each other.
    """
    target = masks.long()
    weights = torch.as_tensor(class_weights, dtype=logits.dtype, device=logits.device)
    total = F.cross_entropy(
        _enlarged(logits, masks), target, weights, ignore_index=IGNORED, reduction='sum'
    )
    return total / _counts(masks, weights).sum().clamp_min(1e-6)


def soft_iou_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """One minus intersection over union of the foreground's probability and the mask, mean over pictures.

    Args:
        logits: (B, 2, h, w), background first; enlarged bilinearly to the masks.
        masks: (B, H, W) of 0, 1 and :data:`IGNORED`.

    Returns:
        A scalar in [0, 1]; pictures without a foreground pixel are left out.

    Raises:
        InputError: the shapes do not fit each other.
    """
    large = _enlarged(logits, masks)
    labelled = (masks != IGNORED).to(large.dtype)
    truth = (masks == 1).to(large.dtype)
    probability = (large[:, 1] - large[:, 0]).sigmoid() * labelled
    both, sum_ = (probability * truth).sum((1, 2)), (probability + truth).sum((1, 2))
    shown = truth.amax((1, 2))
    return ((1 - both / (sum_ - both).clamp_min(1e-6)) * shown).sum() / shown.sum().clamp_min(1)


def segmentation_losses(
    main: Tensor, auxiliary: Tensor, masks: Tensor, class_weights: Sequence[float] = CLASS_WEIGHTS
) -> dict[str, Tensor]:
    """The terms of a segmenter's training, without factors.

    Args:
        main: (B, 2, h, w) logits.
        auxiliary: (B, 2, h, w) logits of the coarse answer.
        masks: (B, H, W) of 0, 1 and :data:`IGNORED`.
        class_weights: of background and foreground.

    Returns:
        ``main`` and ``auxiliary`` cross-entropy, and ``iou`` of the main answer.
    """
    return dict(
        main=weighted_cross_entropy(main, masks, class_weights),
        auxiliary=weighted_cross_entropy(auxiliary, masks, class_weights),
        iou=soft_iou_loss(main, masks),
    )


def _enlarged(logits: Tensor, masks: Tensor) -> Tensor:
    if logits.ndim != 4 or logits.shape[1] != 2 or masks.ndim != 3 or len(masks) != len(logits):
        raise InputError(
            f'segmentation losses take logits (B, 2, h, w) and masks (B, H, W), not '
            f'{tuple(logits.shape)} and {tuple(masks.shape)}'
        )
    return F.interpolate(logits, masks.shape[-2:], mode='bilinear', align_corners=False)


def _counts(masks: Tensor, weights: Tensor) -> Tensor:
    """How much the labelled pixels count, per class."""
    return torch.stack([(masks == kind).sum() for kind in (0, 1)]) * weights
