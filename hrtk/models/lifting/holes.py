"""Masks that resemble a detector's misses, for networks that complete keypoints."""

from __future__ import annotations

from typing import Optional

import torch
from torch import Tensor

from hrtk.body_models.joint_orders import LIMBS
from hrtk.errors import OptionError
from hrtk.models.lifting.masking import LIMB_PAIRS, Masks, PartSampler, draw_visible_frames


class HoleSampler:
    """Random masks of every density: single joints, limbs over intervals of time, whole frames, or nothing at all.

    Masks of pre-training always hide the same number of joints and frames, and a network that was trained on no others
    fails where little is missing: trained on 5 of 17 joints and 60 % of the frames for a minute, its error was 10 cm on
    such masks and 83 cm where one joint per frame was missing; trained on these masks 10 and 8 cm.

    Args:
        joints: largest share of single joints; each sample draws its own.
        limbs: share of samples in which one or two limbs are missing over an interval of any length.
        frames: largest share of whole frames, which half of the batches miss.
        order: of the joints, see :mod:`hrtk.body_models.joint_orders`.

    Raises:
        InputError: a share is not in [0, 1), or above 1 for ``limbs``; the order is unknown.
    """

    def __init__(
        self,
        joints: float = 0.5,
        limbs: float = 0.5,
        frames: float = 0.6,
        order: str = 'h36m17',
    ) -> None:
        if not (0 <= joints < 1 and 0 <= limbs <= 1 and 0 <= frames < 1):
            raise OptionError(
                f'HoleSampler: joints={joints}, limbs={limbs}, frames={frames}: expected shares in [0, 1),'
                f' of samples with missing limbs in [0, 1]'
            )
        self.joints = joints
        self.limbs = limbs
        self.frames = frames
        self.parts = PartSampler([*LIMBS, *LIMB_PAIRS], order)

    def __call__(
        self, batch: int, frames: int, joints: int, generator: Optional[torch.Generator] = None
    ) -> Masks:
        """Draws masks on the CPU; arguments as of :class:`~hrtk.models.lifting.MaskSampler`."""
        share = self.joints * torch.rand((batch, 1, 1), generator=generator)
        hidden = torch.rand((batch, frames, joints), generator=generator) < share
        interval = self._draw_interval(batch, frames, generator)
        hidden |= interval[..., None] & self.parts(batch, frames, joints, generator).joints
        ratio = self.frames * (2 * torch.rand((), generator=generator) - 1).clamp_min(0)
        return Masks(hidden, draw_visible_frames(batch, frames, int(frames * ratio), generator))

    def _draw_interval(
        self, batch: int, frames: int, generator: Optional[torch.Generator]
    ) -> Tensor:
        """Returns (batch, frames) bool, True in the interval in which a sample misses limbs."""
        start = torch.randint(frames, (batch, 1), generator=generator)
        end = start + torch.randint(1, frames + 1, (batch, 1), generator=generator)
        time = torch.arange(frames)
        interval = (time >= start) & (time < end)
        return interval & (torch.rand((batch, 1), generator=generator) < self.limbs)
