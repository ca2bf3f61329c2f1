"""Readers and checks of body files: SMPL as .npz or .pkl, and the open body of hrtk."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import numpy as np

from hrtk.body_models.safe_pickle import load_pickle, read_bytes, unpickle
from hrtk.body_models.skeletons import SMPL_VERTEX_IDS
from hrtk.errors import InputError
from hrtk.reading.arrays import OBJECTS, Archive, read_npy

__all__ = ['BodyData', 'load_body_file', 'load_pickle']

OPEN_BODY = Path(__file__).parent / 'assets' / 'open_body.npz'
OPEN_FORMAT = 'hrtk-body-1'
SMPL_VERTICES = 6890

# Official keys with the dtype of hrtk and their shape: v_template determines V, None is any number.
OFFICIAL_KEYS: dict[str, tuple[type, tuple[str | int | None, ...]]] = {
    'v_template': (np.float32, ('V', 3)),
    'shapedirs': (np.float32, ('V', 3, None)),
    'posedirs': (np.float32, ('V', 3, 207)),
    'weights': (np.float32, ('V', 24)),
    'J_regressor': (np.float32, (24, 'V')),
    'f': (np.int64, (None, 3)),
    'kintree_table': (np.int64, (2, 24)),
}
LARGEST = float(np.finfo(np.float32).max)  # greater numbers would become infinite
# Keys of the open body's compact format with the kinds of their dtype and the number of their axes. A regressor is
# three arrays: the rows, the columns and the values of its entries.
REGRESSORS = {'J_regressor': 24, 'J_regressor_extra': 9, 'J_regressor_h36m': 17}
KINDS = {'f': 'floats', 'iu': 'integers', 'U': 'strings'}
OPEN_KEYS: dict[str, tuple[str, int]] = {
    'v_template': ('f', 2),
    'shapedirs': ('f', 3),
    'posedirs': ('f', 3),
    'weight_index': ('iu', 2),
    'weight_value': ('f', 2),
    'faces': ('iu', 2),
    'parents': ('iu', 1),
    'mirror': ('iu', 1),
    'vertex_names': ('U', 1),
    'vertex_ids': ('iu', 1),
    **{f'{name}_row': ('iu', 1) for name in REGRESSORS},
    **{f'{name}_col': ('iu', 1) for name in REGRESSORS},
    **{f'{name}_val': ('f', 1) for name in REGRESSORS},
}
WHERE = (
    'SMPL_NEUTRAL.pkl, _MALE and _FEMALE are free for research at https://smpl.is.tue.mpg.de; the body called '
    '"open" ships with hrtk and needs no file'
)


@dataclasses.dataclass(frozen=True, eq=False)
class BodyData:
    """Arrays of a SMPL-family body; the first seven attributes have SMPL's own names.

    The object is also a mapping of those seven, so that ``dict(**data)`` and ``smplx.utils.Struct(**data)`` work.

    Attributes:
        v_template: (V, 3) float32, metres, y up, facing +z.
        shapedirs: (V, 3, 10) float32, metres per standard deviation.
        posedirs: (V, 3, 207) float32, metres per entry of ``rotmat - identity`` of joints 1..23.
        weights: (V, 24) float32 skinning weights.
        J_regressor: (24, V) float32, rest joints from rest vertices.
        f: (F, 3) int64 faces.
        kintree_table: (2, 24) int64; row 0 contains the parents; its first entry is the file's own mark of the root.
        name: ``'open'`` or the file's name without suffix.
        path: the file.
        sha256: of the file's bytes.
        J_regressor_extra: (9, V) float32, SPIN's extra joints from posed vertices, or None.
        J_regressor_h36m: (17, V) float32, evaluation joints from posed vertices, or None.
        vertex_ids: vertices that define a joint, by the joint's name; empty for an unknown mesh.
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
        """(24,) int64; -1 for the root, whatever the file contains there."""
        return np.concatenate([[-1], self.kintree_table[0, 1:]])

    def keys(self) -> Iterator[str]:
        """SMPL's own keys."""
        return iter(OFFICIAL_KEYS)

    def __getitem__(self, key: str) -> np.ndarray:
        if key not in OFFICIAL_KEYS:
            raise KeyError(key)
        return getattr(self, key)


def load_body_file(
    path: str | Path = 'open',
    extra_regressor: Optional[str | Path] = None,
    h36m_regressor: Optional[str | Path] = None,
) -> BodyData:
    """Reads and checks one body file.

    Args:
        path: ``'open'`` for the bundled body, else a SMPL .npz or .pkl, chumpy objects and sparse matrices included.
        extra_regressor: SPIN's J_regressor_extra.npy, (9, V).
        h36m_regressor: SPIN's J_regressor_h36m.npy, (17, V).

    Raises:
        InputError: a file is missing, broken or unsafe, or an array is absent, of another shape, not finite, or
            points outside the mesh.
    """
    is_open = path == 'open'
    file = OPEN_BODY if is_open else Path(path)
    data = read_bytes(file, WHERE)
    raw = _parse(data, file)
    fields: dict[str, Any] = {}
    if 'format' in raw:
        raw, fields = _decode_open(raw, file)
    arrays = _check(raw, file)
    vertices = len(arrays['v_template'])
    if vertices == SMPL_VERTICES:
        fields.setdefault('vertex_ids', dict(SMPL_VERTEX_IDS))
    if extra_regressor is not None:
        fields['J_regressor_extra'] = _read_regressor(Path(extra_regressor), 9, vertices, file)
    if h36m_regressor is not None:
        fields['J_regressor_h36m'] = _read_regressor(Path(h36m_regressor), 17, vertices, file)
    return BodyData(
        **arrays,
        **fields,
        name='open' if is_open else file.stem,
        path=file,
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _parse(data: bytes, file: Path) -> dict[str, Any]:
    if data[:2] == b'PK':
        return _read_npz(data, file)
    if data[:1] == b'\x80' or file.suffix in ('.pkl', '.pickle'):
        return unpickle(data, file)
    raise InputError(f'{file}: neither an .npz nor a .pkl; {WHERE}')


def _read_npz(data: bytes, file: Path) -> dict[str, Any]:
    """Reads the official arrays of an archive, or all arrays of an archive in hrtk's own format."""
    key = 'the list of arrays'
    arrays = {}
    try:
        with Archive(file, content=data) as archive:
            keys = archive.names
            if 'format' not in keys:
                keys = [key for key in OFFICIAL_KEYS if key in archive.names]
            for key in keys:
                arrays[key] = archive.array(key)
    except InputError as error:
        if OBJECTS in str(error):
            raise InputError(
                f'{file}: {key} is not a plain array; Python objects inside an .npz are not read. Use the official '
                f'.pkl, or save a dense numeric array under this key'
            ) from error
        raise
    return arrays


def _decode_open(raw: dict[str, Any], file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Decodes the compact format of the open body.

    Returns:
        Arrays under SMPL's official keys, and the further fields of :class:`BodyData`.
    """
    if str(raw['format']) != OPEN_FORMAT:
        raise InputError(
            f'{file}: format is {str(raw["format"])!r}, this hrtk reads {OPEN_FORMAT!r}; use the file of this '
            f'version of hrtk'
        )
    again = 'reinstall hrtk or build the body again with tools/build_open_body.py'
    for key, (kinds, axes) in OPEN_KEYS.items():
        if key not in raw:
            raise InputError(f"{file}: a {OPEN_FORMAT} file without '{key}'; {again}")
        array = np.asarray(raw[key])
        if array.dtype.kind not in kinds or array.ndim != axes:
            raise InputError(
                f'{file}: {key} of this {OPEN_FORMAT} file has the dtype {array.dtype} and {array.ndim} axes, expected '
                f'{KINDS[kinds]} and {axes} axes; {again}'
            )
    try:
        return _decode_arrays(raw)
    except (IndexError, ValueError) as error:
        raise InputError(
            f'{file}: the arrays of this {OPEN_FORMAT} file do not match ({error}); {again}'
        ) from error


def _decode_arrays(raw: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    vertices = len(raw['v_template'])
    weights = np.zeros((vertices, 24), np.float32)
    np.add.at(weights, (np.arange(vertices)[:, None], raw['weight_index']), raw['weight_value'])
    # Each weight is rounded to float16, so that the sum of a row is not exactly one.
    weights /= weights.sum(1, keepdims=True)

    def regressor(name: str) -> np.ndarray:
        dense = np.zeros((REGRESSORS[name], vertices), np.float32)
        dense[raw[f'{name}_row'], raw[f'{name}_col']] = raw[f'{name}_val']
        return dense

    arrays = dict(
        v_template=raw['v_template'],
        shapedirs=raw['shapedirs'],
        posedirs=raw['posedirs'],
        weights=weights,
        J_regressor=regressor('J_regressor'),
        f=raw['faces'],
        kintree_table=np.stack([raw['parents'], np.arange(24)]),
    )
    vertex_ids = zip(raw['vertex_names'].tolist(), raw['vertex_ids'].tolist(), strict=True)
    fields = dict(
        J_regressor_extra=regressor('J_regressor_extra'),
        J_regressor_h36m=regressor('J_regressor_h36m'),
        mirror=raw['mirror'].astype(np.int64),
        vertex_ids=dict(vertex_ids),
    )
    return arrays, fields


def _check(raw: dict[str, Any], file: Path) -> dict[str, Any]:
    """Checks the official arrays and returns them in the dtypes of :data:`OFFICIAL_KEYS`."""
    missing = [key for key in OFFICIAL_KEYS if key not in raw]
    if missing:
        available = ', '.join(sorted(map(str, raw))[:12]) or 'nothing'
        raise InputError(
            f'{file}: not a SMPL body file: it lacks {", ".join(missing)} and has {available}; {WHERE}'
        )
    vertices = np.shape(raw['v_template'])[:1]
    arrays = {key: _check_array(raw[key], key, vertices, file) for key in OFFICIAL_KEYS}
    components = arrays['shapedirs'].shape[2]
    if components < 10:
        raise InputError(
            f'{file}: shapedirs has {components} components, expected 10 or more; {WHERE}'
        )
    arrays['shapedirs'] = np.ascontiguousarray(arrays['shapedirs'][:, :, :10])
    faces = arrays['f']
    if faces.size and not 0 <= faces.min() <= faces.max() < vertices[0]:
        raise InputError(
            f'{file}: f refers to vertices {faces.min()}..{faces.max()}, there are {vertices[0]}; the '
            f'file is damaged, download it again'
        )
    parents = arrays['kintree_table'][0, 1:]
    if (parents < 0).any() or (parents >= np.arange(1, 24)).any():
        raise InputError(
            f'{file}: kintree_table must list every joint after its parent; its parents are '
            f'{parents.tolist()}; {WHERE}'
        )
    return arrays


def _check_array(value: Any, key: str, vertices: tuple[int, ...], file: Path) -> np.ndarray:
    """Checks one official array; ``vertices`` is (V,), or () where ``v_template`` is a scalar."""
    dtype, symbolic_shape = OFFICIAL_KEYS[key]
    shape = tuple(vertices[0] if size == 'V' and vertices else size for size in symbolic_shape)
    array = np.asarray(value)
    if not _has_shape(array, shape):
        expected = ', '.join('any' if size is None else str(size) for size in shape)
        raise InputError(
            f'{file}: {key} has shape {array.shape}, expected ({expected}). hrtk reads the 24-joint SMPL '
            f'(not SMPL-H, SMPL-X or MANO); {WHERE}'
        )
    if array.dtype.kind not in 'fiu' or not _fits_float32(array):
        raise InputError(
            f'{file}: {key} (dtype {array.dtype}) must have finite numbers only; the file is damaged, '
            f'download it again'
        )
    return np.ascontiguousarray(array, dtype=dtype)


def _fits_float32(array: np.ndarray) -> bool:
    """Whether all numbers are finite, and stay so in 32 bits."""
    return float(np.abs(array).max(initial=0)) <= LARGEST


def _has_shape(array: np.ndarray, shape: tuple[str | int | None, ...]) -> bool:
    """Whether an array has a shape in which None is any size."""
    if array.ndim != len(shape):
        return False
    return all(expected in (None, size) for expected, size in zip(shape, array.shape))


def _read_regressor(file: Path, rows: int, vertices: int, body: Path) -> np.ndarray:
    source = 'SPIN distributes it (https://github.com/nkolot/SPIN); the open body contains its own'
    data = read_bytes(file, source)
    value = read_npy(file, content=data)
    shape = value.shape
    if shape != (rows, vertices):
        hint = 'Use the file that belongs to this mesh'
        if shape[-1:] == (SMPL_VERTICES,) != (vertices,):
            hint = (
                f'A regressor of 6890 columns is for the SMPL mesh; this body has {vertices} vertices. The open '
                f'body contains its own regressors: omit this argument'
            )
        raise InputError(
            f'{file}: shape {shape}, expected ({rows}, {vertices}) for the body {body}. {hint}'
        )
    if value.dtype.kind != 'f' or not _fits_float32(value):
        raise InputError(
            f'{file}: must have finite floats of 32 bits, its dtype is {value.dtype}; use the .npy of SPIN'
        )
    return value.astype(np.float32)
