"""SPIN's npz files and their extensions by BOA and DynaBOA: one row per person and frame of 3DPW, Human3.6M or 3DHP.

Layout: SPIN, datasets/preprocess (Kolotouros et al., 2019); BOA's ``3dpw_vid/<sequence>.npz`` and DynaBOA's
``3dpw_<index>_<person>.npz``, with the number of the sequence in its order, add 49 two-dimensional joints.
"""

from __future__ import annotations

import dataclasses
import glob
import string
from collections.abc import Sequence as SequenceOf
from pathlib import Path
from typing import Optional

import numpy as np
import torch

from hrtk.body_models.skeletons import index_map
from hrtk.datasets.arrays import float_tensor, read_npz
from hrtk.datasets.base import SequenceDataset
from hrtk.datasets.frames import ImageFrames
from hrtk.datasets.official.rows import (
    has_shape,
    keypoints_of_points,
    no_keypoints,
    rotmat_of_pose,
)
from hrtk.errors import InputError, OptionError
from hrtk.files import natural
from hrtk.geometry.boxes import boxes_from_centers
from hrtk.reading.hashes import sha256_of_all
from hrtk.registry import DATASETS
from hrtk.structures import GroundTruth, Keypoints2D, Sequence

# Every key that is read, with the shape of a row; None is any length.
LAYOUT: dict[str, tuple[Optional[int], ...]] = {
    'imgname': (),
    'center': (2,),
    'scale': (),
    'part': (None, 3),
    'openpose': (25, 3),
    'S': (24, 4),
    'pose': (72,),
    'shape': (10,),
    'has_smpl': (),
    'gender': (),
    'smpl_j2d': (49, 3),
    'j2d': (49, 3),
    'op_j2d': (49, 3),
}
REQUIRED = ('imgname', 'center', 'scale')
# The arrays that each choice of keypoints may come from, the preferred one first.
KEYPOINTS = {
    'gt': ('smpl_j2d', 'j2d', 'part'),
    'openpose': ('op_j2d', 'openpose'),
    'annotated': ('part',),
}
SKELETONS = {24: 'spin24', 25: 'openpose25', 49: 'spin49'}  # by number of points
EVALUATED = list(index_map('spin24_mocap', 'j17'))
GENDERS = {'m': 'male', 'f': 'female', 'n': 'neutral'}
# Folders and stems that do not identify a clip.
GENERIC = {
    '',
    '.',
    '..',
    'img',
    'image',
    'frame',
    'images',
    'imageFiles',
    'imageSequence',
    'imageFrames',
    'mpi_inf_3dhp_test_set',
}
REMEDY = (
    'tools/prepare_dataset.py makes such files, and the archives of SPIN, BOA and DynaBOA hold them'
)


@dataclasses.dataclass(frozen=True)
class _Track:
    """Consecutive rows of one person in one file.

    Attributes:
        file: index of the file.
        name: ``<clip>_<k>``.
        rows: of the file's table.
    """

    file: int
    name: str
    rows: np.ndarray


@DATASETS.register_module()
class SPINFile(SequenceDataset):
    """People of a video data set in SPIN's npz layout; an item is one track.

    A file has no identities. A new track begins where the clip (the path of the image without its number) changes,
    where the number does not rise, and, in files with genders (3DPW), where gender or betas change; the k-th track of
    a clip is called ``<clip>_<k>``, as the raw 3DPW counts its people.

    Ground truth depends on the file: ``pose`` and ``shape`` (the root is already in the camera frame), or the 24-joint
    ``S``, root-centred, as joints ``spin24_mocap``. Rows with ``has_smpl`` 0, or, where there is no body, with an
    evaluated joint of confidence 0, must not be scored.

    Args:
        file: one npz, a pattern with ``*``, whose files are sorted by the numbers in their names as DynaBOA sorts its
            own, or a list of them in the desired order.
        image_root: the folder that ``imgname`` is relative to.
        keypoints: the 2D evidence. ``'gt'``: projected joints of the true body (BOA's ``smpl_j2d``, DynaBOA's
            ``j2d``), else the true 2D joints ``part``; ``'openpose'``: the 25 detections of ``openpose`` or
            ``op_j2d``; ``'annotated'``: ``part``; ``'none'``: no evidence (SPIN's 3dpw_test.npz has none).
        fps: frames per second of rendered videos: 30 for 3DPW.

    Raises:
        InputError: a file is missing, broken or of another layout, lacks the chosen keypoints, or the first image of
            a track is missing.
    """

    def __init__(
        self,
        file: str | Path | SequenceOf[str | Path],
        image_root: str | Path,
        keypoints: str,
        fps: float = 30.0,
    ) -> None:
        if keypoints not in (*KEYPOINTS, 'none'):
            raise OptionError(
                f"SPINFile: keypoints is one of {', '.join(map(repr, KEYPOINTS))} and 'none', not "
                f'{keypoints!r}; it has no default because it determines the meaning of the numbers'
            )
        self.image_root = Path(image_root)
        self.keypoints = keypoints
        self.fps = fps
        self.files = _matching_files(file)
        self._tables = [read_spin_npz(path) for path in self.files]
        for index in range(len(self.files)):
            self._check_keypoints(index)
        self._tracks = _find_tracks(self._tables)
        for track in self._tracks:
            first = self.image_root / self._tables[track.file]['imgname'][track.rows[0]]
            if not first.is_file():
                raise InputError(
                    f'{first}: the first image of {track.name!r} is missing; image_root={str(image_root)!r} '
                    f'must be the folder that the imgname of {self.files[track.file]} is relative to'
                )

    def __len__(self) -> int:
        return len(self._tracks)

    def __getitem__(self, index: int) -> Sequence:
        track = self._tracks[index]
        rows = track.rows
        table = self._tables[track.file]
        paths = [self.image_root / imgname for imgname in table['imgname'][rows]]
        return Sequence(
            name=track.name,
            frames=ImageFrames(paths),
            boxes=boxes_from_centers(
                float_tensor(table['center'][rows]), float_tensor(table['scale'][rows])
            ),
            keypoints2d=self._evidence(table, rows),
            truth=_ground_truth(table, rows),
            frame_ids=tuple(path.name for path in paths),
            fps=self.fps,
        )

    def fingerprint(self) -> dict[str, str]:
        """A hash of the npz files; the images are assumed to be unchanged."""
        return {'npz': sha256_of_all(self.files)}

    def _evidence(self, table: dict[str, np.ndarray], rows: np.ndarray) -> Keypoints2D:
        key = self._keypoints_key(table)
        if key is None:
            return no_keypoints(len(rows))
        points = float_tensor(self._points(table, key)[rows])
        return keypoints_of_points(points, SKELETONS[points.shape[1]], self.keypoints)

    def _keypoints_key(self, table: dict[str, np.ndarray]) -> Optional[str]:
        """The array that the keypoints come from."""
        for key in KEYPOINTS.get(self.keypoints, ()):
            if key in table:
                return key
        return None

    def _points(self, table: dict[str, np.ndarray], key: str) -> np.ndarray:
        if self.keypoints == 'openpose':
            # The other 24 slots of DynaBOA's detections are zeros, no evidence for the 24-joint losses.
            return table[key][:, :25]
        return table[key]

    def _check_keypoints(self, index: int) -> None:
        if self.keypoints == 'none':
            return
        table = self._tables[index]
        key = self._keypoints_key(table)
        if key is None:
            raise InputError(
                f'{self.files[index]}: keypoints={self.keypoints!r} needs '
                f'{" or ".join(KEYPOINTS[self.keypoints])}, the file has {", ".join(table)}; choose other '
                f"keypoints ('none' needs no array) or use BOA's or DynaBOA's file"
            )
        count = self._points(table, key).shape[1]
        if count not in SKELETONS:
            raise InputError(
                f'{self.files[index]}: {key} has {count} points, expected one of {tuple(SKELETONS)}'
            )


def read_spin_npz(path: str | Path) -> dict[str, np.ndarray]:
    """Reads and checks one npz of SPIN's layout; keys that are not in :data:`LAYOUT` are ignored.

    Raises:
        InputError: the file is missing or broken, lacks a required key, or has rows of another shape or that are not
            finite.
    """
    table = read_npz(path, tuple(LAYOUT), REQUIRED, REMEDY)
    count = len(table['imgname'])
    for key, value in table.items():
        expected = (count, *LAYOUT[key])
        if count == 0 or not has_shape(value, expected):
            raise InputError(
                f'{path}: {key} has shape {value.shape}, expected {str(expected).replace("None", "any")} '
                f"with one or more rows of SPIN's layout"
            )
        if value.dtype.kind not in 'USO' and not np.isfinite(value).all():
            raise InputError(
                f'{path}: {key} holds numbers that are not finite; copy or make the file again'
            )
    for key in ('imgname', 'gender'):
        if key in table and table[key].dtype.kind == 'S':
            table[key] = np.char.decode(table[key], 'utf-8')
    if 'gender' in table and not set(table['gender']) <= set(GENDERS):
        raise InputError(
            f"{path}: gender must be 'm' or 'f', it has {sorted(set(table['gender']))[:5]}"
        )
    return table


def _matching_files(file: str | Path | SequenceOf[str | Path]) -> list[Path]:
    """The files of one or several patterns, those of each pattern in natural order: ``_2_`` before ``_10_``."""
    if isinstance(file, (str, Path)):
        file = [file]
    patterns = [str(pattern) for pattern in file]
    paths: list[str] = []
    for pattern in patterns:
        if glob.has_magic(pattern):
            paths += sorted(glob.glob(pattern), key=natural)
        else:
            paths.append(pattern)
    if not paths:
        raise OptionError(
            f'SPINFile: no file matches {", ".join(patterns) or "an empty list"}; check the '
            f'folder (tools/check_assets.py lists the folders of all files and their sources)'
        )
    return [Path(path) for path in paths]


def _find_tracks(tables: list[dict[str, np.ndarray]]) -> list[_Track]:
    tracks = []
    tracks_of_clip: dict[str, int] = {}
    for file, table in enumerate(tables):
        frames = [_clip_and_number(imgname) for imgname in table['imgname']]
        starts = [row for row in range(1, len(frames)) if _starts_track(table, frames, row)]
        for rows in np.split(np.arange(len(frames)), starts):
            clip, _ = frames[rows[0]]
            number = tracks_of_clip.get(clip, 0)
            tracks.append(_Track(file, f'{clip}_{number}', rows))
            tracks_of_clip[clip] = number + 1
    return tracks


def _clip_and_number(imgname: str) -> tuple[str, int]:
    """Clip and frame number of an image; -1 without a number."""
    path = Path(imgname.replace('\\', '/'))
    stem = path.stem.rstrip(string.digits)
    number = path.stem[len(stem) :]
    names = [name for name in (*path.parent.parts, stem.rstrip('_-.')) if name not in GENERIC]
    return '_'.join(names) or 'clip', int(number or -1)


def _starts_track(table: dict[str, np.ndarray], frames: list[tuple[str, int]], row: int) -> bool:
    """Whether a row belongs to another track than the row before it."""
    clip, number = frames[row]
    previous_clip, previous_number = frames[row - 1]
    if clip != previous_clip or number <= previous_number:
        return True
    # Betas of 3DPW belong to a person; in files without genders they may be fits of single frames.
    if 'gender' not in table:
        return False
    keys = [key for key in ('gender', 'shape') if key in table]
    return any(not np.array_equal(table[key][row], table[key][row - 1]) for key in keys)


def _ground_truth(table: dict[str, np.ndarray], rows: np.ndarray) -> Optional[GroundTruth]:
    fields: dict = {}
    if 'S' in table:
        joints = float_tensor(table['S'][rows])
        fields['joints3d'] = joints[..., :3]
        fields['skeleton'] = 'spin24_mocap'
        fields['valid'] = (joints[:, EVALUATED, 3] > 0).all(1)
    if 'pose' in table and 'shape' in table:
        fields['rotmat'] = rotmat_of_pose(table['pose'][rows])
        fields['betas'] = float_tensor(table['shape'][rows])
        fields['valid'] = None
        if 'has_smpl' in table:
            fields['valid'] = torch.as_tensor(table['has_smpl'][rows] > 0)
    if 'gender' in table:
        fields['gender'] = GENDERS[table['gender'][rows[0]]]
    if not fields:
        return None
    return GroundTruth(**fields)
