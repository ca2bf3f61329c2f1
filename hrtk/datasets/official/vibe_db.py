"""Databases of VIBE, TCMR and MPS-Net (``3dpw_test_db.pt`` and similar files): a dict of arrays, one row per frame."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch

from hrtk.datasets.arrays import float_tensor, read_npz
from hrtk.datasets.base import SequenceDataset
from hrtk.datasets.frames import ImageFrames
from hrtk.datasets.official.joblib_file import load_joblib
from hrtk.datasets.official.rows import keypoints_of_points, no_keypoints, rotmat_of_pose
from hrtk.errors import InputError
from hrtk.reading.hashes import sha256
from hrtk.registry import DATASETS
from hrtk.structures import GroundTruth, Keypoints2D, Sequence

# Shape of a row of every key that is read; joints have one of several shapes, each with its skeleton.
REQUIRED: dict[str, tuple[int, ...]] = {'vid_name': (), 'img_name': (), 'bbox': (4,)}
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

    joblib's file is read without joblib and without executing code in it; an npz of the same keys is read as well.

    Ground truth: the stored ``joints3D`` (14 joints: of the H36M regressor; 49: SPIN's), ``pose`` and ``shape`` where
    they exist, valid from ``valid`` or ``valid_i``. Betas of 3DPW belong to a gendered body, but these projects pose
    the neutral one with them, so the gender is ``'neutral'`` here.

    Args:
        file: the ``.pt`` (a joblib dump) or an ``.npz``.
        image_root: the folder of the data set's images. ``img_name`` is a path on the authors' machine; its longest
            ending that exists below this folder is used.
        source: origin of the 2D joints, printed beside every result. In 3DPW's files they are its own detections.
        box_scale: enlargement of the stored box, 1.2 for VIBE, 1.3 in TCMR's script.
        fps: frames per second of rendered videos.

    Raises:
        InputError: the file is missing, damaged, unsafe or of another layout, or the first image of a track is
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
        self.file = Path(file)
        self.image_root = Path(image_root)
        self.source = source
        self.box_scale = box_scale
        self.fps = fps
        self.table = read_vibe_db(file)
        names = self.table['vid_name']
        changes = np.flatnonzero(names[1:] != names[:-1]) + 1
        self._rows = np.split(np.arange(len(names)), changes)
        if len(set(names)) < len(self._rows):
            raise InputError(
                f'{file}: the rows of a vid_name are not consecutive; take the file as it was distributed'
            )
        self._foreign_folders = [self._count_foreign_folders(rows[0]) for rows in self._rows]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sequence:
        rows = self._rows[index]
        table = self.table
        skip = self._foreign_folders[index]
        paths = [
            self.image_root.joinpath(*_path_parts(name)[skip:]) for name in table['img_name'][rows]
        ]
        bbox = float_tensor(table['bbox'][rows])
        side = self.box_scale * bbox[:, 2:].amax(1, keepdim=True)
        return Sequence(
            name=str(table['vid_name'][rows[0]]),
            frames=ImageFrames(paths),
            boxes=torch.cat([bbox[:, :2], side], dim=1),
            keypoints2d=self._evidence(rows),
            truth=self._ground_truth(rows),
            frame_ids=tuple(path.name for path in paths),
            fps=self.fps,
        )

    def fingerprint(self) -> dict[str, str]:
        """A hash of the file; the images are assumed to be unchanged."""
        return {'database': sha256(self.file)}

    def _evidence(self, rows: np.ndarray) -> Keypoints2D:
        if 'joints2D' not in self.table:
            return no_keypoints(len(rows))
        points = float_tensor(self.table['joints2D'][rows])
        return keypoints_of_points(points, SKELETONS2D[points.shape[1]], self.source)

    def _ground_truth(self, rows: np.ndarray) -> Optional[GroundTruth]:
        table = self.table
        fields: dict[str, Any] = {}
        if 'joints3D' in table:
            joints = float_tensor(table['joints3D'][rows])
            fields['joints3d'] = joints
            fields['skeleton'] = SKELETONS3D[joints.shape[1]]
        if 'pose' in table and 'shape' in table:
            fields['rotmat'] = rotmat_of_pose(table['pose'][rows])
            fields['betas'] = float_tensor(table['shape'][rows])
        if not fields:
            return None
        if 'valid' in table:
            fields['valid'] = torch.as_tensor(table['valid'][rows] > 0)
        return GroundTruth(**fields)

    def _count_foreign_folders(self, row: int) -> int:
        """How many leading folders of a row's ``img_name`` do not belong below ``image_root``."""
        name = self.table['img_name'][row]
        parts = _path_parts(name)
        for skip in range(len(parts)):
            if self.image_root.joinpath(*parts[skip:]).is_file():
                return skip
        raise InputError(
            f'{self.image_root}: no ending of {str(name)!r}, the first image of '
            f'{str(self.table["vid_name"][row])!r}, exists below this folder; name the folder of the data '
            f'set with `image_root`'
        )


def read_vibe_db(path: str | Path) -> dict[str, np.ndarray]:
    """Reads and checks one database.

    Returns:
        The known arrays; ``valid_i`` (N, 1) is returned as ``valid`` (N,).

    Raises:
        InputError: the file is missing, damaged or unsafe, lacks a key, or has rows of another shape.
    """
    keys = (*REQUIRED, *OPTIONAL, 'valid_i', 'joints2D', 'joints3D')
    table = read_table(path, keys, REQUIRED)
    if 'valid_i' in table:
        table['valid'] = table.pop('valid_i').reshape(-1)
    count = len(table['vid_name'])
    row_shapes = {**REQUIRED, **OPTIONAL}
    joint_shapes: list[tuple[int, ...]] = [(joints, 3) for joints in SKELETONS2D]
    for key, value in table.items():
        shapes = joint_shapes
        if key in row_shapes:
            shapes = [row_shapes[key]]
        if count == 0 or value.shape not in [(count, *shape) for shape in shapes]:
            raise InputError(
                f'{path}: {key} has shape {value.shape}, expected {count} rows of '
                f'{" or ".join(map(str, shapes))}; {REMEDY}'
            )
        if value.dtype.kind in 'fc' and not np.isfinite(value).all():
            raise InputError(
                f'{path}: {key} holds numbers that are not finite; copy or download it again'
            )
    return table


def read_table(
    path: str | Path, keys: Iterable[str], required: Iterable[str], remedy: str = REMEDY
) -> dict[str, np.ndarray]:
    """Reads arrays of a joblib dump, of an npz or, like InstaVariety's, of an HDF5 file of the same keys.

    Args:
        path: the file.
        keys: arrays to read.
        required: those of them that must be there.
        remedy: end of the messages: where the file comes from.

    Raises:
        InputError: the file is missing, damaged or unsafe, or lacks a required key.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f'{path}: there is no such file; {remedy}')
    if path.suffix == '.npz':
        return read_npz(path, keys, required, remedy)
    if path.suffix == '.h5':
        table = _load_hdf5(path, keys)
    else:
        content = load_joblib(path)
        table = {key: np.asarray(content[key]) for key in keys if key in content}
    missing = [key for key in required if key not in table]
    if missing:
        raise InputError(
            f'{path}: lacks {", ".join(missing)}; it has {", ".join(table) or "none of the known keys"}. '
            f'{remedy}'
        )
    return table


def _load_hdf5(path: Path, keys: Iterable[str]) -> dict[str, np.ndarray]:
    try:
        import h5py
    except ImportError as error:
        raise InputError(
            f'{path}: pip install h5py to read it, or save its arrays with numpy.savez'
        ) from error
    try:
        with h5py.File(path, 'r') as file:
            content = {key: np.asarray(file[key]) for key in keys if key in file}
    except OSError as error:
        raise InputError(
            f'{path}: cannot be read as HDF5 ({error}); copy or download it again'
        ) from error
    # HDF5 holds names as bytes.
    return {
        key: np.char.decode(value.astype('S')) if value.dtype.kind in 'OS' else value
        for key, value in content.items()
    }


def _path_parts(name: str) -> tuple[str, ...]:
    parts = str(name).replace('\\', '/').split('/')
    return tuple(part for part in parts if part not in ('', '.', '..'))
