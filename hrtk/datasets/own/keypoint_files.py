"""Keypoint files of other programs, read into one table.

Layouts: COCO annotations and COCO results (https://cocodataset.org/#format-data, #format-results), OpenPose's
``--write_json`` (its doc/02_output.md), which Pose2Sim writes, too, AlphaPose's default json (its docs/output.md), and
rtmlib's output or plain arrays (:mod:`hrtk.datasets.own.keypoint_arrays`). The layout is recognised from the content.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

from hrtk.body_models.skeletons import joint_names
from hrtk.datasets.own.keypoint_arrays import (
    NPZ_LAYOUT,
    RTMLIB_LAYOUT,
    file_note,
    npz_rows,
    rtmlib_rows,
)
from hrtk.datasets.own.keypoint_table import (
    FrameRef,
    KeypointTable,
    Row,
    make_table,
    optional_identity,
    optional_number,
    optional_size,
)
from hrtk.errors import InputError
from hrtk.files import visible
from hrtk.reading import read_json, regular_file

COCO_NAMES = tuple(name.removesuffix('_lsp') for name in joint_names('coco17'))
LAYOUTS = (
    'COCO annotations {"images": [...], "annotations": [...]}, a COCO or AlphaPose results list '
    '[{"image_id": ..., "keypoints": [...]}], an OpenPose frame {"people": [...]}, '
    f'{RTMLIB_LAYOUT}, or {NPZ_LAYOUT}'
)


def read_keypoints(path: str | Path, skeleton: Optional[str] = None) -> KeypointTable:
    """Reads a keypoint file, or a folder of OpenPose's ``*_keypoints.json`` or Pose2Sim's ``*_<frame>.json``.

    COCO's visibilities 0, 1, 2 become the confidences 0, 1, 1; a detector's scores are clipped to [0, 1]. Of 26, 133
    and 136 points, Halpe's and COCO-WholeBody's, the first 17 are used, which are COCO's.

    Args:
        path: the file or folder.
        skeleton: joint list of the points; None takes it from their number.

    Raises:
        InputError: the file is missing, not json, of an unknown layout, empty, or a row is malformed.
    """
    path = Path(path)
    if path.is_dir():
        return make_table(_openpose_folder(path), path, skeleton, 'openpose')
    if path.suffix.lower() == '.npz':
        return make_table(list(npz_rows(path)), path, skeleton, 'detected')
    content = _load(path)
    if isinstance(content, dict) and 'annotations' in content:
        if skeleton is None:
            skeleton = _named_skeleton(content, path)
        return make_table(list(_coco_rows(content, path)), path, skeleton, 'annotated')
    if isinstance(content, dict) and 'people' in content:
        return make_table(list(_openpose_rows(content, path)), path, skeleton, 'openpose')
    if _is_rtmlib(content):
        rows = list(rtmlib_rows(content, path))
        skeleton = skeleton or file_note(content, 'skeleton')
        return make_table(rows, path, skeleton, file_note(content, 'source') or 'rtmlib')
    if isinstance(content, list):
        rows = list(_result_rows(content, path))
        return make_table(rows, path, skeleton, _source_of_results(content))
    if isinstance(content, dict):
        summary = f'the keys {sorted(content)[:8]}'
    else:
        summary = f'a {type(content).__name__}'
    raise InputError(f'{path}: unknown layout, it holds {summary}; expected {LAYOUTS}')


def _load(path: Path) -> Any:
    regular_file(path, noun='keypoint file')
    return read_json(path, 'write or copy it again')


def _is_rtmlib(content: Any) -> bool:
    """rtmlib gives the people of an image together; results lists give one person per entry, with a single score."""
    if isinstance(content, dict):
        return 'frames' in content
    if not isinstance(content, list):
        return False
    return any(isinstance(entry, dict) and 'scores' in entry for entry in content)


def _source_of_results(content: list[dict]) -> str:
    for entry in content:
        if 'idx' in entry or isinstance(entry['image_id'], str):
            return 'alphapose'
    return 'detected'


def _named_skeleton(content: dict, path: Path) -> Optional[str]:
    """COCO files may list their joints; None if this one does not."""
    for category in _entries(content.get('categories', []), path, 'categories'):
        names = category.get('keypoints')
        if not isinstance(names, list):
            continue
        normalised = tuple(str(name).lower().replace(' ', '_') for name in names)
        if normalised != COCO_NAMES:
            raise InputError(
                f'{path}: categories lists the joints {", ".join(map(str, names))}, which are not the 17 '
                f'of COCO in their order; name the list of hrtk.body_models.skeletons with `skeleton=`'
            )
        return 'coco17'
    return None


def _coco_rows(content: dict, path: Path) -> Iterator[Row]:
    images = {}
    for image in _entries(content.get('images', []), path, 'images', 'id', 'file_name'):
        images[str(image['id'])] = _coco_frame(image, path)
    for entry in _entries(content['annotations'], path, 'annotations', 'image_id'):
        label = f'annotation {entry.get("id", "without id")} of image {entry["image_id"]}'
        frame = images.get(str(entry['image_id']))
        if frame is None:
            raise InputError(
                f'{path}: {label}: no such id in images; add the image to the list "images"'
            )
        if 'keypoints' in entry and not entry.get('iscrowd'):
            person = optional_identity(entry.get('track_id'), path, f'{label}: track_id')
            yield Row(frame, person, entry['keypoints'], label)


def _coco_frame(image: dict, path: Path) -> FrameRef:
    label = f'image {image["file_name"]}'
    size = optional_size(
        (image.get('width'), image.get('height')), path, (f'{label}: width', f'{label}: height')
    )
    number = optional_number(image.get('frame_index'), path, f'{label}: frame_index')
    return FrameRef(_posix(image['file_name']), number, size)


def _result_rows(content: list, path: Path) -> Iterator[Row]:
    for index, entry in enumerate(_entries(content, path, 'the list', 'image_id', 'keypoints')):
        image = entry['image_id']
        label = f'entry {index} (image_id {image!r})'
        if isinstance(image, str):
            frame = FrameRef(_posix(image))
        else:
            frame = FrameRef('', optional_number(image, path, f'{label}: image_id'))
        identity = entry.get('idx', entry.get('track_id'))
        person = optional_identity(identity, path, f'{label}: idx')
        yield Row(frame, person, entry['keypoints'], label)


def _openpose_folder(folder: Path) -> list[Row]:
    files = visible(folder, '*_keypoints.json') or visible(folder, '*.json')
    if not files:
        raise InputError(
            f'{folder}: this folder has no *_keypoints.json nor other *.json; give the folder that OpenPose wrote with '
            f'--write_json, or a single json file: {LAYOUTS}'
        )
    rows: list[Row] = []
    for file in files:
        rows.extend(_openpose_rows(_load(file), file))
    return rows


def _openpose_rows(content: Any, file: Path) -> Iterator[Row]:
    people = content.get('people') if isinstance(content, dict) else None
    frame = FrameRef(file.stem.removesuffix('_keypoints'))
    for index, entry in enumerate(_entries(people, file, 'people')):
        label = f'person {index} of {file.name}'
        # OpenPose without tracking writes [-1].
        person = optional_identity(entry.get('person_id'), file, f'{label}: person_id')
        values = entry.get('pose_keypoints_2d', entry.get('pose_keypoints'))
        if entry and not _is_unseen(values):
            yield Row(frame, person, _without_nan(values), label)


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


def _posix(name: Any) -> str:
    return str(name).replace('\\', '/')


def _entries(value: Any, path: Path, label: str, *required: str) -> list[dict]:
    """A list of objects that have the required keys."""
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise InputError(f'{path}: {label} must be a list of objects; expected {LAYOUTS}')
    for index, entry in enumerate(value):
        missing = [key for key in required if key not in entry]
        if missing:
            raise InputError(
                f'{path}: entry {index} of {label} lacks {", ".join(missing)}; expected {LAYOUTS}'
            )
    return value
