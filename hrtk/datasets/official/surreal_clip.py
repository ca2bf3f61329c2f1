"""One clip of SURREAL (Varol et al., "Learning from Synthetic Humans", CVPR 2017), with its mirrored camera undone.

Files of a clip, as released: ``<clip>.mp4`` (320 x 240 px), ``<clip>_info.mat`` and ``<clip>_segm.mat``.

The camera matrix with which SURREAL was rendered, ``[[0, 0, 1], [0, -1, 0], [-1, 0, 0]]`` (datageneration and
misc/3Dto2D of the official project), has the determinant -1: it is a reflection. Images, segmentations and joints2D
therefore agree with each other, but they show the mirror image of the body that pose, shape and joints3D describe: its
left arm looks like a right one, and no rotation of the body gives the picture. Here images, segmentations and 2D joints
are mirrored, after which the camera is a proper one and the labels are those of the person in the picture.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hrtk.datasets.arrays import float_tensor, read_npz
from hrtk.datasets.frames import VideoFrames
from hrtk.datasets.mask_sources.base import LazyMasks
from hrtk.datasets.official.mat_file import read_mat
from hrtk.datasets.official.rows import rotmat_of_pose
from hrtk.datasets.transforms.base import MappedFrames
from hrtk.errors import InputError
from hrtk.geometry.rotation import axis_angle_to_rotmat
from hrtk.structures import Frames

INFO = '_info'
SEGMENTATION = '_segm'
WIDTH = 320  # px
HEIGHT = 240
FOCAL = 600.0  # px: a lens of 60 mm before a sensor of 32 mm and 320 px
# The middle of the image, where hrtk's first pixel has its centre at (0, 0) and SURREAL's its corner.
CENTRE = (WIDTH / 2 - 0.5, HEIGHT / 2 - 0.5)
# World to the camera of the mirrored image; SURREAL's own has the first row negated.
CAMERA = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
# Axis-angle: SMPL's bodies of SURREAL have z upwards, its world y downwards.
UPRIGHT = (torch.pi / 2, 0.0, 0.0)
GENDERS = ('female', 'male')  # by number
# Keys that are read, with the lengths of their axes before the axis of frames.
LAYOUT = {
    'joints2D': (2, 24),
    'joints3D': (3, 24),
    'pose': (72,),
    'shape': (10,),
}
SINGLE = ('gender', 'zrot', 'camLoc')
REMEDY = (
    'SURREAL is at https://www.di.ens.fr/willow/research/surreal after registration; the clip needs its mp4, '
    '_info.mat and _segm.mat side by side'
)


@dataclasses.dataclass(frozen=True)
class SurrealClip:
    """The labels of T frames, in the camera of the mirrored image.

    Attributes:
        stem: path of the clip's files without their endings.
        rotmat: (T, 24, 3, 3), root in the camera frame.
        betas: (T, 10) of the body of ``gender``.
        gender: ``'female'`` or ``'male'``.
        joints3d: (T, 24, 3) ``smpl24``, metres, camera frame.
        joints2d: (T, 24, 2) ``smpl24``, px of the mirrored image; whole numbers, as released.
        valid: (T,) bool: frames with joints; a few of the release are all zero.
    """

    stem: Path
    rotmat: Tensor
    betas: Tensor
    gender: str
    joints3d: Tensor
    joints2d: Tensor
    valid: Tensor

    def __len__(self) -> int:
        return len(self.rotmat)

    @property
    def name(self) -> str:
        """See :func:`clip_name`."""
        return clip_name(self.stem)

    @property
    def intrinsics(self) -> Tensor:
        """(T, 3) focal length and middle of the image, px."""
        return torch.tensor([FOCAL, *CENTRE]).expand(len(self), 3)

    def frames(self) -> Frames:
        """The mirrored images of the video.

        Raises:
            InputError: the video is missing, or shorter than its labels.
        """
        video = VideoFrames(with_ending(self.stem, '.mp4'), range(len(self)))
        return MappedFrames(video, lambda image, t: np.ascontiguousarray(image[:, ::-1]))

    def masks(self) -> Frames:
        """The mirrored masks of the person: all parts of ``segm_1`` to ``segm_T``."""
        path = with_ending(self.stem, f'{SEGMENTATION}.mat')

        def read(t: int) -> np.ndarray:
            key = f'segm_{t + 1}'
            parts = _load_mat(path, [key]).get(key)
            if parts is None or parts.shape != (HEIGHT, WIDTH):
                raise InputError(
                    f'{path}: {key} must be {HEIGHT} x {WIDTH}, it is '
                    f'{"missing" if parts is None else parts.shape}; {REMEDY}'
                )
            return parts[:, ::-1] > 0

        return LazyMasks(len(self), read)


def find_clips(root: str | Path, split: str, runs: tuple[int, ...]) -> list[Path]:
    """The clips below ``<root>/cmu/<split>/run<r>/<sequence>``, sorted, as paths without endings.

    Raises:
        InputError: there is none.
    """
    stems = []
    for run in runs:
        folder = Path(root) / 'cmu' / split / f'run{run}'
        for ending in ('.mat', '.npz'):
            for path in folder.glob(f'*/*{INFO}{ending}'):
                stems.append(path.with_name(path.name.removesuffix(f'{INFO}{ending}')))
    if not stems:
        raise InputError(
            f'{root}/cmu/{split}: no clip *{INFO}.mat below run{", run".join(map(str, runs))}; {REMEDY}'
        )
    return sorted(set(stems))


def read_clip(stem: Path) -> SurrealClip:
    """Reads the labels of a clip, ``<clip>_info.mat`` or an npz of the same keys.

    Raises:
        InputError: the file is missing or broken, or has other keys or shapes.
    """
    path = info_file(stem)
    table = _read_info(path)
    # One frame or many: files drop the last axis where it has the length 1.
    count = table['pose'].size // 72
    arrays = {}
    for key, lengths in LAYOUT.items():
        expected = (*lengths, count)
        if count == 0 or table[key].size != np.prod(expected):
            raise InputError(
                f'{path}: {key} has shape {table[key].shape}, expected {expected} for {count} frames; {REMEDY}'
            )
        arrays[key] = np.moveaxis(table[key].reshape(expected), -1, 0)
    zrot = float_tensor(table['zrot'].reshape(-1))
    if len(zrot) not in (1, count) or table['camLoc'].size != 3:
        raise InputError(
            f'{path}: zrot has shape {table["zrot"].shape} and camLoc {table["camLoc"].shape}, expected '
            f'({count}, 1) and (3, 1); {REMEDY}'
        )
    position = float_tensor(table['camLoc'].reshape(3))
    joints3d = float_tensor(arrays['joints3D'].transpose(0, 2, 1))
    joints2d = float_tensor(arrays['joints2D'].transpose(0, 2, 1)) - 0.5
    joints2d[..., 0] = WIDTH - 1 - joints2d[..., 0]
    return SurrealClip(
        stem=stem,
        rotmat=_in_camera(rotmat_of_pose(arrays['pose']), zrot),
        betas=float_tensor(arrays['shape']),
        gender=_gender(path, table['gender']),
        joints3d=(joints3d - position) @ CAMERA.T,
        joints2d=joints2d,
        valid=(joints3d != 0).flatten(1).any(1),
    )


def info_file(stem: Path) -> Path:
    """The file of a clip's labels: the npz if there is one, else the mat."""
    converted = with_ending(stem, f'{INFO}.npz')
    if converted.is_file():
        return converted
    return with_ending(stem, f'{INFO}.mat')


def with_ending(stem: Path, ending: str) -> Path:
    """The file of a clip; names of clips may have dots."""
    return stem.with_name(stem.name + ending)


def clip_name(stem: Path) -> str:
    """``<run>_<clip>``; clips of the three runs of one motion have the same file names."""
    return f'{stem.parent.parent.name}_{stem.name}'


def project(points: Tensor) -> Tensor:
    """(..., 3) points in the camera of the mirrored image -> (..., 2) px of that image."""
    return points[..., :2] / points[..., 2:] * FOCAL + torch.tensor(CENTRE)


def _in_camera(rotmat: Tensor, zrot: Tensor) -> Tensor:
    """Turns the roots of poses (T, 24, 3, 3) into the camera: about z by ``zrot`` (T or 1), upright, then seen."""
    about_z = torch.zeros(len(zrot), 3)
    about_z[:, 2] = zrot
    turn = CAMERA @ axis_angle_to_rotmat(torch.tensor(UPRIGHT)) @ axis_angle_to_rotmat(about_z)
    return torch.cat([(turn @ rotmat[:, 0])[:, None], rotmat[:, 1:]], 1)


def _read_info(path: Path) -> dict[str, np.ndarray]:
    keys = (*LAYOUT, *SINGLE)
    if path.suffix == '.npz':
        table = read_npz(path, keys, keys, REMEDY)
    else:
        table = _load_mat(path, list(keys))
    missing = [key for key in keys if key not in table]
    if missing:
        raise InputError(f'{path}: lacks {", ".join(missing)}; {REMEDY}')
    return table


def _load_mat(path: Path, keys: list[str]) -> dict[str, Any]:
    return read_mat(path, REMEDY, variable_names=keys)


def _gender(path: Path, values: np.ndarray) -> str:
    numbers = set(np.asarray(values).reshape(-1).tolist())
    if len(numbers) != 1 or not numbers <= {0, 1}:
        raise InputError(
            f'{path}: gender must be 0 (female) or 1 (male) in all frames, it has {sorted(numbers)}'
        )
    return GENDERS[int(numbers.pop())]
