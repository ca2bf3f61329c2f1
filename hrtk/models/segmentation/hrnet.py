"""HRNet: maps of four resolutions side by side, under the key names of its segmentation code."""

from __future__ import annotations

from typing import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hrtk.errors import InputError
from hrtk.models.backbones.resnet import BasicBlock, Bottleneck


class HRNet(nn.Module):
    """A high-resolution network (Wang et al., "Deep High-Resolution Representation Learning for Visual Recognition",
    TPAMI 2020), without a head.

    Args:
        width: channels of the finest of the four maps, 48 or 18 as published; each coarser one has twice as many.
        stem: channels of the two first convolutions and, times four, of what follows them; 64 as published.
        first: blocks before the maps part; 4, and 2 in the small W18.
        blocks: blocks of every branch of a module; 4, and 2 in the small W18.
        modules: modules of the stages with two, three and four maps; 1, 4 and 3, and 1, 3 and 2 in the small W18.
        align_corners: how coarse maps are enlarged; True is the default of the released code.

    Attributes:
        out_channels: of the four maps together, 15 times ``width``.

    Raises:
        InputError: a size is not positive.
    """

    def __init__(
        self,
        width: int = 48,
        stem: int = 64,
        first: int = 4,
        blocks: int = 4,
        modules: Sequence[int] = (1, 4, 3),
        align_corners: bool = True,
    ) -> None:
        super().__init__()
        if len(modules) != 3 or min(width, stem, first, blocks, *modules) < 1:
            raise InputError(
                f'{type(self).__name__}: width, stem, first, blocks and the three modules are positive, '
                f'not {width}, {stem}, {first}, {blocks} and {tuple(modules)}'
            )
        self.align_corners = align_corners
        self.conv1 = nn.Conv2d(3, stem, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.conv2 = nn.Conv2d(stem, stem, 3, 2, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(stem)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = nn.Sequential(
            *(Bottleneck(stem * (4 if i else 1), stem, 1, nn.BatchNorm2d) for i in range(first))
        )
        channels = [4 * stem]
        for stage, count in enumerate(modules, 2):
            wider = [width * 2**i for i in range(stage)]
            setattr(self, f'transition{stage - 1}', _transition(channels, wider))
            setattr(
                self,
                f'stage{stage}',
                nn.Sequential(
                    *(HighResolutionModule(wider, blocks, align_corners) for _ in range(count))
                ),
            )
            channels = wider
        self.out_channels = sum(channels)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')

    def maps(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) normalised pictures -> (B, out_channels, H / 4, W / 4): all maps at the finest one's size."""
        x = self.relu(self.bn1(self.conv1(images)))
        levels = [self.layer1(self.relu(self.bn2(self.conv2(x))))]
        for stage in (2, 3, 4):
            ways = getattr(self, f'transition{stage - 1}')
            # A map that is new in this stage comes from the coarsest one there is.
            levels = [way(levels[min(i, len(levels) - 1)]) for i, way in enumerate(ways)]
            levels = getattr(self, f'stage{stage}')(levels)
        return torch.cat(
            [levels[0], *(enlarge(level, levels[0], self.align_corners) for level in levels[1:])], 1
        )


class HighResolutionModule(nn.Module):
    """Residual blocks in every branch, then an exchange between all of them.

    Args:
        channels: of the maps, finest first.
        blocks: of each branch.
        align_corners: how coarse maps are enlarged.
    """

    def __init__(self, channels: Sequence[int], blocks: int, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(count, count, 1, nn.BatchNorm2d) for _ in range(blocks)))
            for count in channels
        )
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_exchange(channels, source, target) for source in range(len(channels)))
            for target in range(len(channels))
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        """Maps, finest first -> as many of the same sizes."""
        levels = [branch(level) for branch, level in zip(self.branches, levels)]
        fused = []
        for target, ways in enumerate(self.fuse_layers):
            total = ways[0](levels[0])
            for source in range(1, len(levels)):
                part = ways[source](levels[source])
                total = total + (
                    enlarge(part, levels[target], self.align_corners) if source > target else part
                )
            fused.append(self.relu(total))
        return fused


def enlarge(maps: Tensor, like: Tensor, align_corners: bool) -> Tensor:
    """(B, C, h, w) -> (B, C, H, W), the size of ``like``, bilinear."""
    return F.interpolate(maps, like.shape[-2:], mode='bilinear', align_corners=align_corners)


def convolution(inputs: int, outputs: int, stride: int = 1, relu: bool = True) -> nn.Sequential:
    """A 3x3 convolution, its norm and perhaps a ReLU."""
    layers = [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if relu else []))


def _exchange(channels: Sequence[int], source: int, target: int) -> nn.Module:
    """From one map to another: nothing, a 1x1 convolution before it is enlarged, or halvings."""
    if source == target:
        return nn.Identity()
    if source > target:
        return nn.Sequential(
            nn.Conv2d(channels[source], channels[target], 1, bias=False),
            nn.BatchNorm2d(channels[target]),
        )
    steps = target - source
    return nn.Sequential(
        *(
            convolution(
                channels[source],
                channels[target if step == steps else source],
                2,
                relu=step < steps,
            )
            for step in range(1, steps + 1)
        )
    )


def _transition(channels: Sequence[int], wider: Sequence[int]) -> nn.ModuleList:
    """The ways from the maps of one stage to those of the next, which has one more."""
    ways: list[nn.Module] = [
        nn.Identity() if before == after else convolution(before, after)
        for before, after in zip(channels, wider)
    ]
    ways.extend(
        nn.Sequential(convolution(channels[-1], count, 2)) for count in wider[len(channels) :]
    )
    return nn.ModuleList(ways)
