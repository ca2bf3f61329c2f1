"""Keypoint files of other programs, read into one table.

Layouts: COCO annotations and COCO results (https://cocodataset.org/#format-data, #format-results), OpenPose's
``--write_json`` (its doc/02_output.md) and AlphaPose's default json (its docs/output.md). The layout is recognised
from the content.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Optional

import numpy as np

from hrtk.body_models.skeletons import joint_names
from hrtk.structures import InputError

# By the number of points; one that is not listed needs `skeleton=`.
SKELETON_OF_COUNT = {17: 'coco17', 25: 'openpose25', 18: 'openpose18'}
COCO_NAMES = tuple(name.removesuffix('_lsp') for name in joint_names('coco17'))
LAYOUTS = ('COCO annotations {"images": [...], "annotations": [...]}, a COCO or AlphaPose results list '
           '[{"image_id": ..., "keypoints": [...]}], or an OpenPose frame {"people": [...]}')


@dataclasses.dataclass(frozen=True)
class FrameRef:
    """How a keypoint file names a frame.

    Attributes:
        name: file name, with the folders that the file notes; without suffix from OpenPose; empty if it gives none.
        number: the frame's number where the file says one, else None.
        size: (width, height) px noted for it, or None.
    """

    name: str
    number: Optional[int] = None
    size: Optional[tuple[int, int]] = None


@dataclasses.dataclass(frozen=True)
class KeypointTable:
    """All people of a keypoint file, one per row.

    Attributes:
        frames: of every row.
        persons: identity of every row, or None where the file gives none.
        points: (N, K, 3) float32, x and y in px and confidence in [0, 1].
        skeleton: joint list of the K points.
        source: who made them: ``'annotated'``, ``'openpose'``, ``'alphapose'`` or ``'detected'`` (a COCO results list).
    """

    frames: tuple[FrameRef, ...]
    persons: tuple[Optional[int], ...]
    points: np.ndarray
    skeleton: str
    source: str


@dataclasses.dataclass(frozen=True)
class _Row:
    frame: FrameRef
    person: Optional[int]
    values: Any
    label: str


def read_keypoints(path: str | Path, skeleton: Optional[str] = None) -> KeypointTable:
    """Reads a keypoint file, or a folder of OpenPose's ``*_keypoints.json``.

    COCO's visibilities 0, 1, 2 become the confidences 0, 1, 1; a detector's scores are cut to [0, 1].

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
            raise InputError(f'{path}: this folder has no *_keypoints.json; give the folder that OpenPose wrote with '
                             f'--write_json, or a single json file: {LAYOUTS}')
        rows, source = [row for file in files for row in _openpose(_load(file), file)], 'openpose'
    else:
        rows, source, skeleton = _read_file(path, skeleton)
    if not rows:
        raise InputError(f'{path}: no person with keypoints in it; check that the detector found somebody')
    points, skeleton = _points(rows, path, skeleton)
    visibility = points[..., 2]
    low, high = visibility.min(), visibility.max()
    if source == 'annotated' and not np.isin(visibility, (0, 1, 2)).all() and (low < 0 or high > 1):
        raise InputError(f'{path}: the third number of a COCO keypoint must be a visibility 0, 1 or 2, or a confidence '
                         f'in [0, 1]; found {low:g}..{high:g}')
    points[..., 2] = visibility.clip(0, 1)
    return KeypointTable(tuple(row.frame for row in rows), tuple(row.person for row in rows), points, skeleton, source)


def _load(file: Path) -> Any:
    if not file.is_file():
        raise InputError(f'{file}: there is no such keypoint file; check the path')
    try:
        return json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:  # bad json and bad unicode are ValueErrors
        raise InputError(f'{file}: not json, or cut off ({error}); write or copy it again') from error


def _read_file(path: Path, skeleton: Optional[str]) -> tuple[list[_Row], str, Optional[str]]:
    content = _load(path)
    if isinstance(content, dict) and 'annotations' in content:
        if skeleton is None:
            skeleton = _named_skeleton(content, path)
        return list(_coco(content, path)), 'annotated', skeleton
    if isinstance(content, dict) and 'people' in content:
        return list(_openpose(content, path)), 'openpose', skeleton
    if isinstance(content, list):
        rows = list(_results(content, path))
        alphapose = any('idx' in entry or isinstance(entry['image_id'], str) for entry in content)
        return rows, 'alphapose' if alphapose else 'detected', skeleton
    found = f'the keys {sorted(content)[:8]}' if isinstance(content, dict) else f'a {type(content).__name__}'
    raise InputError(f'{path}: unknown layout, it holds {found}; expected {LAYOUTS}')


def _named_skeleton(content: dict, path: Path) -> Optional[str]:
    """COCO files may list their joints; None if this one does not."""
    for category in _entries(content.get('categories', []), path, 'categories'):
        names = category.get('keypoints')
        if not isinstance(names, list):
            continue
        if tuple(str(name).lower().replace(' ', '_') for name in names) != COCO_NAMES:
            raise InputError(f'{path}: categories lists the joints {", ".join(map(str, names))}, which are not the 17 '
                             f'of COCO in their order; say which list of hrtk.body_models.skeletons it is with '
                             f'`skeleton=`')
        return 'coco17'
    return None


def _coco(content: dict, path: Path) -> Iterable[_Row]:
    images = {}
    for image in _entries(content.get('images', []), path, 'images', 'id', 'file_name'):
        label = f'image {image["file_name"]}'
        width, height, number = (_whole(image.get(key), path, f'{label}: {key}')
                                 for key in ('width', 'height', 'frame_index'))
        size = None if width is None or height is None else (width, height)
        images[str(image['id'])] = FrameRef(str(image['file_name']).replace('\\', '/'), number, size)
    for entry in _entries(content['annotations'], path, 'annotations', 'image_id'):
        label = f'annotation {entry.get("id", "without id")} of image {entry["image_id"]}'
        frame = images.get(str(entry['image_id']))
        if frame is None:
            raise InputError(f'{path}: {label}: no such id in images; write the pictures into the list "images"')
        if 'keypoints' in entry and not entry.get('iscrowd'):
            person = _whole(entry.get('track_id'), path, f'{label}: track_id')
            yield _Row(frame, person, entry['keypoints'], label)


def _results(content: list, path: Path) -> Iterable[_Row]:
    for i, entry in enumerate(_entries(content, path, 'the list', 'image_id', 'keypoints')):
        image, label = entry['image_id'], f'entry {i} (image_id {entry["image_id"]!r})'
        frame = (FrameRef(image.replace('\\', '/')) if isinstance(image, str)
                 else FrameRef('', _whole(image, path, f'{label}: image_id')))
        person = _whole(entry.get('idx', entry.get('track_id')), path, f'{label}: idx')
        yield _Row(frame, person, entry['keypoints'], label)


def _openpose(content: Any, file: Path) -> Iterable[_Row]:
    people = content.get('people') if isinstance(content, dict) else None
    for i, entry in enumerate(_entries(people, file, 'people')):
        label = f'person {i} of {file.name}'
        person = _whole(entry.get('person_id'), file, f'{label}: person_id')
        values = entry.get('pose_keypoints_2d', entry.get('pose_keypoints'))
        # OpenPose writes -1 where it does not track.
        yield _Row(FrameRef(file.stem.removesuffix('_keypoints')), None if person == -1 else person, values, label)


def _whole(value: Any, path: Path, what: str) -> Optional[int]:
    """A whole number or None; detectors also write 3.0 and [3]."""
    inner = value[0] if isinstance(value, list) and len(value) == 1 else value
    if inner is None or isinstance(inner, int):
        return inner
    if isinstance(inner, float) and inner.is_integer():
        return int(inner)
    raise InputError(f'{path}: {what} must be a whole number, not {value!r}')


def _entries(value: Any, path: Path, where: str, *required: str) -> list[dict]:
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise InputError(f'{path}: {where} must be a list of objects; expected {LAYOUTS}')
    for i, entry in enumerate(value):
        missing = [key for key in required if key not in entry]
        if missing:
            raise InputError(f'{path}: entry {i} of {where} lacks {", ".join(missing)}; expected {LAYOUTS}')
    return value


def _points(rows: list[_Row], path: Path, skeleton: Optional[str]) -> tuple[np.ndarray, str]:
    """(N, K, 3) float32 and the skeleton of the K points; every row must have the same, finite, K."""
    if skeleton is None:
        count = len(rows[0].values) // 3 if isinstance(rows[0].values, list) else 0
        if count not in SKELETON_OF_COUNT:
            known = ', '.join(f'{n} ({name})' for n, name in SKELETON_OF_COUNT.items())
            raise InputError(f'{path}: {rows[0].label} has {count} keypoints; known are {known}. Export one of these, '
                             f'or say which list of hrtk.body_models.skeletons it is with `skeleton=`')
        skeleton = SKELETON_OF_COUNT[count]
    names = joint_names(skeleton)
    points = np.empty((len(rows), len(names), 3), np.float32)
    for target, row in zip(points, rows):
        length = len(row.values) if isinstance(row.values, list) else 0
        if length != 3 * len(names):
            raise InputError(f'{path}: {row.label}: keypoints must be {3 * len(names)} numbers (x, y, confidence for '
                             f'{len(names)} points of {skeleton}), there are {length}')
        try:
            target[:] = np.asarray(row.values, dtype=np.float32).reshape(-1, 3)
        except (TypeError, ValueError) as error:
            raise InputError(f'{path}: {row.label}: keypoints must be numbers ({error})') from error
        if not np.isfinite(target).all():
            joint = names[int(np.argmin(np.isfinite(target).all(1)))]
            raise InputError(f'{path}: {row.label}: {joint} is not a finite number; write 0, 0, 0 for a point that '
                             f'was not found')
    return points, skeleton
