"""Occlusion of keypoints: limbs that the detector misses for a while."""

from __future__ import annotations

import dataclasses
import zlib

import numpy as np
import torch

from hrtk.body_models.skeletons import joint_names
from hrtk.datasets.transforms.base import Transform
from hrtk.errors import OptionError
from hrtk.registry import TRANSFORMS
from hrtk.structures import Sequence

LIMBS = ('left_arm', 'right_arm', 'left_leg', 'right_leg')
JOINTS_OF_LIMB = dict(
    arm=('shoulder', 'elbow', 'wrist', 'hand'),
    leg=('hip', 'knee', 'ankle', 'foot', 'heel', 'big_toe', 'small_toe'),
)


@TRANSFORMS.register_module()
class HideLimbs(Transform):
    """Removes the 2D keypoints of limbs for a stretch of every sequence; images stay the same.

    The limbs, and the stretch of each limb, are drawn from the seed and the sequence's name.

    Args:
        limbs: number of hidden limbs, 1 to 4.
        share: share of the sequence's frames in which a hidden limb is missing, consecutive, above 0 and at most 1.
        seed: of the draw.

    Raises:
        InputError: a number is outside its range.
    """

    def __init__(self, limbs: int = 1, share: float = 0.5, seed: int = 0) -> None:
        if limbs not in range(1, len(LIMBS) + 1) or not 0 < share <= 1:
            raise OptionError(
                f'HideLimbs: limbs={limbs}, share={share}: expected 1 to {len(LIMBS)} limbs and a share '
                f'of frames above 0 and at most 1'
            )
        self.limbs = limbs
        self.share = share
        self.seed = seed

    def __call__(self, sequence: Sequence) -> Sequence:
        """The sequence with confidences of hidden points set to 0."""
        keypoints = sequence.keypoints2d
        length = len(sequence)
        hidden = max(1, round(self.share * length))
        rng = np.random.default_rng(zlib.crc32(f'{self.seed}:{sequence.name}'.encode()))
        confidence = keypoints.confidence.clone()
        for limb in rng.choice(LIMBS, self.limbs, replace=False):
            start = rng.integers(length - hidden + 1)
            points = torch.tensor(_points_of_limb(limb, keypoints.skeleton), dtype=torch.int64)
            confidence[start : start + hidden, points] = 0
        keypoints = dataclasses.replace(
            keypoints, confidence=confidence, source=f'hidden:{keypoints.source}'
        )
        return dataclasses.replace(sequence, keypoints2d=keypoints)


def _points_of_limb(limb: str, skeleton: str) -> list[int]:
    """Indices of the points of a limb in a skeleton."""
    side, part = limb.split('_')
    prefixes = tuple(f'{side}_{joint}' for joint in JOINTS_OF_LIMB[part])
    names = enumerate(joint_names(skeleton))
    return [index for index, name in names if name.startswith(prefixes)]
