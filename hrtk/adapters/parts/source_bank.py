"""Labelled source crops that are mixed into adaptation, so that the model does not forget where it came from."""

from __future__ import annotations

import dataclasses
from typing import Any, Optional

import torch
from torch import Tensor

from hrtk.adapters.parts.trunk import Trunk
from hrtk.errors import InputError
from hrtk.geometry.boxes import normalise
from hrtk.registry import DATASETS

LABELS = ('rotmat', 'betas', 'keypoints2d')
ORDERS = ('random', 'sequential')


@dataclasses.dataclass(frozen=True)
class SourceBatch:
    """S labelled crops.

    Attributes:
        images: (S, 3, R, R) normalised, or what a frozen trunk made of them.
        rotmat: (S, 24, 3, 3).
        betas: (S, 10).
        keypoints2d: (S, 24, 2) ``spin24`` in [-1, 1].
    """

    images: Tensor
    rotmat: Tensor
    betas: Tensor
    keypoints2d: Tensor


class SourceBank:
    """A pool of labelled views, read once and kept as bytes.

    Args:
        dataset: config of a data set whose items are those of
            :class:`~hrtk.datasets.open_stream.views.OpenViews`.
        batch: S, crops per step; 1 in BOA.
        pool: how many items are kept in memory.
        order: ``'random'`` as BOA's paper says, or ``'sequential'`` from the first item on, as its code does.

    Attributes:
        next: place in the pool where sequential order goes on.
    """

    def __init__(
        self, dataset: dict, batch: int = 1, pool: int = 512, order: str = 'random'
    ) -> None:
        if order not in ORDERS:
            raise InputError(f'source: order is one of {ORDERS}, not {order!r}')
        self.dataset: Any = DATASETS.build(dataset)
        self.batch, self.pool, self.order = batch, min(pool, len(self.dataset)), order
        self._images: Optional[Tensor] = None
        self._labels: dict[str, Tensor] = {}
        self.next = 0

    def load(self, resolution: int, device: torch.device) -> None:
        """Reads the pool if that has not happened yet.

        Raises:
            InputError: the crops are not of the estimator's resolution.
        """
        if self._images is not None:
            return
        items = [self.dataset[i] for i in range(self.pool)]
        if items[0]['image'].shape[-1] != resolution:
            raise InputError(
                f'source: its crops are {items[0]["image"].shape[-1]} px and the estimator takes '
                f'{resolution} px; set `resolution` of the source data set to that'
            )
        self._images = torch.stack([item['image'] for item in items]).to(device)
        self._labels = {
            name: torch.stack([item[name] for item in items]).to(device) for name in LABELS
        }

    def draw(self, trunk: Optional[Trunk] = None) -> SourceBatch:
        """The next batch; random ones come from torch's CPU generator, which is seeded per sequence."""
        if self.order == 'random':
            index = torch.randint(self.pool, (self.batch,))
        else:
            index = (self.next + torch.arange(self.batch)) % self.pool
            self.next = int(index[-1]) + 1
        index = index.to(self._images.device)
        images = trunk.recall(index, self._read) if trunk is not None else self._read(index)
        return SourceBatch(images, **{k: v[index] for k, v in self._labels.items()})

    def restart(self) -> None:
        """Sequential order begins again at the first item."""
        self.next = 0

    def _read(self, index: Tensor) -> Tensor:
        return normalise(self._images[index].float())
