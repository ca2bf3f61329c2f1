"""COCO annotations (https://cocodataset.org/#format-data)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

from hrtk.datasets.own.frame_numbers import last_number
from hrtk.datasets.own.keypoint_readers.base import Reader, Source, coco_skeleton, entries, posix
from hrtk.datasets.own.keypoint_report import LeftOut
from hrtk.datasets.own.keypoint_table import (
    Content,
    FrameRef,
    Row,
    optional_number,
    optional_size,
)

PEOPLE = ('person', 'people', 'human', 'pedestrian')
NOUN = 'annotations'


def _recognises(source: Source) -> bool:
    return isinstance(source.content, dict) and NOUN in source.content


def _read(source: Source, left_out: LeftOut) -> Content:
    """Rows of the annotations of people with keypoints.

    COCO's visibilities stand in the third number of a point. Crowds and annotations without keypoints are passed over;
    other categories and annotations of images that the file does not list are left out and counted.
    """
    path = source.path
    images = entries(source.content.get('images', []), path, 'images', 'id', 'file_name')
    frames = {str(image['id']): _frame(image, path) for image in images}
    categories = entries(source.content.get('categories', []), path, 'categories')
    others = _other_categories(categories)
    skeleton = None
    for category in categories:
        if str(category.get('id')) not in others:
            skeleton = skeleton or coco_skeleton(category.get('keypoints'), source, 'categories')
    rows: list[Row] = []
    annotations = entries(source.content[NOUN], path, NOUN, 'image_id')
    left_out.total(NOUN, len(annotations))
    for entry in annotations:
        label = f'annotation {entry.get("id", "without id")} of image {entry["image_id"]}'
        other = others.get(str(entry.get('category_id')))
        if other is not None:
            complaint = f'{label} is of the category {other!r}; no annotation is of a person'
            reason = 'are of other categories and left out'
            left_out.add(NOUN, reason, f'{label}, a {other}', complaint)
            continue
        frame = frames.get(str(entry['image_id']))
        if frame is None:
            complaint = f'{label}: no such id in images; add the image to the list "images"'
            reason = 'are of images that the file does not list and left out'
            left_out.add(NOUN, reason, label, complaint)
            continue
        if 'keypoints' in entry and not entry.get('iscrowd'):
            rows.append(
                Row(frame, entry.get('track_id'), entry['keypoints'], label, None, 'track_id')
            )
    listed = tuple(frames.values())
    return Content(rows, READER.source, skeleton, listed, _first_of_ids(images, path))


def _other_categories(categories: list[dict]) -> dict[str, str]:
    """``{id: name}`` of the categories that are no people; empty if no category is called a person."""
    names = {str(category.get('id')): str(category.get('name', '')) for category in categories}
    if not any(name.lower() in PEOPLE for name in names.values()):
        return {}
    return {key: name for key, name in names.items() if name.lower() not in PEOPLE}


def _frame(image: dict[str, Any], path: Path) -> FrameRef:
    label = f'image {image["file_name"]}'
    size = optional_size(
        (image.get('width'), image.get('height')), path, (f'{label}: width', f'{label}: height')
    )
    number = optional_number(image.get('frame_index'), path, f'{label}: frame_index')
    return FrameRef(posix(image['file_name']), number, size)


def _first_of_ids(images: list[dict], path: Path) -> Optional[int]:
    """1 if the ids count the images from 0 where the names count from 1; None if the ids say nothing."""
    if not images:
        return None
    shifts = set()
    for image in images:
        name = last_number(posix(image['file_name']).rsplit('/')[-1])
        if name is None or not isinstance(image['id'], int):
            return None
        shifts.add(name - image['id'])
    starts_at_0 = min(image['id'] for image in images) == 0
    if shifts == {1} and starts_at_0:
        return 1
    return None


READER = Reader(
    program='COCO annotations',
    recognised='a json object with `annotations`',
    frame='`file_name` of `images`; in a video its `frame_index` or the last number of its name',
    person='`track_id`',
    source='annotated',
    recognises=_recognises,
    read=_read,
)
