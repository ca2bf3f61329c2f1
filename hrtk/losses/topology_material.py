"""The gradient ``'material'`` of :mod:`hrtk.losses.topology`: derivatives of Eq. 5 by the shape, without a renderer."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from hrtk.losses.topology_target import SilhouetteTarget, is_comparable, pixel_count
from hrtk.silhouettes.coverage import Coverage, cover, to_vertices
from hrtk.silhouettes.distance import chessboard_distance, nearest_pixels, topological_skeleton

TANGENT = 2  # px: skeleton pixels up to this distance along x and y determine its direction
FLAT = 0.025  # px^2: the stretching of a face with a smaller area on the screen is not measurable


class _Terms(NamedTuple):
    """Both terms of Eq. 5 for B pairs of masks (or of skeletons).

    Attributes:
        predicted: (B, H, W) bool, the body's; all False where there is nothing to compare.
        target: (B, H, W) bool; all False where there is nothing to compare.
        predicted_distance: (B, H, W) outwards distance map of ``predicted``.
        target_map: (B, H, W) map whose sum over ``predicted`` has the derivative of term 2.
        target_weight: (B,) weight of each pixel of term 1.
        value: (B,) sum of both terms.
    """

    predicted: Tensor
    target: Tensor
    predicted_distance: Tensor
    target_map: Tensor
    target_weight: Tensor
    value: Tensor


class _PixelGradients(NamedTuple):
    """N gradients by the positions of surface points that are visible at pixels.

    Attributes:
        image: (N,) indices into the batch.
        pixel: (N,) indices into the flattened images.
        gradient: (N, 2).
    """

    image: Tensor
    pixel: Tensor
    gradient: Tensor


def material_losses(
    vertices2d: Tensor,
    faces: Tensor,
    target: SilhouetteTarget,
    reduction: str,
    maps: tuple[str, ...],
) -> list[Tensor]:
    """Computes Eq. 5 of masks and skeletons; see :func:`hrtk.losses.topology.alignment_losses` for the arguments.

    Args:
        vertices2d: (B, V, 2 or 3).
        faces: (F, 3).
        target: of B masks.
        reduction: ``'sum'`` or ``'mean'``.
        maps: ``'mask'`` for L_S, ``'skeleton'`` for L_T.

    Returns:
        (B,) for every map.
    """
    front = cover(vertices2d, faces, target.size)
    losses = []
    for name in maps:
        if name == 'mask':
            value, gradient = _silhouette_term(vertices2d, faces, front, target, reduction)
        else:
            value, gradient = _skeleton_term(vertices2d, faces, front, target, reduction)
        dtype = vertices2d.dtype
        losses.append(_WithGradient.apply(vertices2d, value.to(dtype), gradient.to(dtype)))
    return losses


class _WithGradient(torch.autograd.Function):
    """A value (B,) with a precomputed gradient (B, V, 2) by ``vertices2d``."""

    @staticmethod
    def forward(ctx: Any, vertices2d: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        ctx.columns = vertices2d.shape[2]
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple:
        (gradient,) = ctx.saved_tensors
        return F.pad(upstream[:, None, None] * gradient, (0, ctx.columns - 2)), None, None


@torch.no_grad()
def _silhouette_term(
    vertices2d: Tensor, faces: Tensor, front: Coverage, target: SilhouetteTarget, reduction: str
) -> tuple[Tensor, Tensor]:
    """L_S: values (B,) and gradients (B, V, 2)."""
    terms = _compare(front.mask, target.mask, target.mask_distance, reduction)
    gradients = _joined(
        _attraction(terms),
        _outline_flux(terms.predicted, terms.target_map),
    )
    return terms.value, to_vertices(front, faces, vertices2d.shape[1], *gradients)


@torch.no_grad()
def _skeleton_term(
    vertices2d: Tensor, faces: Tensor, front: Coverage, target: SilhouetteTarget, reduction: str
) -> tuple[Tensor, Tensor]:
    """L_T: values (B,) and gradients (B, V, 2)."""
    skeleton = topological_skeleton(front.mask, specks=target.specks)
    terms = _compare(skeleton, target.skeleton, target.skeleton_distance, reduction)
    image, pixel = terms.predicted.flatten(1).nonzero(as_tuple=True)
    sliding = _PixelGradients(image, pixel, _slope(terms.target_map, image, pixel))
    gradients = _joined(_attraction(terms), sliding)
    stretched = _PixelGradients(image, pixel, _direction(terms.predicted, image, pixel))
    back = cover(vertices2d, faces, target.size, farthest=True)
    # The mean of the front and the back surface moves as the axis of the limb.
    total = torch.zeros_like(vertices2d[..., :2], dtype=terms.target_map.dtype)
    for side in (front, back):
        moved = to_vertices(side, faces, vertices2d.shape[1], *gradients)
        total = total + (moved + _stretch(side, vertices2d, faces, terms.target_map, stretched))
    return terms.value, total / 2


def _compare(predicted: Tensor, target: Tensor, target_distance: Tensor, reduction: str) -> _Terms:
    """Evaluates Eq. 5.

    The number of pixels over which a mean is taken changes with the body, too. With the mean itself subtracted from
    the map, adding a pixel changes term 2 by the value of the map there.
    """
    comparable = is_comparable(predicted, target)[:, None, None]
    predicted = predicted & comparable
    target = target & comparable
    predicted_distance = chessboard_distance(~predicted)
    to_target = (predicted_distance * target).sum((1, 2))
    to_predicted = (target_distance * predicted).sum((1, 2))
    if reduction == 'sum':
        weight = torch.ones_like(to_target)
        value = to_target + to_predicted
        target_map = target_distance
    else:
        weight = 1 / pixel_count(target)
        count = pixel_count(predicted)
        mean = to_predicted / count
        value = to_target * weight + mean
        target_map = (target_distance - mean[:, None, None]) / count[:, None, None]
    return _Terms(predicted, target, predicted_distance, target_map, weight, value)


def _attraction(terms: _Terms) -> _PixelGradients:
    """Term 1: the gradient that each target pixel causes at the nearest pixel of the body.

    Pixels on the outline count, too: uncovering them costs half as much as the step from those beside it.
    """
    uncovered = terms.target & ~_interior(terms.predicted)
    image, pixel = uncovered.flatten(1).nonzero(as_tuple=True)
    slope = _slope(terms.predicted_distance, image, pixel)
    nearest = nearest_pixels(terms.predicted).flatten(1)[image, pixel]
    return _PixelGradients(image, nearest, -terms.target_weight[image, None] * slope)


def _outline_flux(predicted: Tensor, target_map: Tensor) -> _PixelGradients:
    """Term 2 of L_S: for every pixel edge of the outline, the map there times the outward normal.

    Edges on the frame do not count: motion across the frame does not change the sum.
    """
    height, width = predicted.shape[1:]
    padded = F.pad(predicted, (1, 1, 1, 1), value=True)
    image, y, x = (predicted & ~_interior(predicted)).nonzero(as_tuple=True)
    inner_value = target_map[image, y, x]
    gradient = target_map.new_zeros(len(image), 2)
    for axis, dy, dx in ((0, 0, -1), (0, 0, 1), (1, -1, 0), (1, 1, 0)):
        is_outline = ~padded[image, y + 1 + dy, x + 1 + dx]
        neighbour_y = (y + dy).clamp(0, height - 1)
        neighbour_x = (x + dx).clamp(0, width - 1)
        outer_value = target_map[image, neighbour_y, neighbour_x]
        gradient[:, axis] += (dx + dy) * (inner_value + outer_value) / 2 * is_outline
    return _PixelGradients(image, y * width + x, gradient)


def _interior(mask: Tensor) -> Tensor:
    """Mask pixels whose four neighbours are in the mask, which continues beyond the frame."""
    padded = F.pad(mask, (1, 1, 1, 1), value=True)
    vertical = padded[:, :-2, 1:-1] & padded[:, 2:, 1:-1]
    horizontal = padded[:, 1:-1, :-2] & padded[:, 1:-1, 2:]
    return mask & vertical & horizontal


def _slope(field: Tensor, image: Tensor, pixel: Tensor) -> Tensor:
    """Central differences of (B, H, W) at N pixels: (N, 2) along x and y."""
    height, width = field.shape[1:]
    y = pixel // width
    x = pixel % width
    right = field[image, y, (x + 1).clamp_max(width - 1)]
    left = field[image, y, (x - 1).clamp_min(0)]
    below = field[image, (y + 1).clamp_max(height - 1), x]
    above = field[image, (y - 1).clamp_min(0), x]
    return torch.stack([right - left, below - above], 1) / 2


def _direction(skeleton: Tensor, image: Tensor, pixel: Tensor) -> Tensor:
    """Unit vectors (N, 2) along the skeleton at N of its pixels: the first principal axis of the pixels around."""
    width = skeleton.shape[2] + 2 * TANGENT
    y = pixel // skeleton.shape[2] + TANGENT
    x = pixel % skeleton.shape[2] + TANGENT
    step = torch.arange(-TANGENT, TANGENT + 1, device=skeleton.device)
    dy, dx = torch.meshgrid(step, step, indexing='ij')
    window = (y * width + x)[:, None] + (dy * width + dx).flatten()
    padded = F.pad(skeleton, (TANGENT,) * 4).flatten(1)
    neighbours = padded[image[:, None], window].float()
    moments = torch.stack([dx, dy, dx * dx, dx * dy, dy * dy], -1).view(-1, 5).float()
    means = neighbours @ moments / neighbours.sum(1, keepdim=True)
    mx, my, xx, xy, yy = means.unbind(1)
    angle = torch.atan2(2 * (xy - mx * my), (xx - mx * mx) - (yy - my * my)) / 2
    return torch.stack([angle.cos(), angle.sin()], 1)


def _stretch(
    side: Coverage, vertices2d: Tensor, faces: Tensor, target_map: Tensor, along: _PixelGradients
) -> Tensor:
    """Gradient by vertices of the number of skeleton pixels, each weighted with the map: (B, V, 2).

    A face moves affinely, with velocity gradient ``J = sum_k v_k (grad b_k)'``; the length of a line along t on the
    face grows by t' J t.

    Args:
        side: the surface whose faces are stretched.
        vertices2d: (B, V, 2 or 3).
        faces: (F, 3).
        target_map: (B, H, W).
        along: skeleton pixels and the unit vectors along the skeleton.
    """
    count = vertices2d.shape[1]
    face = side.face.flatten(1)[along.image, along.pixel]
    corners = faces[face.clamp_min(0)] + (along.image * count)[:, None]
    a, b, c = vertices2d[..., :2].reshape(-1, 2)[corners].double().unbind(1)
    ab = b - a
    ac = c - a
    area = _cross(ab, ac)
    usable = (face >= 0) & (area.abs() > 2 * FLAT)
    growth_b = _cross(along.gradient, ac) / area
    growth_c = -_cross(along.gradient, ab) / area
    growth = torch.stack([-growth_b - growth_c, growth_b, growth_c], 1)
    growth = growth.where(usable[:, None], torch.zeros_like(area)[:, None])
    value = target_map.flatten(1)[along.image, along.pixel]
    weight = value[:, None, None] * growth[..., None].to(target_map.dtype)
    total = target_map.new_zeros(len(target_map) * count, 2)
    total.index_add_(0, corners.flatten(), (weight * along.gradient[:, None]).flatten(0, 1))
    return total.view(-1, count, 2)


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


def _joined(first: _PixelGradients, second: _PixelGradients) -> _PixelGradients:
    return _PixelGradients._make(torch.cat(pair) for pair in zip(first, second))
