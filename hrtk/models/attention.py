"""Attention of a few tokens, by plain operations."""

from __future__ import annotations

from torch import Tensor


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Multi-head attention (Vaswani et al., 2017, Eq. 1).

    The matrix of weights is explicit, so that every derivative exists: torch's fused kernels can be differentiated only
    once. With the 48 to 192 patches of the networks here that is not slower on a CPU. In bfloat16 it is faster: the
    backward pass of torch's fused kernel takes up to ten times as long (torch 2.13, one thread).

    Args:
        query: (B, H, T, d).
        key: (B, H, N, d).
        value: (B, H, N, d).

    Returns:
        (B, T, H * d), the heads side by side.
    """
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
    context = scores.softmax(-1) @ value
    return context.transpose(1, 2).flatten(2)
