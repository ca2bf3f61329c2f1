"""What a foreground mask must be before anything is fitted to it, decided in one place."""

from __future__ import annotations

from typing import Optional

import cv2
import numpy as np
from torch import Tensor

from hrtk.errors import InputError
from hrtk.geometry.boxes import crop_image

LEAST_PIXELS = 16  # fewer show no limb
LEAST_BACKGROUND = 0.02  # share of the mask, or of the box
SECOND_AREA, SECOND_HEIGHT = 0.15, 0.4  # see check_mask


def check_mask(
    mask: np.ndarray, size: tuple[int, int], what: str, box: Optional[np.ndarray] = None
) -> Optional[str]:
    """Says whether a mask shows one person.

    Two people are two 8-connected components of which the second has at least 15 % of the first one's area, 40 % of the
    height of both together, and lies beside it, not below. Of 160 masks of the open stream, where boards cut a
    few people in two, this marks none; of 300 made of two people 25 to 70 px apart in a crop of 112 px it marks 43 %.
    It cannot see people who touch (37 % of these), nor one whose few pixels reach in from the side.

    Args:
        mask: (H, W) bool, or numbers that are all 0 or 1, or all 0 or 255.
        size: (H, W) that it must have, px: the picture's.
        what: the mask in messages, e.g. its path.
        box: (3,) ``[cx, cy, side]`` px; if given, emptiness, background and people are looked for within it.

    Returns:
        None for a usable mask, or why its frame should be skipped: ``'empty'``, ``'full'`` (no background), ``'two
        people'``.

    Raises:
        InputError: another size, or other values.
    """
    if tuple(mask.shape) != tuple(size):
        raise InputError(
            f'{what}: the mask is {"x".join(map(str, mask.shape[::-1]))} px, the picture '
            f'{size[1]}x{size[0]}; make it from this picture, with one channel and without resizing'
        )
    foreground = binary(mask, what)
    if box is not None:
        foreground = _within(foreground, box)
    count = int(foreground.sum())
    if count < LEAST_PIXELS:
        return 'empty'
    if count > (1 - LEAST_BACKGROUND) * foreground.size:
        return 'full'
    return 'two people' if _two_people(foreground) else None


def crop_mask(
    mask: np.ndarray, size: tuple[int, int], box: Tensor, resolution: int, what: str
) -> tuple[Optional[Tensor], Optional[str]]:
    """Cuts a mask as its picture is cut, by area and bilinear, and makes it binary again at one half.

    Args:
        mask: (H, W) of 0 and 1, or of 0 and 255.
        size: (H, W) of the picture, px.
        box: (3,) ``[cx, cy, side]`` px.
        resolution: R, px of the crop.
        what: the mask in messages.

    Returns:
        (R, R) bool and None, or None and why its frame should be skipped, see :func:`check_mask`.

    Raises:
        InputError: the mask has another size than the picture, or other values.
    """
    problem = check_mask(mask, size, what, box.numpy())
    if problem is not None:
        return None, problem
    soft = crop_image(binary(mask, what)[..., None].astype(np.uint8) * 255, box, resolution)[0]
    return soft > 127, None


def binary(mask: np.ndarray, what: str) -> np.ndarray:
    """A mask of 0 and 1, or of 0 and 255, as (H, W) bool.

    Raises:
        InputError: it has other values; ``what`` names it.
    """
    foreground = mask != 0
    top = mask[foreground]
    if top.size and not ((top == 1).all() or (top == 255).all()):
        values = np.unique(top)
        raise InputError(
            f'{what}: a mask has the values 0 and 1, or 0 and 255; this one has {len(values)} others than '
            f'0, e.g. {values[len(values) // 2]}. Save it as PNG (JPEG blurs), cut soft masks at half, '
            f'and write one person per file'
        )
    return foreground


def _within(foreground: np.ndarray, box: np.ndarray) -> np.ndarray:
    cx, cy, side = (float(v) for v in box)
    if not (np.isfinite([cx, cy, side]).all() and side > 0):
        return foreground[:0]
    (left, right), (top, bottom) = (
        [max(round(c - side / 2), 0), max(round(c + side / 2) + 1, 0)] for c in (cx, cy)
    )
    return foreground[top:bottom, left:right]


def _two_people(foreground: np.ndarray) -> bool:
    _, _, stats, _ = cv2.connectedComponentsWithStats(foreground.astype(np.uint8), connectivity=8)
    people = stats[1:][np.argsort(-stats[1:, cv2.CC_STAT_AREA], kind='stable')][:2]
    if len(people) < 2:
        return False
    area, top, height = (
        people[:, cv2.CC_STAT_AREA],
        people[:, cv2.CC_STAT_TOP],
        people[:, cv2.CC_STAT_HEIGHT],
    )
    bottom = top + height
    beside = bottom.min() - top.max() >= height.min() / 2
    return bool(
        area[1] >= SECOND_AREA * area[0]
        and beside
        and height.min() >= SECOND_HEIGHT * (bottom.max() - top.min())
    )
