"""Several training sets as one, each drawn as often as its share says."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Mapping
from collections.abc import Sequence as SequenceOf
from typing import Any, Optional

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from hrtk.errors import OptionError
from hrtk.registry import DATASETS

# Strings that items of all parts must share, with the remedy.
EQUAL = {
    'joint_order': "give every part the same `joints`, e.g. 'h36m16', which Human3.6M, MPI-INF-3DHP and AMASS have"
}


@DATASETS.register_module()
class MixedDataset(Dataset):
    """A concatenation of training sets whose items are dicts, e.g. of Human3.6M, MPI-INF-3DHP and AMASS.

    Items keep the keys that all parts have. Without shares it holds every item of every part once. With shares one pass
    holds every item of every part at least once, and as many further copies as the shares demand: whole repetitions of
    a part, and a rest that the seed draws without replacement. So an epoch is a pass over the part that is largest for
    its share. The set is the same at every call; order and distribution are those of the sampler, whose epochs resume.

    Args:
        parts: configs of data sets, or data sets.
        shares: of the items, one positive number per part; their sum does not matter. None: as large as the parts are.
        common: options of all parts that are configs and do not set them, e.g. ``dict(frames=81)``.
        seed: of the items that are repeated once more than others.

    Attributes:
        parts: the data sets.
        keys: keys of the items, in the order of the first part.
        counts: items of every part in one pass, copies included.

    Raises:
        InputError: there is no part, a part is empty, the shares do not fit, or the items of two parts cannot be in one
            batch: they have no common key, tensors of different shapes, or different joint orders.
    """

    def __init__(
        self,
        parts: SequenceOf[dict | Dataset],
        shares: Optional[SequenceOf[float]] = None,
        common: Optional[Mapping[str, Any]] = None,
        seed: int = 0,
    ) -> None:
        if not parts:
            raise OptionError('MixedDataset: parts is empty; list one config per data set')
        self.parts = []
        for part in parts:
            if isinstance(part, Mapping):
                part = {**(common or {}), **part}
            self.parts.append(DATASETS.build(part))
        self.sizes = [len(part) for part in self.parts]
        self.keys = _common_keys(self.parts)
        self.counts = _counts(self.sizes, shares)
        self._ends = list(itertools.accumulate(self.counts))
        self._rest = []
        for number, (size, count) in enumerate(zip(self.sizes, self.counts)):
            rng = np.random.default_rng([seed, number])
            self._rest.append(np.sort(rng.choice(size, count % size, replace=False)))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> dict[str, Any]:
        number, item = self.locate(index)
        content = self.parts[number][item]
        return {key: content[key] for key in self.keys}

    def locate(self, index: int) -> tuple[int, int]:
        """The part of an item, and its index there.

        Raises:
            IndexError: there is no such item.
        """
        if not 0 <= index < len(self):
            raise IndexError(index)
        number = bisect.bisect_right(self._ends, index)
        offset = index - self._ends[number] + self.counts[number]
        size = self.sizes[number]
        whole = self.counts[number] // size * size
        if offset < whole:
            return number, offset % size
        return number, int(self._rest[number][offset - whole])

    def fingerprint(self) -> dict[str, str]:
        """The hashes of all parts that have one."""
        hashes = {}
        for number, part in enumerate(self.parts):
            if hasattr(part, 'fingerprint'):
                for name, value in part.fingerprint().items():
                    hashes[f'{number}.{name}'] = value
        return hashes


def _counts(sizes: list[int], shares: Optional[SequenceOf[float]]) -> list[int]:
    """Items of every part in one pass."""
    if shares is None:
        return list(sizes)
    usable = len(shares) == len(sizes) and all(0 < share < math.inf for share in shares)
    if not usable:
        raise OptionError(
            f'MixedDataset: shares={list(shares)} of {len(sizes)} parts: expected one positive number per part; '
            f'leave a part out instead of giving it 0'
        )
    passes = max(size / share for size, share in zip(sizes, shares))
    counts = [round(passes * share) for share in shares]
    return [max(count, size) for count, size in zip(counts, sizes)]


def _common_keys(parts: list[Dataset]) -> tuple[str, ...]:
    """The keys that items of all parts have, after a check that such items can be in one batch."""
    firsts = []
    for number, part in enumerate(parts):
        name = f'MixedDataset: part {number} ({type(part).__name__})'
        if len(part) == 0:  # type: ignore[arg-type]
            raise OptionError(f'{name} is empty; leave it out or check its split')
        first = part[0]
        if not isinstance(first, Mapping):
            raise OptionError(
                f'{name} has items of type {type(first).__name__}, expected dicts by key, as training sets have them'
            )
        firsts.append((name, first))
    _, reference = firsts[0]
    keys = tuple(key for key in reference if all(key in first for _, first in firsts))
    if not keys:
        raise OptionError(
            f'MixedDataset: no key is in the items of all parts; the first has {", ".join(reference)}'
        )
    # Those of EQUAL come first: their message says more than one of shapes.
    checked = sorted(keys, key=lambda key: key not in EQUAL)
    for name, first in firsts[1:]:
        for key in checked:
            _check_equal(name, key, reference[key], first[key])
    return keys


def _check_equal(name: str, key: str, expected: Any, found: Any) -> None:
    """Checks that one key of two items can be in one batch."""
    if key in EQUAL and found != expected:
        raise OptionError(
            f'{name}: {key} is {found!r}, that of the first part {expected!r}; {EQUAL[key]}'
        )
    kinds = (_kind(expected), _kind(found))
    if kinds[0] != kinds[1]:
        raise OptionError(
            f'{name}: {key} is {kinds[1]}, that of the first part {kinds[0]}; give all parts the same options, e.g. '
            f'`frames` and `joints`'
        )


def _kind(value: Any) -> str:
    """What a value must share with those of other items in one batch."""
    if isinstance(value, (Tensor, np.ndarray)):
        return f'{str(value.dtype).removeprefix("torch.")} {tuple(value.shape)}'
    return type(value).__name__
