"""joblib's dumps of dicts of arrays (VIBE's ``.pt`` databases), read without joblib and without running them.

joblib (0.10 and newer, ``joblib/numpy_pickle.py``) writes a pickle in which every array is a wrapper object that says
shape, order and dtype; the array's bytes follow the wrapper in the same file.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import math
import pickle
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from hrtk.body_models.safe_pickle import Forbidden, SafeUnpickler, refusal
from hrtk.errors import InputError

# Beginnings of compressed dumps; zlib's second byte depends on the level.
COMPRESSED = {
    b'\x1f\x8b': gzip.decompress,
    b'BZ': bz2.decompress,
    b'\xfd7': lzma.decompress,
    b'\x5d\x00': lzma.decompress,
    b'\x78': zlib.decompress,
}
CHUNK = 1 << 24


def load_joblib(path: str | Path) -> dict[str, Any]:
    """Reads a dict of arrays that ``joblib.dump`` wrote.

    Raises:
        InputError: there is no such file, it is damaged or of another kind, or it names a function or class that
            plain arrays do not need.
    """
    file = Path(path)
    try:
        with open(file, 'rb') as stream:
            value = _JoblibUnpickler(_plain(stream)).load()
    except OSError as error:
        raise InputError(
            f'{file}: cannot be read ({error.strerror or error}); check the path, or copy the file '
            f'again'
        ) from error
    except Forbidden as error:
        raise InputError(refusal(file, error)) from error
    except Exception as error:  # a damaged pickle can make its interpreter fail in any way
        raise InputError(
            f'{file}: not a joblib file, or a truncated or damaged one ({type(error).__name__}: {error}); '
            f'copy or download it again'
        ) from error
    if not isinstance(value, dict):
        raise InputError(f'{file}: holds a {type(value).__name__}, expected a dict of arrays')
    return value


class _Wrapper:
    """Stands for joblib's NumpyArrayWrapper."""

    def __setstate__(self, state: dict) -> None:
        self.state = state

    def read(self, stream: BinaryIO) -> np.ndarray:
        dtype, shape = self.state['dtype'], tuple(self.state['shape'])
        if dtype.hasobject:
            return _JoblibUnpickler(stream).load()
        if self.state.get('numpy_array_alignment_bytes') is not None:
            stream.read(stream.read(1)[0])  # one byte counts the padding that follows it
        data = bytearray()
        size = math.prod(shape) * dtype.itemsize
        while (
            len(data) < size
        ):  # in pieces: a damaged shape must not reserve memory that the file cannot fill
            piece = stream.read(min(CHUNK, size - len(data)))
            if not piece:
                raise EOFError(f'an array of shape {shape} is cut off')
            data += piece
        order = 'F' if self.state['order'] == 'F' else 'C'
        return np.frombuffer(data, dtype).reshape(shape, order=order)


class _JoblibUnpickler(SafeUnpickler):
    """The safe unpickler, with arrays whose bytes lie in the file behind their wrapper."""

    allowed = {**SafeUnpickler.allowed, ('joblib.numpy_pickle', 'NumpyArrayWrapper'): _Wrapper}
    states = (*SafeUnpickler.states, _Wrapper)

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream, encoding='latin1')
        self.stream = stream

    def load_build(self) -> None:
        super().load_build()
        if isinstance(self.stack[-1], _Wrapper):
            self.stack[-1] = self.stack[-1].read(self.stream)

    dispatch = {**SafeUnpickler.dispatch, pickle.BUILD[0]: load_build}


def _plain(stream: BinaryIO) -> BinaryIO:
    """The stream itself, or what it holds compressed."""
    start = stream.read(2)
    stream.seek(0)
    for magic, decompress in COMPRESSED.items():
        if start.startswith(magic):
            return BytesIO(decompress(stream.read()))
    return stream
