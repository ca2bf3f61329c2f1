"""Checks and crops of foreground masks, the same for every reader of masks."""

from __future__ import annotations

from typing import Optional

import cv2
import numpy as np
from torch import Tensor

from hrtk.errors import InputError
from hrtk.geometry.boxes import crop_image

LEAST_PIXELS = 16  # fewer show no limb
LEAST_BACKGROUND = 0.02  # as a fraction of the mask, or of the box
SECOND_AREA = 0.15  # of the first person's area, see check_mask
SECOND_HEIGHT = 0.4  # of the height of both people together


def check_mask(
    mask: np.ndarray, size: tuple[int, int], label: str, box: Optional[np.ndarray] = None
) -> Optional[str]:
    """Checks whether a mask shows one person.

    Two people are two 8-connected components of which the second has at least 15 % of the first one's area, 40 % of the
    height of both together, and lies beside it, not below. Of 160 masks of the open stream, where boards cut a
    few people in two, this rejects none; of 300 made of two people 25 to 70 px apart in a crop of 112 px it rejects
    43 %. It detects neither people who touch (37 % of these), nor one whose few pixels reach in from the side.

    Args:
        mask: (H, W) bool, or numbers that are all 0 or 1, or all 0 or 255.
        size: (H, W) of the image in px, which the mask must have, too.
        label: names the mask in messages, e.g. its path.
        box: (3,) ``[cx, cy, side]`` px; with a box, only its pixels are checked.

    Returns:
        None for a usable mask, or why its frame should be skipped: ``'empty'``, ``'full'`` (no background), ``'two
        people'``.

    Raises:
        InputError: another size, or other values.
    """
    if tuple(mask.shape) != tuple(size):
        mask_size = 'x'.join(map(str, mask.shape[::-1]))
        raise InputError(
            f'{label}: the mask is {mask_size} px, the image {size[1]}x{size[0]}; make it from this image, with '
            f'one channel and without resizing'
        )
    foreground = binary(mask, label)
    if box is not None:
        foreground = _inside_box(foreground, box)
    count = int(foreground.sum())
    if count < LEAST_PIXELS:
        return 'empty'
    if count > (1 - LEAST_BACKGROUND) * foreground.size:
        return 'full'
    if _shows_two_people(foreground):
        return 'two people'
    return None


def crop_mask(
    mask: np.ndarray, size: tuple[int, int], box: Tensor, resolution: int, label: str
) -> tuple[Optional[Tensor], Optional[str]]:
    """Crops a mask as its image is cropped, by area and bilinear, and thresholds it at one half.

    Args:
        mask: (H, W) of 0 and 1, or of 0 and 255.
        size: (H, W) of the image, px.
        box: (3,) ``[cx, cy, side]`` px.
        resolution: R, px of the crop.
        label: names the mask in messages.

    Returns:
        (R, R) bool and None, or None and why its frame should be skipped, see :func:`check_mask`.

    Raises:
        InputError: the mask has another size than the image, or other values.
    """
    problem = check_mask(mask, size, label, box.numpy())
    if problem is not None:
        return None, problem
    grey = binary(mask, label)[..., None].astype(np.uint8) * 255
    soft = crop_image(grey, box, resolution)[0]
    return soft > 127, None


def binary(mask: np.ndarray, label: str) -> np.ndarray:
    """Converts a mask of 0 and 1, or of 0 and 255, to (H, W) bool.

    Raises:
        InputError: the mask has other values; ``label`` names it in the message.
    """
    foreground = mask != 0
    values = mask[foreground]
    if values.size and not ((values == 1).all() or (values == 255).all()):
        distinct = np.unique(values)
        raise InputError(
            f'{label}: a mask has the values 0 and 1, or 0 and 255; this one has {len(distinct)} values besides '
            f'0, e.g. {distinct[len(distinct) // 2]}. Save it as PNG (JPEG blurs), threshold soft masks at half, '
            f'and write one person per file'
        )
    return foreground


def _inside_box(foreground: np.ndarray, box: np.ndarray) -> np.ndarray:
    cx, cy, side = (float(value) for value in box)
    if not (np.isfinite([cx, cy, side]).all() and side > 0):
        return foreground[:0]
    return foreground[_pixel_slice(cy, side), _pixel_slice(cx, side)]


def _pixel_slice(centre: float, side: float) -> slice:
    first = max(round(centre - side / 2), 0)
    end = max(round(centre + side / 2) + 1, 0)
    return slice(first, end)


def _shows_two_people(foreground: np.ndarray) -> bool:
    _, _, stats, _ = cv2.connectedComponentsWithStats(foreground.astype(np.uint8), connectivity=8)
    components = stats[1:]  # without the background
    largest_first = np.argsort(-components[:, cv2.CC_STAT_AREA], kind='stable')
    people = components[largest_first[:2]]
    if len(people) < 2:
        return False
    area = people[:, cv2.CC_STAT_AREA]
    top = people[:, cv2.CC_STAT_TOP]
    height = people[:, cv2.CC_STAT_HEIGHT]
    bottom = top + height
    is_large = area[1] >= SECOND_AREA * area[0]
    is_beside = bottom.min() - top.max() >= height.min() / 2
    is_high = height.min() >= SECOND_HEIGHT * (bottom.max() - top.min())
    return bool(is_large and is_beside and is_high)
