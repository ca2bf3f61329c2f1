"""One scene of the stream: a person, a motion and a hand-held camera, as numbers before anything is drawn."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from hrtk.body_models.skeletons import SMPL24
from hrtk.datasets.motion import MotionClip, load_motion
from hrtk.datasets.open_stream.domain import Domain
from hrtk.errors import InputError

# Radians; how far each joint of a person may sit from the captured pose, wrists and ankles furthest.
_WIDE = {
    'left_wrist': 0.2,
    'right_wrist': 0.2,
    'left_ankle': 0.1,
    'right_ankle': 0.1,
    'left_hand': 0.1,
    'right_hand': 0.1,
}
HABIT = np.array([_WIDE.get(name, 0.05) for name in SMPL24[1:]])
LEGS = [
    tuple(SMPL24.index(f'{side}_{part}') - 1 for part in ('hip', 'knee', 'ankle'))
    for side in ('left', 'right')
]
FLIP = np.diag([1.0, -1.0, -1.0])  # y up, facing the viewer -> y down, z away


@dataclasses.dataclass(frozen=True)
class Scene:
    """What happens before the camera.

    Attributes:
        rotmat: (F, 24, 3, 3), root in the camera frame.
        betas: (10,).
        offset: (F, 3) pelvis in the camera frame, metres.
        action: what the motion shows.
    """

    rotmat: np.ndarray
    betas: np.ndarray
    offset: np.ndarray
    action: str


def smooth_noise(
    rng: np.random.Generator, frames: int, fps: float, channels: int, top: float = 0.4
) -> np.ndarray:
    """(frames, channels) smooth curves of unit variance whose frequencies reach ``top`` Hz."""
    time = np.arange(frames)[:, None, None] / fps
    frequency, phase = (
        rng.uniform(0.05, top, (3, channels)),
        rng.uniform(0, 2 * np.pi, (3, channels)),
    )
    return np.sin(2 * np.pi * frequency * time + phase).sum(1) * (2 / 3) ** 0.5


def sample_scene(rng: np.random.Generator, domain: Domain, frames: int, fps: float) -> Scene:
    """Draws a scene of a domain; every viewing direction is equally likely.

    Args:
        rng: where all randomness comes from.
        domain: the ranges.
        frames: F; 1 for a still view.
        fps: frames per second; the motion is sampled at the nearest whole step.
    """
    clip = _pick(rng, domain.split, frames, fps)
    pose = clip.poses.astype(np.float64)
    pose[:, 1:] = _mean_pose() + domain.motion * (pose[:, 1:] - _mean_pose())
    # Capture leaves wrists, hands and toes at rest, and people differ in how they hold the rest of themselves.
    pose[:, 1:] += rng.normal(size=(23, 3)) * HABIT[:, None]
    local = Rotation.from_rotvec(pose[:, 1:].reshape(-1, 3)).as_matrix().reshape(frames, 23, 3, 3)
    _stretch_legs(local, pose, rng.random() < domain.upright and rng.uniform(0.3, 1.0))
    turn = Rotation.from_euler('y', rng.uniform(-np.pi, np.pi)).as_matrix()
    shake = domain.sway * smooth_noise(rng, frames, fps, 3)
    tilt, roll = rng.uniform(*domain.tilt), rng.normal() * domain.roll
    camera = Rotation.from_euler(
        'zx', np.stack([roll + shake[:, 0], tilt + shake[:, 1]], 1), degrees=True
    ).as_matrix()
    world = camera @ FLIP @ turn
    root = world @ Rotation.from_rotvec(pose[:, 0]).as_matrix()
    distance = rng.uniform(*domain.distance)
    offset = np.einsum('fij,fj->fi', world, _drift(clip.transl, fps))
    offset[:, :2] += 0.04 * distance * np.tan(np.radians(8)) * smooth_noise(rng, frames, fps, 2)
    offset[:, 2] = np.maximum(offset[:, 2], -0.5) + distance
    return Scene(
        np.concatenate([root[:, None], local], 1),
        rng.normal(size=10) * domain.shape,
        offset,
        clip.action,
    )


def _stretch_legs(local: np.ndarray, pose: np.ndarray, share: float) -> None:
    """Takes away a share of the bend of both knees, in place; half of it each at hip and ankle keeps the foot below.

    Half of the captured frames are dance, fights and ball games on bent knees; people on photographs stand.
    """
    for hip, knee, ankle in LEGS:
        bend = share * np.maximum(pose[:, 1 + knee], 0)[:, :1]
        half, whole = (Rotation.from_euler('x', angle).as_matrix() for angle in (bend / 2, -bend))
        local[:, hip] = local[:, hip] @ half
        local[:, knee] = local[:, knee] @ whole
        local[:, ankle] = half @ local[:, ankle]


def _pick(rng: np.random.Generator, split: str, frames: int, fps: float) -> MotionClip:
    """A stretch of a clip, mirrored half of the time; every frame of every clip is as likely a start."""
    clips = _clips(split)
    step = max(round(clips[0].fps / fps), 1)
    room = np.cumsum([max(len(clip) - step * (frames - 1), 0) for clip in clips])
    if room[-1] == 0:
        raise InputError(
            f'OpenStream: no motion clip is long enough for {frames} frames at {fps} frames/s; the '
            f'longest has {max(map(len, clips)) // step}'
        )
    place = int(rng.integers(room[-1]))
    which = int(np.searchsorted(room, place, side='right'))
    start = place - int(room[which - 1] if which else 0)
    index = start + step * np.arange(frames)
    clip = dataclasses.replace(
        clips[which], poses=clips[which].poses[index], transl=clips[which].transl[index]
    )
    return clip if rng.random() < 0.5 else clip.mirrored()


@functools.cache
def _clips(split: str) -> list[MotionClip]:
    return load_motion(split)


@functools.cache
def _mean_pose() -> np.ndarray:
    """(23, 3) mean axis-angle of the training motion and its mirror image, about which ``motion`` scales."""
    clips = _clips('train')
    poses = np.concatenate(
        [pose for clip in clips for pose in (clip.body_pose, clip.mirrored().body_pose)]
    )
    return poses.mean(0, dtype=np.float64)


def _drift(translation: np.ndarray, fps: float) -> np.ndarray:
    """What is left of the path after a camera operator has followed the person: (F, 3) metres."""
    return translation - gaussian_filter1d(
        translation.astype(np.float64), 0.6 * fps, axis=0, mode='nearest'
    )
