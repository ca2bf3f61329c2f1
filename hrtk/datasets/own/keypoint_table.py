"""The table into which every keypoint file is read, and the checks that all layouts share."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np

from hrtk.body_models.skeletons import joint_names
from hrtk.detectors.findings import FoundLandmarks
from hrtk.errors import InputError

# By the number of points; any other list needs `skeleton=`.
SKELETON_OF_COUNT = {17: 'coco17', 25: 'openpose25', 18: 'openpose18'}
# Lists whose first 17 points are COCO's: Halpe, COCO-WholeBody, Halpe with hands and face.
COCO_FIRST = (26, 133, 136)
FARTHEST = 65_535  # px; the largest side of a JPEG
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class FrameRef:
    """How a keypoint file names a frame.

    Attributes:
        name: file name, with the folders that the file notes; without suffix from OpenPose; empty if there is none.
        number: frame number, or None if the file gives none.
        size: (width, height) px noted for the frame, or None.
    """

    name: str
    number: Optional[int] = None
    size: Optional[tuple[int, int]] = None


@dataclasses.dataclass(frozen=True)
class KeypointTable:
    """All people of a keypoint file, one per row.

    Attributes:
        frames: the frame of every row.
        persons: identity of every row, or None where the file gives none.
        points: (N, K, 3) float32, x and y in px and confidence in [0, 1].
        skeleton: joint list of the K points.
        source: origin of the keypoints: ``'annotated'``, ``'openpose'``, ``'alphapose'``, ``'rtmlib'``,
            ``'detected'`` (a COCO results list, or arrays), or the ``source`` that the file gives.
        landmarks: of every row, NaN in rows without; None if no row has any.
    """

    frames: tuple[FrameRef, ...]
    persons: tuple[Optional[int], ...]
    points: np.ndarray
    skeleton: str
    source: str
    landmarks: Optional[FoundLandmarks] = None


@dataclasses.dataclass(frozen=True)
class Row:
    """One person of one frame, before the checks.

    Attributes:
        frame: the frame.
        person: identity, or None.
        values: x, y, confidence of every point in one list, if the file is valid.
        label: what error messages call the row.
        landmarks: of one person, or None.
    """

    frame: FrameRef
    person: Optional[int]
    values: Any
    label: str
    landmarks: Optional[FoundLandmarks] = None


def make_table(rows: list[Row], path: Path, skeleton: Optional[str], source: str) -> KeypointTable:
    """Checks the rows of a file and joins them.

    COCO's visibilities 0, 1, 2 become the confidences 0, 1, 1; a detector's scores are clipped to [0, 1].

    Raises:
        InputError: there is no row, rows differ in their number of points, or a value is not a finite number.
    """
    if not rows:
        raise InputError(
            f'{path}: no person with keypoints in it; check that the detector found somebody'
        )
    if skeleton is None:
        count = _value_count(rows[0]) // 3
        skeleton = _default_skeleton(count, rows[0], path)
    else:
        count = len(joint_names(skeleton))
    points = _stack(rows, path, skeleton, count)
    _drop_far_points(points, path)
    visibility = points[..., 2]
    if source == 'annotated':
        _check_visibility(visibility, path)
    points[..., 2] = visibility.clip(0, 1)
    landmarks = None
    if any(row.landmarks is not None for row in rows):
        landmarks = FoundLandmarks.join([row.landmarks for row in rows])
    return KeypointTable(
        tuple(row.frame for row in rows),
        tuple(row.person for row in rows),
        points,
        skeleton,
        source,
        landmarks,
    )


def optional_number(value: Any, path: Path, label: str) -> Optional[int]:
    """A whole number or None; detectors also write 3.0 and [3].

    Raises:
        InputError: the value is anything else.
    """
    inner = value
    if isinstance(value, list) and len(value) == 1:
        inner = value[0]
    if inner is None or isinstance(inner, int):
        return inner
    if isinstance(inner, float) and inner.is_integer():
        return int(inner)
    raise InputError(f'{path}: {label} must be a whole number, not {value!r}')


def optional_identity(value: Any, path: Path, label: str) -> Optional[int]:
    """The identity of a person, or None without one.

    Trackers write a number, ``[3.0]``, and AlphaPose lists of lists, one number for each detection that it merged into
    the person. Merged detections of several identities have none, and a negative number means "not tracked".

    Raises:
        InputError: a value is not a whole number.
    """
    numbers = set()
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending.extend(item)
        else:
            numbers.add(optional_number(item, path, label))
    if len(numbers) != 1:
        return None
    identity = numbers.pop()
    if identity is not None and identity < 0:
        return None
    return identity


def contradicting_identities(
    persons: Sequence[Optional[int]], frames: Sequence[int]
) -> tuple[int, ...]:
    """The identities that two people of one frame have, in ascending order.

    Such a number is no identity: AlphaPose without tracking, for example, writes 0 for everybody.

    Args:
        persons: identity of each of N people, or None.
        frames: the frame of each of them.
    """
    seen = set()
    contradicting = set()
    for person, frame in zip(persons, frames):
        if person is None:
            continue
        if (person, frame) in seen:
            contradicting.add(person)
        seen.add((person, frame))
    return tuple(sorted(contradicting))


def optional_size(
    values: Sequence[Any], path: Path, labels: Sequence[str]
) -> Optional[tuple[int, int]]:
    """(width, height) in px, or None unless both are noted.

    Raises:
        InputError: one of them is not a whole number.
    """
    width = optional_number(values[0], path, labels[0])
    height = optional_number(values[1], path, labels[1])
    if width is None or height is None:
        return None
    return width, height


def _value_count(row: Row) -> int:
    return len(row.values) if isinstance(row.values, list) else 0


def _default_skeleton(count: int, row: Row, path: Path) -> str:
    """The skeleton of so many points."""
    if count in COCO_FIRST:
        return 'coco17'
    if count not in SKELETON_OF_COUNT:
        known = ', '.join(f'{number} ({name})' for number, name in SKELETON_OF_COUNT.items())
        raise InputError(
            f'{path}: {row.label} has {count} keypoints; known are {known}, and '
            f'{", ".join(map(str, COCO_FIRST))}, of which the first 17 are used. Export one of these, or '
            f'name the list of hrtk.body_models.skeletons with `skeleton=`'
        )
    return SKELETON_OF_COUNT[count]


def _stack(rows: list[Row], path: Path, skeleton: str, count: int) -> np.ndarray:
    """(N, K, 3) float32 of rows with ``count`` points each, of which the first K are used, see COCO_FIRST."""
    names = joint_names(skeleton)
    expected = 3 * count
    points = np.empty((len(rows), len(names), 3), np.float32)
    for target, row in zip(points, rows):
        length = _value_count(row)
        if length != expected:
            raise InputError(
                f'{path}: {row.label}: keypoints must be {expected} numbers (x, y, confidence for '
                f'{count} points of {skeleton}), there are {length}'
            )
        try:
            target[:] = np.asarray(row.values[: 3 * len(names)], dtype=np.float32).reshape(-1, 3)
        except (TypeError, ValueError) as error:
            raise InputError(f'{path}: {row.label}: keypoints must be numbers ({error})') from error
        finite = np.isfinite(target).all(1)
        if not finite.all():
            raise InputError(
                f'{path}: {row.label}: {names[int(np.argmin(finite))]} is not a finite number; write '
                f'0, 0, 0 for a point that was not found'
            )
    return points


def _drop_far_points(points: np.ndarray, path: Path) -> None:
    """Makes points that no camera can see absent, and counts them in the log.

    One such point would make the box of a person, and with it every crop, as large as its distance.

    Args:
        points: (N, K, 3) float32 x, y (px) and confidence; changed in place.
        path: of the file.
    """
    far = (np.abs(points[..., :2]) > FARTHEST).any(-1)
    if far.any():
        points[far] = 0
        _log.warning(
            '%s: %d of %d points lie more than %d px from the corner of the image and count as absent',
            path,
            far.sum(),
            far.size,
            FARTHEST,
        )


def _check_visibility(visibility: np.ndarray, path: Path) -> None:
    """COCO's third number is a visibility 0, 1 or 2; some programs write a confidence in [0, 1]."""
    low = visibility.min()
    high = visibility.max()
    if not np.isin(visibility, (0, 1, 2)).all() and (low < 0 or high > 1):
        raise InputError(
            f'{path}: the third number of a COCO keypoint must be a visibility 0, 1 or 2, or a confidence '
            f'in [0, 1]; found {low:g}..{high:g}'
        )
