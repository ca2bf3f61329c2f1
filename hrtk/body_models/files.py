"""Body files from strangers, read without running them: SMPL as .npz or .pkl, and the body that hrtk ships.

A pickle is a program. Official SMPL files are pickles of Python 2 that hold chumpy objects, so they are read here by
an unpickler that knows the few names such a file needs, rebuilds plain arrays from them, and refuses all others.
Neither chumpy nor scipy is imported.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import pickle
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import numpy as np

from hrtk.body_models.skeletons import SMPL_VERTEX_IDS
from hrtk.structures import InputError

OPEN_BODY = Path(__file__).parent / 'assets' / 'open_body.npz'
OPEN_FORMAT = 'hrtk-body-1'

# Official keys, their dtype here and their shape; V is set by v_template, None is free.
OFFICIAL_KEYS = {
    'v_template': (np.float32, ('V', 3)),
    'shapedirs': (np.float32, ('V', 3, None)),
    'posedirs': (np.float32, ('V', 3, 207)),
    'weights': (np.float32, ('V', 24)),
    'J_regressor': (np.float32, (24, 'V')),
    'f': (np.int64, (None, 3)),
    'kintree_table': (np.int64, (2, 24)),
}
_WHERE = ('SMPL_NEUTRAL.pkl, _MALE and _FEMALE are free for research at https://smpl.is.tue.mpg.de; the body called '
          '"open" ships with hrtk and needs no file')


@dataclasses.dataclass(frozen=True, eq=False)
class BodyData:
    """A SMPL-family body in arrays; the first seven attributes carry SMPL's own names.

    It is also a mapping of those seven, so ``dict(**data)`` and ``smplx.utils.Struct(**data)`` work.

    Attributes:
        v_template: (V, 3) float32, metres, y up, facing +z.
        shapedirs: (V, 3, 10) float32, metres per standard deviation.
        posedirs: (V, 3, 207) float32, metres per entry of ``rotmat - identity`` of joints 1..23.
        weights: (V, 24) float32 skinning weights.
        J_regressor: (24, V) float32, rest joints from rest vertices.
        f: (F, 3) int64 faces.
        kintree_table: (2, 24) int64; row 0 holds the parents, its first entry is the file's own mark of the root.
        name: ``'open'`` or the file's name without suffix.
        path: the file.
        sha256: of the file's bytes.
        J_regressor_extra: (9, V) float32, SPIN's extra joints from posed vertices, or None.
        J_regressor_h36m: (17, V) float32, evaluation joints from posed vertices, or None.
        vertex_ids: vertices that stand for a joint, by the joint's name; empty for a mesh hrtk does not know.
        mirror: (V,) int64, the vertex on the other side of the body, or None.
    """

    v_template: np.ndarray
    shapedirs: np.ndarray
    posedirs: np.ndarray
    weights: np.ndarray
    J_regressor: np.ndarray
    f: np.ndarray
    kintree_table: np.ndarray
    name: str
    path: Path
    sha256: str
    J_regressor_extra: Optional[np.ndarray] = None
    J_regressor_h36m: Optional[np.ndarray] = None
    vertex_ids: dict[str, int] = dataclasses.field(default_factory=dict)
    mirror: Optional[np.ndarray] = None

    @property
    def parents(self) -> np.ndarray:
        """(24,) int64; -1 marks the root, whatever the file wrote there."""
        return np.concatenate([[-1], self.kintree_table[0, 1:]])

    def keys(self) -> Iterator[str]:
        """SMPL's own keys."""
        return iter(OFFICIAL_KEYS)

    def __getitem__(self, key: str) -> np.ndarray:
        if key not in OFFICIAL_KEYS:
            raise KeyError(key)
        return getattr(self, key)


def load_body_file(path: str | Path = 'open', extra_regressor: Optional[str | Path] = None,
                   h36m_regressor: Optional[str | Path] = None) -> BodyData:
    """Reads and checks one body file.

    Args:
        path: ``'open'`` for the bundled body, else a SMPL .npz or .pkl, chumpy objects and sparse matrices included.
        extra_regressor: SPIN's J_regressor_extra.npy, (9, V).
        h36m_regressor: SPIN's J_regressor_h36m.npy, (17, V).

    Raises:
        InputError: a file is missing, broken or unsafe, or an array is absent, of another shape, not finite, or
            points outside the mesh.
    """
    file = OPEN_BODY if path == 'open' else Path(path)
    data = _read(file, _WHERE)
    raw = _parse(data, file)
    extras: dict[str, Any] = {}
    if 'format' in raw:
        raw, extras = _decode_open(raw, file)
    arrays = _check(raw, file)
    vertices = len(arrays['v_template'])
    if vertices == 6890:
        extras.setdefault('vertex_ids', dict(SMPL_VERTEX_IDS))
    for key, rows, regressor in (('J_regressor_extra', 9, extra_regressor), ('J_regressor_h36m', 17, h36m_regressor)):
        if regressor is not None:
            extras[key] = _read_regressor(Path(regressor), rows, vertices, file)
    return BodyData(**arrays, **extras, name='open' if path == 'open' else file.stem, path=file,
                    sha256=hashlib.sha256(data).hexdigest())


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
    return _unpickle(_read(file, 'check the path'), file)


def _read(file: Path, remedy: str) -> bytes:
    if not file.exists():
        raise InputError(f'{file}: there is no such file; {remedy}')
    if file.is_dir():
        raise InputError(f'{file}: this is a folder; name one file in it')
    data = file.read_bytes()
    if not data:
        raise InputError(f'{file}: the file is empty; copy or download it again')
    if data.lstrip()[:1] == b'<':
        raise InputError(f'{file}: this is a web page, not data; such a page is saved when a download needs a login')
    return data


def _parse(data: bytes, file: Path) -> dict:
    if data[:2] == b'PK':
        return _read_npz(data, file)
    if data[:1] == b'\x80' or file.suffix in ('.pkl', '.pickle'):
        return _unpickle(data, file)
    raise InputError(f'{file}: neither an .npz nor a .pkl; {_WHERE}')


def _read_npz(data: bytes, file: Path) -> dict:
    key = 'the list of arrays'
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            wanted = archive.files if 'format' in archive.files else [k for k in OFFICIAL_KEYS if k in archive.files]
            arrays = {}
            for key in wanted:
                arrays[key] = archive[key]
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise InputError(f'{file}: broken at {key} ({error}); copy or download it again') from error
    except ValueError as error:
        raise InputError(f'{file}: {key} is not a plain array ({error}); Python objects inside an .npz are not read. '
                         f'Give the official .pkl, or save a dense numeric array under this key') from error
    return arrays


def _decode_open(raw: dict, file: Path) -> tuple[dict, dict]:
    """The compact format of the bundled body -> (arrays under official keys, what only hrtk knows)."""
    if str(raw['format']) != OPEN_FORMAT:
        raise InputError(f'{file}: format is {str(raw["format"])!r}, this hrtk reads {OPEN_FORMAT!r}; take the file '
                         f'that came with this version')
    try:
        vertices = len(raw['v_template'])
        weights = np.zeros((vertices, 24), np.float32)
        np.add.at(weights, (np.arange(vertices)[:, None], raw['weight_index']), raw['weight_value'])
        # float16 rounds each weight on its own, so a row no longer sums to exactly one.
        weights /= weights.sum(1, keepdims=True)

        def regressor(name: str, rows: int) -> np.ndarray:
            dense = np.zeros((rows, vertices), np.float32)
            dense[raw[f'{name}_row'], raw[f'{name}_col']] = raw[f'{name}_val']
            return dense

        arrays = {key: raw[key] for key in ('v_template', 'shapedirs', 'posedirs')}
        arrays.update(weights=weights, J_regressor=regressor('J_regressor', 24), f=raw['faces'],
                      kintree_table=np.stack([raw['parents'], np.arange(24)]))
        extras = dict(J_regressor_extra=regressor('J_regressor_extra', 9),
                      J_regressor_h36m=regressor('J_regressor_h36m', 17), mirror=raw['mirror'].astype(np.int64),
                      vertex_ids={str(k): int(v) for k, v in zip(raw['vertex_names'], raw['vertex_ids'])})
    except KeyError as error:
        raise InputError(f'{file}: a {OPEN_FORMAT} file without {error}; reinstall hrtk or build the body again with '
                         f'tools/build_open_body.py') from error
    except (IndexError, ValueError) as error:
        raise InputError(f'{file}: the arrays of this {OPEN_FORMAT} file do not fit each other ({error}); reinstall '
                         f'hrtk or build the body again with tools/build_open_body.py') from error
    return arrays, extras


def _check(raw: dict, file: Path) -> dict[str, np.ndarray]:
    missing = [key for key in OFFICIAL_KEYS if key not in raw]
    if missing:
        raise InputError(f'{file}: not a SMPL body file: it lacks {", ".join(missing)} and has '
                         f'{", ".join(sorted(map(str, raw))[:12]) or "nothing"}; {_WHERE}')
    vertices = np.shape(raw['v_template'])[:1]
    arrays = {}
    for key, (dtype, shape) in OFFICIAL_KEYS.items():
        wanted = tuple(vertices[0] if n == 'V' and vertices else n for n in shape)
        value = np.asarray(raw[key])
        if value.ndim != len(wanted) or any(n not in (None, have) for n, have in zip(wanted, value.shape)):
            text = ', '.join('any' if n is None else str(n) for n in wanted)
            raise InputError(f'{file}: {key} has shape {value.shape}, expected ({text}). hrtk takes the 24-joint SMPL '
                             f'(not SMPL-H, SMPL-X or MANO); {_WHERE}')
        if value.dtype.kind not in 'fiu' or not np.isfinite(value).all():
            raise InputError(f'{file}: {key} (dtype {value.dtype}) must hold finite numbers only; the file is damaged, '
                             f'download it again')
        arrays[key] = np.ascontiguousarray(value, dtype=dtype)
    if arrays['shapedirs'].shape[2] < 10:
        raise InputError(f'{file}: shapedirs has {arrays["shapedirs"].shape[2]} components, expected 10 or more; '
                         f'{_WHERE}')
    arrays['shapedirs'] = np.ascontiguousarray(arrays['shapedirs'][:, :, :10])
    faces, parents = arrays['f'], arrays['kintree_table'][0, 1:]
    if faces.size and not 0 <= faces.min() <= faces.max() < vertices[0]:
        raise InputError(f'{file}: f points to vertices {faces.min()}..{faces.max()}, there are {vertices[0]}; the file '
                         f'is damaged, download it again')
    if (parents < 0).any() or (parents >= np.arange(1, 24)).any():
        raise InputError(f'{file}: kintree_table must list every joint after its parent; its parents are '
                         f'{parents.tolist()}; {_WHERE}')
    return arrays


def _read_regressor(file: Path, rows: int, vertices: int, body: Path) -> np.ndarray:
    data = _read(file, 'SPIN distributes it with its data (https://github.com/nkolot/SPIN); the open body brings its own')
    try:
        value = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise InputError(f'{file}: not a plain .npy array ({error}); take the .npy of SPIN') from error
    if getattr(value, 'shape', None) != (rows, vertices):
        have = getattr(value, 'shape', 'several arrays')
        hint = (f'A regressor of 6890 columns is for the SMPL mesh; this body has {vertices} vertices. The open body '
                f'brings its own regressors: leave this argument out'
                if np.shape(value)[-1:] == (6890,) != (vertices,) else 'Take the file that belongs to this mesh')
        raise InputError(f'{file}: shape {have}, expected ({rows}, {vertices}) for the body {body}. {hint}')
    if value.dtype.kind != 'f' or not np.isfinite(value).all():
        raise InputError(f'{file}: must hold finite floats, its dtype is {value.dtype}; take the .npy of SPIN')
    return value.astype(np.float32)


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
        return np.concatenate([_dense(self.state[key]) for key in self.state['dterms']], axis=self.state['axis'])


class _Reshape(_Stub):

    def dense(self) -> np.ndarray:
        return np.reshape(_dense(self.state['a']), self.state['newshape'])


class _Coo(_Stub):

    def index(self) -> tuple[np.ndarray, np.ndarray]:
        return self.state['coords'] if 'coords' in self.state else (self.state['row'], self.state['col'])

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
    # Always a copy: the state that follows would otherwise turn numpy's own float64 round for the whole process.
    if not re.fullmatch(r'[biufcOSU]\d+', code):
        raise pickle.UnpicklingError(f'an array of dtype {code!r}')
    return np.dtype(code, copy=True)


def _new_stub(cls: type, base: type, state: None) -> _Stub:
    if not (isinstance(cls, type) and issubclass(cls, _Stub)):
        raise pickle.UnpicklingError(f'an object of {cls!r}')
    return cls()


def _allowed() -> dict[tuple[str, str], Any]:
    # numpy's rebuild functions moved between versions; arrays of the installed version say where they are now.
    rebuild = {'multiarray': {'_reconstruct': np.empty(0).__reduce__()[0], 'scalar': np.float64(0).__reduce__()[0]},
               'numeric': {'_frombuffer': np.empty(0).__reduce_ex__(5)[0]}}
    names: dict[tuple[str, str], Any] = {('numpy', 'ndarray'): np.ndarray, ('numpy', 'dtype'): _dtype,
                                         ('_codecs', 'encode'): _latin1_bytes}
    for core in ('numpy.core', 'numpy._core'):
        for module, functions in rebuild.items():
            names.update({(f'{core}.{module}', name): function for name, function in functions.items()})
    for builtins, copyreg in (('__builtin__', 'copy_reg'), ('builtins', 'copyreg')):
        names.update({(builtins, 'set'): set, (builtins, 'object'): object, (builtins, 'bytes'): _no_bytes,
                      (copyreg, '_reconstructor'): _new_stub})
    names.update({('chumpy.ch', 'Ch'): _Ch, ('chumpy.reordering', 'Select'): _Select,
                  ('chumpy.reordering', 'Concatenate'): _Concatenate, ('chumpy.reordering', 'Reshape'): _Reshape})
    for kind, stub in (('csc', _Csc), ('csr', _Csr), ('coo', _Coo)):
        names.update({(f'scipy.sparse.{module}', f'{kind}_matrix'): stub for module in (kind, f'_{kind}')})
    return names


class _Forbidden(Exception):
    """Its message is the name that a pickle asked for."""


class _Unpickler(pickle._Unpickler):
    """Pickle's interpreter in Python; the one in C reserves gigabytes if a damaged file numbers an object so high."""

    allowed = _allowed()

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.allowed:
            raise _Forbidden(f'{module}.{name}')
        return self.allowed[module, name]

    def load_build(self) -> None:
        # Else a file could set attributes of the functions above.
        if not isinstance(self.stack[-2], (np.ndarray, np.dtype, _Stub)):
            raise pickle.UnpicklingError(f'a state for {self.stack[-2]!r}')
        super().load_build()

    dispatch = {**pickle._Unpickler.dispatch, pickle.BUILD[0]: load_build}


def _unpickle(data: bytes, file: Path) -> dict:
    try:
        value = _Unpickler(io.BytesIO(data), encoding='latin1').load()
        if isinstance(value, dict):
            return {key: _dense(entry) for key, entry in value.items()}
    except _Forbidden as error:
        raise InputError(f'{file}: this pickle asks for {error}, which no file of plain arrays needs, and was not read '
                         f'further. If you trust it, load it where its library is installed and save the arrays with '
                         f'numpy.savez') from error
    except Exception as error:  # a damaged pickle can make its interpreter fail in any way
        raise InputError(f'{file}: not a pickle, or a truncated or damaged one ({type(error).__name__}: {error}); copy '
                         f'or download it again') from error
    raise InputError(f'{file}: holds a {type(value).__name__}, expected a dict of arrays; give a SMPL model file or '
                     f'another file of that kind')
