"""Object-contextual representations on HRNet: the foreground segmenter."""

from __future__ import annotations

from typing import NamedTuple, Optional, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hrtk.errors import OptionError
from hrtk.models.checkpoints import load_pretrained, load_weights
from hrtk.models.segmentation.hrnet import HRNet
from hrtk.registry import SEGMENTERS

DROPOUT = 0.05
THRESHOLD = 0.2  # probabilities below it count as background (thesis, section 3.6)
HEADS = ('conv3x3_ocr.', 'ocr_distri_head.', 'cls_head.', 'aux_head.')


class Logits(NamedTuple):
    """The output of a segmenter for B images, both (B, K, H / 4, W / 4).

    Attributes:
        main: the logits of the classes.
        auxiliary: coarse logits, which weight the pixels of the object regions; they have a loss of their own.
    """

    main: Tensor
    auxiliary: Tensor


@SEGMENTERS.register_module()
class HRNetOCR(HRNet):
    """HRNet with object-contextual representations (Yuan et al., ECCV 2020), for background and foreground.

    Coarse logits weight every pixel for every class; the weighted mean feature of a class is a region, and every pixel
    attends to the regions. Key names are those of the released HRNet-Semantic-Segmentation (branch HRNet-OCR), whose
    checkpoints load; ``model.`` prefixes and the class weights of its loss are left out.

    Args:
        width, stem, first, blocks, modules, align_corners: of :class:`~hrtk.models.segmentation.hrnet.HRNet`; the
            defaults are W48.
        channels: of the pixels' features, 512 as published.
        keys: channels of queries, keys and values, 256 as published.
        classes: K, 2: background first, then foreground.
        weights: ``'open:<name>'``, a path to a checkpoint, or None for random ones.
        pretrained: path to a checkpoint of the same HRNet with other heads: classification on ImageNet, or other
            classes. Heads that do not fit stay random.

    Raises:
        InputError: a size is not positive, or the weights are missing, unreadable or those of another network.
    """

    ignored_keys = ('loss.', 'model.loss.')

    def __init__(
        self,
        width: int = 48,
        stem: int = 64,
        first: int = 4,
        blocks: int = 4,
        modules: Sequence[int] = (1, 4, 3),
        channels: int = 512,
        keys: int = 256,
        classes: int = 2,
        align_corners: bool = True,
        weights: Optional[str] = None,
        pretrained: Optional[str] = None,
    ) -> None:
        super().__init__(width, stem, first, blocks, modules, align_corners)
        if min(channels, keys) < 1 or classes < 2:
            raise OptionError(
                f'HRNetOCR: channels and keys are positive and classes at least 2, not {channels}, {keys} '
                f'and {classes}'
            )
        inputs = self.out_channels
        self.conv3x3_ocr = nn.Sequential(
            nn.Conv2d(inputs, channels, 3, 1, 1), *_norm_relu(channels)
        )
        self.ocr_distri_head = ObjectContext(channels, keys)
        self.cls_head = nn.Conv2d(channels, classes, 1)
        self.aux_head = nn.Sequential(
            nn.Conv2d(inputs, inputs, 1), *_norm_relu(inputs), nn.Conv2d(inputs, classes, 1)
        )
        if pretrained is not None:
            load_pretrained(self, pretrained, HEADS)
        if weights is not None:
            load_weights(self, weights)

    def forward(self, images: Tensor) -> Logits:
        """(B, 3, H, W) normalised images -> logits at a quarter of the size."""
        maps = self.maps(images)
        auxiliary = self.aux_head(maps)
        pixels = self.conv3x3_ocr(maps)
        regions = gather(pixels, auxiliary)
        return Logits(self.cls_head(self.ocr_distri_head(pixels, regions)), auxiliary)

    @staticmethod
    def official_key(key: str) -> str:
        """Renames ``model.conv1.weight`` -> ``conv1.weight``; ``last_layer`` is the auxiliary head in files without
        OCR."""
        return key.removeprefix('model.').replace('last_layer.', 'aux_head.')


class ObjectContext(nn.Module):
    """Attention of pixels to object regions, merged with the pixels' own features.

    Args:
        channels: of pixels and regions.
        keys: of queries, keys and values.
    """

    def __init__(self, channels: int, keys: int) -> None:
        super().__init__()
        self.object_context_block = _Attention(channels, keys)
        self.conv_bn_dropout = nn.Sequential(
            nn.Conv2d(2 * channels, channels, 1, bias=False),
            nn.Sequential(*_norm_relu(channels)),
            nn.Dropout2d(DROPOUT),
        )

    def forward(self, pixels: Tensor, regions: Tensor) -> Tensor:
        """(B, C, h, w) pixels and (B, C, K, 1) regions -> (B, C, h, w)."""
        context = self.object_context_block(pixels, regions)
        return self.conv_bn_dropout(torch.cat([context, pixels], 1))


class _Attention(nn.Module):
    def __init__(self, channels: int, keys: int) -> None:
        super().__init__()
        self.keys = keys
        self.f_pixel = nn.Sequential(*_layer(channels, keys), *_layer(keys, keys))
        self.f_object = nn.Sequential(*_layer(channels, keys), *_layer(keys, keys))
        self.f_down = nn.Sequential(*_layer(channels, keys))
        self.f_up = nn.Sequential(*_layer(keys, channels))

    def forward(self, pixels: Tensor, regions: Tensor) -> Tensor:
        query = self.f_pixel(pixels).flatten(2).transpose(1, 2)
        key = self.f_object(regions).flatten(2)
        value = self.f_down(regions).flatten(2).transpose(1, 2)
        attention = (query @ key * self.keys**-0.5).softmax(-1)
        context = (attention @ value).transpose(1, 2).unflatten(2, pixels.shape[2:])
        return self.f_up(context)


def gather(pixels: Tensor, logits: Tensor) -> Tensor:
    """Computes the mean features of the classes: (B, C, h, w) pixels, (B, K, h, w) logits -> (B, C, K, 1)."""
    weights = logits.flatten(2).softmax(2)  # over the pixels
    return (pixels.flatten(2) @ weights.transpose(1, 2)).unsqueeze(3)


def foreground_map(logits: Tensor, size: Sequence[int], threshold: float = THRESHOLD) -> Tensor:
    """Computes the probability of the foreground, 0 where it is below the threshold.

    Args:
        logits: (B, 2, h, w), background first; enlarged in the same way as in the losses.
        size: (H, W) of the map.
        threshold: 0.2 in the thesis.

    Returns:
        (B, 1, H, W) in [0, 1].
    """
    enlarged = F.interpolate(logits, tuple(size), mode='bilinear', align_corners=False)
    probability = (enlarged[:, 1:] - enlarged[:, :1]).sigmoid()
    return probability.where(probability >= threshold, probability.new_zeros(()))


def _norm_relu(channels: int) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]


def _layer(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 1, bias=False), nn.Sequential(*_norm_relu(outputs))]
