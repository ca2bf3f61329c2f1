"""From the difference between image and background to the mask of one person."""

from __future__ import annotations

import cv2
import numpy as np

from hrtk.silhouettes.masks import SECOND_AREA

LARGEST_HOLE = 0.02  # share of the foreground's area; larger holes are background between limbs
# A soft shadow keeps at least 70 % of the light, and its channels darken alike within 6 %.
SHADOW_DARKEST = 0.7
SHADOW_HUE = 0.06
SHADOW_BRIGHTEST = 1.02
SEED_FACTOR = 2.5  # every foreground region reaches this multiple of the threshold somewhere


def foreground(image: np.ndarray, plate: np.ndarray, threshold: float) -> np.ndarray:
    """Regions that differ from the empty scene.

    Args:
        image: (H, W, 3) uint8.
        plate: (H, W, 3) uint8, the empty scene.
        threshold: grey levels that every pixel must exceed.

    Returns:
        (H, W) bool.
    """
    return hysteresis_threshold(difference(image, plate), threshold, SEED_FACTOR * threshold)


def difference(image: np.ndarray, plate: np.ndarray) -> np.ndarray:
    """Per-pixel difference between an image and the empty scene: the largest of the channels, 0 in soft shadows.

    Both are blurred slightly first, so that noise of single pixels leaves no specks.

    Args:
        image: (H, W, 3) uint8.
        plate: (H, W, 3) uint8, the empty scene.

    Returns:
        (H, W) float32 grey levels.
    """
    image = cv2.GaussianBlur(image, (0, 0), 1.0).astype(np.float32)
    plate = cv2.GaussianBlur(plate, (0, 0), 1.0).astype(np.float32)
    ratio = (image + 8) / (plate + 8)
    brightest = ratio.max(2)
    darkest = ratio.min(2)
    shadow = (
        (brightest < SHADOW_BRIGHTEST)
        & (darkest > SHADOW_DARKEST)
        & (brightest - darkest < SHADOW_HUE)
    )
    return np.where(shadow, 0, np.abs(image - plate).max(2))


def hysteresis_threshold(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """8-connected regions above ``low`` that contain a value above ``high``: (H, W) -> (H, W) bool."""
    count, labels = cv2.connectedComponents((values > low).astype(np.uint8))
    strong = np.zeros(count, bool)
    strong[labels[values > high]] = True
    strong[0] = False  # label 0 is everything up to `low`
    return strong[labels]


def clean_mask(mask: np.ndarray, side: float) -> np.ndarray:
    """Removes specks, closes cracks and fills small holes.

    Args:
        mask: (H, W) bool.
        side: side of the person's box, px; cracks are up to 1 % of it.

    Returns:
        (H, W) bool.
    """
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, disc_kernel(0.006 * side))
    # A margin of background keeps the closing from spreading along the border of the image.
    margin = 8 + int(0.02 * side)
    padded = cv2.copyMakeBorder(
        opened, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=0
    )
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, disc_kernel(0.01 * side))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(1 - closed, connectivity=4)
    small_hole = stats[:, cv2.CC_STAT_AREA] < LARGEST_HOLE * closed.sum()
    small_hole[0] = False  # the foreground itself
    small_hole[labels[0, 0]] = False  # the background that touches the border
    filled = closed.astype(bool) | small_hole[labels]
    height, width = mask.shape
    return filled[margin : margin + height, margin : margin + width]


def components_of_box(mask: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The connected component that belongs to a box.

    The score of a component is the sum of its pixels, weighted by their closeness to the middle of the box. Components
    with at least :data:`~hrtk.silhouettes.masks.SECOND_AREA` of the best score are returned as well, because the mask
    does not tell which of them is the person; :func:`~hrtk.silhouettes.masks.check_mask` reports two people if they
    look like it. An arm that an occluder cuts off stays with its person for the same reason.

    Args:
        mask: (H, W) bool.
        box: (3,) ``[cx, cy, side]`` px; the result is empty if the box is not finite.

    Returns:
        (H, W) bool.
    """
    cx, cy, side = box.astype(float).tolist()
    if not np.isfinite(cx + cy + side) or side <= 0:
        return np.zeros_like(mask)
    count, labels = cv2.connectedComponents(mask.astype(np.uint8))
    rows, columns = np.nonzero(mask)
    x = (columns - cx) / side
    y = (rows - cy) / side
    inside = np.maximum(abs(x), abs(y)) <= 0.5
    weight = np.exp(-8 * (x**2 + y**2)) * inside
    score = np.bincount(labels[rows, columns], weight, minlength=count)
    return (score[labels] >= SECOND_AREA * max(score.max(), 1e-9)) & mask


def snap_to_edges(image: np.ndarray, mask: np.ndarray, side: float) -> np.ndarray:
    """Moves the border of a mask to the edges of the image, by at most 1 % of the box's side.

    GrabCut (Rother et al., 2004) as implemented in OpenCV; only a band around the border is unknown to it.

    Args:
        image: (H, W, 3) uint8.
        mask: (H, W) bool.
        side: side of the person's box, px.

    Returns:
        (H, W) bool.
    """
    rows = np.flatnonzero(mask.any(1))
    columns = np.flatnonzero(mask.any(0))
    if len(rows) == 0:
        return mask
    kernel = disc_kernel(0.02 * side)
    margin = 4 * len(kernel)
    region = np.s_[
        max(rows[0] - margin, 0) : rows[-1] + margin + 1,
        max(columns[0] - margin, 0) : columns[-1] + margin + 1,
    ]
    foreground = mask[region].astype(np.uint8)
    certain = cv2.erode(foreground, kernel, borderValue=1)
    possible = cv2.dilate(foreground, kernel)
    if not certain.any() or possible.all():
        return mask
    labels = np.full(foreground.shape, cv2.GC_BGD, np.uint8)
    labels[possible > 0] = cv2.GC_PR_BGD
    labels[foreground > 0] = cv2.GC_PR_FGD
    labels[certain > 0] = cv2.GC_FGD
    # GrabCut draws its first colour clusters at random; masks must not depend on the order of computation.
    cv2.setRNGSeed(0)
    unused_rectangle = (0, 0, 0, 0)
    background_model = np.zeros((1, 65))
    foreground_model = np.zeros((1, 65))
    cv2.grabCut(
        image[region],
        labels,
        unused_rectangle,
        background_model,
        foreground_model,
        2,
        cv2.GC_INIT_WITH_MASK,
    )
    snapped = mask.copy()
    snapped[region] = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    return snapped


def disc_kernel(size: float) -> np.ndarray:
    """A round kernel whose width is the odd number of pixels nearest to ``size``, at least 3."""
    width = max(2 * round((size - 1) / 2) + 1, 3)
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
