"""Training of the foreground segmenter through mmengine's runner."""

from __future__ import annotations

from typing import Any, Optional, Sequence

import torch
from mmengine.model import BaseModel
from torch import Tensor

from hrtk.evaluation.silhouettes import mask_iou
from hrtk.geometry.boxes import normalise
from hrtk.losses.segmentation import CLASS_WEIGHTS, segmentation_losses
from hrtk.models.segmentation import foreground_map
from hrtk.registry import MODELS, SEGMENTERS
from hrtk.training.supervised import distort

WEIGHTS = dict(main=1.0, auxiliary=0.4, iou=0.0)


@MODELS.register_module()
class SegmentationTraining(BaseModel):
    """A segmenter under full supervision, for crops with masks.

    Args:
        network: config of the segmenter.
        weights: factors of the losses ``main`` and ``auxiliary`` (cross-entropy; 1 and 0.4, as HRNet-OCR) and ``iou``
            (one minus soft IoU; off).
        class_weights: of background and foreground; 0.5 and 1, option 2 of the thesis.
        augment: strength of colour, noise and erased patches; 0 leaves only the mirror image.
        size: px that crops are enlarged or reduced to before the network, 520 in the thesis; None for as they are.
        bf16: convolutions in bfloat16 (CPUs with AVX512-BF16, GPUs).
    """

    def __init__(
        self,
        network: dict,
        weights: Optional[dict[str, float]] = None,
        class_weights: Sequence[float] = CLASS_WEIGHTS,
        augment: float = 1.0,
        size: Optional[int] = None,
        bf16: bool = False,
    ) -> None:
        super().__init__()
        self.network = SEGMENTERS.build(network)
        self.network.to(memory_format=torch.channels_last)
        self.weights, self.class_weights = {**WEIGHTS, **(weights or {})}, tuple(class_weights)
        self.augment, self.size, self.bf16 = augment, size, bf16

    def forward(
        self, image: Tensor, mask: Tensor, mode: str = 'tensor', **labels: Any
    ) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """One batch of crops (..., 3, R, R) with masks (..., R, R), of views or of tracks; mmengine's modes.

        Predictions are the IoU of every crop, percent, at probability one half.
        """
        image, mask = image.flatten(0, -4), mask.flatten(0, -3)
        if mode == 'loss':
            chosen = torch.rand(len(image), device=image.device) < 0.5
            image = torch.where(chosen[:, None, None, None], image.flip(3), image)
            mask = torch.where(chosen[:, None, None], mask.flip(2), mask)
            image = distort(image.float(), self.augment)
        crops = normalise(image.float())
        if self.size is not None:
            crops = torch.nn.functional.interpolate(crops, (self.size, self.size), mode='bilinear')
        with torch.autocast(crops.device.type, torch.bfloat16, enabled=self.bf16):
            logits = self.network(crops.contiguous(memory_format=torch.channels_last))
        if mode == 'loss':
            terms = segmentation_losses(
                logits.main.float(), logits.auxiliary.float(), mask, self.class_weights
            )
            return {
                f'loss_{name}': self.weights[name] * value
                for name, value in terms.items()
                if self.weights[name]
            }
        found = foreground_map(logits.main.float(), mask.shape[-2:], 0.5)[:, 0] > 0
        return [dict(iou=value) for value in mask_iou(found.cpu(), (mask == 1).cpu())]
