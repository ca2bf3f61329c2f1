"""Square crop boxes: how each pipeline of the field makes them, and how pixels are cut out of them.

A box is ``[cx, cy, side]`` in pixels of the source image, pixel centres at integers. Its crop has the normalised
coordinates ``(xy - centre) / (side / 2)``, so the range [-1, 1] covers the box.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)


def boxes_from_keypoints(xy: Tensor, confidence: Tensor, scale: float = 1.2) -> Tensor:
    """SPIN's box: the middle of the visible points, side ``scale * max(width, height)``.

    Args:
        xy: (F, K, 2) px.
        confidence: (F, K); points above zero count.
        scale: 1.2 in SPIN (3DPW, COCO, 3DHP) and BOA, 1.0 in DynaBOA's 3DPW script.

    Returns:
        (F, 3) boxes; NaN where no point is visible.
    """
    low, high = _extent(xy, confidence > 0)
    return torch.cat([(low + high) / 2, scale * (high - low).amax(-1, keepdim=True)], dim=-1)


def boxes_from_diagonal(
    xy: Tensor, confidence: Tensor, scale: float = 1.1, threshold: float = 0.3
) -> Tensor:
    """VIBE's unsmoothed 3DPW box: the middle of the confident points, side ``scale *`` the diagonal of their extent.

    Args:
        xy: (F, K, 2) px.
        confidence: (F, K).
        scale: 1.1 as stored in VIBE's files; its crops widen this by another 1.2 (TCMR's script by 1.3).
        threshold: points above this confidence count.

    Returns:
        (F, 3) boxes; NaN where no point counts.
    """
    low, high = _extent(xy, confidence > threshold)
    return torch.cat([(low + high) / 2, scale * (high - low).norm(dim=-1, keepdim=True)], dim=-1)


def boxes_from_centers(center: Tensor, scale: Tensor) -> Tensor:
    """Boxes of SPIN's npz files: ``center`` (F, 2) px and ``scale`` (F,) = side / 200 px."""
    return torch.cat([center, 200 * scale[:, None]], dim=-1)


def boxes_from_corners(corners: Tensor, scale: float = 1.0) -> Tensor:
    """Squares around detector boxes (F, 4) ``[left, top, right, bottom]`` px, side ``scale * max(width, height)``."""
    size = corners[:, 2:] - corners[:, :2]
    return torch.cat(
        [(corners[:, 2:] + corners[:, :2]) / 2, scale * size.amax(-1, keepdim=True)], dim=-1
    )


def to_crop(xy: Tensor, boxes: Tensor) -> Tensor:
    """Pixels (F, K, 2) -> normalised crop coordinates (F, K, 2), [-1, 1] inside the box."""
    return (xy - boxes[:, None, :2]) * (2 / boxes[:, None, 2:])


def to_image(normalised: Tensor, boxes: Tensor) -> Tensor:
    """Normalised crop coordinates (F, K, 2) -> pixels (F, K, 2); the inverse of :func:`to_crop`."""
    return normalised * (boxes[:, None, 2:] / 2) + boxes[:, None, :2]


def truncate_to_crop_pixels(normalised: Tensor, resolution: int = 224) -> Tensor:
    """SPIN's and BOA's integer 2D targets: positions cut down to whole crop pixels, (..., 2) -> (..., 2).

    The official data loaders cast crop coordinates to int, an error of up to one pixel; use it only to replay them.
    """
    pixels = ((normalised + 1) * (resolution / 2)).trunc()
    return pixels * (2 / resolution) - 1


def crop_image(image: np.ndarray | Tensor, box: Tensor, resolution: int) -> Tensor:
    """Cuts one square box out of an image, zero outside it, in torch alone.

    Where the crop is smaller than the box, source pixels are averaged first (area, by a whole factor), so that no
    detail aliases; then bilinear. The result depends on no OpenCV version.

    Args:
        image: (H, W, 3) uint8 RGB.
        box: (3,) ``[cx, cy, side]``, px.
        resolution: side R of the crop, px.

    Returns:
        (3, R, R) float32 in [0, 255].
    """
    pixels = torch.as_tensor(image)
    cx, cy, side = (float(v) for v in box)
    if not (
        np.isfinite(cx + cy) and 0 < side < np.inf
    ):  # e.g. the NaN box of a frame without a visible point
        return torch.zeros(3, resolution, resolution)
    height, width = pixels.shape[:2]
    margin = side / 2 + side / resolution + 2
    left, right = max(int(cx - margin), 0), min(int(np.ceil(cx + margin)) + 1, width)
    top, bottom = max(int(cy - margin), 0), min(int(np.ceil(cy + margin)) + 1, height)
    if left >= right or top >= bottom:
        return torch.zeros(3, resolution, resolution)
    region = pixels[top:bottom, left:right].permute(2, 0, 1)[None].float()
    factor = max(int(side / resolution), 1)
    if factor > 1:
        pad = (-region.shape[3] % factor, -region.shape[2] % factor)
        region = F.avg_pool2d(F.pad(region, (0, pad[0], 0, pad[1])), factor)
    # Centres of the crop's pixels, in pixels of the (pooled) region.
    steps = (torch.arange(resolution) + 0.5) / resolution - 0.5
    x = ((cx + side * steps - left) + 0.5) / factor - 0.5
    y = ((cy + side * steps - top) + 0.5) / factor - 0.5
    grid = torch.stack(
        torch.meshgrid(
            2 * (x + 0.5) / region.shape[3] - 1, 2 * (y + 0.5) / region.shape[2] - 1, indexing='xy'
        ),
        dim=-1,
    )
    return F.grid_sample(
        region, grid[None], mode='bilinear', padding_mode='zeros', align_corners=False
    )[0]


def normalise(crops: Tensor) -> Tensor:
    """(B, 3, R, R) in [0, 255] -> the ImageNet-normalised input of every network of the family."""
    mean, std = _statistics(crops)
    return (crops - mean) / std


def denormalise(crops: Tensor) -> Tensor:
    """The inverse of :func:`normalise`: network input (B, 3, R, R) -> grey levels in [0, 255]."""
    mean, std = _statistics(crops)
    return crops * std + mean


def _statistics(like: Tensor) -> tuple[Tensor, Tensor]:
    mean, std = (
        torch.tensor(v, device=like.device, dtype=like.dtype).view(3, 1, 1)
        for v in (IMAGE_MEAN, IMAGE_STD)
    )
    return 255 * mean, 255 * std


def _extent(xy: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
    low = xy.masked_fill(~visible[..., None], torch.inf).amin(1)
    high = xy.masked_fill(~visible[..., None], -torch.inf).amax(1)
    none = ~visible.any(1, keepdim=True)
    return low.masked_fill(none, torch.nan), high.masked_fill(none, torch.nan)
