"""SPIN's npz files and what BOA and DynaBOA made of them: 3DPW, Human3.6M, MPI-INF-3DHP, one row per person and frame.

Layout: SPIN, datasets/preprocess (Kolotouros et al., 2019); BOA's ``3dpw_vid/<sequence>.npz`` and DynaBOA's
``3dpw_<sequence>_<person>.npz`` add 49 two-dimensional joints.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence as SequenceOf
from pathlib import Path

import numpy as np
import torch

from hrtk.body_models.skeletons import index_map
from hrtk.datasets.arrays import float_tensor, read_npz
from hrtk.datasets.base import SequenceDataset
from hrtk.datasets.frames import ImageFrames
from hrtk.errors import InputError
from hrtk.files import sha256_of_all
from hrtk.geometry.boxes import boxes_from_centers
from hrtk.geometry.rotation import axis_angle_to_rotmat
from hrtk.registry import DATASETS
from hrtk.structures import GroundTruth, Keypoints2D, Sequence

# Every key that is read, with the shape of a row; None is free.
LAYOUT = {
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
# Which arrays a choice of keypoints may come from, best first, and the skeleton of the first so many of their points.
KEYPOINTS = {
    'gt': ('smpl_j2d', 'j2d', 'part'),
    'openpose': ('op_j2d', 'openpose'),
    'annotated': ('part',),
}
SKELETONS = {24: 'spin24', 25: 'openpose25', 49: 'spin49'}
MEASURED = list(index_map('spin24_mocap', 'j17'))
GENDERS = {'m': 'male', 'f': 'female', 'n': 'neutral'}
# Folders and stems that say nothing about the clip.
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


@DATASETS.register_module()
class SPINFile(SequenceDataset):
    """People of a video data set in SPIN's npz layout; an item is one track.

    A file has no identities. A new track begins where the clip (the path of the picture without its number) changes,
    where the number does not rise, and, in files that note the gender (3DPW), where gender or betas change; the k-th
    track of a clip is called ``<clip>_<k>``, as the raw 3DPW counts its people.

    Ground truth is what the file has: ``pose`` and ``shape`` (the root is already in the camera frame), or the
    24-joint ``S``, root-centred, as joints ``spin24_mocap``. Rows with ``has_smpl`` 0, or with an evaluated joint of
    confidence 0 where there is no body, must not be scored.

    Args:
        file: one npz, a pattern with ``*``, or a list of them in the order wanted.
        image_root: the folder that ``imgname`` is relative to.
        keypoints: the 2D evidence. ``'gt'``: projected joints of the true body (BOA's ``smpl_j2d``, DynaBOA's
            ``j2d``), else the true 2D joints ``part``; ``'openpose'``: the 25 detections of ``openpose`` or
            ``op_j2d``; ``'annotated'``: ``part``; ``'none'``: no evidence (SPIN's 3dpw_test.npz has none).
        fps: frames per second, for videos that are written: 30 for 3DPW.

    Raises:
        InputError: a file is missing, broken or of another layout, lacks the keypoints asked for, or the first
            picture of a track is missing.
    """

    def __init__(
        self,
        file: str | Path | SequenceOf[str | Path],
        image_root: str | Path,
        keypoints: str,
        fps: float = 30.0,
    ) -> None:
        if keypoints not in (*KEYPOINTS, 'none'):
            raise InputError(
                f"SPINFile: keypoints is one of {', '.join(map(repr, KEYPOINTS))} and 'none', not "
                f'{keypoints!r}; it says what the numbers will mean and has no default'
            )
        self.image_root, self.keypoints, self.fps = Path(image_root), keypoints, fps
        self.files = _files(file)
        self._tables = [read_spin_npz(path) for path in self.files]
        self._tracks = self._find_tracks()
        for table, name, rows in self._tracks:
            first = self.image_root / self._tables[table]['imgname'][rows[0]]
            if not first.is_file():
                raise InputError(
                    f'{first}: the first picture of {name!r} is missing; image_root={str(image_root)!r} '
                    f'must be the folder that the imgname of {self.files[table]} is relative to'
                )

    def __len__(self) -> int:
        return len(self._tracks)

    def __getitem__(self, index: int) -> Sequence:
        number, name, rows = self._tracks[index]
        table = self._tables[number]
        paths = [self.image_root / imgname for imgname in table['imgname'][rows]]
        boxes = boxes_from_centers(
            float_tensor(table['center'][rows]), float_tensor(table['scale'][rows])
        )
        return Sequence(
            name,
            ImageFrames(paths),
            boxes,
            self._evidence(number, rows),
            _truth(table, rows),
            frame_ids=tuple(path.name for path in paths),
            fps=self.fps,
        )

    def fingerprint(self) -> dict[str, str]:
        """A hash of the npz files; the pictures are taken for granted."""
        return {'npz': sha256_of_all(self.files)}

    def _evidence(self, number: int, rows: np.ndarray) -> Keypoints2D:
        table, key = self._tables[number], None
        if self.keypoints == 'none':
            return Keypoints2D(
                torch.zeros(len(rows), 24, 2), torch.zeros(len(rows), 24), 'spin24', 'none'
            )
        key = next((key for key in KEYPOINTS[self.keypoints] if key in table), None)
        if key is None:
            raise InputError(
                f'{self.files[number]}: keypoints={self.keypoints!r} needs '
                f'{" or ".join(KEYPOINTS[self.keypoints])}, the file has {", ".join(table)}; choose other '
                f"keypoints ('none' measures without any) or take BOA's or DynaBOA's file"
            )
        points = table[key][rows]
        # The other 24 slots of DynaBOA's detections are zeros, which would be no evidence for the 24-joint losses.
        points = points[:, :25] if self.keypoints == 'openpose' else points
        if points.shape[1] not in SKELETONS:
            raise InputError(
                f'{self.files[number]}: {key} has {points.shape[1]} points, expected one of '
                f'{tuple(SKELETONS)}'
            )
        points = float_tensor(points)
        return Keypoints2D(
            points[..., :2], points[..., 2].clamp(0, 1), SKELETONS[points.shape[1]], self.keypoints
        )

    def _find_tracks(self) -> list[tuple[int, str, np.ndarray]]:
        """Table, name and rows of every track."""
        tracks, seen = [], {}
        for number, table in enumerate(self._tables):
            places = [_place(imgname) for imgname in table['imgname']]
            starts = [0] + [i for i in range(1, len(places)) if _breaks(table, places, i)]
            for rows in np.split(np.arange(len(places)), starts[1:]):
                clip = places[rows[0]][0]
                tracks.append((number, f'{clip}_{seen.get(clip, 0)}', rows))
                seen[clip] = seen.get(clip, 0) + 1
            self._evidence(
                number, np.arange(1)
            )  # complains now about keypoints that the file lacks
        return tracks


def read_spin_npz(path: str | Path) -> dict[str, np.ndarray]:
    """Reads and checks one npz of SPIN's layout; keys beyond :data:`LAYOUT` are left out.

    Raises:
        InputError: it is missing, broken, lacks a required key, or rows have another shape or are not finite.
    """
    table = read_npz(
        path,
        tuple(LAYOUT),
        REQUIRED,
        'tools/prepare_dataset.py makes such files, and the archives of '
        'SPIN, BOA and DynaBOA hold them',
    )
    count = len(table['imgname'])
    for key, value in table.items():
        wanted = (count, *LAYOUT[key])
        if (
            value.ndim != len(wanted)
            or any(n not in (None, have) for n, have in zip(wanted, value.shape))
            or not count
        ):
            raise InputError(
                f'{path}: {key} has shape {value.shape}, expected '
                f'({", ".join("any" if n is None else str(n) for n in wanted)}) with one or more rows of '
                f"SPIN's layout"
            )
        if value.dtype.kind not in 'USO' and not np.isfinite(value).all():
            raise InputError(
                f'{path}: {key} holds numbers that are not finite; copy or make the file again'
            )
    for key in ('imgname', 'gender'):
        if key in table:
            table[key] = (
                np.char.decode(table[key], 'utf-8') if table[key].dtype.kind == 'S' else table[key]
            )
    if 'gender' in table and not set(table['gender']) <= set(GENDERS):
        raise InputError(
            f"{path}: gender must be 'm' or 'f', it has {sorted(set(table['gender']))[:5]}"
        )
    return table


def _files(file: str | Path | SequenceOf[str | Path]) -> list[Path]:
    patterns = [file] if isinstance(file, (str, Path)) else list(file)
    found = [
        Path(path)
        for pattern in patterns
        for path in (sorted(glob.glob(str(pattern))) if glob.has_magic(str(pattern)) else [pattern])
    ]
    if not found:
        raise InputError(
            f'SPINFile: no file matches {", ".join(map(str, patterns)) or "an empty list"}; check the '
            f'folder (tools/check_assets.py says where files belong and where to get them)'
        )
    return found


def _place(imgname: str) -> tuple[str, int]:
    """Clip and frame number of a picture; -1 without a number."""
    path = Path(imgname.replace('\\', '/'))
    match = re.fullmatch(r'(.*?)[_\-.]*(\d*)', path.stem)
    parts = [part for part in (*path.parent.parts, match[1]) if part not in GENERIC]
    return '_'.join(parts) or 'clip', int(match[2] or -1)


def _breaks(table: dict[str, np.ndarray], places: list[tuple[str, int]], row: int) -> bool:
    """Whether this row begins another track than the one before it."""
    (clip, number), (before, last) = places[row], places[row - 1]
    if clip != before or number <= last:
        return True
    # Betas of 3DPW belong to a person; where no gender is noted they may be fits of single frames.
    return 'gender' in table and (
        table['gender'][row] != table['gender'][row - 1]
        or 'shape' in table
        and not np.array_equal(table['shape'][row], table['shape'][row - 1])
    )


def _truth(table: dict[str, np.ndarray], rows: np.ndarray) -> GroundTruth | None:
    fields: dict = {}
    if 'S' in table:
        joints = float_tensor(table['S'][rows])
        fields.update(
            joints3d=joints[..., :3],
            skeleton='spin24_mocap',
            valid=(joints[:, MEASURED, 3] > 0).all(1),
        )
    if 'pose' in table and 'shape' in table:
        fields.update(
            rotmat=axis_angle_to_rotmat(float_tensor(table['pose'][rows]).unflatten(1, (24, 3))),
            betas=float_tensor(table['shape'][rows]),
            valid=None,
        )
        if 'has_smpl' in table:
            fields['valid'] = torch.as_tensor(table['has_smpl'][rows] > 0)
    if 'gender' in table:
        fields['gender'] = GENDERS[table['gender'][rows[0]]]
    return GroundTruth(**fields) if fields else None
