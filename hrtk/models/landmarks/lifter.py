"""The lifter: from observed landmarks to body pose, shape and camera."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hrtk.body_models.skeletons import flip_map, index_map, joint_names
from hrtk.geometry.constants import constant, indices
from hrtk.models.landmarks.observations import (
    CHANNELS,
    LANDMARKS,
    VISIBILITY,
    WINDOW,
    WORLD,
    XY,
)

HIPS = index_map('blazepose33', 'body12')[6:8]
POSE = 144
SHAPE = 10
JOINTS = 'spin24'  # of the spread
LARGEST = 6.0  # of a normalised input: what lies beyond is a wrong landmark
WORLD_SCALE = 2.0  # brings metres to the scale of the other inputs


class LifterOutput(NamedTuple):
    """The output of :class:`LandmarkLifter` for B observations.

    Attributes:
        pose: (B, 144) rotations of 24 joints in 6-D.
        betas: (B, 10).
        log_spread: (B, 24) logarithm of the expected distance of the joints of ``spin24`` from the true ones, metres.
        features: (B, hidden).
    """

    pose: Tensor
    betas: Tensor
    log_spread: Tensor
    features: Tensor


class LandmarkLifter(nn.Module):
    """Observations to the body of the middle frame.

    Every moment of the window is encoded alone. The code of the middle frame and a summary of all moments pass through
    residual layers to the differences from the rest pose. Moments without a person may be missing.

    Args:
        symmetric: whether the body is the mean of two: that of the observation, and the mirror image of that of the
            mirrored observation. Then the mirror image of an observation has the mirror image of the body.
        hidden: width of the residual layers.
        encoded: size of the code of a moment.
        summary: size of each moment's part of the summary.
        blocks: number of residual layers.
    """

    def __init__(
        self,
        symmetric: bool = True,
        hidden: int = 1024,
        encoded: int = 512,
        summary: int = 128,
        blocks: int = 3,
    ) -> None:
        super().__init__()
        self.symmetric = symmetric
        self.encoder = nn.Sequential(
            nn.Linear(LANDMARKS * CHANNELS, encoded),
            nn.ReLU(),
            nn.Linear(encoded, encoded),
            nn.ReLU(),
        )
        self.summary = nn.Linear(encoded, summary)
        self.fuse = nn.Linear(encoded + WINDOW * (summary + 1), hidden)
        self.blocks = nn.ModuleList([nn.Linear(hidden, hidden) for _ in range(blocks)])
        self.decoder = nn.Linear(hidden, POSE + SHAPE)
        self.spread = nn.Linear(hidden, len(joint_names(JOINTS)))
        nn.init.xavier_uniform_(self.decoder.weight, gain=0.01)
        nn.init.zeros_(self.decoder.bias)
        rest = torch.tensor([1.0, 0.0, 0.0, 1.0, 0.0, 0.0]).repeat(24)
        rest[3] = -1.0  # the root turns y up into the camera's y down
        self.register_buffer('rest', rest, persistent=False)

    def forward(self, observations: Tensor) -> LifterOutput:
        """Maps observations (B, 9, 33, 6) to bodies."""
        if not self.symmetric:
            return self._lift(observations)
        both = torch.cat([observations, mirror_observations(observations)])
        pose, betas, log_spread, features = self._lift(both)
        direct, mirrored = pose.chunk(2)
        spread, mirrored_spread = log_spread.chunk(2)
        return LifterOutput(
            (direct + mirror_rot6d(mirrored)) / 2,
            torch.stack(betas.chunk(2)).mean(0),
            (spread + mirrored_spread[:, indices(flip_map(JOINTS), spread)]) / 2,
            torch.stack(features.chunk(2)).mean(0),
        )

    def _lift(self, observations: Tensor) -> LifterOutput:
        inputs, present = normalised_inputs(observations)
        codes = self.encoder(inputs)
        summary = F.relu(self.summary(codes)) * present
        middle = codes[:, WINDOW // 2]
        features = F.relu(
            self.fuse(torch.cat([middle, summary.flatten(1), present.flatten(1)], dim=1))
        )
        for block in self.blocks:
            features = features + F.relu(block(features))
        pose, betas = self.decoder(features).split([POSE, SHAPE], dim=1)
        # Judging itself must not change what is judged.
        log_spread = self.spread(features.detach())
        return LifterOutput(pose + self.rest, betas, log_spread, features)


def mirror_observations(observations: Tensor) -> Tensor:
    """The observations (B, T, 33, 6) of the mirror images: x negated, left and right exchanged."""
    sign = observations.new_ones(CHANNELS)
    sign[XY.start] = -1
    sign[WORLD.start] = -1
    return observations[:, :, indices(flip_map('blazepose33'), observations)] * sign


def mirror_rot6d(pose: Tensor) -> Tensor:
    """Mirrors 6-D rotations (B, 144), in the layout of :func:`~hrtk.geometry.rotation.rot6d_to_rotmat`."""
    rotations = pose.unflatten(1, (24, 3, 2))[:, indices(flip_map('smpl24'), pose)]
    # Reflection of x: R[i, j] changes its sign where exactly one of i and j is x.
    sign = constant((1.0, -1.0, -1.0, 1.0, -1.0, 1.0), rotations).view(3, 2)
    return (rotations * sign).flatten(1)


def normalised_inputs(observations: Tensor) -> tuple[Tensor, Tensor]:
    """The network's input, which does not depend on place and size in the crop.

    Returns:
        (B, 9, 198) values, and (B, 9, 1) of 0 and 1: whether there is a person.
    """
    present = (observations[..., VISIBILITY] > 0).any(-1)[..., None]
    middle = observations[:, WINDOW // 2, :, XY]
    hips = middle[:, indices(HIPS, middle)].mean(1, keepdim=True)
    size = (middle - hips).norm(dim=-1).mean(1)[:, None, None, None].clamp_min(1e-4)
    xy = (observations[..., XY] - hips[:, None]) / size
    world = WORLD_SCALE * observations[..., WORLD]
    values = torch.cat([xy, observations[..., VISIBILITY : VISIBILITY + 1], world], dim=-1)
    return values.clamp(-LARGEST, LARGEST).flatten(2) * present, present.to(values)
