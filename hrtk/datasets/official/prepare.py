"""From the distributed files to the npz layouts that :class:`SPINFile` and :class:`VIBEDatabase` read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hrtk.body_models.skeletons import joint_names
from hrtk.datasets.arrays import read_npz, save_npz
from hrtk.datasets.frames import read_image
from hrtk.datasets.official.joblib_file import load_joblib
from hrtk.datasets.official.mpii_mat import read_mpii
from hrtk.datasets.official.spin_npz import read_spin_npz
from hrtk.datasets.official.threedpw import PersonTrack, ThreeDPW
from hrtk.errors import InputError
from hrtk.geometry.boxes import boxes_from_keypoints
from hrtk.geometry.rotation import rotmat_to_axis_angle
from hrtk.structures import Sequence

# The 17 points of 3DHP's annotation, by their names in SPIN's layout; 3DHP's top of the head is SPIN's head.
POINTS_3DHP = (
    'head_mocap',
    'neck_mocap',
    'right_shoulder_mocap',
    'right_elbow_mocap',
    'right_wrist_mocap',
    'left_shoulder_mocap',
    'left_elbow_mocap',
    'left_wrist_mocap',
    'right_hip_mocap',
    'right_knee_mocap',
    'right_ankle_mocap',
    'left_hip_mocap',
    'left_knee_mocap',
    'left_ankle_mocap',
    'pelvis_mocap',
    'spine_mocap',
    'jaw_mocap',
)
SPIN_INDEX_3DHP = [joint_names('spin24_mocap').index(name) for name in POINTS_3DHP]
PELVIS_3DHP = POINTS_3DHP.index('pelvis_mocap')


def prepare_3dpw(
    root: str | Path, output: str | Path, bodies: Mapping[str, str], split: str = 'test'
) -> int:
    """Raw 3DPW -> one npz of BOA's layout: aligned frames, boxes and ``smpl_j2d`` from the projected true bodies.

    Args:
        root: as of :class:`ThreeDPW`.
        output: the npz to write.
        bodies: as of :class:`ThreeDPW`; every person is projected with the body of their own gender.
        split: ``'train'``, ``'validation'`` or ``'test'``.

    Returns:
        The number of rows; 35,515 for the test set.
    """
    dataset = ThreeDPW(root, split, keypoints='gt', bodies=bodies)
    tables = [_spin_table(track, dataset[i]) for i, track in enumerate(dataset.tracks)]
    return _write(output, tables)


def _spin_table(track: PersonTrack, sequence: Sequence) -> dict[str, Any]:
    """The rows of the aligned frames of a track."""
    valid = track.valid
    keypoints = sequence.keypoints2d
    points = torch.cat([keypoints.xy, keypoints.confidence[..., None]], -1)
    frames = valid.nonzero().flatten().tolist()
    names = [f'imageFiles/{track.clip}/{sequence.frame_ids[t]}' for t in frames]
    return dict(
        imgname=np.array(names, dtype=np.str_),
        center=sequence.boxes[valid, :2],
        scale=sequence.boxes[valid, 2] / 200,
        pose=rotmat_to_axis_angle(track.rotmat[valid]).flatten(1),
        shape=track.betas.expand(len(frames), 10),
        gender=np.array([track.gender[0]] * len(frames), dtype=np.str_),
        smpl_j2d=points[valid],
    )


def prepare_3dhp(root: str | Path, output: str | Path) -> int:
    """MPI-INF-3DHP's test set (``mpi_inf_3dhp_test_set/TS1..6``) -> SPIN's npz; needs the package h5py.

    As SPIN: frames that are marked valid and have all 17 points inside the image, ``univ_annot3`` in metres minus the
    pelvis, box 1.2 times the extent of the points.

    Returns:
        The number of rows.

    Raises:
        InputError: h5py, a file or an image is missing, or an annotation is damaged.
    """
    tables = []
    for subject in range(1, 7):
        folder = Path('mpi_inf_3dhp_test_set') / f'TS{subject}'
        annotation = _read_mat(Path(root) / folder / 'annot_data.mat')
        if annotation['valid_frame'].any():
            tables.append(_table_of_3dhp(Path(root), folder, annotation))
    return _write(output, tables)


def _table_of_3dhp(
    root: Path, folder: Path, annotation: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The rows of one subject."""
    valid = np.flatnonzero(annotation['valid_frame'])
    images = folder / 'imageSequence'
    names = [(images / f'img_{frame + 1:06d}.jpg').as_posix() for frame in valid]
    points = annotation['annot2'].reshape(-1, 17, 2)[valid].astype(np.float64)
    joints = annotation['univ_annot3'].reshape(-1, 17, 3)[valid].astype(np.float64) / 1000
    first = read_image(root / names[0])
    height, width = first.shape[:2]  # all images of one subject have one size
    inside = ((points >= 0) & (points < (width, height))).all((1, 2))
    visible = np.ones((len(valid), 17, 1))
    pelvis = joints[:, PELVIS_3DHP, None]
    part = np.zeros((len(valid), 24, 3))
    part[:, SPIN_INDEX_3DHP] = np.concatenate([points, visible], -1)
    S = np.zeros((len(valid), 24, 4))
    S[:, SPIN_INDEX_3DHP] = np.concatenate([joints - pelvis, visible], -1)
    boxes = boxes_from_keypoints(torch.from_numpy(points), torch.ones(points.shape[:2])).numpy()
    table = dict(
        imgname=np.array(names), center=boxes[:, :2], scale=boxes[:, 2] / 200, part=part, S=S
    )
    return {key: value[inside] for key, value in table.items()}


def prepare_h36m(file: str | Path, bodies: str | Path, output: str | Path) -> int:
    """Adds ``pose`` and ``shape``, which must not be distributed, to a Human3.6M npz of SPIN's layout.

    Args:
        file: SPIN's npz (``imgname center scale part S``).
        bodies: an npz with ``imgname``, ``pose`` (M, 72, root in the camera frame) and ``shape`` (M, 10).
        output: the npz to write; rows without a body get ``has_smpl`` 0.

    Returns:
        The number of rows that have a body.
    """
    table = read_spin_npz(file)
    keys = ('imgname', 'pose', 'shape')
    fits = read_npz(bodies, keys, keys, 'make one from your fits')
    if fits['pose'].shape[1:] != (72,) or fits['shape'].shape[1:] != (10,):
        raise InputError(
            f'{bodies}: pose {fits["pose"].shape} and shape {fits["shape"].shape}, expected (M, 72) and '
            f'(M, 10)'
        )
    row_of_image = {name: row for row, name in enumerate(fits['imgname'].tolist())}
    rows = np.array([row_of_image.get(name, -1) for name in table['imgname'].tolist()])
    has_body = rows >= 0
    if not has_body.any():
        raise InputError(
            f'{bodies}: no imgname is one of {file}; the first are {fits["imgname"][0]!r} and '
            f'{table["imgname"][0]!r}'
        )
    for key in ('pose', 'shape'):
        table[key] = np.where(has_body[:, None], fits[key][rows], 0)
    table['has_smpl'] = has_body.astype(int)
    _write(output, [table])
    return int(has_body.sum())


def prepare_mpii(file: str | Path, output: str | Path) -> int:
    """MPII's ``mpii_human_pose_v1_u12_1.mat`` -> SPIN's npz, see :func:`~hrtk.datasets.official.mpii_mat.read_mpii`.

    Args:
        file: the annotation file.
        output: the npz to write.

    Returns:
        The number of rows.
    """
    return _write(output, [read_mpii(file)])


def prepare_vibe(file: str | Path, output: str | Path) -> int:
    """A joblib database of VIBE -> the same arrays in an npz; no code in it is executed.

    Returns:
        The number of rows.
    """
    table = {key: np.asarray(value) for key, value in load_joblib(file).items()}
    objects = [key for key, value in table.items() if value.dtype.hasobject]
    if objects:
        raise InputError(
            f'{file}: {", ".join(objects)} hold Python objects, which an npz of plain arrays cannot hold'
        )
    return _write(output, [table])


def _read_mat(path: Path) -> dict[str, np.ndarray]:
    """The annotation of one subject of 3DHP: ``valid_frame`` (F,), ``annot2`` and ``univ_annot3``."""
    try:
        import h5py
    except ImportError as error:
        raise InputError(
            '3DHP annotates its test set in MATLAB 7.3 files: pip install h5py, and run again'
        ) from error
    if not path.is_file():
        raise InputError(
            f'{path}: there is no such file; the test set is at https://vcai.mpi-inf.mpg.de/3dhp-dataset'
        )
    keys = ('valid_frame', 'annot2', 'univ_annot3')
    try:
        with h5py.File(path, 'r') as file:
            content = {key: np.asarray(file[key]) for key in keys}
    except (OSError, KeyError) as error:
        raise InputError(
            f'{path}: not an annotation of 3DHP, or damaged ({error}); copy it again'
        ) from error
    frames = content['valid_frame'].size
    if content['annot2'].size != frames * 34 or content['univ_annot3'].size != frames * 51:
        raise InputError(
            f'{path}: {frames} frames, but annot2 has {content["annot2"].shape} and univ_annot3 '
            f'{content["univ_annot3"].shape}; copy it again'
        )
    content['valid_frame'] = content['valid_frame'].reshape(-1)
    return content


def _write(output: str | Path, tables: list[dict[str, Any]]) -> int:
    """Writes the rows of several tables to one npz and returns their number."""
    if not tables:
        raise InputError(f'{output}: nothing to write, no frame is valid')
    joined = {
        key: np.concatenate([np.asarray(table[key]) for table in tables]) for key in tables[0]
    }
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    save_npz(output, joined)
    return len(next(iter(joined.values())))
