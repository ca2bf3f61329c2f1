"""Body models: linear blend skinning with shape and pose blend shapes, and joints without a mesh.

One class serves every body of SMPL's layout (Loper et al., SMPL, 2015); the file determines the body.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np
import torch
from torch import Tensor, nn

from hrtk.body_models.files import BodyData, load_body_file
from hrtk.body_models.skeletons import EXTRA9, SKELETONS, SMPL24, joint_names
from hrtk.errors import InputError
from hrtk.geometry.constants import indices
from hrtk.registry import BODY_MODELS

H36M17 = SKELETONS['h36m17']


@dataclasses.dataclass(frozen=True)
class BodyOutput:
    """A posed body: ``vertices`` (B, V, 3) and SMPL ``joints`` (B, 24, 3), metres, camera or rest frame."""

    vertices: Tensor
    joints: Tensor


@dataclasses.dataclass(frozen=True)
class _JointPlan:
    """Contracted regressors of one skeleton with P (joint, bone) pairs, see :meth:`BodyModel.joints`.

    Attributes:
        bone: (P,) bone of every pair.
        mass: (P, 1) sum of the pair's weights.
        moment: (P * 3,) rest-pose moment of the pair.
        moment_betas: (10, P * 3) change of the moments per beta.
        moment_pose: (207, P * 3) change of the moments per entry of the pose feature.
        gather: (N, P) sums pairs into regressed joints.
        order: (J,) indices of the skeleton's joints in [24 kinematic joints, N regressed joints].
    """

    bone: Tensor
    mass: Tensor
    moment: Tensor
    moment_betas: Tensor
    moment_pose: Tensor
    gather: Tensor
    order: Tensor


class _Level(NamedTuple):
    """Joints of one depth of the kinematic tree."""

    joints: slice
    parents: tuple[int, ...]  # joints
    slots: tuple[int, ...]  # indices of the parents within the level above


@BODY_MODELS.register_module()
class BodyModel(nn.Module):
    """A skinned body of 24 joints.

    Args:
        file: ``'open'``, the bundled freely licensed body, or a path to an SMPL ``.npz`` or ``.pkl``.
        extra_regressor: SPIN's ``J_regressor_extra.npy`` (9, V), for SPIN's 49 joints on an SMPL file.
        h36m_regressor: ``J_regressor_h36m.npy`` (17, V), for evaluation on an SMPL file.

    Raises:
        InputError: a file is missing, is not a body, or does not match the others.
    """

    template: Tensor
    shape_basis: Tensor
    pose_basis: Tensor
    weights: Tensor
    joint_template: Tensor
    joint_basis: Tensor
    faces: Tensor

    def __init__(
        self,
        file: str | Path = 'open',
        extra_regressor: Optional[str | Path] = None,
        h36m_regressor: Optional[str | Path] = None,
    ) -> None:
        super().__init__()
        data = load_body_file(file, extra_regressor=extra_regressor, h36m_regressor=h36m_regressor)
        self.data: BodyData = data
        vertices = len(data.v_template)
        regressor = data.J_regressor.astype(np.float64)
        rest_joints = regressor @ data.v_template.astype(np.float64)
        joint_basis = np.einsum('jv,vcs->sjc', regressor, data.shapedirs.astype(np.float64))
        buffers = {
            'template': data.v_template.reshape(-1).astype(np.float32),
            'shape_basis': data.shapedirs.reshape(vertices * 3, -1).T.astype(np.float32),
            'pose_basis': data.posedirs.reshape(vertices * 3, -1).T.astype(np.float32),
            'weights': data.weights.astype(np.float32),
            'joint_template': rest_joints.astype(np.float32),
            'joint_basis': joint_basis.reshape(len(joint_basis), -1).astype(np.float32),
            'faces': data.f.astype(np.int64),
        }
        for name, array in buffers.items():
            # Not persistent: the checkpoint of a network must not contain a licensed body model.
            tensor = torch.as_tensor(np.ascontiguousarray(array))
            self.register_buffer(name, tensor, persistent=False)
        self._levels = _levels(data.parents)
        self._plans: dict[str, _JointPlan] = {}
        self._regressors: dict[tuple, tuple[Tensor, Tensor]] = {}

    @property
    def num_vertices(self) -> int:
        """V, the number of vertices."""
        return len(self.weights)

    def forward(self, rotmat: Tensor, betas: Tensor) -> BodyOutput:
        """Poses the mesh.

        Args:
            rotmat: (B, 24, 3, 3) rotation matrices relative to the parent; joint 0 is ``global_orient``.
            betas: (B, S) shape coefficients.
        """
        rotations, translations, joints = self._transforms(rotmat, betas)
        shaped = self.template + betas @ self.shape_basis + _pose_feature(rotmat) @ self.pose_basis
        shaped = shaped.view(len(rotmat), -1, 3)
        blend = self.weights @ torch.cat([rotations.flatten(2), translations], dim=-1)
        rotation = blend[..., :9].unflatten(-1, (3, 3))
        vertices = (rotation @ shaped[..., None])[..., 0] + blend[..., 9:]
        return BodyOutput(vertices, joints)

    def joints(self, rotmat: Tensor, betas: Tensor, skeleton: str = 'spin49') -> Tensor:
        """Computes the joints of a list without skinning the mesh, equal to those regressed from all vertices.

        A joint regressed with weights r from skinned vertices is, with blend weights w and bone transforms (G, t),
        ``sum_k G_k (sum_v r_v w_vk x_v) + t_k (sum_v r_v w_vk)``. The inner sums are linear in shape and pose feature
        and are contracted once per model, so that the cost of a joint is that of its few bones instead of its vertices.

        Args:
            rotmat: (B, 24, 3, 3).
            betas: (B, S).
            skeleton: a list of :mod:`hrtk.body_models.skeletons`.

        Returns:
            (B, J, 3) metres.

        Raises:
            InputError: the body's files lack a regressor or a vertex of the list.
        """
        rotations, translations, joints = self._transforms(rotmat, betas)
        plan = self._plan(skeleton)
        if len(plan.gather) == 0:
            return joints[:, plan.order]
        moment = plan.moment + betas @ plan.moment_betas + _pose_feature(rotmat) @ plan.moment_pose
        moment = moment.view(len(rotmat), -1, 3, 1)
        rotated = (rotations[:, plan.bone] @ moment)[..., 0]
        pairs = rotated + translations[:, plan.bone] * plan.mass
        return torch.cat([joints, plan.gather @ pairs], dim=1)[:, plan.order]

    def joints_from_mesh(self, output: BodyOutput, skeleton: str = 'spin49') -> Tensor:
        """Regresses the same joints (B, J, 3) from a posed mesh, for callers that need the mesh anyway."""
        regressor, order = self._mesh_regressor(skeleton, output.vertices)
        return torch.cat([output.joints, regressor @ output.vertices], dim=1)[:, order]

    def _mesh_regressor(self, skeleton: str, like: Tensor) -> tuple[Tensor, Tensor]:
        """The (N, V) regressor of a list in device and precision of a tensor, and the order of its joints."""
        key = (skeleton, like.device, like.dtype)
        if key not in self._regressors:
            order, rows = self._sources(skeleton)
            with torch.inference_mode(False):
                regressor = torch.as_tensor(rows, dtype=like.dtype, device=like.device)
            self._regressors[key] = (regressor, indices(tuple(order), like))
        return self._regressors[key]

    def _transforms(self, rotmat: Tensor, betas: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """World rotations (B, 24, 3, 3), skinning translations (B, 24, 3) and posed joints (B, 24, 3)."""
        rest = self.joint_template + (betas @ self.joint_basis).view(len(betas), 24, 3)
        level_rotations = [rotmat[:, :1]]
        level_positions = [rest[:, :1]]
        # All joints of one depth at once: 8 steps instead of 23.
        for level in self._levels:
            slots = indices(level.slots, rest)
            parent = level_rotations[-1][:, slots]
            offset = rest[:, level.joints] - rest[:, indices(level.parents, rest)]
            rotated = (parent @ offset[..., None])[..., 0]
            level_positions.append(level_positions[-1][:, slots] + rotated)
            level_rotations.append(parent @ rotmat[:, level.joints])
        rotations = torch.cat(level_rotations, dim=1)
        positions = torch.cat(level_positions, dim=1)
        translations = positions - (rotations @ rest[..., None])[..., 0]
        return rotations, translations, positions

    def _sources(self, skeleton: str) -> tuple[list[int], np.ndarray]:
        """Indices of a list's joints in [24 joints, N rows], and the N regressor rows over vertices."""
        order: list[int] = []
        rows: list[np.ndarray] = []
        for name in joint_names(skeleton):
            if name in SMPL24:
                order.append(SMPL24.index(name))
            else:
                order.append(len(SMPL24) + len(rows))
                rows.append(self._vertex_weights(name, skeleton).astype(np.float64))
        if not rows:
            return order, np.zeros((0, self.num_vertices))
        return order, np.stack(rows)

    def _vertex_weights(self, joint: str, skeleton: str) -> np.ndarray:
        """(V,) weights that regress a joint from the vertices."""
        if joint in EXTRA9:
            return self._regressor('J_regressor_extra', skeleton)[EXTRA9.index(joint)]
        if joint in H36M17:
            return self._regressor('J_regressor_h36m', skeleton)[H36M17.index(joint)]
        if joint not in self.data.vertex_ids:
            raise InputError(
                f'{self.data.path}: this body has no vertex for the joint {joint!r} of {skeleton!r}'
            )
        row = np.zeros(self.num_vertices)
        row[self.data.vertex_ids[joint]] = 1
        return row

    def _regressor(self, key: str, skeleton: str) -> np.ndarray:
        regressor = getattr(self.data, key)
        if regressor is None:
            option = key.removeprefix('J_regressor_') + '_regressor'
            raise InputError(
                f'{self.data.path}: the joints {skeleton!r} need {key}; pass its .npy file with '
                f'`{option}=` to the body model (it comes with the SPIN data package)'
            )
        return regressor

    def _plan(self, skeleton: str) -> _JointPlan:
        plan = self._plans.get(skeleton)
        template = self.template
        if plan is None or (plan.moment.device, plan.moment.dtype) != (
            template.device,
            template.dtype,
        ):
            plan = self._contract(skeleton)
            self._plans[skeleton] = plan
        return plan

    @torch.inference_mode(False)
    def _contract(self, skeleton: str) -> _JointPlan:
        order, rows = self._sources(skeleton)
        data = self.data
        mass = rows @ data.weights.astype(np.float64)
        joint, bone = np.nonzero(mass)
        # (P, V) weight of every vertex in every (joint, bone) pair; P is about 60 for 49 joints.
        weights = rows[joint] * data.weights.T[bone]
        gather = np.zeros((len(rows), len(joint)))
        gather[joint, np.arange(len(joint))] = 1

        def contract(array: np.ndarray) -> np.ndarray:
            """(V, 3, ...) -> (P * 3, entries)."""
            contracted = weights @ array.reshape(len(array), -1).astype(np.float64)
            return contracted.reshape(len(joint) * 3, array[0, 0].size)

        def tensor(array: np.ndarray) -> Tensor:
            return torch.as_tensor(array, dtype=self.template.dtype, device=self.template.device)

        return _JointPlan(
            bone=torch.as_tensor(bone, device=self.template.device),
            mass=tensor(mass[joint, bone][:, None]),
            moment=tensor(contract(data.v_template)[:, 0]),
            moment_betas=tensor(contract(data.shapedirs).T),
            moment_pose=tensor(contract(data.posedirs).T),
            gather=tensor(gather),
            order=torch.as_tensor(order, device=self.template.device),
        )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> BodyModel:
        self._plans.clear()
        self._regressors.clear()
        return super()._apply(fn, recurse)


def _pose_feature(rotmat: Tensor) -> Tensor:
    identity = torch.eye(3, dtype=rotmat.dtype, device=rotmat.device)
    return (rotmat[:, 1:] - identity).flatten(1)


def _levels(parents: np.ndarray) -> list[_Level]:
    """Groups joints by their depth in the kinematic tree, without the root."""
    depth = np.zeros(len(parents), dtype=int)
    for joint in range(1, len(parents)):
        depth[joint] = depth[parents[joint]] + 1
    if (np.diff(depth) < 0).any():
        raise InputError('a body model must list its joints from the root outwards, as SMPL does')
    levels = []
    for d in range(1, depth.max() + 1):
        group = np.flatnonzero(depth == d)
        above = np.flatnonzero(depth == d - 1)
        group_parents = parents[group]
        joints = slice(int(group[0]), int(group[-1]) + 1)
        slots = np.searchsorted(above, group_parents)
        levels.append(_Level(joints, tuple(group_parents.tolist()), tuple(slots.tolist())))
    return levels
