"""The gradients ``'conv'`` and ``'literal'`` of :mod:`hrtk.losses.topology`: the paper's graph, differentiable.

A soft silhouette, a binary activation, thinning by convolutions (Eq. 2) and the ridge (Eq. 3).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from hrtk.losses.topology_target import SilhouetteTarget, is_comparable, pixel_count
from hrtk.silhouettes.distance import without_specks
from hrtk.silhouettes.silhouette import silhouette


def thinning_losses(
    vertices2d: Tensor,
    faces: Tensor,
    target: SilhouetteTarget,
    reduction: str,
    maps: tuple[str, ...],
    divide: bool,
) -> list[Tensor]:
    """Computes Eq. 5 of masks and skeletons; see :func:`hrtk.losses.topology.alignment_losses` for the arguments.

    Args:
        vertices2d: (B, V, 2 or 3).
        faces: (F, 3).
        target: of B masks.
        reduction: ``'sum'`` or ``'mean'``.
        maps: ``'mask'`` for L_S, ``'skeleton'`` for L_T.
        divide: whether each level of the thinning divides its gradient by the mass of the kernel (``'conv'``). If not
            (``'literal'``), the computation is in float64.

    Returns:
        (B,) for every map.
    """
    soft = silhouette(vertices2d, faces, target.size)
    if not divide:
        soft = soft.double()
    body_mask = binarised(soft)
    losses = []
    for name in maps:
        if name == 'mask':
            predicted = body_mask
            loss = _equation_5(predicted, target.mask, target.mask_distance, reduction, divide)
        else:
            predicted = ridge(body_mask, divide)
            kept = without_specks(predicted.detach() > 0, target.specks)
            predicted = predicted * kept
            loss = _equation_5(
                predicted, target.skeleton, target.skeleton_distance, reduction, divide
            )
        losses.append(loss.to(vertices2d.dtype))
    return losses


def _equation_5(
    predicted: Tensor, target: Tensor, target_distance: Tensor, reduction: str, divide: bool
) -> Tensor:
    """Eq. 5 (B,); 0 where one of both maps is empty."""
    predicted_mask = predicted.detach() > 0
    to_target = (thinned(1 - predicted, divide) * target).sum((1, 2))
    to_predicted = (target_distance.to(predicted.dtype) * predicted).sum((1, 2))
    if reduction == 'mean':
        to_target = to_target / pixel_count(target)
        to_predicted = to_predicted / pixel_count(predicted_mask)
    comparable = is_comparable(predicted_mask, target)
    return (to_target + to_predicted).where(comparable, to_target.new_tensor(0.0))


def binarised(soft: Tensor) -> Tensor:
    """1 above one half, with the gradient of the identity (Hubara et al., Binarized Neural Networks, 2016)."""
    return soft + ((soft > 0.5).to(soft.dtype) - soft).detach()


def ridge(mask: Tensor, divide: bool) -> Tensor:
    """Computes Eq. 3, differentiable; (B, H, W) of 0 and 1.

    A mask without an outline has no ridge, as in :func:`hrtk.silhouettes.distance.topological_skeleton`.
    """
    distance = thinned(mask, divide)
    highest = F.max_pool2d(distance[:, None], 3, 1, 1)[:, 0]
    has_outline = (mask.detach() < 0.5).flatten(1).any(1)
    return F.relu(distance - highest + 1) * mask * has_outline[:, None, None]


def thinned(mask: Tensor, divide: bool) -> Tensor:
    """Computes Eq. 2, differentiable: the sum of all levels of thinning, (B, H, W)."""
    mass = 9.0 if divide else 1.0
    level = mask[:, None]
    total = level
    for _ in range(max(mask.shape[1:]) - 1):
        level = _Thin.apply(level, mass)
        if not level.any():
            break
        total = total + level
    return total[:, 0]


class _Thin(torch.autograd.Function):
    """``ReLU(N * S - 8)`` with a border of ones; the gradient of the convolution is divided by ``mass``."""

    @staticmethod
    def forward(ctx: Any, level: Tensor, mass: float) -> Tensor:
        padded = F.pad(level, (1, 1, 1, 1), value=1.0)
        thinner = F.relu(F.conv2d(padded, level.new_ones(1, 1, 3, 3)) - 8)
        # Straight-through values are 0 and 1 up to rounding errors, which every level would multiply by 9.
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
