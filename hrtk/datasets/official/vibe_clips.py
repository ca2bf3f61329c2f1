"""Clips of the databases that VIBE is trained and evaluated on: image features of a video with what is known of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset

from hrtk.body_models.skeletons import SPIN24, joint_names
from hrtk.datasets.arrays import float_tensor
from hrtk.datasets.official.rows import rotmat_of_pose
from hrtk.datasets.official.vibe_db import REMEDY, read_table
from hrtk.errors import InputError, OptionError, suggestion
from hrtk.reading.hashes import sha256
from hrtk.registry import DATASETS

KEYS = ('vid_name', 'features', 'joints2D', 'joints3D', 'bbox', 'pose', 'shape')
CROP = 224  # px, the side of the crops that InstaVariety's joints are in
COMMON14 = slice(25, 39)  # the rows of spin49 that VIBE compares in 3D: common14
# First row of the joints of data sets; OpenPose's precede them.
BLOCK24 = len(joint_names('spin49')) - len(SPIN24)
# Orders of 2D joints that no other file has, in the names of hrtk; those of OpenPose without a suffix.
# fmt: off
PENN13 = (
    'headtop_lsp', 'left_shoulder', 'right_shoulder', 'left_elbow', 'right_elbow', 'left_wrist', 'right_wrist',
    'left_hip_lsp', 'right_hip_lsp', 'left_knee', 'right_knee', 'left_ankle', 'right_ankle')
INSTA25 = (
    'right_heel', 'right_knee', 'right_hip', 'left_hip', 'left_knee', 'left_heel', 'right_wrist', 'right_elbow',
    'right_shoulder', 'left_shoulder', 'left_elbow', 'left_wrist', 'neck', 'headtop_lsp', 'nose', 'left_eye',
    'right_eye', 'left_ear', 'right_ear', 'left_big_toe', 'right_big_toe', 'left_small_toe', 'right_small_toe',
    'left_ankle', 'right_ankle')
# fmt: on


@dataclasses.dataclass(frozen=True)
class Layout:
    """What a database holds.

    Attributes:
        rows: the row of ``spin49`` that each of its 2D joints is.
        overlap: share of a training clip that the next one repeats, as in the released code.
        joints3d: whether there are 3D joints.
        body: whether there are SMPL's parameters.
        in_crop: whether 2D joints are px of the crop instead of the image, so that there is no box.
    """

    rows: tuple[int, ...]
    overlap: float = 0.0
    joints3d: bool = False
    body: bool = False
    in_crop: bool = False


def _rows(names: Sequence[str], first: int) -> tuple[int, ...]:
    """The first row of ``spin49``, from ``first`` on, of every joint."""
    return tuple(joint_names('spin49').index(name, first) for name in names)


ALL49 = tuple(range(49))
LAYOUTS = {
    '3dpw': Layout(_rows(SPIN24[:14], BLOCK24), 0.75, joints3d=True, body=True),
    'mpii3d': Layout(ALL49, 0.0, joints3d=True),
    'h36m': Layout(ALL49, 0.0, joints3d=True, body=True),
    'pennaction': Layout(_rows(PENN13, BLOCK24), 0.75),
    'posetrack': Layout(ALL49, 0.75),
    'insta': Layout(_rows(INSTA25, 0), 0.0, in_crop=True),
}


@DATASETS.register_module()
class VIBEClips(Dataset):
    """Clips of one of VIBE's databases; which labels a clip has depends on the data set.

    An item is a dict of L frames: ``features`` (1, L, F); ``keypoints2d`` (L, 49, 3), ``spin49`` in [-1, 1] of the crop
    with confidences, 0 for joints that the data set lacks; ``joints3d`` (L, 14, 3) metres with their weight
    ``has_joints3d`` (L,); ``rotmat`` (L, 24, 3, 3) and ``betas`` (L, 10) with their weight ``has_body`` (L,). Weights
    are 0 or 1; labels of weight 0 are zeros and unrotated joints. As in the released loader, labels are rounded to
    float16, and frames behind the last whole clip of a video are left out.

    Args:
        file: the database: a joblib dump (``.pt``), an ``.npz`` of the same keys, or InstaVariety's ``.h5``, for which
            the package h5py is needed.
        layout: one of :data:`LAYOUTS`, the data set that the file is of.
        frames: L.
        overlap: share of a clip that the next one repeats; None for that of the training, 0 for evaluation.
        box_scale: enlargement of the stored box; 1.2 in the released loader, for all data sets.

    Raises:
        InputError: the file is missing, damaged, unsafe or of another layout, an option is out of range, or no video
            is long enough.
    """

    def __init__(
        self,
        file: str | Path,
        layout: str,
        frames: int = 16,
        overlap: Optional[float] = None,
        box_scale: float = 1.2,
    ) -> None:
        if layout not in LAYOUTS:
            raise OptionError(
                f'VIBEClips: there is no layout {layout!r}. {suggestion(layout, sorted(LAYOUTS))}'
            )
        self.file = Path(file)
        self.layout = LAYOUTS[layout]
        self.frames = frames
        if overlap is None:
            overlap = self.layout.overlap
        if frames < 1 or not 0 <= overlap < 1:
            raise OptionError(
                f'VIBEClips: frames is at least 1 and overlap from 0 to below 1, not {frames} and {overlap}'
            )
        table = self._read()
        self.features = float_tensor(table['features'])
        self.keypoints2d = self._keypoints(table, box_scale)
        self.joints3d = _joints3d(table)
        self.rotmat, self.betas = _bodies(table)
        self.starts = clip_starts(table['vid_name'], frames, max(int(frames * (1 - overlap)), 1))
        if not self.starts:
            raise InputError(f'{file}: no video has {frames} frames; take fewer `frames`')

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rows = slice(self.starts[index], self.starts[index] + self.frames)
        count = self.frames
        joints3d = torch.zeros(count, 14, 3)
        if self.joints3d is not None:
            joints3d = self.joints3d[rows]
        rotmat = torch.eye(3).repeat(count, 24, 1, 1)
        betas = torch.zeros(count, 10)
        if self.rotmat is not None and self.betas is not None:
            rotmat = self.rotmat[rows]
            betas = self.betas[rows]
        return dict(
            features=self.features[None, rows],
            keypoints2d=self.keypoints2d[rows],
            joints3d=joints3d,
            has_joints3d=torch.full((count,), float(self.joints3d is not None)),
            rotmat=rotmat,
            betas=betas,
            has_body=torch.full((count,), float(self.rotmat is not None)),
        )

    def fingerprint(self) -> dict[str, str]:
        """A hash of the file."""
        return {'database': sha256(self.file)}

    def _read(self) -> dict[str, np.ndarray]:
        layout = self.layout
        required = ['vid_name', 'features', 'joints2D']
        if not layout.in_crop:
            required.append('bbox')
        if layout.joints3d:
            required.append('joints3D')
        table = read_table(self.file, KEYS, required)
        if not layout.joints3d:
            table.pop('joints3D', None)
        if not layout.body or not {'pose', 'shape'} <= set(table):
            table.pop('pose', None)
        count = len(table['vid_name'])
        joints = len(layout.rows)
        # The 2D files of PennAction are described with 13 and with 14 rows; the released order has 13 names.
        shapes: dict[str, list[tuple[int, ...]]] = {
            'features': [(count, table['features'].shape[-1])],
            'joints2D': [(count, joints, 3), (count, joints + (joints == 13), 3)],
            'joints3D': [(count, 14, 3), (count, 49, 3)],
            'bbox': [(count, 4)],
            'pose': [(count, 72)],
            'shape': [(count, 10)],
        }
        for key, expected in shapes.items():
            if key in table and (count == 0 or table[key].shape not in expected):
                raise InputError(
                    f'{self.file}: {key} has shape {table[key].shape}, expected '
                    f'{" or ".join(map(str, dict.fromkeys(expected)))}; is it a database of another data set than '
                    f'the `layout` says? {REMEDY}'
                )
        return table

    def _keypoints(self, table: dict[str, np.ndarray], box_scale: float) -> Tensor:
        """(N, 49, 3) in [-1, 1] of the crop."""
        points = np.asarray(table['joints2D'], np.float64)
        if self.layout.in_crop:
            xy = 2 * points[..., :2] / CROP - 1
        else:
            box = np.asarray(table['bbox'], np.float64)[:, None]
            xy = 2 * (points[..., :2] - box[..., :2]) / (box_scale * box[..., 2:])
        rows = list(self.layout.rows)
        keypoints = np.zeros((len(points), 49, 3), np.float16)
        keypoints[:, rows, :2] = xy[:, : len(rows)]
        keypoints[:, rows, 2] = points[:, : len(rows), 2]
        missing = keypoints[..., 2] == 0
        keypoints[missing] = 0
        return float_tensor(keypoints)


@DATASETS.register_module()
class MixedClips(ConcatDataset):
    """Clips with 2D labels, and behind them clips with 3D labels; a sampler mixes them in every batch.

    Args:
        planar: configs of the sets whose clips have 2D labels only; may be empty.
        spatial: configs of the sets whose clips have 3D labels.

    Attributes:
        planar_clips: number of clips of ``planar``, which come first.

    Raises:
        InputError: there is no set of ``spatial``, or a set cannot be built.
    """

    def __init__(self, planar: Sequence[dict], spatial: Sequence[dict]) -> None:
        if not spatial:
            raise OptionError('MixedClips: spatial is empty; name a set with 3D labels')
        planar_sets = [DATASETS.build(config) for config in planar]
        spatial_sets = [DATASETS.build(config) for config in spatial]
        super().__init__([*planar_sets, *spatial_sets])
        self.planar_clips = sum(map(len, planar_sets))


def clip_starts(names: np.ndarray, frames: int, stride: int) -> list[int]:
    """First rows of all clips that lie within one video.

    Args:
        names: (N,) the video of every row; the rows of a video are consecutive.
        frames: of a clip.
        stride: rows between the starts of clips.
    """
    changes = np.flatnonzero(names[1:] != names[:-1]) + 1
    borders = [0, *changes.tolist(), len(names)]
    starts: list[int] = []
    for first, end in zip(borders, borders[1:]):
        starts.extend(range(first, end - frames + 1, stride))
    return starts


def _joints3d(table: dict[str, np.ndarray]) -> Optional[Tensor]:
    """(N, 14, 3) metres, in the order of ``common14``, or None."""
    if 'joints3D' not in table:
        return None
    joints = table['joints3D']
    if joints.shape[1] == 49:
        joints = joints[:, COMMON14]
    return float_tensor(np.asarray(joints, np.float16))


def _bodies(table: dict[str, np.ndarray]) -> tuple[Optional[Tensor], Optional[Tensor]]:
    """(N, 24, 3, 3) rotations and (N, 10) betas, or None."""
    if 'pose' not in table:
        return None, None
    rotmat = rotmat_of_pose(np.asarray(table['pose'], np.float16))
    return rotmat, float_tensor(np.asarray(table['shape'], np.float16))
