"""MDNet of CycleAdapt: a network of linear layers over time that fills in the masked frames of a motion.

Nam, Jung, Oh, Lee, "Cyclic Test-Time Adaptation on Monocular Video for 3D Human Mesh Reconstruction", ICCV 2023; sizes
and layers are those of its released code: a linear layer over the channels, blocks of a linear layer over time with
layer normalisation over the channels and a shortcut, and a linear layer over the channels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hrtk.adapters.parts.guarded_adam import GuardedAdam
from hrtk.geometry.rotation import axis_angle_to_rotmat, rotmat_to_rot6d

CHANNELS = 144  # 24 rotations of six numbers
NEARLY_ZERO = 1e-8  # gain of the first weights over time: a block begins as its shortcut
TRAINING_RATE = 1e-3
TRAINING_BATCH = 32
TILT = 0.2  # radians, standard deviation of a drawn camera's tilt


class MotionDenoiser(nn.Module):
    """Maps W frames of a motion, some of them zero, to the whole motion.

    Args:
        window: W.
        blocks: number of blocks.
    """

    def __init__(self, window: int, blocks: int = 4) -> None:
        super().__init__()
        self.window = window
        self.first = nn.Linear(CHANNELS, CHANNELS)
        over_time = [nn.Linear(window, window) for _ in range(blocks)]
        self.over_time = nn.ModuleList(over_time)
        self.norms = nn.ModuleList(nn.LayerNorm(CHANNELS) for _ in range(blocks))
        self.last = nn.Linear(CHANNELS, CHANNELS)
        for layer in over_time:
            nn.init.xavier_uniform_(layer.weight, gain=NEARLY_ZERO)
            nn.init.zeros_(layer.bias)
        for layer in (self.first, self.last):
            nn.init.eye_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, motion: Tensor) -> Tensor:
        """(B, W, 144) -> (B, W, 144), the numbers of :func:`~hrtk.geometry.rotation.rotmat_to_rot6d`."""
        x = self.first(motion)
        for over_time, norm in zip(self.over_time, self.norms):
            x = x + norm(over_time(x.mT).mT)
        return self.last(x)


def draw_masks(count: int, window: int) -> Tensor:
    """(count, W) bool, True for the frames that are hidden: the middle one and a random half of the others.

    The released code hides 25 of 49 frames.
    """
    hidden = window // 2 + 1
    order = torch.rand(count, window)
    order[:, window // 2] = -1
    ranks = order.argsort(1).argsort(1)
    return ranks < hidden


def hidden_error(network: MotionDenoiser, motion: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the L1 error of the hidden frames, as a mean over all numbers, and the filled motion.

    Args:
        network: the network.
        motion: (B, W, 144).
        hidden: (B, W) bool.
    """
    filled = network(motion.masked_fill(hidden[..., None], 0.0))
    error = (filled - motion).abs() * hidden[..., None]
    return error.mean(), filled


def trained_denoiser(window: int, motion: Any, steps: int) -> MotionDenoiser:
    """Trains a network on windows of captured motion; the same numbers at every call.

    Args:
        window: W.
        motion: data set with ``batch(indices)``, (B, W, 69) body poses, e.g. ``MotionWindows``; each window is given
            one orientation, as a camera sees a standing person.
        steps: of Adam.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = MotionDenoiser(window)
        adam = GuardedAdam(network.parameters(), TRAINING_RATE, (0.9, 0.999))
        for _ in range(steps):
            index = torch.randint(len(motion), (TRAINING_BATCH,))
            windows = _with_orientation(motion.batch(index))
            loss, _ = hidden_error(network, windows, draw_masks(len(windows), window))
            gradient = torch.autograd.grad(loss, list(network.parameters()))
            adam.step(gradient, [loss.detach()])
    return network


def _with_orientation(body_pose: Tensor) -> Tensor:
    """(B, W, 69) axis-angle to (B, W, 144) rotations with an orientation that is drawn for each window."""
    windows, frames = body_pose.shape[:2]
    turn = torch.zeros(windows, 3)
    turn[:, 1] = 2 * torch.pi * torch.rand(windows)
    tilt = TILT * torch.randn(windows, 3)
    tilt[:, 1] = 0
    upright = torch.diag(torch.tensor([1.0, -1.0, -1.0]))  # y of the crop points down
    orient = axis_angle_to_rotmat(tilt) @ upright @ axis_angle_to_rotmat(turn)
    orient = orient[:, None, None].expand(-1, frames, 1, 3, 3)
    body = axis_angle_to_rotmat(body_pose.unflatten(2, (-1, 3)))
    return rotmat_to_rot6d(torch.cat([orient, body], dim=2)).flatten(2)


def windows_of(frames: int, window: int) -> Tensor:
    """(N, W) int64 frames of all windows, one after the other; the last frame repeats in a shorter video."""
    starts = torch.arange(max(frames - window, 0) + 1)
    return (starts[:, None] + torch.arange(window)).clamp_max(frames - 1)


def mean_over_windows(values: Tensor, windows: Tensor, frames: int) -> Tensor:
    """Averages what overlapping windows say about each frame: (N, W, C) -> (F, C).

    Args:
        values: (N, W, C).
        windows: (N, W) frames of :func:`windows_of`.
        frames: F.
    """
    flat = windows.flatten()
    total = values.new_zeros(frames, values.shape[-1]).index_add(0, flat, values.flatten(0, 1))
    count = values.new_zeros(frames).index_add(0, flat, torch.ones_like(values[..., 0]).flatten())
    return total / count[:, None]
