"""Keypoints as arrays: what rtmlib returns, kept as json, and npz files of plain arrays.

rtmlib (https://github.com/Tau-J/rtmlib) answers every frame with ``keypoints`` (N, K, 2) and ``scores`` (N, K) of N
people and has no file layout of its own. Ours is the list of its answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Optional

import numpy as np

from hrtk.datasets.arrays import read_npz
from hrtk.datasets.own.keypoint_table import FrameRef, Row, whole
from hrtk.errors import InputError

ANSWERS = (
    'rtmlib\'s answers, one per frame, {"frames": [{"keypoints": N x K x 2, "scores": N x K}, ...]} or that '
    'list alone'
)
ARRAYS = (
    'an npz with `keypoints` (R, K, 2), `scores` (R, K) and `frame` (R,), or without `frame` (F, K, 2) and '
    '(F, K), or (F, N, K, 2) and (F, N, K) with score 0 where nobody is'
)


def answers(content: list | dict, path: Path) -> Iterable[Row]:
    """Rows of rtmlib's answers.

    An entry is frame ``frame``, or picture ``image``, or the one of its place in the list. ``persons`` may give an
    identity per person, and ``size`` of the file (width, height) px of all frames.

    Raises:
        InputError: an entry is malformed.
    """
    frames = content['frames'] if isinstance(content, dict) else content
    size = content.get('size') if isinstance(content, dict) else None
    if not isinstance(frames, list) or not all(isinstance(entry, dict) for entry in frames):
        raise InputError(f'{path}: frames must be a list of objects; expected {ANSWERS}')
    if size is not None and not (isinstance(size, list) and len(size) == 2):
        raise InputError(f'{path}: size must be [width, height], not {size!r}')
    size = None if size is None else (whole(size[0], path, 'size'), whole(size[1], path, 'size'))
    for i, entry in enumerate(frames):
        missing = [key for key in ('keypoints', 'scores') if key not in entry]
        if missing:
            raise InputError(
                f'{path}: entry {i} of frames lacks {", ".join(missing)}; expected {ANSWERS}'
            )
        if 'image' in entry:
            frame = FrameRef(str(entry['image']).replace('\\', '/'), size=size)
        else:
            frame = FrameRef('', whole(entry.get('frame', i), path, f'entry {i}: frame'), size)
        points = _joined(entry['keypoints'], entry['scores'], path, f'entry {i}')
        persons = entry.get('persons', [None] * len(points))
        if not isinstance(persons, list) or len(persons) != len(points):
            raise InputError(
                f'{path}: entry {i}: persons must list an identity for each of {len(points)} people'
            )
        for n, (values, person) in enumerate(zip(points, persons)):
            yield Row(
                frame,
                whole(person, path, f'entry {i}: persons'),
                values.ravel().tolist(),
                f'person {n} of entry {i}',
            )


def arrays(path: Path) -> Iterable[Row]:
    """Rows of an npz.

    Raises:
        InputError: it is broken, or its arrays do not fit each other.
    """
    data = read_npz(
        path,
        ('keypoints', 'scores', 'frame', 'person'),
        ('keypoints', 'scores'),
        f'expected {ARRAYS}',
    )
    keypoints, scores = data['keypoints'], data['scores']
    if 'frame' not in data and keypoints.ndim == 4:
        there = np.argwhere((scores > 0).any(-1)) if scores.ndim == 3 else np.empty((0, 2), int)
        if keypoints.shape[:3] == scores.shape:
            data['frame'], keypoints, scores = (
                there[:, 0],
                keypoints[tuple(there.T)],
                scores[tuple(there.T)],
            )
    points = _joined(keypoints, scores, path, 'the file')
    frame = data.get('frame', np.arange(len(points)))
    person = data.get('person', np.full(len(points), None))
    for name, values in (('frame', frame), ('person', person)):
        if len(values) != len(points) or name in data and values.dtype.kind not in 'iu':
            raise InputError(
                f'{path}: {name} must be {len(points)} whole numbers, one per row of keypoints, it is '
                f'{values.shape} {values.dtype}; expected {ARRAYS}'
            )
    for i, values in enumerate(points):
        yield Row(
            FrameRef('', int(frame[i])),
            None if person[i] is None else int(person[i]),
            values.ravel().tolist(),
            f'row {i}',
        )


def _joined(keypoints: Any, scores: Any, path: Path, label: str) -> np.ndarray:
    """(N, K, 3) of (N, K, 2) and (N, K); N may be 0."""
    try:
        xy, score = np.asarray(keypoints, np.float32), np.asarray(scores, np.float32)
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


def named(content: list | dict, key: str) -> Optional[str]:
    """What a file of answers says about itself, ``source`` or ``skeleton``, or None."""
    value = content.get(key) if isinstance(content, dict) else None
    return None if value is None else str(value)
