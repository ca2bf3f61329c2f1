"""Foreground IoU of segmentation networks: on held-out training views, and on whole sequences."""

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
    """Mean foreground IoU over held-out views, percent; views without a mask do not count."""

    default_prefix = 'views'

    def process(self, data_batch: dict, data_samples: list[dict]) -> None:
        """Collects one IoU per view."""
        self.results.extend(float(sample['iou']) for sample in data_samples)

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        """Returns the mean as ``iou``."""
        return dict(iou=float(np.nanmean(results)))


def foreground_iou(
    segmenter: nn.Module,
    sequences: Iterable[Sequence],
    resolution: int = 112,
    threshold: float = 0.5,
) -> dict[str, float]:
    """Scores a segmenter on sequences with masks, in the crops of their boxes.

    Args:
        segmenter: a network in evaluation mode, whose output ``main`` holds logits (B, 2, h, w).
        sequences: with masks.
        resolution: size of the crops, px.
        threshold: least probability of foreground.

    Returns:
        ``iou`` and ``median_iou`` (percent) over all frames with a usable mask, and ``frames``, their number.

    Raises:
        InputError: a sequence has no masks, or no mask is usable.
    """
    per_sequence = [_sequence_iou(segmenter, x, resolution, threshold) for x in sequences]
    values = np.concatenate([np.empty(0), *per_sequence])
    values = values[~np.isnan(values)]
    if len(values) == 0:
        raise InputError('foreground_iou: no frame has a usable mask')
    return dict(iou=float(values.mean()), median_iou=float(np.median(values)), frames=len(values))


def _sequence_iou(
    segmenter: nn.Module, sequence: Sequence, resolution: int, threshold: float
) -> np.ndarray:
    """(F,) percent; NaN where the mask is unusable."""
    if sequence.masks is None:
        raise InputError(f'foreground_iou: {sequence.name!r} has no masks')
    batches = []
    for start in range(0, len(sequence), BATCH):
        frames = range(start, min(start + BATCH, len(sequence)))
        predicted = _predicted_masks(segmenter, sequence, frames, resolution, threshold)
        masks = crop_masks(sequence, slice(frames.start, frames.stop), resolution)
        batches.append(mask_iou(predicted, masks))
    return np.concatenate(batches)


@torch.no_grad()
def _predicted_masks(
    segmenter: nn.Module, sequence: Sequence, frames: range, resolution: int, threshold: float
) -> torch.Tensor:
    """(N, R, R) bool in host memory."""
    crops = torch.stack(
        [crop_image(sequence.frames[t], sequence.boxes[t], resolution) for t in frames]
    )
    device = next(segmenter.parameters()).device
    logits = segmenter(normalise(crops.to(device))).main
    return foreground_map(logits, crops.shape[-2:], threshold)[:, 0].cpu() > 0
