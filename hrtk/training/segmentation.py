"""Training of the foreground segmenter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import torch
from mmengine.model import BaseModel
from torch import Tensor
from torch.nn.functional import interpolate

from hrtk.evaluation.silhouettes import mask_iou
from hrtk.geometry.boxes import normalise
from hrtk.losses.segmentation import CLASS_WEIGHTS, segmentation_losses
from hrtk.models.augmentation import distort, mirror_images, random_half
from hrtk.models.segmentation import foreground_map
from hrtk.registry import MODELS, SEGMENTERS
from hrtk.training.supervision import weighted

LOSS_WEIGHTS = dict(main=1.0, auxiliary=0.4, iou=0.0)
PROBABILITY = 0.5  # from which a pixel is foreground


@MODELS.register_module()
class SegmentationTraining(BaseModel):
    """A segmenter under full supervision, for crops with masks.

    Args:
        network: config of the segmenter.
        weights: of the losses ``main`` and ``auxiliary`` (cross-entropy; 1 and 0.4, as HRNet-OCR) and ``iou`` (one
            minus soft IoU; off).
        class_weights: of background and foreground; 0.5 and 1, option 2 of the thesis.
        augment: strength of colour, noise and erased patches; 0 leaves only the mirror image.
        size: px of the side that crops are resized to before the network, 520 in the thesis; None for no resizing.
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
        self.loss_weights = {**LOSS_WEIGHTS, **(weights or {})}
        self.class_weights = tuple(class_weights)
        self.augment = augment
        self.size = size
        self.bf16 = bf16

    def forward(
        self, image: Tensor, mask: Tensor, mode: str = 'tensor', **labels: Any
    ) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """One batch of crops (..., 3, R, R) with masks (..., R, R), of views or of tracks.

        Returns:
            For mmengine's mode ``'loss'`` the weighted losses, else the IoU of every crop, percent, at probability one
            half.
        """
        image = image.flatten(0, -4)
        mask = mask.flatten(0, -3)
        if mode == 'loss':
            chosen = random_half(len(image), image.device)
            image = mirror_images(chosen, image)
            mask = mirror_images(chosen, mask)
            image = distort(image.float(), self.augment)
        crops = normalise(image.float())
        if self.size is not None:
            crops = interpolate(crops, (self.size, self.size), mode='bilinear')
        with torch.autocast(crops.device.type, torch.bfloat16, enabled=self.bf16):
            logits = self.network(crops.contiguous(memory_format=torch.channels_last))
        main = logits.main.float()
        if mode == 'loss':
            return self._losses(main, logits.auxiliary.float(), mask)
        foreground = foreground_map(main, mask.shape[-2:], PROBABILITY)[:, 0] > 0
        return [dict(iou=iou) for iou in mask_iou(foreground.cpu(), (mask == 1).cpu())]

    def _losses(self, main: Tensor, auxiliary: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """The losses that have a weight."""
        losses = segmentation_losses(main, auxiliary, mask, self.class_weights)
        active = {name: loss for name, loss in losses.items() if self.loss_weights[name]}
        return weighted(active, self.loss_weights)
