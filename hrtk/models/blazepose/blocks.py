"""The blocks of BlazePose's networks: convolutions without norm layers, which were folded into them, and ReLU6."""

from __future__ import annotations

from typing import NamedTuple, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

STEM = 24


class Convolution(nn.Conv2d):
    """A convolution with bias and 'same' padding, and ReLU6 behind it if wanted.

    TFLite pads stride 1 symmetrically. With stride 2 and an even input the files pad explicitly by half a kernel on
    every side, which is the same as torch's padding.

    Args:
        inputs, outputs: channels.
        kernel: side of the kernel, odd.
        stride: 1 or 2.
        relu: whether ReLU6 follows.
        depthwise: one kernel for every channel; ``inputs`` and ``outputs`` are equal.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        relu: bool = True,
        depthwise: bool = False,
    ) -> None:
        groups = inputs if depthwise else 1
        super().__init__(inputs, outputs, kernel, stride, kernel // 2, groups=groups)
        self.relu = relu

    def forward(self, maps: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        if self.kernel_size == (1, 1):
            # As a matrix product, which needs no copies of channels-last maps: torch's own 1x1 convolution does on
            # one thread, and takes twice as long.
            rows = F.linear(maps.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias)
            maps = rows.permute(0, 3, 1, 2)
        else:
            maps = super().forward(maps)
        if self.relu:
            maps = F.relu6(maps, inplace=True)
        return maps


def depthwise(channels: int, kernel: int = 3, stride: int = 1, relu: bool = True) -> Convolution:
    """Returns a convolution of every channel by itself."""
    return Convolution(channels, channels, kernel, stride, relu, depthwise=True)


class InvertedResidual(nn.Module):
    """MobileNetV2's block: a 1x1 convolution to more channels, a depthwise one, and a linear 1x1 one to few channels.

    The input is added where the block keeps its shape (Sandler et al., "MobileNetV2", CVPR 2018).

    Args:
        inputs, outputs: channels.
        expanded: channels between the two 1x1 convolutions.
        kernel: side of the depthwise kernel.
        stride: of the depthwise convolution.
    """

    def __init__(
        self, inputs: int, outputs: int, expanded: int, kernel: int = 3, stride: int = 1
    ) -> None:
        super().__init__()
        self.expand = Convolution(inputs, expanded)
        self.depthwise = depthwise(expanded, kernel, stride)
        self.project = Convolution(expanded, outputs, relu=False)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, maps: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        projected = self.project(self.depthwise(self.expand(maps)))
        if self.residual:
            projected = projected + maps
        return projected


class Separable(nn.Sequential):
    """A depthwise 3x3 convolution and a 1x1 convolution.

    Args:
        inputs, outputs: channels.
        stride: of the depthwise convolution.
        between: whether ReLU6 stands between the two.
        relu: whether ReLU6 stands behind the second.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int = 1,
        between: bool = True,
        relu: bool = True,
    ) -> None:
        super().__init__()
        self.depthwise = depthwise(inputs, 3, stride, between)
        self.pointwise = Convolution(inputs, outputs, relu=relu)


class SeparableResidual(nn.Module):
    """BlazeFace's block: a separable convolution, the input added, ReLU6 (Bazarevsky et al., 2019).

    Args:
        channels: of input and output.
        between: whether ReLU6 stands between the two convolutions.
        halve: halves the size: the depthwise convolution has stride 2, and the input is pooled by its maxima. There
            TFLite's 'same' padding adds one row below and one column to the right, none above and to the left.
    """

    def __init__(self, channels: int, between: bool = True, halve: bool = False) -> None:
        super().__init__()
        self.halve = halve
        stride = 2 if halve else 1
        self.separable = Separable(channels, channels, stride, between, relu=False)
        if halve:
            self.separable.depthwise.padding = (0, 0)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, channels, H, W) -> the same shape, or half of H and W."""
        if self.halve:
            residual = self.separable(F.pad(maps, (0, 1, 0, 1)))
            maps = F.max_pool2d(maps, 2)
        else:
            residual = self.separable(maps)
        return F.relu6(maps + residual, inplace=True)


class Levels(NamedTuple):
    """The maps of :class:`Backbone`, named after their stride."""

    stride2: Tensor
    stride4: Tensor
    stride8: Tensor
    stride16: Tensor
    stride32: Tensor


class Backbone(nn.Module):
    """EfficientNet-Lite0's layout (Tan and Le, 2019, without squeeze and excitation), with other widths.

    It ends in the expanded channels of its last block, which has no projection.

    Args:
        widths: channels of the levels of stride 4, 8, of the two groups of stride 16, and of stride 32.

    Attributes:
        widths: the same.
        out_channels: channels of the last map, six times the last width.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.widths = tuple(widths)
        first, second, third, fourth, fifth = self.widths
        self.stem = Convolution(3, STEM, 3, stride=2)
        self.stem_depthwise = depthwise(STEM)
        self.stem_project = Convolution(STEM, 16, relu=False)
        self.stage4 = _stage(16, first, blocks=2, kernel=3, stride=2, ratio=4)
        self.stage8 = _stage(first, second, blocks=2, kernel=5, stride=2)
        self.stage16 = nn.Sequential(
            *_stage(second, third, blocks=3, kernel=3, stride=2),
            *_stage(third, fourth, blocks=3, kernel=5, stride=1),
        )
        self.stage32 = _stage(fourth, fifth, blocks=4, kernel=5, stride=2)
        self.out_channels = 6 * fifth
        self.last_expand = Convolution(fifth, self.out_channels)
        self.last_depthwise = depthwise(self.out_channels)

    def forward(self, images: Tensor) -> Levels:
        """(B, 3, H, W) -> the maps of five levels."""
        stride2 = self.stem_project(self.stem_depthwise(self.stem(images)))
        stride4 = self.stage4(stride2)
        stride8 = self.stage8(stride4)
        stride16 = self.stage16(stride8)
        stride32 = self.last_depthwise(self.last_expand(self.stage32(stride16)))
        return Levels(stride2, stride4, stride8, stride16, stride32)


def enlarge(maps: Tensor, factor: int = 2) -> Tensor:
    """(B, C, H, W) -> (B, C, factor H, factor W), bilinearly, with pixel centres at halves."""
    return F.interpolate(maps, scale_factor=factor, mode='bilinear', align_corners=False)


def _stage(
    inputs: int, outputs: int, blocks: int, kernel: int, stride: int, ratio: int = 6
) -> nn.Sequential:
    """Blocks of which the first has the stride and another expansion."""
    stage = nn.Sequential(InvertedResidual(inputs, outputs, ratio * inputs, kernel, stride))
    for _ in range(blocks - 1):
        stage.append(InvertedResidual(outputs, outputs, 6 * outputs, kernel))
    return stage
