"""One step of a GRU and its gradient, as torch expects them of a kernel."""

from __future__ import annotations

from typing import Optional

import torch
from torch import Tensor


def gru_cell(
    input_gates: Tensor,
    hidden_gates: Tensor,
    hidden: Tensor,
    input_bias: Optional[Tensor] = None,
    hidden_bias: Optional[Tensor] = None,
) -> tuple[Tensor, Tensor]:
    """One step of a GRU (Cho et al., EMNLP 2014), for which torch expects a kernel of every device.

    Returns:
        The new hidden state (B, H), and (B, 5 H) for the backward pass.
    """
    gates = []
    for values, bias in ((input_gates, input_bias), (hidden_gates, hidden_bias)):
        total = values
        if bias is not None:
            total = total + bias
        gates.append(total.chunk(3, dim=1))
    (reset_in, update_in, new_in), (reset_hidden, update_hidden, new_hidden) = gates
    reset = torch.sigmoid(reset_in + reset_hidden)
    update = torch.sigmoid(update_in + update_hidden)
    new = torch.tanh(new_in + reset * new_hidden)
    kept = torch.cat([reset, update, new, hidden, new_hidden], dim=1)
    return new + update * (hidden - new), kept


def gru_cell_backward(
    gradient: Tensor, kept: Tensor, has_bias: bool
) -> tuple[Tensor, Tensor, Tensor, Optional[Tensor], Optional[Tensor]]:
    """Gradients of both gates (B, 3 H), of the hidden state before (B, H), and of both biases (3 H,)."""
    reset, update, new, before, new_hidden = kept.chunk(5, dim=1)
    to_new = gradient * (1 - update) * (1 - new * new)
    to_update = gradient * (before - new) * update * (1 - update)
    to_reset = to_new * new_hidden * reset * (1 - reset)
    to_inputs = torch.cat([to_reset, to_update, to_new], dim=1)
    to_hidden = torch.cat([to_reset, to_update, to_new * reset], dim=1)
    biases: list[Optional[Tensor]] = [None, None]
    if has_bias:
        biases = [to_inputs.sum(0), to_hidden.sum(0)]
    return to_inputs, to_hidden, gradient * update, biases[0], biases[1]
