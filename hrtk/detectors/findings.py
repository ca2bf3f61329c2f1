"""What a detector finds in a frame, and how it is stored in a file of keypoints.

Beside keypoints a detector may give 3D landmarks and identities. In the entry of a frame in the json they are::

    persons     [P] identities
    landmarks   {xyz: P x 33 x 3, world: P x 33 x 3, visibility: P x 33, flag: P, region: P x 4,
                 mirrored: P x (12 x 3 or null)}

with the meaning that :class:`FoundLandmarks` gives them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Optional

import numpy as np
import torch

from hrtk.structures import Landmarks

SKELETON = 'blazepose33'
COUNT = 33
# Left and right shoulders, elbows, wrists, hips, knees and ankles: what a mirrored run is compared by.
MIRRORED = (*range(11, 17), *range(23, 29))
# Decimal places in a file: px, m, probabilities, px and radians of a region.
PLACES = dict(xyz=1, world=4, visibility=3, flag=4, region=4, mirrored=1)
SHAPES: dict[str, tuple[int, ...]] = dict(
    xyz=(COUNT, 3),
    world=(COUNT, 3),
    visibility=(COUNT,),
    flag=(),
    region=(4,),
    mirrored=(len(MIRRORED), 3),
)


@dataclasses.dataclass(frozen=True)
class FoundLandmarks:
    """BlazePose's landmarks of P people, float32.

    Attributes:
        xyz: (P, 33, 3) px; z is the depth relative to the middle of the hips, negative towards the camera.
        world: (P, 33, 3) metres about the middle of the hips, x right, y down, z away.
        visibility: (P, 33) in [0, 1].
        flag: (P,) probability of a person.
        region: (P, 4) ``[cx, cy, side, angle]`` that the network looked at, px and radians.
        mirrored: (P, 12, 3) x, y in px and visibility of the landmarks :data:`MIRRORED` by the mirrored crop, mirrored
            back; NaN where there was no such run.
    """

    xyz: np.ndarray
    world: np.ndarray
    visibility: np.ndarray
    flag: np.ndarray
    region: np.ndarray
    mirrored: np.ndarray

    def __len__(self) -> int:
        return len(self.flag)

    def to_json(self) -> dict[str, Any]:
        """Returns rounded numbers; None for people without a mirrored run."""
        entry: dict[str, Any] = {}
        for name, places in PLACES.items():
            entry[name] = getattr(self, name).astype(np.float64).round(places).tolist()
        missing = np.isnan(self.mirrored).any((1, 2))
        entry['mirrored'] = [
            None if absent else values for values, absent in zip(entry['mirrored'], missing)
        ]
        return entry

    @staticmethod
    def from_json(entry: Any, count: int) -> FoundLandmarks:
        """Reads what :meth:`to_json` returned.

        Args:
            entry: of P = ``count`` people.
            count: expected number of people.

        Raises:
            ValueError: a field is missing or has another shape.
        """
        if not isinstance(entry, dict):
            raise ValueError(f'landmarks must be an object with {", ".join(PLACES)}')
        fields = {}
        for name, shape in SHAPES.items():
            values = entry.get(name)
            if name == 'mirrored':
                values = _with_nan(values, count)
            try:
                array = np.asarray(values, np.float32)
            except (TypeError, ValueError) as error:
                raise ValueError(f'landmarks: {name} must be numbers ({error})') from error
            if array.shape != (count, *shape) and not (count == 0 and array.size == 0):
                raise ValueError(
                    f'landmarks: {name} are {array.shape}; expected {(count, *shape)} of {count} people'
                )
            if name != 'mirrored' and not np.isfinite(array).all():
                raise ValueError(f'landmarks: {name} must be finite')
            fields[name] = array.reshape(count, *shape)
        return FoundLandmarks(**fields)

    @staticmethod
    def join(parts: Sequence[Optional[FoundLandmarks]]) -> FoundLandmarks:
        """Rows of several frames or people one after the other; NaN in all fields for a row of None."""
        fields = {}
        for name, shape in SHAPES.items():
            rows = []
            for part in parts:
                if part is None:
                    rows.append(np.full((1, *shape), np.nan, np.float32))
                else:
                    rows.append(getattr(part, name))
            fields[name] = np.concatenate([np.empty((0, *shape), np.float32), *rows])
        return FoundLandmarks(**fields)

    def track(self, rows: np.ndarray) -> Optional[Landmarks]:
        """Returns the landmarks of one person over time.

        Args:
            rows: (F,) row of every frame, -1 in frames without the person.

        Returns:
            Zeros in frames without the person or without landmarks; None if no frame has landmarks.
        """
        valid = (rows >= 0) & np.isfinite(self.flag[rows])
        if not valid.any():
            return None
        fields = {}
        for name in ('xyz', 'world', 'visibility'):
            values = getattr(self, name)[rows]
            values[~valid] = 0
            fields[name] = torch.from_numpy(values)
        return Landmarks(**fields, valid=torch.from_numpy(valid))

    def row(self, index: int) -> FoundLandmarks:
        """Returns the landmarks of one person, P = 1."""
        values = {name: getattr(self, name)[index : index + 1] for name in SHAPES}
        return FoundLandmarks(**values)


@dataclasses.dataclass(frozen=True)
class Findings:
    """What is found in one frame.

    Attributes:
        keypoints: (P, K, 3) float32 x and y in px, confidence.
        persons: P identities; None without tracking.
        landmarks: of the same people, or None.
    """

    keypoints: np.ndarray
    persons: Optional[tuple[int, ...]] = None
    landmarks: Optional[FoundLandmarks] = None


def _with_nan(values: Any, count: int) -> Any:
    if values is None:
        values = [None] * count
    if not isinstance(values, list):
        return values
    empty = np.full(SHAPES['mirrored'], np.nan).tolist()
    return [empty if value is None else value for value in values]
