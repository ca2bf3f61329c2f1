"""The table into which every keypoint file is read, and the checks that all layouts share."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np

from hrtk.body_models.skeletons import joint_names
from hrtk.datasets.own.keypoint_report import LeftOut
from hrtk.detectors.findings import FoundLandmarks
from hrtk.errors import InputError

# By the number of points; any other list needs `skeleton=`.
SKELETON_OF_COUNT = {17: 'coco17', 25: 'openpose25', 18: 'openpose18'}
# Lists whose first 17 points are COCO's: Halpe, COCO-WholeBody, Halpe with hands and face.
COCO_FIRST = (26, 133, 136)
FARTHEST = 65_535  # px; the largest side of a JPEG


@dataclasses.dataclass(frozen=True)
class FrameRef:
    """How a keypoint file names a frame.

    Attributes:
        name: file name, with the folders that the file notes; without suffix from OpenPose; empty if there is none.
        number: frame number, or None if the file gives none.
        size: (width, height) px noted for the frame, or None.
        place: position among the frames of the footage, from 0, where the file lists its frames in their order; it
            decides, whatever the frames are called.
    """

    name: str
    number: Optional[int] = None
    size: Optional[tuple[int, int]] = None
    place: Optional[int] = None


@dataclasses.dataclass(frozen=True)
class KeypointTable:
    """All people of a keypoint file, one per row.

    Attributes:
        frames: the frame of every row.
        persons: identity of every row, or None where the file gives none.
        points: (N, K, 3) float32, x and y in px and confidence in [0, 1].
        skeleton: joint list of the K points.
        source: origin of the keypoints: ``'annotated'``, ``'openpose'``, ``'alphapose'``, ``'rtmlib'``,
            ``'detected'`` (a COCO results list, or arrays), the name of another reader of
            :data:`hrtk.datasets.own.keypoint_readers.READERS`, or the ``source`` that the file gives.
        landmarks: of every row, NaN in rows without; None if no row has any.
        listed: all frames that the file lists, also those without people.
        first_frame: number of the first frame in the names of the file, if its layout says so.
        normalised: x and y are fractions of the width and height of the image, and no px yet.
        path: the file.
    """

    frames: tuple[FrameRef, ...]
    persons: tuple[Optional[int], ...]
    points: np.ndarray
    skeleton: str
    source: str
    landmarks: Optional[FoundLandmarks] = None
    listed: tuple[FrameRef, ...] = ()
    first_frame: Optional[int] = None
    normalised: bool = False
    path: Path = Path()


@dataclasses.dataclass(frozen=True)
class Row:
    """One person of one frame, before the checks.

    Attributes:
        frame: the frame.
        person: identity as the file gives it, or None.
        values: x, y, confidence of every point in one list, or a list of [x, y, confidence], if the file is valid.
        label: what messages call the row.
        landmarks: of one person, or None.
        person_key: what messages call the identity.
    """

    frame: FrameRef
    person: Any
    values: Any
    label: str
    landmarks: Optional[FoundLandmarks] = None
    person_key: str = 'person'


@dataclasses.dataclass(frozen=True)
class Content:
    """What a reader found in a file.

    Attributes:
        rows: the people.
        source: of :class:`KeypointTable`.
        skeleton: joint list of the points; None takes it from their number.
        listed: of :class:`KeypointTable`.
        first_frame: of :class:`KeypointTable`.
        normalised: of :class:`KeypointTable`.
    """

    rows: list[Row]
    source: str
    skeleton: Optional[str] = None
    listed: tuple[FrameRef, ...] = ()
    first_frame: Optional[int] = None
    normalised: bool = False


def make_table(
    content: Content, path: Path, skeleton: Optional[str], left_out: LeftOut
) -> KeypointTable:
    """Checks the rows of a file and joins them.

    COCO's visibilities 0, 1, 2 become the confidences 0, 1, 1; a detector's scores are clipped to [0, 1]. Points that
    are no finite numbers are absent, people with another number of points are left out, and people whose identity
    cannot be read have none; ``left_out`` tells how many.

    Raises:
        InputError: there is no row, or no row is as the layout says.
    """
    rows = content.rows
    if not rows:
        left_out.finish()
        raise InputError(
            f'{path}: no person with keypoints in it; check that the detector found somebody'
        )
    arrays = [points_array(row.values) for row in rows]
    skeleton = skeleton or content.skeleton
    if skeleton is None:
        skeleton, count = _most_common_skeleton(arrays, rows, path)
    else:
        count = len(joint_names(skeleton))
    fits = [len(values) == count for values in arrays]
    _refuse_other_counts(rows, arrays, count, skeleton, left_out)
    left_out.total('people', len(rows))
    rows = [row for row, fitting in zip(rows, fits) if fitting]
    names = joint_names(skeleton)
    points = np.empty((0, len(names), 3), np.float32)
    if rows:
        kept = [values[: len(names)] for values, fitting in zip(arrays, fits) if fitting]
        points = np.stack(kept).astype(np.float32)
    _clear_non_numbers(points, rows, names, left_out)
    if not content.normalised:
        clear_far_points(points, left_out)
    persons = _identities(rows, left_out)
    left_out.total('points', points[..., 0].size)
    left_out.finish()
    visibility = points[..., 2]
    if content.source == 'annotated':
        _check_visibility(visibility, path)
    points[..., 2] = visibility.clip(0, 1)
    landmarks = None
    if any(row.landmarks is not None for row in rows):
        landmarks = FoundLandmarks.join([row.landmarks for row in rows])
    return KeypointTable(
        tuple(row.frame for row in rows),
        persons,
        points,
        skeleton,
        content.source,
        landmarks,
        content.listed or tuple(dict.fromkeys(row.frame for row in content.rows)),
        content.first_frame,
        content.normalised,
        path,
    )


def points_array(values: Any) -> np.ndarray:
    """(K, 3) float64 of x, y, confidence in one list, or of a list of [x, y, confidence] or of [x, y].

    Points without a confidence have confidence 1. A value that is no number is NaN. What is no list of points, and a
    flat list whose length is no multiple of three, has K = 0.
    """
    if not isinstance(values, (list, np.ndarray)) or not len(values):
        return np.empty((0, 3))
    if isinstance(values, list) and isinstance(values[0], (list, dict)):
        return np.array([_point(point) for point in values])
    try:
        numbers = np.asarray(values, np.float64)
    except (TypeError, ValueError, OverflowError):
        numbers = np.array([_number(value) for value in values])
    if numbers.size % 3:
        return np.empty((0, 3))
    return numbers.reshape(-1, 3)


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


def whole_number(value: Any, left_out: LeftOut, noun: str, label: str) -> Optional[int]:
    """The number of a frame; None, and counted, if the value is no whole number.

    Args:
        value: as the file gives it; digits in a text count as a number.
        left_out: counts the entry.
        noun: what is left out then, a plural.
        label: what messages call the value.
    """
    if isinstance(value, str) and re.fullmatch(r'[0-9]{1,18}', value.strip()):
        return int(value)
    try:
        number = optional_number(value, left_out.path, label)
    except InputError:
        number = None
    if number is None:
        complaint = f'{label} must be a whole number, not {value!r}'
        left_out.add(noun, 'have no frame number and are left out', f'{label} {value!r}', complaint)
    return number


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


def clear_far_points(points: np.ndarray, left_out: LeftOut) -> None:
    """Makes points that no camera can see absent, and counts them.

    One such point would make the box of a person, and with it every crop, as large as its distance.

    Args:
        points: (N, K, 3) float32 x, y (px) and confidence; changed in place.
        left_out: counts them.
    """
    far = (np.abs(points[..., :2]) > FARTHEST).any(-1)
    if far.any():
        points[far] = 0
        reason = f'lie more than {FARTHEST} px from the corner of the image and count as absent'
        row, point = np.argwhere(far)[0]
        first = f'point {point} of person {row}'
        left_out.add('points', reason, first, f'all points {reason}', int(far.sum()))


def _point(point: Any) -> list[float]:
    if not isinstance(point, list) or len(point) not in (2, 3):
        return [np.nan] * 3
    numbers = [_number(value) for value in point]
    return [*numbers, 1.0][:3]


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return np.nan


def _value_count(row: Row) -> int:
    """How many numbers a row gives."""
    if not isinstance(row.values, (list, np.ndarray)):
        return 0
    if isinstance(row.values, list) and not any(isinstance(v, list) for v in row.values[:1]):
        return len(row.values)
    return 3 * len(row.values)


def _most_common_skeleton(arrays: list[np.ndarray], rows: list[Row], path: Path) -> tuple[str, int]:
    """The skeleton of the number of points that most people have, and this number."""
    count = Counter(map(len, arrays)).most_common(1)[0][0]
    if count in COCO_FIRST:
        return 'coco17', count
    if count not in SKELETON_OF_COUNT:
        row = rows[[len(values) for values in arrays].index(count)]
        known = ', '.join(f'{number} ({name})' for number, name in SKELETON_OF_COUNT.items())
        raise InputError(
            f'{path}: {row.label} has {count} keypoints; known are {known}, and '
            f'{", ".join(map(str, COCO_FIRST))}, of which the first 17 are used. Export one of these, or '
            f'name the list of hrtk.body_models.skeletons with `skeleton=`'
        )
    return SKELETON_OF_COUNT[count], count


def _refuse_other_counts(
    rows: list[Row], arrays: list[np.ndarray], count: int, skeleton: str, left_out: LeftOut
) -> None:
    """Counts the people who have another number of points than the file's skeleton."""
    for row, values in zip(rows, arrays):
        if len(values) != count:
            complaint = (
                f'{row.label}: keypoints must be {3 * count} numbers (x, y, confidence for '
                f'{count} points of {skeleton}), there are {_value_count(row)}'
            )
            reason = f'have no {count} points of {skeleton} and are left out'
            left_out.add('people', reason, row.label, complaint)


def _clear_non_numbers(
    points: np.ndarray, rows: list[Row], names: Sequence[str], left_out: LeftOut
) -> None:
    """Makes points absent that are no finite numbers, and counts them; in place."""
    missing = ~np.isfinite(points).all(-1)
    for index, point in np.argwhere(missing).tolist():
        label = rows[index].label
        complaint = (
            f'{label}: {names[point]} is not a finite number, nor is any other point; keypoints must be numbers, '
            f'0, 0, 0 for a point that was not found'
        )
        reason = 'are no finite numbers and count as absent'
        left_out.add('points', reason, f'{names[point]} of {label}', complaint)
    points[missing] = 0


def _identities(rows: list[Row], left_out: LeftOut) -> tuple[Optional[int], ...]:
    """The identity of every row as a number, or None.

    Trackers write a number, ``[3.0]``, and AlphaPose lists of lists, one number for each detection that it merged into
    the person. Merged detections of several identities have none, and a negative number means "not tracked". Names get
    the numbers that are free, in the order in which they appear.
    """
    found = [_identity(row, left_out) for row in rows]
    taken = {identity for identity in found if isinstance(identity, int)}
    number_of_name: dict[str, int] = {}
    free = 0
    for name in found:
        if isinstance(name, str) and name not in number_of_name:
            while free in taken:
                free += 1
            number_of_name[name] = free
            taken.add(free)
    if number_of_name:
        pairs = [f'{name!r} is person {number}' for name, number in number_of_name.items()]
        more = ', ...' if len(pairs) > 5 else ''
        left_out.note(f'identities are names: {", ".join(pairs[:5])}{more}')
    identities: list[Optional[int]] = []
    for identity in found:
        if isinstance(identity, str):
            identities.append(number_of_name[identity])
        else:
            identities.append(identity)
    return tuple(identities)


def _identity(row: Row, left_out: LeftOut) -> int | str | None:
    """The identity of a row: a number, a name, or None."""
    values = set()
    pending = [row.person]
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending.extend(item)
        elif isinstance(item, str):
            values.add(_number_or_name(item))
        else:
            try:
                values.add(optional_number(item, left_out.path, row.person_key))
            except InputError:
                label = f'{row.label}: {row.person_key}'
                complaint = f'{label} must be a whole number, not {item!r}'
                reason = 'have an identity that is no whole number and is ignored'
                left_out.add('people', reason, f'{label} {item!r}', complaint)
                return None
    if len(values) != 1:
        return None
    identity = values.pop()
    if isinstance(identity, int) and identity < 0:
        return None
    return identity


def _number_or_name(text: str) -> int | str | None:
    """``'3'`` and ``'3.0'`` are 3, an empty text is no identity, any other text is a name."""
    text = text.strip()
    try:
        number = float(text)
    except ValueError:
        return text or None
    if number.is_integer():
        return int(number)
    return text


def _check_visibility(visibility: np.ndarray, path: Path) -> None:
    """COCO's third number is a visibility 0, 1 or 2; some programs write a confidence in [0, 1]."""
    low = visibility.min()
    high = visibility.max()
    if not np.isin(visibility, (0, 1, 2)).all() and (low < 0 or high > 1):
        raise InputError(
            f'{path}: the third number of a COCO keypoint must be a visibility 0, 1 or 2, or a confidence '
            f'in [0, 1]; found {low:g}..{high:g}'
        )
