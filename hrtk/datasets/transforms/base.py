"""The base class of transforms, and frames that are changed on access."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hrtk.errors import OptionError
from hrtk.structures import Frames, Sequence


class Transform:
    """A function from a :class:`~hrtk.structures.Sequence` to another; neither may be changed in place."""

    def __call__(self, sequence: Sequence) -> Sequence:
        """The transformed sequence."""
        raise NotImplementedError

    def fingerprint(self) -> dict[str, str]:
        """Hashes of everything that the result depends on besides the sequence and the transform's settings."""
        return {}


class MappedFrames:
    """Frames, or masks, that are changed on access.

    Args:
        frames: F lazy arrays.
        change: (array, t) -> array.
    """

    def __init__(self, frames: Frames, change: Callable[[np.ndarray, int], np.ndarray]) -> None:
        self.frames = frames
        self.change = change

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> np.ndarray:
        """Reads and changes one array."""
        position = range(len(self))[index]
        return self.change(self.frames[position], position)


def crop_side(sequence: Sequence, transform: str) -> int:
    """Side R, in px, of the frames of a sequence that was transformed by :class:`CropTo`.

    Args:
        sequence: the sequence.
        transform: name of the transform that needs crops, for the message.

    Raises:
        InputError: the frames are not crops.
    """
    boxes = sequence.boxes[sequence.boxes.isfinite().all(1)]
    side = 0
    if len(boxes):
        side = round(float(boxes[0, 2]))
    crop_box = boxes.new_tensor([(side - 1) / 2, (side - 1) / 2, side])
    if side == 0 or not (boxes == crop_box).all():
        raise OptionError(
            f"{transform}: the frames of {sequence.name!r} are not crops; put dict(type='CropTo', "
            f'resolution=...) with the resolution of the estimator before it'
        )
    return side
