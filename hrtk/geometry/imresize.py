"""``scipy.misc.imresize``, which RSC-Net's program reduces pictures with and SciPy has had no more since 1.3."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def imresize(images: Tensor, size: int, stretch: bool = False) -> Tensor:
    """Resizes pictures as Pillow resizes 8-bit ones: bicubic, without aliasing, rounded to whole grey levels.

    Rows come first and are rounded before columns, as in Pillow. The result differs from Pillow's, which computes in
    fixed point, by at most one grey level, in less than one number in a thousand.

    Args:
        images: (B, C, H, W) grey levels in [0, 255].
        size: height and width of the result, px.
        stretch: what ``imresize`` does first to a picture that is not of 8 bits: it maps its range, from the least to
            the largest value over all channels, to 0..255; a picture of one value becomes black.

    Returns:
        (B, C, size, size) whole numbers in [0, 255], of the images' dtype.
    """
    if stretch:
        low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
        images = (images - low) * (255 / torch.where(high > low, high - low, 1))
    images = _whole(images)
    images = _whole(F.interpolate(images, (images.shape[2], size), mode='bicubic', antialias=True))
    return _whole(F.interpolate(images, (size, size), mode='bicubic', antialias=True))


def _whole(images: Tensor) -> Tensor:
    return (images + 0.5).floor().clamp(0, 255)
