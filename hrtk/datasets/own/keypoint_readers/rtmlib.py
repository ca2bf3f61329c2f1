"""rtmlib's output, stored as json.

rtmlib (https://github.com/Tau-J/rtmlib) returns ``keypoints`` (N, K, 2) and ``scores`` (N, K) of N people for every
frame and has no file layout of its own. hrtk's layout is the list of these outputs; hrtk's detectors write it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import numpy as np

from hrtk.datasets.own.keypoint_readers.base import Reader, Source, entries, posix
from hrtk.datasets.own.keypoint_report import LeftOut
from hrtk.datasets.own.keypoint_table import Content, FrameRef, Row, optional_size, whole_number
from hrtk.detectors.findings import FoundLandmarks
from hrtk.errors import InputError

NOUN = 'frames'


def _recognises(source: Source) -> bool:
    """rtmlib gives the people of an image together; results lists give one person per entry, with a single score."""
    content = source.content
    if isinstance(content, dict):
        return NOUN in content
    if source.kind != 'json' or not isinstance(content, list):
        return False
    return any(isinstance(entry, dict) and 'scores' in entry for entry in content)


def _read(source: Source, left_out: LeftOut) -> Content:
    """Rows of rtmlib's output.

    An entry belongs to the frame number ``frame`` or to the image ``image``; without both, its place in the list is
    that of its frame in the video, or of its image among the sorted images. ``persons`` may give an identity per
    person, ``landmarks`` what :mod:`hrtk.detectors.findings` describes, and ``size`` of the file (width, height) px of
    all frames.
    """
    path = source.path
    content = source.content
    size = None
    source_note = None
    skeleton = None
    if isinstance(content, dict):
        size = _size(content.get('size'), path)
        source_note = content.get('source')
        skeleton = content.get('skeleton')
        content = content[NOUN]
    frames = entries(content, path, NOUN, 'keypoints', 'scores')
    left_out.total(NOUN, len(frames))
    rows: list[Row] = []
    listed = []
    for index, entry in enumerate(frames):
        frame = _frame(entry, index, size, left_out)
        if frame is not None:
            listed.append(frame)
            rows.extend(_rows(entry, frame, f'entry {index}', path))
    return Content(rows, _text(source_note) or READER.source, _text(skeleton), tuple(listed))


def _text(value: Any) -> Optional[str]:
    return None if value is None else str(value)


def _size(value: Any, path: Path) -> Optional[tuple[int, int]]:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise InputError(f'{path}: size must be [width, height], not {value!r}')
    return optional_size(value, path, ('size', 'size'))


def _frame(
    entry: dict[str, Any], index: int, size: Optional[tuple[int, int]], left_out: LeftOut
) -> Optional[FrameRef]:
    if entry.get('image') is not None:
        return FrameRef(posix(entry['image']), size=size)
    if entry.get('frame') is None:
        return FrameRef('', index, size, place=index)
    number = whole_number(entry['frame'], left_out, NOUN, f'entry {index}: frame')
    if number is None:
        return None
    return FrameRef('', number, size)


def _rows(entry: dict[str, Any], frame: FrameRef, label: str, path: Path) -> Iterator[Row]:
    points = joined(entry['keypoints'], entry['scores'], path, label)
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
        found = None
        if landmarks is not None:
            found = landmarks.row(position)
        yield Row(frame, person, values, f'person {position} of {label}', found, 'persons')


def joined(keypoints: Any, scores: Any, path: Path, label: str) -> np.ndarray:
    """(N, K, 3) of (N, K, 2) and (N, K); N may be 0.

    Raises:
        InputError: the arrays do not fit each other, or are no arrays of numbers.
    """
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


READER = Reader(
    program='rtmlib, hrtk',
    recognised='a json object with `frames`, or a list with `scores`; an entry per frame, with `keypoints` N x K x 2 '
    'and `scores` N x K',
    frame='`image` or `frame`, else its place in the list',
    person='`persons`',
    skeleton='`skeleton`, else by number',
    source='rtmlib',
    recognises=_recognises,
    read=_read,
)
