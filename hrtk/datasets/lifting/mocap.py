"""Free captured motion in front of four cameras: the open counterpart of Human3.6M for lifting."""

from __future__ import annotations

import dataclasses
import functools
import math
from pathlib import Path
from typing import Optional

import numpy as np
import torch

from hrtk.body_models import BodyModel
from hrtk.body_models.joint_orders import check_order
from hrtk.datasets.lifting.cameras import look_at, normalised_intrinsics, project, world_to_camera
from hrtk.datasets.lifting.joints import from_regressor
from hrtk.datasets.lifting.windows import PoseTrack, PoseWindows
from hrtk.datasets.motion import ASSET, SPLITS, MotionClip
from hrtk.datasets.motion_files import read_motion
from hrtk.errors import OptionError
from hrtk.geometry.rotation import axis_angle_to_rotmat
from hrtk.reading.hashes import sha256
from hrtk.registry import DATASETS

TARGET = (0.0, 0.9, 0.0)  # metres; the point that all cameras look at
WIDTH = 1000  # of all images, px
GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))


@dataclasses.dataclass(frozen=True)
class MocapCamera:
    """A fixed camera; its numbers are Human3.6M's, rounded, and its image is 1000 px wide.

    Attributes:
        name: camera of the items.
        position: metres, y up; clips are in the middle, on the floor y = 0.
        height: of the image, px.
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
            self.focal, self.centre, self.radial, self.tangential, WIDTH, self.height
        )

    @property
    def rotation(self) -> np.ndarray:
        """(3, 3) camera to world."""
        return look_at(self.position, TARGET)


CAMERAS = (
    MocapCamera(
        name='front_left',
        position=(1.9, 1.55, 5.0),
        height=1002,
        focal=(1145, 1144),
        centre=(512.5, 515.5),
        radial=(-0.207, 0.248, -0.003),
        tangential=(-0.0010, -0.0014),
    ),
    MocapCamera(
        name='back_left',
        position=(1.9, 1.6, -5.1),
        height=1000,
        focal=(1150, 1148),
        centre=(509, 508),
        radial=(-0.194, 0.240, 0.007),
        tangential=(-0.0016, -0.0027),
    ),
    MocapCamera(
        name='front_right',
        position=(-1.7, 1.5, 5.2),
        height=1000,
        focal=(1149, 1149),
        centre=(520, 501.5),
        radial=(-0.208, 0.255, -0.002),
        tangential=(0.0015, -0.0008),
    ),
    MocapCamera(
        name='back_right',
        position=(-1.8, 1.55, -4.8),
        height=1002,
        focal=(1145.5, 1145),
        centre=(515, 502),
        radial=(-0.198, 0.218, -0.009),
        tangential=(-0.0006, -0.0018),
    ),
)


@dataclasses.dataclass(frozen=True)
class KeypointErrors:
    """Normal errors of 2D joints whose correlation in time falls exponentially (an autoregression of order one).

    Attributes:
        sigma: standard deviation, normalised coordinates, which span 2 over the width.
        frames: time in which the correlation falls to 1/e, 0 for independent frames.
        rng: source of the errors.
    """

    sigma: float
    frames: float
    rng: np.random.Generator

    def draw(self, shape: tuple[int, ...]) -> np.ndarray:
        """Errors of one track, (N, J, 2)."""
        errors = self.rng.normal(size=shape)
        if self.frames:
            kept = math.exp(-1 / self.frames)
            fresh = math.sqrt(1 - kept**2)
            for i in range(1, len(errors)):
                errors[i] = kept * errors[i - 1] + fresh * errors[i]
        return self.sigma * errors


@DATASETS.register_module()
class MocapLifting(PoseWindows):
    """Windows of the motion that ships with hrtk, one track per clip and camera.

    The open body with its mean shape is posed by the clips of :func:`hrtk.datasets.motion.load_motion`; the joints are
    those of its Human3.6M regressor. Split (by whole recordings) and frame rate (30 per second) are those of the file.
    The middle of every clip's path is moved to the point that the cameras look at; clip k of the file is turned about
    the vertical by k golden angles (137.5 degrees), so that all sides are visible. 2D joints are the exact projections,
    with the lenses' distortion, and may lie outside the image.

    Args:
        split: ``'train'``, ``'test'`` (other recordings) or None for all clips.
        joints: ``'h36m17'``, or ``'h36m16'`` without the joint between neck and head.
        frames: F.
        step: frames between neighbours of a window.
        stride: frames between the middles of windows.
        flip: whether mirrored windows follow; by default for training.
        noise_px: standard deviation of an error of every 2D coordinate, px of an image 1000 px wide; a frame has the
            same error whenever it is read.
        noise_frames: time in which the correlation of these errors falls to 1/e, in frames; 0 for independent frames.
            A detector's errors last for several frames, so that a lifter cannot average them away.
        seed: of the noise.
        path: file of the clips.

    Raises:
        InputError: an option has an invalid value, or the file holds no motion clips.
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
        noise_frames: float = 0.0,
        seed: int = 0,
        path: str | Path = ASSET,
    ) -> None:
        check_order(joints, ('h36m17', 'h36m16'), 'MocapLifting')
        if split not in (None, *SPLITS) or noise_px < 0 or noise_frames < 0:
            raise OptionError(
                f'MocapLifting: split is one of {", ".join(map(repr, SPLITS))} and None, and noise_px and '
                f'noise_frames are not negative; they are {split!r}, {noise_px} and {noise_frames}'
            )
        self.split = split
        self.path = Path(path)
        self.noise_px = noise_px
        self.noise_frames = noise_frames
        self.seed = seed
        rng = np.random.default_rng(seed)
        order = from_regressor(joints)
        noise = KeypointErrors(2 * noise_px / WIDTH, noise_frames, rng)
        tracks = []
        for clip, world in posed_motion(self.path):
            if split in (None, clip.split):
                for camera in CAMERAS:
                    tracks.append(_view(clip, world[:, order], camera, noise))
        if flip is None:
            flip = split != 'test'
        super().__init__(tracks, joints, frames, step, stride, flip)

    def fingerprint(self) -> dict[str, str]:
        """A hash of the motion file."""
        return {'motion': sha256(self.path)}


@functools.cache
def posed_motion(path: Path) -> tuple[tuple[MotionClip, np.ndarray], ...]:
    """Every clip and its joints (F, 17, 3), ``h36m17`` of the body model, in metres in the cameras' world (y up).

    Computed once per process, in double precision, for all clips at once.
    """
    clips = read_motion(None, path)
    poses = np.concatenate([clip.poses for clip in clips])
    body = BodyModel('open').double()
    with torch.inference_mode():
        rotmat = axis_angle_to_rotmat(torch.from_numpy(poses).double())
        betas = rotmat.new_zeros(1, 10)
        joints = body.joints(rotmat, betas.expand(len(rotmat), 10), 'h36m17').numpy()
        # The body turns about its pelvis, so the pelvis of the first frame is that of all frames.
        pelvis = body.joints(rotmat[:1], betas, 'smpl24')[0, 0].numpy()
    ends = np.cumsum([len(clip) for clip in clips])
    joints_of_clips = np.split(joints - pelvis, ends[:-1])
    return tuple(
        (clip, _place_in_world(clip, clip_joints, index))
        for index, (clip, clip_joints) in enumerate(zip(clips, joints_of_clips))
    )


def _place_in_world(clip: MotionClip, joints: np.ndarray, index: int) -> np.ndarray:
    """Moves pelvis-centred joints along the clip's path, centred, and turns both by ``index`` golden angles."""
    path = clip.transl.astype(np.float64)
    middle = (path.min(0) + path.max(0)) / 2 * (1, 0, 1)
    sine = math.sin(index * GOLDEN_ANGLE)
    cosine = math.cos(index * GOLDEN_ANGLE)
    turn = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    return (joints + (path - middle)[:, None]) @ turn.T


def _view(
    clip: MotionClip, world: np.ndarray, camera: MocapCamera, noise: KeypointErrors
) -> PoseTrack:
    """The track of a clip in front of one camera.

    Args:
        clip: the motion.
        world: (F, J, 3) joints, metres.
        camera: the camera.
        noise: of the 2D joints.
    """
    joints = world_to_camera(world, camera.rotation, np.array(camera.position))
    keypoints = project(joints, camera.intrinsics)
    if noise.sigma:
        keypoints = keypoints + noise.draw(keypoints.shape)
    return PoseTrack(
        name=f'{clip.name} {camera.name}',
        subject=clip.name.split('#')[0],
        action=clip.action,
        camera=camera.name,
        keypoints2d=keypoints,
        joints3d=joints,
        intrinsics=camera.intrinsics,
    )
