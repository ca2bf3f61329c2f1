"""Reading and writing of npz files of plain arrays."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from hrtk.errors import InputError
from hrtk.files import write_atomically
from hrtk.reading.arrays import Archive, read_arrays

_log = logging.getLogger(__name__)


def read_npz(
    path: str | Path, keys: Iterable[str], required: Iterable[str], remedy: str
) -> dict[str, np.ndarray]:
    """Reads arrays of an npz file, without unpickling.

    Args:
        path: the file.
        keys: arrays to read if the file has them; all others are ignored.
        required: arrays that must exist.
        remedy: end of messages, how to get such a file.

    Raises:
        InputError: the file is missing or broken, holds Python objects, or lacks a required array.
    """
    arrays = {}
    with Archive(path, remedy) as archive:
        available = archive.names
        for key in keys:
            if key in available:
                arrays[key] = archive.array(key)
    missing = [key for key in required if key not in arrays]
    if missing:
        raise InputError(
            f'{path}: lacks {", ".join(missing)}; it has {", ".join(available)}. {remedy}'
        )
    return arrays


def save_npz(
    file: str | Path | BinaryIO | io.BufferedIOBase, arrays: Mapping[str, np.ndarray]
) -> None:
    """Writes named arrays to an uncompressed npz file."""
    np.savez(file, **arrays)  # type: ignore[arg-type]  # the stub takes every name for `allow_pickle`


def float_tensor(array: np.ndarray) -> Tensor:
    """Any array of numbers as a float32 tensor."""
    return torch.as_tensor(np.ascontiguousarray(array, dtype=np.float32))


def cached_arrays(
    path: Path,
    compute: Callable[[], Mapping[str, np.ndarray]],
    fits: Callable[[Mapping[str, np.ndarray]], bool] = lambda arrays: True,
) -> Mapping[str, np.ndarray]:
    """Reads the arrays of a cached npz file; computes and stores them if it is absent or damaged.

    A folder that cannot be written costs time, not the run: the arrays are then computed again every time.

    Args:
        path: the file.
        compute: returns the arrays.
        fits: whether arrays that were read have the names and shapes of such a file.
    """
    try:
        stored = read_arrays(path)
        if fits(stored):
            return stored
    except InputError:
        pass
    arrays = compute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda file: save_npz(file, arrays))
    except OSError as error:
        _log.warning('%s: cannot be cached (%s)', path, error)
    return arrays


def cached_tensors(path: Path, compute: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """:func:`cached_arrays` for CPU tensors."""
    arrays = cached_arrays(
        path, lambda: {name: tensor.numpy() for name, tensor in compute().items()}
    )
    return {name: torch.from_numpy(array) for name, array in arrays.items()}
