"""Runs a detector on images, whichever way it takes them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Optional

import numpy as np

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
        RuntimeError: the detector does not return one array per image.
    """
    session = detector.session(fps)
    if session is not None:
        yield from map(session, images)
        return
    remaining = iter(images)
    while batch := list(itertools.islice(remaining, detector.batch_size)):
        yield from map(Findings, detect_batch(detector, batch))


def detect_batch(detector: Detector, images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Calls a detector and checks that it returns one array per image.

    Raises:
        RuntimeError: it does not.
    """
    people = detector(images)
    if len(people) != len(images):
        raise RuntimeError(
            f'{type(detector).__name__} returned {len(people)} arrays for {len(images)} images; a '
            f'detector returns one array of (P, K, 3) per image'
        )
    return people
