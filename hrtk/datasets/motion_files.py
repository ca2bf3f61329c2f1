"""Motion files that a config names: those of :mod:`hrtk.datasets.motion`, within the limits of all readers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Optional

from hrtk.datasets.motion import ASSET, MotionClip, load_motion
from hrtk.errors import InputError
from hrtk.reading.arrays import read_arrays


def read_motion(split: Optional[str] = None, path: str | Path = ASSET) -> list[MotionClip]:
    """Reads a motion file, see :func:`hrtk.datasets.motion.load_motion`.

    Raises:
        InputError: the file is missing or damaged, or its arrays are not those of a motion file.
    """
    # The code of load_motion is part of the stream's fingerprint, so the limits are checked before it.
    if Path(path) != ASSET and os.path.exists(path):
        read_arrays(path)
    try:
        return load_motion(split, path)
    except InputError:
        raise
    except Exception as error:  # arrays of other types and shapes fail anywhere in their decoding
        raise InputError(
            f'{path}: not the arrays of a motion file ({type(error).__name__}: {error}); make it with '
            f'tools/fit_motion.py'
        ) from error
