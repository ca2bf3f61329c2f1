"""All people of a run placed in the cameras of their clips, with floors, and numbers about them."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Mapping, Optional

from hrtk.body_models import BodyModel
from hrtk.geometry.floor import FloorEstimate
from hrtk.geometry.smoothing import jitter
from hrtk.results import Result
from hrtk.visualization.export.foot_lock import lock_feet, stances_of
from hrtk.visualization.export.ground import clip_of, floors_of_clips, on_floor, sliding
from hrtk.visualization.export.joints import joint_positions
from hrtk.visualization.export.motion import Motion
from hrtk.visualization.export.placing import (
    Placed,
    Placing,
    depth_step,
    evenly_spaced,
    place_track,
)

# Of the diagonal of the image: background that moves farther is that of a moving camera.
STILL_CAMERA = 0.01


def place_people(
    results: Mapping[str, Result],
    row: str,
    body: BodyModel,
    placing: Placing,
    background: Optional[Mapping[str, float]] = None,
) -> dict[str, Placed]:
    """Places tracks in the camera frames of their clips, with floors where these can be estimated.

    Args:
        results: of the tracks, by any key.
        row: ``'after'`` or ``'before'``.
        body: the body model of the results.
        placing: options.
        background: how far the background of a clip moves, as a share of the image's diagonal, by the name of the clip
            (:func:`~hrtk.visualization.export.ground.clip_of`). The cameras of other clips are taken as still.

    Returns:
        The motions by the same keys. Their facts are those of :func:`~hrtk.visualization.export.placing.place_track`
        of the final motion, and the mean step of standing feet per frame: ``sliding_before_mm`` (without filter),
        ``sliding_filtered_mm`` (filtered, on the floor) and ``sliding_mm`` (with locked feet), all at the ``stances``
        of the filtered motion, or None if no foot stands; ``floor_shift_mm`` and ``floor_shift_px`` (how far floor and
        locked feet move the joints, in the camera frame and in the image), and ``floor`` (see :func:`floor_facts`).

    Raises:
        InputError: an array of a result has another shape or is not finite.
    """
    placed = {key: place_track(result, row, body, placing) for key, result in results.items()}
    floors: dict[str, FloorEstimate] = {}
    if placing.floor:
        clips = [
            person.motion for key, person in placed.items() if evenly_spaced(results[key].frame_ids)
        ]
        floors = floors_of_clips(clips, body)
        for clip, share in (background or {}).items():
            if share > STILL_CAMERA:
                reason = f'the camera moves: its background shifts by {share:.1%} of the image'
                floors[clip] = FloorEstimate(None, reason, 0.0, math.inf, 0)
    return {
        key: _with_floor(person, body, floors.get(clip_of(person.motion.name)), placing)
        for key, person in placed.items()
    }


def floor_facts(estimate: Optional[FloorEstimate]) -> dict[str, Any]:
    """Plain values of an estimate: ``found``, ``reason`` of a refusal, and of a floor ``confidence``,
    ``uncertainty_degrees``, ``tilt_degrees`` (between gravity and the image's vertical), ``up`` (in the camera frame),
    ``camera_height_m`` and ``stances``."""
    if estimate is None:
        return dict(found=False, reason='not asked for, or the frames are not consecutive')
    if estimate.floor is None:
        return dict(found=False, reason=estimate.reason)
    return dict(
        found=True,
        confidence=estimate.confidence,
        uncertainty_degrees=estimate.uncertainty,
        tilt_degrees=estimate.floor.tilt_degrees,
        up=estimate.floor.up.tolist(),
        camera_height_m=estimate.floor.height,
        stances=estimate.stances,
    )


def describe(name: str, facts: Mapping[str, Any]) -> str:
    """One line about a track for a terminal; that of a single frame tells nothing about motion."""
    known = 'known' if facts['focal_known'] else 'assumed'
    parts = [f'focal length {facts["focal_px"]:.0f} px ({known})']
    if facts['frames'] == 1:
        return f'{name}: {parts[0]}'
    parts.append(f'jitter {facts["jitter_before_mm"]:.1f} -> {facts["jitter_mm"]:.1f} mm/frame²')
    parts.append(
        f'depth steps {facts["depth_step_before_mm"]:.1f} -> {facts["depth_step_mm"]:.1f} mm/frame'
    )
    if facts['sliding_before_mm'] is not None and facts['sliding_mm'] is not None:
        parts.append(
            f'feet slide {facts["sliding_before_mm"]:.1f} -> {facts["sliding_mm"]:.1f} mm/frame'
        )
    if facts['jumps']:
        parts.append(
            f'{facts["jumps"]} jumps of the whole body, perhaps of exchanged left and right sides'
        )
    floor = facts['floor']
    if floor['found']:
        parts.append(
            f'gravity {floor["tilt_degrees"]:.0f} degrees from the vertical of the image, '
            f'confidence {floor["confidence"]:.2f}'
        )
    else:
        parts.append(f'no floor: {floor["reason"]}')
    return f'{name}: {"; ".join(parts)}'


def _with_floor(
    person: Placed, body: BodyModel, estimate: Optional[FloorEstimate], placing: Placing
) -> Placed:
    """Brings a person to the floor and locks the feet; sliding is that of the same points in all three motions."""
    up = None
    floor = None
    if estimate is not None:
        floor = estimate.floor
    motion = person.motion
    if floor is not None:
        up = floor.up
        motion = on_floor(motion, body, floor)
    stances = stances_of(motion, body, up)
    filtered = motion
    if placing.lock_feet and evenly_spaced(motion.frame_ids):
        motion = lock_feet(motion, body, stances)
    slides = [sliding(one, body, up, stances.stands) for one in (person.raw, filtered, motion)]
    facts = dict(
        person.facts,
        sliding_before_mm=_millimetres(slides[0]),
        sliding_filtered_mm=_millimetres(slides[1]),
        sliding_mm=_millimetres(slides[2]),
        stances=stances.count,
        floor=floor_facts(estimate),
    )
    facts.update(_after_floor(person.motion, motion, body))
    return dataclasses.replace(person, motion=motion, facts=facts)


def _after_floor(filtered: Motion, motion: Motion, body: BodyModel) -> dict[str, float]:
    """Jitter and depth steps of the final motion, and how far it is from the filtered one."""
    joints = joint_positions(motion, body)
    moved, moved_pixels = (a - b for a, b in zip(joints, joint_positions(filtered, body)))
    return dict(
        jitter_mm=1000 * jitter(joints[0]),
        depth_step_mm=1000 * depth_step(joints[0]),
        floor_shift_mm=1000 * float(moved.norm(dim=-1).mean()),
        floor_shift_px=float(moved_pixels.norm(dim=-1).mean()),
    )


def _millimetres(metres: float) -> Optional[float]:
    """None for NaN, which JSON does not have."""
    return None if math.isnan(metres) else 1000 * metres
