"""The body's 24 joints as a chain, and its points that correspond to captured joints."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor

# Indices of SMPL's joints.
HIPS, KNEES, ANKLES, FEET = (1, 2), (4, 5), (7, 8), (10, 11)  # left, right
SPINE1, SPINE2, CHEST, NECK, HEAD = 3, 6, 9, 12, 15
COLLARS, SHOULDERS, ELBOWS, WRISTS, HANDS = (13, 14), (16, 17), (18, 19), (20, 21), (22, 23)
FIXED = (*FEET, *WRISTS, *HANDS)  # not determined by the 17 captured joints: kept at rest

# Height of the captured spine joint between hips and shoulders; neutral bend there (radians, forward positive);
# direction from neck to head in the frame of the chest. Medians over all clips of each captured skeleton: a rig's
# joints do not lie on a straight line in an upright body, and this offset is removed.
RIGS = {
    'daz': dict(spine_height=0.63, bend=-0.235, head=(0.0, 0.742, 0.648)),
    'asf': dict(spine_height=0.52, bend=0.150, head=(0.0, 0.975, 0.190)),
}
_HEAD_LENGTH = 0.18


@dataclasses.dataclass(frozen=True)
class Skeleton:
    """Rest joints (24, 3) metres, y up, facing +z, x to the left; parents (24,) with -1 for the root."""

    rest: Tensor
    parents: tuple[int, ...]

    @property
    def offsets(self) -> Tensor:
        """(24, 3) each joint from its parent; zero for the root."""
        parents = torch.tensor(self.parents).clamp_min(0)
        return self.rest - self.rest[parents]

    def globals(self, rotmat: Tensor) -> tuple[Tensor, Tensor]:
        """Forward kinematics with the root joint at the origin.

        Args:
            rotmat: (F, 24, 3, 3) relative to the parent.

        Returns:
            (F, 24, 3, 3) rotations and (F, 24, 3) positions in the world.
        """
        offsets = self.offsets
        rotations, positions = [rotmat[:, 0]], [torch.zeros_like(rotmat[:, 0, 0])]
        for joint in range(1, 24):
            parent = self.parents[joint]
            rotations.append(rotations[parent] @ rotmat[:, joint])
            positions.append(positions[parent] + rotations[parent] @ offsets[joint])
        return torch.stack(rotations, 1), torch.stack(positions, 1)


def markers(skeleton: Skeleton, rig: str) -> dict[str, tuple[int, Tensor]]:
    """Positions of a rig's trunk and head joints on the body: name -> (parent joint, (3,) offset from it)."""
    settings = RIGS[rig]
    rest = skeleton.rest
    middle = (rest[HIPS[0]] + rest[HIPS[1]]) / 2
    thorax = (rest[SHOULDERS[0]] + rest[SHOULDERS[1]]) / 2
    height = settings['spine_height']
    spine = middle + height * (thorax - middle)
    spine = spine - torch.tensor([0.0, 0.0, 1.0], dtype=rest.dtype) * (
        settings['bend'] * height * (1 - height) * (thorax - middle).norm()
    )
    chest = frame(rest[SHOULDERS[0]] - rest[SHOULDERS[1]], thorax - spine)
    head = rest[NECK] + _HEAD_LENGTH * chest @ torch.tensor(settings['head'], dtype=rest.dtype)
    return {
        'middle': (0, middle - rest[0]),
        'spine': (SPINE1, spine - rest[SPINE1]),
        'thorax': (CHEST, thorax - rest[CHEST]),
        'head': (HEAD, head - rest[HEAD]),
    }


def frame(x: Tensor, y: Tensor) -> Tensor:
    """(..., 3, 3) right-handed frames whose first column is along x and whose second is y's part across it."""
    x = x / x.norm(dim=-1, keepdim=True)
    z = torch.linalg.cross(x, y, dim=-1)
    z = z / z.norm(dim=-1, keepdim=True)
    return torch.stack([x, torch.linalg.cross(z, x, dim=-1), z], dim=-1)


def to_tensor(array: np.ndarray) -> Tensor:
    """float32 tensor of any array."""
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
