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
    """Crops regions of an image bilinearly, zero outside the image.

    Only the pixels that are needed are read: the time does not depend on the size of the image. There is no filter
    against aliasing, as in MediaPipe, whose networks were trained on such crops; averaging pixels first did not make
    their landmarks better.

    Args:
        image: (H, W, 3) RGB in [0, 255], uint8 or float.
        regions: (B, 4); a region that is not finite or has no side gives a black crop.
        resolution: side R of the crops, px.

    Returns:
        (B, 3, R, R) float32 in [0, 1], in torch's channels-last layout. It is differentiable in the regions.
    """
    pixels = torch.as_tensor(image)
    usable = regions.isfinite().all(1) & (regions[:, 2] > 0)
    regions = torch.where(usable[:, None], regions, regions.new_tensor([-1e6, -1e6, 1, 0]))
    steps = (torch.arange(resolution) + 0.5) / resolution * 2 - 1
    places = torch.stack(torch.meshgrid(steps, steps, indexing='xy'), dim=-1).view(1, -1, 2)
    xy = from_regions(places.to(regions), regions).reshape(-1, 2)
    rows = _bilinear(pixels, xy) / 255
    return rows.view(len(regions), resolution, resolution, 3).permute(0, 3, 1, 2)


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


def _bilinear(pixels: Tensor, xy: Tensor) -> Tensor:
    """(H, W, C) at the places (N, 2), px -> (N, C) float32; zero outside."""
    height, width, channels = pixels.shape
    flat = pixels.reshape(-1, channels)
    low = xy.detach().floor()
    share = xy - low
    column, row = low.long().unbind(-1)
    total = xy.new_zeros((len(xy), channels))
    for right in (0, 1):
        for down in (0, 1):
            x = column + right
            y = row + down
            inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
            # The weight of a neighbour falls linearly with its distance along each axis.
            weight = (1 - right - share[:, 0]).abs() * (1 - down - share[:, 1]).abs() * inside
            index = y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
            total = total + flat.index_select(0, index).to(xy.dtype) * weight[:, None]
    return total
