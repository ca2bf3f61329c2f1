"""Parameters and floating point operations of a network or of its parts, counted while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from hrtk.errors import InputError


def network_cost(
    network: nn.Module, inputs: Sequence[Sequence[Any]], parts: Sequence[str] = ()
) -> dict[str, float]:
    """Counts parameters and operations.

    Operations are the multiplications and the additions of matrix products, convolutions and attention, so a product
    of matrices (n, k) and (k, m) has 2nkm; biases, norms and activations are not counted.

    Args:
        network: in evaluation mode.
        inputs: arguments of one or more calls. A part counts as in the call in which it works most, since a call need
            not use every part.
        parts: names of submodules, whose sums are returned; none for the whole network.

    Returns:
        ``params_k``, thousands of parameters, and ``flops_m``, millions of operations.

    Raises:
        InputError: the network has no such part.
    """
    modules = dict(network.named_modules())
    unknown = [part for part in parts if part not in modules]
    if unknown:
        known = ', '.join(name for name, _ in network.named_children())
        raise InputError(
            f'{type(network).__name__} has no part {", ".join(unknown)}; its parts are {known}'
        )
    names = list(parts) or ['']
    parameters = 0
    for name in names:
        parameters += sum(parameter.numel() for parameter in modules[name].parameters())
    operations = {name: 0 for name in names}
    for arguments in inputs:
        counter = FlopCounterMode(display=False)
        # The fused attention of the CPU is not counted; its mathematical form is.
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
            network(*arguments)
        counts = counter.get_flop_counts()
        for name in names:
            key = '.'.join(filter(None, (type(network).__name__, name)))
            operations[name] = max(operations[name], sum(counts.get(key, {}).values()))
    return dict(params_k=parameters / 1e3, flops_m=sum(operations.values()) / 1e6)
