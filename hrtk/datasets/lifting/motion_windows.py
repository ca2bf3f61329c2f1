"""MotionWindows: short stretches of the free motion, training data of motion priors."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from hrtk.datasets.motion import ASSET
from hrtk.datasets.motion_files import read_motion
from hrtk.errors import OptionError
from hrtk.registry import DATASETS


class BodyPoseWindows(Dataset):
    """Stretches of L frames of body poses, what a motion critic learns from.

    An item is a dict: ``body_pose`` (L, 69) float32, axis-angle of joints 1..23 in radians, without the global
    orientation.

    Attributes:
        body_pose: (N, 69) all frames of all recordings, one after the other.
        starts: (W,) first frame of every stretch.
        offsets: (L,) distances of the frames of a stretch from the first.
    """

    body_pose: Tensor
    starts: Tensor
    offsets: Tensor

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return dict(body_pose=self.batch(self.starts.new_tensor([index]))[0])

    def batch(self, indices: Tensor) -> Tensor:
        """The ``body_pose`` (B, L, 69) of items (B,)."""
        return self.body_pose[self.starts[indices][:, None] + self.offsets]


@DATASETS.register_module()
class MotionWindows(BodyPoseWindows):
    """Every stretch of L frames that lies within a motion clip, see :class:`BodyPoseWindows`.

    Args:
        split: ``'train'``, ``'test'`` (other recordings) or None for all clips.
        frames: L, 16 in VIBE.
        fps: frames per second; motion is sampled at the nearest whole step, as in the stream.
        mirror: whether the mirrored clips follow the clips.
        path: file of the clips, see :func:`~hrtk.datasets.motion.load_motion`.

    Raises:
        InputError: the split is unknown, the file holds no motion clips, or no stretch is long enough.
    """

    def __init__(
        self,
        split: Optional[str] = 'train',
        frames: int = 16,
        fps: float = 15.0,
        mirror: bool = False,
        path: str | Path = ASSET,
    ) -> None:
        clips = read_motion(split, path)
        if mirror:
            clips = clips + [clip.mirrored() for clip in clips]
        step = max(round(clips[0].fps / fps), 1)
        poses = [clip.body_pose.reshape(-1, 69) for clip in clips]
        self.body_pose = torch.from_numpy(np.concatenate(poses))
        self.offsets = step * torch.arange(frames)
        starts = []
        end = 0
        for clip in clips:
            start = end
            end += len(clip)
            starts.append(np.arange(start, end - step * (frames - 1)))
        self.starts = torch.from_numpy(np.concatenate(starts))
        if frames < 1 or len(self.starts) == 0:
            raise OptionError(
                f'MotionWindows: no clip holds {frames} frames at {fps} frames/s; the longest has '
                f'{max(map(len, clips))} at {clips[0].fps}'
            )
