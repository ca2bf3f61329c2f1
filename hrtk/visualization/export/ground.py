"""The floor under the people of a clip: what their tracks tell about it, and feet on it."""

from __future__ import annotations

import dataclasses
import re
from typing import Optional, Sequence

import numpy as np
import torch

from hrtk.body_models import BodyModel
from hrtk.body_models.skeletons import SMPL24
from hrtk.geometry.floor import Floor, FloorEstimate, Gait, estimate_floor, standing
from hrtk.geometry.smoothing import running_percentile, smooth_positions, time_filter
from hrtk.visualization.export.motion import Motion
from hrtk.visualization.export.soles import joints_of, soles_of

# Mass of each segment as a share of the body's, its two joints, and the position of its centre from the first to the
# second (Winter, Biomechanics and Motor Control of Human Movement, 2009, table 4.1).
SEGMENTS = (
    (0.497, 'pelvis', 'neck', 0.5),
    (0.081, 'neck', 'head', 1.0),
    (0.028, 'shoulder', 'elbow', 0.436),
    (0.022, 'elbow', 'wrist', 0.682),
    (0.100, 'hip', 'knee', 0.433),
    (0.0465, 'knee', 'ankle', 0.433),
    (0.0145, 'ankle', 'foot', 0.5),
)
SETTLE_SECONDS = 1.0
# Standard deviations of a body's position, metres: along the viewing ray and vertically.
ALONG_RAY = 0.07
VERTICAL = 0.03
MOST_SHIFT = 0.3  # metres: a person farther from the floor stands on something else


def gait_of(motion: Motion, body: BodyModel) -> Gait:
    """Soles, centre of mass and trunk of a motion in the camera frame."""
    joints = joints_of(motion, body, 'smpl24')
    index = {name: i for i, name in enumerate(SMPL24)}
    trunk = joints[:, index['neck']] - joints[:, index['pelvis']]
    return Gait(
        soles=soles_of(motion, body),
        mass=np.einsum('fjc,j->fc', joints, mass_shares()),
        trunk=trunk / np.linalg.norm(trunk, axis=1, keepdims=True),
        fps=motion.fps,
    )


def mass_shares() -> np.ndarray:
    """(24,) weights of SMPL's joints, whose weighted mean is the centre of mass."""
    shares = np.zeros(24)
    for mass, first, second, position in SEGMENTS:
        sides = ('left_', 'right_') if first not in ('pelvis', 'neck') else ('',)
        for side in sides:
            shares[SMPL24.index(side + first)] += mass * (1 - position)
            shares[SMPL24.index(side + second)] += mass * position
    return shares / shares.sum()


def floors_of_clips(motions: Sequence[Motion], body: BodyModel) -> dict[str, FloorEstimate]:
    """One estimate per clip, from all of its people, by :func:`clip_of` of their names.

    Args:
        motions: tracks in the camera frame, whose cameras do not move.
        body: the body model of the motions.
    """
    people: dict[str, list[Gait]] = {}
    for motion in motions:
        people.setdefault(clip_of(motion.name), []).append(gait_of(motion, body))
    return {clip: estimate_floor(gaits) for clip, gaits in people.items()}


def clip_of(name: str) -> str:
    """The clip in the name of a track; its people are called ``<clip>_person1``, ``<clip>_person2_part2``, ..."""
    return re.sub(r'_person\d+(_part\d+)?$', '', name)


def on_floor(motion: Motion, body: BodyModel, floor: Floor) -> Motion:
    """Moves a person so that standing feet are on the floor, with the correction smoothed over time.

    A body is moved along its viewing ray, where its position is uncertain, as far as this changes its height, and
    vertically for the rest. A person who is never nearer than :data:`MOST_SHIFT` stands on something else and is not
    moved. The motion keeps the floor, which :func:`~hrtk.visualization.export.motion.in_world` uses.

    Args:
        motion: in the camera frame.
        body: the body model of the motion.
        floor: in the same frame.
    """
    motion = dataclasses.replace(motion, floor=floor)
    correction = floor_correction(motion, body, floor)
    if correction is None:
        return motion
    up = torch.from_numpy(floor.up)
    pelvis = _pelvis(motion, body)
    rays = pelvis / pelvis.norm(dim=-1, keepdim=True)
    rise = rays @ up
    along = correction * rise * ALONG_RAY**2 / ((rise * ALONG_RAY).square() + VERTICAL**2)
    vertical = correction - along * rise
    shift = along[:, None] * rays + vertical[:, None] * up
    return dataclasses.replace(motion, translation=motion.translation + shift)


def floor_correction(motion: Motion, body: BodyModel, floor: Floor) -> Optional[torch.Tensor]:
    """(F,) metres by which a person must rise; None if no foot stands, or the person stands on something else."""
    soles = soles_of(motion, body)
    gait = Gait(soles, soles.mean((1, 2)), soles.mean((1, 2)), motion.fps)
    stands = standing(gait, floor.up)
    frames = np.flatnonzero(stands.any((1, 2)))
    if len(frames) == 0:
        return None
    heights = np.where(stands, floor.heights(soles), np.inf).min((1, 2))[frames]
    if np.abs(np.median(heights)) > MOST_SHIFT:
        return None
    over_time = time_filter(motion.times, SETTLE_SECONDS)
    wanted = np.interp(motion.times, motion.times[frames], -heights)
    steady = running_percentile(wanted, 50, over_time.window)
    return smooth_positions(torch.from_numpy(steady)[:, None], over_time)[:, 0]


def sliding(
    motion: Motion,
    body: BodyModel,
    up: Optional[np.ndarray] = None,
    stands: Optional[np.ndarray] = None,
) -> float:
    """The mean step of standing feet from frame to frame, metres; NaN if no foot stands in two frames.

    Args:
        motion: in the camera frame.
        body: the body model of the motion.
        up: (3,) unit vector, which excludes feet in the air and vertical steps; None keeps both.
        stands: (F, 2, 3) bool, which points of the soles stand, to compare motions at the same points; None finds those
            of the motion itself.
    """
    soles = soles_of(motion, body)
    if stands is None:
        middle = soles.mean((1, 2))
        stands = standing(Gait(soles, middle, middle, motion.fps), up)
    steps = np.diff(soles, axis=0)
    if up is not None:
        steps = steps - (steps @ up)[..., None] * up
    both = stands[:-1] & stands[1:]
    if not both.any():
        return float('nan')
    return float(np.linalg.norm(steps, axis=-1)[both].mean())


def _pelvis(motion: Motion, body: BodyModel) -> torch.Tensor:
    return torch.from_numpy(joints_of(motion, body, 'smpl24')[:, 0])
