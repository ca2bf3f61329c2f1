"""``scipy.misc.imresize``, which RSC-Net's code downsamples images with; SciPy removed it in version 1.3."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def imresize(images: Tensor, size: int, stretch: bool = False) -> Tensor:
    """Resizes images as Pillow resizes 8-bit images: bicubic, antialiased, rounded to whole grey levels.

    Rows are resized and rounded before columns, as in Pillow. The result differs from Pillow's, which computes in
    fixed point, by at most one grey level, in less than one number in a thousand.

    Args:
        images: (B, C, H, W) grey levels in [0, 255].
        size: height and width of the result, px.
        stretch: first maps the range of each image, from the least to the largest value over all channels, to 0..255,
            as ``imresize`` does with an image that is not of 8 bits; an image of one value becomes black.

    Returns:
        (B, C, size, size) whole numbers in [0, 255], of the images' dtype.
    """
    if stretch:
        low = images.amin((1, 2, 3), keepdim=True)
        high = images.amax((1, 2, 3), keepdim=True)
        contrast = torch.where(high > low, high - low, 1)
        images = (images - low) * (255 / contrast)
    images = _rounded(images)
    rows = F.interpolate(images, (images.shape[2], size), mode='bicubic', antialias=True)
    return _rounded(F.interpolate(_rounded(rows), (size, size), mode='bicubic', antialias=True))


def _rounded(images: Tensor) -> Tensor:
    return (images + 0.5).floor().clamp(0, 255)
