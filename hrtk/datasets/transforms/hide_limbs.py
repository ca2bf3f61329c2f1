"""Occlusion of keypoints: limbs that the detector does not find for a while."""

from __future__ import annotations

import dataclasses
import zlib

import numpy as np
import torch

from hrtk.body_models.skeletons import joint_names
from hrtk.datasets.transforms.base import Transform
from hrtk.errors import InputError
from hrtk.registry import TRANSFORMS
from hrtk.structures import Sequence

PARTS = dict(
    arm=('shoulder', 'elbow', 'wrist', 'hand'),
    leg=('hip', 'knee', 'ankle', 'foot', 'heel', 'big_toe', 'small_toe'),
)
LIMBS = tuple(f'{side}_{part}' for part in PARTS for side in ('left', 'right'))


@TRANSFORMS.register_module()
class HideLimbs(Transform):
    """Takes the 2D keypoints of limbs away for a stretch of every sequence; pictures stay as they are.

    Which limbs and when is drawn from the seed and the sequence's name, for every limb by itself.

    Args:
        limbs: how many of the four limbs are hidden, 1 to 4.
        share: of the sequence's frames that a hidden limb misses, in one piece, above 0 and at most 1.
        seed: of the draw.

    Raises:
        InputError: a number is outside its range.
    """

    def __init__(self, limbs: int = 1, share: float = 0.5, seed: int = 0) -> None:
        if limbs not in range(1, len(LIMBS) + 1) or not 0 < share <= 1:
            raise InputError(
                f'HideLimbs: limbs={limbs}, share={share}: expected 1 to {len(LIMBS)} limbs and a share '
                f'of frames above 0 and at most 1'
            )
        self.limbs, self.share, self.seed = limbs, share, seed

    def __call__(self, sequence: Sequence) -> Sequence:
        """The sequence with confidences of hidden points set to 0."""
        points, length = sequence.keypoints2d, len(sequence)
        rng = np.random.default_rng(zlib.crc32(f'{self.seed}:{sequence.name}'.encode()))
        names, hidden = joint_names(points.skeleton), max(1, round(self.share * length))
        confidence = points.confidence.clone()
        for limb in rng.choice(LIMBS, self.limbs, replace=False):
            side, part = limb.split('_')
            own = [
                k
                for k, name in enumerate(names)
                if name.startswith(tuple(f'{side}_{p}' for p in PARTS[part]))
            ]
            start = rng.integers(length - hidden + 1)
            confidence[start : start + hidden, torch.tensor(own, dtype=torch.int64)] = 0
        return dataclasses.replace(
            sequence,
            keypoints2d=dataclasses.replace(
                points, confidence=confidence, source=f'hidden:{points.source}'
            ),
        )
