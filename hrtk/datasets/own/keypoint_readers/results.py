"""Lists of results: COCO's (https://cocodataset.org/#format-results) and AlphaPose's default json (docs/output.md)."""

from __future__ import annotations

from typing import Any

from hrtk.datasets.own.keypoint_readers.base import Reader, Source, entries, is_list_of, posix
from hrtk.datasets.own.keypoint_report import LeftOut
from hrtk.datasets.own.keypoint_table import Content, FrameRef, Row, whole_number

NOUN = 'entries'


def _is_results(source: Source) -> bool:
    if source.content == []:
        return True
    if source.kind != 'json' or not is_list_of(source.content, dict):
        return False
    return any('image_id' in entry or 'keypoints' in entry for entry in source.content)


def _is_alphapose(source: Source) -> bool:
    if not _is_results(source):
        return False
    return any('idx' in e or isinstance(e.get('image_id'), str) for e in source.content)


def _read_coco(source: Source, left_out: LeftOut) -> Content:
    return Content(_rows(source, left_out), COCO_READER.source)


def _read_alphapose(source: Source, left_out: LeftOut) -> Content:
    """AlphaPose calls the frames of a video ``0.jpg``, ``1.jpg``, ..."""
    rows = _rows(source, left_out)
    plain = [row.frame.name.removesuffix('.jpg') for row in rows]
    first_frame = None
    if all(name.isdecimal() and name == str(int(name)) for name in plain):
        first_frame = 0
    return Content(rows, ALPHAPOSE_READER.source, first_frame=first_frame)


def _rows(source: Source, left_out: LeftOut) -> list[Row]:
    rows = []
    content = entries(source.content, source.path, 'the list', 'image_id', 'keypoints')
    left_out.total(NOUN, len(content))
    for index, entry in enumerate(content):
        image = entry['image_id']
        label = f'entry {index} (image_id {image!r})'
        frame = _frame(image, label, left_out)
        if frame is not None:
            person = entry.get('idx', entry.get('track_id'))
            rows.append(Row(frame, person, entry['keypoints'], label, None, 'idx'))
    return rows


def _frame(image: Any, label: str, left_out: LeftOut) -> FrameRef | None:
    if isinstance(image, str):
        return FrameRef(posix(image))
    number = whole_number(image, left_out, NOUN, f'{label}: image_id')
    if number is None:
        return None
    return FrameRef('', number)


COCO_READER = Reader(
    program='COCO results',
    recognised='a json list with `image_id` and `keypoints`',
    frame='`image_id`, the last number of the file name; in a video the frame',
    person='`track_id`',
    source='detected',
    recognises=_is_results,
    read=_read_coco,
)
ALPHAPOSE_READER = Reader(
    program='AlphaPose',
    recognised='a json list with `image_id` and `keypoints`, and with `idx` or names in `image_id`',
    frame='`image_id`',
    person='`idx`',
    source='alphapose',
    recognises=_is_alphapose,
    read=_read_alphapose,
)
