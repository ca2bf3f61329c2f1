"""Predictions of MMPose 1.x: demo scripts with ``--save-predictions``, and ``MMPoseInferencer``.

The demo scripts write ``{"meta_info": ..., "instance_info": [{"frame_id": 1, "instances": [...]}, ...]}``, or, for an
image, its instances instead of frames. The inferencer (``pred_out_dir``) writes a list of the frames of a video, with
``frame_id`` from 0, and a file with a list of instances for each image. An instance has ``keypoints`` K x 2 (K x 3 from
a lifting network) and ``keypoint_scores``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

from hrtk.datasets.own.keypoint_readers.base import (
    Reader,
    Source,
    coco_skeleton,
    entries,
    is_list_of,
)
from hrtk.datasets.own.keypoint_report import LeftOut
from hrtk.datasets.own.keypoint_table import Content, FrameRef, Row, whole_number
from hrtk.errors import InputError

INFO = 'instance_info'
NOUN = 'frames'


def _recognises(source: Source) -> bool:
    content = source.first.content
    if isinstance(content, dict):
        return INFO in content
    if not is_list_of(content, dict):
        return False
    return any('instances' in entry or 'keypoint_scores' in entry for entry in content)


def _read(source: Source, left_out: LeftOut) -> Content:
    rows: list[Row] = []
    listed: list[FrameRef] = []
    skeleton = None
    for file, content in source.contents():
        if isinstance(content, dict):
            skeleton = _skeleton(content.get('meta_info'), source)
            content = content.get(INFO)
        if is_list_of(content, dict) and 'instances' in content[0]:
            frames = entries(content, file, INFO, 'frame_id', 'instances')
            left_out.total(NOUN, len(frames))
            for frame, instances, label in _numbered(frames, left_out):
                listed.append(frame)
                rows.extend(_rows(instances, frame, label, file))
        else:
            frame = FrameRef(file.stem.removesuffix('_keypoints').removeprefix('results_'))
            listed.append(frame)
            rows.extend(_rows(content, frame, file.name, file))
    return Content(rows, READER.source, skeleton, tuple(listed))


def _numbered(frames: list[dict], left_out: LeftOut) -> Iterator[tuple[FrameRef, Any, str]]:
    """The place, the instances and a label of every frame; the least ``frame_id``, 0 or 1, is the first frame's."""
    numbers = []
    for index, frame in enumerate(frames):
        label = f'entry {index}: frame_id'
        numbers.append(whole_number(frame['frame_id'], left_out, NOUN, label))
    known = [number for number in numbers if number is not None]
    first = min(min(known, default=0), 1)
    for number, frame in zip(numbers, frames):
        if number is not None:
            place = number - first
            yield FrameRef('', place, place=place), frame['instances'], f'frame_id {number}'


def _rows(instances: Any, frame: FrameRef, label: str, file: Path) -> Iterator[Row]:
    for index, entry in enumerate(entries(instances, file, 'instances', 'keypoints')):
        person = f'instance {index} of {label}'
        points = entry['keypoints']
        if is_list_of(points, list) and len(points[0]) == 3 and 'keypoint_scores' in entry:
            raise InputError(
                f'{file}: {person} has points in 3D, of a lifting network; give the predictions of the 2D network'
            )
        values = with_scores(points, entry.get('keypoint_scores'), f'{file}: {person}')
        yield Row(frame, entry.get('track_id'), values, person, None, 'track_id')


def with_scores(points: Any, scores: Any, label: str) -> Any:
    """A list of [x, y, score] of K [x, y] and K scores; the points alone if there is no list of scores.

    Raises:
        InputError: the lists differ in length.
    """
    if not is_list_of(points, list) or not isinstance(scores, list):
        return points
    if len(points) != len(scores):
        raise InputError(f'{label} has {len(points)} points and {len(scores)} scores')
    return [[*point[:2], score] for point, score in zip(points, scores)]


def _skeleton(meta: Any, source: Source) -> Optional[str]:
    """COCO's if ``keypoint_id2name`` of the data set says so; other names are refused."""
    names = meta.get('keypoint_id2name') if isinstance(meta, dict) else None
    if not isinstance(names, dict):
        return None
    in_order = sorted(names, key=lambda key: int(key) if str(key).isdecimal() else -1)
    return coco_skeleton([names[key] for key in in_order], source, 'keypoint_id2name')


READER = Reader(
    program='MMPose 1.x',
    recognised='a json object with `instance_info`, or a list with `instances` or `keypoint_scores`, or a folder of '
    'them',
    frame="`frame_id` (the first one is 0 or 1); of an image the file's stem",
    person='`track_id`',
    skeleton='`keypoint_id2name`, else by number',
    source='mmpose',
    recognises=_recognises,
    read=_read,
)
