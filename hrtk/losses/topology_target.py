"""Target masks of silhouette-topology alignment with their distance maps."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from hrtk.silhouettes.distance import as_mask, chessboard_distance, topological_skeleton


class SilhouetteTarget(NamedTuple):
    """B masks, their topological skeletons, and the outwards distance maps of both.

    Attributes:
        mask: (B, H, W) bool.
        skeleton: (B, H, W) bool.
        mask_distance: (B, H, W) float32, px.
        skeleton_distance: (B, H, W) float32, px.
        specks: components of the skeletons of fewer pixels were left out, and are in those of the bodies, too.
    """

    mask: Tensor
    skeleton: Tensor
    mask_distance: Tensor
    skeleton_distance: Tensor
    specks: int = 0

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the images."""
        _, height, width = self.mask.shape
        return height, width


def silhouette_target(mask: Tensor, specks: int = 0) -> SilhouetteTarget:
    """Prepares masks for repeated use, e.g. over the steps of a fit.

    Args:
        mask: (B, H, W) of 0 and 1.
        specks: components of both skeletons, the mask's and the body's, of fewer pixels are left out.

    Raises:
        InputError: the mask has another shape or other values.
    """
    mask = as_mask(mask)
    skeleton = topological_skeleton(mask, specks=specks)
    return SilhouetteTarget(
        mask, skeleton, chessboard_distance(~mask), chessboard_distance(~skeleton), specks
    )


def pixel_count(mask: Tensor) -> Tensor:
    """Number of pixels (B,) of masks (B, H, W), at least 1."""
    return mask.flatten(1).sum(1).clamp_min(1)


def is_comparable(predicted: Tensor, target: Tensor) -> Tensor:
    """(B,) bool: whether both of two masks (B, H, W) have pixels."""
    return target.flatten(1).any(1) & predicted.flatten(1).any(1)
