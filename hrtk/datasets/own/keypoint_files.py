"""Keypoint files of other programs, read into one table.

Layouts: COCO annotations and COCO results (https://cocodataset.org/#format-data, #format-results), OpenPose's
``--write_json`` (its doc/02_output.md), AlphaPose's default json (its docs/output.md), and rtmlib's answers or plain
arrays (:mod:`hrtk.datasets.own.keypoint_arrays`). The layout is recognised from the content.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Optional

from hrtk.body_models.skeletons import joint_names
from hrtk.datasets.own.keypoint_arrays import ANSWERS, ARRAYS, answers, arrays, named
from hrtk.datasets.own.keypoint_table import FrameRef, KeypointTable, Row, table_of, whole
from hrtk.errors import InputError

COCO_NAMES = tuple(name.removesuffix('_lsp') for name in joint_names('coco17'))
LAYOUTS = (
    'COCO annotations {"images": [...], "annotations": [...]}, a COCO or AlphaPose results list '
    '[{"image_id": ..., "keypoints": [...]}], an OpenPose frame {"people": [...]}, '
    f'{ANSWERS}, or {ARRAYS}'
)


def read_keypoints(path: str | Path, skeleton: Optional[str] = None) -> KeypointTable:
    """Reads a keypoint file, or a folder of OpenPose's ``*_keypoints.json``.

    COCO's visibilities 0, 1, 2 become the confidences 0, 1, 1; a detector's scores are cut to [0, 1]. Of 26, 133 and
    136 points, Halpe's and COCO-WholeBody's, the first 17 are taken, which are COCO's.

    Args:
        path: the file or folder.
        skeleton: joint list of the points; None takes it from their number.

    Raises:
        InputError: the file is missing, no json, of an unknown layout, empty, or a row is malformed.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(path.glob('*_keypoints.json'))
        if not files:
            raise InputError(
                f'{path}: this folder has no *_keypoints.json; give the folder that OpenPose wrote with '
                f'--write_json, or a single json file: {LAYOUTS}'
            )
        rows, source = [row for file in files for row in _openpose(_load(file), file)], 'openpose'
    else:
        rows, source, skeleton = _read_file(path, skeleton)
    return table_of(rows, path, skeleton, source)


def _load(file: Path) -> Any:
    if not file.is_file():
        raise InputError(f'{file}: there is no such keypoint file; check the path')
    try:
        return json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:  # bad json and bad unicode are ValueErrors
        raise InputError(
            f'{file}: not json, or cut off ({error}); write or copy it again'
        ) from error


def _read_file(path: Path, skeleton: Optional[str]) -> tuple[list[Row], str, Optional[str]]:
    if path.suffix.lower() == '.npz':
        return list(arrays(path)), 'detected', skeleton
    content = _load(path)
    if isinstance(content, dict) and 'annotations' in content:
        if skeleton is None:
            skeleton = _named_skeleton(content, path)
        return list(_coco(content, path)), 'annotated', skeleton
    if isinstance(content, dict) and 'people' in content:
        return list(_openpose(content, path)), 'openpose', skeleton
    if isinstance(content, dict) and 'frames' in content or _are_answers(content):
        return (
            list(answers(content, path)),
            named(content, 'source') or 'rtmlib',
            skeleton or named(content, 'skeleton'),
        )
    if isinstance(content, list):
        rows = list(_results(content, path))
        alphapose = any('idx' in entry or isinstance(entry['image_id'], str) for entry in content)
        return rows, 'alphapose' if alphapose else 'detected', skeleton
    found = (
        f'the keys {sorted(content)[:8]}'
        if isinstance(content, dict)
        else f'a {type(content).__name__}'
    )
    raise InputError(f'{path}: unknown layout, it holds {found}; expected {LAYOUTS}')


def _are_answers(content: Any) -> bool:
    """rtmlib gives a picture's people together; results lists give one person per entry, with a single score."""
    return isinstance(content, list) and any(
        isinstance(entry, dict) and 'scores' in entry for entry in content
    )


def _named_skeleton(content: dict, path: Path) -> Optional[str]:
    """COCO files may list their joints; None if this one does not."""
    for category in _entries(content.get('categories', []), path, 'categories'):
        names = category.get('keypoints')
        if not isinstance(names, list):
            continue
        if tuple(str(name).lower().replace(' ', '_') for name in names) != COCO_NAMES:
            raise InputError(
                f'{path}: categories lists the joints {", ".join(map(str, names))}, which are not the 17 '
                f'of COCO in their order; say which list of hrtk.body_models.skeletons it is with '
                f'`skeleton=`'
            )
        return 'coco17'
    return None


def _coco(content: dict, path: Path) -> Iterable[Row]:
    images = {}
    for image in _entries(content.get('images', []), path, 'images', 'id', 'file_name'):
        label = f'image {image["file_name"]}'
        width, height, number = (
            whole(image.get(key), path, f'{label}: {key}')
            for key in ('width', 'height', 'frame_index')
        )
        size = None if width is None or height is None else (width, height)
        images[str(image['id'])] = FrameRef(
            str(image['file_name']).replace('\\', '/'), number, size
        )
    for entry in _entries(content['annotations'], path, 'annotations', 'image_id'):
        label = f'annotation {entry.get("id", "without id")} of image {entry["image_id"]}'
        frame = images.get(str(entry['image_id']))
        if frame is None:
            raise InputError(
                f'{path}: {label}: no such id in images; write the pictures into the list "images"'
            )
        if 'keypoints' in entry and not entry.get('iscrowd'):
            person = whole(entry.get('track_id'), path, f'{label}: track_id')
            yield Row(frame, person, entry['keypoints'], label)


def _results(content: list, path: Path) -> Iterable[Row]:
    for i, entry in enumerate(_entries(content, path, 'the list', 'image_id', 'keypoints')):
        image, label = entry['image_id'], f'entry {i} (image_id {entry["image_id"]!r})'
        frame = (
            FrameRef(image.replace('\\', '/'))
            if isinstance(image, str)
            else FrameRef('', whole(image, path, f'{label}: image_id'))
        )
        person = whole(entry.get('idx', entry.get('track_id')), path, f'{label}: idx')
        yield Row(frame, person, entry['keypoints'], label)


def _openpose(content: Any, file: Path) -> Iterable[Row]:
    people = content.get('people') if isinstance(content, dict) else None
    for i, entry in enumerate(_entries(people, file, 'people')):
        label = f'person {i} of {file.name}'
        person = whole(entry.get('person_id'), file, f'{label}: person_id')
        values = entry.get('pose_keypoints_2d', entry.get('pose_keypoints'))
        # OpenPose writes -1 where it does not track.
        yield Row(
            FrameRef(file.stem.removesuffix('_keypoints')),
            None if person == -1 else person,
            values,
            label,
        )


def _entries(value: Any, path: Path, where: str, *required: str) -> list[dict]:
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise InputError(f'{path}: {where} must be a list of objects; expected {LAYOUTS}')
    for i, entry in enumerate(value):
        missing = [key for key in required if key not in entry]
        if missing:
            raise InputError(
                f'{path}: entry {i} of {where} lacks {", ".join(missing)}; expected {LAYOUTS}'
            )
    return value
