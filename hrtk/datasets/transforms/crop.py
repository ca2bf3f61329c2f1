"""Frames that are the network's crops, and crops of few pixels."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor

from hrtk.datasets.transforms.base import MappedFrames, Transform, crop_side
from hrtk.errors import InputError
from hrtk.geometry.boxes import crop_image
from hrtk.geometry.imresize import imresize
from hrtk.registry import TRANSFORMS
from hrtk.structures import Sequence


@TRANSFORMS.register_module()
class CropTo(Transform):
    """Frames become what the network sees of them, in whole grey levels; nothing outside the boxes is left.

    Boxes become ``[(R - 1) / 2, (R - 1) / 2, R]``, so that :func:`~hrtk.geometry.boxes.crop_image` gives the same
    pixels back. Keypoints, masks and intrinsics move along exactly, so that the translation of the ground truth stays
    what it was. Frames with a box that is not finite become black and keep it.

    Args:
        resolution: R, that of the estimator.
    """

    def __init__(self, resolution: int) -> None:
        if resolution < 2:
            raise InputError(
                f'CropTo: resolution is the side of the crops in pixels, at least 2, not {resolution}'
            )
        self.resolution = resolution

    def __call__(self, sequence: Sequence) -> Sequence:
        """The sequence seen through its boxes."""
        size, boxes = self.resolution, sequence.boxes

        def cut(image: np.ndarray, t: int) -> np.ndarray:
            return crop_image(image, boxes[t], size).permute(1, 2, 0).round().byte().numpy()

        def cut_mask(mask: np.ndarray, t: int) -> np.ndarray:
            return (crop_image(mask[..., None], boxes[t], size)[0] >= 0.5).byte().numpy()

        points, truth = sequence.keypoints2d, sequence.truth
        xy = (points.xy - boxes[:, None, :2]) * (size / boxes[:, None, 2:]) + (size - 1) / 2
        if truth is not None and truth.intrinsics is not None:
            zoom = size / boxes[:, 2:].to(truth.intrinsics)
            centre = (truth.intrinsics[:, 1:] - boxes[:, :2].to(truth.intrinsics)) * zoom + (
                size - 1
            ) / 2
            truth = dataclasses.replace(
                truth, intrinsics=torch.cat([truth.intrinsics[:, :1] * zoom, centre], dim=1)
            )
        standard = boxes.new_tensor([(size - 1) / 2, (size - 1) / 2, size]).expand_as(boxes)
        return dataclasses.replace(
            sequence,
            frames=MappedFrames(sequence.frames, cut),
            truth=truth,
            masks=None if sequence.masks is None else MappedFrames(sequence.masks, cut_mask),
            boxes=torch.where(boxes.isfinite().all(1, keepdim=True), standard, boxes),
            keypoints2d=dataclasses.replace(points, xy=xy),
        )


@TRANSFORMS.register_module()
class LowResolution(Transform):
    """The LR domain: crops are reduced to few pixels and enlarged again; needs :class:`CropTo` before it.

    Reduced by area, a pixel being the exact mean of what it covers, to whole grey levels; enlarged by Pillow's bicubic
    (:func:`~hrtk.geometry.imresize.imresize`). Masks are binary at ``width`` x ``width`` and are cut at half after the
    same enlargement, so that contours are as coarse as the picture and yet without steps. The paper (Rakesh
    et al., Aligning Silhouette Topology, 2021) has 96, 52 and 32 px of 224 and does not say how it reduces.

    Args:
        width: pixels across the reduced crop.
    """

    def __init__(self, width: int = 32) -> None:
        if width < 2:
            raise InputError(f'LowResolution: width is in pixels, at least 2, not {width}')
        self.width = width

    def __call__(self, sequence: Sequence) -> Sequence:
        """The sequence as if the person were small in its pictures."""
        size = crop_side(sequence, 'LowResolution')
        if self.width > size:
            raise InputError(
                f'LowResolution: width={self.width} is more than the {size} px that the crops of '
                f'{sequence.name!r} have; lower it'
            )
        rows = area_weights(size, self.width)

        def coarse(planes: Tensor) -> Tensor:
            return rows @ planes.float() @ rows.T

        def degrade(image: np.ndarray, t: int) -> np.ndarray:
            small = coarse(torch.from_numpy(image).permute(2, 0, 1))[None]
            return imresize(small, size)[0].permute(1, 2, 0).byte().numpy()

        def degrade_mask(mask: np.ndarray, t: int) -> np.ndarray:
            small = 255.0 * (coarse(torch.from_numpy(mask)[None])[None] >= 0.5)
            return (imresize(small, size)[0, 0] >= 127.5).byte().numpy()

        masks = None if sequence.masks is None else MappedFrames(sequence.masks, degrade_mask)
        return dataclasses.replace(
            sequence, frames=MappedFrames(sequence.frames, degrade), masks=masks
        )


def area_weights(size: int, width: int) -> Tensor:
    """(width, size) matrix that takes a row of ``size`` pixels to the means of ``width`` larger ones, parts counted."""
    edges = torch.arange(width + 1, dtype=torch.float64) * (size / width)
    pixels = torch.arange(size, dtype=torch.float64)
    overlap = torch.minimum(edges[1:, None], pixels + 1) - torch.maximum(edges[:-1, None], pixels)
    return (overlap.clamp_min(0) * (width / size)).float()
