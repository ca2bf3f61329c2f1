"""One adversarial pattern on every crop."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Optional

import numpy as np

from hrtk.datasets.arrays import read_npz
from hrtk.datasets.transforms.base import MappedFrames, Transform, crop_side
from hrtk.errors import InputError, OptionError
from hrtk.registry import TRANSFORMS
from hrtk.structures import Sequence

REMEDY = 'craft one with tools/craft_uap.py'


@TRANSFORMS.register_module()
class AddPerturbation(Transform):
    """The UAP domain: a universal adversarial perturbation on every crop; needs :class:`CropTo` before it.

    Sums are rounded to whole grey levels and clipped to [0, 255].

    Args:
        file: an npz of ``tools/craft_uap.py``: ``perturbation`` (R, R, 3) float32, grey levels.
        eps: largest absolute value of the perturbation, grey levels, to which the file's is scaled. None keeps the
            file's.

    Raises:
        InputError: the file is missing or holds something else, or ``eps`` is not positive.
    """

    def __init__(self, file: str | Path, eps: Optional[float] = None) -> None:
        self.file = Path(file)
        self.pattern = read_perturbation(file)
        if eps is not None:
            if not eps > 0:
                raise OptionError(f'AddPerturbation: eps is in grey levels and positive, not {eps}')
            largest = max(np.abs(self.pattern).max(), 1e-9)
            self.pattern = self.pattern * np.float32(eps / largest)

    def __call__(self, sequence: Sequence) -> Sequence:
        """The perturbed sequence.

        Raises:
            InputError: its frames are not crops of the pattern's side.
        """
        side = crop_side(sequence, 'AddPerturbation')
        if side != len(self.pattern):
            raise InputError(
                f'{self.file}: the perturbation is {len(self.pattern)} px wide, the crops of '
                f'{sequence.name!r} are {side}; craft one for this resolution with tools/craft_uap.py'
            )

        def add(image: np.ndarray, t: int) -> np.ndarray:
            return np.rint(image + self.pattern).clip(0, 255).astype(np.uint8)

        return dataclasses.replace(sequence, frames=MappedFrames(sequence.frames, add))

    def fingerprint(self) -> dict[str, str]:
        """A hash of the pattern."""
        return {'perturbation': hashlib.sha256(self.pattern.tobytes()).hexdigest()}


def read_perturbation(file: str | Path) -> np.ndarray:
    """The (R, R, 3) float32 pattern of an npz, grey levels.

    Raises:
        InputError: the file is missing, damaged, or holds no such pattern.
    """
    pattern = read_npz(file, ('perturbation',), ('perturbation',), REMEDY)['perturbation']
    square = pattern.ndim == 3 and pattern.shape == (len(pattern), len(pattern), 3)
    if not square or pattern.dtype.kind not in 'fiu' or not np.isfinite(pattern).all():
        raise InputError(
            f'{file}: `perturbation` is {pattern.shape} {pattern.dtype}, expected finite numbers (R, R, '
            f'3); {REMEDY}'
        )
    return pattern.astype(np.float32)
