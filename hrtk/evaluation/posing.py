"""What a protocol compares: joints and vertices of predictions and of the truth, moved to its root."""

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


class Posed(NamedTuple):
    """Root-aligned ``joints`` (F, J, 3) and the (F, V, 3) vertices of every mesh error of the protocol, metres."""

    joints: Tensor
    meshes: tuple[Tensor, ...]


class Poser:
    """Poses predictions on the neutral body and the truth on the body that a protocol names.

    Args:
        protocol: of the comparison.
        bodies: the gendered bodies, or None if only neutral truth is to be scored.
    """

    def __init__(self, protocol: Protocol, bodies: Optional[GenderedBodies]) -> None:
        self.protocol, self.bodies = protocol, bodies
        names = joint_names(protocol.root_skeleton)
        self.root = [names.index(name) for name in protocol.root]

    @torch.no_grad()
    def prediction(self, body: Any, rotmat: Any, betas: Any, meshes: bool) -> Posed:
        """F predicted bodies; without ``meshes`` no mesh is computed."""
        rotmat, betas = _on(body, rotmat, betas)
        if not meshes:
            joints, roots = (body.joints(rotmat, betas, s) for s in self._lists())
            return Posed(joints - self._middle(roots), ())
        output = body(rotmat, betas)
        joints, roots = (body.joints_from_mesh(output, s) for s in self._lists())
        root = self._middle(roots)
        return Posed(
            joints - root,
            tuple(
                output.vertices - root if mesh.aligned else output.vertices
                for mesh in self.protocol.meshes
            ),
        )

    @torch.no_grad()
    def truth(self, body: Any, truth: Optional[GroundTruth], part: slice) -> Optional[Posed]:
        """The true bodies or joints of some frames, or None where nothing is known.

        Args:
            body: the neutral body.
            truth: of the sequence.
            part: the frames.

        Raises:
            InputError: the truth does not fit the protocol, or its body is not there.
        """
        if truth is None:
            return None
        have = {
            'body': truth.rotmat is not None and truth.betas is not None,
            'joints': truth.joints3d is not None,
        }
        if not any(have.values()):
            return None
        kind = next((kind for kind in self.protocol.truth if have[kind]), None)
        if kind is None:
            raise InputError(
                f'protocol {self.protocol.name!r} compares with true {" or ".join(self.protocol.truth)}, '
                f'the ground truth has only {"bodies" if have["body"] else "joints"}; choose a protocol '
                f'for that'
            )
        if have['body'] and truth.gender not in self.protocol.genders:
            raise InputError(
                f'protocol {self.protocol.name!r} scores {" or ".join(self.protocol.genders)} bodies, '
                f'but the ground truth is {truth.gender}; choose a protocol for gendered truth'
            )
        joints = (
            self._posed_joints(body, truth, part)
            if kind == 'body'
            else self._measured(body, truth, part)
        )
        return Posed(joints, self._meshes(body, truth, part) if have['body'] else ())

    def _posed_joints(self, neutral: Any, truth: GroundTruth, part: slice) -> Tensor:
        body = self._body(neutral, truth.gender, self.protocol.truth_body)
        rotmat, betas = _on(body, truth.rotmat[part], truth.betas[part])
        joints, roots = (body.joints(rotmat, betas, s) for s in self._lists())
        if self.protocol.half:
            shift = (
                0 if truth.translation is None else truth.translation[part, None].to(joints.device)
            )
            joints, roots = _half(joints + shift), _half(roots + shift)
        return joints - self._middle(roots)

    def _measured(self, neutral: Any, truth: GroundTruth, part: slice) -> Tensor:
        protocol = self.protocol
        wanted = index_map(truth.skeleton, protocol.joints)
        places = index_map(truth.skeleton, protocol.root_skeleton)
        root = [places[i] for i in self.root]
        if min(*wanted, *root) < 0:
            raise InputError(
                f'protocol {protocol.name!r} compares the joints {protocol.joints!r} relative to '
                f'{" and ".join(protocol.root)!r}; the ground truth has {truth.skeleton!r}, which lacks '
                f'some'
            )
        (joints,) = _on(neutral, truth.joints3d[part])
        joints = _half(joints) if protocol.half else joints
        return joints[:, list(wanted)] - joints[:, root].mean(1, keepdim=True)

    def _meshes(self, neutral: Any, truth: GroundTruth, part: slice) -> tuple[Tensor, ...]:
        rotmat, betas = _on(neutral, truth.rotmat[part], truth.betas[part])
        if self.protocol.half:
            rotmat, betas = axis_angle_to_rotmat(_half(rotmat_to_axis_angle(rotmat))), _half(betas)
        outputs, meshes = {}, []
        for mesh in self.protocol.meshes:
            body = self._body(neutral, truth.gender, mesh.truth)
            if id(body) not in outputs:
                outputs[id(body)] = body(rotmat, betas)
            output = outputs[id(body)]
            root = (
                self._middle(body.joints_from_mesh(output, self.protocol.root_skeleton))
                if mesh.aligned
                else 0
            )
            meshes.append(output.vertices - root)
        return tuple(meshes)

    def _body(self, neutral: Any, gender: str, whose: str) -> Any:
        if whose == 'neutral' or gender == 'neutral':
            return neutral
        if self.bodies is None:
            raise InputError(
                f'protocol {self.protocol.name!r} poses {gender} ground truth on its own body: give the '
                f'evaluator bodies=dict(male=..., female=...). {WHERE}'
            )
        return self.bodies.get(gender, like=neutral)

    def _lists(self) -> tuple[str, str]:
        return self.protocol.joints, self.protocol.root_skeleton

    def _middle(self, roots: Tensor) -> Tensor:
        return roots[:, self.root].mean(1, keepdim=True)


def needs_genders(protocol: Protocol) -> bool:
    """Whether gendered truth is posed on gendered bodies."""
    posed = 'body' in protocol.truth and protocol.truth_body == 'own'
    return 'male' in protocol.genders and (
        posed or any(mesh.truth == 'own' for mesh in protocol.meshes)
    )


def _on(body: Any, *values: Any) -> list[Tensor]:
    return [
        torch.as_tensor(value, dtype=torch.float32, device=body.template.device) for value in values
    ]


def _half(values: Tensor) -> Tensor:
    return values.half().float()
