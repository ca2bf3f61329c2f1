"""The contour backend of :func:`hrtk.silhouettes.silhouette.silhouette`.

The outline consists of pieces of those edges whose faces all lie on one side of them. A piece belongs to the outline
if the mesh does not cover the pixels just beyond it, which a mask of higher resolution decides.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hrtk.geometry.constants import constant
from hrtk.silhouettes.coverage import cover
from hrtk.silhouettes.mesh_edges import face_orientation, face_sides, mesh_edges, ranks
from hrtk.silhouettes.raster import rasterize

REACH = 6.0  # in sigmas: distance from which on the value is that of the mask, sigmoid(6) = 0.9975
PIECE = 1.0  # px; all of a piece of an edge belongs to the outline, or nothing of it
FINE = 3  # samples per pixel, along x and y, of the mask that decides which pieces belong to the outline
PROBE = 0.2  # px beyond the centre of a piece, where that mask is sampled
CHUNK = 1 << 19  # pairs of a piece and a pixel that are compared at once
NO_KEY = torch.iinfo(torch.int64).max


class Outline(NamedTuple):
    """N pieces of the outlines of a batch, each a part of an edge.

    Attributes:
        batch: (N,) index of the mesh.
        ends: (N, 2) vertices of the edge.
        start: (N, 2) px, first end of the edge.
        vector: (N, 2) px, from the first end to the second.
        inward: (N, 2) unit normal.
        low: (N,) start of the piece, as a fraction of the edge.
        high: (N,) end of the piece.
    """

    batch: Tensor
    ends: Tensor
    start: Tensor
    vector: Tensor
    inward: Tensor
    low: Tensor
    high: Tensor

    def select(self, index: Tensor | slice) -> Outline:
        """The pieces at these indices."""
        return Outline._make(field[index] for field in self)


class ContourSilhouette(torch.autograd.Function):
    """Values from signed distances, and gradients in closed form: the nearest point of the outline moves with its edge.

    The arguments of ``apply`` are points (B, V, 2 or 3), faces (F, 3), size (H, W) and sigma.
    """

    @staticmethod
    def forward(
        ctx: Any, points: Tensor, faces: Tensor, size: tuple[int, int], sigma: float
    ) -> Tensor:
        height, width = size
        reach = REACH * sigma
        margin = math.ceil(reach + PROBE) + 1
        fine = _fine_mask(points, faces, size, margin)
        inside = fine[:, ::FINE, ::FINE][:, margin:-margin, margin:-margin].contiguous()
        pieces = _outline(points, faces, fine, size, margin, reach)
        pixel, piece = _nearest_pieces(pieces, inside, reach)
        nearest = pieces.select(piece)

        offset = torch.stack([pixel % width, pixel // width % height], 1) - nearest.start
        fraction = (offset * nearest.vector).sum(1) / nearest.vector.square().sum(1)
        fraction = fraction.maximum(nearest.low).minimum(nearest.high)
        offset -= fraction[:, None] * nearest.vector
        distance = offset.norm(dim=1)
        value = inside.to(points.dtype).view(-1)
        sign = 2 * value[pixel] - 1
        step = torch.sigmoid(sign * distance / sigma)
        value[pixel] = step.to(value.dtype)

        # A pixel on the outline has no direction to it.
        is_on_outline = distance < 1e-6
        outwards = offset * (sign / distance.masked_fill(is_on_outline, 1))[:, None]
        normal = torch.where(is_on_outline[:, None], nearest.inward, outwards)
        slope = (step * (1 - step) / sigma)[:, None] * normal
        vertex = nearest.batch[:, None] * points.shape[1] + nearest.ends
        ctx.save_for_backward(pixel, slope.to(points.dtype), fraction.to(points.dtype), vertex)
        ctx.shape = points.shape
        return value.view(len(points), height, width)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple:
        pixel, slope, fraction, vertex = ctx.saved_tensors
        # By the nearest point of the outline.
        point_gradient = -grad.reshape(-1)[pixel, None] * slope
        result = grad.new_zeros(ctx.shape)
        # One axis at a time, since index_add_ of rows is many times slower on the CPU.
        for end, weight in enumerate((1 - fraction, fraction)):
            for axis in range(2):
                index = vertex[:, end] * ctx.shape[2] + axis
                result.view(-1).index_add_(0, index, weight * point_gradient[:, axis])
        return result, None, None, None


def _fine_mask(points: Tensor, faces: Tensor, size: tuple[int, int], margin: int) -> Tensor:
    """(B, FINE * (H + 2 * margin), FINE * (W + 2 * margin)) bool; every FINE-th sample is the centre of a pixel."""
    scaled = points.detach().double()
    scaled = torch.cat([(scaled[..., :2] + margin) * FINE, scaled[..., 2:]], 2)
    height = FINE * (size[0] + 2 * margin)
    width = FINE * (size[1] + 2 * margin)
    if not points.is_cpu:
        return cover(scaled, faces, (height, width)).mask
    # Not cover() on the CPU: its barycentrics would take longer than all the rest at this size.
    if scaled.shape[2] == 2:
        scaled = torch.cat([scaled, torch.ones_like(scaled[..., :1])], 2)
    if not len(scaled):
        return torch.zeros(0, height, width, dtype=torch.bool)
    masks = [rasterize(mesh, faces.numpy(), height, width).mask for mesh in scaled.numpy()]
    return torch.from_numpy(np.stack(masks))


def _outline(
    points: Tensor, faces: Tensor, fine: Tensor, size: tuple[int, int], margin: int, reach: float
) -> Outline:
    """Finds the pieces of the outlines that lie in the image or at most ``reach`` px outside."""
    edges = _outline_edges(points, faces, size, reach)
    length = edges.vector.norm(dim=1)
    extent = edges.high - edges.low
    count = (extent * length / PIECE).ceil().nan_to_num(0, 0, 0).clamp(min=0).long()
    index = torch.repeat_interleave(count)
    step = (extent / count)[index]
    low = edges.low[index] + ranks(index, count) * step
    centre = edges.start[index] + (low + step / 2)[:, None] * edges.vector[index]
    beyond = centre - PROBE * edges.inward[index]
    x, y = ((beyond + margin) * FINE).round().long().unbind(1)
    x = x.clamp(0, fine.shape[2] - 1)
    y = y.clamp(0, fine.shape[1] - 1)
    uncovered = torch.nonzero(~fine[edges.batch[index], y, x])[:, 0]
    low = low[uncovered]
    pieces = edges.select(index[uncovered])
    return pieces._replace(low=low, high=low + step[uncovered])


def _outline_edges(points: Tensor, faces: Tensor, size: tuple[int, int], reach: float) -> Outline:
    """Finds the edges whose faces all lie on one side, clipped to the image and ``reach`` px around it."""
    edges = mesh_edges(faces)
    sides = face_sides(face_orientation(points, faces), edges)
    edge, batch = torch.nonzero(sides, as_tuple=True)
    ends = edges.ends.T[edge]
    # In float64, since the visible part of an edge that extends far out of the image is a small fraction of it.
    start = points[batch, ends[:, 0], :2].double()
    vector = points[batch, ends[:, 1], :2].double() - start
    border = constant((float(size[1]), float(size[0])), start) - 1 + reach
    low, high = _clip(start, vector, -reach, border)
    left = torch.stack([-vector[:, 1], vector[:, 0]], 1)
    inward = left * (sides[edge, batch] / vector.norm(dim=1))[:, None]
    return Outline(batch, ends, start, vector, inward, low, high)


def _clip(start: Tensor, vector: Tensor, low: float, high: Tensor) -> tuple[Tensor, Tensor]:
    """Clips segments to a box; returns the fractions where the clipped segments start and end.

    The start is not below the end if nothing of a segment lies in the box.

    Source: Liang and Barsky, "A new concept and method for line clipping", 1984.
    """
    at_low = (low - start) / vector
    at_high = (high - start) / vector
    first = torch.minimum(at_low, at_high).amax(1).clamp(min=0)
    last = torch.maximum(at_low, at_high).amin(1).clamp(max=1)
    return first, last


def _nearest_pieces(outline: Outline, inside: Tensor, reach: float) -> tuple[Tensor, Tensor]:
    """Finds the pixels up to ``reach`` px from an outline and the nearest piece of each.

    A piece counts only for the pixels whose mask agrees with the side of the piece on which they lie. This separates
    two limbs of which one ends in front of the other.

    Args:
        outline: N pieces.
        inside: (B, H, W) bool masks.
        reach: px.

    Returns:
        Indices into the flattened batch, and indices of pieces.
    """
    nearest = torch.full((inside.numel(),), NO_KEY, device=inside.device)
    window = math.floor(PIECE + 2 * reach) + 1
    per_chunk = max(1, CHUNK // window**2)
    for first in range(0, len(outline.batch), per_chunk):
        pieces = outline.select(slice(first, first + per_chunk))
        pixel, distance, index = _pixel_pairs(pieces, inside, window, reach)
        # The bits of positive floats sort as the floats do: distance in the high half, the piece in the low one.
        bits = distance.view(torch.int32).long()
        piece = torch.div(index, window**2, rounding_mode='floor') + first
        nearest.scatter_reduce_(0, pixel, (bits << 32) | piece, 'amin')
    pixel = torch.nonzero(nearest != NO_KEY)[:, 0]
    return pixel, nearest[pixel] & 0xFFFFFFFF


def _pixel_pairs(
    pieces: Outline, inside: Tensor, window: int, reach: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs every piece with the pixels around it that are near enough and on the right side.

    Returns:
        For every pair its pixel in the flattened batch, its squared distance, and its index among all
        ``len(pieces) * window * window`` pairs.
    """
    _, height, width = inside.shape
    start = pieces.start + pieces.low[:, None] * pieces.vector
    vector = (pieces.high - pieces.low)[:, None] * pieces.vector
    corner = (start + vector / 2 - PIECE / 2 - reach).ceil().long()
    steps = torch.arange(window, device=inside.device)
    x, y = (corner[..., None] + steps).unbind(1)
    # From the start of the piece to the pixel.
    u, v = ((corner - start)[..., None] + steps).float().unbind(1)
    du, dv, nu, nv = torch.cat([vector, pieces.inward], 1).float()[..., None].unbind(1)
    length_squared = (du * du + dv * dv)[..., None]
    dot = _outer_sum(v * dv, u * du)
    fraction = (dot / length_squared).clamp_(0, 1)
    distance = _outer_sum(v * v, u * u) + fraction * (fraction * length_squared - 2 * dot)
    row_in_image = (y >= 0) & (y < height)
    column_in_image = (x >= 0) & (x < width)
    in_image = row_in_image[..., None] & column_in_image[:, None]
    index = torch.nonzero((in_image & (distance <= reach * reach)).view(-1))[:, 0]
    row = pieces.batch[:, None] * height + y
    pixel = _outer_sum(row * width, x).view(-1)[index]
    depth = _outer_sum(v * nv, u * nu).view(-1)[index]
    signed_depth = torch.where(inside.view(-1)[pixel], depth, -depth)
    agreeing = torch.nonzero(signed_depth > -1e-6)[:, 0]
    index = index[agreeing]
    return pixel[agreeing], distance.clamp_(min=0).view(-1)[index], index


def _outer_sum(rows: Tensor, columns: Tensor) -> Tensor:
    """(N, K), (N, K) -> (N, K, K)."""
    return rows[..., None] + columns[:, None]
