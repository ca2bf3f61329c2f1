"""A z-buffer for triangle meshes on the CPU: visible face, barycentric coordinates and depth of every pixel.

Edge functions and perspective-correct interpolation follow Pineda, "A parallel algorithm for polygon rasterization",
SIGGRAPH 1988, and Blinn, "Hyperbolic interpolation", 1992. Two backends, numpy and numba, do the same float64
operations in the same order and return the same bits; numba is an optional dependency and only faster.
"""

from __future__ import annotations

import functools
import importlib.util
from typing import Any, Callable, NamedTuple

import numpy as np

from hrtk.errors import InputError

MIN_AREA = 1e-8  # px^2; the barycentrics of a thinner triangle are not usable, and it covers no pixel centre
CHUNK = 1 << 20  # candidate pixels that the numpy backend processes at once, about 60 bytes each
# Corner i of a face lies opposite of the edge between these two of its corners.
NEXT_CORNER = [1, 2, 0]
PREVIOUS_CORNER = [2, 0, 1]
NO_KEY = np.iinfo(np.uint64).max


class Fragments(NamedTuple):
    """The visible surface of every pixel.

    Attributes:
        face: (H, W) int32 index of the visible face, -1 in the background.
        barycentric: (H, W, 3) float32 perspective-correct weights of the face's corners, 0 in the background.
        depth: (H, W) float32 z of the surface in the unit of the input, inf in the background.
    """

    face: np.ndarray
    barycentric: np.ndarray
    depth: np.ndarray

    @property
    def mask(self) -> np.ndarray:
        """(H, W) bool, True where a face is visible."""
        return self.face >= 0


class _Triangles(NamedTuple):
    """K usable faces as edge functions ``e_i(x, y) = edge_x[i] * x + (edge_y[i] * y + edge_1[i])``.

    ``e_i`` is zero on the edge opposite of corner i and positive inside. Reversing an edge negates its coefficients
    exactly, so that adjacent faces leave no gap between them, whatever their shape.
    """

    face: np.ndarray  # (K,) index in the mesh
    edge_x: np.ndarray  # (K, 3)
    edge_y: np.ndarray  # (K, 3)
    edge_1: np.ndarray  # (K, 3)
    inverse_z: np.ndarray  # (K, 3)
    low: np.ndarray  # (K, 2) first column and row
    high: np.ndarray  # (K, 2) last column and row, plus 1


def rasterize(
    points: np.ndarray, faces: np.ndarray, height: int, width: int, backend: str = 'auto'
) -> Fragments:
    """Finds the nearest face at every pixel centre.

    A face with a corner at or behind the camera (z <= 0), a non-finite corner or (almost) no area is skipped as a
    whole; there is no clipping and no culling by winding. At equal float32 depth the lowest face index is visible.

    Args:
        points: (V, 3) u and v in pixels, the centre of the top-left pixel being (0, 0), and depth z > 0.
        faces: (F, 3) integer vertex indices.
        height: rows of the image.
        width: columns of the image.
        backend: ``'numpy'``, ``'numba'``, or ``'auto'``, which is numba where that is installed. Same result.

    Raises:
        InputError: points or faces have another shape, the backend is unknown, or numba is requested and missing.
    """
    points = np.asarray(points, np.float64)
    faces = np.asarray(faces)
    if points.ndim != 2 or points.shape[1] != 3:
        raise InputError(f'rasterize: `points` must be (V, 3), got {points.shape}')
    if faces.ndim != 2 or faces.shape[1] != 3 or not np.issubdtype(faces.dtype, np.integer):
        raise InputError(
            f'rasterize: `faces` must be (F, 3) integers, got {faces.shape} of {faces.dtype}'
        )
    fill = _backend(backend)
    fragments = Fragments(
        face=np.full((height, width), -1, np.int32),
        barycentric=np.zeros((height, width, 3), np.float32),
        depth=np.full((height, width), np.inf, np.float32),
    )
    fill(*_set_up(points, faces, height, width), *fragments)
    return fragments


def interpolate(fragments: Fragments, faces: np.ndarray, attributes: np.ndarray) -> np.ndarray:
    """Interpolates (V, C) values of the vertices over the visible surface.

    Returns:
        (H, W, C) float32, 0 in the background.
    """
    attributes = np.asarray(attributes, np.float32)
    mask = fragments.mask
    corners = np.asarray(faces)[fragments.face[mask]]
    weights = fragments.barycentric[mask]
    values = np.zeros((len(weights), attributes.shape[1]), np.float32)
    for corner in range(3):
        values += attributes[corners[:, corner]] * weights[:, corner, None]
    image = np.zeros((*mask.shape, attributes.shape[1]), np.float32)
    image[mask] = values
    return image


def mean_over_samples(
    fragments: Fragments,
    faces: np.ndarray,
    attributes: np.ndarray,
    samples: int,
    backend: str = 'auto',
) -> np.ndarray:
    """Interpolates (V, C) values of the vertices and averages them over blocks of fine pixels: antialiasing.

    Args:
        fragments: of an image whose sides are multiples of ``samples``.
        faces: (F, 3) vertex indices.
        attributes: (V, C).
        samples: side of a block, fine pixels.
        backend: as of :func:`rasterize`; both give the same bits.

    Returns:
        (H / samples, W / samples, C + 1) float32: the mean of the values, counted as 0 in the background, and last
        the covered share of the block, in [0, 1].
    """
    values = np.ascontiguousarray(attributes, np.float32)
    height, width = fragments.face.shape
    sums = np.zeros((height // samples, width // samples, values.shape[1] + 1), np.float32)
    arguments = (fragments.face, fragments.barycentric, np.asarray(faces), values, samples, sums)
    if _backend(backend) is _fill_numpy:
        _sum_samples_numpy(*arguments)
    else:
        _compile(_sum_samples_loops)(*arguments)
    return sums / np.float32(samples * samples)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Computes area-weighted unit normals of the vertices, on the side where the faces run counter-clockwise.

    Args:
        vertices: (V, 3) or (B, V, 3).
        faces: (F, 3) integer vertex indices.

    Returns:
        Normals of the shape and dtype of ``vertices``; 0 for a vertex of no face.
    """
    vertices = np.asarray(vertices)
    faces = np.asarray(faces)
    batch = vertices.reshape(-1, *vertices.shape[-2:])
    a = batch[:, faces[:, 0]]
    b = batch[:, faces[:, 1]]
    c = batch[:, faces[:, 2]]
    face_normals = np.cross(b - a, c - a)
    corners = np.arange(len(batch))[:, None, None] * batch.shape[1] + faces.T
    normals = np.empty((batch.shape[0] * batch.shape[1], 3), vertices.dtype)
    for axis in range(3):
        weights = np.broadcast_to(face_normals[:, None, :, axis], corners.shape)
        normals[:, axis] = np.bincount(corners.ravel(), weights.ravel(), len(normals))
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    unit_normals = np.zeros_like(normals)
    np.divide(normals, lengths, out=unit_normals, where=lengths > 0)
    return unit_normals.reshape(vertices.shape)


def edge_functions(
    x: Any, y: Any, next_corner: Any = NEXT_CORNER, previous_corner: Any = PREVIOUS_CORNER
) -> tuple[Any, Any, Any, Any]:
    """Computes the coefficients of the edge functions of K triangles, before the choice of their sign.

    Args:
        x: (K, 3) of the corners, px; an array or a tensor.
        y: (K, 3).
        next_corner: (3,) the indices of this module, as a tensor where the corners are tensors.
        previous_corner: (3,).

    Returns:
        edge_x, edge_y and edge_1 (K, 3), and twice the signed area (K,).
    """
    next_x = x[:, next_corner]
    next_y = y[:, next_corner]
    previous_x = x[:, previous_corner]
    previous_y = y[:, previous_corner]
    edge_x = next_y - previous_y
    edge_y = previous_x - next_x
    edge_1 = next_x * previous_y - previous_x * next_y
    # From differences: the sum of edge_1 is inexact for a small triangle far from the corner of the image.
    area = edge_x[:, 1] * edge_y[:, 2] - edge_x[:, 2] * edge_y[:, 1]
    return edge_x, edge_y, edge_1, area


def _backend(name: str) -> Callable[..., None]:
    if name == 'auto':
        name = 'numpy' if importlib.util.find_spec('numba') is None else 'numba'
    if name == 'numpy':
        return _fill_numpy
    if name == 'numba':
        return _compile(_fill_loops)
    raise InputError(f'rasterize: there is no backend {name!r}; use auto, numpy or numba')


@functools.cache
def _compile(loops: Callable[..., None]) -> Callable[..., None]:
    """A function of this module, compiled by numba."""
    try:
        import numba
    except ImportError as error:
        raise InputError(
            "rasterize: backend 'numba' is not installed; install numba, or use auto or numpy"
        ) from error
    try:
        return numba.njit(cache=True, nogil=True, error_model='numpy')(loops)
    except RuntimeError:
        # No writable folder for the cache: every process compiles for itself.
        return numba.njit(nogil=True, error_model='numpy')(loops)


def _set_up(points: np.ndarray, faces: np.ndarray, height: int, width: int) -> _Triangles:
    """Edge functions, reciprocal depths and pixel ranges of the usable faces that touch the image."""
    in_front = np.isfinite(points).all(1) & (points[:, 2] > 0)
    face = np.flatnonzero(in_front[faces].all(1))
    corners = points[faces[face]]
    size = np.array([width, height], np.float64)
    low = np.ceil(corners[..., :2].min(1)).clip(0, size).astype(np.int64)
    high = (np.floor(corners[..., :2].max(1)) + 1).clip(0, size).astype(np.int64)
    edge_x, edge_y, edge_1, area = edge_functions(corners[..., 0], corners[..., 1])
    usable = np.flatnonzero((np.abs(area) > MIN_AREA) & (high > low).all(1))
    sign = np.sign(area[usable])[:, None]
    return _Triangles(
        face=face[usable].astype(np.int32),
        edge_x=edge_x[usable] * sign,
        edge_y=edge_y[usable] * sign,
        edge_1=edge_1[usable] * sign,
        inverse_z=1 / corners[usable, :, 2],
        low=low[usable],
        high=high[usable],
    )


def _fill_loops(
    triangle_face: np.ndarray,
    edge_x: np.ndarray,
    edge_y: np.ndarray,
    edge_1: np.ndarray,
    inverse_z: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    face: np.ndarray,
    barycentric: np.ndarray,
    depth: np.ndarray,
) -> None:
    """Fills fragments by loops over pixels, for numba; the arguments are the fields of _Triangles and Fragments."""
    for k in range(len(triangle_face)):
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
                w0 = e0 * inverse_z[k, 0]
                w1 = e1 * inverse_z[k, 1]
                w2 = e2 * inverse_z[k, 2]
                total = w0 + w1 + w2
                z = np.float32((e0 + e1 + e2) / total)
                if z < depth[y, x]:
                    depth[y, x] = z
                    face[y, x] = triangle_face[k]
                    barycentric[y, x, 0] = w0 / total
                    barycentric[y, x, 1] = w1 / total
                    barycentric[y, x, 2] = w2 / total


def _fill_numpy(*arguments: np.ndarray) -> None:
    """Fills fragments without loops over pixels; the arguments are those of :func:`_fill_loops`."""
    triangles = _Triangles(*arguments[:7])
    fragments = Fragments(*arguments[7:])
    width = fragments.face.shape[1]
    nearest = _nearest_triangles(triangles, fragments.face.size, width)
    visible = np.flatnonzero(nearest != NO_KEY)
    k = (nearest[visible] & np.uint64(0xFFFFFFFF)).astype(np.int64)
    y, x = np.divmod(visible, width)
    row = _edge_values_of_rows(triangles, k, y)
    e = [triangles.edge_x[k, i] * x + row[i] for i in range(3)]
    weights, total, depth = _weights(triangles, k, e)
    barycentric = np.stack([weight / total for weight in weights], axis=1)
    fragments.face.reshape(-1)[visible] = triangles.face[k]
    fragments.depth.reshape(-1)[visible] = depth
    fragments.barycentric.reshape(-1, 3)[visible] = barycentric


def _nearest_triangles(triangles: _Triangles, pixels: int, width: int) -> np.ndarray:
    """(pixels,) uint64 keys: float32 depth in the high half, position of the triangle in the low half."""
    nearest = np.full(pixels, NO_KEY, np.uint64)
    extent = triangles.high - triangles.low
    triangle_of_row, y = _ranges(triangles.low[:, 1], extent[:, 1])
    candidates = np.cumsum(extent[triangle_of_row, 0])
    total = candidates[-1] if len(candidates) else 0
    cuts = np.searchsorted(candidates, np.arange(CHUNK, total, CHUNK))
    for k, row in zip(np.split(triangle_of_row, cuts), np.split(y, cuts)):
        row_values = _edge_values_of_rows(triangles, k, row)
        index, x = _ranges(triangles.low[k, 0], extent[k, 0])
        e = [triangles.edge_x[k, i][index] * x + row_values[i][index] for i in range(3)]
        inside = np.flatnonzero((e[0] >= 0) & (e[1] >= 0) & (e[2] >= 0))
        index = index[inside]
        pixel = row[index] * width + x[inside]
        k = k[index]
        _, _, depth = _weights(triangles, k, [value[inside] for value in e])
        finite = np.isfinite(depth)
        # The bits of positive floats sort as the floats do.
        bits = depth[finite].view(np.uint32).astype(np.uint64)
        key = (bits << np.uint64(32)) | k[finite].astype(np.uint64)
        np.minimum.at(nearest, pixel[finite], key)
    return nearest


def _ranges(start: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Concatenates the ranges ``start[k] ... start[k] + count[k] - 1``; returns every number's k and the numbers."""
    k = np.repeat(np.arange(len(start)), count)
    first = np.cumsum(count) - count
    return k, np.arange(len(k)) + (start - first)[k]


def _edge_values_of_rows(triangles: _Triangles, k: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    return [triangles.edge_y[k, i] * y + triangles.edge_1[k, i] for i in range(3)]


def _weights(
    triangles: _Triangles, k: np.ndarray, e: list[np.ndarray]
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Edge values divided by depth, their sum, and the float32 depth of the surface."""
    weights = [e[i] * triangles.inverse_z[k, i] for i in range(3)]
    total = weights[0] + weights[1] + weights[2]
    with np.errstate(all='ignore'):  # non-finite depths are skipped, as in the loops
        depth = ((e[0] + e[1] + e[2]) / total).astype(np.float32)
    return weights, total, depth


def _sum_samples_loops(
    face: np.ndarray,
    barycentric: np.ndarray,
    faces: np.ndarray,
    values: np.ndarray,
    samples: int,
    sums: np.ndarray,
) -> None:
    """Adds the values and the number of covered fine pixels of every block, by loops, for numba."""
    channels = values.shape[1]
    for y in range(sums.shape[0] * samples):
        for x in range(sums.shape[1] * samples):
            visible = face[y, x]
            if visible < 0:
                continue
            block = sums[y // samples, x // samples]
            a = faces[visible, 0]
            b = faces[visible, 1]
            c = faces[visible, 2]
            for channel in range(channels):
                value = barycentric[y, x, 0] * values[a, channel]
                value += barycentric[y, x, 1] * values[b, channel]
                value += barycentric[y, x, 2] * values[c, channel]
                block[channel] += value
            block[channels] += np.float32(1)


def _sum_samples_numpy(
    face: np.ndarray,
    barycentric: np.ndarray,
    faces: np.ndarray,
    values: np.ndarray,
    samples: int,
    sums: np.ndarray,
) -> None:
    """The same sums in the same order, without loops over pixels."""
    height, width = sums.shape[0] * samples, sums.shape[1] * samples
    blocks = sums.reshape(-1, sums.shape[2])
    for row in range(samples):
        for column in range(samples):
            of_blocks = face[row:height:samples, column:width:samples].reshape(-1)
            weights = barycentric[row:height:samples, column:width:samples].reshape(-1, 3)
            visible = np.flatnonzero(of_blocks >= 0)
            corners = faces[of_blocks[visible]]
            total = weights[visible, 0, None] * values[corners[:, 0]]
            for corner in (1, 2):
                total += weights[visible, corner, None] * values[corners[:, corner]]
            blocks[visible, :-1] += total
            blocks[visible, -1] += 1
