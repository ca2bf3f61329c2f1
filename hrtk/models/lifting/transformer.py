"""Transformer blocks of MPM: attention over frames, with the LayerNorm and the strides of the released code."""

from __future__ import annotations

import math
from typing import Optional, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class UnbiasedNorm(nn.Module):
    """Layer normalisation by the unbiased standard deviation, to which epsilon is added outside the root.

    Weights trained with it do not fit :class:`torch.nn.LayerNorm`: its outputs are sqrt((C - 1) / C) times as large.

    Args:
        channels: C.
        eps: added to the standard deviation.
    """

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.a_2 = nn.Parameter(torch.ones(channels))
        self.b_2 = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C); constant tokens become ``b_2``, with a finite gradient."""
        centred = x - x.mean(-1, keepdim=True)
        norm = torch.linalg.vector_norm(centred, dim=-1, keepdim=True)
        deviation = norm / math.sqrt(x.shape[-1] - 1)
        return torch.addcmul(self.b_2, self.a_2, centred / (deviation + self.eps))


class SelfAttention(nn.Module):
    """Multi-head attention of all frames to all frames (Vaswani et al., 2017).

    Args:
        channels: C, a multiple of ``heads``.
        heads: H.
        dropout: share of attention weights that training drops.
    """

    def __init__(self, channels: int, heads: int, dropout: float) -> None:
        super().__init__()
        # Of query, key, value and output.
        self.linears = nn.ModuleList([nn.Linear(channels, channels) for _ in range(4)])
        self.heads = heads
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        query = self._split(self.linears[0](x))
        key = self._split(self.linears[1](x))
        value = self._split(self.linears[2](x))
        dropout = self.dropout * self.training
        context = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
        return self.linears[3](context.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, H, T, C / H)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Module):
    """C -> hidden -> C for every frame separately, with ReLU (the released code calls it ``gelu``)."""

    def __init__(self, channels: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.w_1 = nn.Linear(channels, hidden)
        self.w_2 = nn.Linear(hidden, channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        return self.w_2(self.dropout(F.relu(self.w_1(x))))


class StridedFeedForward(nn.Module):
    """Feed-forward whose second layer convolves three frames with a stride (Li et al., Strided Transformer)."""

    def __init__(self, channels: int, hidden: int, dropout: float, stride: int) -> None:
        super().__init__()
        self.w_1 = nn.Conv1d(channels, hidden, 1)
        self.w_2 = nn.Conv1d(hidden, channels, 3, stride=stride, padding=1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, ceil(T / stride), C)."""
        hidden = self.dropout(F.relu(self.w_1(x.transpose(1, 2))))
        return self.w_2(hidden).transpose(1, 2)


class Block(nn.Module):
    """Attention, then feed-forward, each with normalised input and a residual connection.

    Args:
        channels: C.
        hidden: width of the feed-forward's inner layer.
        heads: of the attention.
        dropout: of attention weights, of the inner layer and of both residuals.
        stride: keeps every ``stride``-th frame; None for a plain feed-forward, which keeps all.
    """

    def __init__(
        self, channels: int, hidden: int, heads: int, dropout: float, stride: Optional[int] = None
    ) -> None:
        super().__init__()
        self.self_attn = SelfAttention(channels, heads, dropout)
        self.feed_forward: nn.Module
        if stride is None:
            self.feed_forward = FeedForward(channels, hidden, dropout)
        else:
            self.feed_forward = StridedFeedForward(channels, hidden, dropout, stride)
        self.norms = nn.ModuleList([UnbiasedNorm(channels), UnbiasedNorm(channels)])
        self.dropout = nn.Dropout(dropout)
        self.stride = stride or 1

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, ceil(T / stride), C)."""
        x = x + self.dropout(self.self_attn(self.norms[0](x)))
        return x[:, :: self.stride] + self.dropout(self.feed_forward(self.norms[1](x)))


class Transformer(nn.Module):
    """A sequence of blocks.

    Args:
        layers: number of blocks.
        channels, hidden, heads, dropout: of each, see :class:`Block`.
        frames: length of a learnt position embedding that :meth:`add_positions` adds; None for none.
        embedding_std: standard deviation of the position embedding at the start.
    """

    def __init__(
        self,
        layers: int,
        channels: int,
        hidden: int,
        heads: int,
        dropout: float,
        frames: Optional[int] = None,
        embedding_std: float = 1.0,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [Block(channels, hidden, heads, dropout) for _ in range(layers)]
        )
        self.norm = _unused_norm(channels)
        if frames is not None:
            self.pos_embedding = random_embedding(frames, channels, embedding_std)

    def add_positions(self, x: Tensor) -> Tensor:
        """Adds the position embedding: (B, T, C) -> (B, T, C)."""
        return x + self.pos_embedding

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        for block in self.layers:
            x = block(x)
        return x


class StridedTransformer(nn.Module):
    """A sequence of blocks that reduces the frames, in the end to one.

    Args:
        strides: of the blocks.
        channels, hidden, heads, dropout: of each, see :class:`Block`.
        frames: F; the first three blocks each have a position embedding of that length, of which the later blocks use
            only the first entries.
        embedding_std: standard deviation of these embeddings at the start.
    """

    def __init__(
        self,
        strides: Sequence[int],
        channels: int,
        hidden: int,
        heads: int,
        dropout: float,
        frames: int,
        embedding_std: float = 1.0,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [Block(channels, hidden, heads, dropout, stride) for stride in strides]
        )
        self.norm = _unused_norm(channels)
        for number in (1, 2, 3):
            embedding = random_embedding(frames, channels, embedding_std)
            setattr(self, f'pos_embedding_{number}', embedding)

    def forward(self, x: Tensor) -> Tensor:
        """(B, F, C) -> (B, F / product of strides, C)."""
        for index, block in enumerate(self.layers):
            if index < 3:
                x = x + getattr(self, f'pos_embedding_{index + 1}')[:, : x.shape[1]]
            x = block(x)
        return x


def random_embedding(length: int, channels: int, std: float) -> nn.Parameter:
    """Returns a learnt (1, length, channels) tensor, normally distributed with this standard deviation."""
    return nn.Parameter(std * torch.randn(1, length, channels))


def _unused_norm(channels: int) -> UnbiasedNorm:
    # The released encoders hold a norm that they never apply. It is in their checkpoints and in the published parameter
    # counts, so it is kept, but it never gets a gradient.
    return UnbiasedNorm(channels).requires_grad_(False)
