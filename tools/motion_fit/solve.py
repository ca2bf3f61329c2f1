"""Inverse kinematics over whole clips: bone directions, joint limits, rest pose for unobserved joints, smoothness."""

from __future__ import annotations

from typing import Callable, Optional

import torch
from motion_fit import skeleton as sk
from motion_fit.initial import initial_rotations
from motion_fit.targets import BONES, Targets
from torch import Tensor

from hrtk.geometry.rotation import axis_angle_to_rotmat, rotmat_to_axis_angle

# Standard deviations: metres for observed bones and feet, radians for the others.
_OBSERVED = 0.010
_FLAT_FOOT = 0.015
_ACCELERATION = 0.08  # radians per frame^2
_HYPEREXTENSION = 0.03
_REST = {
    sk.SPINE1: 0.5,
    sk.SPINE2: 0.5,
    sk.CHEST: 0.5,
    sk.NECK: 0.4,
    sk.HEAD: 0.4,
    **dict.fromkeys(sk.COLLARS, 0.15),
    **dict.fromkeys(sk.ANKLES, 0.4),
}
_ANKLE_SIDEWAYS = 0.1
_DORSIFLEXION = 0.5  # an ankle bends up to 30 degrees; beyond that the heel leaves the floor
_BEYOND = 0.05
_KNEE_SIDEWAYS = 0.06
_ELBOW_SIDEWAYS = 0.08
_FOREARM_TWIST = 0.2
_HIP_TWIST = 0.5
_SHOULDER_TWIST = 0.9


def solve(
    body: sk.Skeleton,
    targets: Targets,
    iterations: int = 200,
    report: Optional[Callable[[int, float], None]] = None,
) -> Tensor:
    """Fits rotations to all frames of one rig at once.

    Args:
        body: the skeleton that is posed.
        targets: the captured motion.
        iterations: Adam steps; the rate falls from 0.03 to 0.001 on a cosine.
        report: called with (step, mean loss per frame) every 50 steps.

    Returns:
        (F, 24, 3, 3) local rotations; joint 0 in the world, y up.
    """
    start = initial_rotations(body, targets)
    free = [joint for joint in range(24) if joint not in sk.FIXED]
    delta = torch.zeros(len(start), len(free), 3, requires_grad=True)
    optimizer = torch.optim.Adam([delta], lr=0.03, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, iterations, eta_min=1e-3)

    def rotations() -> Tensor:
        parts = list(start.unbind(1))
        for joint, moved in zip(free, (start[:, free] @ axis_angle_to_rotmat(delta)).unbind(1)):
            parts[joint] = moved
        return torch.stack(parts, dim=1)

    for step in range(iterations):
        optimizer.zero_grad()
        loss = energy(body, targets, rotations())
        loss.backward()
        optimizer.step()
        schedule.step()
        if report and (step % 50 == 0 or step == iterations - 1):
            report(step, loss.item() / len(start))
    with torch.no_grad():
        return rotations()


def energy(body: sk.Skeleton, targets: Targets, rotmat: Tensor) -> Tensor:
    """Sum over frames of all terms, each a squared number of standard deviations."""
    world, joints = body.globals(rotmat)
    squared = (bone_errors(body, targets, world, joints) / _OBSERVED).square()
    # Geman-McClure beyond ten centimetres: remaining glitches have no influence.
    data = (targets.weights * squared / (1 + squared / 100)).sum()
    smooth = (rotmat[2:] - 2 * rotmat[1:-1] + rotmat[:-2]).square().sum((-1, -2, -3)) / 2
    smooth = (smooth * (targets.step[1:-1] & targets.step[2:])).sum() / _ACCELERATION**2
    return data + smooth + _limits(rotmat) + _feet(body, targets, joints)


def bone_errors(body: sk.Skeleton, targets: Targets, world: Tensor, joints: Tensor) -> Tensor:
    """(F, B) metres between each bone's end and its position by the captured direction."""
    points = {
        name: joints[:, joint] + world[:, joint] @ offset
        for name, (joint, offset) in sk.markers(body, targets.rig).items()
    }
    rest = {
        name: body.rest[joint] + offset
        for name, (joint, offset) in sk.markers(body, targets.rig).items()
    }

    def at(key: int | str) -> Tensor:
        return points[key] if isinstance(key, str) else joints[:, key]

    def rest_at(key: int | str) -> Tensor:
        return rest[key] if isinstance(key, str) else body.rest[key]

    ours = torch.stack([at(b) - at(a) for _, _, a, b, _ in BONES], dim=1)
    lengths = torch.stack([(rest_at(b) - rest_at(a)).norm() for _, _, a, b, _ in BONES])
    return (ours - lengths[:, None] * targets.directions).square().sum(-1).clamp_min(1e-12).sqrt()


def _limits(rotmat: Tensor) -> Tensor:
    total = rotmat.new_zeros(())
    for joint, sigma in _REST.items():
        # Half the squared Frobenius distance to the identity: the squared angle for small angles, no singularity.
        total = total + 2 * (3 - rotmat[:, joint].diagonal(dim1=-2, dim2=-1).sum(-1)).sum() / (
            2 * sigma**2
        )
    for side in range(2):
        ankle, knee, elbow = (
            rotmat_to_axis_angle(rotmat[:, pair[side]]) for pair in (sk.ANKLES, sk.KNEES, sk.ELBOWS)
        )
        total = total + ankle[:, 1:].square().sum() / _ANKLE_SIDEWAYS**2
        total = total + (-ankle[:, 0] - _DORSIFLEXION).relu().square().sum() / _BEYOND**2
        total = total + knee[:, 1:].square().sum() / _KNEE_SIDEWAYS**2
        total = total + (-knee[:, 0]).relu().square().sum() / _HYPEREXTENSION**2
        flexion = elbow[:, 1] * (-1.0 + 2 * side)
        total = total + (-flexion).relu().square().sum() / _HYPEREXTENSION**2
        total = total + elbow[:, 2].square().sum() / _ELBOW_SIDEWAYS**2
        total = total + elbow[:, 0].square().sum() / _FOREARM_TWIST**2
        total = total + _twist(rotmat[:, sk.HIPS[side]], axis=1).square().sum() / _HIP_TWIST**2
        total = (
            total
            + _twist(rotmat[:, sk.SHOULDERS[side]], axis=0).square().sum() / _SHOULDER_TWIST**2
        )
    return total


def _twist(rotmat: Tensor, axis: int) -> Tensor:
    """(F,) rotation about a bone that lies along ``axis`` at rest: the twist of the swing-twist split, radians."""
    b, c = (axis + 1) % 3, (axis + 2) % 3
    return torch.atan2(
        rotmat[:, c, b] - rotmat[:, b, c],
        (1 + rotmat.diagonal(dim1=-2, dim2=-1).sum(-1)).clamp_min(0.05),
    )


def _feet(body: sk.Skeleton, targets: Targets, joints: Tensor) -> Tensor:
    """Penalises standing feet that are not flat: the toe must be as far below the ankle as in the rest pose."""
    ankles = list(sk.ANKLES)
    toes = list(sk.FEET)
    drop = (joints[:, toes, 1] - joints[:, ankles, 1]) - (body.rest[toes, 1] - body.rest[ankles, 1])
    return (targets.standing * (drop / _FLAT_FOOT).square()).sum()
