"""How well a segmenter finds people, in crops that it learns from and on whole sequences."""

from __future__ import annotations

from typing import Iterable

import numpy as np
import torch
from torch import nn

from hrtk.errors import InputError
from hrtk.evaluation.evaluator import BaseMetric
from hrtk.evaluation.silhouettes import crop_masks, mask_iou
from hrtk.geometry.boxes import crop_image, normalise
from hrtk.models.segmentation import foreground_map
from hrtk.registry import METRICS
from hrtk.structures import Sequence

BATCH = 16


@METRICS.register_module()
class ForegroundIoU(BaseMetric):
    """Mean intersection over union of foreground and mask over held-out views, percent; views without a mask do not
    count."""

    default_prefix = 'views'

    def process(self, data_batch: dict, data_samples: list[dict]) -> None:
        """Collects one number per view."""
        self.results.extend(float(sample['iou']) for sample in data_samples)

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        """The mean."""
        return dict(iou=float(np.nanmean(results)))


def foreground_iou(
    segmenter: nn.Module,
    sequences: Iterable[Sequence],
    resolution: int = 112,
    threshold: float = 0.5,
) -> dict[str, float]:
    """Scores a segmenter on sequences with masks, in the crops of their boxes.

    Args:
        segmenter: gives logits (B, 2, h, w) as ``main``, in evaluation mode.
        sequences: with masks.
        resolution: of the crops, px.
        threshold: probabilities from it on are foreground.

    Returns:
        ``iou`` and ``median_iou`` (percent) over frames and ``frames``, how many of them had a usable mask.

    Raises:
        InputError: a sequence has no masks, or no mask is usable.
    """
    found: list[np.ndarray] = []
    device = next(segmenter.parameters()).device
    for sequence in sequences:
        if sequence.masks is None:
            raise InputError(f'foreground_iou: {sequence.name!r} has no masks')
        for start in range(0, len(sequence), BATCH):
            part = slice(start, min(start + BATCH, len(sequence)))
            crops = torch.stack(
                [
                    crop_image(sequence.frames[t], sequence.boxes[t], resolution)
                    for t in range(part.start, part.stop)
                ]
            )
            with torch.no_grad():
                logits = segmenter(normalise(crops.to(device))).main
            seen = foreground_map(logits, crops.shape[-2:], threshold)[:, 0].cpu() > 0
            found.append(mask_iou(seen, crop_masks(sequence, part, resolution)))
    values = np.concatenate(found) if found else np.empty(0)
    values = values[~np.isnan(values)]
    if len(values) == 0:
        raise InputError('foreground_iou: no frame has a usable mask')
    return dict(iou=float(values.mean()), median_iou=float(np.median(values)), frames=len(values))
