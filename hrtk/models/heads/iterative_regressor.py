"""The iterative regressor of HMR: pose, shape and camera, refined from a mean in a few steps."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hrtk.errors import InputError, OptionError
from hrtk.reading.arrays import read_arrays
from hrtk.registry import HEADS

SIZES = {'pose': 144, 'shape': 10, 'cam': 3}


class RegressorOutput(NamedTuple):
    """The parameters that a regressor predicts for B crops.

    Attributes:
        pose: (B, 144) rotations of 24 joints in 6-D.
        betas: (B, 10).
        camera: (B, 3) weak-perspective ``[s, tx, ty]``.
        hidden: (B, H) output of the first layer in the last iteration, before activation and without a graph;
            DynaBOA stops when it no longer changes. None from a regressor that has no such layer.
    """

    pose: Tensor
    betas: Tensor
    camera: Tensor
    hidden: Optional[Tensor] = None


@HEADS.register_module()
class IterativeRegressor(nn.Module):
    """Features to 6-D pose, betas and weak-perspective camera (Kanazawa et al., HMR, 2018; 6-D form of SPIN).

    Every iteration feeds ``[features, pose, shape, cam]`` through two layers and adds three linear residuals. The
    features' share of the first layer is the same in every iteration and is computed once.

    Args:
        in_channels: F, size of the features.
        hidden: width of both layers; 1024 in SPIN.
        iterations: 3 in SPIN.
        activation: None as in SPIN, VIBE, TCMR, MPS-Net and BOA; ``'relu'`` as in RSC-Net.
        dropout: 0.5 in SPIN; active in training mode only.
        mean_params: ``smpl_mean_params.npz`` (keys pose, shape, cam) for training from scratch; a checkpoint holds a
            start state of its own. Without either the start is the rest pose, facing the camera.

    Raises:
        InputError: the activation is unknown, or ``mean_params`` cannot be read.
    """

    decpose: nn.Linear
    decshape: nn.Linear
    deccam: nn.Linear
    init_pose: Tensor
    init_shape: Tensor
    init_cam: Tensor

    def __init__(
        self,
        in_channels: int,
        hidden: int = 1024,
        iterations: int = 3,
        activation: Optional[str] = None,
        dropout: float = 0.5,
        mean_params: Optional[str | Path] = None,
    ) -> None:
        super().__init__()
        if activation not in (None, 'relu'):
            raise OptionError(f'IterativeRegressor: activation is None or relu, not {activation!r}')
        self.iterations = iterations
        self.activation = activation
        self.fc1 = nn.Linear(in_channels + sum(SIZES.values()), hidden)
        self.drop1 = nn.Dropout(dropout)
        self.fc2 = nn.Linear(hidden, hidden)
        self.drop2 = nn.Dropout(dropout)
        for name, size in SIZES.items():
            layer = nn.Linear(hidden, size)
            nn.init.xavier_uniform_(layer.weight, gain=0.01)
            nn.init.zeros_(layer.bias)
            setattr(self, f'dec{name}', layer)
        for name, value in start_state(mean_params).items():
            self.register_buffer(f'init_{name}', value)

    def forward(self, features: Tensor) -> RegressorOutput:
        """(B, F) features -> B bodies and cameras."""
        start = torch.cat([self.init_pose, self.init_shape, self.init_cam], dim=1)
        state = start.expand(len(features), -1)
        split = features.shape[1]
        feature_weight = self.fc1.weight[:, :split]
        state_weight = self.fc1.weight[:, split:]
        from_features = F.linear(features, feature_weight, self.fc1.bias)
        # The three decoders as one matrix.
        weight = torch.cat([self.decpose.weight, self.decshape.weight, self.deccam.weight])
        bias = torch.cat([self.decpose.bias, self.decshape.bias, self.deccam.bias])
        for _ in range(self.iterations):
            first = from_features + F.linear(state, state_weight)
            hidden = self.drop1(self._activate(first))
            hidden = self.drop2(self._activate(self.fc2(hidden)))
            state = state + F.linear(hidden, weight, bias)
        pose, betas, camera = state.split(list(SIZES.values()), dim=1)
        return RegressorOutput(pose, betas, camera, first.detach())

    def _activate(self, x: Tensor) -> Tensor:
        if self.activation == 'relu':
            return F.relu(x)
        return x


MEAN_PARAMS = (
    "expected SPIN's smpl_mean_params.npz with the keys pose (144), shape (10) and cam (3)"
)


def start_state(mean_params: Optional[str | Path]) -> dict[str, Tensor]:
    """Returns the parameters before the first iteration: (1, 144) pose, (1, 10) shape and (1, 3) cam."""
    if mean_params is None:
        pose = torch.tensor([1.0, 0.0, 0.0, 1.0, 0.0, 0.0]).repeat(24)
        pose[3] = -1.0  # the root turns y up into the camera's y down
        # The camera [0.9, 0, 0] shows a standing body at about the size that SPIN's boxes give.
        camera = torch.tensor([[0.9, 0.0, 0.0]])
        return {'pose': pose[None], 'shape': torch.zeros(1, 10), 'cam': camera}
    data = read_arrays(mean_params, SIZES, MEAN_PARAMS)
    try:
        return {
            name: torch.as_tensor(data[name].astype(np.float32)).reshape(1, size)
            for name, size in SIZES.items()
        }
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(f'{mean_params}: {MEAN_PARAMS}; {error}') from error
