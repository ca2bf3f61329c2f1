"""The body: linear blend skinning with shape and pose blend shapes, and a path that computes joints alone.

One class serves every body of SMPL's layout (Loper et al., SMPL, 2015); which body it is depends on the file.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Optional

import numpy as np
import torch
from torch import Tensor, nn

from hrtk.body_models.files import BodyData, load_body_file
from hrtk.body_models.skeletons import EXTRA9, SKELETONS, SMPL24, joint_names
from hrtk.errors import InputError
from hrtk.registry import BODY_MODELS


@dataclasses.dataclass(frozen=True)
class BodyOutput:
    """A posed body: ``vertices`` (B, V, 3) and SMPL ``joints`` (B, 24, 3), metres, camera or rest frame."""

    vertices: Tensor
    joints: Tensor


@dataclasses.dataclass(frozen=True)
class _JointPlan:
    """How the joints of one skeleton come out of a pose without any mesh, see :meth:`BodyModel.joints`."""

    bone: Tensor  # (P,) bone of every (joint, bone) pair
    mass: Tensor  # (P, 1)
    moment: Tensor  # (P * 3,) rest-pose moment of the pair
    moment_betas: Tensor  # (10, P * 3)
    moment_pose: Tensor  # (207, P * 3)
    gather: Tensor  # (N, P) sums pairs into regressed joints
    order: (
        Tensor  # (J,) positions of the wanted joints in [24 kinematic joints, N regressed joints]
    )


@BODY_MODELS.register_module()
class BodyModel(nn.Module):
    """A skinned body of 24 joints.

    Args:
        file: ``'open'``, the bundled freely licensed body, or a path to an SMPL ``.npz`` or ``.pkl``.
        extra_regressor: SPIN's ``J_regressor_extra.npy`` (9, V), for SPIN's 49 joints on an SMPL file.
        h36m_regressor: ``J_regressor_h36m.npy`` (17, V), for evaluation on an SMPL file.

    Raises:
        InputError: a file is missing, is not a body, or does not fit the others.
    """

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

        def keep(name: str, array: np.ndarray) -> None:
            # Not persistent: a checkpoint of a network never carries somebody's body model.
            self.register_buffer(
                name, torch.as_tensor(np.ascontiguousarray(array)), persistent=False
            )

        template, regressor = (
            data.v_template.astype(np.float64),
            data.J_regressor.astype(np.float64),
        )
        shape = data.shapedirs.astype(np.float64)
        keep('template', data.v_template.reshape(-1).astype(np.float32))
        keep('shape_basis', data.shapedirs.reshape(vertices * 3, -1).T.astype(np.float32))
        keep('pose_basis', data.posedirs.reshape(vertices * 3, -1).T.astype(np.float32))
        keep('weights', data.weights.astype(np.float32))
        keep('joint_template', (regressor @ template).astype(np.float32))
        keep(
            'joint_basis',
            np.einsum('jv,vcs->sjc', regressor, shape)
            .reshape(shape.shape[2], -1)
            .astype(np.float32),
        )
        keep('faces', data.f.astype(np.int64))
        self._levels = _levels(data.parents)
        self._plans: dict[str, _JointPlan] = {}

    @property
    def num_vertices(self) -> int:
        """V, the number of vertices."""
        return len(self.weights)

    def forward(self, rotmat: Tensor, betas: Tensor) -> BodyOutput:
        """Poses the whole mesh.

        Args:
            rotmat: (B, 24, 3, 3) rotation matrices relative to the parent; joint 0 is ``global_orient``.
            betas: (B, S) shape coefficients.
        """
        rotations, translations, joints = self._transforms(rotmat, betas)
        shaped = self.template + betas @ self.shape_basis + _pose_feature(rotmat) @ self.pose_basis
        shaped = shaped.view(len(rotmat), -1, 3)
        blend = self.weights @ torch.cat([rotations.flatten(2), translations], dim=-1)
        skin = blend[..., :9].unflatten(-1, (3, 3))
        return BodyOutput((skin @ shaped[..., None])[..., 0] + blend[..., 9:], joints)

    def joints(self, rotmat: Tensor, betas: Tensor, skeleton: str = 'spin49') -> Tensor:
        """Joints of a named list without skinning the mesh: the same values as regressing them from all vertices.

        A joint regressed with weights r from skinned vertices is, with blend weights w and bone transforms (G, t),
        ``sum_k G_k (sum_v r_v w_vk x_v) + t_k (sum_v r_v w_vk)``. The inner sums are linear in shape and pose feature
        and are contracted once per model, so one joint costs its few bones instead of its vertices.

        Args:
            rotmat: (B, 24, 3, 3).
            betas: (B, S).
            skeleton: a list of :mod:`hrtk.body_models.skeletons`.

        Returns:
            (B, J, 3) metres.

        Raises:
            InputError: the body's files lack what the list needs.
        """
        rotations, translations, joints = self._transforms(rotmat, betas)
        plan = self._plan(skeleton)
        if len(plan.gather) == 0:
            return joints[:, plan.order]
        moment = plan.moment + betas @ plan.moment_betas + _pose_feature(rotmat) @ plan.moment_pose
        moment = moment.view(len(rotmat), -1, 3, 1)
        pairs = (rotations[:, plan.bone] @ moment)[..., 0] + translations[:, plan.bone] * plan.mass
        return torch.cat([joints, plan.gather @ pairs], dim=1)[:, plan.order]

    def joints_from_mesh(self, output: BodyOutput, skeleton: str = 'spin49') -> Tensor:
        """The same joints from a posed mesh, for callers that need the mesh anyway: (B, J, 3)."""
        fk, rows = self._sources(skeleton)
        matrix = torch.as_tensor(rows, dtype=output.vertices.dtype, device=output.vertices.device)
        every = torch.cat([output.joints, matrix @ output.vertices], dim=1)
        return every[:, torch.as_tensor(fk, device=every.device)]

    def _transforms(self, rotmat: Tensor, betas: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """World rotations (B, 24, 3, 3), skinning translations (B, 24, 3) and posed joints (B, 24, 3)."""
        rest = self.joint_template + (betas @ self.joint_basis).view(len(betas), 24, 3)
        rotations, positions = [rotmat[:, :1]], [rest[:, :1]]
        for (
            joints,
            parents,
            slots,
        ) in self._levels:  # all joints of one depth at once: 8 steps, not 23
            parent = rotations[-1][:, slots]
            offset = rest[:, joints] - rest[:, parents]
            positions.append(positions[-1][:, slots] + (parent @ offset[..., None])[..., 0])
            rotations.append(parent @ rotmat[:, joints])
        rotations, positions = torch.cat(rotations, dim=1), torch.cat(positions, dim=1)
        return rotations, positions - (rotations @ rest[..., None])[..., 0], positions

    def _sources(self, skeleton: str) -> tuple[list[int], np.ndarray]:
        """Where each joint comes from: indices into [24 joints, N rows], and the N regressor rows over vertices."""
        data, order, rows = self.data, [], []
        for name in joint_names(skeleton):
            if name in SMPL24:
                order.append(SMPL24.index(name))
                continue
            row = np.zeros(self.num_vertices)
            if name in EXTRA9:
                row = self._regressor('J_regressor_extra', 'extra_regressor', skeleton)[
                    EXTRA9.index(name)
                ]
            elif name in SKELETONS['h36m17']:
                row = self._regressor('J_regressor_h36m', 'h36m_regressor', skeleton)[
                    SKELETONS['h36m17'].index(name)
                ]
            elif name in data.vertex_ids:
                row[data.vertex_ids[name]] = 1
            else:
                raise InputError(
                    f'{data.path}: this body has no vertex for the joint {name!r} of {skeleton!r}'
                )
            order.append(24 + len(rows))
            rows.append(np.asarray(row, dtype=np.float64))
        return order, np.stack(rows) if rows else np.zeros((0, self.num_vertices))

    def _regressor(self, key: str, option: str, skeleton: str) -> np.ndarray:
        value = getattr(self.data, key)
        if value is None:
            raise InputError(
                f'{self.data.path}: the joints {skeleton!r} need {key}; name its .npy file with '
                f'`{option}=` of the body model (it comes with the SPIN data package)'
            )
        return value

    def _plan(self, skeleton: str) -> _JointPlan:
        plan = self._plans.get(skeleton)
        if (
            plan is None
            or plan.moment.device != self.template.device
            or plan.moment.dtype != self.template.dtype
        ):
            plan = self._plans[skeleton] = self._make_plan(skeleton)
        return plan

    def _make_plan(self, skeleton: str) -> _JointPlan:
        order, rows = self._sources(skeleton)
        data = self.data
        mass = rows @ data.weights.astype(np.float64)
        joint, bone = np.nonzero(mass)
        # (P, V) share of every vertex in every (joint, bone) pair; P is about 60 for 49 joints.
        share = rows[joint] * data.weights.T[bone]
        vertices = len(data.v_template)

        def contract(array: np.ndarray) -> np.ndarray:
            contracted = share @ array.reshape(vertices, -1).astype(np.float64)
            return contracted.reshape(len(joint) * 3, array[0, 0].size)

        def tensor(array: np.ndarray) -> Tensor:
            return torch.as_tensor(array, dtype=self.template.dtype, device=self.template.device)

        gather = np.zeros((len(rows), len(joint)))
        gather[joint, np.arange(len(joint))] = 1
        index = torch.as_tensor(bone, device=self.template.device)
        return _JointPlan(
            index,
            tensor(mass[joint, bone][:, None]),
            tensor(contract(data.v_template)[:, 0]),
            tensor(contract(data.shapedirs).T),
            tensor(contract(data.posedirs).T),
            tensor(gather),
            torch.as_tensor(order, device=self.template.device),
        )

    def _apply(self, fn, *args, **kwargs):
        self._plans.clear()
        return super()._apply(fn, *args, **kwargs)


def _pose_feature(rotmat: Tensor) -> Tensor:
    identity = torch.eye(3, dtype=rotmat.dtype, device=rotmat.device)
    return (rotmat[:, 1:] - identity).flatten(1)


def _levels(parents: np.ndarray) -> list[tuple[slice, list[int], list[int]]]:
    """Joints grouped by depth: the group, its parents, and the parents' places within the group before it."""
    depth = np.zeros(len(parents), dtype=int)
    for joint in range(1, len(parents)):
        depth[joint] = depth[parents[joint]] + 1
    if (np.diff(depth) < 0).any():
        raise InputError('a body model must list its joints from the root outwards, as SMPL does')
    levels = []
    for d in range(1, depth.max() + 1):
        group, above = np.nonzero(depth == d)[0], np.nonzero(depth == d - 1)[0]
        slots = [int(np.searchsorted(above, parents[j])) for j in group]
        levels.append(
            (slice(int(group[0]), int(group[-1]) + 1), [int(parents[j]) for j in group], slots)
        )
    return levels
