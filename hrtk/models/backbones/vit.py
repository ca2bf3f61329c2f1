"""The vision transformer of ViTPose and HMR2.0, under the key names of their checkpoints."""

from __future__ import annotations

from typing import Optional, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hrtk.errors import OptionError
from hrtk.models.attention import attend
from hrtk.registry import BACKBONES

EPS = 1e-6  # of the norms


class SelfAttention(nn.Module):
    """Multi-head attention of all patches to all patches, with one layer for queries, keys and values.

    Args:
        width: C, a multiple of ``heads``.
        heads: H.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        query, key, value = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(attend(query, key, value))


class MLP(nn.Module):
    """C -> hidden -> C for every patch, with GELU."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """Attention, then layers per patch, each with normalised input and a residual connection."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=EPS)
        self.attn = SelfAttention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=EPS)
        self.mlp = MLP(width, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchEmbedding(nn.Module):
    """A convolution that turns each patch into a vector."""

    def __init__(self, width: int, patch: int, padding: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, patch, padding)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, N, C), row after row."""
        return self.proj(images).flatten(2).transpose(1, 2)


@BACKBONES.register_module()
class ViT(nn.Module):
    """A plain vision transformer (Dosovitskiy et al., 2021) in the form of ViTPose (Xu et al., 2022) and of HMR2.0
    (Goel et al., "Humans in 4D", ICCV 2023). The defaults are HMR2.0's ViT-H, 630.9 M parameters.

    The first of the position embeddings is that of a class token, which this network does not have; it is added to all
    patches. The network is cut before its last ``cut`` blocks: what lies before the cut is the trunk. The stochastic
    depth of the official training, 0.55, is not built; it does not act in evaluation mode.

    Args:
        image_size: (H, W) of the input, px.
        patch: side of a patch, px.
        padding: of the image, px.
        width: C, channels of a patch.
        depth: number of blocks.
        heads: of every attention.
        mlp_ratio: width of the blocks' inner layers over C.
        cut: number of blocks behind the cut; None: a quarter of them, at least one.

    Attributes:
        out_channels: C.
        image_size, patch, padding: as the arguments.
        patches: (rows, columns) of patches.

    Raises:
        InputError: the width is no multiple of the heads, no patch fits the image, or there are fewer blocks than
            ``cut``.
    """

    def __init__(
        self,
        image_size: Sequence[int] = (256, 192),
        patch: int = 16,
        padding: int = 2,
        width: int = 1280,
        depth: int = 32,
        heads: int = 16,
        mlp_ratio: float = 4.0,
        cut: Optional[int] = None,
    ) -> None:
        super().__init__()
        if cut is None:
            cut = max(depth // 4, 1)
        if width % heads:
            raise OptionError(f'ViT: width is a multiple of heads, not {width} of {heads}')
        if not 0 <= cut <= depth:
            raise OptionError(f'ViT: cut is from 0 to {depth}, the number of blocks, not {cut}')
        if min(image_size) + 2 * padding < patch:
            raise OptionError(f'ViT: no patch of {patch} px fits into {tuple(image_size)} px')
        self.image_size = tuple(image_size)
        self.patch = patch
        self.padding = padding
        rows, columns = [(side + 2 * padding - patch) // patch + 1 for side in image_size]
        self.patches = (rows, columns)
        self.out_channels = width
        self.first_behind_cut = depth - cut
        positions = rows * columns + 1
        self.pos_embed = nn.Parameter(torch.zeros(1, positions, width))
        self.patch_embed = PatchEmbedding(width, patch, padding)
        hidden = int(width * mlp_ratio)
        self.blocks = nn.ModuleList([Block(width, heads, hidden) for _ in range(depth)])
        self.last_norm = nn.LayerNorm(width, eps=EPS)
        initialise(self)
        with torch.no_grad():
            self.pos_embed[0, 1:] = waves(rows, columns, width)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) normalised images -> (B, N, C) features of the patches, row after row."""
        return self.from_trunk(self.trunk(images))

    def trunk(self, images: Tensor) -> Tensor:
        """The blocks before the cut: (B, 3, H, W) -> (B, N, C)."""
        x = self.patch_embed(images)
        x = x + self.pos_embed[:, 1:] + self.pos_embed[:, :1]
        for block in self.blocks[: self.first_behind_cut]:
            x = block(x)
        return x

    def from_trunk(self, maps: Tensor) -> Tensor:
        """The blocks behind the cut and the last norm: (B, N, C) -> (B, N, C)."""
        x = maps
        for block in self.blocks[self.first_behind_cut :]:
            x = block(x)
        return self.last_norm(x)

    def behind_trunk(self, name: str) -> bool:
        """Returns whether :meth:`trunk` does not use the parameter of this name."""
        part, _, rest = name.partition('.')
        if part == 'blocks':
            return int(rest.partition('.')[0]) >= self.first_behind_cut
        return part == 'last_norm'


def initialise(network: nn.Module) -> None:
    """Draws the weights of all linear layers from Glorot and Bengio's uniform distribution, by the size of the layer.

    The distribution of the first ViT's code and of MAE (He et al., 2022). A normal one of a deviation of 0.02, of later
    ones, suits a width near 1000: a ViT of 192 channels hardly leaves its start with it. Biases start at 0.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def waves(rows: int, columns: int, width: int) -> Tensor:
    """(rows * columns, width) sines and cosines of the columns and rows of patches, where training starts.

    From random embeddings a network must first learn which patches are neighbours (Beyer, Zhai and Kolesnikov, "Better
    plain ViT baselines for ImageNet-1k", 2022). A quarter of the channels each: sine and cosine of the column, sine
    and cosine of the row, at frequencies from 1 to nearly 1 / 10000; what remains of ``width`` is 0.
    """
    count = width // 4
    frequencies = 10_000.0 ** (-torch.arange(count) / max(count, 1))
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing='ij')
    table = torch.zeros(rows * columns, width)
    for axis, places in enumerate((x, y)):
        angles = places.reshape(-1, 1) * frequencies
        first = 2 * axis * count
        table[:, first : first + count] = angles.sin()
        table[:, first + count : first + 2 * count] = angles.cos()
    return table
