"""Body files, read and checked: SMPL as .npz or .pkl, and the body that hrtk ships."""

from __future__ import annotations

import dataclasses
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import numpy as np

from hrtk.body_models.safe_pickle import load_pickle, read_bytes, unpickle
from hrtk.body_models.skeletons import SMPL_VERTEX_IDS
from hrtk.errors import InputError

__all__ = ['BodyData', 'load_body_file', 'load_pickle']

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
_WHERE = (
    'SMPL_NEUTRAL.pkl, _MALE and _FEMALE are free for research at https://smpl.is.tue.mpg.de; the body called '
    '"open" ships with hrtk and needs no file'
)


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
    file = OPEN_BODY if path == 'open' else Path(path)
    data = read_bytes(file, _WHERE)
    raw = _parse(data, file)
    extras: dict[str, Any] = {}
    if 'format' in raw:
        raw, extras = _decode_open(raw, file)
    arrays = _check(raw, file)
    vertices = len(arrays['v_template'])
    if vertices == 6890:
        extras.setdefault('vertex_ids', dict(SMPL_VERTEX_IDS))
    for key, rows, regressor in (
        ('J_regressor_extra', 9, extra_regressor),
        ('J_regressor_h36m', 17, h36m_regressor),
    ):
        if regressor is not None:
            extras[key] = _read_regressor(Path(regressor), rows, vertices, file)
    return BodyData(
        **arrays,
        **extras,
        name='open' if path == 'open' else file.stem,
        path=file,
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _parse(data: bytes, file: Path) -> dict:
    if data[:2] == b'PK':
        return _read_npz(data, file)
    if data[:1] == b'\x80' or file.suffix in ('.pkl', '.pickle'):
        return unpickle(data, file)
    raise InputError(f'{file}: neither an .npz nor a .pkl; {_WHERE}')


def _read_npz(data: bytes, file: Path) -> dict:
    key = 'the list of arrays'
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            wanted = (
                archive.files
                if 'format' in archive.files
                else [k for k in OFFICIAL_KEYS if k in archive.files]
            )
            arrays = {}
            for key in wanted:
                arrays[key] = archive[key]
    except (
        Exception
    ) as error:  # damage shows in zipfile, in zlib or in numpy's header reader, as any error
        if 'allow_pickle' in str(error):
            raise InputError(
                f'{file}: {key} is not a plain array; Python objects inside an .npz are not read. Give '
                f'the official .pkl, or save a dense numeric array under this key'
            ) from error
        raise InputError(
            f'{file}: broken at {key} ({type(error).__name__}: {error}); copy or download it again'
        ) from error
    return arrays


def _decode_open(raw: dict, file: Path) -> tuple[dict, dict]:
    """The compact format of the bundled body -> (arrays under official keys, what only hrtk knows)."""
    if str(raw['format']) != OPEN_FORMAT:
        raise InputError(
            f'{file}: format is {str(raw["format"])!r}, this hrtk reads {OPEN_FORMAT!r}; take the file '
            f'that came with this version'
        )
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
        arrays.update(
            weights=weights,
            J_regressor=regressor('J_regressor', 24),
            f=raw['faces'],
            kintree_table=np.stack([raw['parents'], np.arange(24)]),
        )
        extras = dict(
            J_regressor_extra=regressor('J_regressor_extra', 9),
            J_regressor_h36m=regressor('J_regressor_h36m', 17),
            mirror=raw['mirror'].astype(np.int64),
            vertex_ids={str(k): int(v) for k, v in zip(raw['vertex_names'], raw['vertex_ids'])},
        )
    except KeyError as error:
        raise InputError(
            f'{file}: a {OPEN_FORMAT} file without {error}; reinstall hrtk or build the body again with '
            f'tools/build_open_body.py'
        ) from error
    except (IndexError, ValueError) as error:
        raise InputError(
            f'{file}: the arrays of this {OPEN_FORMAT} file do not fit each other ({error}); reinstall '
            f'hrtk or build the body again with tools/build_open_body.py'
        ) from error
    return arrays, extras


def _check(raw: dict, file: Path) -> dict[str, np.ndarray]:
    missing = [key for key in OFFICIAL_KEYS if key not in raw]
    if missing:
        raise InputError(
            f'{file}: not a SMPL body file: it lacks {", ".join(missing)} and has '
            f'{", ".join(sorted(map(str, raw))[:12]) or "nothing"}; {_WHERE}'
        )
    vertices = np.shape(raw['v_template'])[:1]
    arrays = {}
    for key, (dtype, shape) in OFFICIAL_KEYS.items():
        wanted = tuple(vertices[0] if n == 'V' and vertices else n for n in shape)
        value = np.asarray(raw[key])
        if value.ndim != len(wanted) or any(
            n not in (None, have) for n, have in zip(wanted, value.shape)
        ):
            text = ', '.join('any' if n is None else str(n) for n in wanted)
            raise InputError(
                f'{file}: {key} has shape {value.shape}, expected ({text}). hrtk takes the 24-joint SMPL '
                f'(not SMPL-H, SMPL-X or MANO); {_WHERE}'
            )
        if value.dtype.kind not in 'fiu' or not np.isfinite(value).all():
            raise InputError(
                f'{file}: {key} (dtype {value.dtype}) must hold finite numbers only; the file is damaged, '
                f'download it again'
            )
        arrays[key] = np.ascontiguousarray(value, dtype=dtype)
    if arrays['shapedirs'].shape[2] < 10:
        raise InputError(
            f'{file}: shapedirs has {arrays["shapedirs"].shape[2]} components, expected 10 or more; '
            f'{_WHERE}'
        )
    arrays['shapedirs'] = np.ascontiguousarray(arrays['shapedirs'][:, :, :10])
    faces, parents = arrays['f'], arrays['kintree_table'][0, 1:]
    if faces.size and not 0 <= faces.min() <= faces.max() < vertices[0]:
        raise InputError(
            f'{file}: f points to vertices {faces.min()}..{faces.max()}, there are {vertices[0]}; the '
            f'file is damaged, download it again'
        )
    if (parents < 0).any() or (parents >= np.arange(1, 24)).any():
        raise InputError(
            f'{file}: kintree_table must list every joint after its parent; its parents are '
            f'{parents.tolist()}; {_WHERE}'
        )
    return arrays


def _read_regressor(file: Path, rows: int, vertices: int, body: Path) -> np.ndarray:
    data = read_bytes(
        file, 'SPIN distributes it (https://github.com/nkolot/SPIN); the open body brings its own'
    )
    try:
        value = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # as above
        raise InputError(
            f'{file}: not a plain .npy array ({error}); take the .npy of SPIN'
        ) from error
    if getattr(value, 'shape', None) != (rows, vertices):
        have = getattr(value, 'shape', 'several arrays')
        hint = (
            f'A regressor of 6890 columns is for the SMPL mesh; this body has {vertices} vertices. The open body '
            f'brings its own regressors: leave this argument out'
            if np.shape(value)[-1:] == (6890,) != (vertices,)
            else 'Take the file that belongs to this mesh'
        )
        raise InputError(
            f'{file}: shape {have}, expected ({rows}, {vertices}) for the body {body}. {hint}'
        )
    if value.dtype.kind != 'f' or not np.isfinite(value).all():
        raise InputError(
            f'{file}: must hold finite floats, its dtype is {value.dtype}; take the .npy of SPIN'
        )
    return value.astype(np.float32)
