"""Free captured motion before four cameras: the open counterpart of Human3.6M for lifting."""

from __future__ import annotations

import dataclasses
import functools
import math
from pathlib import Path
from typing import Optional

import numpy as np
import torch

from hrtk.body_models import BodyModel
from hrtk.datasets.lifting.cameras import look_at, normalised_intrinsics, project, world_to_camera
from hrtk.datasets.lifting.joints import check_order, from_regressor
from hrtk.datasets.lifting.windows import PoseTrack, PoseWindows
from hrtk.datasets.motion import ASSET, SPLITS, MotionClip, load_motion
from hrtk.errors import InputError
from hrtk.files import sha256
from hrtk.geometry.rotation import axis_angle_to_rotmat
from hrtk.registry import DATASETS

TARGET = (0.0, 0.9, 0.0)  # metres; where all cameras look
GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))


@dataclasses.dataclass(frozen=True)
class MocapCamera:
    """A fixed camera; its numbers are Human3.6M's, rounded, and its picture is 1000 px wide.

    Attributes:
        name: what items call it.
        position: metres, y up; clips are in the middle, on the floor y = 0.
        height: of the picture, px.
        focal: px.
        centre: px.
        radial: k1, k2, k3.
        tangential: p1, p2.
    """

    name: str
    position: tuple[float, float, float]
    height: int
    focal: tuple[float, float]
    centre: tuple[float, float]
    radial: tuple[float, float, float]
    tangential: tuple[float, float]

    @property
    def intrinsics(self) -> np.ndarray:
        """(9,) normalised intrinsics."""
        return normalised_intrinsics(
            self.focal, self.centre, self.radial, self.tangential, 1000, self.height
        )

    @property
    def rotation(self) -> np.ndarray:
        """(3, 3) camera to world."""
        return look_at(self.position, TARGET)


CAMERAS = (
    MocapCamera(
        'front_left',
        (1.9, 1.55, 5.0),
        1002,
        (1145, 1144),
        (512.5, 515.5),
        (-0.207, 0.248, -0.003),
        (-0.0010, -0.0014),
    ),
    MocapCamera(
        'back_left',
        (1.9, 1.6, -5.1),
        1000,
        (1150, 1148),
        (509, 508),
        (-0.194, 0.240, 0.007),
        (-0.0016, -0.0027),
    ),
    MocapCamera(
        'front_right',
        (-1.7, 1.5, 5.2),
        1000,
        (1149, 1149),
        (520, 501.5),
        (-0.208, 0.255, -0.002),
        (0.0015, -0.0008),
    ),
    MocapCamera(
        'back_right',
        (-1.8, 1.55, -4.8),
        1002,
        (1145.5, 1145),
        (515, 502),
        (-0.198, 0.218, -0.009),
        (-0.0006, -0.0018),
    ),
)


@DATASETS.register_module()
class MocapLifting(PoseWindows):
    """Windows of the motion that ships with hrtk, one track per clip and camera.

    The open body with its mean shape is posed by the clips of :func:`hrtk.datasets.motion.load_motion`; the joints are
    those of its Human3.6M regressor, the split is the file's own, by whole recordings, and so is the frame rate, 30 per
    second. The middle of every clip's path is moved to where the cameras look; clip k of the file is turned about the
    vertical by k golden angles (137.5 degrees), so that all sides are seen. 2D joints are the exact projections, with
    the lenses' distortion, and may lie outside the picture.

    Args:
        split: ``'train'``, ``'test'`` (whole other recordings) or None for all clips.
        joints: ``'h36m17'``, or ``'h36m16'`` without the joint between neck and head.
        frames: F.
        step: frames between neighbours of a window.
        stride: frames between the middles of windows.
        flip: whether mirrored windows follow; default when training.
        noise_px: standard deviation of an error of every 2D coordinate, px of a picture 1000 px wide; the same whenever
            a frame is read.
        seed: of the noise.
        path: file of the clips.

    Raises:
        InputError: an option has no such value, or the file is not one of motion clips.
    """

    def __init__(
        self,
        split: Optional[str] = 'train',
        joints: str = 'h36m17',
        frames: int = 27,
        step: int = 1,
        stride: int = 1,
        flip: Optional[bool] = None,
        noise_px: float = 0.0,
        seed: int = 0,
        path: str | Path = ASSET,
    ) -> None:
        check_order(joints, ('h36m17', 'h36m16'), 'MocapLifting')
        if split not in (None, *SPLITS) or noise_px < 0:
            raise InputError(
                f'MocapLifting: split is one of {", ".join(map(repr, SPLITS))} and None, and noise_px is '
                f'not negative; they are {split!r} and {noise_px}'
            )
        self.split, self.path, self.noise_px, self.seed = split, Path(path), noise_px, seed
        rng, order = np.random.default_rng(seed), from_regressor(joints)
        tracks = []
        for clip, world in posed_motion(self.path):
            if split in (None, clip.split):
                tracks += [
                    _filmed(clip, world[:, order], camera, 2 * noise_px / 1000, rng)
                    for camera in CAMERAS
                ]
        super().__init__(
            tracks, joints, frames, step, stride, split != 'test' if flip is None else flip
        )

    def fingerprint(self) -> dict[str, str]:
        """A hash of the motion file."""
        return {'motion': sha256(self.path)}


@functools.cache
def posed_motion(path: Path) -> tuple[tuple[MotionClip, np.ndarray], ...]:
    """Every clip and its joints (F, 17, 3), ``h36m17`` of the body model, in metres in the cameras' world (y up).

    Posed once per process, in double precision, all clips at once.
    """
    clips = load_motion(None, path)
    body = BodyModel('open').double()
    with torch.inference_mode():
        rotmat = axis_angle_to_rotmat(
            torch.from_numpy(np.concatenate([clip.poses for clip in clips])).double()
        )
        betas = rotmat.new_zeros(1, 10)
        joints = body.joints(rotmat, betas.expand(len(rotmat), 10), 'h36m17').numpy()
        pelvis = body.joints(rotmat[:1], betas, 'smpl24')[
            0, 0
        ].numpy()  # turning about it leaves it in place
    parts = np.split(joints - pelvis, np.cumsum([len(clip) for clip in clips])[:-1])
    return tuple(
        (clip, _placed(clip, part, number)) for number, (clip, part) in enumerate(zip(clips, parts))
    )


def _placed(clip: MotionClip, joints: np.ndarray, number: int) -> np.ndarray:
    path = clip.transl.astype(np.float64)
    middle = (path.min(0) + path.max(0)) / 2 * (1, 0, 1)
    sine, cosine = math.sin(number * GOLDEN_ANGLE), math.cos(number * GOLDEN_ANGLE)
    turn = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    return (joints + (path - middle)[:, None]) @ turn.T


def _filmed(
    clip: MotionClip, world: np.ndarray, camera: MocapCamera, sigma: float, rng: np.random.Generator
) -> PoseTrack:
    joints = world_to_camera(world, camera.rotation, np.array(camera.position))
    seen = project(joints, camera.intrinsics)
    if sigma:
        seen = seen + sigma * rng.normal(size=seen.shape)
    return PoseTrack(
        f'{clip.name} {camera.name}',
        clip.name.split('#')[0],
        clip.action,
        camera.name,
        seen,
        joints,
        camera.intrinsics,
    )
