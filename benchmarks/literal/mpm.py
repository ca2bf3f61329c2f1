"""MPM in the manner of its released code, written from its description alone.

Features have the shape (B, C, F) and are transposed back and forth; attention writes out its maps, the norm computes
the standard deviation, masks are drawn frame by frame in a loop, and tokens are dropped and put back by boolean
indices. The names of the weights are the released ones, so that both networks load the same checkpoint.
"""

from __future__ import annotations

import math
import random
from typing import Optional

import numpy as np
import torch
from torch import Tensor, nn


class LiteralNorm(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a_2 = nn.Parameter(torch.ones(channels))
        self.b_2 = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(-1, keepdim=True)
        deviation = x.std(-1, keepdim=True)
        return self.a_2 * (x - mean) / (deviation + 1e-6) + self.b_2


class LiteralAttention(nn.Module):
    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.linears = nn.ModuleList(nn.Linear(channels, channels) for _ in range(4))
        self.heads = heads
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        batch, frames, channels = x.shape
        query, key, value = (
            linear(x).view(batch, frames, self.heads, channels // self.heads).transpose(1, 2)
            for linear in self.linears[:3]
        )
        scores = torch.matmul(query, key.transpose(-2, -1)) / math.sqrt(channels // self.heads)
        gathered = torch.matmul(self.dropout(torch.softmax(scores, -1)), value)
        return self.linears[3](gathered.transpose(1, 2).contiguous().view(batch, frames, channels))


class LiteralFeedForward(nn.Module):
    def __init__(self, channels: int, hidden: int, stride: int) -> None:
        super().__init__()
        self.strided = stride > 0
        self.dropout = nn.Dropout(0.1)
        if self.strided:
            self.w_1 = nn.Conv1d(channels, hidden, 1)
            self.w_2 = nn.Conv1d(hidden, channels, 3, stride, 1)
        else:
            self.w_1 = nn.Linear(channels, hidden)
            self.w_2 = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        if self.strided:
            x = x.permute(0, 2, 1)
        x = self.w_2(self.dropout(torch.relu(self.w_1(x))))
        if self.strided:
            x = x.permute(0, 2, 1)
        return x


class LiteralSublayer(nn.Module):
    """The norm before a layer and the dropout after it; ``stride`` 0 leaves all frames."""

    def __init__(self, channels: int, stride: int = 0) -> None:
        super().__init__()
        self.norm = LiteralNorm(channels)
        self.dropout = nn.Dropout(0.1)
        self.pool = nn.MaxPool1d(1, stride) if stride > 1 else None

    def forward(self, x: Tensor, layer: nn.Module) -> Tensor:
        residual = x
        if self.pool is not None:
            residual = self.pool(x.permute(0, 2, 1)).permute(0, 2, 1)
        return residual + self.dropout(layer(self.norm(x)))


class LiteralBlock(nn.Module):
    def __init__(self, channels: int, hidden: int, heads: int, stride: int = 0) -> None:
        super().__init__()
        self.self_attn = LiteralAttention(channels, heads)
        self.feed_forward = LiteralFeedForward(channels, hidden, stride)
        self.sublayer = nn.ModuleList(
            [LiteralSublayer(channels), LiteralSublayer(channels, stride)]
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.sublayer[1](self.sublayer[0](x, self.self_attn), self.feed_forward)


class LiteralEncoder(nn.Module):
    """The blocks, and a norm that is not applied."""

    def __init__(
        self, blocks: list[LiteralBlock], channels: int, embeddings: int, frames: int
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(blocks)
        self.norm = LiteralNorm(channels)
        for number in range(1, embeddings + 1):
            setattr(self, f'pos_embedding_{number}', nn.Parameter(torch.randn(1, frames, channels)))
        self.embeddings = embeddings

    def forward(self, x: Tensor) -> Tensor:
        for number, block in enumerate(self.layers, start=1):
            if number <= self.embeddings:
                x = x + getattr(self, f'pos_embedding_{number}')[:, : x.shape[1]]
            x = block(x)
        return x


class LiteralTransformer(nn.Module):
    def __init__(
        self,
        layers: int,
        channels: int,
        hidden: int,
        heads: int,
        frames: int = 0,
        strides: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        embeddings = 3 if strides else 0
        strides = strides or (0,) * layers
        blocks = [LiteralBlock(channels, hidden, heads, stride) for stride in strides]
        self.model = LiteralEncoder(blocks, channels, embeddings, frames)
        if frames and not embeddings:
            self.pos_embedding = nn.Parameter(torch.randn(1, frames, channels))

    def forward(self, x: Tensor, masked: Optional[Tensor] = None) -> Tensor:
        if hasattr(self, 'pos_embedding'):
            x = x + self.pos_embedding
        if masked is not None:
            x = x[:, ~masked].reshape(len(x), -1, x.shape[-1])
        return self.model(x)


class LiteralPoseEncoder(nn.Module):
    def __init__(self, inputs: int, width: int, dropout: float) -> None:
        super().__init__()
        self.fc_1 = nn.Conv1d(inputs, width, 1)
        self.bn_1 = nn.BatchNorm1d(width)
        self.relu = nn.LeakyReLU(0.2)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.relu(self.bn_1(self.fc_1(x))))


class LiteralResidual(nn.Module):
    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.w1 = nn.Conv1d(width, width, 1)
        self.w2 = nn.Conv1d(width, width, 1)
        self.batch_norm1 = nn.BatchNorm1d(width)
        self.batch_norm2 = nn.BatchNorm1d(width)
        self.relu = nn.LeakyReLU(0.2)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.drop(self.relu(self.batch_norm1(self.w1(x))))
        return x + self.drop(self.relu(self.batch_norm2(self.w2(inner))))


class LiteralSpatial(nn.Module):
    def __init__(self, width: int, channels: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList([LiteralResidual(width, dropout)])
        self.fc_2 = nn.Conv1d(width, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return self.fc_2(x)


class _Literal(nn.Module):
    def __init__(
        self,
        frames: int,
        joints: int,
        channels: int,
        hidden: int,
        layers: int,
        heads: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.joints = joints
        self.encoder2d = LiteralPoseEncoder(2 * joints, 2 * channels, dropout)
        self.shared_layers_spatial = LiteralSpatial(2 * channels, channels, dropout)
        self.shared_layers_temporal = LiteralTransformer(layers, channels, hidden, heads, frames)

    def embed(self, poses: Tensor, encoder: nn.Module, masked: Optional[Tensor] = None) -> Tensor:
        x = poses.reshape(len(poses), poses.shape[1], -1).permute(0, 2, 1).contiguous()
        x = self.shared_layers_spatial(encoder(x)).permute(0, 2, 1).contiguous()
        return self.shared_layers_temporal(x, masked)

    def poses(self, x: Tensor, head: nn.Module) -> Tensor:
        """(B, T, C) -> (B, T, J, D) by a head of batch norm and convolution."""
        out = head(x.permute(0, 2, 1).contiguous())
        return out.view(len(x), self.joints, -1, x.shape[1]).permute(0, 3, 1, 2).contiguous()


def literal_head(channels: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm1d(channels), nn.Conv1d(channels, outputs, 1))


class LiteralStage1(_Literal):
    """Arguments as of :class:`hrtk.models.lifting.MPMStage1`."""

    def __init__(
        self,
        frames: int = 243,
        joints: int = 17,
        channels: int = 256,
        hidden: int = 512,
        layers: int = 4,
        heads: int = 8,
    ) -> None:
        super().__init__(frames, joints, channels, hidden, layers, heads, dropout=0.1)
        self.encoder3d = LiteralPoseEncoder(3 * joints, 2 * channels, 0.1)
        self.encoder_LN = LiteralNorm(channels)
        self.dec_pos_embedding = nn.Parameter(torch.randn(1, frames, channels))
        self.temporal_mask_token = nn.Parameter(torch.randn(1, 1, channels))
        self.spatial_mask_token2d = nn.Parameter(torch.randn(1, 1, 2))
        self.spatial_mask_token3d = nn.Parameter(torch.randn(1, 1, 3))
        self.decoder2d = LiteralTransformer(1, channels, hidden, heads)
        self.decoder3d = LiteralTransformer(1, channels, hidden, heads)
        self.fcn_dec2d = literal_head(channels, 2 * joints)
        self.fcn_dec3d = literal_head(channels, 3 * joints)

    def forward(self, poses: Tensor, kind: str, joints: Tensor, frames: Tensor) -> Tensor:
        """(B, F, J, D), (F, J) and (F,) True where hidden -> (B, F, J, D)."""
        token = getattr(self, f'spatial_mask_token{kind}')
        encoder = getattr(self, f'encoder{kind}')
        decoder = getattr(self, f'decoder{kind}')
        head = getattr(self, f'fcn_dec{kind}')
        poses = poses.clone()
        poses[:, joints] = token.expand(len(poses), int(joints.sum()), -1)
        x = self.encoder_LN(self.embed(poses, encoder, frames))
        positions = self.dec_pos_embedding.expand(len(x), -1, -1)
        full = torch.empty_like(positions)
        full[:, ~frames] = x + positions[:, ~frames]
        full[:, frames] = self.temporal_mask_token + positions[:, frames]
        return self.poses(decoder(full), head)


class LiteralStage2(_Literal):
    """Arguments as of :class:`hrtk.models.lifting.MPMStage2`, for powers of three."""

    def __init__(
        self,
        frames: int = 243,
        joints: int = 17,
        channels: int = 256,
        hidden: int = 512,
        layers: int = 4,
        heads: int = 8,
    ) -> None:
        super().__init__(frames, joints, channels, hidden, layers, heads, dropout=0.2)
        strides = (3,) * round(math.log(frames, 3))
        self.Transformer_reduce = LiteralTransformer(0, channels, hidden, heads, frames, strides)
        self.fcn = literal_head(channels, 3 * joints)
        self.fcn_1 = literal_head(channels, 3 * joints)

    def forward(self, keypoints2d: Tensor) -> tuple[Tensor, Tensor]:
        """(B, F, J, 2) -> (B, F, J, 3) and (B, 1, J, 3)."""
        x = self.embed(keypoints2d, self.encoder2d)
        return self.poses(x, self.fcn_1), self.poses(self.Transformer_reduce(x), self.fcn)


def literal_masks(frames: int, joints: int) -> tuple[Tensor, Tensor]:
    """(F, J) and (F,) True where hidden: five joints of every frame, 60 % of the frames."""
    hidden = np.zeros((frames, joints), dtype=bool)
    for frame in range(frames):
        hidden[frame, random.sample(range(joints), 5)] = True
    count = int(frames * 0.6)
    dropped = np.hstack([np.zeros(frames - count), np.ones(count)])
    np.random.shuffle(dropped)
    return torch.from_numpy(hidden), torch.from_numpy(dropped).bool()
