"""Plain arrays in an npz file, for every program that this toolkit does not know."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hrtk.datasets.arrays import read_npz
from hrtk.datasets.own.keypoint_readers.base import Reader, Source
from hrtk.datasets.own.keypoint_readers.rtmlib import joined
from hrtk.datasets.own.keypoint_report import LeftOut
from hrtk.datasets.own.keypoint_table import Content, FrameRef, Row
from hrtk.errors import InputError

LAYOUT = (
    'an npz with `keypoints` (R, K, 2), `scores` (R, K) and `frame` (R,), or without `frame` (F, K, 2) and '
    '(F, K), or (F, N, K, 2) and (F, N, K) with score 0 for absent people'
)


def _recognises(source: Source) -> bool:
    return source.kind == 'npz'


def _read(source: Source, left_out: LeftOut) -> Content:
    """Rows of the arrays; without ``frame`` the places are those of the frames, as in :mod:`.rtmlib`."""
    path = source.path
    keys = ('keypoints', 'scores', 'frame', 'person')
    data = read_npz(path, keys, ('keypoints', 'scores'), f'expected {LAYOUT}')
    keypoints = data['keypoints']
    scores = data['scores']
    place = None
    if 'frame' not in data and keypoints.ndim == 4 and keypoints.shape[:3] == scores.shape:
        place, slot = np.nonzero((scores > 0).any(-1))
        keypoints = keypoints[place, slot]
        scores = scores[place, slot]
    points = joined(keypoints, scores, path, 'the file')
    if 'frame' in data:
        _check_column('frame', data['frame'], len(points), path)
        frames = [FrameRef('', int(number)) for number in data['frame']]
    else:
        if place is None:
            place = np.arange(len(points))
        frames = [FrameRef('', int(number), place=int(number)) for number in place]
    persons: list = [None] * len(points)
    if 'person' in data:
        _check_column('person', data['person'], len(points), path)
        persons = data['person'].tolist()
    rows = []
    for index, (frame, person, values) in enumerate(zip(frames, persons, points)):
        rows.append(Row(frame, person, values, f'row {index}'))
    return Content(rows, READER.source)


def _check_column(name: str, values: np.ndarray, count: int, path: Path) -> None:
    if values.shape != (count,) or values.dtype.kind not in 'iu':
        raise InputError(
            f'{path}: {name} must be {count} whole numbers, one per row of keypoints, it is '
            f'{values.shape} {values.dtype}; expected {LAYOUT}'
        )


READER = Reader(
    program='arrays of any program',
    recognised='an npz with `keypoints` (R, K, 2), `scores` (R, K) and `frame` (R,); or without `frame` (F, K, 2) and '
    '(F, K), or (F, N, K, 2) and (F, N, K)',
    frame='`frame`, else its place',
    person='`person`',
    source='detected',
    recognises=_recognises,
    read=_read,
)
