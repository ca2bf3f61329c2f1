"""A z-buffer for triangle meshes on the CPU: which face does each pixel see, where in it, how far away.

Edge functions and perspective-correct interpolation follow Pineda, "A parallel algorithm for polygon rasterization",
SIGGRAPH 1988, and Blinn, "Hyperbolic interpolation", 1992. Two backends, numpy and numba, do the same float64
operations in the same order and give the same bits; numba is an optional dependency and only faster.
"""

from __future__ import annotations

import functools
import importlib.util
from typing import Callable, NamedTuple

import numpy as np

from hrtk.errors import InputError

MIN_AREA = 1e-8  # px^2; a thinner triangle has no usable barycentrics and covers no pixel centre worth having
CHUNK = 1 << 20  # candidate pixels that the numpy backend holds at once, about 60 bytes each


class Fragments(NamedTuple):
    """What is seen through each pixel.

    Attributes:
        face: (H, W) int32 index of the visible face, -1 where there is none.
        barycentric: (H, W, 3) float32 perspective-correct weights of the face's corners, 0 in the background.
        depth: (H, W) float32 z of the surface in the unit of the input, inf in the background.
    """

    face: np.ndarray
    barycentric: np.ndarray
    depth: np.ndarray

    @property
    def mask(self) -> np.ndarray:
        """(H, W) bool, True where any face is seen."""
        return self.face >= 0


class _Triangles(NamedTuple):
    """K faces that can be seen, as edge functions ``e_i(x, y) = edge_x[i] * x + (edge_y[i] * y + edge_1[i])``.

    ``e_i`` is zero on the edge opposite of corner i and positive inside. Reversing an edge negates its coefficients
    exactly, so that neighbours of any shape leave no gap between them.
    """

    index: np.ndarray
    edge_x: np.ndarray
    edge_y: np.ndarray
    edge_1: np.ndarray
    inverse_z: np.ndarray
    low: np.ndarray
    high: np.ndarray


def rasterize(
    points: np.ndarray, faces: np.ndarray, height: int, width: int, backend: str = 'auto'
) -> Fragments:
    """Finds the nearest face through every pixel centre.

    A face with a corner at or behind the camera (z <= 0), a non-finite corner or (almost) no area is left out whole;
    nothing is clipped and nothing is culled by its winding. At equal float32 depth the lowest face index wins.

    Args:
        points: (V, 3) u and v in pixels, the centre of the top-left pixel being (0, 0), and depth z > 0.
        faces: (F, 3) integer vertex indices.
        height: rows of the picture.
        width: columns of the picture.
        backend: ``'numpy'``, ``'numba'``, or ``'auto'``, which is numba where that is installed. Same result.

    Raises:
        InputError: points or faces have another shape, the backend is unknown, or numba is wanted and missing.
    """
    points, faces = np.asarray(points, np.float64), np.asarray(faces)
    if points.ndim != 2 or points.shape[1] != 3:
        raise InputError(f'rasterize: `points` must be (V, 3), got {points.shape}')
    if faces.ndim != 2 or faces.shape[1] != 3 or not np.issubdtype(faces.dtype, np.integer):
        raise InputError(
            f'rasterize: `faces` must be (F, 3) integers, got {faces.shape} of {faces.dtype}'
        )
    fill = _backend(backend)
    fragments = Fragments(
        np.full((height, width), -1, np.int32),
        np.zeros((height, width, 3), np.float32),
        np.full((height, width), np.inf, np.float32),
    )
    fill(*_set_up(points, faces, height, width), *fragments)
    return fragments


def interpolate(fragments: Fragments, faces: np.ndarray, attributes: np.ndarray) -> np.ndarray:
    """Spreads (V, C) values of the vertices over the visible surface.

    Returns:
        (H, W, C) float32, 0 in the background.
    """
    attributes = np.asarray(attributes, np.float32)
    seen = fragments.mask
    corners, weights = np.asarray(faces)[fragments.face[seen]], fragments.barycentric[seen]
    image = np.zeros((*seen.shape, attributes.shape[1]), np.float32)
    image[seen] = sum(attributes[corners[:, i]] * weights[:, i, None] for i in range(3))
    return image


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Area-weighted unit normals of the vertices, on the side from which the faces run counter-clockwise.

    Args:
        vertices: (V, 3) or (B, V, 3).
        faces: (F, 3) integer vertex indices.

    Returns:
        Normals of the shape and dtype of ``vertices``; 0 for a vertex of no face.
    """
    vertices, faces = np.asarray(vertices), np.asarray(faces)
    batch = vertices.reshape(-1, *vertices.shape[-2:])
    a, b, c = (batch[:, faces[:, i]] for i in range(3))
    face_normals = np.cross(b - a, c - a)
    target = np.arange(len(batch))[:, None, None] * batch.shape[1] + faces.T
    normals = np.empty((batch.shape[0] * batch.shape[1], 3), vertices.dtype)
    for axis in range(3):
        weights = np.broadcast_to(face_normals[:, None, :, axis], target.shape)
        normals[:, axis] = np.bincount(target.ravel(), weights.ravel(), len(normals))
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.divide(normals, lengths, out=np.zeros_like(normals), where=lengths > 0).reshape(
        vertices.shape
    )


def _backend(name: str) -> Callable[..., None]:
    if name == 'auto':
        name = 'numpy' if importlib.util.find_spec('numba') is None else 'numba'
    if name == 'numpy':
        return _fill_numpy
    if name == 'numba':
        return _compiled()
    raise InputError(f'rasterize: there is no backend {name!r}; use auto, numpy or numba')


@functools.cache
def _compiled() -> Callable[..., None]:
    try:
        import numba
    except ImportError as error:
        raise InputError(
            "rasterize: backend 'numba' is not installed; install numba, or use auto or numpy"
        ) from error
    try:
        return numba.njit(cache=True, nogil=True, error_model='numpy')(_fill_loops)
    except (
        RuntimeError
    ):  # neither the package folder nor the home can be written, so compile in every process
        return numba.njit(nogil=True, error_model='numpy')(_fill_loops)


def _set_up(points: np.ndarray, faces: np.ndarray, height: int, width: int) -> _Triangles:
    """Edge functions, reciprocal depths and pixel ranges [low, high) of the faces that touch the picture."""
    usable = (np.isfinite(points).all(1) & (points[:, 2] > 0))[faces].all(1)
    index = np.flatnonzero(usable)
    corners = points[faces[index]]
    x, y = corners[..., 0], corners[..., 1]
    size = np.array([width, height], np.float64)
    low = np.ceil(corners[..., :2].min(1)).clip(0, size).astype(np.int64)
    high = (np.floor(corners[..., :2].max(1)) + 1).clip(0, size).astype(np.int64)
    following, last = [1, 2, 0], [2, 0, 1]
    edge_x = y[:, following] - y[:, last]
    edge_y = x[:, last] - x[:, following]
    edge_1 = x[:, following] * y[:, last] - x[:, last] * y[:, following]
    # From differences: summing edge_1 would lose a small triangle far from the corner of the picture.
    area = edge_x[:, 1] * edge_y[:, 2] - edge_x[:, 2] * edge_y[:, 1]
    keep = np.flatnonzero((np.abs(area) > MIN_AREA) & (high > low).all(1))
    sign = np.sign(area[keep])[:, None]
    return _Triangles(
        index[keep].astype(np.int32),
        edge_x[keep] * sign,
        edge_y[keep] * sign,
        edge_1[keep] * sign,
        1 / corners[keep, :, 2],
        low[keep],
        high[keep],
    )


def _fill_loops(
    index, edge_x, edge_y, edge_1, inverse_z, low, high, face, barycentric, depth
) -> None:
    """The z-buffer as plain loops, to be compiled; arguments are _Triangles and Fragments, the latter filled."""
    for k in range(len(index)):
        for y in range(low[k, 1], high[k, 1]):
            row0 = edge_y[k, 0] * y + edge_1[k, 0]
            row1 = edge_y[k, 1] * y + edge_1[k, 1]
            row2 = edge_y[k, 2] * y + edge_1[k, 2]
            for x in range(low[k, 0], high[k, 0]):
                e0 = edge_x[k, 0] * x + row0
                e1 = edge_x[k, 1] * x + row1
                e2 = edge_x[k, 2] * x + row2
                if e0 < 0 or e1 < 0 or e2 < 0:
                    continue
                w0, w1, w2 = e0 * inverse_z[k, 0], e1 * inverse_z[k, 1], e2 * inverse_z[k, 2]
                total = w0 + w1 + w2
                z = np.float32((e0 + e1 + e2) / total)
                if z < depth[y, x]:
                    depth[y, x] = z
                    face[y, x] = index[k]
                    barycentric[y, x, 0] = w0 / total
                    barycentric[y, x, 1] = w1 / total
                    barycentric[y, x, 2] = w2 / total


def _fill_numpy(*arguments: np.ndarray) -> None:
    """The same without loops over pixels: all candidates of many rows at once, the nearest by one 64-bit key."""
    triangles, fragments = _Triangles(*arguments[:7]), Fragments(*arguments[7:])
    width = fragments.face.shape[1]
    nearest = np.full(fragments.face.size, np.iinfo(np.uint64).max, np.uint64)
    extent = triangles.high - triangles.low
    of_row, y = _ranges(triangles.low[:, 1], extent[:, 1])
    done = np.cumsum(extent[of_row, 0])
    cuts = np.searchsorted(done, np.arange(CHUNK, done[-1] if len(done) else 0, CHUNK))
    for k, row in zip(np.split(of_row, cuts), np.split(y, cuts)):
        bases = _row_bases(triangles, k, row)
        of_pixel, x = _ranges(triangles.low[k, 0], extent[k, 0])
        e = [triangles.edge_x[k, i][of_pixel] * x + bases[i][of_pixel] for i in range(3)]
        inside = np.flatnonzero((e[0] >= 0) & (e[1] >= 0) & (e[2] >= 0))
        k, pixel = k[of_pixel[inside]], row[of_pixel[inside]] * width + x[inside]
        _, _, z = _weights(triangles, k, [value[inside] for value in e])
        ok = np.isfinite(z)
        # Positive floats sort like their bits: depth in the high half, the position of the face breaks ties.
        key = (z[ok].view(np.uint32).astype(np.uint64) << np.uint64(32)) | k[ok].astype(np.uint64)
        np.minimum.at(nearest, pixel[ok], key)
    seen = np.flatnonzero(nearest != np.iinfo(np.uint64).max)
    k = (nearest[seen] & np.uint64(0xFFFFFFFF)).astype(np.int64)
    y, x = np.divmod(seen, width)
    bases = _row_bases(triangles, k, y)
    weights, total, z = _weights(
        triangles, k, [triangles.edge_x[k, i] * x + bases[i] for i in range(3)]
    )
    fragments.face.reshape(-1)[seen] = triangles.index[k]
    fragments.depth.reshape(-1)[seen] = z
    fragments.barycentric.reshape(-1, 3)[seen] = np.stack([w / total for w in weights], axis=1)


def _ranges(start: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Joins ``start[k], start[k] + 1, ...`` (count[k] numbers) over all k; also says which k each came from."""
    owner = np.repeat(np.arange(len(start)), count)
    return owner, np.arange(len(owner)) + (start - (np.cumsum(count) - count))[owner]


def _row_bases(triangles: _Triangles, k: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    return [triangles.edge_y[k, i] * y + triangles.edge_1[k, i] for i in range(3)]


def _weights(
    triangles: _Triangles, k: np.ndarray, e: list[np.ndarray]
) -> tuple[list, np.ndarray, np.ndarray]:
    """Edge values over depth, their sum, and the float32 depth of the surface."""
    weights = [e[i] * triangles.inverse_z[k, i] for i in range(3)]
    total = weights[0] + weights[1] + weights[2]
    with np.errstate(all='ignore'):  # what comes out non-finite is dropped, as in the loops
        return weights, total, ((e[0] + e[1] + e[2]) / total).astype(np.float32)
