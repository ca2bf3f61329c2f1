"""MixedBatches: every batch has the same numbers of clips with 2D and with 3D labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

import torch
from torch import Tensor
from torch.utils.data import Sampler

from hrtk.datasets import MixedClips
from hrtk.errors import OptionError
from hrtk.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class MixedBatches(Sampler):
    """Indices of a :class:`~hrtk.datasets.official.vibe_clips.MixedClips`, batch by batch.

    As VIBE draws them: ``int(share * batch_size)`` clips with 2D labels, then the others with 3D labels; 19 and 13 of
    32. An epoch is a number of steps and begins with a new order of all clips; a set is repeated in another order once
    it is exhausted. VIBE lets an order go on over the border of an epoch; here it begins anew, so that a resumed
    training draws what an uninterrupted one would.

    Args:
        dataset: the clips.
        batch_size: of the loader.
        share: of clips with 2D labels in a batch, 0.6 in VIBE.
        steps: batches of an epoch, 500 in VIBE.
        seed: of the orders.

    Raises:
        InputError: an option is out of range, or there are no clips with 2D labels to take a share of.
    """

    def __init__(
        self,
        dataset: MixedClips,
        batch_size: int = 32,
        share: float = 0.6,
        steps: int = 500,
        seed: Optional[int] = None,
    ) -> None:
        # Rounding must not turn 0.29 * 100 into 28.
        self.planar = int(share * batch_size + 1e-9)
        self.spatial = batch_size - self.planar
        if not 0 <= share <= 1 or min(batch_size, steps) < 1:
            raise OptionError(
                f'MixedBatches: share is from 0 to 1, batch_size and steps at least 1, not {share}, {batch_size} and '
                f'{steps}'
            )
        if self.planar and not dataset.planar_clips:
            raise OptionError(
                f'MixedBatches: {self.planar} clips of a batch have 2D labels and the data set has none; add `planar` '
                f'sets, or set share=0'
            )
        self.dataset = dataset
        self.steps = steps
        self.batch_size = batch_size
        self.seed = seed or 0
        self.epoch = 0

    def __len__(self) -> int:
        return self.steps * self.batch_size

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        boundary = self.dataset.planar_clips
        planar = _orders(boundary, self.steps * self.planar, generator)
        spatial = boundary + _orders(
            len(self.dataset) - boundary, self.steps * self.spatial, generator
        )
        batches = torch.cat(
            [planar.view(self.steps, self.planar), spatial.view(self.steps, self.spatial)], 1
        )
        return iter(batches.flatten().tolist())

    def set_epoch(self, epoch: int) -> None:
        """Chooses the orders of an epoch; mmengine's ``DistSamplerSeedHook`` calls it."""
        self.epoch = epoch


def _orders(clips: int, count: int, generator: torch.Generator) -> Tensor:
    """The first ``count`` numbers of random orders of ``clips``, one after the other."""
    orders = [torch.zeros(0, dtype=torch.int64)]
    missing = count
    while missing > 0:
        orders.append(torch.randperm(clips, generator=generator)[:missing])
        missing -= len(orders[-1])
    return torch.cat(orders)
