"""Square crop boxes as each pipeline of the field computes them, and crops of images by these boxes.

A box is ``[cx, cy, side]`` in pixels of the source image, pixel centres at integers. Its crop has the normalised
coordinates ``(xy - centre) / (side / 2)``, so the range [-1, 1] covers the box.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hrtk.geometry.constants import constant

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)


def boxes_from_keypoints(
    xy: Tensor, confidence: Tensor, scale: float = 1.2, aspect: float = 1.0
) -> Tensor:
    """SPIN's box: the centre of the visible points' extent, side ``scale * max(width / aspect, height)``.

    Args:
        xy: (F, K, 2) px.
        confidence: (F, K); points above zero count.
        scale: 1.2 in SPIN (3DPW, COCO, 3DHP) and BOA, 1.0 in DynaBOA's 3DPW script.
        aspect: width over height of the part of the crop that the network uses; 0.75 in HMR2, whose
            ``expand_to_aspect_ratio`` widens the box to 192:256, 1 for networks that use the whole crop.

    Returns:
        (F, 3) boxes; NaN where no point is visible.
    """
    low, high = _extent(xy, confidence > 0)
    extent = (high - low) / torch.tensor([aspect, 1.0], dtype=xy.dtype, device=xy.device)
    side = scale * extent.amax(-1, keepdim=True)
    return torch.cat([(low + high) / 2, side], dim=-1)


def boxes_from_diagonal(
    xy: Tensor, confidence: Tensor, scale: float = 1.1, threshold: float = 0.3
) -> Tensor:
    """VIBE's unsmoothed 3DPW box: the centre of the confident points' extent, side ``scale *`` its diagonal.

    Args:
        xy: (F, K, 2) px.
        confidence: (F, K).
        scale: 1.1 as stored in VIBE's files; VIBE's crops enlarge it by a further 1.2 (TCMR's script by 1.3).
        threshold: points above this confidence count.

    Returns:
        (F, 3) boxes; NaN where no point counts.
    """
    low, high = _extent(xy, confidence > threshold)
    side = scale * (high - low).norm(dim=-1, keepdim=True)
    return torch.cat([(low + high) / 2, side], dim=-1)


def boxes_from_centers(center: Tensor, scale: Tensor) -> Tensor:
    """Boxes of SPIN's npz files: ``center`` (F, 2) px and ``scale`` (F,) = side / 200 px."""
    return torch.cat([center, 200 * scale[:, None]], dim=-1)


def boxes_from_corners(corners: Tensor, scale: float = 1.0) -> Tensor:
    """Squares around detector boxes (F, 4) ``[left, top, right, bottom]`` px, side ``scale * max(width, height)``."""
    top_left = corners[:, :2]
    bottom_right = corners[:, 2:]
    side = scale * (bottom_right - top_left).amax(-1, keepdim=True)
    return torch.cat([(bottom_right + top_left) / 2, side], dim=-1)


def to_crop(xy: Tensor, boxes: Tensor) -> Tensor:
    """Pixels (F, K, 2) -> normalised crop coordinates (F, K, 2), [-1, 1] inside the box."""
    return (xy - boxes[:, None, :2]) * (2 / boxes[:, None, 2:])


def to_image(normalised: Tensor, boxes: Tensor) -> Tensor:
    """Normalised crop coordinates (F, K, 2) -> pixels (F, K, 2); the inverse of :func:`to_crop`."""
    return normalised * (boxes[:, None, 2:] / 2) + boxes[:, None, :2]


def truncate_to_crop_pixels(normalised: Tensor, resolution: int = 224) -> Tensor:
    """SPIN's and BOA's integer 2D targets, in normalised crop coordinates, (..., 2) -> (..., 2).

    The official loaders call ``transform(kp + 1, ...)`` of SPIN, which counts pixels from 1: it subtracts 1 from the
    point, maps it into the crop, casts to int, and adds 1. The target is therefore ``int(pixel) + 1``, up to one pixel
    to the right and below. Use this only to reproduce their results.
    """
    pixels = ((normalised + 1) * (resolution / 2)).trunc() + 1
    return pixels * (2 / resolution) - 1


def crop_image(image: np.ndarray | Tensor, box: Tensor, resolution: int) -> Tensor:
    """Crops one square box of an image, zero outside the image, with torch only.

    Where the crop is smaller than the box, blocks of source pixels are averaged first (by a whole factor) against
    aliasing; the sampling is bilinear. The result does not depend on a version of OpenCV.

    Args:
        image: (H, W, 3) uint8 RGB.
        box: (3,) ``[cx, cy, side]``, px.
        resolution: side R of the crop, px.

    Returns:
        (3, R, R) float32 in [0, 255].
    """
    cx, cy, side = (float(value) for value in box)
    # The box of a frame without a visible point is NaN.
    if not (np.isfinite(cx + cy) and 0 < side < np.inf):
        return torch.zeros(3, resolution, resolution)
    pixels = torch.as_tensor(image)
    height, width = pixels.shape[:2]
    margin = side / 2 + side / resolution + 2
    left, right = _pixel_range(cx, margin, width)
    top, bottom = _pixel_range(cy, margin, height)
    if left >= right or top >= bottom:
        return torch.zeros(3, resolution, resolution)

    region = pixels[top:bottom, left:right].permute(2, 0, 1)[None].float()
    factor = max(int(side / resolution), 1)
    if factor > 1:
        pad_right = -region.shape[3] % factor
        pad_bottom = -region.shape[2] % factor
        region = F.avg_pool2d(F.pad(region, (0, pad_right, 0, pad_bottom)), factor)
    # Centres of the crop's pixels, from the centre of the box, in sides of the box.
    steps = (torch.arange(resolution) + 0.5) / resolution - 0.5
    x = _grid_coordinates(cx + side * steps - left, factor, region.shape[3])
    y = _grid_coordinates(cy + side * steps - top, factor, region.shape[2])
    grid = torch.stack(torch.meshgrid(x, y, indexing='xy'), dim=-1)[None]
    crops = F.grid_sample(region, grid, mode='bilinear', padding_mode='zeros', align_corners=False)
    return crops[0]


def normalise(crops: Tensor) -> Tensor:
    """Normalises crops by ImageNet's statistics: (B, 3, R, R) in [0, 255] -> input of every network of the family."""
    mean, std = _statistics(crops)
    return (crops - mean) / std


def denormalise(crops: Tensor) -> Tensor:
    """The inverse of :func:`normalise`: network input (B, 3, R, R) -> grey levels in [0, 255]."""
    mean, std = _statistics(crops)
    return crops * std + mean


def _statistics(crops: Tensor) -> tuple[Tensor, Tensor]:
    """ImageNet's mean and standard deviation, (3, 1, 1) each, for grey levels in [0, 255]."""
    mean = constant(IMAGE_MEAN, crops)
    std = constant(IMAGE_STD, crops)
    return 255 * mean.view(3, 1, 1), 255 * std.view(3, 1, 1)


def _pixel_range(centre: float, margin: float, size: int) -> tuple[int, int]:
    """First and last + 1 of the image's pixels up to ``margin`` from a centre, along one axis."""
    first = max(int(centre - margin), 0)
    end = min(int(np.ceil(centre + margin)) + 1, size)
    return first, end


def _grid_coordinates(positions: Tensor, factor: int, size: int) -> Tensor:
    """Positions in px of a region -> coordinates of ``grid_sample`` after pooling by a factor to ``size`` px."""
    pooled = (positions + 0.5) / factor - 0.5
    return 2 * (pooled + 0.5) / size - 1


def _extent(xy: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
    """Least and largest coordinates (F, 2) of the visible points of every frame; NaN without any."""
    hidden = ~visible[..., None]
    low = xy.masked_fill(hidden, torch.inf).amin(1)
    high = xy.masked_fill(hidden, -torch.inf).amax(1)
    none_visible = ~visible.any(1, keepdim=True)
    low = low.masked_fill(none_visible, torch.nan)
    high = high.masked_fill(none_visible, torch.nan)
    return low, high
