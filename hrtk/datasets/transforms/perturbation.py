"""One adversarial pattern on every crop."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Optional

import numpy as np

from hrtk.datasets.arrays import read_npz
from hrtk.datasets.transforms.base import MappedFrames, Transform, crop_side
from hrtk.errors import InputError
from hrtk.registry import TRANSFORMS
from hrtk.structures import Sequence


@TRANSFORMS.register_module()
class AddPerturbation(Transform):
    """The UAP domain: a universal adversarial perturbation on every crop; needs :class:`CropTo` before it.

    Sums are rounded to whole grey levels and cut to [0, 255].

    Args:
        file: an npz of ``tools/craft_uap.py``: ``perturbation`` (R, R, 3) float32, grey levels.
        eps: its largest absolute value, grey levels; a file of another size is scaled. None takes it as it is.

    Raises:
        InputError: the file is missing or holds something else, or ``eps`` is not positive.
    """

    def __init__(self, file: str | Path, eps: Optional[float] = None) -> None:
        self.file, self.pattern = Path(file), read_perturbation(file)
        if eps is not None:
            if not eps > 0:
                raise InputError(f'AddPerturbation: eps is in grey levels and positive, not {eps}')
            self.pattern = self.pattern * np.float32(eps / max(np.abs(self.pattern).max(), 1e-9))

    def __call__(self, sequence: Sequence) -> Sequence:
        """The perturbed sequence.

        Raises:
            InputError: its frames are not crops of the pattern's side.
        """
        size = crop_side(sequence, 'AddPerturbation')
        if size != len(self.pattern):
            raise InputError(
                f'{self.file}: the perturbation is {len(self.pattern)} px wide, the crops of '
                f'{sequence.name!r} are {size}; craft one for this resolution with tools/craft_uap.py'
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
    remedy = 'craft one with tools/craft_uap.py'
    pattern = read_npz(file, ('perturbation',), ('perturbation',), remedy)['perturbation']
    square = pattern.ndim == 3 and pattern.shape == (len(pattern), len(pattern), 3)
    if not square or pattern.dtype.kind not in 'fiu' or not np.isfinite(pattern).all():
        raise InputError(
            f'{file}: `perturbation` is {pattern.shape} {pattern.dtype}, expected finite numbers (R, R, '
            f'3); {remedy}'
        )
    return pattern.astype(np.float32)
