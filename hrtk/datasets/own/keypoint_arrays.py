"""Keypoints as arrays: rtmlib's output, stored as json, and npz files of plain arrays.

rtmlib (https://github.com/Tau-J/rtmlib) returns ``keypoints`` (N, K, 2) and ``scores`` (N, K) of N people for every
frame and has no file layout of its own. hrtk's layout is the list of these outputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import numpy as np

from hrtk.datasets.arrays import read_npz
from hrtk.datasets.own.keypoint_table import (
    FrameRef,
    Row,
    optional_identity,
    optional_number,
    optional_size,
)
from hrtk.detectors.findings import FoundLandmarks
from hrtk.errors import InputError

RTMLIB_LAYOUT = (
    'rtmlib\'s output, one entry per frame, {"frames": [{"keypoints": N x K x 2, "scores": N x K}, ...]} or '
    'that list alone'
)
NPZ_LAYOUT = (
    'an npz with `keypoints` (R, K, 2), `scores` (R, K) and `frame` (R,), or without `frame` (F, K, 2) and '
    '(F, K), or (F, N, K, 2) and (F, N, K) with score 0 for absent people'
)


def rtmlib_rows(content: list | dict, path: Path) -> Iterator[Row]:
    """Rows of rtmlib's output.

    An entry belongs to the frame number ``frame`` or to the image ``image``; without both, its position in the list
    is the frame number. ``persons`` may give an identity per person, ``landmarks`` what
    :mod:`hrtk.detectors.findings` describes, and ``size`` of the file (width, height) px of all frames.

    Raises:
        InputError: an entry is malformed.
    """
    entries = content
    size = None
    if isinstance(content, dict):
        entries = content['frames']
        size = _size(content.get('size'), path)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f'{path}: frames must be a list of objects; expected {RTMLIB_LAYOUT}')
    for index, entry in enumerate(entries):
        missing = [key for key in ('keypoints', 'scores') if key not in entry]
        if missing:
            raise InputError(
                f'{path}: entry {index} of frames lacks {", ".join(missing)}; expected {RTMLIB_LAYOUT}'
            )
        yield from _entry_rows(entry, index, size, path)


def npz_rows(path: Path) -> Iterator[Row]:
    """Rows of an npz.

    Raises:
        InputError: the file is broken, or its arrays do not fit each other.
    """
    data = read_npz(
        path,
        ('keypoints', 'scores', 'frame', 'person'),
        ('keypoints', 'scores'),
        f'expected {NPZ_LAYOUT}',
    )
    keypoints = data['keypoints']
    scores = data['scores']
    frame = data.get('frame')
    if frame is None and keypoints.ndim == 4 and keypoints.shape[:3] == scores.shape:
        frame, person_slot = np.nonzero((scores > 0).any(-1))
        keypoints = keypoints[frame, person_slot]
        scores = scores[frame, person_slot]
    points = _joined(keypoints, scores, path, 'the file')
    if frame is None:
        frame = np.arange(len(points))
    _check_column('frame', frame, len(points), path)
    person = data.get('person')
    if person is not None:
        _check_column('person', person, len(points), path)
    for row, values in enumerate(points):
        identity = None
        if person is not None:
            identity = optional_identity(int(person[row]), path, f'row {row}: person')
        yield Row(FrameRef('', int(frame[row])), identity, values.ravel().tolist(), f'row {row}')


def file_note(content: list | dict, key: str) -> Optional[str]:
    """The ``source`` or ``skeleton`` that a file of rtmlib's output notes, or None."""
    value = content.get(key) if isinstance(content, dict) else None
    return None if value is None else str(value)


def _size(value: Any, path: Path) -> Optional[tuple[int, int]]:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise InputError(f'{path}: size must be [width, height], not {value!r}')
    return optional_size(value, path, ('size', 'size'))


def _entry_rows(
    entry: dict[str, Any], index: int, size: Optional[tuple[int, int]], path: Path
) -> Iterator[Row]:
    label = f'entry {index}'
    if 'image' in entry:
        frame = FrameRef(str(entry['image']).replace('\\', '/'), size=size)
    else:
        number = optional_number(entry.get('frame', index), path, f'{label}: frame')
        frame = FrameRef('', number, size)
    points = _joined(entry['keypoints'], entry['scores'], path, label)
    persons = entry.get('persons', [None] * len(points))
    if not isinstance(persons, list) or len(persons) != len(points):
        raise InputError(
            f'{path}: {label}: persons must list an identity for each of {len(points)} people'
        )
    landmarks = None
    if entry.get('landmarks') is not None:
        try:
            landmarks = FoundLandmarks.from_json(entry['landmarks'], len(points))
        except ValueError as error:
            raise InputError(f'{path}: {label}: {error}') from error
    for position, (values, person) in enumerate(zip(points, persons)):
        identity = optional_identity(person, path, f'{label}: persons')
        found = None
        if landmarks is not None:
            found = landmarks.row(position)
        yield Row(frame, identity, values.ravel().tolist(), f'person {position} of {label}', found)


def _joined(keypoints: Any, scores: Any, path: Path, label: str) -> np.ndarray:
    """(N, K, 3) of (N, K, 2) and (N, K); N may be 0."""
    try:
        xy = np.asarray(keypoints, np.float32)
        score = np.asarray(scores, np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(
            f'{path}: {label}: keypoints and scores must be arrays of numbers ({error})'
        ) from error
    if xy.size == 0 and score.size == 0:
        return np.empty((0, 0, 3), np.float32)
    if xy.ndim != 3 or xy.shape[2] != 2 or xy.shape[:2] != score.shape:
        raise InputError(
            f'{path}: {label}: keypoints are {xy.shape} and scores {score.shape}; expected (N, K, 2) and '
            f'(N, K) of N people with K points'
        )
    return np.concatenate([xy, score[..., None]], axis=-1)


def _check_column(name: str, values: np.ndarray, count: int, path: Path) -> None:
    if values.shape != (count,) or values.dtype.kind not in 'iu':
        raise InputError(
            f'{path}: {name} must be {count} whole numbers, one per row of keypoints, it is '
            f'{values.shape} {values.dtype}; expected {NPZ_LAYOUT}'
        )
