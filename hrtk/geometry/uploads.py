"""Devices, and uploads that the program does not wait for."""

from __future__ import annotations

import torch
from torch import Tensor

from hrtk.errors import OptionError


def check_device(name: str) -> None:
    """Raises OptionError for a device on which torch cannot compute on this machine."""
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError, TypeError) as error:
        first_line = str(error).splitlines()[0].split('. ')[0]
        raise OptionError(
            f"the device {name!r} cannot be used here ({first_line}); use 'cpu' (--device cpu)"
        ) from error


def upload(tensor: Tensor, device: torch.device | str) -> Tensor:
    """Copies a CPU tensor to a device; to a GPU from pinned memory, while the program goes on.

    torch keeps the pinned copy until the transfer has ended.
    """
    device = torch.device(device)
    if device.type == 'cuda' and tensor.device.type == 'cpu':
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
