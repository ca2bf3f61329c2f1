"""Labelled source crops that are mixed into adaptation, so that the model does not forget its source domain."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, Optional

import torch
from torch import Tensor

from hrtk.adapters.parts.trunk import Trunk, TrunkCache
from hrtk.errors import InputError
from hrtk.geometry.boxes import normalise
from hrtk.geometry.uploads import upload
from hrtk.models.estimators import Estimator
from hrtk.options import check_literals
from hrtk.registry import DATASETS

LABELS = ('rotmat', 'betas', 'keypoints2d')


@dataclasses.dataclass(frozen=True)
class SourceBatch:
    """S labelled crops.

    Attributes:
        images: (S, 3, R, R) normalised, or the output of a shared trunk for them.
        rotmat: (S, 24, 3, 3).
        betas: (S, 10).
        keypoints2d: (S, 24, 2) ``spin24`` in [-1, 1].
    """

    images: Tensor
    rotmat: Tensor
    betas: Tensor
    keypoints2d: Tensor

    def __len__(self) -> int:
        return len(self.images)


class SourceBank:
    """A pool of labelled views, read once and stored as uint8.

    Args:
        dataset: config of a data set with the items of :class:`~hrtk.datasets.open_stream.views.OpenViews`.
        batch: S, crops per step; 1 in BOA.
        pool: number of items that are kept in memory.
        order: ``'random'``, as in BOA's paper, or ``'sequential'`` from the first item on, as in its code.

    Raises:
        InputError: ``order`` has a value that is not allowed.
    """

    def __init__(
        self,
        dataset: dict,
        batch: int = 1,
        pool: int = 512,
        order: Literal['random', 'sequential'] = 'random',
    ) -> None:
        check_literals(SourceBank, dict(order=order), 'source')
        self.dataset: Any = DATASETS.build(dataset)
        self.batch = batch
        self.pool = min(pool, len(self.dataset))
        self.order = order
        self._images: Optional[Tensor] = None
        self._normalise: Callable[[Tensor], Tensor] = normalise
        self._labels: dict[str, Tensor] = {}
        self._cache = TrunkCache()

    def load(self, estimator: Estimator) -> None:
        """Reads the pool to the estimator's device. Later calls do nothing.

        Raises:
            InputError: the crops are not those that the estimator takes.
        """
        if self._images is not None:
            return
        items = [self.dataset[i] for i in range(self.pool)]
        # An item of a clip estimator is a clip.
        shape = tuple(items[0]['image'].shape[-len(estimator.input_shape) :])
        if shape != estimator.input_shape:
            raise InputError(
                f'source: its crops are {shape} and {type(estimator).__name__} takes {estimator.input_shape}; for '
                f'images set `resolution` of the source data set to the last number, for landmarks take '
                f"dict(type='LandmarkViews')"
            )
        device = estimator.device
        self._normalise = estimator.normalise
        self._images = torch.stack([item['image'] for item in items]).to(device)
        for name in LABELS:
            self._labels[name] = torch.stack([item[name] for item in items]).to(device)

    def batch_at(self, index: Tensor, trunk: Optional[Trunk] = None) -> SourceBatch:
        """Returns crops with their labels.

        Args:
            index: (S,) indices of crops, on the CPU.
            trunk: shared layers whose output for the crops is returned and cached; None returns the crops.
        """
        assert self._images is not None, 'load() comes first'
        rows = upload(index, self._images.device)
        if trunk is None:
            images = self._normalise(self._images[rows])
        else:
            images = self._cache.get(trunk, index, self._read)
        labels = {name: values[rows] for name, values in self._labels.items()}
        return SourceBatch(images, **labels)

    def fingerprint(self) -> dict[str, str]:
        """Returns hashes of the data set's files."""
        return dataset_fingerprint(self.dataset)

    def _read(self, index: Tensor) -> Tensor:
        assert self._images is not None, 'load() comes first'
        return self._normalise(self._images[upload(index, self._images.device)])


class SourceSampler:
    """Draws batches of a :class:`SourceBank`; each session has its own.

    Args:
        bank: the labelled crops; its ``order`` defines how they are drawn. Random indices come from torch's CPU
            generator, which is seeded per sequence.

    Attributes:
        next: index of the next crop in sequential order.
    """

    def __init__(self, bank: SourceBank) -> None:
        self.bank = bank
        self.next = 0

    def draw(self, trunk: Optional[Trunk] = None) -> SourceBatch:
        """Draws the next batch."""
        if self.bank.order == 'random':
            index = torch.randint(self.bank.pool, (self.bank.batch,))
        else:
            index = (self.next + torch.arange(self.bank.batch)) % self.bank.pool
            self.next = int(index[-1]) + 1
        return self.bank.batch_at(index, trunk)


def dataset_fingerprint(dataset: Any) -> dict[str, str]:
    """Returns hashes of a data set's files; empty for a data set without a fingerprint."""
    fingerprint = getattr(dataset, 'fingerprint', None)
    if fingerprint is None:
        return {}
    return fingerprint()
