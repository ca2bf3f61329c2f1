"""A person before a tilted camera whose intrinsics, gravity and floor are known, as a network would report it."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import torch
from export_parts import free_body
from scipy.spatial.transform import Rotation

from hrtk.datasets.motion import load_motion
from hrtk.geometry.camera import viewing_rotation
from hrtk.geometry.perspective import perspective_to_crop
from hrtk.results import Result
from hrtk.structures import Prediction
from hrtk.visualization.export import Motion

SIZE = (1280, 720)
FOCAL = 1100.0
MIDDLE = (639.5, 359.5)
HEIGHT = 1.7  # of the camera above the floor, metres
TURN = Rotation.from_euler('zx', [8, 20], degrees=True).as_matrix() @ np.diag([1.0, -1, -1])
UP = TURN[:, 1]


@functools.lru_cache(maxsize=None)
def walking(frames: int = 60) -> Motion:
    """Captured walking before the camera: every second frame of 30 per second."""
    clip = next(clip for clip in load_motion('test') if clip.action == 'walking')
    part = slice(0, 2 * frames, 2)
    vectors = np.float64(clip.poses[part])
    rotmat = Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix().reshape(-1, 24, 3, 3)
    rotmat[:, 0] = TURN @ rotmat[:, 0]
    root = np.float64(clip.transl[part])
    middle = (root.min(0) + root.max(0)) / 2 * [1, 0, 1]
    eye = np.array([0.4, HEIGHT, 5.0])  # beside the optical axis
    pelvis = (root - middle - eye) @ TURN.T
    identity = torch.eye(3).double().expand(1, 24, 3, 3)
    rest = free_body().joints(identity, torch.zeros(1, 10).double(), 'smpl24')[0, 0].numpy()
    return Motion(
        'clip_person1',
        torch.from_numpy(rotmat),
        torch.zeros(len(rotmat), 10).double(),
        torch.from_numpy(pelvis - rest),
        tuple(f'{t:06d}' for t in range(len(rotmat))),
        clip.fps / 2,
        SIZE,
        FOCAL,
    )


def joints_of(motion: Motion, skeleton: str = 'smpl24') -> torch.Tensor:
    """(F, J, 3) metres in the camera frame."""
    joints = free_body().joints(motion.rotmat, motion.betas, skeleton)
    return joints + motion.translation[:, None]


def seen_in_crops(motion: Motion, noise: float = 0.0, focal: float | None = None) -> Result:
    """The result of a network that is right in the axes of its crops.

    Args:
        motion: the truth.
        noise: standard deviation of its rotations, radians.
        focal: stored in the result.
    """
    joints = joints_of(motion)
    pixels = joints[..., :2] / joints[..., 2:] * motion.focal + torch.tensor(MIDDLE)
    low, high = pixels.amin(1), pixels.amax(1)
    side = 1.2 * (high - low).amax(1, keepdim=True)
    boxes = torch.cat([(low + high) / 2, side], 1)
    to_crop = viewing_rotation(boxes, motion.focal, MIDDLE).mT
    rotmat = motion.rotmat.clone()
    rotmat[:, 0] = to_crop @ rotmat[:, 0]
    in_crop = dataclasses.replace(motion, rotmat=rotmat)
    body = free_body()
    points = body.joints(in_crop.rotmat, motion.betas, 'smpl24')
    turned = body.joints(motion.rotmat, motion.betas, 'smpl24')
    camera = perspective_to_crop(points, turned, motion.translation, boxes, motion.focal, MIDDLE)
    errors = np.random.default_rng(0).normal(0, noise, (len(motion) * 24, 3))
    spoilt = Rotation.from_rotvec(errors).as_matrix().reshape(rotmat.shape)
    prediction = Prediction(
        (rotmat @ torch.from_numpy(spoilt)).float(), motion.betas.float(), camera.float()
    )
    return Result(
        name=motion.name,
        before=prediction,
        after=prediction,
        boxes=boxes.float().numpy(),
        keypoints2d=np.zeros((len(motion), 17, 3), np.float32),
        keypoints_source='none',
        skeleton='coco17',
        frame_ids=motion.frame_ids,
        image_size=SIZE,
        fps=motion.fps,
        ms_per_frame=1.0,
        before_ms_per_frame=1.0,
        focal=focal,
    )
