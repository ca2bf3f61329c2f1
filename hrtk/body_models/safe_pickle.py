"""Pickles of plain arrays from strangers, read without running them.

A pickle is a program. Official SMPL files, SMPLify's pose prior and 3DPW's labels are pickles of Python 2, some with
chumpy objects in them. They are read here by an unpickler that knows the few names such a file needs, rebuilds plain
arrays from them and refuses all others. Neither chumpy nor scipy is imported.
"""

from __future__ import annotations

import io
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np

from hrtk.errors import InputError


def load_pickle(path: str | Path) -> dict:
    """Reads a pickled dict of arrays, of Python 2 or 3, without running foreign code.

    Numbers, strings, containers and numpy arrays come back as they are (Python 2 strings as latin-1); chumpy's Ch,
    Select, Concatenate and Reshape and scipy's csc, csr and coo matrices that are values of the dict come back as
    dense arrays.

    Raises:
        InputError: no such file, not a pickle or a broken one, not a dict, or it names a function or class that
            plain arrays do not need.
    """
    file = Path(path)
    return unpickle(read_bytes(file, 'check the path'), file)


def unpickle(data: bytes, file: Path) -> dict:
    """:func:`load_pickle` for bytes that are at hand; ``file`` is named in errors."""
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
        f'{file}: holds a {type(value).__name__}, expected a dict of arrays; give a SMPL model file or '
        f'another file of that kind'
    )


def refusal(file: Path, error: Forbidden) -> str:
    """What to tell about a pickle that asked for a name it must not have."""
    return (
        f'{file}: this pickle asks for {error}, which no file of plain arrays needs, and was not read further. If '
        f'you trust it, load it where its library is installed and save the arrays with numpy.savez'
    )


def read_bytes(file: Path, remedy: str) -> bytes:
    """A file's bytes.

    Args:
        file: where.
        remedy: what to do if it is missing, for the message.

    Raises:
        InputError: it is missing, a folder, empty, or a web page that was saved in its place.
    """
    if not file.exists():
        raise InputError(f'{file}: there is no such file; {remedy}')
    if file.is_dir():
        raise InputError(f'{file}: this is a folder; name one file in it')
    data = file.read_bytes()
    if not data:
        raise InputError(f'{file}: the file is empty; copy or download it again')
    if data[:64].lstrip()[:1] == b'<':
        raise InputError(
            f'{file}: this is a web page, not data; such a page is saved when a download needs a login'
        )
    return data


class _Stub:
    """Stands for one class of chumpy or scipy: keeps the pickled attributes and computes the array they describe."""

    def __init__(self) -> None:
        self.state: dict = {}

    def __setstate__(self, state: dict) -> None:
        self.state = state


class _Ch(_Stub):
    def dense(self) -> np.ndarray:
        return np.asarray(_dense(self.state['x']))


class _Select(_Stub):
    def dense(self) -> np.ndarray:
        picked = np.ravel(_dense(self.state['a']))[np.asarray(self.state['idxs'])]
        return picked.reshape(self.state.get('preferred_shape', picked.shape))


class _Concatenate(_Stub):
    def dense(self) -> np.ndarray:
        return np.concatenate(
            [_dense(self.state[key]) for key in self.state['dterms']], axis=self.state['axis']
        )


class _Reshape(_Stub):
    def dense(self) -> np.ndarray:
        return np.reshape(_dense(self.state['a']), self.state['newshape'])


class _Coo(_Stub):
    def index(self) -> tuple[np.ndarray, np.ndarray]:
        return (
            self.state['coords']
            if 'coords' in self.state
            else (self.state['row'], self.state['col'])
        )

    def dense(self) -> np.ndarray:
        out = np.zeros(self.state['_shape'], self.state['data'].dtype)
        np.add.at(out, self.index(), self.state['data'])
        return out


class _Csr(_Coo):
    def index(self) -> tuple[np.ndarray, np.ndarray]:
        starts = self.state['indptr']
        return np.repeat(np.arange(len(starts) - 1), np.diff(starts)), self.state['indices']


class _Csc(_Csr):
    def index(self) -> tuple[np.ndarray, np.ndarray]:
        return super().index()[::-1]


def _dense(value: Any) -> Any:
    return value.dense() if isinstance(value, _Stub) else value


def _latin1_bytes(text: str, encoding: str) -> bytes:
    # Python 3 writes bytes this way at protocols below 3; the real codecs.encode would import any codec by name.
    if encoding not in ('latin1', 'latin-1'):
        raise pickle.UnpicklingError(f'bytes in the encoding {encoding!r}')
    return text.encode('latin1')


def _no_bytes() -> bytes:
    # Python 3's way to write b'' at protocols below 3.
    return b''


def _dtype(code: str, align: bool = False, copy: bool = True) -> np.dtype:
    # Plain kinds only: the state that follows a structured dtype holds byte offsets that nothing would check.
    if not re.fullmatch(r'[biufcOSU]\d+', code):
        raise pickle.UnpicklingError(f'an array of dtype {code!r}')
    return np.dtype(code, copy=bool(copy))


def _new_stub(cls: type, base: type, state: None) -> _Stub:
    if not (isinstance(cls, type) and issubclass(cls, _Stub)):
        raise pickle.UnpicklingError(f'an object of {cls!r}')
    return cls()


def _allowed() -> dict[tuple[str, str], Any]:
    # numpy's rebuild functions moved between versions; arrays of the installed version say where they are now.
    rebuild = {
        'multiarray': {
            '_reconstruct': np.empty(0).__reduce__()[0],
            'scalar': np.float64(0).__reduce__()[0],
        },
        'numeric': {'_frombuffer': np.empty(0).__reduce_ex__(5)[0]},
    }
    names: dict[tuple[str, str], Any] = {
        ('numpy', 'ndarray'): np.ndarray,
        ('numpy', 'dtype'): _dtype,
        ('_codecs', 'encode'): _latin1_bytes,
    }
    for core in ('numpy.core', 'numpy._core'):
        for module, functions in rebuild.items():
            names.update(
                {(f'{core}.{module}', name): function for name, function in functions.items()}
            )
    for builtins, copyreg in (('__builtin__', 'copy_reg'), ('builtins', 'copyreg')):
        names.update(
            {
                (builtins, 'set'): set,
                (builtins, 'object'): object,
                (builtins, 'bytes'): _no_bytes,
                (copyreg, '_reconstructor'): _new_stub,
            }
        )
    names.update(
        {
            ('chumpy.ch', 'Ch'): _Ch,
            ('chumpy.reordering', 'Select'): _Select,
            ('chumpy.reordering', 'Concatenate'): _Concatenate,
            ('chumpy.reordering', 'Reshape'): _Reshape,
        }
    )
    for kind, stub in (('csc', _Csc), ('csr', _Csr), ('coo', _Coo)):
        names.update(
            {(f'scipy.sparse.{module}', f'{kind}_matrix'): stub for module in (kind, f'_{kind}')}
        )
    return names


class Forbidden(Exception):
    """Its message is the name that a pickle asked for."""


class SafeUnpickler(pickle._Unpickler):
    """Pickle's interpreter in Python; the one in C reserves gigabytes if a damaged file numbers an object so high."""

    allowed = _allowed()
    states = (np.ndarray, np.dtype, _Stub)

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.allowed:
            raise Forbidden(f'{module}.{name}')
        return self.allowed[module, name]

    def load_build(self) -> None:
        # Else a file could set attributes of the functions above.
        if not isinstance(self.stack[-2], self.states):
            raise pickle.UnpicklingError(f'a state for {self.stack[-2]!r}')
        super().load_build()

    dispatch = {**pickle._Unpickler.dispatch, pickle.BUILD[0]: load_build}
