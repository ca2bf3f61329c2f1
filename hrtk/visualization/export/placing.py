"""From the predictions of a track in its crops to a motion in the camera frame of its clip."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any, Optional

import numpy as np
import torch
from torch import Tensor

from hrtk.body_models import BodyModel
from hrtk.errors import InputError
from hrtk.geometry.camera import clip_focal, image_middle, turn_root, viewing_rotation
from hrtk.geometry.perspective import crop_to_pixels, fit_translation, perspective_pixels
from hrtk.geometry.smoothing import (
    jitter,
    smooth_positions,
    smooth_rotations,
    time_filter,
    unbroken,
)
from hrtk.results import Result
from hrtk.structures import Prediction
from hrtk.visualization.export.motion import Motion, motion_of_crops, rest_joints

SMOOTH_SECONDS = 0.3
DEPTH_FACTOR = 3  # on the window for the distance, which is less certain than the direction
MOST_TURN = 60.0  # degrees between two frames: more is an error, such as exchanged sides
SKELETON = 'smpl24'  # the joints whose places in the image are kept


@dataclasses.dataclass(frozen=True)
class Placing:
    """How predictions in crops are placed in the camera frame of a clip.

    Attributes:
        focal: focal length, px; None takes that of the result, or else the default of
            :func:`~hrtk.geometry.camera.clip_focal`.
        fov: field of view along the longer side of the image, degrees, instead of ``focal``.
        viewing_ray: whether bodies are turned by the viewing ray of their crop, see
            :func:`~hrtk.geometry.camera.viewing_rotation`.
        smooth: seconds of the window of the filter over time, see :mod:`hrtk.geometry.smoothing`; 0 for none.
        floor: whether gravity and the floor are estimated, see :mod:`hrtk.geometry.floor`.
        lock_feet: whether standing feet stay at their places where a floor is found, see
            :mod:`hrtk.visualization.export.foot_lock`.

    Raises:
        InputError: a value is not in its range.
    """

    focal: Optional[float] = None
    fov: Optional[float] = None
    viewing_ray: bool = True
    smooth: float = SMOOTH_SECONDS
    floor: bool = True
    lock_feet: bool = True

    def __post_init__(self) -> None:
        if self.focal is not None or self.fov is not None:
            clip_focal((1, 1), self.focal, self.fov)
        if not 0 <= self.smooth < math.inf:
            raise InputError(
                f'the window of the filter is a number of seconds from 0 up, not {self.smooth}'
            )

    def knows_focal_of(self, result: Result) -> bool:
        """Whether the focal length for a result is given, here or by the result."""
        return any(value is not None for value in (self.focal, self.fov, result.focal))

    def focal_of(self, result: Result) -> float:
        """The focal length for a result, px."""
        if self.focal is None and self.fov is None:
            return clip_focal(result.image_size, result.focal)
        return clip_focal(result.image_size, self.focal, self.fov)

    def rotation_of(self, result: Result) -> Optional[Tensor]:
        """(F, 3, 3) float64 from the axes of the crops of a result to those of the camera.

        The principal point is the middle of the image. None without ``viewing_ray``.
        """
        if not self.viewing_ray:
            return None
        boxes = torch.as_tensor(result.boxes, dtype=torch.float64)
        middle = image_middle(result.image_size)
        return viewing_rotation(boxes, self.focal_of(result), middle)


@dataclasses.dataclass(frozen=True)
class Placed:
    """A motion in the camera frame, and numbers about the way to it.

    Attributes:
        motion: with one shape, without a floor.
        raw: the same without filter.
        facts: plain values, see :func:`place_track`.
    """

    motion: Motion
    raw: Motion
    facts: dict[str, Any]


def place_track(result: Result, row: str, body: BodyModel, placing: Placing) -> Placed:
    """Places a track in the camera frame of its clip, with one shape and one focal length.

    The body gets the mean betas of the track and is turned by the viewing ray. Its rotations are filtered over time.
    The translation is fitted so that the joints keep the places in the image that the crop cameras give them, and
    filtered as direction and distance.

    Args:
        result: of the track.
        row: ``'after'`` or ``'before'``.
        body: the body model of the result.
        placing: options.

    Returns:
        The motion, and as facts ``frames``, ``focal_px``, ``focal_known``, ``viewing_ray``, ``smoothed_frames`` (the
        window; 1 for none), ``jumps`` (turns of the whole body of more than :data:`MOST_TURN` between two frames, over
        which rotations are not filtered), ``jitter_mm`` and ``jitter_before_mm`` (the mean second difference of joints
        in the camera frame, per frame squared, with and without filter), ``depth_step_mm`` and ``depth_step_before_mm``
        (the mean change of the pelvis's distance from frame to frame) and ``image_shift_px`` (the mean distance of
        joints from their places in the image that the crop cameras give them).

    Raises:
        InputError: an array has another shape or is not finite.
    """
    prediction = result.after if row == 'after' else result.before
    focal = placing.focal_of(result)
    crops = _crops_of(result, prediction, focal)
    boxes = torch.as_tensor(result.boxes, dtype=torch.float64)
    camera = torch.as_tensor(prediction.camera, dtype=torch.float64)
    pixels = crop_to_pixels(_joints(body, crops.rotmat, crops.betas), camera, boxes)
    rotmat = crops.rotmat
    rotation = placing.rotation_of(result)
    if rotation is not None:
        rotmat = turn_root(rotmat, rotation)
    betas = crops.betas.mean(0, keepdim=True).expand_as(crops.betas)
    raw = _fitted(dataclasses.replace(crops, rotmat=rotmat, betas=betas), body, pixels)
    motion = raw
    over_time = time_filter(raw.times, _seconds(result, placing))
    pieces = unbroken(rotmat[:, 0], MOST_TURN)
    if over_time.window > 1:
        smooth = dataclasses.replace(
            raw, rotmat=_smooth_pieces(rotmat, pieces, raw.times, placing.smooth)
        )
        motion = smooth_path(_fitted(smooth, body, pixels), body, placing.smooth)
    joints = _placed_joints(body, motion)
    seen = perspective_pixels(joints, focal, image_middle(result.image_size))
    facts = dict(
        frames=len(motion),
        focal_px=focal,
        focal_known=placing.knows_focal_of(result),
        viewing_ray=placing.viewing_ray,
        smoothed_frames=over_time.window,
        jumps=len(pieces) - 1,
        **_unsteadiness(_placed_joints(body, raw), joints),
        image_shift_px=float((seen - pixels).norm(dim=-1).mean()),
    )
    return Placed(motion, raw, facts)


def _placed_joints(body: BodyModel, motion: Motion) -> Tensor:
    """(F, J, 3) joints in the camera frame of the clip, metres."""
    return _joints(body, motion.rotmat, motion.betas) + motion.translation[:, None]


def _unsteadiness(before: Tensor, after: Tensor) -> dict[str, float]:
    """The jitter and the depth step of (F, J, 3) joints without and with the filter, see :func:`place_track`."""
    return dict(
        jitter_before_mm=1000 * jitter(before),
        jitter_mm=1000 * jitter(after),
        depth_step_before_mm=1000 * depth_step(before),
        depth_step_mm=1000 * depth_step(after),
    )


def _crops_of(result: Result, prediction: Prediction, focal: float) -> Motion:
    """The motion that the crop cameras of a prediction give, without any filter."""
    return motion_of_crops(
        result.name,
        prediction.rotmat,
        prediction.betas,
        prediction.camera,
        result.boxes,
        result.frame_ids,
        result.fps,
        result.image_size,
        focal,
        result.times,
    )


def evenly_spaced(frame_ids: tuple[str, ...]) -> bool:
    """Whether the last numbers in the labels of frames rise by the same step; true for labels without numbers."""
    numbers = [re.findall(r'\d+', label) for label in frame_ids]
    if not all(numbers):
        return True
    steps = np.diff([int(found[-1]) for found in numbers])
    return len(set(steps.tolist())) <= 1


def _fitted(motion: Motion, body: BodyModel, pixels: Tensor) -> Motion:
    """The motion with the translation that brings its joints to (F, 24, 2) px."""
    joints = _joints(body, motion.rotmat, motion.betas)
    middle = image_middle(motion.image_size)
    return dataclasses.replace(
        motion, translation=fit_translation(joints, pixels, motion.focal, middle)
    )


def _seconds(result: Result, placing: Placing) -> float:
    """The window of the filter for a result."""
    if result.times is None and not evenly_spaced(result.frame_ids):
        return 0.0
    return placing.smooth


def depth_step(joints: Tensor) -> float:
    """The mean change of the pelvis's distance from frame to frame, metres; 0 for one frame."""
    if len(joints) < 2:
        return 0.0
    return float(joints[:, 0, 2].diff().abs().mean())


def _smooth_pieces(
    rotmat: Tensor, pieces: list[slice], times: np.ndarray, seconds: float
) -> Tensor:
    """Filters rotations (F, 24, 3, 3) within pieces."""
    smooth = [
        smooth_rotations(rotmat[piece], time_filter(times[piece], seconds)) for piece in pieces
    ]
    return torch.cat(smooth)


def smooth_path(motion: Motion, body: BodyModel, seconds: float) -> Motion:
    """Filters the pelvis's direction, and over longer windows the logarithm of its distance."""
    rest_pelvis = rest_joints(body, motion.betas)[:, 0]
    pelvis = rest_pelvis + motion.translation
    depth = pelvis[:, 2:]
    slopes = smooth_positions(pelvis[:, :2] / depth, time_filter(motion.times, seconds))
    longer = time_filter(motion.times, DEPTH_FACTOR * seconds)
    depth = smooth_positions(depth.log(), longer).exp()
    smooth = torch.cat([slopes * depth, depth], dim=1)
    return dataclasses.replace(motion, translation=smooth - rest_pelvis)


@torch.no_grad()
def _joints(body: BodyModel, rotmat: Tensor, betas: Tensor) -> Tensor:
    """(F, 24, 3) metres before translation, float64."""
    template = body.template
    return body.joints(rotmat.to(template), betas.to(template), SKELETON).double().cpu()
