"""The clean plate, an image of the empty scene, from images of one static camera that all show a person."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import sparse
from scipy.sparse.linalg import spsolve

from hrtk.datasets.mask_sources.cleaning import clean_mask, disc_kernel, foreground

WORK_SIDE = 720  # px, longer side of the images in which people are found
AGREEMENT = 24  # grey levels within which all images agree at a pixel
STRIP = 64  # rows whose median is computed at once, to save memory
VIEW_SIDE = 360  # px, longer side of the images that same_view compares
EDGE = 8.0  # grey levels per pixel that make an edge
MIN_EDGE_PIXELS = 50  # fewer edge pixels cannot tell two views apart
MIN_EDGE_RATIO = 0.75  # share of an edge's gradient that the other image must show


def same_view(first: np.ndarray, second: np.ndarray, boxes: np.ndarray) -> bool:
    """Whether two images come from one camera that did not move between them.

    Half of the strongest edges of the first image must return in the second with at least 75 % of their gradient;
    vertical and horizontal edges are tested separately. A shift of two pixels of 1080 fails the test; half a pixel or a
    change of exposure passes it. If the boxes leave too few edges to compare, the views count as the same.

    Args:
        first: (H, W, 3) uint8.
        second: (H, W, 3) uint8.
        boxes: (2, 3) the person's boxes ``[cx, cy, side]`` px in both; edges inside them are ignored.
    """
    if first.shape != second.shape:
        return False
    scale = min(VIEW_SIDE / max(first.shape), 1.0)
    first_grey = _scaled_grey(first, scale)
    second_grey = _scaled_grey(second, scale)
    outside = np.ones(first_grey.shape, bool)
    for cx, cy, side in np.nan_to_num(boxes) * scale:
        left = max(round(cx - side / 2), 0)
        right = max(round(cx + side / 2), 0)
        top = max(round(cy - side / 2), 0)
        bottom = max(round(cy + side / 2), 0)
        outside[top:bottom, left:right] = False
    # Each direction by itself: horizontal edges do not reveal a pan.
    for dx, dy in ((1, 0), (0, 1)):
        first_gradient = cv2.Sobel(first_grey, cv2.CV_32F, dx, dy, scale=1 / 8)
        second_gradient = cv2.Sobel(second_grey, cv2.CV_32F, dx, dy, scale=1 / 8)
        strength = np.abs(first_gradient) * outside
        edges = strength >= max(np.quantile(strength, 0.9), EDGE)
        if edges.sum() < MIN_EDGE_PIXELS:
            continue
        ratio = second_gradient[edges] / first_gradient[edges]
        if np.median(ratio) < MIN_EDGE_RATIO:
            return False
    return True


def clean_plate(images: np.ndarray, threshold: float = 16.0) -> np.ndarray:
    """The scene without people, even if most images show a person.

    A plain median keeps a person who covers a pixel in half of the images. Here the medians of the images' *gradients*
    are integrated, because the outlines of people seldom coincide (Weiss, Deriving intrinsic images from image
    sequences, 2001). The pixels in which all images agree are the boundary condition. This estimate yields a person
    mask for every image, and the plate is the median of the pixels outside the masks. Pixels that are always inside a
    mask are filled by a smooth surface.

    Args:
        images: (F, H, W, 3) uint8, three or more.
        threshold: see :class:`~hrtk.datasets.mask_sources.BackgroundSubtraction`.

    Returns:
        (H, W, 3) uint8.
    """
    height, width = images.shape[1:3]
    scale = min(WORK_SIDE / max(height, width), 1.0)
    small = images
    if scale < 1:
        small = np.stack([_scaled(image, scale) for image in images])
    gradient_x, gradient_y = _median_gradients(small)
    median = np.median(small, axis=0)
    estimate = integrate_gradients(median, ~_static_surroundings(small), gradient_x, gradient_y)
    plate = _nearest_images(small, estimate)
    people = np.zeros(small.shape[:3], bool)
    for _ in range(2):
        people = _people_masks(small, plate, threshold)
        plate = _uncovered_median(small, people)
        plate = _fill_smoothly(plate, np.all(people, axis=0))
    if scale == 1:
        return plate
    people = np.stack([cv2.resize(mask.astype(np.uint8), (width, height)) for mask in people]) > 0
    always_covered = np.all(people, axis=0)
    full_plate = _uncovered_median(images, people)
    enlarged = cv2.resize(plate, (width, height), interpolation=cv2.INTER_LINEAR)
    full_plate[always_covered] = enlarged[always_covered]
    return full_plate


def integrate_gradients(
    image: np.ndarray, unknown: np.ndarray, gradient_x: np.ndarray, gradient_y: np.ndarray
) -> np.ndarray:
    """Fills unknown pixels so that their gradients fit given ones: Poisson's equation, continuous at the border.

    Args:
        image: (H, W, 3) values; those of known pixels are kept.
        unknown: (H, W) bool.
        gradient_x: (H, W - 1, 3) differences between each pixel's right neighbour and the pixel.
        gradient_y: (H - 1, W, 3) differences between the pixel below and the pixel.

    Returns:
        (H, W, 3) uint8.
    """
    count = int(unknown.sum())
    if count in (0, unknown.size):
        return _to_uint8(image)
    number = np.full(unknown.shape, -1)  # index of every unknown pixel in the system of equations
    number[unknown] = np.arange(count)
    left = np.s_[:, :-1]
    right = np.s_[:, 1:]
    upper = np.s_[:-1]
    lower = np.s_[1:]
    constants = np.zeros((count, 3))
    neighbours = np.zeros(count)
    rows = []
    columns = []
    # Pixel, neighbour, and the value of the pixel minus that of the neighbour.
    for pixel, neighbour, step in (
        (left, right, -gradient_x),
        (right, left, gradient_x),
        (upper, lower, -gradient_y),
        (lower, upper, gradient_y),
    ):
        equation = number[pixel] >= 0
        row = number[pixel][equation]
        column = number[neighbour][equation]
        known_neighbour = column < 0
        # A pixel has one neighbour in each direction, so no index occurs twice.
        neighbours[row] += 1
        known_values = np.where(known_neighbour[:, None], image[neighbour][equation], 0)
        constants[row] += step[equation] + known_values
        rows.append(row[~known_neighbour])
        columns.append(column[~known_neighbour])
    row_index = np.concatenate(rows)
    column_index = np.concatenate(columns)
    off_diagonal = sparse.coo_matrix(
        (np.full(len(row_index), -1.0), (row_index, column_index)), (count, count)
    )
    matrix = off_diagonal + sparse.diags(neighbours)
    filled = image.astype(np.float64)
    filled[unknown] = spsolve(matrix.tocsc(), constants)
    return _to_uint8(filled)


def _to_uint8(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _scaled(image: np.ndarray, scale: float) -> np.ndarray:
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _scaled_grey(image: np.ndarray, scale: float) -> np.ndarray:
    return _scaled(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), scale)


def _static_surroundings(images: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels in which all images agree and that are connected to the border of the image.

    The connection excludes the inside of a person who stands in all images.
    """
    spread = cv2.medianBlur((images.max(0) - images.min(0)).max(2), 5)
    agree = (spread < AGREEMENT).astype(np.uint8)
    agree = cv2.erode(agree, disc_kernel(0.01 * max(spread.shape)), borderValue=1)
    count, labels = cv2.connectedComponents(agree, connectivity=4)
    at_border = np.zeros(count, bool)
    at_border[np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = True
    at_border[0] = False
    return at_border[labels]


def _nearest_images(images: np.ndarray, estimate: np.ndarray) -> np.ndarray:
    """Replaces a smooth estimate by the median of the images that are close to it, wherever one is close."""
    distance = np.stack(
        [cv2.boxFilter(cv2.absdiff(image, estimate).max(2), cv2.CV_32F, (9, 9)) for image in images]
    )
    best = distance.min(0)
    median = _masked_median(images, distance > best + 8)
    return np.where((best < 45)[..., None], median, estimate)


def _people_masks(images: np.ndarray, plate: np.ndarray, threshold: float) -> np.ndarray:
    """(F, H, W) bool: generous masks of the people in all images."""
    side = max(plate.shape)
    kernel = disc_kernel(0.016 * max(plate.shape[:2]))
    masks = []
    for image in images:
        mask = clean_mask(foreground(image, plate, threshold), side)
        masks.append(cv2.dilate(mask.astype(np.uint8), kernel))
    return np.stack(masks) > 0


def _uncovered_median(images: np.ndarray, people: np.ndarray) -> np.ndarray:
    """The median of every pixel over the images in which no person covers it; 0 where all are covered."""
    strips = []
    for top in range(0, images.shape[1], STRIP):
        rows = np.s_[:, top : top + STRIP]
        strips.append(_masked_median(images[rows], people[rows]))
    return np.concatenate(strips)


def _fill_smoothly(plate: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    height, width = unknown.shape
    flat_x = np.zeros((height, width - 1, 3))
    flat_y = np.zeros((height - 1, width, 3))
    return integrate_gradients(plate, unknown, flat_x, flat_y)


def _masked_median(images: np.ndarray, excluded: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 median over the images (F, H, W, 3) whose pixel is not excluded (F, H, W)."""
    # Excluded values are sorted to the end.
    values = np.sort(np.where(excluded[..., None], np.uint16(999), images), axis=0)
    count = (~excluded).sum(0)
    lower = _value_at(values, (count - 1) // 2)
    upper = _value_at(values, count // 2)
    return np.where(count[..., None] > 0, (lower + upper) // 2, 0).astype(np.uint8)


def _value_at(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """``values[index[y, x], y, x]`` for every pixel; negative indices are taken as 0."""
    return np.take_along_axis(values, np.maximum(index, 0)[None, ..., None], 0)[0]


def _median_gradients(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Medians over the images of the differences to the right neighbour and to the pixel below."""
    signed = images.astype(np.int16)
    gradient_x = np.median(np.diff(signed, axis=2), axis=0)
    gradient_y = np.median(np.diff(signed, axis=1), axis=0)
    return gradient_x, gradient_y
