"""Uploads that the program does not wait for."""

from __future__ import annotations

import torch
from torch import Tensor


def upload(tensor: Tensor, device: torch.device | str) -> Tensor:
    """Copies a CPU tensor to a device; to a GPU from pinned memory, while the program goes on.

    torch keeps the pinned copy until the transfer has ended.
    """
    device = torch.device(device)
    if device.type == 'cuda' and tensor.device.type == 'cpu':
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
