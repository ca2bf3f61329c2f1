"""The order in which convolutions keep their numbers in memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NARROW = 16  # input channels of a vector of AVX-512, in float32


def lay_out_convolutions(
    network: nn.Module, memory_format: torch.memory_format = torch.channels_last
) -> None:
    """Lays out the kernels of all 2D convolutions of a network, in place.

    Shapes, values and names stay as they are. A convolution whose kernel has its channels last computes and returns its
    maps in the same layout, whatever the layout of its input, which saves the copies between the layouts of its
    neighbours. The results differ by rounding. ``load_state_dict``, ``deepcopy`` and optimisers keep the layout.

    Args:
        network: its parameters keep their identity.
        memory_format: ``torch.channels_last``, or ``torch.contiguous_format``.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.to(memory_format=memory_format)  # type: ignore[call-overload]  # torch's stubs lack it


class GroupNorm(nn.GroupNorm):
    """Group normalisation whose weights can be differentiated behind a frozen convolution with channels last.

    On a CPU torch 2.13 ends the process (segmentation fault) where it differentiates the weights of a group
    normalisation of channels-last maps that need no gradient themselves. Such maps are copied to the ordinary layout.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        frozen_input = not input.requires_grad and self.weight.requires_grad
        if frozen_input and torch.is_grad_enabled():
            input = input.contiguous()
        return super().forward(input)


class PointwiseConv(nn.Conv2d):
    """A 1x1 convolution without padding and bias whose kernel can be differentiated with channels last.

    On a CPU oneDNN, up to torch 2.13 at the least, writes behind its buffer where it differentiates the kernel of a 1x1
    convolution with a stride of channels-last maps that have fewer channels than a vector has places (its issue 6035):
    other memory of the process is overwritten, and gradients are wrong. The maps of such a convolution are thinned out
    before it. The results are the same.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, 1, stride, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride), rounded up."""
        if self.in_channels >= NARROW:
            return super().forward(input)
        rows, columns = self.stride
        return F.conv2d(input[:, :, ::rows, ::columns], self.weight)
