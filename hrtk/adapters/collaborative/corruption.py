"""Corruptions of a student's crops; its teacher takes clean ones.

Each maps a batch (B, 3, R, R) of grey levels in [0, 255] to a new one, with separate random numbers for every image.
These come from torch's global generators. The few numbers of most corruptions are drawn on the CPU, so that a seed
gives the same ones on every device. Noise on every pixel is drawn on the device of the images, because 8 crops of
224 px would upload 4.8 MB per step: a seed gives the same noise again on the same kind of device, and other noise on
another kind.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from hrtk.errors import OptionError
from hrtk.registry import CORRUPTIONS

Range = tuple[float, float]


@CORRUPTIONS.register_module()
class GaussianNoise:
    """Independent noise on every pixel and channel, clamped to grey levels (Lumentut and Lee, 3DHR-Co, 2023).

    Args:
        sigma: standard deviation in grey levels; 35, 50 and 65 in the paper.
    """

    def __init__(self, sigma: float = 35.0) -> None:
        self.sigma, _ = _range('GaussianNoise', 'sigma', (sigma, sigma), 0)

    def __call__(self, images: Tensor) -> Tensor:
        """(B, 3, R, R) -> (B, 3, R, R), both in [0, 255]."""
        noise = torch.randn(images.shape, device=images.device).to(images.dtype)
        return (images + self.sigma * noise).clamp(0, 255)


@CORRUPTIONS.register_module()
class PatchOcclusion:
    """Hides parts of the person behind rectangles of one colour each, which lie wholly inside the crop.

    Args:
        patches: rectangles per image.
        size: minimum and maximum of width and height, which are drawn independently, as fractions of R.
    """

    def __init__(self, patches: int = 1, size: Range = (0.15, 0.5)) -> None:
        if patches < 1:
            raise OptionError(f'PatchOcclusion: patches is a count from 1, not {patches}')
        self.patches = patches
        self.size = _range('PatchOcclusion', 'size', size, 0, 1)

    def __call__(self, images: Tensor) -> Tensor:
        """(B, 3, R, R) -> (B, 3, R, R), both in [0, 255]."""
        count = len(images)
        resolution = images.shape[-1]
        pixels = torch.arange(resolution)
        for _ in range(self.patches):
            side = (resolution * _uniform(self.size, count, 2)).round()
            start = (torch.rand(count, 2) * (resolution - side + 1)).floor()
            inside = (pixels >= start[..., None]) & (pixels < (start + side)[..., None])
            hidden = inside[:, 0, None, :, None] & inside[:, 1, None, None, :]
            colour = 255 * torch.rand(count, 3, 1, 1)
            images = torch.where(hidden.to(images.device), colour.to(images), images)
        return images


@CORRUPTIONS.register_module()
class Blur:
    """Gaussian blur with replicated borders.

    Args:
        sigma: minimum and maximum standard deviation, px of the crop.
    """

    def __init__(self, sigma: Range = (1.0, 4.0)) -> None:
        self.sigma = _range('Blur', 'sigma', sigma, 1e-3)

    def __call__(self, images: Tensor) -> Tensor:
        """(B, 3, R, R) -> (B, 3, R, R), both in [0, 255]."""
        count, channels = images.shape[:2]
        radius = int(4 * self.sigma[1] + 0.5)
        distance = torch.arange(-radius, radius + 1) / _uniform(self.sigma, count, 1)
        kernel = (-(distance**2) / 2).softmax(1).to(images).repeat_interleave(channels, 0)[:, None]
        # Every channel of every image is a group with its own kernel.
        flat = F.pad(images.flatten(0, 1)[None], [radius] * 4, mode='replicate')
        flat = F.conv2d(flat, kernel[..., None], groups=len(kernel))
        flat = F.conv2d(flat, kernel[..., None, :], groups=len(kernel))
        return flat[0].unflatten(0, (count, channels))


@CORRUPTIONS.register_module()
class LowResolution:
    """Downsamples and upsamples a crop, both bicubic with antialiasing, as if the person were small in the image.

    Args:
        factor: minimum and maximum factor; a crop is downsampled to a side of R / factor px.
    """

    def __init__(self, factor: Range = (2.0, 6.0)) -> None:
        self.factor = _range('LowResolution', 'factor', factor, 1)

    def __call__(self, images: Tensor) -> Tensor:
        """(B, 3, R, R) -> (B, 3, R, R), both in [0, 255]."""
        resolution = images.shape[-1]
        factors = _uniform(self.factor, len(images))
        sizes = (resolution / factors).round().clamp_min(1).int().tolist()
        small = [_bicubic(image[None], size) for image, size in zip(images, sizes)]
        return torch.cat([_bicubic(image, resolution) for image in small]).clamp(0, 255)


def _bicubic(images: Tensor, size: int) -> Tensor:
    return F.interpolate(images, (size, size), mode='bicubic', antialias=True)


def _uniform(limits: Range, *shape: int) -> Tensor:
    return limits[0] + (limits[1] - limits[0]) * torch.rand(shape)


def _range(owner: str, name: str, limits: Range, least: float, most: float = float('inf')) -> Range:
    low, high = limits
    if not least <= low <= high <= most:
        raise OptionError(
            f'{owner}: {name} is from {least} to {most}, the smaller number first; not {limits}'
        )
    return float(low), float(high)
