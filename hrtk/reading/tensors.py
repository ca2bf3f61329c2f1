"""Files of ``torch.save``: tensors and plain values only, with their checksums compared.

torch does not compare the checksums of the zip in which it stores tensors, so that a damaged weight would be used.
"""

from __future__ import annotations

import contextlib
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch
from torch import Tensor

from hrtk.errors import InputError
from hrtk.reading.regular import CHECK, most_expanded, regular_file

CODE = 1 << 26  # bytes of the pickle beside the tensors
CHUNK = 1 << 20
DEEPEST = 60
AGAIN = 'download or copy it again'


def read_tensors(
    path: str | Path, remedy: str = CHECK, foreign: Optional[Callable[[Path], Any]] = None
) -> Any:
    """Reads a file of ``torch.save`` without running code from it.

    Numpy scalars, which VIBE's and TCMR's files hold, are allowed; everything else beyond tensors and plain
    containers is refused.

    Args:
        path: the file.
        remedy: end of the message for a missing file.
        foreign: reads a file that names other classes, without executing them; None refuses it.

    Returns:
        The content, its tensors on the CPU.

    Raises:
        InputError: the file is missing, truncated or damaged (a checksum differs), claims more than its size allows,
            or holds something that would have to be executed.
    """
    path = regular_file(path, remedy, 'checkpoint')
    try:
        _check_zip(path)
        content = _load(path, foreign)
        _check_tensors(content, most_expanded(path.stat().st_size))
    except pickle.UnpicklingError as error:
        raise InputError(
            f'{path}: holds something other than tensors, which hrtk does not execute '
            f'({_first_line(error)}). If you trust its author, load it with plain torch and save '
            f'its state dict alone.'
        ) from error
    except Exception as error:  # a damaged file raises errors of zipfile, struct and the unpickler
        raise InputError(
            f'{path}: not a readable checkpoint, perhaps truncated ({_first_line(error)}); {AGAIN}'
        ) from error
    return content


def _load(path: Path, foreign: Optional[Callable[[Path], Any]]) -> Any:
    try:
        with _numpy_scalars_allowed():
            return torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError:
        if foreign is None:
            raise
        return foreign(path)


def _check_zip(path: Path) -> None:
    """Compares the checksums of a zip; files of torch before 1.6 are none, and have no checksums.

    Raises:
        ValueError: the file is damaged.
    """
    if not zipfile.is_zipfile(path):
        with open(path, 'rb') as file:
            if file.read(2) == b'PK':
                raise ValueError('the end of the file is missing')
        return
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
                raise ValueError(f'{member.filename} is compressed or encrypted')
            if member.filename.endswith('/data.pkl') and member.file_size > CODE:
                raise ValueError(f'{member.filename} has {member.file_size} bytes')
            if member.CRC == 0:  # torch can be told to leave them out
                continue
            with archive.open(member) as file:
                while file.read(CHUNK):
                    pass


def _check_tensors(content: Any, largest: int) -> None:
    """Raises ValueError if tensors claim more bytes than ``largest``, or are not plain ones on the CPU."""
    claimed = 0
    for value in _values(content, 0):
        if isinstance(value, Tensor):
            if value.layout != torch.strided or value.device.type != 'cpu' or value.is_quantized:
                raise ValueError(f'a tensor of {value.layout} on the device {value.device}')
            claimed += value.numel() * value.element_size()
    if claimed > largest:
        raise ValueError(f'its tensors claim {claimed} bytes')


def _values(content: Any, depth: int) -> Iterator[Any]:
    """All values in dicts, lists and tuples."""
    if depth > DEEPEST:
        raise ValueError('nested too deeply')
    if isinstance(content, dict):
        for value in content.values():
            yield from _values(value, depth + 1)
    elif isinstance(content, (list, tuple, set)):
        for value in content:
            yield from _values(value, depth + 1)
    else:
        yield content


def _numpy_scalars_allowed() -> contextlib.AbstractContextManager:
    if not hasattr(torch.serialization, 'safe_globals'):
        return contextlib.nullcontext()
    scalar: Any = np.dtype('f4').type(0).__reduce__()[0]
    dtypes = [type(np.dtype(code)) for code in ('f4', 'f8', 'i8')]
    # Files written before numpy 2 name the same function by another module.
    old_scalar: Any = (scalar, 'numpy.core.multiarray.scalar')
    return torch.serialization.safe_globals([old_scalar, scalar, np.dtype, *dtypes])


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    if not lines:
        return type(error).__name__
    return lines[0]
