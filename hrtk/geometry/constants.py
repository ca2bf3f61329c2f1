"""Small constants as tensors, uploaded once per device instead of at every use.

A list of indices, ``joints[:, [2, 3]]``, or ``torch.tensor([0.5, 0.5], device=...)`` is an upload each time, and the
program waits for it. The tensors of this module are kept for the life of the process.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor


def indices(values: tuple[int, ...], like: Tensor) -> Tensor:
    """(N,) int64 on the device of another tensor; shared, so never change it in place."""
    return _kept(values, like.device, torch.int64)


def constant(values: tuple[float, ...], like: Tensor) -> Tensor:
    """(N,) in device and precision of another tensor; shared, so never change it in place."""
    return _kept(values, like.device, like.dtype)


@functools.lru_cache(maxsize=1024)
def _kept(values: tuple, device: torch.device, dtype: torch.dtype) -> Tensor:
    # A tensor of inference mode could not take part in a later gradient.
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=dtype, device=device)
