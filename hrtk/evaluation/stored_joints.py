"""Joints that another program has computed, from a file, scored under a protocol."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Optional

import numpy as np

from hrtk.body_models.skeletons import joint_names
from hrtk.errors import InputError
from hrtk.evaluation.alignment import RootAligner
from hrtk.evaluation.calibrated import crop_rotations, ray_errors, true_image
from hrtk.evaluation.functional import mpjpe, pa_mpjpe
from hrtk.evaluation.measuring import Measured
from hrtk.evaluation.protocols import Protocol
from hrtk.reading import read_json
from hrtk.structures import Sequence

LARGEST = 1e6  # m, of a coordinate
LAYOUT = (
    'a json object with `joints` (J names), `frame_ids` (F labels), `xyz` (F x J x 3 metres, camera frame) and '
    'perhaps `uv` (F x J x 2 px) and `axes` (`camera` or `crop`), as `tools/export.py --formats joints` writes it'
)


@dataclasses.dataclass(frozen=True)
class StoredJoints:
    """The joints of one person in F frames.

    Attributes:
        names: J joints, names of :mod:`hrtk.body_models.skeletons`.
        frame_ids: F labels, those of the sequence.
        xyz: (F, J, 3) float64 metres in the camera frame; any position of the root.
        uv: (F, J, 2) float64 px of the source image, or None.
        axes: ``'camera'``, or ``'crop'`` if the joints come from a crop and are relative to its viewing ray; protocols
            with ``viewing_ray`` turn the latter by the boxes of the sequence.
    """

    names: tuple[str, ...]
    frame_ids: tuple[str, ...]
    xyz: np.ndarray
    uv: Optional[np.ndarray] = None
    axes: str = 'camera'


def read_joints(path: Path) -> StoredJoints:
    """Reads a json file of joints, of the layout of hrtk's export ``joints``.

    Raises:
        InputError: the file is missing, not json, or of another layout.
    """
    if not path.is_file():
        raise InputError(f'{path}: there is no such file of joints; expected {LAYOUT}')
    try:
        content = read_json(path, f'expected {LAYOUT}', dict)
        names = tuple(str(name) for name in content['joints'])
        frame_ids = tuple(str(frame) for frame in content['frame_ids'])
        xyz = np.array(content['xyz'], np.float64)
        uv = None
        if content.get('uv') is not None:
            uv = np.array(content['uv'], np.float64)
    except InputError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f'{path}: not a file of joints ({type(error).__name__}: {error}); expected {LAYOUT}'
        ) from error
    shape = (len(frame_ids), len(names))
    if xyz.shape != (*shape, 3) or (uv is not None and uv.shape != (*shape, 2)):
        uv_shape = None if uv is None else uv.shape
        raise InputError(
            f'{path}: {shape[0]} frame_ids and {shape[1]} joints, but xyz is {xyz.shape} and uv '
            f'{uv_shape}; expected {LAYOUT}'
        )
    if not (np.abs(xyz) < LARGEST).all():
        raise InputError(
            f'{path}: a coordinate of xyz is not finite, or not below {LARGEST:g} m; expected {LAYOUT}'
        )
    axes = content.get('axes', 'camera')
    if axes not in ('camera', 'crop'):
        raise InputError(f'{path}: axes are {axes!r}; expected "camera" or "crop"')
    return StoredJoints(names, frame_ids, xyz, uv, axes)


def measure_joints(
    protocol: Protocol, stored: StoredJoints, sequence: Sequence, path: Path
) -> Measured:
    """Errors of stored joints in the frames of a sequence.

    Args:
        protocol: compares joints that the truth has measured.
        stored: with all frames of the sequence, perhaps more.
        sequence: with ground truth.
        path: of the file, for messages.

    Returns:
        ``mpjpe_mm`` and ``pa_mpjpe_mm``, and for protocols with the true camera the errors of
        :func:`hrtk.evaluation.calibrated.ray_errors`. What needs a body is not measured.

    Raises:
        InputError: a joint or a frame is missing, or the truth has no measured joints.
    """
    truth = sequence.truth
    if truth is None or truth.joints3d is None or 'joints' not in protocol.truth:
        raise InputError(
            f'{sequence.name}: stored joints are compared with measured ones under a protocol for these; the '
            f'ground truth has none, or protocol {protocol.name!r} poses bodies'
        )
    rows = _rows(stored.frame_ids, sequence.frame_ids, path)
    compared = _columns(stored.names, joint_names(protocol.joints), path)
    root = _columns(stored.names, protocol.root, path)
    true_compared, true_root = RootAligner(protocol, None).measured_indices(truth.skeleton)
    xyz = stored.xyz[rows]
    true_xyz = np.float64(truth.joints3d.cpu().numpy())
    joints = xyz[:, compared] - xyz[:, root].mean(1, keepdims=True)
    unturned = joints
    turn = crop_rotations(protocol, sequence.boxes, sequence)
    if turn is not None and stored.axes == 'crop':
        joints = joints @ turn.transpose(1, 2).numpy()
    true_joints = true_xyz[:, true_compared] - true_xyz[:, true_root].mean(1, keepdims=True)
    errors = dict(mpjpe_mm=mpjpe(joints, true_joints), pa_mpjpe_mm=pa_mpjpe(joints, true_joints))
    image = true_image(truth, true_compared)
    if protocol.calibrated and image is not None:
        projected = None
        if stored.uv is not None:
            projected = stored.uv[rows][:, compared]
        errors.update(ray_errors(joints, unturned, true_joints, projected, *image))
    return Measured(errors, joints, true_joints)


def _rows(available: tuple[str, ...], wanted: tuple[str, ...], path: Path) -> list[int]:
    position = {label: index for index, label in enumerate(available)}
    missing = [label for label in wanted if label not in position]
    if missing:
        raise InputError(
            f'{path}: lacks {len(missing)} of {len(wanted)} frames of the sequence: '
            f'{", ".join(missing[:5])}; it has frames like {", ".join(available[:2])}'
        )
    return [position[label] for label in wanted]


def _columns(available: tuple[str, ...], wanted: tuple[str, ...], path: Path) -> list[int]:
    missing = [name for name in wanted if name not in available]
    if missing:
        raise InputError(
            f'{path}: lacks the joints {", ".join(missing)}, which the protocol compares; it has '
            f'{", ".join(available)}'
        )
    return [available.index(name) for name in wanted]
