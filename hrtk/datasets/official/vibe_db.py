"""Databases of VIBE, TCMR and MPS-Net (``3dpw_test_db.pt`` and its kin): a dict of arrays, one row per frame."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import numpy as np
import torch

from hrtk.datasets.arrays import float_tensor, read_npz
from hrtk.datasets.base import SequenceDataset
from hrtk.datasets.frames import ImageFrames
from hrtk.datasets.official.joblib_file import load_joblib
from hrtk.errors import InputError
from hrtk.files import sha256
from hrtk.geometry.rotation import axis_angle_to_rotmat
from hrtk.registry import DATASETS
from hrtk.structures import GroundTruth, Keypoints2D, Sequence

# Shape of a row; a tuple of tuples lists the ones that occur, with the skeleton of each.
REQUIRED = {'vid_name': (), 'img_name': (), 'bbox': (4,)}
OPTIONAL = {'pose': (72,), 'shape': (10,), 'valid': (), 'features': (2048,)}
SKELETONS2D = {14: 'common14', 49: 'spin49'}
SKELETONS3D = {14: 'lsp14', 49: 'spin49'}
REMEDY = (
    "VIBE's, TCMR's and MPS-Net's projects (https://github.com/mkocabas/VIBE, .../hongsukchoi/TCMR_RELEASE, "
    '.../MPS-Net/MPS-Net_release) distribute these files'
)


@DATASETS.register_module()
class VIBEDatabase(SequenceDataset):
    """Tracks of a VIBE database; an item is one ``vid_name``.

    joblib's file is read without joblib and without running anything in it; an npz of the same keys is read as well.

    Ground truth: ``joints3D`` as they are (14 joints: of the H36M regressor; 49: SPIN's), ``pose`` and ``shape`` where
    they are, valid from ``valid`` or ``valid_i``. Betas of 3DPW belong to a gendered body, but these projects pose the
    neutral one with them, and so the gender is called neutral here.

    Args:
        file: the ``.pt`` (a joblib dump) or an ``.npz``.
        image_root: the folder that holds the data set's pictures. ``img_name`` was written on the authors' machine;
            the longest ending of it that exists below this folder is taken.
        source: who made the 2D joints, printed beside every result. In 3DPW's files they are its own detections.
        box_scale: enlargement of the stored box, 1.2 for VIBE, 1.3 in TCMR's script.
        fps: frames per second, for videos that are written.

    Raises:
        InputError: the file is missing, damaged, unsafe or of another layout, or the first picture of a track is
            missing.
    """

    def __init__(
        self,
        file: str | Path,
        image_root: str | Path,
        source: str = 'joints2D',
        box_scale: float = 1.2,
        fps: float = 30.0,
    ) -> None:
        self.file, self.image_root = Path(file), Path(image_root)
        self.source, self.box_scale, self.fps = source, box_scale, fps
        self.table = read_vibe_db(file)
        names = self.table['vid_name']
        starts = np.flatnonzero(np.r_[True, names[1:] != names[:-1]])
        self._rows = np.split(np.arange(len(names)), starts[1:])
        if len(set(names[starts])) < len(starts):
            raise InputError(
                f'{file}: the rows of a vid_name are not consecutive; take the file as it was distributed'
            )
        self._skip = [
            self._prefix(str(self.table['img_name'][rows[0]]), str(names[rows[0]]))
            for rows in self._rows
        ]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sequence:
        rows, table = self._rows[index], self.table
        paths = [
            self.image_root.joinpath(*_parts(str(name))[self._skip[index] :])
            for name in table['img_name'][rows]
        ]
        box = float_tensor(table['bbox'][rows])
        boxes = torch.cat([box[:, :2], self.box_scale * box[:, 2:].amax(1, keepdim=True)], dim=1)
        return Sequence(
            str(table['vid_name'][rows[0]]),
            ImageFrames(paths),
            boxes,
            self._evidence(rows),
            self._truth(rows),
            frame_ids=tuple(path.name for path in paths),
            fps=self.fps,
        )

    def fingerprint(self) -> dict[str, str]:
        """A hash of the file; the pictures are taken for granted."""
        return {'database': sha256(self.file)}

    def _evidence(self, rows: np.ndarray) -> Keypoints2D:
        if 'joints2D' not in self.table:
            return Keypoints2D(
                torch.zeros(len(rows), 24, 2), torch.zeros(len(rows), 24), 'spin24', 'none'
            )
        points = float_tensor(self.table['joints2D'][rows])
        return Keypoints2D(
            points[..., :2], points[..., 2].clamp(0, 1), SKELETONS2D[points.shape[1]], self.source
        )

    def _truth(self, rows: np.ndarray) -> Optional[GroundTruth]:
        table, fields = self.table, {}
        if 'joints3D' in table:
            joints = float_tensor(table['joints3D'][rows])
            fields.update(joints3d=joints, skeleton=SKELETONS3D[joints.shape[1]])
        if 'pose' in table and 'shape' in table:
            fields.update(
                rotmat=axis_angle_to_rotmat(
                    float_tensor(table['pose'][rows]).unflatten(1, (24, 3))
                ),
                betas=float_tensor(table['shape'][rows]),
            )
        if fields and 'valid' in table:
            fields['valid'] = torch.as_tensor(table['valid'][rows] > 0)
        return GroundTruth(**fields) if fields else None

    def _prefix(self, name: str, clip: str) -> int:
        """How many leading folders of a name do not belong below ``image_root``."""
        parts = _parts(name)
        for skip in range(len(parts)):
            if self.image_root.joinpath(*parts[skip:]).is_file():
                return skip
        raise InputError(
            f'{self.image_root}: no ending of {name!r}, the first picture of {clip!r}, exists below this '
            f'folder; name the folder of the data set with `image_root`'
        )


def read_vibe_db(path: str | Path) -> dict[str, np.ndarray]:
    """Reads and checks one database.

    Returns:
        The arrays that hrtk knows; ``valid_i`` (N, 1) comes as ``valid`` (N,).

    Raises:
        InputError: it is missing, damaged or unsafe, lacks a key, or rows have another shape.
    """
    keys = (*REQUIRED, *OPTIONAL, 'valid_i', 'joints2D', 'joints3D')
    path = Path(path)
    if not path.is_file():
        raise InputError(f'{path}: there is no such file; {REMEDY}')
    if path.suffix == '.npz':
        raw = read_npz(path, keys, REQUIRED, REMEDY)
    else:
        raw = {key: np.asarray(value) for key, value in load_joblib(path).items() if key in keys}
    missing = [key for key in REQUIRED if key not in raw]
    if missing:
        raise InputError(
            f'{path}: lacks {", ".join(missing)}; it has {", ".join(raw) or "none of the known keys"}. '
            f'{REMEDY}'
        )
    if 'valid_i' in raw:
        raw['valid'] = raw.pop('valid_i').reshape(-1)
    count = len(raw['vid_name'])
    layout = {**REQUIRED, **OPTIONAL}
    for key, value in raw.items():
        shapes = [layout[key]] if key in layout else [(n, 3) for n in SKELETONS2D]
        if value.shape not in [(count, *shape) for shape in shapes] or count == 0:
            raise InputError(
                f'{path}: {key} has shape {value.shape}, expected {count} rows of '
                f'{" or ".join(map(str, shapes))}; {REMEDY}'
            )
        if value.dtype.kind in 'fc' and not np.isfinite(value).all():
            raise InputError(
                f'{path}: {key} holds numbers that are not finite; copy or download it again'
            )
    return raw


def _parts(name: str) -> tuple[str, ...]:
    return tuple(part for part in name.replace('\\', '/').split('/') if part not in ('', '.', '..'))
