"""The empty scene behind people, from pictures of one static camera that all show somebody."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import sparse
from scipy.sparse.linalg import spsolve

from hrtk.datasets.mask_sources.cleaning import difference, disc, hysteresis, tidy

WORK_SIDE = 720  # px: the estimate is made at this size, the plate of full pixels
AGREE = 24  # grey levels within which all pictures show the same
EDGE, LEAST_EDGES = (
    8.0,
    50,
)  # grey levels per pixel that make an edge, and how many pixels of edges make a case
SAME = 0.75  # see same_view


def same_view(a: np.ndarray, b: np.ndarray, boxes: np.ndarray) -> bool:
    """Whether two pictures come from one camera that did not move.

    Half of the strongest edges of ``a`` must return in ``b`` with at least 75 % of their gradient, vertical and
    horizontal ones each. A shift of two pixels of 1080 fails, half a pixel passes, and so does a change of exposure.
    Where the boxes leave too few edges to compare, nothing speaks against it.

    Args:
        a: (H, W, 3) uint8.
        b: (H, W, 3) uint8.
        boxes: (2, 3) the person's boxes ``[cx, cy, side]`` px in both; edges inside them do not count.
    """
    if a.shape != b.shape:
        return False
    scale = min(360 / max(a.shape), 1.0)
    grey = [
        cv2.resize(
            cv2.cvtColor(x, cv2.COLOR_RGB2GRAY),
            None,
            fx=scale,
            fy=scale,
            interpolation=cv2.INTER_AREA,
        )
        for x in (a, b)
    ]
    outside = np.ones(grey[0].shape, bool)
    for cx, cy, side in np.nan_to_num(boxes) * scale:
        left, right, top, bottom = (
            max(round(v), 0) for v in (cx - side / 2, cx + side / 2, cy - side / 2, cy + side / 2)
        )
        outside[top:bottom, left:right] = False
    for dx in (1, 0):  # each direction by itself: horizontal edges say nothing of a pan
        first, second = (cv2.Sobel(x, cv2.CV_32F, dx, 1 - dx, scale=1 / 8) for x in grey)
        strength = np.abs(first) * outside
        edges = strength >= max(np.quantile(strength, 0.9), EDGE)
        if edges.sum() >= LEAST_EDGES and np.median(second[edges] / first[edges]) < SAME:
            return False
    return True


def clean_plate(pictures: np.ndarray, threshold: float = 16.0) -> np.ndarray:
    """The scene without people, even where most pictures show one.

    A plain median keeps whoever covers a pixel in half of the pictures. Here the medians of the pictures' *gradients*
    are integrated, since the outlines of people seldom coincide (Weiss, Deriving intrinsic images from image sequences,
    2001), between the surroundings in which all pictures agree. People are then cut out of every picture by this
    estimate, and the plate is the median of what is left; where nothing is, a smooth surface joins it.

    Args:
        pictures: (F, H, W, 3) uint8, three or more.
        threshold: see :class:`~hrtk.datasets.mask_sources.BackgroundSubtraction`.

    Returns:
        (H, W, 3) uint8.
    """
    height, width = pictures.shape[1:3]
    scale = min(WORK_SIDE / max(height, width), 1.0)
    small = (
        pictures
        if scale == 1
        else np.stack(
            [
                cv2.resize(p, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
                for p in pictures
            ]
        )
    )
    plate = _nearest(
        small, integrate(np.median(small, axis=0), ~_agreement(small), *_median_gradients(small))
    )
    kernel = disc(0.016 * max(small.shape[1:3]))
    for _ in range(2):
        people = np.stack([cv2.dilate(_foreground(p, plate, threshold), kernel) for p in small]) > 0
        plate = _uncovered(small, people)
    if scale == 1:
        return plate
    people = np.stack([cv2.resize(p.astype(np.uint8), (width, height)) for p in people]) > 0
    return _uncovered(
        pictures, people, cv2.resize(plate, (width, height), interpolation=cv2.INTER_LINEAR)
    )


def integrate(
    plate: np.ndarray, unknown: np.ndarray, across: np.ndarray, down: np.ndarray
) -> np.ndarray:
    """Fills pixels so that their gradients are nearest to given ones: Poisson's equation, continuous at the border.

    Args:
        plate: (H, W, 3) values; those of known pixels are kept.
        unknown: (H, W) bool.
        across: (H, W - 1, 3) wanted differences to the right-hand neighbour.
        down: (H - 1, W, 3) to the one below.

    Returns:
        (H, W, 3) uint8.
    """
    count = int(unknown.sum())
    if count in (0, unknown.size):
        return np.clip(np.rint(plate), 0, 255).astype(np.uint8)
    number = np.full(unknown.shape, -1)
    number[unknown] = np.arange(count)
    right, total = np.zeros((count, 3)), np.zeros(count)
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    here, there = np.s_[:, :-1], np.s_[:, 1:]
    upper, lower = np.s_[:-1], np.s_[1:]
    for one, other, step in (
        (here, there, -across),
        (there, here, across),
        (upper, lower, -down),
        (lower, upper, down),
    ):
        mine = number[one] >= 0
        a, b = number[one][mine], number[other][mine]
        total[a] += 1  # a pixel has one neighbour in each direction, so no index occurs twice
        right[a] += step[mine] + np.where(b[:, None] < 0, plate[other][mine], 0)
        pairs.append((a[b >= 0], b[b >= 0]))
    a, b = (np.concatenate(side) for side in zip(*pairs))
    matrix = sparse.coo_matrix((np.full(len(a), -1.0), (a, b)), (count, count)) + sparse.diags(
        total
    )
    filled = plate.astype(np.float64)
    filled[unknown] = spsolve(matrix.tocsc(), right)
    return np.clip(np.rint(filled), 0, 255).astype(np.uint8)


def _agreement(pictures: np.ndarray) -> np.ndarray:
    """Where all pictures show the same, in one piece with the border: not inside a person who stands in all of them."""
    spread = cv2.medianBlur((pictures.max(0) - pictures.min(0)).max(2), 5)
    same = cv2.erode(
        (spread < AGREE).astype(np.uint8), disc(0.01 * max(spread.shape)), borderValue=1
    )
    count, labels = cv2.connectedComponents(same, connectivity=4)
    outside = np.zeros(count, bool)
    outside[np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = True
    outside[0] = False
    return outside[labels]


def _nearest(pictures: np.ndarray, estimate: np.ndarray) -> np.ndarray:
    """Replaces a smooth estimate by the pictures that are near it, in each neighbourhood, where any is."""
    distance = np.stack(
        [cv2.boxFilter(cv2.absdiff(p, estimate).max(2), cv2.CV_32F, (9, 9)) for p in pictures]
    )
    best = distance.min(0)
    plate = _masked_median(pictures, distance > best + 8)
    return np.where((best < 45)[..., None], plate, estimate)


def _foreground(picture: np.ndarray, plate: np.ndarray, threshold: float) -> np.ndarray:
    return tidy(
        hysteresis(difference(picture, plate), threshold, 2.5 * threshold), max(plate.shape)
    ).astype(np.uint8)


def _uncovered(
    pictures: np.ndarray, people: np.ndarray, fallback: np.ndarray | None = None
) -> np.ndarray:
    """The median of every pixel over the pictures where nobody covers it."""
    never = people.all(0)
    plate = np.concatenate(
        [
            _masked_median(pictures[:, y : y + 64], people[:, y : y + 64])
            for y in range(0, pictures.shape[1], 64)
        ]
    )
    if fallback is not None:
        plate[never] = fallback[never]
        return plate
    height, width = never.shape
    return integrate(
        plate, never, np.zeros((height, width - 1, 3)), np.zeros((height - 1, width, 3))
    )


def _masked_median(pictures: np.ndarray, people: np.ndarray) -> np.ndarray:
    order = np.sort(
        np.where(people[..., None], np.uint16(999), pictures), axis=0
    )  # those left come first
    left = (~people).sum(0)
    middle = [
        np.take_along_axis(order, np.maximum(i, 0)[None, ..., None], 0)[0]
        for i in ((left - 1) // 2, left // 2)
    ]
    return np.where(left[..., None] > 0, (middle[0] + middle[1]) // 2, 0).astype(np.uint8)


def _median_gradients(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    signed = pictures.astype(np.int16)
    return np.median(np.diff(signed, axis=2), axis=0), np.median(np.diff(signed, axis=1), axis=0)
