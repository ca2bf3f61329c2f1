"""A safe reader of pickled arrays, which does not execute foreign code.

A pickle is a program. Official SMPL files, SMPLify's pose prior and 3DPW's labels are pickles of Python 2, some with
chumpy objects. The unpickler here allows the few names that such a file needs, builds plain arrays from them and
rejects all others. Neither chumpy nor scipy is imported.
"""

from __future__ import annotations

import io
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np

from hrtk import reading
from hrtk.errors import InputError


def load_pickle(path: str | Path) -> dict:
    """Reads a pickled dict of arrays, of Python 2 or 3, without executing foreign code.

    Numbers, strings, containers and numpy arrays are returned unchanged (Python 2 strings as latin-1); chumpy's Ch,
    Select, Concatenate and Reshape and scipy's csc, csr and coo matrices that are values of the dict become dense
    arrays.

    Raises:
        InputError: the file is missing, not a pickle, broken, not a dict, or contains the name of a function or class
            that plain arrays do not need.
    """
    file = Path(path)
    return unpickle(read_bytes(file, 'check the path'), file)


def unpickle(data: bytes, file: Path) -> dict:
    """Reads a pickle from bytes, see :func:`load_pickle`; messages name ``file``."""
    try:
        value = SafeUnpickler(io.BytesIO(data), encoding='latin1').load()
        if isinstance(value, dict):
            return {key: _dense(entry) for key, entry in value.items()}
    except Forbidden as error:
        raise InputError(refusal(file, error)) from error
    except Exception as error:  # a damaged pickle can make its interpreter fail in any way
        raise InputError(
            f'{file}: not a pickle, or a truncated or damaged one ({type(error).__name__}: {error}); copy '
            f'or download it again'
        ) from error
    raise InputError(
        f'{file}: contains a {type(value).__name__}, expected a dict of arrays; use a SMPL model file or '
        f'another file of that kind'
    )


def refusal(file: Path, error: Forbidden) -> str:
    """Returns the message about a pickle with a name that is not allowed."""
    return (
        f'{file}: this pickle contains the name {error}, which no file of plain arrays needs, and was not read '
        f'further. If you trust it, load it where its library is installed and save the arrays with numpy.savez'
    )


def read_bytes(file: Path, remedy: str) -> bytes:
    """Reads a file's bytes.

    Args:
        file: path.
        remedy: what to do if the file is missing, for the message.

    Raises:
        InputError: the path is missing, a folder, an empty file, or a web page that was saved instead of the file.
    """
    data = reading.read_bytes(file, remedy)
    if not data:
        raise InputError(f'{file}: the file is empty; copy or download it again')
    if data[:64].lstrip()[:1] == b'<':
        raise InputError(
            f'{file}: this is a web page, not data; such a page is saved when a download needs a login'
        )
    return data


class _Stub:
    """Replaces one class of chumpy or scipy: stores the pickled attributes and computes the array they describe."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.state = state

    def dense(self) -> np.ndarray:
        """Returns the array."""
        raise NotImplementedError


class _Ch(_Stub):
    def dense(self) -> np.ndarray:
        return np.asarray(_dense(self.state['x']))


class _Select(_Stub):
    def dense(self) -> np.ndarray:
        selected = np.ravel(_dense(self.state['a']))[np.asarray(self.state['idxs'])]
        return selected.reshape(self.state.get('preferred_shape', selected.shape))


class _Concatenate(_Stub):
    def dense(self) -> np.ndarray:
        arrays = [_dense(self.state[key]) for key in self.state['dterms']]
        return np.concatenate(arrays, axis=self.state['axis'])


class _Reshape(_Stub):
    def dense(self) -> np.ndarray:
        return np.reshape(_dense(self.state['a']), self.state['newshape'])


class _Coo(_Stub):
    def index(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of the entries."""
        if 'coords' in self.state:
            return self.state['coords']
        return self.state['row'], self.state['col']

    def dense(self) -> np.ndarray:
        array = np.zeros(self.state['_shape'], self.state['data'].dtype)
        np.add.at(array, self.index(), self.state['data'])
        return array


class _Csr(_Coo):
    def index(self) -> tuple[np.ndarray, np.ndarray]:
        starts = self.state['indptr']
        # Otherwise a few bytes could claim any number of entries.
        if starts[-1] != len(self.state['indices']):
            raise pickle.UnpicklingError(f'a sparse matrix of {starts[-1]} entries')
        rows = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        return rows, self.state['indices']


class _Csc(_Csr):
    def index(self) -> tuple[np.ndarray, np.ndarray]:
        columns, rows = super().index()
        return rows, columns


def _dense(value: Any) -> Any:
    if isinstance(value, _Stub):
        return value.dense()
    return value


def _latin1_bytes(text: str, encoding: str) -> bytes:
    # Python 3 encodes bytes this way at protocols below 3; the real codecs.encode would import any codec by name.
    if encoding not in ('latin1', 'latin-1'):
        raise pickle.UnpicklingError(f'bytes in the encoding {encoding!r}')
    return text.encode('latin1')


def _no_bytes() -> bytes:
    # Python 3 encodes b'' as a call of bytes() at protocols below 3.
    return b''


def _dtype(code: str, align: bool = False, copy: bool = True) -> np.dtype:
    # Plain kinds only: the state of a structured dtype contains byte offsets that would not be checked.
    if not re.fullmatch(r'[biufcOSU]\d{1,6}', code):
        raise pickle.UnpicklingError(f'an array of dtype {code!r}')
    return np.dtype(code, copy=bool(copy))


def _new_stub(cls: type, base: type, state: None) -> _Stub:
    if not (isinstance(cls, type) and issubclass(cls, _Stub)):
        raise pickle.UnpicklingError(f'an object of {cls!r}')
    return cls()


def _allowed() -> dict[tuple[str, str], Any]:
    """The names that a pickle may contain, as (module, name), with their replacements."""
    names: dict[tuple[str, str], Any] = {
        ('numpy', 'ndarray'): np.ndarray,
        ('numpy', 'dtype'): _dtype,
        ('_codecs', 'encode'): _latin1_bytes,
        ('chumpy.ch', 'Ch'): _Ch,
        ('chumpy.reordering', 'Select'): _Select,
        ('chumpy.reordering', 'Concatenate'): _Concatenate,
        ('chumpy.reordering', 'Reshape'): _Reshape,
    }
    # The modules of numpy's rebuild functions depend on its version; arrays of the installed version contain them.
    reconstruct = np.empty(0).__reduce__()[0]
    scalar = np.float64(0).__reduce__()[0]
    from_buffer = np.empty(0).__reduce_ex__(5)[0]
    for core in ('numpy.core', 'numpy._core'):
        names[f'{core}.multiarray', '_reconstruct'] = reconstruct
        names[f'{core}.multiarray', 'scalar'] = scalar
        names[f'{core}.numeric', '_frombuffer'] = from_buffer
    for builtins, copyreg in (('__builtin__', 'copy_reg'), ('builtins', 'copyreg')):
        names[builtins, 'set'] = set
        names[builtins, 'object'] = object
        names[builtins, 'bytes'] = _no_bytes
        names[copyreg, '_reconstructor'] = _new_stub
    for layout, stub in (('csc', _Csc), ('csr', _Csr), ('coo', _Coo)):
        names[f'scipy.sparse.{layout}', f'{layout}_matrix'] = stub
        names[f'scipy.sparse._{layout}', f'{layout}_matrix'] = stub
    return names


class Forbidden(Exception):
    """A pickle contains a name that is not allowed; the message is the name."""


class SafeUnpickler(pickle._Unpickler):
    """Pickle's interpreter in Python. The C version reserves gigabytes for a damaged file with a large memo index."""

    allowed = _allowed()
    states = (np.ndarray, np.dtype, _Stub)
    stack: list[Any]  # of the base class, whose type stubs lack it

    def find_class(self, module: str, name: str) -> Any:
        """Returns the replacement of a name.

        Raises:
            Forbidden: the name is not allowed.
        """
        if (module, name) not in self.allowed:
            raise Forbidden(f'{module}.{name}')
        return self.allowed[module, name]

    def load_build(self) -> None:
        """Sets the state of an object, only of the classes that have one."""
        # Otherwise a file could set attributes of the functions above.
        if not isinstance(self.stack[-2], self.states):
            raise pickle.UnpicklingError(f'a state for {self.stack[-2]!r}')
        super().load_build()  # type: ignore[misc]  # not in the type stubs

    dispatch = {
        **pickle._Unpickler.dispatch,
        pickle.BUILD[0]: load_build,  # type: ignore[dict-item]  # typed for the base class
    }
