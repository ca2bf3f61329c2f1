"""Residual networks under torchvision's and SPIN's key names."""

from __future__ import annotations

from functools import partial
from typing import Callable, Optional

import torch
from torch import Tensor, nn

from hrtk.errors import InputError
from hrtk.registry import BACKBONES

Norm = Callable[[int], nn.Module]


class Block(nn.Module):
    """A branch of convolutions beside a shortcut."""

    downsample: Optional[nn.Module]

    def branch(self, x: Tensor) -> Tensor:
        """What is added to the shortcut."""
        raise NotImplementedError

    def forward(self, x: Tensor, gain: Optional[Tensor] = None) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride); ``gain`` (1, 1, 1, 1) scales the branch."""
        out = self.branch(x) if gain is None else gain * self.branch(x)
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


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
    """1x1, 3x3, 1x1 with the stride in the 3x3 convolution, the "v1.5" form that SPIN's weights have."""

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
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        return self.bn3(self.conv3(out))


LAYOUTS = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
}


@BACKBONES.register_module()
class ResNet(nn.Module):
    """ResNet without a classifier: images to pooled features.

    Args:
        depth: 18, 34, 50 or 101; SPIN and BOA use 50.
        width: channels of the first stage, 64 as published; 32 gives a quarter of the cost.
        norm: ``'bn'`` as SPIN, or ``'gn'``, GroupNorm in the same places under the same ``bn*`` keys as BOA.
        groups: groups of ``'gn'``; 4 in BOA's released weights.
    """

    def __init__(self, depth: int = 50, width: int = 64, norm: str = 'bn', groups: int = 4) -> None:
        super().__init__()
        if depth not in LAYOUTS or norm not in ('bn', 'gn'):
            raise InputError(
                f'ResNet: depth is one of {sorted(LAYOUTS)} and norm bn or gn, not {depth} and {norm!r}'
            )
        layer: Norm = nn.BatchNorm2d if norm == 'bn' else partial(nn.GroupNorm, groups)
        block, counts = LAYOUTS[depth]
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = layer(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inputs = width
        for stage, count in enumerate(counts):
            size = width * 2**stage
            blocks = []
            for i in range(count):
                blocks.append(block(inputs, size, 2 if i == 0 and stage > 0 else 1, layer))
                inputs = size * block.expansion
            setattr(self, f'layer{stage + 1}', self.stage(blocks))
        self.out_channels = inputs
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')

    @staticmethod
    def stage(blocks: list[Block]) -> nn.Module:
        """The module that runs the blocks of one stage."""
        return nn.Sequential(*blocks)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, R, R) normalised crops -> (B, out_channels) features, the mean over the last map."""
        return self.from_trunk(self.trunk(images))

    def trunk(self, images: Tensor) -> Tensor:
        """All but the last stage: (B, 3, R, R) -> (B, out_channels / 2, R / 16, R / 16)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        return self.layer3(self.layer2(self.layer1(x)))

    def from_trunk(self, maps: Tensor) -> Tensor:
        """The last stage and the mean over its map."""
        return torch.mean(self.layer4(maps), dim=(2, 3))


def _shortcut(inputs: int, outputs: int, stride: int, norm: Norm) -> nn.Module | None:
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), norm(outputs))
