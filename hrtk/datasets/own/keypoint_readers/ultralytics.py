"""Ultralytics' pose results: ``Results.to_json()`` and the label files of ``save_txt``.

``to_json`` gives a list of the detections of an image, each with ``name``, ``class``, ``confidence``, ``box``, perhaps
``track_id``, and ``keypoints`` ``{"x": [...], "y": [...], "visible": [...]}``, in px or, with ``normalize=True``, as
fractions of the image. The list of these lists is a video.

``save_txt`` writes a file per frame, ``<video>_<frame>.txt`` with frames from 1, or per image. A line is a person:
class, box (4), x, y and confidence (or x, y) of 17 points as fractions of the image, then with ``save_conf`` the
confidence of the box, then the identity of a tracker.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hrtk.datasets.own.keypoint_readers.base import Reader, Source
from hrtk.datasets.own.keypoint_report import LeftOut
from hrtk.datasets.own.keypoint_table import Content, FrameRef, Row
from hrtk.errors import InputError

POINTS = 17
BOX = 5  # class and box
PERSON = 'person'
# A box in px has a corner beyond this, a box in fractions of the image has none.
LARGEST_FRACTION = 2.0
Item = tuple[FrameRef, Any, str]


def _is_json(source: Source) -> bool:
    content = source.first.content
    if source.first.kind != 'json' or not isinstance(content, list):
        return False
    detections = [entry for entry in content if isinstance(entry, dict)]
    for entry in content:
        if isinstance(entry, list):
            detections += [inner for inner in entry if isinstance(inner, dict)]
    return any('box' in d and isinstance(d.get('keypoints'), dict) for d in detections)


def _read_json(source: Source, left_out: LeftOut) -> Content:
    items: list[Item] = []
    listed = []
    for file, content in source.contents():
        if any(isinstance(entry, list) for entry in content):
            frames = [
                (FrameRef('', i, place=i), found, f'frame {i}') for i, found in enumerate(content)
            ]
        else:
            frames = [(FrameRef(file.stem), content, file.name)]
        for frame, found, label in frames:
            listed.append(frame)
            for index, detection in enumerate(found or []):
                items.append((frame, detection, f'detection {index} of {label}'))
    detections = [detection for _, detection, _ in items if isinstance(detection, dict)]
    left_out.total('detections', len(items))
    only_people = any(detection.get('name') == PERSON for detection in detections)
    rows = []
    for frame, detection, label in items:
        points = detection.get('keypoints') if isinstance(detection, dict) else None
        if not isinstance(points, dict):
            reason = 'have no keypoints and are left out'
            left_out.add('detections', reason, label, f'{label} has no keypoints; use a pose model')
        elif only_people and detection.get('name') != PERSON:
            reason = 'are no people and left out'
            left_out.add('detections', reason, f'{label}, {detection.get("name")!r}', reason)
        else:
            identity = detection.get('track_id')
            rows.append(Row(frame, identity, _points(points), label, None, 'track_id'))
    normalised = not any(_corner(detection) > LARGEST_FRACTION for detection in detections)
    return Content(rows, JSON_READER.source, None, tuple(listed), normalised=normalised)


def _points(points: dict[str, Any]) -> Any:
    """[x, y, confidence] of every point; at (0, 0) Ultralytics puts what it did not find."""
    x = points.get('x')
    y = points.get('y')
    if not isinstance(x, list) or not isinstance(y, list) or len(x) != len(y):
        return None
    visible = points.get('visible')
    if not isinstance(visible, list) or len(visible) != len(x):
        visible = [1.0] * len(x)
    return [_absent_at_0(*point) for point in zip(x, y, visible)]


def _absent_at_0(x: Any, y: Any, confidence: Any) -> list[Any]:
    if x == 0 and y == 0:
        return [0.0, 0.0, 0.0]
    return [x, y, confidence]


def _corner(detection: dict[str, Any]) -> float:
    """The largest coordinate of a box."""
    box = detection.get('box')
    if not isinstance(box, dict):
        return 0.0
    return max([v for v in box.values() if isinstance(v, (int, float))], default=0.0)


def _is_text(source: Source) -> bool:
    if source.first.kind != 'txt':
        return False
    for _, lines in source.contents():
        for _, numbers in _lines(lines):
            return len(numbers) > BOX
    return False


def _read_text(source: Source, left_out: LeftOut) -> Content:
    lines: list[tuple[FrameRef, list[float], str]] = []
    listed = []
    for file, content in source.contents():
        frame = FrameRef(file.stem)
        listed.append(frame)
        for number, numbers in _lines(content):
            lines.append((frame, numbers, f'line {number} of {file.name}'))
    per_point = _per_point([numbers for _, numbers, _ in lines], source.path)
    last = [numbers[BOX + per_point * POINTS :] for _, numbers, _ in lines]
    # One number behind the points is an identity if all of them are whole; a confidence of 1 in all lines is none.
    one = [rest[0] for rest in last if len(rest) == 1]
    tracked = bool(one) and all(value.is_integer() and value >= 1 for value in one)
    tracked = tracked and max(one) > 1 or any(len(rest) == 2 for rest in last)
    rows = []
    for (frame, numbers, label), rest in zip(lines, last):
        points = np.array(numbers[BOX : BOX + per_point * POINTS]).reshape(-1, per_point)
        identity = rest[-1] if tracked and rest else None
        values = [_absent_at_0(*[*point, 1.0][:3]) for point in points.tolist()]
        rows.append(Row(frame, identity, values, label, None, 'identity'))
    return Content(rows, TEXT_READER.source, None, tuple(listed), first_frame=1, normalised=True)


def _lines(lines: list[str]) -> Iterator[tuple[int, list[float]]]:
    """The number of every line that is not empty, and the numbers in it."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield number, _numbers(line)


def _numbers(line: str) -> list[float]:
    try:
        return [float(cell) for cell in line.split()]
    except ValueError:
        return []


def _per_point(lines: list[list[float]], path: Path) -> int:
    """How many numbers a point has, 3 or 2.

    Raises:
        InputError: a line has another length.
    """
    lengths = {len(numbers) for numbers in lines}
    for per_point in (3, 2):
        least = BOX + per_point * POINTS
        if all(least <= length <= least + 2 for length in lengths):
            return per_point
    raise InputError(
        f'{path}: lines have {sorted(lengths)} numbers; labels of a pose model have {BOX + 3 * POINTS} to '
        f'{BOX + 3 * POINTS + 2}: class, box, x, y and confidence of {POINTS} points, then confidence and identity'
    )


JSON_READER = Reader(
    program='Ultralytics json',
    recognised='a json list of detections with `box` and `keypoints` of `x`, `y`, `visible` (`Results.to_json()`), a '
    'list of such lists, or a folder of them',
    frame="its place in the list; of an image the file's stem",
    person='`track_id`',
    source='ultralytics',
    recognises=_is_json,
    read=_read_json,
)
TEXT_READER = Reader(
    program='Ultralytics labels',
    recognised='a txt, or a folder of them, with lines of class, box and 17 points as fractions of the image '
    '(`save_txt`)',
    frame="the file's stem; of a video the number at its end, from 1",
    person='the last number of the line',
    skeleton='coco17',
    source='ultralytics',
    recognises=_is_text,
    read=_read_text,
)
