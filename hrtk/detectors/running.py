"""Runs a detector on images, whichever way it takes them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Optional

import numpy as np

from hrtk.body_models.skeletons import joint_names
from hrtk.detectors.base import Detector
from hrtk.detectors.findings import Findings


def find_people(
    detector: Detector, images: Iterable[np.ndarray], fps: Optional[float]
) -> Iterator[Findings]:
    """Finds the people of the frames of one clip, or of photographs, in order.

    Args:
        detector: the detector; with a :meth:`~hrtk.detectors.Detector.session` it sees one frame after the other,
            else batches.
        images: (H, W, 3) uint8 RGB each.
        fps: frames per second of the clip; None for photographs.

    Raises:
        RuntimeError: of :func:`detect_batch` and :func:`checked`.
    """
    session = detector.session(fps)
    if session is not None:
        for image in images:
            yield checked(detector, session(image))
        return
    remaining = iter(images)
    while batch := list(itertools.islice(remaining, max(detector.batch_size, 1))):
        yield from detect_batch(detector, batch)


def detect_batch(detector: Detector, images: Sequence[np.ndarray]) -> list[Findings]:
    """Calls a detector without sessions.

    Raises:
        RuntimeError: it does not return one array per image, or of :func:`checked`.
    """
    people = detector(images)
    if len(people) != len(images):
        raise RuntimeError(
            f'{type(detector).__name__} returned {len(people)} arrays for {len(images)} images; a '
            f'detector returns one array of (P, K, 3) per image'
        )
    return [checked(detector, Findings(points)) for points in people]


def checked(detector: Detector, found: Findings) -> Findings:
    """What a detector found, as float32; a point without a finite position or confidence gets confidence 0.

    Raises:
        RuntimeError: the keypoints do not have the shape (P, K, 3) of the detector's joint list.
    """
    count = len(joint_names(detector.skeleton))
    try:
        points = np.array(found.keypoints, np.float32)
    except (AttributeError, TypeError, ValueError) as error:
        raise RuntimeError(
            f'{type(detector).__name__} returned no numbers for an image ({error}); a detector returns an array '
            f'(P, {count}, 3)'
        ) from error
    if points.size == 0:
        points = points.reshape(0, count, 3)
    if points.ndim != 3 or points.shape[1:] != (count, 3):
        raise RuntimeError(
            f'{type(detector).__name__} returned an array {points.shape} for an image; a detector of '
            f'{detector.skeleton} returns (P, {count}, 3)'
        )
    lost = ~np.isfinite(points).all(-1)
    points[lost] = 0
    points[..., 2] = points[..., 2].clip(0, 1)
    return dataclasses.replace(found, keypoints=points)
