"""Nested dicts of arrays in npz files, as lifting projects distribute them, read without running anything in them."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from hrtk.body_models.safe_pickle import Forbidden, SafeUnpickler, refusal
from hrtk.errors import InputError

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_object(path: str | Path, key: str, remedy: str) -> dict:
    """One dict out of an npz that was saved with ``numpy.savez(file, key=dict)``.

    Args:
        path: the file.
        key: name of the dict.
        remedy: where such files come from, for messages.

    Raises:
        InputError: the file is missing, damaged, lacks the key, holds something else there, or asks for code that
            plain arrays do not need.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f'{path}: there is no such file; {remedy}')
    try:
        with zipfile.ZipFile(path) as archive:
            have = [name.removesuffix('.npy') for name in archive.namelist()]
            if key not in have:
                raise InputError(
                    f'{path}: lacks {key}; it has {", ".join(have) or "nothing"}. {remedy}'
                )
            with archive.open(f'{key}.npy') as file:
                shape, _, dtype = _HEADERS[np.lib.format.read_magic(file)](file)
                data = file.read()
    except (
        zipfile.BadZipFile,
        zlib.error,
        ValueError,
        OSError,
        EOFError,
        KeyError,
        NotImplementedError,
    ) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f'{path}: cannot be read as an npz at {key} ({error}); copy or download it again'
        ) from error
    if dtype.kind != 'O' or shape != ():
        raise InputError(
            f'{path}: {key} is an array of {dtype} {shape}, expected one pickled dict; {remedy}'
        )
    try:
        value = SafeUnpickler(io.BytesIO(data), encoding='latin1').load()
    except Forbidden as error:
        raise InputError(refusal(path, error)) from error
    except Exception as error:  # a damaged pickle can make its interpreter fail in any way
        raise InputError(
            f'{path}: {key} is truncated or damaged ({type(error).__name__}: {error}); copy or download '
            f'it again'
        ) from error
    value = value.item() if isinstance(value, np.ndarray) and value.shape == () else value
    if not isinstance(value, dict) or not value:
        raise InputError(
            f'{path}: {key} holds a {type(value).__name__}, expected a dict that is not empty; {remedy}'
        )
    return value


def poses(value: Any, shape: tuple[int, int], path: str | Path, key: str) -> np.ndarray:
    """A float32 copy of an array of poses.

    Args:
        value: what the file has.
        shape: joints and coordinates that are expected.
        path: the file, for messages.
        key: where in the file, for messages.

    Returns:
        (N, \\*shape).

    Raises:
        InputError: it is no array of numbers of this shape with one or more frames, or holds infinities.
    """
    if (
        not isinstance(value, np.ndarray)
        or value.dtype.kind not in 'fiu'
        or value.ndim != 3
        or value.shape[1:] != shape
        or not len(value)
    ):
        got = (
            f'{value.dtype} {value.shape}'
            if isinstance(value, np.ndarray)
            else type(value).__name__
        )
        raise InputError(
            f'{path}: {key} is {got}, expected numbers (frames, {shape[0]}, {shape[1]}); take the file as '
            f'it was distributed'
        )
    value = value.astype(np.float32)
    if not np.isfinite(value).all():
        raise InputError(
            f'{path}: {key} holds numbers that are not finite; copy or download it again'
        )
    return value
