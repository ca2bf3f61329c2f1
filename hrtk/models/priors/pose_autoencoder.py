"""The auto-encoder pose prior: latents of thirty-two numbers in [-1, 1] for the poses of the training motion."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import torch
from torch import Tensor, nn

from hrtk.errors import InputError
from hrtk.geometry.rotation import rot6d_to_rotmat, rotmat_to_rot6d
from hrtk.models.checkpoints import load_weights
from hrtk.registry import MODELS

JOINTS = 23
OPEN = 'open:pose_aae_open'


@MODELS.register_module()
class PoseAutoEncoder(nn.Module):
    """Body poses to points of [-1, 1]^L and back.

    The pose space of "Aligning Silhouette Topology for Self-Adaptive 3D Human Pose Recovery" (NeurIPS 2021), section
    3.4a: an adversarial auto-encoder (Makhzani et al., 2015) whose latent is matched to a uniform distribution, so that
    a frozen decoder restricts whatever is optimised through it to poses near the training motion. The paper does not
    describe the layers; here both halves are a linear map plus a network of two hidden layers, on rotations in 6-D.

    Args:
        latent: L, size of a latent.
        hidden: width of the hidden layers.
        weights: ``'open'`` for the bundled ones (L = 32, 512 wide, trained by ``configs/pose_prior/aae_open.py`` on the
            bundled motion), a checkpoint file, or None for random ones.

    Raises:
        InputError: the weights are missing, or those of another network.
    """

    rest: Tensor

    def __init__(
        self, latent: int = 32, hidden: int = 512, weights: Optional[str | Path] = None
    ) -> None:
        super().__init__()
        self.encoder = _ShortcutMLP(JOINTS * 6, hidden, latent)
        # The decoder starts at the rest pose, where joints that never move in the training motion stay.
        self.decoder = _ShortcutMLP(latent, hidden, JOINTS * 6, zero_output=True)
        self.register_buffer('rest', rotmat_to_rot6d(torch.eye(3)).repeat(JOINTS), persistent=False)
        if str(weights) == 'open':
            weights = OPEN
        if weights is not None:
            load_weights(self, weights)

    @property
    def latent(self) -> int:
        """L, the size of a latent."""
        return self.decoder.linear.in_features

    def encode(self, rotmat: Tensor) -> Tensor:
        """Encodes poses.

        Args:
            rotmat: (B, 23, 3, 3) rotations of joints 1..23 relative to their parents, without global orientation.

        Returns:
            (B, L) in [-1, 1].

        Raises:
            InputError: another shape.
        """
        _check(
            'rotmat',
            rotmat,
            (JOINTS, 3, 3),
            'rotation matrices of joints 1..23, without global orientation',
        )
        return self.encoder(rotmat_to_rot6d(rotmat).flatten(1) - self.rest).tanh()

    def decode(self, latent: Tensor) -> Tensor:
        """Decodes latents; differentiable any number of times.

        Args:
            latent: (B, L); the decoder was trained for values in [-1, 1] and does not clip.

        Returns:
            (B, 23, 3, 3) rotation matrices.

        Raises:
            InputError: another shape.
        """
        _check('latent', latent, (self.latent,), 'one point of the latent space per pose')
        return rot6d_to_rotmat((self.rest + self.decoder(latent)).unflatten(1, (JOINTS, 6)))

    def forward(self, rotmat: Tensor) -> Tensor:
        """Encodes and decodes: (B, 23, 3, 3) -> (B, 23, 3, 3)."""
        return self.decode(self.encode(rotmat))

    def project(self, rotmat: Tensor) -> Tensor:
        """Projects poses of all joints onto the prior: (B, 24, 3, 3) -> (B, 24, 3, 3).

        The body pose is encoded and decoded, the global orientation is unchanged.

        Raises:
            InputError: another shape.
        """
        _check(
            'rotmat',
            rotmat,
            (JOINTS + 1, 3, 3),
            'rotation matrices of all joints, global orientation first',
        )
        return torch.cat([rotmat[:, :1], self(rotmat[:, 1:])], dim=1)


class _ShortcutMLP(nn.Module):
    """A linear map plus a network of two hidden layers; the linear map alone can represent principal components."""

    def __init__(self, inputs: int, hidden: int, outputs: int, zero_output: bool = False) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        first = nn.Linear(inputs, hidden)
        second = nn.Linear(hidden, hidden)
        last = nn.Linear(hidden, outputs)
        self.layers = nn.Sequential(first, nn.SiLU(), second, nn.SiLU(), last)
        if zero_output:
            for layer in (self.linear, last):
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, values: Tensor) -> Tensor:
        """(B, inputs) -> (B, outputs)."""
        return self.linear(values) + self.layers(values)


def _check(name: str, values: Tensor, shape: tuple[int, ...], meaning: str) -> None:
    """Raises an InputError unless ``values`` are (B, *shape)."""
    if values.shape[1:] != shape or values.ndim != len(shape) + 1:
        raise InputError(
            f'PoseAutoEncoder: {name} is {tuple(values.shape)}, expected '
            f'(B, {", ".join(map(str, shape))}): {meaning}'
        )
