"""A data set with transforms."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as SequenceOf
from typing import Any

from hrtk.datasets.base import SequenceDataset
from hrtk.errors import OptionError
from hrtk.registry import DATASETS, TRANSFORMS
from hrtk.structures import Sequence


@DATASETS.register_module()
class Transformed(SequenceDataset):
    """Applies transforms, in order, to every sequence of a data set; all other attributes are those of the data set.

    Args:
        dataset: config of the data set.
        transforms: configs of :mod:`hrtk.datasets.transforms`; an empty list changes nothing.

    Raises:
        InputError: the transforms are no list.
    """

    def __init__(self, dataset: dict, transforms: SequenceOf[dict]) -> None:
        if not isinstance(transforms, (list, tuple)):
            raise OptionError(
                f"Transformed: transforms is a list of configs, e.g. [dict(type='Greyscale')], not "
                f'{transforms!r}'
            )
        self.dataset: SequenceDataset = DATASETS.build(dataset)
        self.transforms = [TRANSFORMS.build(transform) for transform in transforms]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sequence:
        sequence = self.dataset[index]
        for transform in self.transforms:
            sequence = transform(sequence)
        return sequence

    def __getattr__(self, name: str) -> Any:
        # Called for attributes that this object lacks; before __init__ (copies, unpickling) it lacks `dataset`, too.
        if name.startswith('__') or 'dataset' not in self.__dict__:
            raise AttributeError(name)
        return getattr(self.dataset, name)

    @property
    def metainfo(self) -> Mapping[str, Any]:
        """The facts about the data set without transforms."""
        return self.dataset.metainfo

    def names(self) -> list[str]:
        """The names of the data set's sequences, which transforms keep."""
        return self.dataset.names()

    def fingerprint(self) -> dict[str, str]:
        """The data set's hashes and those of the transforms, each prefixed by the index of its transform."""
        hashes = dict(self.dataset.fingerprint())
        for index, transform in enumerate(self.transforms):
            for key, value in transform.fingerprint().items():
                hashes[f'{index}.{key}'] = value
        return hashes
