"""Which face does each pixel of a batch of pictures see, and which point of it: the discrete half of a renderer."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hrtk.errors import InputError
from hrtk.geometry.raster import MIN_AREA, rasterize

CHUNK = 1 << 24  # candidate pixels that the CUDA path holds at once, about 150 bytes each


class Coverage(NamedTuple):
    """What is seen through each pixel of B pictures.

    Attributes:
        face: (B, H, W) int64 index of the visible face, -1 where there is none.
        barycentric: (B, H, W, 3) weights of the face's corners *on the screen*: the weighted sum of their picture
            positions is the pixel's centre. 0 in the background.
    """

    face: Tensor
    barycentric: Tensor

    @property
    def mask(self) -> Tensor:
        """(B, H, W) bool, True where any face is seen."""
        return self.face >= 0


@torch.no_grad()
def cover(points: Tensor, faces: Tensor, size: tuple[int, int], farthest: bool = False) -> Coverage:
    """Finds the nearest face through every pixel centre; nothing is differentiable.

    On the CPU this is :func:`hrtk.geometry.raster.rasterize`, picture by picture; on CUDA the same operations in the
    same order for the whole batch at once, without the picture leaving the device. Which faces count is the
    rasteriser's: those with a corner at or behind the camera, a non-finite corner or (almost) no area do not.

    Args:
        points: (B, V, 3) u and v in pixels, the centre of the top-left pixel being (0, 0), and depth z > 0; or
            (B, V, 2), all at one depth, where the lowest face index wins.
        faces: (F, 3) integer vertex indices.
        size: (H, W) of the pictures.
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
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.is_floating_point():
        raise InputError(
            f'cover: `faces` must be (F, 3) integers, got {tuple(faces.shape)} of {faces.dtype}'
        )
    exact = points.detach().double()
    if exact.shape[2] == 2:
        exact = torch.cat([exact, torch.ones_like(exact[..., :1])], 2)
    elif points.dtype == torch.float64:
        exact = exact.clone()
    if farthest:
        exact[..., 2] = _mirrored(exact[..., 2])
    faces = faces.to(points.device, torch.int64)
    face = _fill_batch(exact, faces, size) if points.is_cuda else _fill_each(exact, faces, size)
    return Coverage(face, _screen_weights(exact, faces, face).to(points.dtype))


def to_vertices(
    coverage: Coverage, faces: Tensor, count: int, picture: Tensor, pixel: Tensor, pull: Tensor
) -> Tensor:
    """Hands vectors at covered pixels on to the corners of the faces seen there.

    A pixel's material point is ``sum_k b_k v_k`` with its barycentrics b held fixed; if ``pull`` is the gradient of
    something by material points, this is its gradient by vertices.

    Args:
        coverage: of B pictures.
        faces: (F, 3), on the same device.
        count: V, the number of vertices.
        picture: (N,) indices into the batch.
        pixel: (N,) indices into the flattened pictures; what lies in the background is left out.
        pull: (N, C).

    Returns:
        (B, V, C).
    """
    face = coverage.face.flatten(1)[picture, pixel]
    weights = coverage.barycentric.flatten(1, 2)[picture, pixel].to(
        pull.dtype
    )  # 0 in the background
    corners = faces[face.clamp_min(0)] + (picture * count)[:, None]
    total = pull.new_zeros(len(coverage.face) * count, pull.shape[1])
    total.index_add_(0, corners.flatten(), (weights[..., None] * pull[:, None]).flatten(0, 1))
    return total.view(-1, count, pull.shape[1])


def _mirrored(depth: Tensor) -> Tensor:
    """Depths in reverse order, (B, V); those that are no depths stay so."""
    usable = depth.isfinite() & (depth > 0)
    nearest = depth.where(usable, depth.new_tensor(torch.inf)).amin(1, keepdim=True)
    farthest = depth.where(usable, depth.new_tensor(0.0)).amax(1, keepdim=True)
    return torch.where(usable, nearest + farthest - depth, -1.0)


def _fill_each(points: Tensor, faces: Tensor, size: tuple[int, int]) -> Tensor:
    indices = faces.numpy()
    return torch.from_numpy(
        np.stack([rasterize(body, indices, *size).face for body in points.numpy()])
    ).long()


def _fill_batch(points: Tensor, faces: Tensor, size: tuple[int, int]) -> Tensor:
    """The z-buffer of hrtk.geometry.raster over all candidate pixels of the batch, in torch."""
    height, width = size
    batch, count = len(points), len(faces)
    limit = points.new_tensor([width, height])
    corners = points[:, faces].flatten(0, 1)
    usable = (corners.isfinite().all(2) & (corners[..., 2] > 0)).all(1)
    corners = corners.where(usable[:, None, None], torch.ones_like(corners))
    x, y, z = corners.unbind(2)
    low = corners[..., :2].amin(1).ceil().clamp_min(0).minimum(limit).long()
    high = (corners[..., :2].amax(1).floor() + 1).clamp_min(0).minimum(limit).long()
    following, last = [1, 2, 0], [2, 0, 1]
    edge_x, edge_y = y[:, following] - y[:, last], x[:, last] - x[:, following]
    edge_1 = x[:, following] * y[:, last] - x[:, last] * y[:, following]
    area = edge_x[:, 1] * edge_y[:, 2] - edge_x[:, 2] * edge_y[:, 1]
    usable &= area.abs() > MIN_AREA
    sign = area.sign()[:, None]
    edge_x, edge_y, edge_1, inverse = edge_x * sign, edge_y * sign, edge_1 * sign, 1 / z
    extent = (high - low).clamp_min(0) * usable[:, None]
    none = torch.iinfo(torch.int64).max
    nearest = torch.full((batch * height * width,), none, device=points.device)
    # One copy of the counts to the host decides the sizes of what follows; no picture travels.
    ends = extent.prod(1).cumsum(0)
    total = int(ends[-1]) if len(ends) else 0
    for start in range(0, total, CHUNK):
        candidate = torch.arange(start, min(start + CHUNK, total), device=points.device)
        k = torch.searchsorted(ends, candidate, right=True)
        offset = candidate - ends[k] + extent[k].prod(1)
        row, column = low[k, 1] + offset // extent[k, 0], low[k, 0] + offset % extent[k, 0]
        e = edge_x[k] * column[:, None] + (edge_y[k] * row[:, None] + edge_1[k])
        weight = e * inverse[k]
        depth = (
            (e[:, 0] + e[:, 1] + e[:, 2]) / (weight[:, 0] + weight[:, 1] + weight[:, 2])
        ).float()
        hit = (e >= 0).all(1) & depth.isfinite()
        # Positive floats sort like their bits: depth in the high half, the lowest face breaks ties.
        key = (depth.view(torch.int32).long() << 32) | (k % count)
        target = (k // count * height + row) * width + column
        nearest.scatter_reduce_(0, target, key.where(hit, key.new_tensor(none)), 'amin')
    face = (nearest & 0xFFFFFFFF).where(nearest != none, nearest.new_tensor(-1))
    return face.view(batch, height, width)


def _screen_weights(points: Tensor, faces: Tensor, face: Tensor) -> Tensor:
    """Affine barycentrics of every covered pixel's centre in its face."""
    height, width = face.shape[1:]
    seen = face >= 0
    picture, y, x = seen.nonzero(as_tuple=True)
    corners = points[picture[:, None], faces[face[seen]], :2]
    away = corners - torch.stack([x, y], 1)[:, None]
    areas = _cross(away[:, [1, 2, 0]], away[:, [2, 0, 1]])
    weights = points.new_zeros(*face.shape, 3)
    weights[seen] = areas / areas.sum(1, keepdim=True)
    return weights


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
