"""OpenPoses: single body poses of the free motion, training data of pose priors."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from hrtk.datasets.motion import ASSET, load_motion
from hrtk.geometry.rotation import axis_angle_to_rotmat
from hrtk.registry import DATASETS


@DATASETS.register_module()
class OpenPoses(Dataset):
    """Every frame of the motion clips as one pose.

    An item is a dict: ``rotmat`` (23, 3, 3) float32, rotations of joints 1..23 relative to their parents, without the
    global orientation.

    Args:
        split: ``'train'``, ``'test'`` (other recordings) or None for all clips.
        mirror: whether the mirrored clips follow the clips.
        path: file of the clips, see :func:`~hrtk.datasets.motion.load_motion`.

    Raises:
        InputError: the split is unknown, or the file holds no motion clips.
    """

    def __init__(
        self, split: Optional[str] = 'train', mirror: bool = False, path: str | Path = ASSET
    ) -> None:
        clips = load_motion(split, path)
        if mirror:
            clips = clips + [clip.mirrored() for clip in clips]
        body_pose = np.concatenate([clip.body_pose for clip in clips])
        self.rotmat = axis_angle_to_rotmat(torch.from_numpy(body_pose))

    def __len__(self) -> int:
        return len(self.rotmat)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return dict(rotmat=self.rotmat[index])
