"""The interface of 2D detectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Optional, Protocol

import numpy as np

from hrtk.detectors.findings import Findings


class ClipSession(Protocol):
    """A detector at work on the frames of one clip, one after the other."""

    def __call__(self, image: np.ndarray) -> Findings:
        """Finds the people of the next frame (H, W, 3) uint8 RGB."""
        ...

    def state(self) -> dict[str, Any]:
        """What is remembered, as json; the next session may begin with it."""
        ...


class Detector:
    """Detects the 2D keypoints of all people in images.

    A subclass sets :attr:`skeleton` and :attr:`source`, implements :meth:`__call__`, and registers itself in
    :data:`hrtk.registry.DETECTORS`. If its constructor has the parameter ``device``, :func:`hrtk.apis.infer.infer`
    passes its device.

    Attributes:
        skeleton: joint list of the K points, see :mod:`hrtk.body_models.skeletons`.
        source: origin of the keypoints, printed beside every result, e.g. ``'rtmlib:balanced'``.
        batch_size: the largest number of images in one call.
        option: the constructor parameter that ``<name>:<value>`` sets; empty if there is none.
    """

    skeleton: str
    source: str
    batch_size: int = 1
    option: ClassVar[str] = ''

    def __call__(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Detects people in a batch of images, which may differ in size.

        Args:
            images: (H, W, 3) uint8 RGB each.

        Returns:
            For each image (P, K, 3) float32: x and y in px, confidence, of P people; P may be 0.
        """
        raise NotImplementedError

    def session(
        self, fps: Optional[float], state: Optional[dict[str, Any]] = None
    ) -> Optional[ClipSession]:
        """Begins a clip, or continues one.

        Args:
            fps: frames per second; None for photographs, which have nothing to do with each other.
            state: that of a session that was interrupted.

        Returns:
            A session, or None if this detector has none: then it is called with batches of images.
        """
        return None

    def fingerprint(self) -> dict[str, str]:
        """Hashes of the files on which the keypoints depend, by a name of each."""
        return {}
