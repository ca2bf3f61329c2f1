"""RSC-Net's backbone: a ResNet whose residual branches are scaled by the resolution of the image."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hrtk.models.backbones.resnet import Block, ResNet
from hrtk.registry import BACKBONES

SMALLEST_SIZES = (224, 128, 64, 40, 0)  # px, of every bucket


def resolution_bucket(size: int) -> int:
    """Returns the bucket of an image of ``size`` px: 0 from 224 px, 1 from 128, 2 from 64, 3 from 40, else 4."""
    return next(bucket for bucket, smallest in enumerate(SMALLEST_SIZES) if size >= smallest)


class ScaledStage(nn.Module):
    """The blocks of a stage and, for every bucket, a gain of each block, under RSC-Net's key names."""

    def __init__(self, blocks: list[Block]) -> None:
        super().__init__()
        self.hmr_layer = nn.ModuleList(blocks)
        gains = [torch.ones(len(blocks), 1, 1, 1, 1) for _ in SMALLEST_SIZES]
        self.alphas = nn.ParameterList(gains)

    def forward(self, x: Tensor, bucket: int) -> Tensor:
        """Runs the blocks; each is ``relu(gain * branch + shortcut)``."""
        for block, gain in zip(self.hmr_layer, self.alphas[bucket]):
            x = block(x, gain)
        return x


@BACKBONES.register_module()
class RSCResNet(ResNet):
    """A ResNet with gains per resolution bucket (Xu et al., "3D Human Shape and Pose from a Single Low-Resolution
    Image with Self-Supervised Learning", ECCV 2020; the buckets are those of its released code).

    Convolutions and norms are shared by all buckets. The arguments are those of
    :class:`~hrtk.models.backbones.resnet.ResNet`.
    """

    stage = staticmethod(ScaledStage)
    optional_keys = ('.alphas.',)  # gains start at 1 where a plain ResNet's file has none

    @staticmethod
    def official_key(key: str) -> str:
        """Renames a plain ResNet's key, ``layer1.0.conv1.weight`` -> ``layer1.hmr_layer.0.conv1.weight``."""
        stage, _, rest = key.partition('.')
        if stage.startswith('layer') and rest[:1].isdigit():
            return f'{stage}.hmr_layer.{rest}'
        return key

    def forward(self, images: Tensor, bucket: int = 0) -> Tensor:
        """(B, 3, R, R) normalised crops, all of one bucket -> (B, out_channels) features."""
        return self.from_trunk(self.trunk(images, bucket), bucket)

    def trunk(self, images: Tensor, bucket: int = 0) -> Tensor:
        """All stages but the last one: (B, 3, R, R) -> (B, out_channels / 2, R / 16, R / 16)."""
        maps = self.stem(images)
        for stage in (self.layer1, self.layer2, self.layer3):
            maps = stage(maps, bucket)
        return maps

    def from_trunk(self, maps: Tensor, bucket: int = 0) -> Tensor:
        """The last stage and the mean over its map."""
        return torch.mean(self.layer4(maps, bucket), dim=(2, 3))
