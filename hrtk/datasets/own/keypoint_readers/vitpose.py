"""easy_ViTPose's ``--save-json``, and the results of ViTPose in Transformers.

easy_ViTPose writes ``{"keypoints": [...], "skeleton": {"0": "nose", ...}}`` with an entry for each frame,
``{identity: K x [y, x, score]}``; y comes first. In Transformers, ``post_process_pose_estimation`` gives a list of
images with a list of people, ``{"keypoints": K x 2, "scores": K, "labels": K, ...}``; labels are the numbers of the
points if some are left out. The original ViTPose writes COCO results.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hrtk.datasets.own.keypoint_readers.base import COCO_NAMES, Reader, Source, entries, is_list_of
from hrtk.datasets.own.keypoint_readers.mmpose import with_scores
from hrtk.datasets.own.keypoint_report import LeftOut
from hrtk.datasets.own.keypoint_table import Content, FrameRef, Row, points_array
from hrtk.datasets.own.named_points import NamedPoints
from hrtk.errors import InputError

POINTS = 17


def _is_easy(source: Source) -> bool:
    content = source.content
    return isinstance(content, dict) and 'keypoints' in content and 'skeleton' in content


def _read_easy(source: Source, left_out: LeftOut) -> Content:
    """Rows in COCO's order; other joint lists are brought into it by their names."""
    frames = source.content['keypoints']
    skeleton = source.content['skeleton']
    if not isinstance(frames, list) or not isinstance(skeleton, dict):
        raise InputError(
            f'{source.path}: keypoints must be a list of frames and skeleton an object of names, as easy_ViTPose '
            f'writes them with --save-json'
        )
    names = [str(name) for name in skeleton.values()]
    order = None
    if tuple(names[:POINTS]) != COCO_NAMES:
        order = NamedPoints(names, left_out)
    rows: list[Row] = []
    listed = []
    for index, people in enumerate(frames):
        frame = FrameRef('', index, place=index)
        listed.append(frame)
        rows.extend(_easy_rows(people, frame, len(names), order))
    return Content(rows, EASY_READER.source, 'coco17', tuple(listed))


def _easy_rows(
    people: Any, frame: FrameRef, count: int, order: NamedPoints | None
) -> Iterator[Row]:
    found: list[tuple[Any, Any]] = []
    if isinstance(people, dict):
        found = list(people.items())
    elif isinstance(people, list):
        found = [(None, points) for points in people]
    for position, (identity, points) in enumerate(found):
        label = f'person {position} of frame {frame.number}'
        values: Any = points_array(points)
        if len(values) == count:
            values = values[:, [1, 0, 2]]
            values = values[:POINTS] if order is None else order.ordered(values)
        yield Row(frame, identity, values, label, None, 'identity')


def _is_transformers(source: Source) -> bool:
    if source.kind != 'json' or not is_list_of(source.content, list):
        return False
    for people in source.content:
        for person in people:
            return isinstance(person, dict) and {'keypoints', 'scores'} <= set(person)
    return False


def _read_transformers(source: Source, left_out: LeftOut) -> Content:
    rows = []
    listed = []
    for index, people in enumerate(source.content):
        frame = FrameRef('', index, place=index)
        listed.append(frame)
        for position, person in enumerate(entries(people, source.path, f'image {index}')):
            label = f'person {position} of image {index}'
            rows.append(Row(frame, None, _labelled(person, source.path, label), label))
    return Content(rows, TRANSFORMERS_READER.source, None, tuple(listed))


def _labelled(person: dict[str, Any], path: Path, label: str) -> Any:
    """[x, y, score] of all points; those that the threshold left out have score 0."""
    values = with_scores(person.get('keypoints'), person.get('scores'), f'{path}: {label}')
    labels: Any = person.get('labels')
    if not is_list_of(labels, int) or not is_list_of(values, list) or len(labels) != len(values):
        return values
    if len(labels) >= POINTS or min(labels) < 0 or max(labels) >= POINTS:
        return values
    points = np.zeros((POINTS, 3))
    points[labels] = points_array(values)
    return points


EASY_READER = Reader(
    program='easy_ViTPose',
    recognised='a json object with `keypoints` and `skeleton` (`--save-json`)',
    frame='its place in the list',
    person='the key of the person',
    skeleton='coco17; other lists by their names',
    source='vitpose',
    recognises=_is_easy,
    read=_read_easy,
)
TRANSFORMERS_READER = Reader(
    program='ViTPose of Transformers',
    recognised='a json list of images, each a list of people with `keypoints` and `scores`',
    frame='its place in the list',
    source='vitpose',
    recognises=_is_transformers,
    read=_read_transformers,
)
