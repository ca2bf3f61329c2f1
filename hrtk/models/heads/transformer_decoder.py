"""HMR2.0's head: a transformer decoder whose only token asks the patches of an image for body and camera."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hrtk.models.attention import attend
from hrtk.models.heads.iterative_regressor import RegressorOutput, start_state
from hrtk.registry import HEADS

SIZES = {'pose': 144, 'shape': 10, 'cam': 3}


class Attention(nn.Module):
    """Attention among the tokens."""

    def __init__(self, width: int, heads: int, head_width: int) -> None:
        super().__init__()
        inner = heads * head_width
        self.heads = heads
        self.to_qkv = nn.Linear(width, 3 * inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        parts = self.to_qkv(x).chunk(3, -1)
        query, key, value = [_split(part, self.heads) for part in parts]
        return self.to_out(attend(query, key, value))


class CrossAttention(nn.Module):
    """Attention of the tokens to the patches."""

    def __init__(self, width: int, context: int, heads: int, head_width: int) -> None:
        super().__init__()
        inner = heads * head_width
        self.heads = heads
        self.to_kv = nn.Linear(context, 2 * inner, bias=False)
        self.to_q = nn.Linear(width, inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, width))

    def forward(self, x: Tensor, patches: Tensor) -> Tensor:
        """(B, T, D) tokens, (B, N, C) patches -> (B, T, D)."""
        parts = [self.to_q(x), *self.to_kv(patches).chunk(2, -1)]
        query, key, value = [_split(part, self.heads) for part in parts]
        return self.to_out(attend(query, key, value))


class FeedForward(nn.Module):
    """D -> hidden -> D for every token, with GELU."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        # The two places without weights are those of the official dropout, whose share is 0.
        self.net = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(), nn.Identity(), nn.Linear(hidden, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        return self.net(x)


class Normalised(nn.Module):
    """A module behind a layer norm."""

    def __init__(self, width: int, fn: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fn = fn

    def forward(self, x: Tensor, **context: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        return self.fn(self.norm(x), **context)


class Layer(nn.ModuleList):
    """Attention among the tokens, attention to the patches and layers per token, each with a residual connection."""

    def __init__(self, width: int, context: int, heads: int, head_width: int, hidden: int) -> None:
        steps = [
            Attention(width, heads, head_width),
            CrossAttention(width, context, heads, head_width),
            FeedForward(width, hidden),
        ]
        super().__init__([Normalised(width, step) for step in steps])

    def forward(self, x: Tensor, patches: Tensor) -> Tensor:
        """(B, T, D) tokens, (B, N, C) patches -> (B, T, D)."""
        x = x + self[0](x)
        x = x + self[1](x, patches=patches)
        return x + self[2](x)


class Layers(nn.Module):
    """The layers of the decoder."""

    def __init__(self, width: int, depth: int, **options: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Layer(width, **options) for _ in range(depth)])

    def forward(self, x: Tensor, patches: Tensor) -> Tensor:
        """(B, T, D) tokens, (B, N, C) patches -> (B, T, D)."""
        for layer in self.layers:
            x = layer(x, patches)
        return x


class Decoder(nn.Module):
    """One token, whose input is zero, through the layers."""

    def __init__(self, width: int, **options: Any) -> None:
        super().__init__()
        self.to_token_embedding = nn.Linear(1, width)
        self.pos_embedding = nn.Parameter(torch.zeros(1, 1, width))
        self.transformer = Layers(width, **options)
        # The token starts near zero, so that what it reads from the image is most of it behind the first norm.
        nn.init.zeros_(self.to_token_embedding.bias)
        nn.init.normal_(self.pos_embedding, std=0.02)

    def forward(self, patches: Tensor) -> Tensor:
        """(B, N, C) patches -> (B, D)."""
        token = self.to_token_embedding(patches.new_zeros(len(patches), 1, 1))
        return self.transformer(token + self.pos_embedding, patches)[:, 0]


@HEADS.register_module()
class TransformerDecoderHead(nn.Module):
    """Patches to 6-D pose, betas and weak-perspective camera (Goel et al., "Humans in 4D", ICCV 2023, section 3.1).

    The defaults are HMR2.0's, 39.5 M parameters: one token with zero input, one iteration. Unlike that of
    :class:`~hrtk.models.heads.IterativeRegressor`, the 6-D pose of a joint is two consecutive triples: the first two
    columns of its rotation.

    Args:
        in_channels: C, channels of a patch.
        width: D, channels of the token.
        depth: number of layers.
        heads: of every attention.
        head_width: channels of each head.
        hidden: width of the layers per token.
    """

    init_body_pose: Tensor
    init_betas: Tensor
    init_cam: Tensor

    def __init__(
        self,
        in_channels: int,
        width: int = 1024,
        depth: int = 6,
        heads: int = 8,
        head_width: int = 64,
        hidden: int = 1024,
    ) -> None:
        super().__init__()
        self.transformer = Decoder(
            width=width,
            context=in_channels,
            depth=depth,
            heads=heads,
            head_width=head_width,
            hidden=hidden,
        )
        self.decpose = nn.Linear(width, SIZES['pose'])
        self.decshape = nn.Linear(width, SIZES['shape'])
        self.deccam = nn.Linear(width, SIZES['cam'])
        for layer in (self.decpose, self.decshape, self.deccam):
            nn.init.xavier_uniform_(layer.weight, gain=0.01)
            nn.init.zeros_(layer.bias)
        rest = start_state(None)
        # From three rows of two numbers to two columns of three.
        pose = rest['pose'].reshape(24, 3, 2).transpose(1, 2).reshape(1, -1)
        self.register_buffer('init_body_pose', pose)
        self.register_buffer('init_betas', rest['shape'])
        self.register_buffer('init_cam', rest['cam'])

    def forward(self, patches: Tensor) -> RegressorOutput:
        """(B, N, C) features of patches -> B bodies and cameras; ``hidden`` is the token behind the last layer."""
        token = self.transformer(patches)
        pose = self.decpose(token) + self.init_body_pose
        betas = self.decshape(token) + self.init_betas
        camera = self.deccam(token) + self.init_cam
        return RegressorOutput(pose, betas, camera, token.detach())


def _split(x: Tensor, heads: int) -> Tensor:
    """(B, T, H * d) -> (B, H, T, d)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)
