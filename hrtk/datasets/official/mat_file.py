"""Files of MATLAB before version 7.3, with the message of a missing or damaged one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import scipy.io

from hrtk.errors import InputError
from hrtk.reading import regular_file


def read_mat(path: str | Path, remedy: str, **options: Any) -> dict[str, Any]:
    """Reads the variables of a mat file.

    Args:
        path: the file.
        remedy: end of the messages: where the file comes from.
        options: of :func:`scipy.io.loadmat`, e.g. ``variable_names``.

    Raises:
        InputError: the file is missing or damaged.
    """
    path = regular_file(path, remedy)
    try:
        return scipy.io.loadmat(path, **options)
    except Exception as error:  # a damaged file raises errors of zlib, struct and scipy
        raise InputError(f'{path}: cannot be read as a mat file ({error}); {remedy}') from error
