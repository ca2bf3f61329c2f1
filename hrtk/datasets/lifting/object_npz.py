"""Nested dicts of arrays in npz files, as lifting projects distribute them, read without executing code in them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from hrtk.body_models.safe_pickle import Forbidden, SafeUnpickler, refusal
from hrtk.errors import InputError
from hrtk.reading.arrays import Archive


def read_object(path: str | Path, key: str, remedy: str) -> dict:
    """Reads one dict of an npz that was saved with ``numpy.savez(file, key=dict)``.

    Args:
        path: the file.
        key: name of the dict.
        remedy: end of messages, how to get such a file.

    Raises:
        InputError: the file is missing or damaged, lacks the key, holds something else there, or names code that
            plain arrays do not need.
    """
    path = Path(path)
    data = _read_pickle(path, key, remedy)
    try:
        value = SafeUnpickler(io.BytesIO(data), encoding='latin1').load()
    except Forbidden as error:
        raise InputError(refusal(path, error)) from error
    except Exception as error:  # a damaged pickle can make its interpreter fail in any way
        raise InputError(
            f'{path}: {key} is truncated or damaged ({type(error).__name__}: {error}); copy or download '
            f'it again'
        ) from error
    if isinstance(value, np.ndarray) and value.shape == ():
        value = value.item()
    if not isinstance(value, dict) or not value:
        raise InputError(
            f'{path}: {key} holds a {type(value).__name__}, expected a dict that is not empty; {remedy}'
        )
    return value


def _read_pickle(path: Path, key: str, remedy: str) -> bytes:
    """The bytes of a pickled scalar array of an npz."""
    with Archive(path, remedy) as archive:
        if key not in archive.names:
            available = ', '.join(archive.names) or 'nothing'
            raise InputError(f'{path}: lacks {key}; it has {available}. {remedy}')
        header, data = archive.pickled(key)
    dtype, shape = header.dtype, header.shape
    if dtype.kind != 'O' or shape != ():
        raise InputError(
            f'{path}: {key} is an array of {dtype} {shape}, expected one pickled dict; {remedy}'
        )
    return data


def pose_array(value: Any, shape: tuple[int, int], path: str | Path, key: str) -> np.ndarray:
    """Checks an array of poses and returns a float32 copy.

    Args:
        value: content of the file.
        shape: expected numbers of joints and coordinates.
        path: the file, for messages.
        key: position in the file, for messages.

    Returns:
        (N, \\*shape).

    Raises:
        InputError: the value is no array of numbers of this shape with one or more frames, or holds numbers that are
            not finite.
    """
    if not _is_pose_array(value, shape):
        actual = type(value).__name__
        if isinstance(value, np.ndarray):
            actual = f'{value.dtype} {value.shape}'
        raise InputError(
            f'{path}: {key} is {actual}, expected numbers (frames, {shape[0]}, {shape[1]}); take the file '
            f'as it was distributed'
        )
    poses = value.astype(np.float32)
    if not np.isfinite(poses).all():
        raise InputError(
            f'{path}: {key} holds numbers that are not finite; copy or download it again'
        )
    return poses


def _is_pose_array(value: Any, shape: tuple[int, int]) -> bool:
    if not isinstance(value, np.ndarray) or value.dtype.kind not in 'fiu':
        return False
    return value.ndim == 3 and value.shape[1:] == shape and len(value) > 0
