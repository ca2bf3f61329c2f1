"""Joints and vertices that a protocol compares: predictions and ground truth, relative to the root."""

from __future__ import annotations

from typing import Any, NamedTuple, Optional

import torch
from torch import Tensor

from hrtk.body_models.gendered import WHERE, GenderedBodies
from hrtk.body_models.skeletons import index_map, joint_names
from hrtk.errors import InputError
from hrtk.evaluation.protocols import Protocol
from hrtk.geometry.rotation import axis_angle_to_rotmat, rotmat_to_axis_angle
from hrtk.structures import GroundTruth


class RootAligned(NamedTuple):
    """Joints and vertices of F frames, metres.

    Attributes:
        joints: (F, J, 3), relative to the root.
        meshes: (F, V, 3) vertices for every mesh error of the protocol, relative to the root or to the body's own
            origin, as the mesh error asks for.
        roots: (F, 3) the root in the frame of the body; None for ground truth.
    """

    joints: Tensor
    meshes: tuple[Tensor, ...]
    roots: Optional[Tensor] = None

    def turned(self, rotation: Tensor) -> RootAligned:
        """Turns joints and meshes about the root by (F, 3, 3) rotations."""
        transposed = rotation.transpose(1, 2)
        meshes = tuple(vertices @ transposed for vertices in self.meshes)
        return self._replace(joints=self.joints @ transposed, meshes=meshes)


class _TrueBody(NamedTuple):
    """SMPL parameters of F frames of ground truth; all but ``translation`` on the device of the body."""

    rotmat: Tensor
    betas: Tensor
    translation: Optional[Tensor]
    gender: str


class RootAligner:
    """Poses predictions on the neutral body and the ground truth on the body that a protocol names.

    Args:
        protocol: of the comparison.
        bodies: the gendered bodies, or None if only neutral ground truth is scored.
    """

    def __init__(self, protocol: Protocol, bodies: Optional[GenderedBodies]) -> None:
        self.protocol = protocol
        self.bodies = bodies
        names = joint_names(protocol.root_skeleton)
        self.root = [names.index(name) for name in protocol.root]

    @torch.no_grad()
    def prediction(self, body: Any, rotmat: Tensor, betas: Tensor, meshes: bool) -> RootAligned:
        """Poses F predicted bodies.

        Args:
            body: the neutral body.
            rotmat: (F, 24, 3, 3).
            betas: (F, 10).
            meshes: whether vertices are needed; if False, no mesh is computed.
        """
        protocol = self.protocol
        rotmat = _to_body(body, rotmat)
        betas = _to_body(body, betas)
        if not meshes:
            joints = body.joints(rotmat, betas, protocol.joints)
            root = self._root(body.joints(rotmat, betas, protocol.root_skeleton))
            return RootAligned(joints - root, (), root[:, 0])
        output = body(rotmat, betas)
        joints = body.joints_from_mesh(output, protocol.joints)
        root = self._root(body.joints_from_mesh(output, protocol.root_skeleton))
        compared_meshes = []
        for mesh in protocol.meshes:
            vertices = output.vertices
            if mesh.aligned:
                vertices = vertices - root
            compared_meshes.append(vertices)
        return RootAligned(joints - root, tuple(compared_meshes), root[:, 0])

    @torch.no_grad()
    def truth(
        self, body: Any, truth: Optional[GroundTruth], frames: slice
    ) -> Optional[RootAligned]:
        """Poses the ground truth of some frames.

        Args:
            body: the neutral body.
            truth: of the sequence.
            frames: the frames.

        Returns:
            None if the sequence has neither true bodies nor true joints.

        Raises:
            InputError: the ground truth does not fit the protocol, or its body file is missing.
        """
        if truth is None:
            return None
        true_body = _true_body(body, truth, frames)
        if true_body is None and truth.joints3d is None:
            return None
        joints = self._true_joints(body, truth, true_body, frames)
        if true_body is None:
            return RootAligned(joints, ())
        return RootAligned(joints, self._true_meshes(body, true_body))

    def measured_indices(self, skeleton: Optional[str]) -> tuple[list[int], list[int]]:
        """The compared joints and the joints of the root in the skeleton of the ground truth.

        Raises:
            InputError: the skeleton lacks a joint.
        """
        protocol = self.protocol
        compared = list(index_map(skeleton, protocol.joints))
        root_map = index_map(skeleton, protocol.root_skeleton)
        root = [root_map[i] for i in self.root]
        if min(*compared, *root) < 0:
            raise InputError(
                f'protocol {protocol.name!r} compares the joints {protocol.joints!r} relative to '
                f'{" and ".join(protocol.root)!r}; the ground truth has {skeleton!r}, which lacks some'
            )
        return compared, root

    def _true_joints(
        self, neutral: Any, truth: GroundTruth, true_body: Optional[_TrueBody], frames: slice
    ) -> Tensor:
        """(F, J, 3) root-aligned true joints, from the source that the protocol prefers."""
        protocol = self.protocol
        if true_body is not None and truth.gender not in protocol.genders:
            raise InputError(
                f'protocol {protocol.name!r} scores {" or ".join(protocol.genders)} bodies, '
                f'but the ground truth is {truth.gender}; choose a protocol for gendered truth'
            )
        for source in protocol.truth:
            if source == 'body' and true_body is not None:
                return self._posed_joints(neutral, true_body)
            if source == 'joints' and truth.joints3d is not None:
                joints = _to_body(neutral, truth.joints3d[frames])
                return self._measured_joints(joints, truth.skeleton)
        available = 'joints' if true_body is None else 'bodies'
        raise InputError(
            f'protocol {protocol.name!r} compares with true {" or ".join(protocol.truth)}, '
            f'the ground truth has only {available}; choose a protocol for that'
        )

    def _posed_joints(self, neutral: Any, true_body: _TrueBody) -> Tensor:
        """(F, J, 3) root-aligned joints of the true bodies."""
        protocol = self.protocol
        body = self._body(neutral, true_body.gender, protocol.truth_body)
        joints = body.joints(true_body.rotmat, true_body.betas, protocol.joints)
        root_joints = body.joints(true_body.rotmat, true_body.betas, protocol.root_skeleton)
        if protocol.half:
            if true_body.translation is not None:
                translation = true_body.translation[:, None].to(joints.device)
                joints = joints + translation
                root_joints = root_joints + translation
            joints = _round_to_half(joints)
            root_joints = _round_to_half(root_joints)
        return joints - self._root(root_joints)

    def _measured_joints(self, joints: Tensor, skeleton: Optional[str]) -> Tensor:
        """(F, J, 3) root-aligned joints of a motion capture system."""
        compared, root = self.measured_indices(skeleton)
        if self.protocol.half:
            joints = _round_to_half(joints)
        return joints[:, compared] - joints[:, root].mean(1, keepdim=True)

    def _true_meshes(self, neutral: Any, true_body: _TrueBody) -> tuple[Tensor, ...]:
        """(F, V, 3) vertices of the true bodies for every mesh error of the protocol."""
        rotmat = true_body.rotmat
        betas = true_body.betas
        if self.protocol.half:
            rotmat = axis_angle_to_rotmat(_round_to_half(rotmat_to_axis_angle(rotmat)))
            betas = _round_to_half(betas)
        outputs: dict[int, Any] = {}
        meshes = []
        for mesh in self.protocol.meshes:
            body = self._body(neutral, true_body.gender, mesh.truth)
            if id(body) not in outputs:
                outputs[id(body)] = body(rotmat, betas)
            output = outputs[id(body)]
            vertices = output.vertices
            if mesh.aligned:
                root_joints = body.joints_from_mesh(output, self.protocol.root_skeleton)
                vertices = vertices - self._root(root_joints)
            meshes.append(vertices)
        return tuple(meshes)

    def _body(self, neutral: Any, gender: str, betas_of: str) -> Any:
        """The body to pose: ``betas_of`` is ``'neutral'``, or ``'own'`` for the body of the gender."""
        if betas_of == 'neutral' or gender == 'neutral':
            return neutral
        if self.bodies is None:
            raise InputError(
                f'protocol {self.protocol.name!r} poses {gender} ground truth on its own body: give the '
                f'evaluator bodies=dict(male=..., female=...). {WHERE}'
            )
        return self.bodies.get(gender, like=neutral)

    def _root(self, joints: Tensor) -> Tensor:
        """(F, 1, 3) root of (F, R, 3) joints of the root skeleton."""
        return joints[:, self.root].mean(1, keepdim=True)


def needs_gendered_bodies(protocol: Protocol) -> bool:
    """Whether a protocol poses male or female ground truth on the body of its gender."""
    if 'male' not in protocol.genders:
        return False
    if 'body' in protocol.truth and protocol.truth_body == 'own':
        return True
    return any(mesh.truth == 'own' for mesh in protocol.meshes)


def _true_body(body: Any, truth: GroundTruth, frames: slice) -> Optional[_TrueBody]:
    """The SMPL parameters of some frames, or None if the ground truth has none."""
    if truth.rotmat is None or truth.betas is None:
        return None
    translation = None
    if truth.translation is not None:
        translation = truth.translation[frames]
    return _TrueBody(
        _to_body(body, truth.rotmat[frames]),
        _to_body(body, truth.betas[frames]),
        translation,
        truth.gender,
    )


def _to_body(body: Any, values: Tensor) -> Tensor:
    """Values as float32 on the device of the body."""
    return torch.as_tensor(values, dtype=torch.float32, device=body.template.device)


def _round_to_half(values: Tensor) -> Tensor:
    """Rounds float32 values to float16 precision."""
    return values.half().float()
