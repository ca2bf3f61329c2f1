"""Distance maps of masks, and the thin skeletons formed by the ridges of these maps.

All distances are between pixel centres in the chessboard metric, ``max(|dx|, |dy|)``, the metric of thinning by a
3 x 3 kernel (Aligning Silhouette Topology, NeurIPS 2021, Eq. 2). A mask continues beyond the frame: the frame itself
is never an outline.
"""

from __future__ import annotations

from typing import Iterator

import cv2
import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from hrtk.errors import InputError

METHODS = ('auto', 'opencv', 'separable', 'thinning')
CHUNK = 1 << 26  # candidates that the separable transform processes at once, 4 bytes each


def chessboard_distance(mask: Tensor, method: str = 'auto') -> Tensor:
    """Computes each pixel's depth in the mask: S2D of Eq. 2 (Aligning Silhouette Topology, NeurIPS 2021).

    The depth is the distance to the nearest pixel outside of the mask, 0 where the mask is 0. The *outwards* map of
    the paper is ``chessboard_distance(1 - mask)``. All methods give the same numbers, those of
    ``scipy.ndimage.distance_transform_cdt(mask, 'chessboard')``:

    * ``'thinning'``: the paper's sum of ``S_(i+1) = ReLU(N * S_i - m)`` with N all ones, ``m = n^2 - 1`` and a border
      of ones. (The printed ``m = n^2 - 2`` gives 2, 11, 92, ... instead of ones, and a kernel with a hollow centre
      fills holes of one pixel.) One convolution per level; for study.
    * ``'separable'``: the nearest background pixel of every row, then the minimum over rows. Runs on the device of the
      mask.
    * ``'opencv'``: OpenCV's exact ``DIST_C`` transform on the CPU, image by image.
    * ``'auto'``: OpenCV for masks on the CPU, separable elsewhere.

    Args:
        mask: (B, H, W) of 0 and 1, of any dtype, bool included.
        method: one of the above.

    Returns:
        (B, H, W) float32, pixels. A mask without a 0 has no such distance; it gets ``max(H, W)`` everywhere, one more
        than any distance inside a frame can be.

    Raises:
        InputError: the mask has another shape or other values, or there is no such method.
    """
    mask = as_mask(mask)
    if method == 'auto':
        method = 'opencv' if mask.is_cpu else 'separable'
    if method == 'opencv':
        return _opencv(mask)
    if method == 'separable':
        return _separable(mask)
    if method == 'thinning':
        return _thinning(mask)
    raise InputError(
        f'chessboard_distance: there is no method {method!r}; use {", ".join(METHODS)}'
    )


def topological_skeleton(mask: Tensor, window: int = 3, specks: int = 0) -> Tensor:
    """Computes the ridge of the inwards distance map: D2T of Eq. 3, ``ReLU(D - MaxPool(D) + 1) * S``.

    The ridge of a limb that the frame cuts runs straight into the frame, since the mask continues beyond it. The
    result is thin but not a connected line: on a person of 224 px it has some 90 pieces, and half of its pixels lie
    in blocks of 2 x 2 where a limb is an even number of pixels wide.

    Args:
        mask: (B, H, W) of 0 and 1.
        window: side of the window of the max-pooling, odd. The paper does not specify its own; 5 leaves about 80 % of
            the pixels that 3 leaves.
        specks: components of fewer pixels are left out, see :func:`without_specks`; the paper keeps all.

    Returns:
        (B, H, W) of 0 and 1, of the mask's dtype. A mask without a 0 has no outline, hence no ridge: all 0.

    Raises:
        InputError: the mask is not a mask, or the window is even or below 3.
    """
    if window < 3 or window % 2 == 0:
        raise InputError(f'topological_skeleton: window must be odd and at least 3, not {window}')
    distance = chessboard_distance(mask)
    is_highest = distance >= _max_pooled(distance, window)
    is_defined = (distance > 0) & (distance < max(mask.shape[1:]))
    return without_specks(is_highest & is_defined, specks).to(mask.dtype)


def without_specks(mask: Tensor, specks: int) -> Tensor:
    """Removes small components; on the CPU, since torch has no labelling.

    Args:
        mask: (B, H, W) bool.
        specks: components (of eight neighbours) of fewer pixels are removed; below 2 nothing is.

    Returns:
        (B, H, W) bool.
    """
    if specks < 2:
        return mask
    images = mask.contiguous().cpu().numpy().view(np.uint8)
    kept = np.empty(images.shape, bool)
    for image, result in zip(images, kept):
        _, labels, statistics, _ = cv2.connectedComponentsWithStats(image, connectivity=8)
        is_large = statistics[:, cv2.CC_STAT_AREA] >= specks
        is_large[0] = False  # the background
        np.take(is_large, labels, out=result)
    return torch.from_numpy(kept).to(mask.device)


def nearest_pixels(mask: Tensor) -> Tensor:
    """Finds the mask pixel nearest to each pixel in the Euclidean metric; scipy on the CPU, torch elsewhere.

    Args:
        mask: (B, H, W) of 0 and 1.

    Returns:
        (B, H, W) int64 indices into the flattened image. Of several pixels at the same distance any may be returned;
        the indices for a mask of zeros are valid but have no meaning.
    """
    mask = as_mask(mask)
    if not mask.is_cpu:
        return _nearest_separable(mask)
    height, width = mask.shape[1:]
    positions = np.empty((len(mask), 2, height, width), np.int32)
    for image, indices in zip(mask.numpy(), positions):
        ndimage.distance_transform_edt(
            ~image, return_distances=False, return_indices=True, indices=indices
        )
    y, x = torch.from_numpy(positions).long().unbind(1)
    return (y * width + x).clamp_(0, height * width - 1)


def as_mask(mask: Tensor) -> Tensor:
    """Checks a batch of masks.

    Returns:
        (B, H, W) bool.

    Raises:
        InputError: another shape, or values other than 0 and 1.
    """
    if mask.ndim != 3 or 0 in mask.shape[1:]:
        raise InputError(
            f'a mask must be (B, H, W), got {tuple(mask.shape)}; add the batch axis with mask[None]'
        )
    if mask.dtype == torch.bool:
        return mask
    binary = mask > 0.5
    if not torch.equal(binary.to(mask.dtype), mask):
        raise InputError(
            f'a mask must have the values 0 and 1 only, got values from {mask.min().item():g} to '
            f'{mask.max().item():g}; compare it with a threshold first'
        )
    return binary


def _opencv(mask: Tensor) -> Tensor:
    images = mask.contiguous().cpu().numpy().view(np.uint8)
    maps = np.stack([cv2.distanceTransform(image, cv2.DIST_C, 3) for image in images])
    return torch.from_numpy(maps).clamp_(max=max(mask.shape[1:])).to(mask.device)


def _thinning(mask: Tensor, n: int = 3) -> Tensor:
    level = mask.float()[:, None]
    kernel = level.new_ones(1, 1, n, n)
    distance = level.clone()
    for _ in range(max(mask.shape[1:]) - 1):
        padded = F.pad(level, (n // 2,) * 4, value=1.0)
        level = F.relu(F.conv2d(padded, kernel) - (n**2 - 1))
        if not level.any():
            break
        distance += level
    return distance[:, 0]


def _max_pooled(distance: Tensor, window: int) -> Tensor:
    """Max-pooling within the frame."""
    if not distance.is_cpu:
        return F.max_pool2d(distance, window, 1, window // 2)
    kernel = np.ones((window, window), np.uint8)
    pooled = [
        cv2.dilate(image, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
        for image in distance.numpy()
    ]
    return torch.from_numpy(np.stack(pooled))


def _separable(mask: Tensor) -> Tensor:
    """Chessboard distance to the nearest pixel outside of the mask."""
    row_distance, _ = _nearest_in_rows(~mask)
    chunks = [
        torch.maximum(row_distance[:, None], column_distance).amin(2)
        for column_distance in _column_distances(mask)
    ]
    return torch.cat(chunks, 1).clamp(max=max(mask.shape[1:])).float()


def _nearest_separable(mask: Tensor) -> Tensor:
    row_distance, column = _nearest_in_rows(mask)
    squared = row_distance.square()[:, None]
    chunks = [
        (squared + column_distance.square()).argmin(2)
        for column_distance in _column_distances(mask)
    ]
    row = torch.cat(chunks, 1)
    return row * mask.shape[2] + column.gather(1, row)


def _nearest_in_rows(mask: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest mask pixel of the same row: its distance (B, H, W) int32, H + W if none, and its column."""
    height, width = mask.shape[1:]
    x = torch.arange(width, device=mask.device)
    left = torch.where(mask, x, -1).cummax(2).values
    right = torch.where(mask, x, width).flip(2).cummin(2).values.flip(2)
    to_left = torch.where(left < 0, height + width, x - left)
    to_right = torch.where(right == width, height + width, right - x)
    column = torch.where(to_left <= to_right, left, right).clamp(0, width - 1)
    return torch.minimum(to_left, to_right).int(), column


def _column_distances(mask: Tensor) -> Iterator[Tensor]:
    """``|y - y'|`` as (1, rows, H, 1), for as many rows y at a time as CHUNK allows."""
    batch, height, width = mask.shape
    y = torch.arange(height, device=mask.device, dtype=torch.int32)
    for rows in y.split(max(1, CHUNK // (batch * height * width))):
        yield (rows[:, None] - y).abs()[None, :, :, None]
