"""The files of a Pose2Sim project: calibration (toml, Qualisys' ``qca.txt``) and 3D markers (TRC).

Source of the layouts: Pose2Sim 0.10 (Pagnon et al., Pose2Sim: An Open-Source Python Package for Multiview Markerless
Kinematics, 2022). Its world has z up; its TRC files have y up, ``(x, y, z)`` there is ``(y, z, x)`` of the world.
"""

from __future__ import annotations

import dataclasses
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hrtk.errors import InputError
from hrtk.files import natural, trc_text, write_text_atomically
from hrtk.geometry.calibrated_camera import CalibratedCamera
from hrtk.reading import read_bytes, read_text, regular_file

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # comes with mmengine

# Tables of a calibration file that are no cameras.
NO_CAMERAS = ('metadata', 'capture_volume', 'charuco', 'checkerboard')
SUBPIXELS = 64  # Qualisys writes lengths on the sensor in 1/64 px
MM = 1000.0
SCALES = {'m': 1.0, 'mm': MM}
TO_WORLD = [2, 0, 1]  # world coordinates are these of a TRC file
TO_TRC = [1, 2, 0]
HEADER_LINES = 5


@dataclasses.dataclass(frozen=True)
class Markers:
    """3D markers of one person.

    Attributes:
        names: M names.
        frames: (F,) frame numbers of the project.
        points: (F, M, 3) float64 metres in the world; NaN where a marker is missing.
        rate: frames per second.
    """

    names: tuple[str, ...]
    frames: np.ndarray
    points: np.ndarray
    rate: float


@dataclasses.dataclass(frozen=True)
class TrcTable:
    """A TRC file as it is.

    Attributes:
        names: M names.
        frames: (F,) numbers of the rows.
        times: (F,) s.
        values: (F, M, 3) float64 in the unit and axes of the file; NaN for empty cells.
        rate: frames per second.
        unit: as the file calls it.
    """

    names: tuple[str, ...]
    frames: np.ndarray
    times: np.ndarray
    values: np.ndarray
    rate: float
    unit: str


def read_calibration(path: Path) -> list[CalibratedCamera]:
    """Reads the cameras of a calibration file, in their order there; a ``qca.txt`` in natural order of the names.

    Raises:
        InputError: the file is missing, of another format, or lacks a key; or a camera is a fisheye or moves.
    """
    if not path.is_file():
        raise InputError(f'{path}: there is no such calibration file; check the path')
    if path.suffix == '.toml':
        return _toml_cameras(path)
    return _qca_cameras(path)


def write_calibration(path: Path, cameras: Sequence[CalibratedCamera]) -> None:
    """Writes a calibration as Pose2Sim's toml, without the third radial coefficient."""
    lines = []
    for camera in cameras:
        rotation = cv2.Rodrigues(camera.rotation)[0].ravel()
        lines += [
            f'[{camera.name}]',
            f'name = "{camera.name}"',
            f'size = {_numbers(np.array(camera.size))}',
            f'matrix = [{", ".join(_numbers(row) for row in camera.matrix)}]',
            f'distortions = {_numbers(camera.distortion[:4])}',
            f'rotation = {_numbers(rotation)}',
            f'translation = {_numbers(camera.translation)}',
            'fisheye = false',
            '',
        ]
    lines += ['[metadata]', 'adjusted = false', 'error = 0.0', '']
    write_text_atomically(path, '\n'.join(lines))


def read_trc(path: Path) -> Markers:
    """Reads a TRC file with y up, as Pose2Sim writes it.

    A marker at exactly (0, 0, 0), or without numbers, is missing.

    Raises:
        InputError: the file is missing or not a TRC file.
    """
    table = read_trc_table(path)
    if table.unit not in SCALES:
        raise InputError(
            f'{path}: not a TRC file of 3D markers, its unit is {table.unit!r}; it must be m or mm'
        )
    points = table.values[..., TO_WORLD] / SCALES[table.unit]
    points[(points == 0).all(-1)] = np.nan
    return Markers(table.names, table.frames, points, table.rate)


def read_trc_table(path: Path) -> TrcTable:
    """Reads a TRC file as it is.

    Raises:
        InputError: the file is missing or not a TRC file.
    """
    regular_file(path, noun='TRC file')
    lines = read_bytes(path).decode('utf-8', 'replace').splitlines()
    try:
        header = dict(zip(lines[1].split('\t'), lines[2].split('\t')))
        rate = float(header['DataRate'])
        unit = header['Units'].strip()
        names = [name.strip() for name in lines[3].rstrip('\n').split('\t')[2:]]
        names = [name for name in names if name]
        rows = [line for line in lines[HEADER_LINES:] if line.strip()]
        values = np.array([_trc_row(row, 2 + 3 * len(names)) for row in rows])
        frames = values[:, 0].astype(int)
        if not len(frames) or not np.isfinite(values[0, 1]) or not np.isfinite(rate):
            raise ValueError('no row with a time')
    except (IndexError, KeyError, ValueError) as error:
        raise InputError(
            f'{path}: not a TRC file of Pose2Sim, or damaged ({type(error).__name__}: {error}); expected its five '
            f'header lines (DataRate, Units m or mm, marker names) and a row of numbers per frame'
        ) from error
    points = values[:, 2:].reshape(len(values), len(names), 3)
    return TrcTable(tuple(names), frames, values[:, 1], points, rate, unit)


def write_trc(path: Path, markers: Markers) -> None:
    """Writes a TRC file in metres with y up, as Pose2Sim does."""
    points = markers.points[..., TO_TRC]
    text = trc_text(path.name, markers.names, points, markers.rate, markers.frames)
    write_text_atomically(path, text)


def _numbers(values: np.ndarray) -> str:
    """A toml array."""
    return f'[ {", ".join(repr(float(value)) for value in values)}]'


def _trc_row(line: str, length: int) -> list[float]:
    """The numbers of a row; empty cells, also those that end a row, are NaN."""
    cells = line.rstrip('\n').split('\t')[:length]
    cells += [''] * (length - len(cells))
    return [float(cell) if cell.strip() else np.nan for cell in cells]


def _toml_cameras(path: Path) -> list[CalibratedCamera]:
    text = read_text(path)
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f'{path}: not toml ({error}); write or copy it again') from error
    cameras = []
    for key, table in content.items():
        if isinstance(table, dict) and key not in NO_CAMERAS:
            cameras.append(_toml_camera(key, table, path))
    if not cameras:
        raise InputError(
            f'{path}: names no camera; expected a table per camera with size, matrix, distortions, '
            f'rotation and translation, as Pose2Sim.calibration() writes it'
        )
    return cameras


def _toml_camera(key: str, table: dict[str, Any], path: Path) -> CalibratedCamera:
    if table.get('fisheye'):
        raise InputError(
            f'{path}: {key} is a fisheye camera, whose lens hrtk does not model; undistort its video '
            f'and calibrate again'
        )
    try:
        size = np.array(table['size'], np.float64).reshape(2)
        matrix = np.array(table['matrix'], np.float64).reshape(3, 3)
        given = np.array(table['distortions'], np.float64).ravel()
        rotation = np.array(table['rotation'], np.float64).reshape(3)
        translation = np.array(table['translation'], np.float64).reshape(3)
        if not 4 <= len(given) <= 5:
            raise ValueError(f'{len(given)} distortions, expected k1, k2, p1, p2 and perhaps k3')
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f'{path}: {key}: {type(error).__name__}: {error}; expected size (2), matrix (3 x 3), distortions (4 or '
            f'5), rotation (3, a rotation vector) and translation (3, metres) of a camera that does not move'
        ) from error
    distortion = np.zeros(5)
    distortion[: len(given)] = given
    return CalibratedCamera(
        str(table.get('name', key)),
        (round(size[0]), round(size[1])),
        matrix,
        distortion,
        cv2.Rodrigues(rotation)[0],
        translation,
    )


def _qca_cameras(path: Path) -> list[CalibratedCamera]:
    try:
        root = ElementTree.fromstring(read_bytes(path))
    except ElementTree.ParseError as error:
        raise InputError(f"{path}: not Qualisys' calibration in XML ({error})") from error
    cameras = []
    for element in root.iterfind('cameras/camera'):
        model = element.get('model', '').lower()
        if 'video' in model or 'none' in model:  # the others are marker cameras without images
            cameras.append(_qca_camera(element, path))
    if not cameras:
        raise InputError(f'{path}: names no video camera; export the calibration of the cameras')
    return sorted(cameras, key=lambda camera: natural(camera.name))


def _qca_camera(element: ElementTree.Element, path: Path) -> CalibratedCamera:
    """The camera of Qualisys' file, whose rotation is camera to world by columns and whose camera looks along -z."""
    name = element.get('serial', '')
    try:
        view = _attributes(element, 'fov_video', 'left', 'top', 'right', 'bottom')
        inner = _attributes(
            element, 'intrinsic', 'focalLengthU', 'focalLengthV', 'centerPointU', 'centerPointV'
        )
        lens = _attributes(
            element,
            'intrinsic',
            'radialDistortion1',
            'radialDistortion2',
            'tangentalDistortion1',
            'tangentalDistortion2',
        )
        position = _attributes(element, 'transform', 'x', 'y', 'z') / MM
        keys = [f'r{row}{column}' for row in (1, 2, 3) for column in (1, 2, 3)]
        to_world = _attributes(element, 'transform', *keys).reshape(3, 3).T
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{path}: camera {name!r}: {type(error).__name__}: {error}; not Qualisys' calibration of "
            f'a video camera'
        ) from error
    left, top, right, bottom = view
    focal_u, focal_v, centre_u, centre_v = inner / SUBPIXELS
    matrix = np.array([[focal_u, 0, centre_u - left], [0, focal_v, centre_v - top], [0, 0, 1]])
    half_turn = np.diag([1.0, -1.0, -1.0])
    rotation = half_turn @ to_world.T
    distortion = np.append(lens / SUBPIXELS, 0.0)
    size = (round(right - left + 1), round(bottom - top + 1))
    return CalibratedCamera(name, size, matrix, distortion, rotation, -rotation @ position)


def _attributes(element: ElementTree.Element, child: str, *names: str) -> np.ndarray:
    """Numbers that a child of an element has as attributes; KeyError names a missing one."""
    found = element.find(child)
    if found is None:
        raise KeyError(child)
    return np.array([float(found.attrib[name]) for name in names])


def person_of_trc(path: Path, default: int) -> int:
    """The number of the person in the name of a TRC file, ``trial_P2_0-99.trc``, or a default."""
    numbers = re.findall(r'_P(\d+)(?=[_.])', path.name)
    if numbers:
        return int(numbers[-1])
    return default
