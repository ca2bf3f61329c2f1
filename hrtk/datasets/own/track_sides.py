"""The repair of left and right in a track of a keypoint file, with all that the file holds about it."""

from __future__ import annotations

import dataclasses
from typing import Optional

import numpy as np

from hrtk.datasets.own.sides import SideRepair, Sides, exchange_sides
from hrtk.detectors.findings import COUNT, MIRRORED, SKELETON, FoundLandmarks

LEAST_VISIBILITY = 0.3  # of a landmark that counts


def repair_track(
    points: np.ndarray,
    skeleton: str,
    times: np.ndarray,
    fps: float,
    landmarks: Optional[FoundLandmarks],
    rows: np.ndarray,
) -> tuple[np.ndarray, Optional[FoundLandmarks], Sides]:
    """Puts left and right of a track right.

    With landmarks, their positions, their 3D points and the mirrored runs decide; without, the keypoints do.

    Args:
        points: (F, K, 3) keypoints of the track, zeros in frames without the person.
        skeleton: joint list of the points.
        times: (F,) seconds, ascending.
        fps: frames per second.
        landmarks: of all rows of the file, or None.
        rows: (F,) row of every frame, -1 in frames without the person.

    Returns:
        Copies of the points and the landmarks of the file with exchanged sides put right, and what was found.
    """
    repair = SideRepair()
    seen = rows >= 0
    if landmarks is None or not np.isfinite(landmarks.flag[rows[seen]]).all():
        repaired, sides = repair(points, skeleton, fps, times=times)
        return repaired, landmarks, sides
    sides = repair.find(times=times, fps=fps, **_evidence(landmarks, rows))
    repaired = exchange_sides(points, skeleton, sides.exchanged)
    return repaired, _exchanged(landmarks, rows[seen], sides.exchanged[seen]), sides


def _evidence(landmarks: FoundLandmarks, rows: np.ndarray) -> dict:
    """The arguments of :meth:`SideRepair.find`: NaN in frames without the person."""
    count = len(rows)
    seen = rows >= 0
    keypoints = np.full((count, COUNT, 3), np.nan)
    keypoints[seen, :, :2] = landmarks.xyz[rows[seen], :, :2]
    visibility = landmarks.visibility[rows[seen]]
    keypoints[seen, :, 2] = np.where(visibility < LEAST_VISIBILITY, 0, visibility)
    world = np.full((count, COUNT, 3), np.nan)
    world[seen] = landmarks.world[rows[seen]]
    evidence = dict(keypoints2d=keypoints, skeleton=SKELETON, landmarks3d=world)
    mirrored = np.full((count, COUNT, 3), np.nan)
    part = mirrored[:, list(MIRRORED)]
    part[seen] = landmarks.mirrored[rows[seen]]
    mirrored[:, list(MIRRORED)] = part
    if np.isfinite(mirrored).any():
        evidence['mirrored'] = mirrored
    return evidence


def _exchanged(
    landmarks: FoundLandmarks, rows: np.ndarray, exchanged: np.ndarray
) -> FoundLandmarks:
    fields = {}
    for name in ('xyz', 'world', 'visibility'):
        values = getattr(landmarks, name).copy()
        values[rows] = exchange_sides(values[rows], SKELETON, exchanged)
        fields[name] = values
    return dataclasses.replace(landmarks, **fields)


def repair_message(sides: Sides, frames: int, person: str) -> str:
    """What the log says about the sides of a track of so many frames; empty if nothing was found exchanged."""
    if not sides.count:
        return ''
    if sides.decided:
        return f'repaired left and right in {sides.count} of {frames} frames of person {person}'
    return (
        f'left and right of person {person} change, but whether {sides.count} or the other {frames - sides.count} of '
        f'{frames} frames are wrong is uncertain; not repaired'
    )
