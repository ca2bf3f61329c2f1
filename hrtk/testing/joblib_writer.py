"""Writes a dict of arrays as ``joblib.dump`` does, without joblib."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

ALIGNMENT = 16
PROTOCOL = (
    3  # as joblib 0.13 under Python 3.7; without frames, so that bytes can follow a pickled object
)

# The pickler in Python, whose methods for single types can be replaced; typeshed does not declare them.
_PythonPickler: Any = pickle._Pickler


class _Wrapper:
    """Pickled under the name of joblib's NumpyArrayWrapper."""


class _Pickler(_PythonPickler):
    """Pickles an array as a wrapper, followed by padding and the array's bytes."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream, protocol=PROTOCOL)
        self.stream = stream
        self.wrappers: list[_Wrapper] = []  # alive until the end: the memo identifies objects by id

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if not isinstance(obj, np.ndarray) or obj.dtype.hasobject:
            super().save(obj, save_persistent_id)
            return
        wrapper = _Wrapper()
        wrapper.__dict__.update(
            subclass=np.ndarray,
            shape=obj.shape,
            order='C',
            dtype=obj.dtype,
            allow_mmap=True,
            numpy_array_alignment_bytes=ALIGNMENT,
        )
        self.wrappers.append(wrapper)
        super().save(wrapper)
        padding = ALIGNMENT - (self.stream.tell() + 1) % ALIGNMENT
        self.stream.write(bytes([padding]) + b'\xff' * padding)
        self.stream.write(np.ascontiguousarray(obj).tobytes())

    def save_type(self, obj: type) -> None:
        if obj is not _Wrapper:
            super().save_type(obj)
            return
        self.write(pickle.GLOBAL + b'joblib.numpy_pickle\nNumpyArrayWrapper\n')
        self.memoize(obj)

    dispatch = {**_PythonPickler.dispatch, type: save_type}


def dump_joblib(content: dict[str, Any], path: str | Path) -> None:
    """Writes a file that ``joblib.load`` (and :func:`hrtk.datasets.official.joblib_file.load_joblib`) reads back.

    Args:
        content: arrays of plain dtypes, numbers and strings.
        path: the file.
    """
    with open(path, 'wb') as stream:
        _Pickler(stream).dump(content)
