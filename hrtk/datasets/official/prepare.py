"""From what owners distribute to the npz layouts that :class:`SPINFile` and :class:`VIBEDatabase` read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from hrtk.body_models.skeletons import joint_names
from hrtk.datasets.arrays import read_npz
from hrtk.datasets.official.joblib_file import load_joblib
from hrtk.datasets.official.spin_npz import read_spin_npz
from hrtk.datasets.official.threedpw import ThreeDPW
from hrtk.errors import InputError
from hrtk.geometry.boxes import boxes_from_keypoints
from hrtk.geometry.rotation import rotmat_to_axis_angle

# The 17 points of 3DHP's annotation, by the names of what SPIN stores them as; its top of the head is SPIN's head.
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
PLACES_3DHP = [joint_names('spin24_mocap').index(name) for name in POINTS_3DHP]


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
    dataset, rows = ThreeDPW(root, split, keypoints='gt', bodies=bodies), []
    for index in range(len(dataset)):
        sequence = dataset[index]
        truth, keypoints = sequence.truth, sequence.keypoints2d
        keep = truth.valid
        clip = sequence.name.rpartition('_')[0]
        names = [
            f'imageFiles/{clip}/{frame}' for frame, valid in zip(sequence.frame_ids, keep) if valid
        ]
        points = torch.cat([keypoints.xy, keypoints.confidence[..., None]], -1)
        rows.append(
            dict(
                imgname=np.array(names, dtype=str),
                center=sequence.boxes[keep, :2],
                scale=sequence.boxes[keep, 2] / 200,
                pose=rotmat_to_axis_angle(truth.rotmat[keep]).flatten(1),
                shape=truth.betas[keep],
                gender=np.array([truth.gender[0]] * len(names), dtype=str),
                smpl_j2d=points[keep],
            )
        )
    return _write(output, rows)


def prepare_3dhp(root: str | Path, output: str | Path) -> int:
    """MPI-INF-3DHP's test set (``mpi_inf_3dhp_test_set/TS1..6``) -> SPIN's npz; needs the package h5py.

    As SPIN: frames marked valid with all 17 points inside the picture, ``univ_annot3`` in metres minus the pelvis,
    box 1.2 times the extent of the points.

    Returns:
        The number of rows.

    Raises:
        InputError: h5py, a file or a picture is missing, or an annotation is not what it should be.
    """
    rows = []
    for subject in range(1, 7):
        folder = Path('mpi_inf_3dhp_test_set') / f'TS{subject}'
        annotation = _read_mat(Path(root) / folder / 'annot_data.mat')
        valid = np.flatnonzero(annotation['valid_frame'])
        if len(valid) == 0:
            continue
        names = [
            (folder / 'imageSequence' / f'img_{frame + 1:06d}.jpg').as_posix() for frame in valid
        ]
        points = annotation['annot2'].reshape(-1, 17, 2)[valid].astype(np.float64)
        joints = annotation['univ_annot3'].reshape(-1, 17, 3)[valid].astype(np.float64) / 1000
        picture = cv2.imread(
            str(Path(root) / names[0])
        )  # the pictures of one subject have one size
        if picture is None:
            raise InputError(f'{Path(root) / names[0]}: no such picture; unpack the whole test set')
        inside = ((points >= 0) & (points < picture.shape[1::-1])).all((1, 2))
        part, S = np.zeros((len(valid), 24, 3)), np.zeros((len(valid), 24, 4))
        part[:, PLACES_3DHP] = np.concatenate([points, np.ones((len(valid), 17, 1))], -1)
        root_joint = joints[:, POINTS_3DHP.index('pelvis_mocap'), None]
        S[:, PLACES_3DHP] = np.concatenate([joints - root_joint, np.ones((len(valid), 17, 1))], -1)
        boxes = boxes_from_keypoints(torch.from_numpy(points), torch.ones(points.shape[:2])).numpy()
        row = dict(
            imgname=np.array(names), center=boxes[:, :2], scale=boxes[:, 2] / 200, part=part, S=S
        )
        rows.append({key: value[inside] for key, value in row.items()})
    return _write(output, rows)


def prepare_h36m(file: str | Path, bodies: str | Path, output: str | Path) -> int:
    """Adds ``pose`` and ``shape``, which nobody may distribute, to a Human3.6M npz of SPIN's layout.

    Args:
        file: SPIN's npz (``imgname center scale part S``).
        bodies: an npz with ``imgname``, ``pose`` (M, 72, root in the camera frame) and ``shape`` (M, 10).
        output: the npz to write; rows without a body get ``has_smpl`` 0.

    Returns:
        The number of rows that have a body.
    """
    table = read_spin_npz(file)
    known = read_npz(
        bodies,
        ('imgname', 'pose', 'shape'),
        ('imgname', 'pose', 'shape'),
        'make one from your fits',
    )
    if known['pose'].shape[1:] != (72,) or known['shape'].shape[1:] != (10,):
        raise InputError(
            f'{bodies}: pose {known["pose"].shape} and shape {known["shape"].shape}, expected (M, 72) and '
            f'(M, 10)'
        )
    place = {name: row for row, name in enumerate(known['imgname'].tolist())}
    rows = np.array([place.get(name, -1) for name in table['imgname'].tolist()])
    found = rows >= 0
    if not found.any():
        raise InputError(
            f'{bodies}: no imgname is one of {file}; the first are {known["imgname"][0]!r} and '
            f'{table["imgname"][0]!r}'
        )
    table.update(
        {key: np.where(found[:, None], known[key][rows], 0) for key in ('pose', 'shape')},
        has_smpl=found * 1,
    )
    _write(output, [table])
    return int(found.sum())


def prepare_vibe(file: str | Path, output: str | Path) -> int:
    """A joblib database of VIBE's -> the same arrays in an npz, nothing in it being run.

    Returns:
        The number of rows.
    """
    content = {key: np.asarray(value) for key, value in load_joblib(file).items()}
    objects = [key for key, value in content.items() if value.dtype.hasobject]
    if objects:
        raise InputError(
            f'{file}: {", ".join(objects)} hold Python objects, which an npz of plain arrays cannot hold'
        )
    return _write(output, [content])


def _read_mat(path: Path) -> dict[str, np.ndarray]:
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


def _write(output: str | Path, rows: list[dict[str, Any]]) -> int:
    if not rows:
        raise InputError(f'{output}: nothing to write, no frame is valid')
    joined = {key: np.concatenate([np.asarray(row[key]) for row in rows]) for key in rows[0]}
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    np.savez(output, **joined)
    return len(next(iter(joined.values())))
