"""Feet that stay where they stand: stances of the soles, a corrected path of the body, and legs that follow.

A stance is a time in which a point of a sole stands (:func:`hrtk.geometry.floor.standing`). Its place is the mean of
the point over the stance. First the whole body is shifted horizontally so that the points come near their places; the
shift is a smooth curve, and mostly along the viewing ray, where the position of a body from one camera is uncertain.
What remains is taken by the legs: hip and knee turn so that the ankle arrives (two-bone inverse kinematics, the law of
cosines), and the ankle turns back so that the foot keeps its direction.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Optional

import numpy as np
import torch
from scipy.sparse import csc_matrix, diags, identity, kron, vstack
from scipy.sparse.linalg import spsolve
from torch import Tensor

from hrtk.body_models import BodyModel
from hrtk.body_models.skeletons import PARENTS24, SMPL24
from hrtk.geometry.floor import Gait, runs, standing
from hrtk.geometry.rotation import axis_angle_to_rotmat
from hrtk.visualization.export.motion import Motion
from hrtk.visualization.export.soles import joints_of, soles_of

# Standard deviations, metres: of a standing point from its place, and of the body along and across the viewing ray.
PLACE = 0.03
ALONG_RAY = 0.10
ACROSS_RAY = 0.02
BEND = 0.5  # m/s^2: of the acceleration of the shift
SHORTEST = 0.15  # seconds of a stance
DWELL = 0.02  # metres across the viewing ray: a standing point stays so near to its median
EASE_SECONDS = 0.15  # in which a foot goes to its place before a stance, and from there after it
MOST_REACH = 0.15  # metres: a foot farther from its place is brought nearer by so much
LONGEST_LEG = 0.999  # of thigh and shin together
STRAIGHT = 0.1  # sine of the angle of a knee
DEEPEST = 0.1  # metres: places farther below the floor are not on it
ROUNDS = 3
LEGS = tuple(
    tuple(SMPL24.index(f'{side}_{part}') for part in ('hip', 'knee', 'ankle'))
    for side in ('left', 'right')
)


@dataclasses.dataclass(frozen=True)
class Stances:
    """The stances of the soles of a motion of F frames.

    Attributes:
        labels: (F, 2, P) int; the number of the stance of a point, or -1 while it does not stand.
        count: number of stances.
    """

    labels: np.ndarray
    count: int

    @property
    def stands(self) -> np.ndarray:
        """(F, 2, P) bool."""
        return self.labels >= 0

    def places(self, soles: np.ndarray) -> np.ndarray:
        """The means (count, 3) of points (F, 2, P, 3) over their stances."""
        stands = self.stands
        labels = self.labels[stands]
        numbers = np.bincount(labels, minlength=self.count)
        sums = [
            np.bincount(labels, soles[stands][:, axis], self.count)
            for axis in range(soles.shape[-1])
        ]
        return np.stack(sums, 1) / numbers[:, None]


def stances_of(motion: Motion, body: BodyModel, up: Optional[np.ndarray]) -> Stances:
    """The stances of a motion in the camera frame that last :data:`SHORTEST`.

    Args:
        motion: filtered; noise makes points faster than they are.
        body: the body model of the motion.
        up: (3,) unit vector against gravity; None does not ask for low points.
    """
    soles = soles_of(motion, body)
    middle = soles.mean((1, 2))
    stands = standing(Gait(soles, middle, middle, motion.fps), up)
    rays = middle / np.linalg.norm(middle, axis=-1, keepdims=True)
    labels = np.full(stands.shape, -1)
    count = 0
    shortest = max(2, SHORTEST * motion.fps)
    for foot, point in np.ndindex(stands.shape[1:]):
        for start, stop in runs(stands[:, foot, point]):
            for first, last in _dwelling(soles[start:stop, foot, point], rays[start:stop]):
                if last - first >= shortest:
                    labels[start + first : start + last, foot, point] = count
                    count += 1
    return Stances(labels, count)


def _dwelling(points: np.ndarray, rays: np.ndarray) -> list[tuple[int, int]]:
    """The parts of a run in which a point (F, 3) is near its median as seen along viewing rays (F, 3).

    A foot that swings slowly passes; a foot that stands stays, up to noise.
    """
    away = points - np.median(points, axis=0)
    away = away - (away * rays).sum(-1, keepdims=True) * rays
    return runs(np.linalg.norm(away, axis=-1) < DWELL)


def lock_feet(motion: Motion, body: BodyModel, stances: Stances) -> Motion:
    """Keeps standing points of the soles at their places.

    Args:
        motion: in the camera frame, with a floor.
        body: the body model of the motion.
        stances: of the motion.
    """
    floor = motion.floor
    if floor is None or stances.count == 0:
        return motion
    up = floor.up
    motion = dataclasses.replace(
        motion, translation=motion.translation + _path_shift(motion, body, stances, up)
    )
    soles = soles_of(motion, body)
    places = stances.places(soles)
    heights = floor.heights(places)
    sunk = np.where((heights < 0) & (heights > -DEEPEST), heights, 0)
    places = places - sunk[:, None] * up
    for _ in range(ROUNDS):
        motion = _reach(motion, body, stances, places)
    return motion


def _path_shift(motion: Motion, body: BodyModel, stances: Stances, up: np.ndarray) -> Tensor:
    """The shift (F, 3) of the body in the plane across ``up``; least squares for shifts and places together.

    The unknowns are the F shifts and the places of all stances, each with two coordinates in the plane.
    """
    soles = soles_of(motion, body)
    frames = len(soles)
    side = np.cross(up, [0.0, 0.0, 1.0])
    if np.linalg.norm(side) < 0.1:
        side = np.cross(up, [0.0, 1.0, 0.0])
    side = side / np.linalg.norm(side)
    plane = np.stack([side, np.cross(side, up)])  # (2, 3)
    stands = stances.stands
    frame_of, _, _ = np.nonzero(stands)
    labels = stances.labels[stands]
    rows = np.arange(len(labels))
    ones = np.ones(len(labels))
    shifted = csc_matrix((ones, (rows, frame_of)), (len(rows), frames))
    placed = csc_matrix((-ones, (rows, labels)), (len(rows), stances.count))
    targets = -(soles[stands] @ plane.T)
    per_place = _beside(shifted, placed)
    matrix = kron(per_place, identity(2)) / PLACE
    values = targets.ravel() / PLACE
    precision = [matrix.T @ matrix]
    right = matrix.T @ values
    if frames > 2:
        step = 1 / motion.fps
        bend = diags([1.0, -2.0, 1.0], [0, 1, 2], shape=(frames - 2, frames)) / (step**2 * BEND)
        bend = kron(_beside(bend, csc_matrix((frames - 2, stances.count))), identity(2))
        precision.append(bend.T @ bend)
    precision.append(_prior(motion, body, plane, stances.count))
    solution = spsolve(csc_matrix(sum(precision)), right)
    return torch.from_numpy(solution[: 2 * frames].reshape(frames, 2) @ plane)


def _prior(motion: Motion, body: BodyModel, plane: np.ndarray, places: int) -> csc_matrix:
    """The precision of the shifts before the stances are seen: loose along the viewing ray, tight across it."""
    rays = joints_of(motion, body, 'smpl24')[:, 0] @ plane.T
    along = rays / np.linalg.norm(rays, axis=1, keepdims=True).clip(1e-9)
    across = along[:, ::-1] * [1.0, -1.0]
    blocks = along[:, :, None] * along[:, None, :] / ALONG_RAY**2
    blocks = blocks + across[:, :, None] * across[:, None, :] / ACROSS_RAY**2
    frames = len(blocks)
    first = np.repeat(2 * np.arange(frames), 4) + np.tile([0, 0, 1, 1], frames)
    second = np.repeat(2 * np.arange(frames), 4) + np.tile([0, 1, 0, 1], frames)
    size = 2 * (frames + places)
    return csc_matrix((blocks.ravel(), (first, second)), (size, size))


def _beside(left: csc_matrix, right: csc_matrix) -> csc_matrix:
    return vstack([left.T, right.T]).T.tocsc()


def _reach(motion: Motion, body: BodyModel, stances: Stances, places: np.ndarray) -> Motion:
    """Turns the joints of both legs so that standing points come to their places (count, 3)."""
    soles = soles_of(motion, body)
    joints = torch.from_numpy(joints_of(motion, body, 'smpl24'))
    rotmat = motion.rotmat.clone()
    for foot, leg in enumerate(LEGS):
        stands = stances.stands[:, foot]
        if not stands.any():
            continue
        wanted = np.zeros_like(soles[:, foot])
        wanted[stands] = places[stances.labels[:, foot][stands]] - soles[:, foot][stands]
        touching = np.asarray(stands.any(1))
        move = wanted.sum(1) / stands.sum(1).clip(1)[:, None]
        length = np.linalg.norm(move, axis=1, keepdims=True)
        move = move * np.minimum(1, MOST_REACH / length.clip(1e-9))
        eased = torch.from_numpy(_eased(move, touching, motion.times))
        rotmat = bend_leg(rotmat, joints, leg, joints[:, leg[2]] + eased)
    return dataclasses.replace(motion, rotmat=rotmat)


def _eased(move: np.ndarray, touching: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Moves (F, 3) of the frames with contact, fading out over :data:`EASE_SECONDS` on both sides."""
    frames = np.flatnonzero(touching)
    before = frames[(np.searchsorted(frames, np.arange(len(move)), side='right') - 1).clip(0)]
    after = frames[np.searchsorted(frames, np.arange(len(move))).clip(max=len(frames) - 1)]
    eased = np.zeros_like(move)
    for nearest in (before, after):
        distance = np.abs(times - times[nearest]) / EASE_SECONDS
        weight = 0.5 + 0.5 * np.cos(math.pi * distance.clip(0, 1))
        eased += weight[:, None] * move[nearest]
    eased[touching] = move[touching]
    return eased


def bend_leg(rotmat: Tensor, joints: Tensor, leg: tuple[int, ...], target: Tensor) -> Tensor:
    """Turns hip and knee so that the ankle comes to a target, as far as the leg reaches; the foot keeps its direction.

    Args:
        rotmat: (F, 24, 3, 3).
        joints: (F, 24, 3) metres, posed.
        leg: indices of hip, knee and ankle.
        target: (F, 3) metres.

    Returns:
        (F, 24, 3, 3).
    """
    hip, knee, ankle = leg
    rotations = global_rotations(rotmat)
    thigh = joints[:, knee] - joints[:, hip]
    shin = joints[:, ankle] - joints[:, knee]
    flexion = _bend_axis(thigh, shin, rotations[:, hip])
    angle = torch.atan2((torch.linalg.cross(thigh, shin) * flexion).sum(-1), (thigh * shin).sum(-1))
    upper = thigh.norm(dim=-1)
    lower = shin.norm(dim=-1)
    reach = (target - joints[:, hip]).norm(dim=-1)
    now = (thigh + shin).norm(dim=-1)
    longest = torch.maximum(LONGEST_LEG * (upper + lower), now)  # a straight leg stays straight
    reach = torch.minimum(reach, longest)
    reach = torch.maximum(reach, torch.minimum(1.01 * (upper - lower).abs(), now))
    cosine = (reach.square() - upper.square() - lower.square()) / (2 * upper * lower)
    bent = torch.acos(cosine.clamp(-1, 1))
    bent = torch.where(angle < 0, -bent, bent)  # an overstretched knee stays so
    turn_knee = axis_angle_to_rotmat(flexion * (bent - angle)[:, None])
    moved = thigh + (turn_knee @ shin[..., None])[..., 0]
    turn_hip = _shortest_turn(moved, target - joints[:, hip])
    new_hip = turn_hip @ rotations[:, hip]
    new_knee = turn_hip @ turn_knee @ rotations[:, knee]
    result = rotmat.clone()
    result[:, hip] = rotations[:, PARENTS24[hip]].mT @ new_hip
    result[:, knee] = new_hip.mT @ new_knee
    result[:, ankle] = new_knee.mT @ rotations[:, ankle]
    return result


def global_rotations(rotmat: Tensor) -> Tensor:
    """The rotations (F, 24, 3, 3) of joints in the frame of the motion, from those relative to their parents."""
    chain = [rotmat[:, 0]]
    for joint in range(1, 24):
        chain.append(chain[PARENTS24[joint]] @ rotmat[:, joint])
    return torch.stack(chain, 1)


def _bend_axis(thigh: Tensor, shin: Tensor, hip: Tensor) -> Tensor:
    """The unit axis (F, 3) about which a knee flexes: across thigh and shin; for a straight leg the hip's x axis."""
    lateral = hip[..., 0]
    across = torch.linalg.cross(thigh, shin) / (thigh.norm(dim=-1) * shin.norm(dim=-1))[:, None]
    overstretched = (across * lateral).sum(-1, keepdim=True) < 0
    across = torch.where(overstretched, -across, across)
    # Sines below STRAIGHT fade into the lateral axis: the axis of a straight leg is noise.
    straight = (1 - across.norm(dim=-1, keepdim=True) / STRAIGHT).clamp(0, 1)
    axis = across + straight * STRAIGHT * lateral
    along = thigh / thigh.norm(dim=-1, keepdim=True)
    axis = axis - (axis * along).sum(-1, keepdim=True) * along
    return axis / axis.norm(dim=-1, keepdim=True)


def _shortest_turn(start: Tensor, end: Tensor) -> Tensor:
    """Rotations (F, 3, 3) that bring the directions of vectors (F, 3) to others by the shortest way."""
    a = start / start.norm(dim=-1, keepdim=True)
    b = end / end.norm(dim=-1, keepdim=True)
    axis = torch.linalg.cross(a, b)
    sine = axis.norm(dim=-1, keepdim=True)
    angle = torch.atan2(sine, (a * b).sum(-1, keepdim=True))
    scale = torch.where(sine > 1e-12, angle / sine.clamp_min(1e-12), torch.ones_like(sine))
    return axis_angle_to_rotmat(scale * axis)
