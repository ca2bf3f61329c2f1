"""Labelled source crops that are mixed into adaptation, so that the model does not forget its source domain."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, Optional

import torch
from torch import Tensor

from hrtk.adapters.parts.trunk import Trunk, TrunkCache
from hrtk.errors import InputError
from hrtk.geometry.uploads import upload
from hrtk.models.estimators import Estimator
from hrtk.options import check_options
from hrtk.registry import DATASETS
from hrtk.structures import evenly_spaced

LABELS = ('rotmat', 'betas', 'keypoints2d')
MEASURED = ('S', 'part')  # labels that only data sets of real images have


@dataclasses.dataclass(frozen=True)
class SourceBatch:
    """S labelled crops.

    Attributes:
        images: (S, 3, R, R) normalised, or the output of a shared trunk for them.
        rotmat: (S, 24, 3, 3).
        betas: (S, 10).
        keypoints2d: (S, 24, 2) ``spin24`` in [-1, 1].
        S: (S, 24, 4) measured joints ``spin24_mocap``, metres relative to the pelvis, and their confidences; None if
            the data set has none.
        part: (S, 24, 3) measured ``spin24`` in [-1, 1] and their confidences; None if the data set has none.
    """

    images: Tensor
    rotmat: Tensor
    betas: Tensor
    keypoints2d: Tensor
    S: Optional[Tensor] = None
    part: Optional[Tensor] = None

    def __len__(self) -> int:
        return len(self.images)


class SourceBank:
    """Labelled views: a pool that is kept in memory as uint8, or all views, each read when its turn comes.

    Args:
        dataset: config of a data set with the items of :class:`~hrtk.datasets.open_stream.views.OpenViews`.
        batch: S, crops per step; 1 in BOA.
        pool: number of items, evenly spread over the data set, from which ``'random'`` draws. Files of Human3.6M are
            ordered by subject, so the first items would show one subject alone.
        order: ``'random'``, as in BOA's paper, or ``'sequential'``, as in its code: all items of the data set from the
            first to the last, then again from the first. They are read one by one and not kept.

    Raises:
        InputError: ``batch``, ``pool`` or ``order`` has a value that is not allowed.
    """

    def __init__(
        self,
        dataset: dict,
        batch: int = 1,
        pool: int = 512,
        order: Literal['random', 'sequential'] = 'random',
    ) -> None:
        check_options(SourceBank, dict(batch=batch, pool=pool, order=order), 'source')
        self.dataset: Any = DATASETS.build(dataset)
        self.batch = batch
        self.order = order
        self._rows: Sequence[int] = range(len(self.dataset))
        if order == 'random':
            self._rows = evenly_spaced(len(self.dataset), pool)
        self._device = torch.device('cpu')
        self._normalise: Optional[Callable[[Tensor], Tensor]] = None
        self._pool: dict[str, Tensor] = {}
        self._cache = TrunkCache()

    def __len__(self) -> int:
        """The number of crops that can be drawn."""
        return len(self._rows)

    def load(self, estimator: Estimator) -> None:
        """Reads the pool to the estimator's device. Later calls do nothing.

        Raises:
            InputError: the crops are not those that the estimator takes.
        """
        if self._normalise is not None:
            return
        # An item of a clip estimator is a clip.
        first = self.dataset[self._rows[0]]
        shape = tuple(first['image'].shape[-len(estimator.input_shape) :])
        if shape != estimator.input_shape:
            raise InputError(
                f'source: its crops are {shape} and {type(estimator).__name__} takes {estimator.input_shape}; for '
                f'images set `resolution` of the source data set to the last number, for landmarks take '
                f"dict(type='LandmarkViews')"
            )
        self._device = estimator.device
        if self.order == 'random':
            self._pool = self._read(range(len(self)))
        self._normalise = estimator.normalise

    def batch_at(self, index: Tensor, trunk: Optional[Trunk] = None) -> SourceBatch:
        """Returns crops with their labels.

        Args:
            index: (S,) indices of crops, on the CPU.
            trunk: shared layers whose output for the crops is returned and cached; None returns the crops.
        """
        normalise = self._normalise
        assert normalise is not None, 'load() comes first'
        numbers = index.tolist()
        if self.order == 'random':
            rows = upload(index, self._device)
            labels = {name: values[rows] for name, values in self._pool.items()}
        else:
            labels = self._read(numbers)
        images = labels.pop('image')
        if trunk is None:
            return SourceBatch(normalise(images), **labels)
        place = {number: position for position, number in enumerate(numbers)}

        def read(wanted: Tensor) -> Tensor:
            positions = torch.tensor([place[number] for number in wanted.tolist()])
            return normalise(images[upload(positions, self._device)])

        return SourceBatch(self._cache.get(trunk, index, read), **labels)

    def fingerprint(self) -> dict[str, str]:
        """Returns hashes of the data set's files."""
        return dataset_fingerprint(self.dataset)

    def _read(self, numbers: Iterable[int]) -> dict[str, Tensor]:
        """Images and labels of crops, from the data set."""
        items = [self.dataset[self._rows[number]] for number in numbers]
        names = ['image', *LABELS]
        names += [name for name in MEASURED if name in items[0]]
        return {
            name: upload(torch.stack([item[name] for item in items]), self._device)
            for name in names
        }


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
            index = torch.randint(len(self.bank), (self.bank.batch,))
        else:
            index = (self.next + torch.arange(self.bank.batch)) % len(self.bank)
            self.next = int(index[-1]) + 1
        return self.bank.batch_at(index, trunk)


def dataset_fingerprint(dataset: Any) -> dict[str, str]:
    """Returns hashes of a data set's files; empty for a data set without a fingerprint."""
    fingerprint = getattr(dataset, 'fingerprint', None)
    if fingerprint is None:
        return {}
    return fingerprint()


def warn_without_labels(method: str, option: str, config: Optional[object], weight: float) -> None:
    """Warns that the loss on labelled source data has a weight and no data, so that it is left out.

    Args:
        method: name of the adapter.
        option: the adapter's option that names the data.
        config: value of the option.
        weight: weight of the loss.
    """
    if config is None and weight:
        warnings.warn(
            f'{method}: weights.source is {weight:g} and `{option}` names no labelled data, so the loss on source data '
            f'is left out. Name data, e.g. --cfg-options adapter.{option}.dataset.type=OpenViews (for Human3.6M see '
            f'docs/en/adapters/dynamic_bilevel.md), or set weights.source=0',
            stacklevel=2,
        )
