"""SMPL without any optimisation: one joint and one vertex at a time in numpy, and the whole mesh in torch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from hrtk.body_models import BodyData

# The sources of SPIN's 24 "ground truth" joints, in the order of its 49: a SMPL joint, a vertex by name, or a row of
# J_regressor_extra.
SPIN24_SOURCES = (
    8,
    5,
    ('extra', 0),
    ('extra', 1),
    4,
    7,
    21,
    19,
    17,
    16,
    18,
    20,
    ('extra', 2),
    ('extra', 3),
    ('extra', 4),
    ('extra', 5),
    ('extra', 6),
    ('extra', 7),
    ('extra', 8),
    'nose',
    'left_eye',
    'right_eye',
    'left_ear',
    'right_ear',
)

# The sources of the 25 joints of OpenPose, which precede them.
OPENPOSE25_SOURCES = (
    'nose',
    12,
    17,
    19,
    21,
    16,
    18,
    20,
    0,
    2,
    5,
    8,
    1,
    4,
    7,
    'right_eye',
    'left_eye',
    'right_ear',
    'left_ear',
    'left_big_toe',
    'left_small_toe',
    'left_heel',
    'right_big_toe',
    'right_small_toe',
    'right_heel',
)


def pose_body(
    data: BodyData, rotmat: np.ndarray, betas: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Poses one body with loops over joints and vertices in float64 (Loper et al., SMPL, 2015, Eq. 2-4, 9).

    Args:
        data: the body.
        rotmat: (24, 3, 3).
        betas: (10,).

    Returns:
        (V, 3) vertices and (24, 3) joints.
    """
    parents = data.kintree_table[0]
    rest = data.v_template.astype(np.float64) + data.shapedirs.astype(np.float64) @ betas
    rest_joints = data.J_regressor.astype(np.float64) @ rest
    world = []
    for joint in range(24):
        local = np.eye(4)
        local[:3, :3] = rotmat[joint]
        local[:3, 3] = rest_joints[joint]
        if joint == 0:
            world.append(local)
        else:
            local[:3, 3] -= rest_joints[parents[joint]]
            world.append(world[parents[joint]] @ local)
    feature = np.concatenate([(rotmat[joint] - np.eye(3)).reshape(9) for joint in range(1, 24)])
    shaped = rest + data.posedirs.astype(np.float64) @ feature
    vertices = np.zeros_like(rest)
    for v in range(len(rest)):
        for joint in np.flatnonzero(data.weights[v]):
            rotated = world[joint][:3, :3] @ (shaped[v] - rest_joints[joint])
            vertices[v] += float(data.weights[v, joint]) * (rotated + world[joint][:3, 3])
    return vertices, np.stack([matrix[:3, 3] for matrix in world])


class WholeMesh(nn.Module):
    """The body layer of the official networks: every vertex by 4 x 4 matrices, joints regressed from the mesh.

    Args:
        data: the body; it must have SPIN's extra regressor.
        sources: of its joints.
    """

    def __init__(self, data: BodyData, sources: tuple = SPIN24_SOURCES) -> None:
        super().__init__()
        self.sources = sources
        self.parents = [int(p) for p in data.kintree_table[0]]
        for name in ('v_template', 'shapedirs', 'weights', 'J_regressor', 'J_regressor_extra'):
            self.register_buffer(name, torch.from_numpy(getattr(data, name).copy()))
        self.register_buffer('posedirs', torch.from_numpy(data.posedirs.reshape(-1, 207).T.copy()))
        self.vertex_ids = dict(data.vertex_ids)

    def forward(self, rotmat: Tensor, betas: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 24, 3, 3) and (B, 10) -> vertices (B, V, 3) and joints (B, J, 3), by default SPIN's 24."""
        count = len(rotmat)
        shaped = self.v_template + torch.einsum('bl,mkl->bmk', betas, self.shapedirs)
        joints = torch.einsum('bik,ji->bjk', shaped, self.J_regressor)
        identity = torch.eye(3, dtype=rotmat.dtype, device=rotmat.device)
        feature = (rotmat[:, 1:] - identity).reshape(count, -1)
        posed = shaped + (feature @ self.posedirs).view(count, -1, 3)
        world = []
        for joint in range(24):
            translation = joints[:, joint]
            if joint > 0:
                translation = translation - joints[:, self.parents[joint]]
            local = torch.cat([rotmat[:, joint], translation[..., None]], dim=2)
            bottom = local.new_tensor([0, 0, 0, 1]).expand(count, 1, 4)
            local = torch.cat([local, bottom], dim=1)
            if joint > 0:
                local = world[self.parents[joint]] @ local
            world.append(local)
        transforms = torch.stack(world, dim=1)
        rest = torch.cat([joints, joints.new_zeros(count, 24, 1)], dim=2)[..., None]
        offset = torch.cat([transforms.new_zeros(count, 24, 4, 3), transforms @ rest], dim=3)
        flat = (transforms - offset).view(count, 24, 16)
        blend = (self.weights @ flat).view(count, -1, 4, 4)
        homogeneous = torch.cat([posed, posed.new_ones(count, posed.shape[1], 1)], dim=2)[..., None]
        vertices = (blend @ homogeneous)[:, :, :3, 0]
        return vertices, self._pick(vertices, transforms[:, :, :3, 3])

    def _pick(self, vertices: Tensor, smpl_joints: Tensor) -> Tensor:
        """The joints of :attr:`sources`."""
        extra = torch.einsum('bik,ji->bjk', vertices, self.J_regressor_extra)
        joints = []
        for source in self.sources:
            if isinstance(source, int):
                joints.append(smpl_joints[:, source])
            elif isinstance(source, str):
                joints.append(vertices[:, self.vertex_ids[source]])
            else:
                joints.append(extra[:, source[1]])
        return torch.stack(joints, dim=1)
