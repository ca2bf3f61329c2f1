"""Masks that look like what detectors miss, for networks that are to complete keypoints."""

from __future__ import annotations

from typing import Optional

import torch

from hrtk.errors import InputError
from hrtk.models.lifting.masking import LIMBS, Masks, PartSampler


class HoleSampler:
    """Random masks of every density: single joints, limbs over stretches of time, whole frames, or nothing at all.

    Masks of pre-training always hide the same number of joints and frames, and a network that knows no others fails
    where little is missing: trained on 5 of 17 joints and 60 % of the frames for a minute, it was 10 cm off on such
    masks and 83 cm where one joint per frame was missing; trained on these masks 10 and 8 cm.

    Args:
        joints: largest share of single joints; each sample draws its own.
        limbs: share of samples in which one or two limbs are missing over a stretch of any length.
        frames: largest share of whole frames, which half of the batches miss.

    Raises:
        InputError: a share is not in [0, 1), or above 1 for ``limbs``.
    """

    def __init__(self, joints: float = 0.5, limbs: float = 0.5, frames: float = 0.6) -> None:
        if not (0 <= joints < 1 and 0 <= limbs <= 1 and 0 <= frames < 1):
            raise InputError(
                f'HoleSampler: joints={joints}, limbs={limbs}, frames={frames}: expected shares in [0, 1),'
                f' of samples with missing limbs in [0, 1]'
            )
        self.joints, self.limbs, self.frames = joints, limbs, frames
        self.parts = PartSampler(
            [
                *LIMBS[17],
                'right_leg+left_leg',
                'left_arm+right_arm',
                'left_leg+left_arm',
                'right_leg+right_arm',
            ]
        )

    def __call__(
        self, batch: int, frames: int, joints: int, generator: Optional[torch.Generator] = None
    ) -> Masks:
        """Draws masks on the CPU; arguments as of :class:`~hrtk.models.lifting.MaskSampler`."""
        share = self.joints * torch.rand((batch, 1, 1), generator=generator)
        hidden = torch.rand((batch, frames, joints), generator=generator) < share
        start = torch.randint(frames, (batch, 1), generator=generator)
        end = start + torch.randint(1, frames + 1, (batch, 1), generator=generator)
        within = (torch.arange(frames) >= start) & (torch.arange(frames) < end)
        within &= torch.rand((batch, 1), generator=generator) < self.limbs
        hidden |= within[..., None] & self.parts(batch, frames, joints, generator).joints
        ratio = self.frames * (2 * torch.rand((), generator=generator) - 1).clamp_min(0)
        order = torch.rand((batch, frames), generator=generator).argsort(1)
        return Masks(hidden, order[:, int(frames * ratio) :].sort(1).values)
