"""Sequences of noise: as quick as a test can have them, and awkward where footage is."""

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
    """A sequence of noise.

    Args:
        name: of the sequence.
        frames: F.
        size: side of the pictures, px; boxes cover most of them.
        seed: of the pictures, boxes and keypoints.
        skeleton: of the keypoints.
        dropped: share of keypoints with confidence 0; half of these are NaN.
        dtype: of boxes and keypoints.
    """
    rng = np.random.default_rng(seed)
    points = len(joint_names(skeleton))
    xy = size * (0.5 + 0.2 * rng.normal(size=(frames, points, 2)))
    confidence = rng.uniform(0.3, 1, (frames, points))
    absent = rng.random((frames, points)) < dropped
    confidence[absent] = 0
    xy[absent & (rng.random((frames, points)) < 0.5)] = np.nan
    boxes = np.stack(
        [
            size * (0.5 + 0.03 * rng.normal(size=frames)),
            size * (0.5 + 0.03 * rng.normal(size=frames)),
            size * rng.uniform(0.8, 1.0, frames),
        ],
        axis=1,
    )
    keypoints = Keypoints2D(
        torch.tensor(xy, dtype=dtype), torch.tensor(confidence, dtype=dtype), skeleton, 'noise'
    )
    return Sequence(
        name,
        rng.integers(0, 256, (frames, size, size, 3), dtype=np.uint8),
        torch.tensor(boxes, dtype=dtype),
        keypoints,
    )


def coloured_sequence(name: str, frames: int, size: int, seed: int = 0) -> Sequence:
    """Noise in a colour of its own for every frame, with masks and ground truth; predictions of frames differ clearly.

    Args:
        name: of the sequence.
        frames: F.
        size: side of the pictures, px.
        seed: of everything.
    """
    plain, rng = random_sequence(name, frames, size, seed), np.random.default_rng([1, seed])
    colours = rng.uniform(0.1, 1, (frames, 1, 1, 3))
    rows, columns = np.mgrid[:size, :size] / size - 0.5
    widths = rng.uniform(0.12, 0.25, (frames, 1, 1))  # an upright ellipse stands for a person
    masks = (columns / widths) ** 2 + (rows / 0.4) ** 2 < 1
    rotmat = (
        Rotation.from_rotvec(0.3 * rng.normal(size=(frames * 24, 3)))
        .as_matrix()
        .reshape(frames, 24, 3, 3)
    )
    truth = GroundTruth(torch.tensor(rotmat, dtype=torch.float32), torch.zeros(frames, 10))
    return Sequence(
        name,
        (plain.frames * colours).astype(np.uint8),
        plain.boxes,
        plain.keypoints2d,
        truth,
        masks.astype(np.uint8),
    )
