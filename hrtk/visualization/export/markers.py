"""TRC and C3D: joints as markers, for biomechanics (OpenSim, Pose2Sim, Mokka, Visual3D).

TRC is a text. C3D is a binary file of blocks of 512 bytes: a header, parameters in groups, and the points of all frames
(The C3D File Format User Guide, Motion Lab Systems). Writing both takes less code than calling a library.
"""

from __future__ import annotations

import math
import struct
from typing import Sequence, Union

import numpy as np

from hrtk.body_models import BodyModel
from hrtk.errors import InputError
from hrtk.files import trc_text
from hrtk.version import __version__
from hrtk.visualization.export.motion import Motion, in_world
from hrtk.visualization.export.resampling import even
from hrtk.visualization.export.rigs import MARKER_SKELETON, marker_names
from hrtk.visualization.export.soles import joints_of

BLOCK = 512
FIRST_PARAMETER_BLOCK = 2  # counted from 1
MARK = 0x50  # of a C3D file
INTEL = 84  # little-endian numbers, IEEE floats
MM = 1000.0
MOST_FRAMES = 65535
CHARACTER, INTEGER, REAL = -1, 2, 4  # types of parameters
Value = Union[str, int, float, Sequence[str], Sequence[int]]


def marker_positions(motion: Motion, body: BodyModel, world: str = 'y-up') -> np.ndarray:
    """Markers (F, 25, 3) of :func:`~hrtk.visualization.export.rigs.marker_names` in a world, metres."""
    return joints_of(in_world(motion, body, world), body, MARKER_SKELETON)


def to_trc(motion: Motion, body: BodyModel) -> str:
    """The text of a TRC file: 25 markers, metres, y up, one even frame rate.

    Args:
        motion: in the camera frame.
        body: the body model of the motion.
    """
    motion = even(motion, body)
    points = marker_positions(motion, body)
    return trc_text(
        f'{motion.name}.trc', marker_names(), points, motion.fps, range(1, len(motion) + 1)
    )


def to_c3d(motion: Motion, body: BodyModel) -> bytes:
    """The bytes of a C3D file: 25 markers, millimetres, y up (``POINT:Y_SCREEN`` is ``+Y``), one even frame rate.

    Args:
        motion: in the camera frame.
        body: the body model of the motion.

    Raises:
        InputError: the motion has more frames than the format can count.
    """
    motion = even(motion, body)
    points = MM * marker_positions(motion, body)
    frames, count, _ = points.shape
    if frames > MOST_FRAMES:
        raise InputError(
            f'{motion.name}: C3D counts up to {MOST_FRAMES} frames, not {frames}; export trc, or a part of the clip'
        )
    blocks = len(_parameters(motion.fps, frames, count, 0)) // BLOCK
    data_block = FIRST_PARAMETER_BLOCK + blocks
    parameters = _parameters(motion.fps, frames, count, data_block)
    values = np.zeros((frames, count, 4), '<f4')  # x, y, z, and 0 for a valid point
    values[..., :3] = points
    data = _filled(values.tobytes())
    return _header(motion.fps, frames, count, data_block) + parameters + data


def _header(fps: float, frames: int, count: int, data_block: int) -> bytes:
    # Parameters, points, analog samples, first and last frame, longest gap that was filled, scale (negative: reals),
    # block of the data, analog samples per frame, frame rate.
    values = (FIRST_PARAMETER_BLOCK, MARK, count, 0, 1, frames, 0, -1.0, data_block, 1, fps)
    return _filled(struct.pack('<BBHHHHHfHHf', *values))


def _parameters(fps: float, frames: int, count: int, data_block: int) -> bytes:
    groups: dict[str, dict[str, Value]] = {
        'POINT': {
            'USED': count,
            'SCALE': -1.0,
            'RATE': float(fps),
            'DATA_START': data_block,
            'FRAMES': frames,
            'LABELS': marker_names(),
            'DESCRIPTIONS': [''] * count,
            'UNITS': 'mm',
            'X_SCREEN': '+X',
            'Y_SCREEN': '+Y',
        },
        'ANALOG': {'USED': 0, 'GEN_SCALE': 1.0, 'RATE': float(fps)},
        'FORCE_PLATFORM': {'USED': 0},
        # 32 bits in two words, low one first.
        'TRIAL': {'ACTUAL_START_FIELD': [1, 0], 'ACTUAL_END_FIELD': [frames, 0]},
        'MANUFACTURER': {'COMPANY': 'hrtk', 'SOFTWARE': 'hrtk', 'VERSION_LABEL': __version__},
    }
    records = []
    for number, (group, parameters) in enumerate(groups.items(), start=1):
        records.append(_record(group, -number, b''))
        for name, value in parameters.items():
            records.append(_record(name, number, _content(value)))
    body = b''.join(records) + bytes(2)
    blocks = math.ceil((len(body) + 4) / BLOCK)
    return _filled(struct.pack('<BBBB', 1, MARK, blocks, INTEL) + body)


def _record(name: str, number: int, content: bytes) -> bytes:
    """A group (negative number) or a parameter of a group, without description."""
    follows = content + bytes(1)
    return (
        struct.pack('<bb', len(name), number)
        + name.encode('ascii')
        + struct.pack('<H', len(follows) + 2)
        + follows
    )


def _content(value: Value) -> bytes:
    """Type, dimensions and data of a parameter."""
    if isinstance(value, str):
        return struct.pack('<bBB', CHARACTER, 1, len(value)) + value.encode('ascii')
    if isinstance(value, int):
        return struct.pack('<bBH', INTEGER, 0, value)
    if isinstance(value, float):
        return struct.pack('<bBf', REAL, 0, value)
    if isinstance(value[0], str):
        texts = [str(text) for text in value]
        length = max(map(len, texts))
        padded = ''.join(text.ljust(length) for text in texts)
        return struct.pack('<bBBB', CHARACTER, 2, length, len(texts)) + padded.encode('ascii')
    return struct.pack(f'<bBB{len(value)}H', INTEGER, 1, len(value), *value)


def _filled(data: bytes) -> bytes:
    """The data with zeros up to whole blocks."""
    return data + bytes(-len(data) % BLOCK)
