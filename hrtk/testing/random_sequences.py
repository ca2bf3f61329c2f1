"""Sequences of noise for quick tests, with the difficulties of real footage."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from hrtk.body_models.skeletons import joint_names
from hrtk.structures import GroundTruth, Keypoints2D, Sequence


def random_sequence(
    name: str,
    frames: int,
    size: int,
    seed: int = 0,
    skeleton: str = 'spin24',
    dropped: float = 0.1,
    dtype: torch.dtype = torch.float32,
) -> Sequence:
    """Draws a sequence of noise.

    Args:
        name: of the sequence.
        frames: F.
        size: side of the images, px; boxes cover most of them.
        seed: of the images, boxes and keypoints.
        skeleton: of the keypoints.
        dropped: share of keypoints with confidence 0; half of these are NaN.
        dtype: of boxes and keypoints.
    """
    rng = np.random.default_rng(seed)
    count = len(joint_names(skeleton))
    xy = size * (0.5 + 0.2 * rng.normal(size=(frames, count, 2)))
    confidence = rng.uniform(0.3, 1, (frames, count))
    absent = rng.random((frames, count)) < dropped
    confidence[absent] = 0
    xy[absent & (rng.random((frames, count)) < 0.5)] = np.nan
    center_x = size * (0.5 + 0.03 * rng.normal(size=frames))
    center_y = size * (0.5 + 0.03 * rng.normal(size=frames))
    side = size * rng.uniform(0.8, 1.0, frames)
    boxes = np.stack([center_x, center_y, side], axis=1)
    return Sequence(
        name,
        _random_images(rng, frames, size),
        torch.tensor(boxes, dtype=dtype),
        Keypoints2D(
            torch.tensor(xy, dtype=dtype), torch.tensor(confidence, dtype=dtype), skeleton, 'noise'
        ),
    )


def coloured_sequence(name: str, frames: int, size: int, seed: int = 0) -> Sequence:
    """Draws noise in another colour for every frame, with masks and ground truth; predictions of frames differ clearly.

    Args:
        name: of the sequence.
        frames: F.
        size: side of the images, px.
        seed: of everything.
    """
    plain = random_sequence(name, frames, size, seed)
    rng = np.random.default_rng([1, seed])
    colours = rng.uniform(0.1, 1, (frames, 1, 1, 3))
    images = np.stack([plain.frames[t] for t in range(frames)])
    rows, columns = np.mgrid[:size, :size] / size - 0.5
    widths = rng.uniform(0.12, 0.25, (frames, 1, 1))
    masks = (columns / widths) ** 2 + (rows / 0.4) ** 2 < 1  # an upright ellipse for a person
    vectors = 0.3 * rng.normal(size=(frames * 24, 3))
    rotmat = Rotation.from_rotvec(vectors).as_matrix().reshape(frames, 24, 3, 3)
    return Sequence(
        name,
        (images * colours).astype(np.uint8),
        plain.boxes,
        plain.keypoints2d,
        GroundTruth(torch.tensor(rotmat, dtype=torch.float32), torch.zeros(frames, 10)),
        masks.astype(np.uint8),
    )


def _random_images(rng: np.random.Generator, frames: int, size: int) -> np.ndarray:
    return rng.integers(0, 256, (frames, size, size, 3), dtype=np.uint8)
