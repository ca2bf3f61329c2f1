"""From how much each pixel differs from the background to one clean person."""

from __future__ import annotations

import cv2
import numpy as np

from hrtk.geometry.masks import SECOND_AREA

HOLE = 0.02  # of the foreground's area: larger holes are taken for background between limbs
SHADOW_DARKEST, SHADOW_HUE = (
    0.7,
    0.06,
)  # a shadow keeps at least 70 % of the light, within 6 % alike in all channels


def difference(picture: np.ndarray, plate: np.ndarray) -> np.ndarray:
    """How far a picture is from the empty scene: the largest difference of the channels, 0 in soft shadows.

    Args:
        picture: (H, W, 3) uint8.
        plate: (H, W, 3) uint8, the empty scene.

    Returns:
        (H, W) float32 grey levels.
    """
    # Pictures are slightly blurred, so that the noise of a pixel makes no speck.
    picture, plate = (cv2.GaussianBlur(x, (0, 0), 1.0).astype(np.float32) for x in (picture, plate))
    ratio = (picture + 8) / (plate + 8)
    high, low = ratio.max(2), ratio.min(2)
    shadow = (high < 1.02) & (low > SHADOW_DARKEST) & (high - low < SHADOW_HUE)
    return np.where(shadow, 0, np.abs(picture - plate).max(2))


def hysteresis(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Regions above ``low`` that hold a value above ``high``: (H, W) -> (H, W) bool."""
    count, labels = cv2.connectedComponents((values > low).astype(np.uint8))
    kept = np.zeros(count, bool)
    kept[labels[values > high]] = True
    kept[0] = False
    return kept[labels]


def tidy(mask: np.ndarray, side: float) -> np.ndarray:
    """Removes specks, closes cracks and fills small holes.

    Args:
        mask: (H, W) bool.
        side: of the person's box, px; cracks are up to 1 % of it.

    Returns:
        (H, W) bool.
    """
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, disc(0.006 * side))
    # A frame of background, so that closing does not spread along the picture's border.
    padded = cv2.copyMakeBorder(opened, *[8 + int(0.02 * side)] * 4, cv2.BORDER_CONSTANT, value=0)
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, disc(0.01 * side))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(1 - closed, connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] < HOLE * closed.sum()
    small[[0, labels[0, 0]]] = False  # the foreground, and what the picture's border belongs to
    margin = (len(padded) - len(mask)) // 2
    return (closed.astype(bool) | small[labels])[
        margin : margin + mask.shape[0], margin : margin + mask.shape[1]
    ]


def belonging(mask: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The component that belongs to a box.

    Pixels count by how near the middle of the box they are. If another component counts at least
    :data:`~hrtk.geometry.masks.SECOND_AREA` of the best one, both stay: which is meant cannot be known, and
    :func:`~hrtk.geometry.masks.check_mask` will speak of two people if they look like it. An arm cut off by a board
    stays with its person for the same reason.

    Args:
        mask: (H, W) bool.
        box: (3,) ``[cx, cy, side]`` px; if it is not finite, nothing belongs to it.

    Returns:
        (H, W) bool.
    """
    cx, cy, side = (float(v) for v in box)
    if not np.isfinite(cx + cy + side) or side <= 0:
        return np.zeros_like(mask)
    count, labels = cv2.connectedComponents(mask.astype(np.uint8))
    rows, columns = np.nonzero(mask)
    x, y = (columns - cx) / side, (rows - cy) / side
    weight = np.exp(-8 * (x**2 + y**2)) * (np.maximum(abs(x), abs(y)) <= 0.5)
    score = np.bincount(labels[rows, columns], weight, minlength=count)
    return (score[labels] >= SECOND_AREA * max(score.max(), 1e-9)) & mask


def sharpen(picture: np.ndarray, mask: np.ndarray, side: float) -> np.ndarray:
    """Moves the border of a mask to the edges of the picture, by at most 1 % of the box's side.

    Rother et al., GrabCut, 2004, as OpenCV has it, with everything outside a band around the border given.

    Args:
        picture: (H, W, 3) uint8.
        mask: (H, W) bool.
        side: of the person's box, px.

    Returns:
        (H, W) bool.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if len(rows) == 0:
        return mask
    kernel = disc(0.02 * side)
    margin = 4 * len(kernel)
    place = np.s_[
        max(rows[0] - margin, 0) : rows[-1] + margin + 1,
        max(columns[0] - margin, 0) : columns[-1] + margin + 1,
    ]
    inside = mask[place].astype(np.uint8)
    sure, possible = cv2.erode(inside, kernel, borderValue=1), cv2.dilate(inside, kernel)
    if not sure.any() or possible.all():
        return mask
    labels = np.where(inside > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD)
    labels = np.where(sure > 0, cv2.GC_FGD, np.where(possible > 0, labels, cv2.GC_BGD)).astype(
        np.uint8
    )
    cv2.setRNGSeed(
        0
    )  # it starts its colour clusters at random; masks must not depend on which was made first
    cv2.grabCut(
        picture[place], labels, None, np.zeros((1, 65)), np.zeros((1, 65)), 2, cv2.GC_INIT_WITH_MASK
    )
    result = mask.copy()
    result[place] = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    return result


def disc(size: float) -> np.ndarray:
    """A round kernel of the odd number of pixels next to ``size``, at least 3."""
    width = max(2 * round((size - 1) / 2) + 1, 3)
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
