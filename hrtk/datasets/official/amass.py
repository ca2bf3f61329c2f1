"""Captured motion of AMASS, for motion critics and pose priors: VIBE's database, or AMASS' own files.

Mahmood et al., "AMASS: Archive of Motion Capture as Surface Shapes", ICCV 2019: bodies that MoSh++ fitted to markers.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from hrtk.datasets.arrays import float_tensor, read_npz
from hrtk.datasets.lifting.motion_windows import BodyPoseWindows
from hrtk.datasets.official.vibe_clips import clip_starts
from hrtk.datasets.official.vibe_db import read_table
from hrtk.errors import InputError, OptionError
from hrtk.geometry.rotation import axis_angle_to_rotmat
from hrtk.reading.arrays import Archive
from hrtk.reading.hashes import sha256, sha256_of_all
from hrtk.registry import DATASETS

FPS = 25.0  # of VIBE's database, to which its script samples AMASS
# SMPL's 24 joints among the 52 of SMPL-H, which AMASS has: the hands are the first joints of the index fingers.
SMPL_OF_SMPLH = (*range(22), 22, 37)
BODY = slice(3, 72)  # of the 72 numbers of a pose: without the global orientation
REMEDY = (
    "https://amass.is.tue.mpg.de distributes the files after registration, and VIBE's project a script that makes "
    'amass_db.pt from them'
)


@DATASETS.register_module()
class AMASSMotion(BodyPoseWindows):
    """Stretches of captured motion, see :class:`~hrtk.datasets.lifting.motion_windows.BodyPoseWindows`.

    Args:
        file: VIBE's ``amass_db.pt`` (``theta`` (N, 82) at 25 frames/s, ``vid_name``), or a folder that holds AMASS'
            ``*.npz`` at any depth (``poses`` (N, 156), ``mocap_framerate``).
        frames: L, 16 in VIBE.
        stride: frames between the starts of stretches; L in VIBE, whose stretches do not overlap.
        fps: frames per second, to which a folder is sampled by whole steps; a database is not sampled again.

    Raises:
        InputError: the file is missing, damaged, unsafe or of another layout, or no recording is long enough.
    """

    def __init__(
        self, file: str | Path, frames: int = 16, stride: int = 16, fps: float = FPS
    ) -> None:
        if min(frames, stride) < 1:
            raise OptionError(
                f'AMASSMotion: frames and stride are at least 1, not {frames} and {stride}'
            )
        self.file = Path(file)
        pose, names = read_amass(file, fps)
        self.body_pose = float_tensor(pose[:, BODY])
        self.offsets = torch.arange(frames)
        self.starts = torch.tensor(clip_starts(names, frames, stride))
        if len(self.starts) == 0:
            raise InputError(f'{file}: no recording has {frames} frames; take fewer `frames`')

    def fingerprint(self) -> dict[str, str]:
        """A hash of the files."""
        return {'motion': amass_hash(self.file)}


@DATASETS.register_module()
class AMASSPoses(Dataset):
    """Single poses of captured motion, training data of pose priors.

    An item is a dict: ``rotmat`` (23, 3, 3) float32, rotations of joints 1..23 relative to their parents, without the
    global orientation.

    Args:
        file: see :class:`AMASSMotion`.
        stride: frames between two poses; neighbours of 25 frames/s hardly differ.
        fps: see :class:`AMASSMotion`.

    Raises:
        InputError: the file is missing, damaged, unsafe or of another layout.
    """

    def __init__(self, file: str | Path, stride: int = 1, fps: float = FPS) -> None:
        if stride < 1:
            raise OptionError(f'AMASSPoses: stride is at least 1, not {stride}')
        self.file = Path(file)
        pose, _ = read_amass(file, fps)
        body_pose = float_tensor(pose[::stride, BODY])
        self.rotmat = axis_angle_to_rotmat(body_pose.unflatten(1, (23, 3)))

    def __len__(self) -> int:
        return len(self.rotmat)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return dict(rotmat=self.rotmat[index])

    def fingerprint(self) -> dict[str, str]:
        """A hash of the files."""
        return {'motion': amass_hash(self.file)}


def read_amass(file: str | Path, fps: float = FPS) -> tuple[np.ndarray, np.ndarray]:
    """Reads recordings of AMASS.

    Returns:
        (N, 72) axis-angle of SMPL's joints, global orientation first, and the recording (N,) of every frame, by name.

    Raises:
        InputError: the file is missing, damaged, unsafe or of another layout.
    """
    path = Path(file)
    if path.is_dir():
        return _read_folder(path, fps)
    table = read_table(path, ('theta', 'vid_name'), ('theta', 'vid_name'), REMEDY)
    theta = table['theta']
    if theta.ndim != 2 or theta.shape[1] != 82 or len(theta) != len(table['vid_name']):
        raise InputError(
            f'{path}: theta has shape {theta.shape}, expected {len(table["vid_name"])} rows of 72 angles and 10 '
            f'betas; {REMEDY}'
        )
    return theta[:, :72], table['vid_name']


def amass_hash(file: Path) -> str:
    """A hash of a database, or of all files of a folder."""
    if file.is_dir():
        return sha256_of_all(_recordings(file))
    return sha256(file)


def _read_folder(folder: Path, fps: float) -> tuple[np.ndarray, np.ndarray]:
    poses = []
    names = []
    for path in _recordings(folder):
        with Archive(path, REMEDY) as archive:
            has_motion = 'poses' in archive.names
        if not has_motion:  # shape.npz of every subject
            continue
        recording = read_npz(
            path, ('poses', 'mocap_framerate'), ('poses', 'mocap_framerate'), REMEDY
        )
        pose = recording['poses']
        if pose.ndim != 2 or pose.shape[1] != 156:
            raise InputError(
                f'{path}: poses has shape {pose.shape}, expected (N, 156), the 52 joints of SMPL-H; take the files '
                f'"SMPL+H G". {REMEDY}'
            )
        step = max(int(float(recording['mocap_framerate']) // fps), 1)
        joints = pose.reshape(len(pose), 52, 3)[::step, list(SMPL_OF_SMPLH)]
        poses.append(joints.reshape(len(joints), 72))
        names.append(np.full(len(joints), str(path.relative_to(folder))))
    if not poses:
        raise InputError(f'{folder}: holds no recording of AMASS (*.npz with poses); {REMEDY}')
    return np.concatenate(poses), np.concatenate(names)


def _recordings(folder: Path) -> list[Path]:
    return sorted(folder.rglob('*.npz'))
