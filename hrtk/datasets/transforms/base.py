"""What every transform is: a function from a sequence to a sequence whose frames are changed when they are read."""

from __future__ import annotations

from typing import Callable

import numpy as np

from hrtk.errors import InputError
from hrtk.structures import Frames, Sequence


class Transform:
    """Called with a :class:`~hrtk.structures.Sequence`, returns another; neither may be changed in place."""

    def __call__(self, sequence: Sequence) -> Sequence:
        """The transformed sequence."""
        raise NotImplementedError

    def fingerprint(self) -> dict[str, str]:
        """Hashes of what the result depends on besides the sequence and the transform's own settings."""
        return {}


class MappedFrames:
    """Frames, or masks, that are changed on reading.

    Args:
        frames: F lazy arrays.
        change: (array, t) -> array.
    """

    def __init__(self, frames: Frames, change: Callable[[np.ndarray, int], np.ndarray]) -> None:
        self.frames, self.change = frames, change

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> np.ndarray:
        """Reads and changes one."""
        position = range(len(self))[index]
        return self.change(self.frames[position], position)


def crop_side(sequence: Sequence, who: str) -> int:
    """R of a sequence whose frames are the network's crops already, see :class:`CropTo`.

    Raises:
        InputError: they are not; ``who`` needs them to be.
    """
    boxes = sequence.boxes[sequence.boxes.isfinite().all(1)]
    side = round(float(boxes[0, 2])) if len(boxes) else 0
    if not side or not (boxes == boxes.new_tensor([(side - 1) / 2, (side - 1) / 2, side])).all():
        raise InputError(
            f"{who}: the frames of {sequence.name!r} are not crops; put dict(type='CropTo', "
            f'resolution=...) with the resolution of the estimator before it'
        )
    return side
