"""The table that every keypoint file is read into, and the checks that all layouts share."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Optional

import numpy as np

from hrtk.body_models.skeletons import joint_names
from hrtk.errors import InputError

# By the number of points; one that is not listed needs `skeleton=`.
SKELETON_OF_COUNT = {17: 'coco17', 25: 'openpose25', 18: 'openpose18'}
# Lists whose first 17 points are COCO's: Halpe, COCO-WholeBody, Halpe with hands and face.
COCO_FIRST = (26, 133, 136)


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
        source: who made them: ``'annotated'``, ``'openpose'``, ``'alphapose'``, ``'rtmlib'``, ``'detected'`` (a COCO
            results list, or arrays), or what the file says itself.
    """

    frames: tuple[FrameRef, ...]
    persons: tuple[Optional[int], ...]
    points: np.ndarray
    skeleton: str
    source: str


@dataclasses.dataclass(frozen=True)
class Row:
    """One person of one frame as a file has it: ``values`` should be x, y, confidence of every point in one list."""

    frame: FrameRef
    person: Optional[int]
    values: Any
    label: str


def table_of(rows: list[Row], path: Path, skeleton: Optional[str], source: str) -> KeypointTable:
    """Checks the rows of a file and gathers them.

    COCO's visibilities 0, 1, 2 become the confidences 0, 1, 1; a detector's scores are cut to [0, 1].

    Raises:
        InputError: there are none, they differ in their number of points, or a value is not a finite number.
    """
    if not rows:
        raise InputError(
            f'{path}: no person with keypoints in it; check that the detector found somebody'
        )
    points, skeleton = _points(rows, path, skeleton)
    visibility = points[..., 2]
    low, high = visibility.min(), visibility.max()
    if source == 'annotated' and not np.isin(visibility, (0, 1, 2)).all() and (low < 0 or high > 1):
        raise InputError(
            f'{path}: the third number of a COCO keypoint must be a visibility 0, 1 or 2, or a confidence '
            f'in [0, 1]; found {low:g}..{high:g}'
        )
    points[..., 2] = visibility.clip(0, 1)
    return KeypointTable(
        tuple(row.frame for row in rows),
        tuple(row.person for row in rows),
        points,
        skeleton,
        source,
    )


def whole(value: Any, path: Path, what: str) -> Optional[int]:
    """A whole number or None; detectors also write 3.0 and [3].

    Raises:
        InputError: it is something else.
    """
    inner = value[0] if isinstance(value, list) and len(value) == 1 else value
    if inner is None or isinstance(inner, int):
        return inner
    if isinstance(inner, float) and inner.is_integer():
        return int(inner)
    raise InputError(f'{path}: {what} must be a whole number, not {value!r}')


def _points(rows: list[Row], path: Path, skeleton: Optional[str]) -> tuple[np.ndarray, str]:
    """(N, K, 3) float32 and the skeleton of the K points; every row must have the same, finite, K."""
    counts = [len(row.values) if isinstance(row.values, list) else 0 for row in rows]
    kept = None
    if skeleton is None:
        skeleton = SKELETON_OF_COUNT.get(counts[0] // 3)
        if counts[0] // 3 in COCO_FIRST:
            skeleton, kept = 'coco17', 17
        if skeleton is None:
            known = ', '.join(f'{n} ({name})' for n, name in SKELETON_OF_COUNT.items())
            raise InputError(
                f'{path}: {rows[0].label} has {counts[0] // 3} keypoints; known are {known}, and '
                f'{", ".join(map(str, COCO_FIRST))}, of which the first 17 are taken. Export one of '
                f'these, or say which list of hrtk.body_models.skeletons it is with `skeleton=`'
            )
    names = joint_names(skeleton)
    expected = counts[0] if kept else 3 * len(names)
    points = np.empty((len(rows), len(names), 3), np.float32)
    for target, row, length in zip(points, rows, counts):
        if length != expected:
            raise InputError(
                f'{path}: {row.label}: keypoints must be {expected} numbers (x, y, confidence for '
                f'{expected // 3} points of {skeleton}), there are {length}'
            )
        try:
            target[:] = np.asarray(row.values[: 3 * len(names)], dtype=np.float32).reshape(-1, 3)
        except (TypeError, ValueError) as error:
            raise InputError(f'{path}: {row.label}: keypoints must be numbers ({error})') from error
        if not np.isfinite(target).all():
            joint = names[int(np.argmin(np.isfinite(target).all(1)))]
            raise InputError(
                f'{path}: {row.label}: {joint} is not a finite number; write 0, 0, 0 for a point that '
                f'was not found'
            )
    return points, skeleton
