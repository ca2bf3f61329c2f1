"""Pickles as Python 2 wrote them, with objects of chumpy and scipy, without any of the three.

The official files of SMPL, SMPLify and 3DPW are such pickles: protocol 2, byte strings instead of text, objects of
chumpy around some arrays, and ``scipy.sparse`` matrices for the regressors.
"""

from __future__ import annotations

import dataclasses
import pickle
import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

PROTOCOL = 2
LONGEST_SHORT = 255  # bytes of a SHORT_BINSTRING

# The pickler in Python, whose methods for single types can be replaced; typeshed does not declare them.
_PythonPickler: Any = pickle._Pickler
_RECONSTRUCT = np.empty(0).__reduce__()[0]
_SCALAR = np.float64(0).__reduce__()[0]
# Where Python 2 and the numpy of its time had what is pickled by name.
_NAMES = {
    id(np.ndarray): 'numpy ndarray',
    id(np.dtype): 'numpy dtype',
    id(_RECONSTRUCT): 'numpy.core.multiarray _reconstruct',
    id(_SCALAR): 'numpy.core.multiarray scalar',
    id(set): '__builtin__ set',
}


@dataclasses.dataclass(frozen=True)
class Chumpy:
    """An array that is written as a ``chumpy.ch.Ch``."""

    array: np.ndarray


@dataclasses.dataclass(frozen=True)
class ChumpySelect:
    """A part of an array, which is written as a ``chumpy.reordering.Select`` of it.

    Attributes:
        array: the whole.
        index: (N,) positions in the flat array.
        shape: of the part, N numbers.
    """

    array: np.ndarray
    index: np.ndarray
    shape: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Sparse:
    """A matrix that is written as a ``scipy.sparse.csc.csc_matrix``."""

    array: np.ndarray


def dump_python2(content: Any, path: str | Path) -> None:
    """Writes a pickle of Python 2.

    Args:
        content: dicts, lists, tuples, sets, strings, numbers, arrays of plain dtypes, and the classes of this module.
        path: the file.
    """
    stream = BytesIO()
    _Python2Pickler(stream).dump(content)
    Path(path).write_bytes(stream.getvalue())


class _Python2Pickler(_PythonPickler):
    def __init__(self, stream: BytesIO) -> None:
        super().__init__(stream, protocol=PROTOCOL)
        self.kept: list[Any] = []  # alive until the end: the memo identifies objects by id

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if isinstance(obj, Chumpy):
            self._save_object('chumpy.ch Ch', _chumpy_state(['x'], {'x': obj.array}))
        elif isinstance(obj, ChumpySelect):
            fields = {
                'a': Chumpy(obj.array),
                'idxs': obj.index.astype(np.int64),
                'preferred_shape': obj.shape,
            }
            state = _chumpy_state(['idxs', 'preferred_shape'], fields)
            self._save_object('chumpy.reordering Select', state)
        elif isinstance(obj, Sparse):
            self._save_object('scipy.sparse.csc csc_matrix', _csc_state(obj.array))
        elif isinstance(obj, (str, bytes)):
            self._save_byte_string(obj)
        elif id(obj) in _NAMES:
            module, name = _NAMES[id(obj)].split()
            self.write(pickle.GLOBAL + f'{module}\n{name}\n'.encode())
        elif isinstance(obj, set):
            self._save_set(obj)
        else:
            super().save(obj, save_persistent_id)

    def _save_object(self, name: str, state: dict[str, Any]) -> None:
        """An object without arguments, with a state."""
        module, cls = name.split()
        self.write(pickle.GLOBAL + f'{module}\n{cls}\n'.encode())
        self.write(pickle.EMPTY_TUPLE + pickle.NEWOBJ)
        self.kept.append(state)
        super().save(state)
        self.write(pickle.BUILD)

    def _save_byte_string(self, value: str | bytes) -> None:
        """A ``str`` of Python 2, which text and the bytes of arrays both are."""
        data = value if isinstance(value, bytes) else value.encode('latin1')
        if len(data) <= LONGEST_SHORT:
            self.write(pickle.SHORT_BINSTRING + bytes([len(data)]) + data)
        else:
            self.write(pickle.BINSTRING + struct.pack('<i', len(data)) + data)

    def _save_set(self, value: set) -> None:
        self.save(set)
        arguments = (sorted(value),)
        self.kept.append(arguments)
        super().save(arguments)
        self.write(pickle.REDUCE)


def _chumpy_state(changed: list[str], fields: dict[str, Any]) -> dict[str, Any]:
    """What chumpy 0.70 stores of an object."""
    return {
        '_make_sparse': False,
        '_dirty_vars': set(changed),
        '_itr': None,
        '_depends_on_deps': {},
        '_make_dense': False,
        **fields,
    }


def _csc_state(array: np.ndarray) -> dict[str, Any]:
    """What scipy stores of a matrix in compressed columns."""
    columns, rows = np.nonzero(array.T)
    counts = np.bincount(columns, minlength=array.shape[1])
    return {
        '_shape': array.shape,
        '_has_sorted_indices': True,
        'indptr': np.concatenate([[0], counts.cumsum()]).astype(np.int32),
        'indices': rows.astype(np.int32),
        'data': array[rows, columns],
        'format': 'csc',
        'maxprint': 50,
    }
