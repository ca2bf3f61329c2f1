"""One scene of the stream before rendering: a person, a motion and a hand-held camera, as numbers."""

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

# Standard deviation, in radians, of a person's own offset of every joint from the captured pose.
_POSTURE_OF_JOINT = {
    'left_wrist': 0.2,
    'right_wrist': 0.2,
    'left_ankle': 0.1,
    'right_ankle': 0.1,
    'left_hand': 0.1,
    'right_hand': 0.1,
}
POSTURE_SIGMA = np.array([_POSTURE_OF_JOINT.get(name, 0.05) for name in SMPL24[1:]])


def _leg(side: str) -> tuple[int, int, int]:
    """Indices of hip, knee and ankle among joints 1..23."""
    hip = SMPL24.index(f'{side}_hip') - 1
    knee = SMPL24.index(f'{side}_knee') - 1
    ankle = SMPL24.index(f'{side}_ankle') - 1
    return hip, knee, ankle


LEGS = (_leg('left'), _leg('right'))
FLIP = np.diag([1.0, -1.0, -1.0])  # y up, facing the viewer -> y down, z away
ANGLE_OF_DRIFT = 8  # degrees; scale of the person's distance from the middle of the image


@dataclasses.dataclass(frozen=True)
class Scene:
    """A person in front of a camera.

    Attributes:
        rotmat: (F, 24, 3, 3), root in the camera frame.
        betas: (10,).
        offset: (F, 3) pelvis in the camera frame, metres.
        action: name of the motion's action.
    """

    rotmat: np.ndarray
    betas: np.ndarray
    offset: np.ndarray
    action: str


def smooth_noise(
    rng: np.random.Generator, frames: int, fps: float, channels: int, top: float = 0.4
) -> np.ndarray:
    """(frames, channels) smooth curves of unit variance with frequencies up to ``top`` Hz."""
    time = np.arange(frames)[:, None, None] / fps
    frequency = rng.uniform(0.05, top, (3, channels))
    phase = rng.uniform(0, 2 * np.pi, (3, channels))
    return np.sin(2 * np.pi * frequency * time + phase).sum(1) * (2 / 3) ** 0.5


def sample_scene(rng: np.random.Generator, domain: Domain, frames: int, fps: float) -> Scene:
    """Draws a scene of a domain; every viewing direction is equally likely.

    The order of the random draws is part of the data: any change yields other scenes.

    Args:
        rng: source of all random numbers.
        domain: ranges of the scene.
        frames: F; 1 for a still view.
        fps: frames per second; the motion is sampled at the nearest whole step.
    """
    clip = _sample_clip(rng, domain.split, frames, fps)
    body_rotmat = _sample_body_pose(rng, domain, clip)
    world = _sample_viewpoint(rng, domain, frames, fps)
    global_orient = clip.global_orient.astype(np.float64)
    root = world @ Rotation.from_rotvec(global_orient).as_matrix()
    distance = rng.uniform(*domain.distance)
    drift = _path_around_camera_target(clip.transl, fps)
    offset = np.einsum('fij,fj->fi', world, drift)
    extent = 0.04 * distance * np.tan(np.radians(ANGLE_OF_DRIFT))
    offset[:, :2] += extent * smooth_noise(rng, frames, fps, 2)
    offset[:, 2] = np.maximum(offset[:, 2], -0.5) + distance
    betas = rng.normal(size=10) * domain.shape
    rotmat = np.concatenate([root[:, None], body_rotmat], 1)
    return Scene(rotmat, betas, offset, clip.action)


def _sample_body_pose(rng: np.random.Generator, domain: Domain, clip: MotionClip) -> np.ndarray:
    """(F, 23, 3, 3) rotations of joints 1..23."""
    captured = clip.body_pose.astype(np.float64)
    body_pose = _mean_pose() + domain.motion * (captured - _mean_pose())
    # Motion capture leaves wrists, hands and toes at rest, and people differ in their posture.
    body_pose += rng.normal(size=(23, 3)) * POSTURE_SIGMA[:, None]
    matrices = Rotation.from_rotvec(body_pose.reshape(-1, 3)).as_matrix()
    rotmat = matrices.reshape(len(clip), 23, 3, 3)
    share = 0.0
    if rng.random() < domain.upright:
        share = rng.uniform(0.3, 1.0)
    _stretch_legs(rotmat, body_pose, share)
    return rotmat


def _sample_viewpoint(
    rng: np.random.Generator, domain: Domain, frames: int, fps: float
) -> np.ndarray:
    """(F, 3, 3) rotations from the world of the motion to the frame of a hand-held camera."""
    turn = Rotation.from_euler('y', rng.uniform(-np.pi, np.pi)).as_matrix()
    shake = domain.sway * smooth_noise(rng, frames, fps, 3)
    tilt = rng.uniform(*domain.tilt)
    roll = rng.normal() * domain.roll
    angles = np.stack([roll + shake[:, 0], tilt + shake[:, 1]], 1)
    camera = Rotation.from_euler('zx', angles, degrees=True).as_matrix()
    return camera @ FLIP @ turn


def _stretch_legs(rotmat: np.ndarray, body_pose: np.ndarray, share: float) -> None:
    """Reduces the bend of both knees by a share, in place; half of it at hip and ankle keeps the foot under the body.

    Half of the captured frames are dance, fights and ball games on bent knees; people in photographs stand.

    Args:
        rotmat: (F, 23, 3, 3) rotations of joints 1..23, changed.
        body_pose: (F, 23, 3) the same in axis-angle.
        share: of the bend that is removed, in [0, 1].
    """
    for hip, knee, ankle in LEGS:
        bend = share * np.maximum(body_pose[:, knee], 0)[:, :1]
        half = Rotation.from_euler('x', bend / 2).as_matrix()
        straight = Rotation.from_euler('x', -bend).as_matrix()
        rotmat[:, hip] = rotmat[:, hip] @ half
        rotmat[:, knee] = rotmat[:, knee] @ straight
        rotmat[:, ankle] = half @ rotmat[:, ankle]


def _sample_clip(rng: np.random.Generator, split: str, frames: int, fps: float) -> MotionClip:
    """A stretch of a clip, mirrored half of the time; every frame of every clip is equally likely to be its start."""
    clips = _clips(split)
    step = max(round(clips[0].fps / fps), 1)
    starts = [max(len(clip) - step * (frames - 1), 0) for clip in clips]
    ends = np.cumsum(starts)  # the starts of all clips, numbered through
    if ends[-1] == 0:
        raise InputError(
            f'OpenStream: no motion clip is long enough for {frames} frames at {fps} frames/s; the '
            f'longest has {max(map(len, clips)) // step}'
        )
    number = int(rng.integers(ends[-1]))
    index = int(np.searchsorted(ends, number, side='right'))
    start = number - int(ends[index] - starts[index])
    sampled = start + step * np.arange(frames)
    clip = clips[index]
    stretch = dataclasses.replace(clip, poses=clip.poses[sampled], transl=clip.transl[sampled])
    if rng.random() < 0.5:
        return stretch
    return stretch.mirrored()


@functools.cache
def _clips(split: str) -> list[MotionClip]:
    return load_motion(split)


@functools.cache
def _mean_pose() -> np.ndarray:
    """(23, 3) mean axis-angle of the training motion and its mirror image, the centre of ``Domain.motion``."""
    poses = []
    for clip in _clips('train'):
        poses += [clip.body_pose, clip.mirrored().body_pose]
    return np.concatenate(poses).mean(0, dtype=np.float64)


def _path_around_camera_target(translation: np.ndarray, fps: float) -> np.ndarray:
    """(F, 3) metres: the path relative to the point that a camera operator who follows the person looks at."""
    target = gaussian_filter1d(translation.astype(np.float64), 0.6 * fps, axis=0, mode='nearest')
    return translation - target
