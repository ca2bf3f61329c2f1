"""Named models of the errors of a 2D keypoint detector, applied to exact keypoints."""

from __future__ import annotations

import dataclasses

import numpy as np

from hrtk.errors import InputError


@dataclasses.dataclass(frozen=True)
class KeypointNoise:
    """Independent errors of every point of every frame.

    Attributes:
        sigma: standard deviation of the position, px on a 224 px crop.
        dropped: share of points that the detector misses; their confidence is 0.
        box_jitter: standard deviation of the box's position and size, share of its side.
    """

    sigma: float = 0.0
    dropped: float = 0.0
    box_jitter: float = 0.0

    def apply(
        self, rng: np.random.Generator, xy: np.ndarray, side: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Corrupts keypoints.

        Args:
            rng: source of the errors.
            xy: (F, K, 2) exact positions, px.
            side: (F,) sides of the crop boxes, px.

        Returns:
            (F, K, 2) positions and (F, K) confidences, 1 or 0.
        """
        error = rng.normal(size=xy.shape) * (self.sigma / 224) * side[:, None, None]
        detected = rng.random(xy.shape[:2]) >= self.dropped
        return xy + error, detected.astype(np.float64)


NOISE = {
    'clean': KeypointNoise(),
    'detector': KeypointNoise(sigma=4.0, dropped=0.1, box_jitter=0.015),
    'poor': KeypointNoise(sigma=8.0, dropped=0.25, box_jitter=0.03),
}


def make_noise(name: str) -> KeypointNoise:
    """The noise model of a name.

    Raises:
        InputError: the name is unknown.
    """
    if name not in NOISE:
        raise InputError(f'there is no keypoint noise model {name!r}; known: {", ".join(NOISE)}')
    return NOISE[name]
