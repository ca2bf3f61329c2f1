"""HRNet: parallel maps of four resolutions, under the key names of its segmentation code."""

from __future__ import annotations

from typing import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hrtk.errors import OptionError
from hrtk.models.backbones.resnet import BasicBlock, Bottleneck, initialise_convolutions


class HRNet(nn.Module):
    """A high-resolution network (Wang et al., "Deep High-Resolution Representation Learning for Visual Recognition",
    TPAMI 2020), without a head.

    Args:
        width: channels of the finest of the four maps, 48 or 18 as published; each coarser one has twice as many.
        stem: channels of the two first convolutions, and a quarter of those of ``layer1``; 64 as published.
        first: blocks of ``layer1``, before the maps split; 4, and 2 in the small W18.
        blocks: blocks of every branch of a module; 4, and 2 in the small W18.
        modules: modules of the stages with two, three and four maps; 1, 4 and 3, and 1, 3 and 2 in the small W18.
        align_corners: of the enlargement of coarse maps; True is the default of the released code.

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
            raise OptionError(
                f'{type(self).__name__}: width, stem, first, blocks and the three modules are positive, '
                f'not {width}, {stem}, {first}, {blocks} and {tuple(modules)}'
            )
        self.align_corners = align_corners
        self.conv1 = nn.Conv2d(3, stem, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.conv2 = nn.Conv2d(stem, stem, 3, 2, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(stem)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = _first_layer(stem, first)
        channels = [4 * stem]
        for stage, count in enumerate(modules, 2):
            stage_channels = [width * 2**i for i in range(stage)]
            setattr(self, f'transition{stage - 1}', _transition(channels, stage_channels))
            exchanges = [
                HighResolutionModule(stage_channels, blocks, align_corners) for _ in range(count)
            ]
            setattr(self, f'stage{stage}', nn.Sequential(*exchanges))
            channels = stage_channels
        self.out_channels = sum(channels)
        initialise_convolutions(self)

    def maps(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) normalised images -> (B, out_channels, H / 4, W / 4): all maps at the size of the finest."""
        x = self.relu(self.bn1(self.conv1(images)))
        levels = [self.layer1(self.relu(self.bn2(self.conv2(x))))]
        for stage in (2, 3, 4):
            transitions = getattr(self, f'transition{stage - 1}')
            # The map that is new in this stage is computed from the coarsest one of the last stage.
            sources = [*levels, levels[-1]]
            levels = [transition(level) for transition, level in zip(transitions, sources)]
            levels = getattr(self, f'stage{stage}')(levels)
        finest = levels[0]
        enlarged = [enlarge(level, finest, self.align_corners) for level in levels[1:]]
        return torch.cat([finest, *enlarged], 1)


class HighResolutionModule(nn.Module):
    """Residual blocks in every branch, then an exchange between all branches.

    Args:
        channels: of the maps, finest first.
        blocks: of each branch.
        align_corners: of the enlargement of coarse maps.
    """

    def __init__(self, channels: Sequence[int], blocks: int, align_corners: bool) -> None:
        super().__init__()
        self.branches = nn.ModuleList([_branch(count, blocks) for count in channels])
        targets = range(len(channels))
        self.fuse_layers = nn.ModuleList(
            [_Exchange(channels, target, align_corners) for target in targets]
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        """Maps, finest first -> as many maps of the same sizes."""
        levels = [branch(level) for branch, level in zip(self.branches, levels)]
        return [self.relu(exchange(levels)) for exchange in self.fuse_layers]


class _Exchange(nn.ModuleList):
    """The layers from every map to one of them, whose outputs are added."""

    def __init__(self, channels: Sequence[int], target: int, align_corners: bool) -> None:
        super().__init__([_path(channels, source, target) for source in range(len(channels))])
        self.target = target
        self.align_corners = align_corners

    def forward(self, levels: list[Tensor]) -> Tensor:
        total = self[0](levels[0])
        for source in range(1, len(levels)):
            maps = self[source](levels[source])
            if source > self.target:
                maps = enlarge(maps, levels[self.target], self.align_corners)
            total = total + maps
        return total


def enlarge(maps: Tensor, like: Tensor, align_corners: bool) -> Tensor:
    """(B, C, h, w) -> (B, C, H, W), bilinearly, to the size of ``like``."""
    return F.interpolate(maps, like.shape[-2:], mode='bilinear', align_corners=align_corners)


def convolution(inputs: int, outputs: int, stride: int = 1, relu: bool = True) -> nn.Sequential:
    """Returns a 3x3 convolution, its norm and, with ``relu``, a ReLU."""
    layers = nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
    )
    if relu:
        layers.append(nn.ReLU(inplace=True))
    return layers


def _first_layer(stem: int, blocks: int) -> nn.Sequential:
    layer = nn.Sequential(Bottleneck(stem, stem, 1, nn.BatchNorm2d))
    for _ in range(blocks - 1):
        layer.append(Bottleneck(4 * stem, stem, 1, nn.BatchNorm2d))
    return layer


def _branch(channels: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(
        *[BasicBlock(channels, channels, 1, nn.BatchNorm2d) for _ in range(blocks)]
    )


def _path(channels: Sequence[int], source: int, target: int) -> nn.Module:
    """Returns the layers from one map to another: none, a 1x1 convolution before enlargement, or halvings."""
    if source == target:
        return nn.Identity()
    inputs = channels[source]
    outputs = channels[target]
    if source > target:
        return nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
    halvings = [convolution(inputs, inputs, 2) for _ in range(target - source - 1)]
    return nn.Sequential(*halvings, convolution(inputs, outputs, 2, relu=False))


def _transition(channels: Sequence[int], next_channels: Sequence[int]) -> nn.ModuleList:
    """Returns the layers from the maps of one stage to those of the next, which has one more."""
    transitions = nn.ModuleList()
    for before, after in zip(channels, next_channels):
        if before == after:
            transitions.append(nn.Identity())
        else:
            transitions.append(convolution(before, after))
    for count in next_channels[len(channels) :]:
        transitions.append(nn.Sequential(convolution(channels[-1], count, 2)))
    return transitions
