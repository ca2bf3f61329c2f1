"""A small backbone of depthwise convolutions, after Liu et al., "A ConvNet for the 2020s", CVPR 2022."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hrtk.registry import BACKBONES


class Block(nn.Module):
    """A 7x7 depthwise convolution and a pointwise two-layer perceptron around a shortcut, (B, C, H, W) to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.GroupNorm(
            1, channels
        )  # no batch statistics, so one frame at a time is enough to adapt
        self.expand = nn.Conv2d(channels, 4 * channels, 1)
        self.reduce = nn.Conv2d(4 * channels, channels, 1)
        self.scale = nn.Parameter(torch.full((channels, 1, 1), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        hidden = nn.functional.gelu(self.expand(self.norm(self.spatial(x))))
        return x + self.scale * self.reduce(hidden)


@BACKBONES.register_module()
class TinyConvNet(nn.Module):
    """Images to pooled features in four stages, each half the size and twice the channels of the one before.

    Args:
        width: channels of the first stage.
        depths: blocks of the four stages.
    """

    def __init__(self, width: int = 32, depths: tuple[int, int, int, int] = (1, 1, 3, 1)) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, stride=4), nn.GroupNorm(1, width)]
        for stage, depth in enumerate(depths):
            channels = width * 2**stage
            if stage > 0:
                layers += [
                    nn.GroupNorm(1, channels // 2),
                    nn.Conv2d(channels // 2, channels, 2, stride=2),
                ]
            layers += [Block(channels) for _ in range(depth)]
        self.layers = nn.Sequential(*layers)
        self.out_channels = channels
        self.norm = nn.LayerNorm(channels)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, R, R) normalised crops -> (B, out_channels) features, the mean over the last map."""
        return self.norm(self.layers(images).mean(dim=(2, 3)))
