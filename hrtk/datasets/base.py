"""The base class of data sets whose items are whole sequences."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from torch.utils.data import Dataset

from hrtk.structures import Sequence


@dataclasses.dataclass(frozen=True)
class Asset:
    """One file or folder of another owner.

    Attributes:
        path: its location below the ``data`` folder.
        needed_by: the methods, protocols or data sets that need it.
        url: the web page of its owner.
        instructions: what to download there.
        check: reads it and returns a short description of its content; raises InputError if the content is wrong.
        by_folder: whether a config that names a folder above it needs it too.
    """

    path: str
    needed_by: str
    url: str
    instructions: str
    check: Callable[[Path], str]
    by_folder: bool = True


class SequenceDataset(Dataset[Sequence]):
    """A data set for adaptation and evaluation: an item is one track, a :class:`~hrtk.structures.Sequence`.

    A subclass implements :meth:`__len__` and :meth:`__getitem__`; every other member has a default.
    :func:`hrtk.testing.check_dataset` tests a subclass.

    Attributes:
        assets: the licensed files and folders that data sets of this class read. ``tools/check_assets.py`` lists
            and checks them, and a config that names a missing one is refused with directions for its download.
        free_options: options on which predictions depend only if the adapter says so by
            :attr:`~hrtk.adapters.Adapter.uses_camera`, e.g. the focal length; otherwise stored results stay valid when
            they change.
    """

    assets: ClassVar[tuple[Asset, ...]] = ()
    free_options: ClassVar[tuple[str, ...]] = ()

    def __len__(self) -> int:
        """The number of sequences."""
        raise NotImplementedError

    def __getitem__(self, index: int) -> Sequence:
        """One sequence. Its name is unique in the data set, and its frames are read only when they are indexed.

        Raises:
            IndexError: the index is not below the length.
            InputError: a file is missing or broken.
        """
        raise NotImplementedError

    def __iter__(self) -> Iterator[Sequence]:
        """All sequences in order."""
        for index in range(len(self)):
            yield self[index]

    @property
    def metainfo(self) -> Mapping[str, Any]:
        """Facts about the data set that the evaluator receives in its ``dataset_meta``."""
        return {}

    def names(self) -> list[str]:
        """The names of all sequences in order; a subclass that knows them returns them without building the items."""
        return [sequence.name for sequence in self]

    def fingerprint(self) -> dict[str, str]:
        """Hashes of the files on which the numbers depend, by a name of each.

        Stored results are reused only if the hashes are equal. Keypoints and boxes need no hash, because they are
        compared with the stored ones by value.
        """
        return {}
