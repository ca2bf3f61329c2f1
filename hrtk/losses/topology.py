"""Alignment of a body's silhouette and topological skeleton with those of a mask.

Rakesh et al., "Aligning Silhouette Topology for Self-Adaptive 3D Human Pose Recovery", NeurIPS 2021. With S the target
mask, T its topological skeleton, S^ and T^ those of the body, and D_out the outwards chessboard distance::

    L_T = sum(D_out(T^) * T) + sum(D_out(T) * T^)       (Eq. 5)      L_S: the same with S, S^ for T, T^

The maps are binary, so their values are piecewise constant in the body and the gradient is a choice. Option ``grad``:

``'material'`` (the default)
    The derivative by the shape. Term 1: the pixel of the body nearest to a target pixel u moves with the surface that
    is visible there, against the slope of the body's distance map at u. Term 2 of L_S: the area sum grows where the
    outline moves outwards, by the target's map there (Reynolds' transport theorem on pixel edges). Term 2 of L_T:
    skeleton pixels move along the slope of the target's map and count more where the body gets longer along the
    skeleton. A skeleton pixel moves with the mean of the front and the back surface, that is with the axis of the limb.
    No renderer is differentiated, and no value can explode.
    Measured on the open body against central differences of Eq. 5 (over 1 px, averaged over 24 shifts of the pixel
    grid; directions beyond four standard errors; ``benchmarks/topology_signs.py``): in random directions of pose, betas
    and camera the sign of L_S is right in 100 % and that of L_T in 98 %, by single parameters in 95 % and
    98 %. Slopes are .8 to 1 of the true ones. Skeletons without specks (``silhouette_target(specks=...)``) are no
    better.
``'conv'``
    Autograd through the thinning of Eq. 2 and the ridge of Eq. 3, with each level's gradient divided by the mass of the
    kernel, from a differentiable silhouette and a straight-through binary activation. On the same six poses the sign is
    right in 91 % (L_S) and 71 % (L_T) of random directions, slopes of .7 to .8, at worst 12.
``'literal'``
    As printed in the paper: the same without the division, in float64. Each level multiplies the gradient's mass by 9
    (8 with a hollow kernel). On the same poses: 62 % and 65 %, slopes 6e5 (L_S) and 7e9 (L_T) times the true ones, at
    worst 8e13. On a capsule figure in the plane, descents with Adam diverged. For study.

Where there is nothing to compare, the loss and its gradient are 0: the body is outside of the image, the mask is empty,
or one of them fills the image (for L_T, which has no skeleton then). A body beside the mask is attracted to it along
the axis of the image on which they are farther apart, since the metric measures only that axis.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from hrtk.errors import InputError
from hrtk.losses.topology_material import material_losses
from hrtk.losses.topology_target import SilhouetteTarget, pixel_count, silhouette_target
from hrtk.losses.topology_thinning import binarised, ridge, thinning_losses
from hrtk.silhouettes.silhouette import silhouette

__all__ = [
    'GRADS',
    'AlignmentLosses',
    'SilhouetteTarget',
    'alignment_losses',
    'mask_l2',
    'silhouette_loss',
    'silhouette_target',
    'skeleton_l2',
    'topology_loss',
]

GRADS = ('material', 'conv', 'literal')


class AlignmentLosses(NamedTuple):
    """L_S and L_T of every image, (B,) each."""

    silhouette: Tensor
    topology: Tensor


def topology_loss(
    vertices2d: Tensor,
    faces: Tensor,
    target_mask: Tensor | SilhouetteTarget,
    grad: str = 'material',
    reduction: str = 'sum',
) -> Tensor:
    """Computes L_T of Eq. 5, averaged over the batch; see :func:`alignment_losses` for the arguments."""
    (loss,) = _losses(vertices2d, faces, target_mask, grad, reduction, ('skeleton',))
    return loss.mean()


def silhouette_loss(
    vertices2d: Tensor,
    faces: Tensor,
    target_mask: Tensor | SilhouetteTarget,
    grad: str = 'material',
    reduction: str = 'sum',
) -> Tensor:
    """Computes L_S of Sec. 3.4, averaged over the batch; see :func:`alignment_losses` for the arguments."""
    (loss,) = _losses(vertices2d, faces, target_mask, grad, reduction, ('mask',))
    return loss.mean()


def alignment_losses(
    vertices2d: Tensor,
    faces: Tensor,
    target_mask: Tensor | SilhouetteTarget,
    grad: str = 'material',
    reduction: str = 'sum',
) -> AlignmentLosses:
    """Computes L_S and L_T of every image, from one rasterisation.

    Args:
        vertices2d: (B, V, 3) u and v in pixels, the centre of the top-left pixel being (0, 0), and depth z > 0, which
            determines visibility and gets no gradient; or (B, V, 2), where the lowest face index is visible.
        faces: (F, 3) integer vertex indices.
        target_mask: (B, H, W) of 0 and 1, or the result of :func:`silhouette_target` for it.
        grad: ``'material'``, ``'conv'`` or ``'literal'``, see the module.
        reduction: ``'sum'``: sums over pixels, as printed, 1e3 to 1e5 on a 224 px image. ``'mean'``: each of the two
            terms divided by the number of its pixels, |T| and |T^|, that is two mean distances in pixels.

    Returns:
        Two tensors (B,), once differentiable by ``vertices2d``.

    Raises:
        InputError: shapes or sizes do not match, the mask is not binary, or an option is unknown.
    """
    maps = ('mask', 'skeleton')
    return AlignmentLosses(*_losses(vertices2d, faces, target_mask, grad, reduction, maps))


def mask_l2(
    vertices2d: Tensor,
    faces: Tensor,
    target_mask: Tensor | SilhouetteTarget,
    sigma: float = 0.5,
    reduction: str = 'sum',
) -> Tensor:
    """Computes ``||S - S^||^2`` with a soft silhouette of the body, baseline B1 of Table 4, of every image: (B,).

    The loss does not measure how far apart silhouettes are: limbs that do not overlap with the mask are not attracted.

    Args:
        vertices2d: (B, V, 2 or 3) pixels and depth.
        faces: (F, 3).
        target_mask: (B, H, W) of 0 and 1, or the result of :func:`silhouette_target` for it.
        sigma: softness of the outline, px, see :func:`hrtk.silhouettes.silhouette.silhouette`.
        reduction: ``'sum'`` over pixels or ``'mean'``, divided by the number of pixels of the mask.
    """
    target = _check(vertices2d, faces, target_mask, 'material', reduction)
    soft = silhouette(vertices2d, faces.to(vertices2d.device), target.size, sigma=sigma)
    return _squared_difference(soft, target.mask, reduction)


def skeleton_l2(
    vertices2d: Tensor,
    faces: Tensor,
    target_mask: Tensor | SilhouetteTarget,
    sigma: float = 0.5,
    reduction: str = 'sum',
) -> Tensor:
    """Computes ``||T - T^||^2`` of every image, (B,), which B3 of Table 4 adds to L_S, with the gradient of ``'conv'``.

    Arguments as in :func:`mask_l2`. Skeletons are thin: the gradient is informative only where they nearly touch.
    """
    target = _check(vertices2d, faces, target_mask, 'conv', reduction)
    soft = silhouette(vertices2d, faces.to(vertices2d.device), target.size, sigma=sigma)
    return _squared_difference(ridge(binarised(soft), divide=True), target.skeleton, reduction)


def _squared_difference(predicted: Tensor, target: Tensor, reduction: str) -> Tensor:
    squares = (predicted - target.to(predicted.dtype)).square().sum((1, 2))
    if reduction == 'sum':
        return squares
    return squares / pixel_count(target)


def _losses(
    vertices2d: Tensor,
    faces: Tensor,
    target_mask: Tensor | SilhouetteTarget,
    grad: str,
    reduction: str,
    maps: tuple[str, ...],
) -> list[Tensor]:
    target = _check(vertices2d, faces, target_mask, grad, reduction)
    faces = faces.to(vertices2d.device).long()
    if grad == 'material':
        return material_losses(vertices2d, faces, target, reduction, maps)
    return thinning_losses(vertices2d, faces, target, reduction, maps, divide=grad == 'conv')


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
            f'there are {len(vertices2d)} bodies for {len(target.mask)} masks; pass one mask per body'
        )
    return target
