"""Files of plain arrays, read with messages that help."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hrtk.errors import InputError
from hrtk.files import write_atomically


def read_npz(
    path: str | Path, keys: Iterable[str], required: Iterable[str], remedy: str
) -> dict[str, np.ndarray]:
    """Reads arrays of an npz; without unpickling anything.

    Args:
        path: the file.
        keys: arrays to read where they are there; others are left alone.
        required: arrays that must be there.
        remedy: where such files come from, for messages.

    Raises:
        InputError: the file is missing, broken, holds Python objects, or lacks a required array.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f'{path}: there is no such file; {remedy}')
    key = 'the list of arrays'
    try:
        with np.load(path, allow_pickle=False) as file:
            have, arrays = file.files, {}
            for key in keys:
                if key in have:
                    arrays[key] = file[key]
    except (
        ValueError,
        OSError,
        EOFError,
        KeyError,
        AttributeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        if 'allow_pickle' in str(error):
            raise InputError(
                f'{path}: {key} holds Python objects, which are not read; save it as a plain array of '
                f'numbers or strings'
            ) from error
        raise InputError(
            f'{path}: cannot be read as an npz at {key} ({error}); copy or download it again'
        ) from error
    missing = [key for key in required if key not in arrays]
    if missing:
        raise InputError(f'{path}: lacks {", ".join(missing)}; it has {", ".join(have)}. {remedy}')
    return arrays


def float_tensor(array: np.ndarray) -> Tensor:
    """A float32 tensor of any array of numbers."""
    return torch.as_tensor(np.ascontiguousarray(array, dtype=np.float32))


def read_or_make(path: Path, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Reads tensors from an npz of the cache; where it is absent or damaged, makes and keeps them."""
    try:
        with np.load(path, allow_pickle=False) as data:
            return {name: torch.from_numpy(array) for name, array in data.items()}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        pass
    made = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {name: value.numpy() for name, value in made.items()}
    write_atomically(path, lambda file: np.savez(file, **arrays))
    return made
