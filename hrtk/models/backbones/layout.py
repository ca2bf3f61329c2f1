"""The order in which convolutions keep their numbers in memory."""

from __future__ import annotations

import torch
from torch import nn


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
