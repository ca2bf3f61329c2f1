"""Residual networks under torchvision's and SPIN's key names."""

from __future__ import annotations

from functools import partial
from typing import Callable, Optional

import torch
from torch import Tensor, nn

from hrtk.errors import OptionError
from hrtk.models.backbones.layout import GroupNorm, PointwiseConv, lay_out_convolutions
from hrtk.registry import BACKBONES

Norm = Callable[[int], nn.Module]
NORMS = ('bn', 'gn')


class Block(nn.Module):
    """A branch of convolutions beside a shortcut."""

    relu: nn.Module
    downsample: Optional[nn.Module]

    def branch(self, x: Tensor) -> Tensor:
        """Computes the residual, which is added to the shortcut."""
        raise NotImplementedError

    def forward(self, x: Tensor, gain: Optional[Tensor] = None) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride); ``gain`` (1, 1, 1, 1) scales the branch."""
        residual = self.branch(x)
        if gain is not None:
            residual = gain * residual
        shortcut = x
        if self.downsample is not None:
            shortcut = self.downsample(x)
        return self.relu(residual + shortcut)


class BasicBlock(Block):
    """Two 3x3 convolutions around a shortcut (He et al., 2016)."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = norm(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(inputs, width, stride, norm)

    def branch(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, width, H / stride, W / stride)."""
        return self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))


class Bottleneck(Block):
    """1x1, 3x3, 1x1 with the stride in the 3x3 convolution, the "v1.5" form of SPIN's weights."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int, norm: Norm) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = norm(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = norm(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(inputs, outputs, stride, norm)

    def branch(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, 4 * width, H / stride, W / stride)."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.bn3(self.conv3(x))


# Depth to the kind of block and the number of blocks per stage.
LAYOUTS: dict[int, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, ...]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
}


@BACKBONES.register_module()
class ResNet(nn.Module):
    """ResNet without a classifier: images to pooled features.

    It is cut before its last stage, see :class:`~hrtk.models.backbones.base.StagedBackbone`. Its kernels lie in memory
    with channels last, see :func:`~hrtk.models.backbones.layout.lay_out_convolutions`.

    Args:
        depth: 18, 34, 50 or 101; SPIN and BOA use 50.
        width: channels of the first stage, 64 as published; 32 costs a quarter.
        norm: ``'bn'`` as SPIN, or ``'gn'``, GroupNorm in the same positions under the same ``bn*`` keys as BOA.
        groups: groups of ``'gn'``; 4 in BOA's released weights.

    Raises:
        InputError: an unknown depth or norm.
    """

    last_stage = 'layer4'

    layer1: nn.Module
    layer2: nn.Module
    layer3: nn.Module
    layer4: nn.Module

    def __init__(self, depth: int = 50, width: int = 64, norm: str = 'bn', groups: int = 4) -> None:
        super().__init__()
        if depth not in LAYOUTS or norm not in NORMS:
            raise OptionError(
                f'ResNet: depth is one of {sorted(LAYOUTS)} and norm bn or gn, not {depth} and {norm!r}'
            )
        norm_layer: Norm = nn.BatchNorm2d
        if norm == 'gn':
            norm_layer = partial(GroupNorm, groups)
        block, counts = LAYOUTS[depth]
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = norm_layer(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inputs = width
        for index, count in enumerate(counts):
            stage_width = width * 2**index
            stride = 1 if index == 0 else 2
            blocks: list[Block] = [block(inputs, stage_width, stride, norm_layer)]
            inputs = stage_width * block.expansion
            for _ in range(count - 1):
                blocks.append(block(inputs, stage_width, 1, norm_layer))
            setattr(self, f'layer{index + 1}', self.stage(blocks))
        self.out_channels = inputs
        initialise_convolutions(self)
        lay_out_convolutions(self)

    @staticmethod
    def stage(blocks: list[Block]) -> nn.Module:
        """Returns the module that runs the blocks of one stage."""
        return nn.Sequential(*blocks)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, R, R) normalised crops -> (B, out_channels) features, the mean over the last map."""
        return self.from_trunk(self.trunk(images))

    def trunk(self, images: Tensor) -> Tensor:
        """All stages but the last one: (B, 3, R, R) -> (B, out_channels / 2, R / 16, R / 16)."""
        return self.layer3(self.layer2(self.layer1(self.stem(images))))

    def stem(self, images: Tensor) -> Tensor:
        """The first convolution and the pooling behind it: (B, 3, R, R) -> (B, width, R / 4, R / 4)."""
        return self.maxpool(self.relu(self.bn1(self.conv1(images))))

    def from_trunk(self, maps: Tensor) -> Tensor:
        """The last stage and the mean over its map."""
        return torch.mean(self.layer4(maps), dim=(2, 3))


def initialise_convolutions(network: nn.Module) -> None:
    """Draws the weights of all convolutions from He et al.'s normal distribution (2015), by fan-out."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')


def _shortcut(inputs: int, outputs: int, stride: int, norm: Norm) -> Optional[nn.Module]:
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(PointwiseConv(inputs, outputs, stride), norm(outputs))
