"""The colours of a person's clothes, by the regions of the body, as histograms.

Pixels are read along the bones between visible keypoints. Each region (head, trunk, upper and lower arms, thighs and
shanks) has its own histogram, whose bins are shared softly between neighbours. Two people are compared by the Hellinger
distance of their histograms (Comaniciu, Ramesh and Meer, *Kernel-Based Object Tracking*, TPAMI 2003, equation 13).
"""

from __future__ import annotations

import dataclasses

import numpy as np

from hrtk.body_models.pairs import SIDES, first_indices

# The bone of every region, on both sides of the body.
BONES: tuple[tuple[str, str], ...] = (
    ('shoulder', 'hip'),
    ('shoulder', 'elbow'),
    ('elbow', 'wrist'),
    ('hip', 'knee'),
    ('knee', 'ankle'),
    ('nose', 'ear'),
)
ALONG = np.linspace(0.15, 0.85, 10)  # places along a bone
ACROSS = np.array([-0.08, 0.0, 0.08])  # beside it, in lengths of the bone
BINS = 4  # per channel
LEAST_PIXELS = 5  # in a region


@dataclasses.dataclass(frozen=True)
class Appearance:
    """What somebody looks like.

    Attributes:
        histograms: (R, 64) of the regions, each with sum 1; zeros for regions that were not seen.
        weights: (R,) number of pixels of each.
    """

    histograms: np.ndarray
    weights: np.ndarray

    @classmethod
    def mean(cls, looks: list[Appearance]) -> Appearance:
        """The mean of what was seen in several frames, weighted by the pixels."""
        weights = np.stack([look.weights for look in looks])
        histograms = np.stack([look.histograms for look in looks])
        total = weights.sum(0)
        mean = (histograms * weights[..., None]).sum(0) / np.maximum(total, 1)[:, None]
        return cls(mean, total)

    def distance(self, other: Appearance) -> float:
        """Mean Hellinger distance of the regions that both show, 0 (alike) to 1; NaN without a common region."""
        common = (self.weights >= LEAST_PIXELS) & (other.weights >= LEAST_PIXELS)
        if not common.any():
            return float('nan')
        alike = np.sqrt(self.histograms[common] * other.histograms[common]).sum(1)
        return float(np.sqrt(np.maximum(1 - alike, 0)).mean())


def look(image: np.ndarray, points: np.ndarray, skeleton: str) -> Appearance:
    """What the person with some keypoints looks like.

    Args:
        image: (H, W, 3) uint8 RGB.
        points: (K, 3) x, y in px and confidence; 0 marks a missing point.
        skeleton: joint list of the points.
    """
    pixels = []
    height, width = image.shape[:2]
    for places in region_places(points, skeleton):
        rounded = np.rint(places).astype(int)
        inside = (rounded >= 0).all(1) & (rounded[:, 0] < width) & (rounded[:, 1] < height)
        pixels.append(image[rounded[inside, 1], rounded[inside, 0]])
    return describe(pixels)


def region_places(points: np.ndarray, skeleton: str) -> list[np.ndarray]:
    """For each region the (P, 2) places, px, whose colours count; none for bones with a missing joint."""
    index = first_indices(skeleton)
    places = []
    for start, stop in BONES:
        of_region = [np.empty((0, 2))]
        for side in SIDES:
            ends = [index.get((side, joint), index.get(('', joint), -1)) for joint in (start, stop)]
            if min(ends) < 0 or (points[ends, 2] <= 0).any():
                continue
            first, last = points[ends, :2].astype(np.float64)
            bone = last - first
            middle = first + ALONG[:, None] * bone
            beside = ACROSS[:, None] * [-bone[1], bone[0]]
            of_region.append((middle[:, None] + beside).reshape(-1, 2))
        places.append(np.concatenate(of_region))
    return places


def describe(pixels: list[np.ndarray]) -> Appearance:
    """Histograms of the (P, 3) uint8 RGB pixels of each region.

    Every pixel is shared between the eight bins whose centres surround it, so that a little more light changes little.
    """
    histograms = np.zeros((len(pixels), BINS**3))
    for histogram, colours in zip(histograms, pixels):
        if len(colours) == 0:
            continue
        places = colours.astype(np.float64) / 255 * (BINS - 1)
        low = np.minimum(places.astype(int), BINS - 2)
        upper = places - low
        for corner in np.ndindex(2, 2, 2):
            share = np.where(corner, upper, 1 - upper).prod(1)
            bins = (low + corner) @ (BINS**2, BINS, 1)
            np.add.at(histogram, bins, share / len(colours))
    return Appearance(histograms, np.array([len(colours) for colours in pixels], float))
