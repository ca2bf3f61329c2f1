"""Regions: squares in any orientation, crops of images by them, and places inside them.

A region is ``[cx, cy, side, angle]``: centre and side in px of the image with pixel centres at integers, and the angle
in radians by which the square is turned clockwise as seen on the image (x right, y down). With angle zero it is a box
of :mod:`hrtk.geometry.boxes`. Places inside a region are normalised: [-1, 1] covers the region, and y points along its
own vertical.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


def turn(xy: Tensor, angle: Tensor) -> Tensor:
    """Turns points (B, N, 2) about the origin by (B,) radians, from x towards y."""
    cosine = angle.cos()[:, None]
    sine = angle.sin()[:, None]
    x, y = xy.unbind(-1)
    return torch.stack([cosine * x - sine * y, sine * x + cosine * y], dim=-1)


def from_regions(places: Tensor, regions: Tensor) -> Tensor:
    """Normalised places (B, N, 2) of regions (B, 4) -> px of the image."""
    return turn(places, regions[:, 3]) * (regions[:, None, 2:3] / 2) + regions[:, None, :2]


def to_regions(xy: Tensor, regions: Tensor) -> Tensor:
    """Pixels (B, N, 2) of the image -> normalised places of regions (B, 4); the inverse of :func:`from_regions`."""
    return turn(xy - regions[:, None, :2], -regions[:, 3]) * (2 / regions[:, None, 2:3])


def wrap_angle(angle: Tensor) -> Tensor:
    """Angles in radians -> the same in [-pi, pi)."""
    return torch.remainder(angle + math.pi, 2 * math.pi) - math.pi


def crop_regions(image: np.ndarray | Tensor, regions: Tensor, resolution: int) -> Tensor:
    """Crops regions of an image, zero outside the image.

    Where a pixel of the crop is as wide as n or more of the image, only every n-th pixel of the image is read: so the
    time does not depend on the size of the image. The sampling is bilinear. There is no filter against aliasing, as in
    MediaPipe; BlazePose's landmarks do not become better with one.

    Args:
        image: (H, W, 3) RGB in [0, 255], uint8 or float.
        regions: (B, 4); a region that is not finite or has no side gives a black crop.
        resolution: side R of the crops, px.

    Returns:
        (B, 3, R, R) float32 in [0, 1], in torch's channels-last layout. It is differentiable in the regions.
    """
    pixels = torch.as_tensor(image)
    steps = (torch.arange(resolution) + 0.5) / resolution * 2 - 1
    places = torch.stack(torch.meshgrid(steps, steps, indexing='xy'), dim=-1).view(1, -1, 2)
    places = places.to(regions)
    crops = [regions.new_zeros((0, 3, resolution, resolution))]
    for region in regions:
        crop = regions.new_zeros((1, 3, resolution, resolution))
        if bool(region.isfinite().all()) and region[2] > 0:
            xy = from_regions(places, region[None]).view(resolution, resolution, 2)
            stride = max(int(region[2] / resolution), 1)
            crop = _sample(pixels, xy, stride)
        crops.append(crop)
    return torch.cat(crops).contiguous(memory_format=torch.channels_last)


def paste_mask(mask: Tensor, region: Tensor, size: tuple[int, int]) -> Tensor:
    """Puts the mask of a region into an image, zero outside the region.

    Args:
        mask: (R, R), of any real values.
        region: (4,).
        size: height and width of the image, px.

    Returns:
        (height, width), sampled bilinearly.
    """
    height, width = size
    pixels = torch.meshgrid(torch.arange(width), torch.arange(height), indexing='xy')
    xy = torch.stack(pixels, dim=-1).to(mask.dtype)
    places = to_regions(xy.view(1, -1, 2), region[None].to(mask.dtype))
    grid = places.view(1, height, width, 2)
    pasted = F.grid_sample(mask[None, None], grid, padding_mode='zeros', align_corners=False)
    return pasted[0, 0]


def _sample(pixels: Tensor, xy: Tensor, stride: int) -> Tensor:
    """Every ``stride``-th pixel of an image (H, W, C) at the places (R, R, 2), px -> (1, C, R, R) in [0, 1]."""
    height, width, channels = pixels.shape
    limits = torch.tensor([width, height])
    low = (xy.detach().amin((0, 1)).floor().long() - stride).clamp_min(0)
    high = torch.minimum(xy.detach().amax((0, 1)).ceil().long() + stride + 1, limits)
    left, top = low.tolist()
    right, bottom = high.tolist()
    if left >= right or top >= bottom:
        return xy.new_zeros((1, channels, *xy.shape[:2]))
    block = pixels[top:bottom:stride, left:right:stride].permute(2, 0, 1)[None].to(xy.dtype) / 255
    size = torch.tensor([block.shape[3], block.shape[2]])
    grid = ((xy - low) / stride + 0.5) / size * 2 - 1
    return F.grid_sample(block, grid[None], padding_mode='zeros', align_corners=False)
