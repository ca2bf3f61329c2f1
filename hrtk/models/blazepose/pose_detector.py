"""The network that finds people: MediaPipe's ``pose_detection``."""

from __future__ import annotations

from typing import NamedTuple, Optional

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hrtk.models.blazepose.blocks import (
    Backbone,
    Convolution,
    Separable,
    SeparableResidual,
    depthwise,
    enlarge,
)
from hrtk.models.checkpoints import load_weights

SIDE = 224  # px of its input
WIDTHS = (24, 40, 80, 112, 192)
VALUES = 12  # of a candidate: centre, size and four keypoints
# (stride, candidates of a cell)
GRIDS = ((8, 2), (16, 2), (32, 6))


class Candidates(NamedTuple):
    """The raw output of :class:`PoseDetector` for B images, N = 2254.

    Attributes:
        values: (B, N, 12) ``[cx, cy, width, height]`` and x, y of four keypoints, px of the input; the centre and the
            keypoints are relative to the candidate's anchor.
        logits: (B, N) of being a person.
    """

    values: Tensor
    logits: Tensor


class PoseDetector(nn.Module):
    """Squares with letterboxed images to candidates for people.

    A backbone, a top-down path over the levels of stride 32, 16 and 8, and two heads for every level.

    Args:
        weights: ``'open:blazepose'``, a path to a checkpoint, or None for random ones.

    Raises:
        InputError: the weights are missing, unreadable or those of another network.
    """

    ignored_keys = ('landmark_network.',)

    def __init__(self, weights: Optional[str] = None) -> None:
        super().__init__()
        self.backbone = Backbone(WIDTHS)
        stride8, stride16 = WIDTHS[1], WIDTHS[3]
        top = self.backbone.out_channels
        self.lateral16 = Separable(stride16, 192, between=False)
        self.lateral8 = Separable(stride8, 96, between=False)
        self.down16 = Convolution(top, 192, relu=False)
        self.down8 = Convolution(192, 96, relu=False)
        self.merged16 = _merged(192)
        self.merged8 = _merged(96)
        self.heads = nn.ModuleList()
        for channels, (_, count) in zip((96, 192, top), GRIDS):
            self.heads.append(_Head(channels, count))
        if weights is not None:
            load_weights(self, weights)

    def forward(self, images: Tensor) -> Candidates:
        """(B, 3, 224, 224) RGB in [0, 1] -> the candidates of every cell, fine levels first."""
        levels = self.backbone(2 * images - 1)
        # 1x1 convolution and enlargement can be exchanged, as both are linear; this order takes a quarter of the time.
        stride16 = F.relu6(enlarge(self.down16(levels.stride32))) + self.lateral16(levels.stride16)
        stride16 = self.merged16(stride16)
        stride8 = F.relu6(enlarge(self.down8(stride16))) + self.lateral8(levels.stride8)
        stride8 = self.merged8(stride8)
        values = []
        logits = []
        for head, maps in zip(self.heads, (stride8, stride16, levels.stride32)):
            found = head(maps)
            values.append(found.values)
            logits.append(found.logits)
        return Candidates(torch.cat(values, 1), torch.cat(logits, 1))

    @staticmethod
    def official_key(key: str) -> str:
        """Removes the prefix that the keys have in the file with both networks."""
        return key.removeprefix('detector.')


class _Head(nn.Module):
    """The candidates of one level: its channels become pixels of twice the resolution, then two strided convolutions.

    Args:
        channels: of the level.
        count: candidates of a cell.
    """

    def __init__(self, channels: int, count: int) -> None:
        super().__init__()
        fine = channels // 4
        self.logits_depthwise = depthwise(fine, 3, stride=2, relu=False)
        self.logits = Convolution(fine, count, relu=False)
        self.values_depthwise = depthwise(fine, 3, stride=2, relu=False)
        self.values = Convolution(fine, count * VALUES, relu=False)

    def forward(self, maps: Tensor) -> Candidates:
        """(B, C, H, W) -> H * W * count candidates, row by row."""
        fine = depth_to_space(maps)
        values = self.values(self.values_depthwise(fine))
        logits = self.logits(self.logits_depthwise(fine))
        values = values.permute(0, 2, 3, 1).reshape(len(maps), -1, VALUES)
        return Candidates(values, logits.permute(0, 2, 3, 1).flatten(1))


def depth_to_space(maps: Tensor) -> Tensor:
    """(B, 4 C, H, W) -> (B, C, 2 H, 2 W): four channels become the pixels of a 2x2 block.

    Channels are ordered as in TFLite, (row in the block, column in the block, channel); ``F.pixel_shuffle`` has the
    channel first.
    """
    batch, channels, height, width = maps.shape
    blocks = maps.view(batch, 2, 2, channels // 4, height, width)
    blocks = blocks.permute(0, 3, 4, 1, 5, 2)
    return blocks.reshape(batch, channels // 4, 2 * height, 2 * width)


def _merged(channels: int) -> nn.Sequential:
    return nn.Sequential(
        SeparableResidual(channels, between=False), SeparableResidual(channels, between=False)
    )
