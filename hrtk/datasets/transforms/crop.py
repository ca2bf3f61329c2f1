"""Frames that are the network's crops, and crops of few pixels."""

from __future__ import annotations

import dataclasses
from typing import Optional

import numpy as np
import torch
from torch import Tensor

from hrtk.datasets.transforms.base import MappedFrames, Transform, crop_side
from hrtk.errors import InputError, OptionError
from hrtk.geometry.boxes import crop_image
from hrtk.geometry.imresize import imresize
from hrtk.registry import TRANSFORMS
from hrtk.structures import Landmarks, Sequence


@TRANSFORMS.register_module()
class CropTo(Transform):
    """Frames become the network's input crops, in whole grey levels; everything outside the boxes is lost.

    Boxes become ``[(R - 1) / 2, (R - 1) / 2, R]``, so that :func:`~hrtk.geometry.boxes.crop_image` returns the same
    pixels again. Keypoints, landmarks, masks and intrinsics are transformed exactly, so that the translation of the
    ground truth stays valid. Frames with a box that is not finite become black and keep the box.

    Args:
        resolution: R, that of the estimator.

    Raises:
        InputError: the resolution is below 2.
    """

    def __init__(self, resolution: int) -> None:
        if resolution < 2:
            raise OptionError(
                f'CropTo: resolution is the side of the crops in pixels, at least 2, not {resolution}'
            )
        self.resolution = resolution

    def __call__(self, sequence: Sequence) -> Sequence:
        """The sequence as crops of its boxes."""
        size = self.resolution
        boxes = sequence.boxes

        def crop(image: np.ndarray, t: int) -> np.ndarray:
            return crop_image(image, boxes[t], size).permute(1, 2, 0).round().byte().numpy()

        def crop_mask(mask: np.ndarray, t: int) -> np.ndarray:
            return (crop_image(mask[..., None], boxes[t], size)[0] >= 0.5).byte().numpy()

        masks = sequence.masks
        if masks is not None:
            masks = MappedFrames(masks, crop_mask)
        truth = sequence.truth
        if truth is not None and truth.intrinsics is not None:
            truth = dataclasses.replace(
                truth, intrinsics=self._crop_camera(truth.intrinsics, boxes)
            )
        middle = (size - 1) / 2

        def moved(points: Tensor) -> Tensor:
            """Pixels (F, K, 2) of the images -> pixels of the crops."""
            return (points - boxes[:, None, :2]) * (size / boxes[:, None, 2:]) + middle

        if truth is not None and truth.joints2d is not None:
            truth = dataclasses.replace(truth, joints2d=moved(truth.joints2d))
        keypoints = sequence.keypoints2d
        crop_boxes = boxes.new_tensor([middle, middle, size]).expand_as(boxes)
        finite = boxes.isfinite().all(1, keepdim=True)
        return dataclasses.replace(
            sequence,
            frames=MappedFrames(sequence.frames, crop),
            truth=truth,
            masks=masks,
            boxes=torch.where(finite, crop_boxes, boxes),
            focal=None,  # a crop's camera changes from frame to frame
            keypoints2d=dataclasses.replace(keypoints, xy=moved(keypoints.xy)),
            landmarks=self._crop_landmarks(sequence.landmarks, boxes),
        )

    def _crop_landmarks(self, landmarks: Optional[Landmarks], boxes: Tensor) -> Optional[Landmarks]:
        """Landmarks in px of the images -> in px of the crops; absent where the box is not finite."""
        if landmarks is None:
            return None
        zoom = self.resolution / boxes[:, None, 2:]
        corner = torch.cat([boxes[:, None, :2], torch.zeros_like(zoom)], dim=-1)
        middle = (self.resolution - 1) / 2
        offset = boxes.new_tensor([middle, middle, 0.0])
        valid = landmarks.valid & boxes.isfinite().all(1)
        xyz = torch.where(
            valid[:, None, None],
            (landmarks.xyz - corner) * zoom + offset,
            landmarks.xyz.new_zeros(()),
        )
        return dataclasses.replace(landmarks, xyz=xyz, valid=valid)

    def _crop_camera(self, intrinsics: Tensor, boxes: Tensor) -> Tensor:
        """Intrinsics (F, 3) of the images -> intrinsics (F, 3) of the crops."""
        boxes = boxes.to(intrinsics)
        zoom = self.resolution / boxes[:, 2:]
        centre = (intrinsics[:, 1:] - boxes[:, :2]) * zoom + (self.resolution - 1) / 2
        return torch.cat([intrinsics[:, :1] * zoom, centre], dim=1)


@TRANSFORMS.register_module()
class LowResolution(Transform):
    """The LR domain: crops are reduced to few pixels and enlarged again; needs :class:`CropTo` before it.

    Crops are reduced by area (a pixel is the exact mean of the area that it covers) to whole grey levels, and enlarged
    by Pillow's bicubic filter (:func:`~hrtk.geometry.imresize.imresize`). Masks are binary at ``width`` x ``width``;
    the same enlargement is cut at half, so that contours are as coarse as the image and yet without steps. The paper
    (Rakesh et al., Aligning Silhouette Topology, 2021) has 96, 52 and 32 px of 224 and does not state how it reduces.

    Args:
        width: pixels across the reduced crop.

    Raises:
        InputError: the width is below 2.
    """

    def __init__(self, width: int = 32) -> None:
        if width < 2:
            raise OptionError(f'LowResolution: width is in pixels, at least 2, not {width}')
        self.width = width

    def __call__(self, sequence: Sequence) -> Sequence:
        """The sequence as if the person were small in its images.

        Raises:
            InputError: the frames are no crops, or smaller than ``width``.
        """
        size = crop_side(sequence, 'LowResolution')
        if self.width > size:
            raise InputError(
                f'LowResolution: width={self.width} is more than the {size} px that the crops of '
                f'{sequence.name!r} have; lower it'
            )
        weights = area_weights(size, self.width)

        def reduce(planes: Tensor) -> Tensor:
            return weights @ planes.float() @ weights.T

        def degrade(image: np.ndarray, t: int) -> np.ndarray:
            small = reduce(torch.from_numpy(image).permute(2, 0, 1))[None]
            return imresize(small, size)[0].permute(1, 2, 0).byte().numpy()

        def degrade_mask(mask: np.ndarray, t: int) -> np.ndarray:
            small = 255.0 * (reduce(torch.from_numpy(mask)[None])[None] >= 0.5)
            return (imresize(small, size)[0, 0] >= 127.5).byte().numpy()

        masks = sequence.masks
        if masks is not None:
            masks = MappedFrames(masks, degrade_mask)
        return dataclasses.replace(
            sequence, frames=MappedFrames(sequence.frames, degrade), masks=masks
        )


def area_weights(size: int, width: int) -> Tensor:
    """(width, size) matrix that maps a row of ``size`` pixels to the means over ``width`` larger pixels."""
    edges = torch.arange(width + 1, dtype=torch.float64) * (size / width)
    pixels = torch.arange(size, dtype=torch.float64)
    overlap = torch.minimum(edges[1:, None], pixels + 1) - torch.maximum(edges[:-1, None], pixels)
    return (overlap.clamp_min(0) * (width / size)).float()
