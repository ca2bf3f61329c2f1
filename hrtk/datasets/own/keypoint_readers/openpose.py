"""OpenPose's ``--write_json`` (its doc/02_output.md), which Pose2Sim and Sports2D write, too."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hrtk.datasets.own.keypoint_readers.base import Reader, Source, entries
from hrtk.datasets.own.keypoint_report import LeftOut
from hrtk.datasets.own.keypoint_table import Content, FrameRef, Row


def _recognises(source: Source) -> bool:
    content = source.first.content
    return isinstance(content, dict) and 'people' in content


def _read(source: Source, left_out: LeftOut) -> Content:
    rows: list[Row] = []
    listed = []
    for file, content in source.contents():
        frame = FrameRef(file.stem.removesuffix('_keypoints'))
        listed.append(frame)
        rows.extend(_rows(content, frame, file))
    return Content(rows, READER.source, listed=tuple(listed))


def _rows(content: Any, frame: FrameRef, file: Path) -> Iterator[Row]:
    people = content.get('people') if isinstance(content, dict) else None
    for index, entry in enumerate(entries(people, file, 'people')):
        values = entry.get('pose_keypoints_2d', entry.get('pose_keypoints'))
        if entry and not _is_unseen(values):
            # OpenPose without tracking writes [-1].
            person = entry.get('person_id')
            label = f'person {index} of {file.name}'
            yield Row(frame, person, _without_nan(values), label, None, 'person_id')


def _is_unseen(values: Any) -> bool:
    """Pose2Sim keeps a place, filled with NaN, for a person that a camera does not see."""
    return isinstance(values, list) and bool(values) and all(map(_is_nan, values[::3]))


def _without_nan(values: Any) -> Any:
    """Points whose position is NaN, Pose2Sim's mark of a missing point, as 0, 0, 0."""
    if not isinstance(values, list) or not any(map(_is_nan, values)):
        return values
    points = list(values)
    for start in range(0, len(points), 3):
        if any(map(_is_nan, points[start : start + 3])):
            points[start : start + 3] = [0.0] * len(points[start : start + 3])
    return points


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


READER = Reader(
    program='OpenPose, Pose2Sim, Sports2D',
    recognised='a json object with `people`, or a folder of `*_keypoints.json` or `*_<frame>.json`',
    frame="the file's stem",
    person='`person_id`',
    source='openpose',
    recognises=_recognises,
    read=_read,
)
