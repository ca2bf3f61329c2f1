"""MPII's annotation file to SPIN's npz layout (Andriluka et al., "2D Human Pose Estimation", CVPR 2014)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import numpy as np

from hrtk.body_models.skeletons import joint_names
from hrtk.datasets.official.mat_file import read_mat
from hrtk.errors import InputError

# MPII's 16 joints in the order of their ids, by their names in SPIN's layout.
JOINTS = (
    'right_ankle',
    'right_knee',
    'right_hip_lsp',
    'left_hip_lsp',
    'left_knee',
    'left_ankle',
    'pelvis_mpii',
    'thorax_mpii',
    'neck_lsp',
    'headtop_lsp',
    'right_wrist',
    'right_elbow',
    'right_shoulder',
    'left_shoulder',
    'left_elbow',
    'left_wrist',
)
REMEDY = (
    'the file mpii_human_pose_v1_u12_1.mat is part of mpii_human_pose_v1_u12_2.zip at '
    'http://human-pose.mpi-inf.mpg.de'
)


def read_mpii(path: str | Path) -> dict[str, np.ndarray]:
    """Reads the people of the training images that have all 16 joints, as SPIN's ``mpii_train.npz`` does.

    SPIN's own file leaves out the 2958 people of a validation set that the stacked hourglass defines; this one keeps
    them. Boxes are MPII's ``objpos`` and ``scale``, the person's height by 200 px, without the enlargement by 1.25 of
    the hourglass.

    Returns:
        ``imgname`` (``images/<file>``), ``center`` (N, 2), ``scale`` (N,) and ``part`` (N, 24, 3) ``spin24`` with
        confidences.

    Raises:
        InputError: the file is missing, broken or of another layout, or nobody has all joints.
    """
    release = _release(Path(path))
    index = [joint_names('spin24').index(name) for name in JOINTS]
    rows = []
    try:
        for image, person in _training_people(release):
            joints = _joints(person)
            if joints is None:
                continue
            part = np.zeros((24, 3), np.float32)
            part[index, :2] = joints
            part[index, 2] = 1
            centre = [float(person.objpos.x), float(person.objpos.y)]
            rows.append((f'images/{image}', centre, float(person.scale), part))
    except (AttributeError, TypeError, ValueError, IndexError) as error:
        raise InputError(f'{path}: not the layout of MPII ({error}); {REMEDY}') from error
    if not rows:
        raise InputError(f'{path}: no person of a training image has all 16 joints; {REMEDY}')
    names, centres, scales, parts = zip(*rows)
    return dict(
        imgname=np.array(names),
        center=np.array(centres, np.float32),
        scale=np.array(scales, np.float32),
        part=np.stack(parts),
    )


def _release(path: Path) -> Any:
    content = read_mat(path, REMEDY, struct_as_record=False, squeeze_me=True)
    if 'RELEASE' not in content:
        raise InputError(f'{path}: has no RELEASE; {REMEDY}')
    return content['RELEASE']


def _training_people(release: Any) -> Iterator[tuple[str, Any]]:
    """The file name and the annotation of every person of a training image."""
    images = np.atleast_1d(release.annolist)
    for image, is_training in zip(images, np.atleast_1d(release.img_train)):
        if int(is_training) == 1:
            for person in np.atleast_1d(image.annorect):
                yield str(image.image.name), person


def _joints(person: Any) -> Optional[np.ndarray]:
    """(16, 2) px, or None where the person has no box or lacks a joint."""
    if not (_is_struct(person, 'annopoints') and _is_struct(person, 'objpos')):
        return None
    points = person.annopoints
    if not _is_struct(points, 'point'):
        return None
    joints = np.zeros((16, 2), np.float32)
    for point in np.atleast_1d(points.point):
        joints[int(point.id)] = point.x, point.y
    if not (joints > 0).all():
        return None
    return joints


def _is_struct(value: Any, name: str) -> bool:
    """Whether a field is there and holds something; MATLAB leaves empty arrays in absent fields."""
    field = getattr(value, name, None)
    return field is not None and np.size(field) > 0
