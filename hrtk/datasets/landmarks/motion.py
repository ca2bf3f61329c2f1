"""Random bodies in motion: stretches of the free motion, changed, in front of random cameras."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Optional

import numpy as np
import torch
from torch import Generator, Tensor

from hrtk.body_models.skeletons import SMPL24
from hrtk.datasets.motion import ASSET
from hrtk.datasets.motion_files import read_motion
from hrtk.geometry.rotation import axis_angle_to_rotmat

ARM = ('collar', 'shoulder', 'elbow', 'wrist', 'hand')
LEG = ('hip', 'knee', 'ankle', 'foot')
# Standard deviation of an added rotation of every joint, radians: motion capture of few actions is narrow, and leaves
# wrists, hands and toes at rest.
ADDED = {
    'shoulder': 0.35,
    'hip': 0.3,
    'elbow': 0.2,
    'wrist': 0.2,
    'neck': 0.2,
    'head': 0.2,
    'knee': 0.05,
    'hand': 0.1,
    'foot': 0.1,
}
OTHERS_ADDED = 0.1


@dataclasses.dataclass(frozen=True)
class BodyWindows:
    """B bodies in motion, seen by a camera that looks at the hips of the middle frame.

    Attributes:
        rotmat: (B, T, 24, 3, 3), root in the camera frame.
        betas: (B, 10).
        offset: (B, T, 3) metres, the root joint relative to that of the middle frame, camera frame.
        distance: (B,) metres from the camera to the hips of the middle frame.
    """

    rotmat: Tensor
    betas: Tensor
    offset: Tensor
    distance: Tensor


@dataclasses.dataclass(frozen=True)
class Variety:
    """How far bodies and cameras are from the captured motion.

    Attributes:
        other_limb: probability that a limb moves as in another stretch.
        added: probability of added rotations.
        bent: probability that a knee is bent, by up to 2.2 radians.
        leaning: probability that the body leans, by a standard deviation of 0.3 radians about each horizontal axis.
        tilted: probability of a tilt between -25 and 50 degrees, positive looks down; else 3 +- 8 degrees.
        roll: standard deviation of the camera's roll, radians.
        shape: standard deviation of the betas.
        distance: range of the distance, metres; its logarithm is uniform.
    """

    other_limb: float = 0.25
    added: float = 0.6
    bent: float = 0.25
    leaning: float = 0.35
    tilted: float = 0.3
    roll: float = 0.1
    shape: float = 1.1
    distance: tuple[float, float] = (2.0, 8.0)


class RandomMotion:
    """Draws bodies in motion.

    Args:
        split: of the motion clips, ``'train'``, ``'test'`` or None for all.
        frames: T.
        fps: frames per second; motion is sampled at the nearest whole step.
        variety: how far bodies and cameras are from the captured motion.
        path: file of the clips, see :func:`~hrtk.datasets.motion.load_motion`.
    """

    def __init__(
        self,
        split: Optional[str],
        frames: int,
        fps: float,
        variety: Variety,
        path: str | Path = ASSET,
    ) -> None:
        clips = read_motion(split, path)
        clips = clips + [clip.mirrored() for clip in clips]
        self.variety = variety
        self.frames = frames
        step = max(round(clips[0].fps / fps), 1)
        self.offsets = step * torch.arange(frames)
        poses = np.concatenate([clip.poses for clip in clips])
        self.rotmat = axis_angle_to_rotmat(torch.from_numpy(poses))
        self.transl = torch.from_numpy(np.concatenate([clip.transl for clip in clips]))
        starts = []
        end = 0
        for clip in clips:
            start = end
            end += len(clip)
            starts.append(np.arange(start, end - step * (frames - 1)))
        self.starts = torch.from_numpy(np.concatenate(starts))
        self.limbs = [_limb(side, parts) for side in ('left', 'right') for parts in (ARM, LEG)]
        self.added = torch.tensor([_added(name) for name in SMPL24[1:]])

    def draw(self, count: int, generator: Generator) -> BodyWindows:
        """Draws B bodies."""
        rows = self._rows(count, generator)
        rotmat = self.rotmat[rows].clone()
        transl = self.transl[rows]
        body = rotmat[:, :, 1:]
        for limb in self.limbs:
            others = self.rotmat[self._rows(count, generator)][:, :, 1:]
            chosen = _chance(count, self.variety.other_limb, generator)[:, None, None, None, None]
            body[:, :, limb] = torch.where(chosen, others[:, :, limb], body[:, :, limb])
        body = body @ self._added_rotations(count, generator)
        for side in ('left', 'right'):
            self._bend(body, side, generator)
        camera = self._cameras(count, generator)
        root = camera[:, None] @ rotmat[:, :, 0]
        middle = transl[:, self.frames // 2, None]
        offset = (camera[:, None] @ (transl - middle)[..., None])[..., 0]
        low, high = self.variety.distance
        share = torch.rand(count, generator=generator)
        return BodyWindows(
            torch.cat([root[:, :, None], body], dim=2),
            torch.randn(count, 10, generator=generator) * self.variety.shape,
            offset,
            low * (high / low) ** share,
        )

    def _rows(self, count: int, generator: Generator) -> Tensor:
        """(B, T) rows of random stretches."""
        index = torch.randint(len(self.starts), (count,), generator=generator)
        return self.starts[index][:, None] + self.offsets

    def _added_rotations(self, count: int, generator: Generator) -> Tensor:
        """(B, T, 23, 3, 3): a constant rotation of every joint that drifts slowly."""
        noise = torch.randn(2, count, 1, 23, 3, generator=generator)
        time = torch.linspace(-1, 1, self.frames)[None, :, None, None]
        chosen = _chance(count, self.variety.added, generator)[:, None, None, None]
        axis_angle = self.added[:, None] * (noise[0] + 0.3 * time * noise[1]) * chosen
        return axis_angle_to_rotmat(axis_angle)

    def _bend(self, body: Tensor, side: str, generator: Generator) -> None:
        """Bends the knees of some bodies, in place; a random share at the hip keeps the foot under the body."""
        count = len(body)
        angle = 2.2 * torch.rand(count, generator=generator)
        angle = angle * _chance(count, self.variety.bent, generator)
        share = torch.rand(count, generator=generator)
        knee = SMPL24.index(f'{side}_knee') - 1
        hip = SMPL24.index(f'{side}_hip') - 1
        body[:, :, knee] = body[:, :, knee] @ _about(0, angle)[:, None]
        body[:, :, hip] = body[:, :, hip] @ _about(0, -share * angle)[:, None]

    def _cameras(self, count: int, generator: Generator) -> Tensor:
        """(B, 3, 3) rotations from the world of the motion to the camera frame."""
        variety = self.variety

        def normal() -> Tensor:
            return torch.randn(count, generator=generator)

        yaw = math.pi * (2 * torch.rand(count, generator=generator) - 1)
        wide = torch.deg2rad(75 * torch.rand(count, generator=generator) - 25)
        common = torch.deg2rad(3 + 8 * normal())
        tilt = torch.where(_chance(count, variety.tilted, generator), wide, common)
        leaning = _chance(count, variety.leaning, generator)
        lean = _about(0, 0.3 * normal() * leaning) @ _about(2, 0.3 * normal() * leaning)
        flip = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
        camera = _about(2, variety.roll * normal()) @ _about(0, tilt)
        return camera @ flip @ _about(1, yaw) @ lean


def _limb(side: str, parts: tuple[str, ...]) -> list[int]:
    """Indices of a limb's joints among joints 1..23."""
    return [SMPL24.index(f'{side}_{part}') - 1 for part in parts]


def _added(joint: str) -> float:
    return ADDED.get(joint.split('_')[-1], OTHERS_ADDED)


def _chance(count: int, probability: float, generator: Generator) -> Tensor:
    """(B,) bool."""
    return torch.rand(count, generator=generator) < probability


def _about(axis: int, angle: Tensor) -> Tensor:
    """(B, 3, 3) rotations about a coordinate axis."""
    axis_angle = angle.new_zeros(len(angle), 3)
    axis_angle[:, axis] = angle
    return axis_angle_to_rotmat(axis_angle)
