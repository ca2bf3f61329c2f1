"""How well a body's silhouette and its skeleton lie on those of a mask: the losses of silhouette-topology alignment.

Rakesh et al., "Aligning Silhouette Topology for Self-Adaptive 3D Human Pose Recovery", NeurIPS 2021. With S the target
mask, T its topological skeleton, S^ and T^ those of the body, and D_out the outwards chessboard distance::

    L_T = sum(D_out(T^) * T) + sum(D_out(T) * T^)       (Eq. 5)      L_S: the same with S, S^ for T, T^

The maps are binary, so their values are piecewise constant in the body and a backward rule has to be chosen. ``grad``:

``'material'`` (the default)
    The derivative by the shape. Term 1: the pixel of the body nearest to a target pixel u moves with the surface it
    shows, against the slope of the body's distance map at u. Term 2 of L_S: the area sum grows where the outline moves
    outwards, by the target's map there (Reynolds' transport theorem on pixel edges). Term 2 of L_T: skeleton pixels
    move along the slope of the target's map and count more where the body gets longer along the skeleton. A skeleton
    pixel moves with the mean of the near and the far surface, that is with the axis of the limb. No renderer is
    differentiated, no value can explode.
    Measured on the free body against central differences of Eq. 5 (over 1 px, averaged over shifts of the pixel grid;
    directions beyond two standard errors): in random directions of pose, betas and camera the sign of L_S is right in
    99 % and that of L_T in 95 % (98 % on the six poses it was made with, 93 % on eight others, two of them at 80 %). By
    single parameters it is 96 % and 88 %: of L_T 97 % for trunk, arms and legs, 71 % for hands, feet and head, whose
    skeletons are specks that come and go. Slopes are .8 to 1 of the true ones.
``'conv'``
    Autograd through the thinning of Eq. 2 and the ridge of Eq. 3, with each level's gradient divided by the mass of the
    kernel, from a differentiable silhouette and a straight-through binary activation. On the same six poses the sign is
    right in 91 % (L_S) and 71 % (L_T) of random directions, slopes of .7 to .8, at worst 12.
``'literal'``
    What the paper prints: the same without the division, in float64. Each level multiplies the gradient's mass by 9 (8
    with a hollow kernel). On the same poses: 62 % and 65 %, slopes 6e5 (L_S) and 7e9 (L_T) times the true ones, at
    worst 8e13. On a capsule figure in the plane descents with Adam diverged. For study.

Where there is nothing to compare the loss and its gradient are 0: the body is outside of the picture, the mask is
empty, or one of them fills the picture (for L_T, which has no skeleton then). A body beside the mask is pulled to it,
along the axis of the picture on which they are farther apart: that is all the metric sees.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from hrtk.errors import InputError
from hrtk.geometry.coverage import Coverage, cover, to_vertices
from hrtk.geometry.distance import (
    as_mask,
    chessboard_distance,
    nearest_pixels,
    topological_skeleton,
)
from hrtk.geometry.silhouette import silhouette

GRADS = ('material', 'conv', 'literal')
TANGENT = 2  # px: skeleton pixels up to here along x and y tell its direction
FLAT = 0.025  # px^2: a face this thin on the screen says nothing about stretching


class SilhouetteTarget(NamedTuple):
    """What the losses need of B masks, computed once: ``mask`` and ``skeleton`` (B, H, W) bool, and outwards maps."""

    mask: Tensor
    skeleton: Tensor
    mask_distance: Tensor
    skeleton_distance: Tensor


class AlignmentLosses(NamedTuple):
    """L_S and L_T of every picture, (B,) each."""

    silhouette: Tensor
    topology: Tensor


def silhouette_target(mask: Tensor) -> SilhouetteTarget:
    """Prepares masks for repeated use, e.g. over the steps of a fit.

    Args:
        mask: (B, H, W) of 0 and 1.

    Raises:
        InputError: the mask has another shape or holds other values.
    """
    mask = as_mask(mask)
    skeleton = topological_skeleton(mask)
    return SilhouetteTarget(
        mask, skeleton, chessboard_distance(~mask), chessboard_distance(~skeleton)
    )


def topology_loss(
    vertices2d: Tensor,
    faces: Tensor,
    target_mask: Tensor | SilhouetteTarget,
    grad: str = 'material',
    reduction: str = 'sum',
) -> Tensor:
    """L_T of Eq. 5, averaged over the batch; see :func:`alignment_losses` for the arguments."""
    return _losses(vertices2d, faces, target_mask, grad, reduction, ('skeleton',))[0].mean()


def silhouette_loss(
    vertices2d: Tensor,
    faces: Tensor,
    target_mask: Tensor | SilhouetteTarget,
    grad: str = 'material',
    reduction: str = 'sum',
) -> Tensor:
    """L_S of Sec. 3.4, averaged over the batch; see :func:`alignment_losses` for the arguments."""
    return _losses(vertices2d, faces, target_mask, grad, reduction, ('mask',))[0].mean()


def alignment_losses(
    vertices2d: Tensor,
    faces: Tensor,
    target_mask: Tensor | SilhouetteTarget,
    grad: str = 'material',
    reduction: str = 'sum',
) -> AlignmentLosses:
    """L_S and L_T of every picture, from one rasterisation.

    Args:
        vertices2d: (B, V, 3) u and v in pixels, the centre of the top-left pixel being (0, 0), and depth z > 0, which
            says what hides what and gets no gradient; or (B, V, 2), where the lowest face index hides all others.
        faces: (F, 3) integer vertex indices.
        target_mask: (B, H, W) of 0 and 1, or what :func:`silhouette_target` made of it.
        grad: ``'material'``, ``'conv'`` or ``'literal'``, see above.
        reduction: ``'sum'``: pixels summed over pixels, as printed, 1e3 to 1e5 on a 224 px picture. ``'mean'``: each of
            the two terms over the number of its pixels, |T| and |T^|, that is two mean distances in pixels.

    Returns:
        Two tensors (B,), once differentiable by ``vertices2d``.

    Raises:
        InputError: shapes or sizes do not match, the mask is not binary, or an option is unknown.
    """
    return AlignmentLosses(
        *_losses(vertices2d, faces, target_mask, grad, reduction, ('mask', 'skeleton'))
    )


def mask_l2(
    vertices2d: Tensor,
    faces: Tensor,
    target_mask: Tensor | SilhouetteTarget,
    sigma: float = 0.5,
    reduction: str = 'sum',
) -> Tensor:
    """``||S - S^||^2`` with a soft silhouette of the body, baseline B1 of Table 4, of every picture: (B,).

    It does not see how far apart silhouettes are: limbs that do not overlap with the mask get no pull towards it.

    Args:
        vertices2d: (B, V, 2 or 3) pixels and depth.
        faces: (F, 3).
        target_mask: (B, H, W) of 0 and 1, or what :func:`silhouette_target` made of it.
        sigma: softness of the outline, px, see :func:`hrtk.geometry.silhouette.silhouette`.
        reduction: ``'sum'`` over pixels or ``'mean'``, divided by the number of pixels of the mask.
    """
    target = _check(vertices2d, faces, target_mask, 'material', reduction)
    soft = silhouette(
        vertices2d, faces.to(vertices2d.device), tuple(target.mask.shape[1:]), sigma=sigma
    )
    return _squares(soft, target.mask, reduction)


def skeleton_l2(
    vertices2d: Tensor,
    faces: Tensor,
    target_mask: Tensor | SilhouetteTarget,
    sigma: float = 0.5,
    reduction: str = 'sum',
) -> Tensor:
    """``||T - T^||^2`` of every picture, (B,), which B3 of Table 4 adds to L_S; its gradient is that of ``'conv'``.

    Arguments as in :func:`mask_l2`. Skeletons are thin: the gradient says little unless they nearly touch.
    """
    target = _check(vertices2d, faces, target_mask, 'conv', reduction)
    hard = _binary(
        silhouette(
            vertices2d, faces.to(vertices2d.device), tuple(target.mask.shape[1:]), sigma=sigma
        )
    )
    return _squares(_ridge(hard, True), target.skeleton, reduction)


def _squares(predicted: Tensor, target: Tensor, reduction: str) -> Tensor:
    squares = (predicted - target.to(predicted.dtype)).square().sum((1, 2))
    return squares if reduction == 'sum' else squares / _count(target)


def _check(
    vertices2d: Tensor, faces: Tensor, target: Tensor | SilhouetteTarget, grad: str, reduction: str
) -> SilhouetteTarget:
    if grad not in GRADS:
        raise InputError(f'there is no gradient {grad!r}; use {", ".join(GRADS)}')
    if reduction not in ('sum', 'mean'):
        raise InputError(f"there is no reduction {reduction!r}; use 'sum' or 'mean'")
    if not isinstance(target, SilhouetteTarget):
        target = silhouette_target(target)
    if vertices2d.ndim != 3 or vertices2d.shape[2] not in (2, 3):
        raise InputError(
            f'vertices2d must be (B, V, 2) or (B, V, 3), got {tuple(vertices2d.shape)}'
        )
    if len(vertices2d) != len(target.mask):
        raise InputError(
            f'there are {len(vertices2d)} bodies for {len(target.mask)} masks; give every body its mask'
        )
    return target


def _losses(
    vertices2d: Tensor,
    faces: Tensor,
    target_mask: Tensor | SilhouetteTarget,
    grad: str,
    reduction: str,
    parts: tuple[str, ...],
) -> list[Tensor]:
    target = _check(vertices2d, faces, target_mask, grad, reduction)
    faces = faces.to(vertices2d.device, torch.int64)
    if grad == 'material':
        return [
            _Given.apply(vertices2d, *found)
            for found in _material(vertices2d, faces, target, reduction, parts)
        ]
    return _convolved(vertices2d, faces, target, reduction, parts, divide=grad == 'conv')


class _Given(torch.autograd.Function):
    """A value (B,) whose gradient by ``vertices2d`` is known: (B, V, 2)."""

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
def _material(
    vertices2d: Tensor,
    faces: Tensor,
    target: SilhouetteTarget,
    reduction: str,
    parts: tuple[str, ...],
) -> list[tuple[Tensor, Tensor]]:
    """Values (B,) and gradients (B, V, 2) of the wanted parts."""
    size, count = tuple(target.mask.shape[1:]), vertices2d.shape[1]
    near, found = cover(vertices2d, faces, size), []
    for part in parts:
        wanted, away = getattr(target, part), getattr(target, f'{part}_distance')
        seen = near.mask if part == 'mask' else topological_skeleton(near.mask)
        # Without pixels on both sides there is nothing to compare.
        both = (wanted.flatten(1).any(1) & seen.flatten(1).any(1))[:, None, None]
        wanted, seen = wanted & both, seen & both
        outside = chessboard_distance(~seen)
        value, share, away = _value(seen, wanted, outside, away, reduction)
        pulls = [_towards(seen, wanted, outside, share)]
        if part == 'mask':
            pulls.append(_outline_flux(seen, away))
            gradient = to_vertices(near, faces, count, *_joined(pulls))
        else:
            picture, pixel = seen.flatten(1).nonzero(as_tuple=True)
            pulls.append((picture, pixel, _slope(away, picture, pixel)))
            joined, direction = _joined(pulls), _direction(seen, picture, pixel)
            far = cover(vertices2d, faces, size, farthest=True)
            gradient = (
                sum(
                    to_vertices(side, faces, count, *joined)
                    + _stretch(side, vertices2d, faces, away, picture, pixel, direction)
                    for side in (near, far)
                )
                / 2
            )
        found.append((value.to(vertices2d.dtype), gradient.to(vertices2d.dtype)))
    return found


def _value(
    seen: Tensor, wanted: Tensor, outside: Tensor, away: Tensor, reduction: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Eq. 5: its value (B,), the weight of each pixel of term 1 (B,), and the map (B, H, W) whose sum is term 2.

    A mean over pixels of which there are more or fewer changes with their number, too; with the mean itself taken off
    the map, adding a pixel changes term 2 by the value of the map there.
    """
    forth = (outside * wanted).sum((1, 2))
    back = (away * seen).sum((1, 2))
    if reduction == 'sum':
        return forth + back, torch.ones_like(forth), away
    share, mean = 1 / _count(wanted), back / _count(seen)
    return forth * share + mean, share, (away - mean[:, None, None]) / _count(seen)[:, None, None]


def _count(mask: Tensor) -> Tensor:
    return mask.flatten(1).sum(1).clamp_min(1)


def _towards(
    seen: Tensor, wanted: Tensor, outside: Tensor, share: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Term 1: which pixel of the body each target pixel pulls, and with which gradient.

    Pixels on the outline count, too: uncovering them costs half as much as moving on from those beside it.
    """
    picture, pixel = (wanted & ~_inner(seen)).flatten(1).nonzero(as_tuple=True)
    slope = _slope(outside, picture, pixel)
    return picture, nearest_pixels(seen).flatten(1)[picture, pixel], -share[picture, None] * slope


def _outline_flux(seen: Tensor, away: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Term 2 of L_S: on every pixel edge of the outline, the map there times the outward normal.

    Edges on the frame are none: what moves across the frame does not change the sum.
    """
    height, width = seen.shape[1:]
    around = F.pad(seen, (1, 1, 1, 1), value=True)
    picture, y, x = (seen & ~_inner(seen)).nonzero(as_tuple=True)
    here, pull = away[picture, y, x], away.new_zeros(len(picture), 2)
    for axis, dy, dx in ((0, 0, -1), (0, 0, 1), (1, -1, 0), (1, 1, 0)):
        free = ~around[picture, y + 1 + dy, x + 1 + dx]
        there = away[picture, (y + dy).clamp(0, height - 1), (x + dx).clamp(0, width - 1)]
        pull[:, axis] += (dx + dy) * (here + there) / 2 * free
    return picture, y * width + x, pull


def _inner(seen: Tensor) -> Tensor:
    """Pixels with all of their four neighbours; beyond the frame there are neighbours."""
    around = F.pad(seen, (1, 1, 1, 1), value=True)
    return (
        seen
        & around[:, :-2, 1:-1]
        & around[:, 2:, 1:-1]
        & around[:, 1:-1, :-2]
        & around[:, 1:-1, 2:]
    )


def _slope(field: Tensor, picture: Tensor, pixel: Tensor) -> Tensor:
    """Central differences of (B, H, W) at N pixels: (N, 2) along x and y."""
    height, width = field.shape[1:]
    y, x = pixel // width, pixel % width
    right, left = (
        field[picture, y, (x + 1).clamp_max(width - 1)],
        field[picture, y, (x - 1).clamp_min(0)],
    )
    below, above = (
        field[picture, (y + 1).clamp_max(height - 1), x],
        field[picture, (y - 1).clamp_min(0), x],
    )
    return torch.stack([right - left, below - above], 1) / 2


def _direction(skeleton: Tensor, picture: Tensor, pixel: Tensor) -> Tensor:
    """Unit vectors along the skeleton at N of its pixels, the first principal axis of the pixels around: (N, 2)."""
    width = skeleton.shape[2] + 2 * TANGENT
    y, x = pixel // skeleton.shape[2] + TANGENT, pixel % skeleton.shape[2] + TANGENT
    step = torch.arange(-TANGENT, TANGENT + 1, device=skeleton.device)
    dy, dx = torch.meshgrid(step, step, indexing='ij')
    around = (
        F.pad(skeleton, (TANGENT,) * 4)
        .flatten(1)[picture[:, None], (y * width + x)[:, None] + (dy * width + dx).flatten()]
        .float()
    )
    moments = torch.stack([dx, dy, dx * dx, dx * dy, dy * dy], -1).view(-1, 5).float()
    mx, my, xx, xy, yy = (around @ moments / around.sum(1, keepdim=True)).unbind(1)
    angle = torch.atan2(2 * (xy - mx * my), (xx - mx * mx) - (yy - my * my)) / 2
    return torch.stack([angle.cos(), angle.sin()], 1)


def _stretch(
    side: Coverage,
    vertices2d: Tensor,
    faces: Tensor,
    away: Tensor,
    picture: Tensor,
    pixel: Tensor,
    direction: Tensor,
) -> Tensor:
    """Gradient by vertices of the number of skeleton pixels, each weighted with the map: (B, V, 2).

    A face moves affinely, with velocity gradient ``J = sum_k v_k (grad b_k)'``; a line along t on it grows by t' J t.
    """
    count = vertices2d.shape[1]
    face = side.face.flatten(1)[picture, pixel]
    corners = faces[face.clamp_min(0)] + (picture * count)[:, None]
    a, b, c = vertices2d[..., :2].reshape(-1, 2)[corners].double().unbind(1)
    ab, ac = b - a, c - a
    area = ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]
    usable = (face >= 0) & (area.abs() > 2 * FLAT)
    grow_b = (direction[:, 0] * ac[:, 1] - direction[:, 1] * ac[:, 0]) / area
    grow_c = (direction[:, 1] * ab[:, 0] - direction[:, 0] * ab[:, 1]) / area
    rate = torch.stack([-grow_b - grow_c, grow_b, grow_c], 1).where(
        usable[:, None], torch.zeros_like(area)[:, None]
    )
    weight = away.flatten(1)[picture, pixel][:, None, None] * rate[..., None].to(away.dtype)
    total = away.new_zeros(len(away) * count, 2)
    total.index_add_(0, corners.flatten(), (weight * direction[:, None]).flatten(0, 1))
    return total.view(-1, count, 2)


def _joined(pulls: list[tuple[Tensor, Tensor, Tensor]]) -> tuple[Tensor, ...]:
    return tuple(torch.cat(column) for column in zip(*pulls))


def _convolved(
    vertices2d: Tensor,
    faces: Tensor,
    target: SilhouetteTarget,
    reduction: str,
    parts: tuple[str, ...],
    divide: bool,
) -> list[Tensor]:
    """The paper's graph: soft silhouette, binary activation, thinning, ridge, thinning."""
    soft = silhouette(vertices2d, faces, tuple(target.mask.shape[1:]))
    hard, found = _binary(soft if divide else soft.double()), []
    for part in parts:
        wanted, away = getattr(target, part), getattr(target, f'{part}_distance').to(hard.dtype)
        seen = hard if part == 'mask' else _ridge(hard, divide)
        both = wanted.flatten(1).any(1) & (seen.detach() > 0).flatten(1).any(1)
        forth = (_thinned(1 - seen, divide) * wanted).sum((1, 2))
        back = (away * seen).sum((1, 2))
        if reduction == 'mean':
            forth, back = forth / _count(wanted), back / _count(seen.detach() > 0)
        found.append((forth + back).where(both, forth.new_tensor(0.0)).to(vertices2d.dtype))
    return found


def _binary(soft: Tensor) -> Tensor:
    """1 above one half, with the gradient of the identity (Hubara et al., Binarized Neural Networks, 2016)."""
    return soft + ((soft > 0.5).to(soft.dtype) - soft).detach()


def _ridge(hard: Tensor, divide: bool) -> Tensor:
    """Eq. 3, differentiable."""
    distance = _thinned(hard, divide)
    ridge = F.relu(distance - F.max_pool2d(distance[:, None], 3, 1, 1)[:, 0] + 1) * hard
    # No outline, no ridge: as in hrtk.geometry.distance.topological_skeleton.
    return ridge * (hard.detach() < 0.5).flatten(1).any(1)[:, None, None]


def _thinned(mask: Tensor, divide: bool) -> Tensor:
    """Eq. 2, differentiable."""
    total = level = mask[:, None]
    for _ in range(max(mask.shape[1:]) - 1):
        level = _Thin.apply(level, 9.0 if divide else 1.0)
        if not level.any():
            break
        total = total + level
    return total[:, 0]


class _Thin(torch.autograd.Function):
    """``ReLU(N * S - 8)`` with a border of ones; the gradient of the convolution is divided by ``mass``."""

    @staticmethod
    def forward(ctx: Any, level: Tensor, mass: float) -> Tensor:
        thinner = F.relu(
            F.conv2d(F.pad(level, (1, 1, 1, 1), value=1.0), level.new_ones(1, 1, 3, 3)) - 8
        )
        # Straight-through values are 0 and 1 up to rounding, which every level would multiply by 9.
        thinner = thinner.round()
        ctx.save_for_backward(thinner)
        ctx.mass = mass
        return thinner

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple:
        (thinner,) = ctx.saved_tensors
        kernel = upstream.new_full((1, 1, 3, 3), 1 / ctx.mass)
        return F.conv2d(upstream * (thinner > 0), kernel, padding=1), None
