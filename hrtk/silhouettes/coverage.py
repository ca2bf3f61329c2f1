"""Visible face and barycentric coordinates of every pixel of a batch of meshes: the discrete half of a renderer."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hrtk.errors import InputError
from hrtk.geometry.constants import constant, indices
from hrtk.silhouettes.raster import (
    MIN_AREA,
    NEXT_CORNER,
    PREVIOUS_CORNER,
    edge_functions,
    rasterize,
)

CHUNK = 1 << 24  # candidate pixels that the CUDA path processes at once, about 150 bytes each
NO_KEY = torch.iinfo(torch.int64).max


class Coverage(NamedTuple):
    """The visible surface of every pixel of B images.

    Attributes:
        face: (B, H, W) int64 index of the visible face, -1 in the background.
        barycentric: (B, H, W, 3) weights of the face's corners *on the screen*: the weighted sum of their positions in
            the image is the pixel's centre. 0 in the background.
    """

    face: Tensor
    barycentric: Tensor

    @property
    def mask(self) -> Tensor:
        """(B, H, W) bool, True where a face is visible."""
        return self.face >= 0


class _Triangles(NamedTuple):
    """All N = B * F faces of a batch as edge functions, see the rasteriser's own triangles.

    A face that is not usable has an extent of 0.
    """

    edge_x: Tensor  # (N, 3)
    edge_y: Tensor  # (N, 3)
    edge_1: Tensor  # (N, 3)
    inverse_z: Tensor  # (N, 3)
    low: Tensor  # (N, 2) first column and row
    extent: Tensor  # (N, 2) columns and rows


def check_faces(faces: Tensor, caller: str) -> None:
    """Checks that faces are (F, 3) integers.

    Raises:
        InputError: another shape or dtype; ``caller`` starts the message.
    """
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.is_floating_point():
        raise InputError(
            f'{caller}: `faces` must be (F, 3) integers, got {tuple(faces.shape)} of {faces.dtype}'
        )


@torch.no_grad()
def cover(points: Tensor, faces: Tensor, size: tuple[int, int], farthest: bool = False) -> Coverage:
    """Finds the nearest face at every pixel centre; nothing is differentiable.

    On the CPU this is :func:`hrtk.silhouettes.raster.rasterize`, image by image; on CUDA the same operations in the
    same order for the whole batch at once, without a copy of images to the host. The same faces are skipped as by the
    rasteriser: those with a corner at or behind the camera, a non-finite corner or (almost) no area.

    Args:
        points: (B, V, 3) u and v in pixels, the centre of the top-left pixel being (0, 0), and depth z > 0; or
            (B, V, 2), all at one depth, where the lowest face index is visible.
        faces: (F, 3) integer vertex indices.
        size: (H, W) of the images.
        farthest: find the farthest face instead, the far side of the body.

    Returns:
        The coverage, on the device and (barycentrics) in the dtype of ``points``.

    Raises:
        InputError: points or faces have another shape.
    """
    if points.ndim != 3 or points.shape[2] not in (2, 3):
        raise InputError(
            f'cover: `points` must be (B, V, 2) or (B, V, 3), got {tuple(points.shape)}'
        )
    check_faces(faces, 'cover')
    exact = points.detach().double()
    if exact.shape[2] == 2:
        exact = torch.cat([exact, torch.ones_like(exact[..., :1])], 2)
    elif points.dtype == torch.float64:
        exact = exact.clone()
    if farthest:
        exact[..., 2] = _reversed(exact[..., 2])
    faces = faces.to(points.device, torch.int64)
    if not points.is_cpu:
        face = _fill_batch(exact, faces, size)
    else:
        face = _fill_each(exact, faces, size)
    return Coverage(face, _screen_weights(exact, faces, face).to(points.dtype))


def to_vertices(
    coverage: Coverage, faces: Tensor, count: int, image: Tensor, pixel: Tensor, gradient: Tensor
) -> Tensor:
    """Distributes gradients at covered pixels to the corners of the visible faces.

    A pixel's material point is ``sum_k b_k v_k`` with its barycentrics b held fixed; if ``gradient`` is the gradient
    by material points, the result is the gradient by vertices.

    Args:
        coverage: of B images.
        faces: (F, 3), on the same device.
        count: V, the number of vertices.
        image: (N,) indices into the batch.
        pixel: (N,) indices into the flattened images; pixels of the background add nothing.
        gradient: (N, C).

    Returns:
        (B, V, C).
    """
    face = coverage.face.flatten(1)[image, pixel]
    weights = coverage.barycentric.flatten(1, 2)[image, pixel].to(gradient.dtype)
    corners = faces[face.clamp_min(0)] + (image * count)[:, None]
    total = gradient.new_zeros(len(coverage.face) * count, gradient.shape[1])
    weighted = weights[..., None] * gradient[:, None]  # 0 in the background
    total.index_add_(0, corners.flatten(), weighted.flatten(0, 1))
    return total.view(-1, count, gradient.shape[1])


def _reversed(depth: Tensor) -> Tensor:
    """Depths (B, V) in reverse order; those that are not finite or not positive become -1."""
    usable = depth.isfinite() & (depth > 0)
    nearest = torch.where(usable, depth, torch.inf).amin(1, keepdim=True)
    farthest = torch.where(usable, depth, 0.0).amax(1, keepdim=True)
    return torch.where(usable, nearest + farthest - depth, -1.0)


def _fill_each(points: Tensor, faces: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, H, W) visible faces by the rasteriser of the CPU."""
    indices = faces.numpy()
    visible = [rasterize(body, indices, *size).face for body in points.numpy()]
    return torch.from_numpy(np.stack(visible)).long()


def _fill_batch(points: Tensor, faces: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, H, W) visible faces by the z-buffer of hrtk.silhouettes.raster over all candidate pixels, in torch."""
    height, width = size
    triangles = _set_up(points, faces, size)
    nearest = torch.full((len(points) * height * width,), NO_KEY, device=points.device)
    # One copy of the counts to the host decides the sizes of the chunks; no image is copied.
    ends = triangles.extent.prod(1).cumsum(0)
    total = int(ends[-1]) if len(ends) else 0
    for start in range(0, total, CHUNK):
        candidate = torch.arange(start, min(start + CHUNK, total), device=points.device)
        k = torch.searchsorted(ends, candidate, right=True)
        columns, rows = triangles.extent[k].unbind(1)
        offset = candidate - ends[k] + columns * rows
        row = triangles.low[k, 1] + offset // columns
        column = triangles.low[k, 0] + offset % columns
        depth, hit = _depth(triangles, k, row, column)
        # The bits of positive floats sort as the floats do: depth in the high half, lowest face index first.
        bits = depth.view(torch.int32).long()
        key = (bits << 32) | (k % len(faces))
        key = torch.where(hit, key, NO_KEY)
        image = k // len(faces)
        pixel = (image * height + row) * width + column
        nearest.scatter_reduce_(0, pixel, key, 'amin')
    face = torch.where(nearest != NO_KEY, nearest & 0xFFFFFFFF, -1)
    return face.view(len(points), height, width)


def _set_up(points: Tensor, faces: Tensor, size: tuple[int, int]) -> _Triangles:
    height, width = size
    limit = constant((float(width), float(height)), points)
    corners = points[:, faces].flatten(0, 1)
    usable = (corners.isfinite().all(2) & (corners[..., 2] > 0)).all(1)
    corners = corners.where(usable[:, None, None], torch.ones_like(corners))
    xy = corners[..., :2]
    low = xy.amin(1).ceil().clamp_min(0).minimum(limit).long()
    high = (xy.amax(1).floor() + 1).clamp_min(0).minimum(limit).long()
    following = indices(tuple(NEXT_CORNER), points)
    preceding = indices(tuple(PREVIOUS_CORNER), points)
    edge_x, edge_y, edge_1, area = edge_functions(
        corners[..., 0], corners[..., 1], following, preceding
    )
    usable &= area.abs() > MIN_AREA
    sign = area.sign()[:, None]
    extent = (high - low).clamp_min(0) * usable[:, None]
    return _Triangles(
        edge_x=edge_x * sign,
        edge_y=edge_y * sign,
        edge_1=edge_1 * sign,
        inverse_z=1 / corners[..., 2],
        low=low,
        extent=extent,
    )


def _depth(triangles: _Triangles, k: Tensor, row: Tensor, column: Tensor) -> tuple[Tensor, Tensor]:
    """Float32 depth (N,) of triangles k at pixels, and whether (N,) the triangles cover the pixels' centres."""
    row_values = triangles.edge_y[k] * row[:, None] + triangles.edge_1[k]
    e = triangles.edge_x[k] * column[:, None] + row_values
    weight = e * triangles.inverse_z[k]
    depth = (_row_sum(e) / _row_sum(weight)).float()
    return depth, (e >= 0).all(1) & depth.isfinite()


def _row_sum(values: Tensor) -> Tensor:
    # In the order of the rasteriser's sum, for the same bits.
    return values[:, 0] + values[:, 1] + values[:, 2]


def _screen_weights(points: Tensor, faces: Tensor, face: Tensor) -> Tensor:
    """Affine barycentrics (B, H, W, 3) of every covered pixel's centre in its face."""
    covered = face >= 0
    image, y, x = covered.nonzero(as_tuple=True)
    corners = points[image[:, None], faces[face[covered]], :2]
    offsets = corners - torch.stack([x, y], 1)[:, None]
    following = indices(tuple(NEXT_CORNER), points)
    preceding = indices(tuple(PREVIOUS_CORNER), points)
    areas = _cross(offsets[:, following], offsets[:, preceding])
    weights = points.new_zeros(*face.shape, 3)
    weights[covered] = areas / areas.sum(1, keepdim=True)
    return weights


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
