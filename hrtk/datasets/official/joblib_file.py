"""joblib's dumps of dicts of arrays (VIBE's ``.pt`` databases), read without joblib and without executing code in them.

joblib (0.10 and newer, ``joblib/numpy_pickle.py``) writes a pickle in which every array is a wrapper object with shape,
order and dtype; the bytes of the array follow the wrapper in the same file.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import math
import pickle
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np

from hrtk.body_models.safe_pickle import Forbidden, SafeUnpickler, refusal
from hrtk.errors import InputError
from hrtk.reading import regular_file
from hrtk.reading.regular import most_expanded

# First bytes of compressed dumps; zlib's second byte depends on the level.
DECOMPRESSORS: dict[bytes, Callable[[BinaryIO, int], bytes]] = {
    b'\x1f\x8b': lambda stream, most: gzip.GzipFile(fileobj=stream).read(most),
    b'BZ': lambda stream, most: bz2.BZ2File(stream).read(most),
    b'\xfd7': lambda stream, most: lzma.LZMAFile(stream).read(most),
    b'\x5d\x00': lambda stream, most: lzma.LZMAFile(stream).read(most),
    b'\x78': lambda stream, most: zlib.decompressobj().decompress(stream.read(), most),
}
CHUNK = 1 << 24  # bytes


def load_joblib(path: str | Path) -> dict[str, Any]:
    """Reads a dict of arrays that ``joblib.dump`` wrote.

    Raises:
        InputError: the file is missing, damaged or of another kind, or names a function or class that plain arrays do
            not need.
    """
    path = Path(path)
    size = regular_file(path).stat().st_size
    try:
        with open(path, 'rb') as file:
            value = _JoblibUnpickler(_decompressed(file, most_expanded(size))).load()
    except OSError as error:
        raise InputError(
            f'{path}: cannot be read ({error.strerror or error}); check the path, or copy the file '
            f'again'
        ) from error
    except Forbidden as error:
        raise InputError(refusal(path, error)) from error
    except Exception as error:  # a damaged pickle can make its interpreter fail in any way
        raise InputError(
            f'{path}: not a joblib file, or a truncated or damaged one ({type(error).__name__}: {error}); '
            f'copy or download it again'
        ) from error
    if not isinstance(value, dict):
        raise InputError(f'{path}: holds a {type(value).__name__}, expected a dict of arrays')
    return value


class _ArrayWrapper:
    """Stands for joblib's NumpyArrayWrapper."""


class _JoblibUnpickler(SafeUnpickler):
    """The safe unpickler, for files in which the bytes of an array follow its wrapper."""

    allowed = {**SafeUnpickler.allowed, ('joblib.numpy_pickle', 'NumpyArrayWrapper'): _ArrayWrapper}
    stack: list[Any]

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream, encoding='latin1')
        self.stream = stream

    def load_build(self) -> None:
        if isinstance(self.stack[-2], _ArrayWrapper):
            state = self.stack.pop()
            self.stack[-1] = _read_array(state, self.stream)
        else:
            super().load_build()

    dispatch: ClassVar[dict[int, Any]] = {**SafeUnpickler.dispatch, pickle.BUILD[0]: load_build}


def _read_array(state: dict[str, Any], stream: BinaryIO) -> np.ndarray:
    """Reads the array that follows a wrapper.

    Args:
        state: attributes of the wrapper.
        stream: the file, just behind the wrapper.
    """
    dtype = state['dtype']
    shape = tuple(state['shape'])
    if dtype.hasobject:
        return _JoblibUnpickler(stream).load()
    if state.get('numpy_array_alignment_bytes') is not None:
        padding = stream.read(1)[0]
        stream.read(padding)
    data = bytearray()
    size = math.prod(shape) * dtype.itemsize
    # In chunks: a damaged shape must not reserve memory that the file cannot fill.
    while len(data) < size:
        chunk = stream.read(min(CHUNK, size - len(data)))
        if not chunk:
            raise EOFError(f'an array of shape {shape} is cut off')
        data += chunk
    array = np.frombuffer(data, dtype)
    if state['order'] == 'F':
        return array.reshape(shape, order='F')
    return array.reshape(shape)


def _decompressed(stream: BinaryIO, most: int) -> BinaryIO:
    """The stream itself, or its decompressed content.

    Raises:
        ValueError: the content has more than ``most`` bytes.
    """
    start = stream.read(2)
    stream.seek(0)
    for magic, decompress in DECOMPRESSORS.items():
        if start.startswith(magic):
            data = decompress(stream, most + 1)
            if len(data) > most:
                raise ValueError(f'it expands to more than {most} bytes')
            return BytesIO(data)
    return stream
