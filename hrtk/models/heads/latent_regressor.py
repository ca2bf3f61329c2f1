"""A regressor of latents of a pose prior, with global orientation, shape and camera."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from hrtk.errors import OptionError
from hrtk.models.heads.iterative_regressor import start_state
from hrtk.registry import HEADS

SIZES = {'global_orient': 6, 'betas': 10, 'camera': 3}


class LatentOutput(NamedTuple):
    """The parameters that a regressor of latents predicts for B crops.

    Attributes:
        latent: (B, L) in (-1, 1).
        global_orient: (B, 6) in 6-D.
        betas: (B, 10).
        camera: (B, 3) weak-perspective ``[s, tx, ty]``.
        hidden: (B, H) output of the first layer before its activation, without a graph.
    """

    latent: Tensor
    global_orient: Tensor
    betas: Tensor
    camera: Tensor
    hidden: Tensor


@HEADS.register_module()
class LatentRegressor(nn.Module):
    """Features to latents of a pose prior, global orientation, betas and weak-perspective camera.

    The regressor of "Aligning Silhouette Topology for Self-Adaptive 3D Human Pose Recovery" (NeurIPS 2021, sections
    3.4a and 4): pooled features pass "a series of fully-connected layers" to the latent pose phi in [-1, 1]^32, the
    shape and the camera {R, s, t}. Neither their number nor their width are stated; the defaults are the two layers of
    HMR's regressor (Kanazawa et al., 2018), without iterations. R is regressed in 6-D (Zhou et al., 2019). An untrained
    network predicts nearly the middle of the latent space, upright and facing the camera.

    Args:
        in_channels: F, size of the features.
        latent: L, size of the prior's latents.
        hidden: width of the fully-connected layers.
        layers: their number.
        dropout: share of their outputs that is dropped in training mode.

    Raises:
        InputError: ``layers`` is below 1.
    """

    start: Tensor

    def __init__(
        self,
        in_channels: int,
        latent: int = 32,
        hidden: int = 1024,
        layers: int = 2,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if layers < 1:
            raise OptionError(f'LatentRegressor: layers is at least 1, not {layers}')
        self.latent = latent
        self.first = nn.Linear(in_channels, hidden)
        modules: list[nn.Module] = [nn.ReLU(), nn.Dropout(dropout)]
        for _ in range(layers - 1):
            modules += [nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*modules)
        self.last = nn.Linear(hidden, latent + sum(SIZES.values()))
        nn.init.xavier_uniform_(self.last.weight, gain=0.01)
        nn.init.zeros_(self.last.bias)
        rest = start_state(None)
        parts = [torch.zeros(1, latent), rest['pose'][:, :6], rest['shape'], rest['cam']]
        self.register_buffer('start', torch.cat(parts, 1))

    def forward(self, features: Tensor) -> LatentOutput:
        """(B, F) features -> B bodies and cameras."""
        hidden = self.first(features)
        values = self.start + self.last(self.layers(hidden))
        latent, global_orient, betas, camera = values.split([self.latent, *SIZES.values()], 1)
        return LatentOutput(latent.tanh(), global_orient, betas, camera, hidden.detach())
