"""Labelled crops that resemble a frame, found by the network's own features (DynaBOA's exemplars)."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Optional

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hrtk.adapters.bilevel.bank_files import FORMAT, ROWS_AT_ONCE, build_bank, read_meta
from hrtk.adapters.parts.source_bank import LABELS, SourceBatch, dataset_fingerprint
from hrtk.adapters.parts.trunk import Trunk, TrunkCache
from hrtk.errors import InputError
from hrtk.files import cache_folder
from hrtk.geometry.boxes import normalise
from hrtk.models.estimators import Estimator, hash_tensors
from hrtk.options import check_literals
from hrtk.registry import DATASETS

CLUSTER_ARRAYS = ('centers', 'members', 'counts')


class RetrievalBank:
    """Labelled crops with their features, searched by cosine.

    A bank is a folder that ``tools/build_retrieval_bank.py`` wrote. Or it is built once from a data set, with the
    weights that the estimator starts with, and kept in ``$HRTK_CACHE`` under a hash of both.

    Args:
        folder: of a bank.
        dataset: in place of ``folder``, config of a data set of labelled views, see
            :class:`~hrtk.datasets.open_stream.views.OpenViews`.
        pool: how many items of the data set; None for all.
        batch: S, crops per look-up; 1 in DynaBOA.
        mode: ``'nearest'``, or ``'cluster'``: random members of the cluster with the nearest centre, as in DynaBOA's
            code.
        topk: with ``'nearest'``, draw the S crops at random from so many nearest ones; None takes the S nearest.
        clusters: with ``dataset``, K of k-means.
        resident: a bank of at most so many bytes is kept on the estimator's device; a larger one stays on disk,
            memory-mapped.

    Raises:
        InputError: an option has a value that is not allowed, or both or none of ``folder`` and ``dataset`` are given.
    """

    def __init__(
        self,
        folder: Optional[str] = None,
        dataset: Optional[Mapping[str, Any]] = None,
        pool: Optional[int] = None,
        batch: int = 1,
        mode: Literal['nearest', 'cluster'] = 'nearest',
        topk: Optional[int] = None,
        clusters: int = 0,
        resident: int = 1 << 30,
    ) -> None:
        if (folder is None) == (dataset is None):
            raise InputError(
                'exemplars: name either the `folder` of a retrieval bank or a `dataset` of labelled views'
            )
        check_literals(RetrievalBank, dict(mode=mode), 'exemplars')
        if topk is not None and topk < batch:
            raise InputError(f'exemplars: topk={topk} is less than batch={batch}')
        if mode == 'cluster' and dataset is not None and not clusters:
            raise InputError(
                "exemplars: mode='cluster' needs `clusters`, the number of clusters, e.g. 64"
            )
        self.folder = folder
        self.dataset_config = dataset
        self.dataset: Any = None
        if dataset is not None:
            self.dataset = DATASETS.build(dataset)
        self.pool = pool
        self.batch = batch
        self.mode = mode
        self.topk = topk
        self.clusters = clusters
        self.resident = resident
        self._arrays: dict[str, Tensor] = {}
        self._cache = TrunkCache()

    def load(self, estimator: Estimator) -> None:
        """Opens the bank once, and builds it first if it comes from a data set.

        Warns if the features of a folder were computed with other weights than the estimator's.

        Raises:
            InputError: the bank is missing, or does not fit the estimator.
        """
        if self._arrays:
            return
        weights_hash = hash_tensors(estimator.state_dict())
        if self.folder is not None:
            folder = Path(self.folder)
        else:
            folder = self._built_folder(estimator, weights_hash)
        meta = read_meta(folder)
        arrays = {name: _map_array(folder / f'{name}.npy') for name in self._array_names()}
        size = arrays['images'].shape[-1]
        if size != estimator.resolution:
            raise InputError(
                f'{folder}: its crops are {size} px and the estimator takes {estimator.resolution} px; build it '
                f'again for this estimator'
            )
        if meta['weights'] != weights_hash:
            warnings.warn(
                f'{folder}: its features were computed with other weights than the estimator starts with; '
                f'crops are found by comparing the two'
            )
        total_bytes = sum(array.nbytes for array in arrays.values())
        if total_bytes <= self.resident:
            arrays = {name: array.to(estimator.device) for name, array in arrays.items()}
        self._arrays = arrays

    def random_numbers(self) -> Optional[Tensor]:
        """Draws the random numbers of one look-up from torch's CPU generator; None if it needs none."""
        if self.mode == 'cluster':
            return torch.rand(self.batch)
        if self.topk is None:
            return None
        candidates = min(self.topk, len(self._arrays['features']))
        return torch.randperm(candidates)[: self.batch]

    def locate(self, query: Tensor) -> Tensor:
        """Finds where a query points: to a cluster, or to its nearest crops, in ascending order of their numbers.

        Args:
            query: (1, F) pooled features, without a graph.
        """
        features = self._arrays['features']
        direction = F.normalize(query[0], dim=0).to(features.device)
        if self.mode == 'cluster':
            centers = self._arrays['centers'].to(direction.dtype)
            return (centers @ direction).argmax()
        count = min(self.topk or self.batch, len(features))
        return self._nearest(direction, count).sort().values

    def crops_at(
        self, location: Tensor, random_numbers: Optional[Tensor], trunk: Trunk
    ) -> SourceBatch:
        """Returns S crops at a location.

        Args:
            location: of :meth:`locate`.
            random_numbers: of :meth:`random_numbers`.
            trunk: the crops pass through it.
        """
        index = self._pick(location, random_numbers)
        images = self._cache.get(trunk, index, lambda i: self._images(i, trunk))
        labels = {name: self._take(name, index, trunk) for name in LABELS}
        return SourceBatch(images, **labels)

    def fingerprint(self) -> dict[str, str]:
        """Returns hashes of the bank's content, or of the data set that it is built from."""
        if self.folder is not None:
            return {'exemplars': read_meta(Path(self.folder))['content']}
        return dataset_fingerprint(self.dataset)

    def _array_names(self) -> list[str]:
        names = ['features', 'images', *LABELS]
        if self.mode == 'cluster':
            names += CLUSTER_ARRAYS
        return names

    def _pick(self, location: Tensor, random_numbers: Optional[Tensor]) -> Tensor:
        """The numbers of S crops at a location."""
        if random_numbers is not None:
            random_numbers = random_numbers.to(location.device)
        if random_numbers is None:
            return location
        if self.mode == 'nearest':
            return location[random_numbers]
        counts = self._arrays['counts']
        first = counts.cumsum(0)[location] - counts[location]
        member = (random_numbers * counts[location]).long()
        return self._arrays['members'][first + member]

    def _images(self, index: Tensor, trunk: Trunk) -> Tensor:
        return normalise(self._take('images', index, trunk).float())

    def _take(self, name: str, index: Tensor, trunk: Trunk) -> Tensor:
        array = self._arrays[name]
        return array[index.to(array.device)].to(trunk.model.device)

    def _nearest(self, direction: Tensor, count: int) -> Tensor:
        """Numbers of the crops with the largest products, the best first; a chunk of the bank at a time."""
        scores = direction.new_empty(0)
        numbers = torch.empty(0, dtype=torch.long, device=direction.device)
        for chunk, features in enumerate(self._arrays['features'].split(ROWS_AT_ONCE)):
            products = features.to(direction.dtype) @ direction
            best = products.topk(min(count, len(features)))
            scores, order = torch.cat([scores, best.values]).sort(descending=True, stable=True)
            numbers = torch.cat([numbers, best.indices + chunk * ROWS_AT_ONCE])[order][:count]
            scores = scores[:count]
        return numbers

    def _built_folder(self, estimator: Estimator, weights_hash: str) -> Path:
        """The folder of the bank in the cache; builds it if it is not there."""
        identity = [
            FORMAT,
            weights_hash,
            self.dataset_config,
            dataset_fingerprint(self.dataset),
            self.pool,
            self.clusters,
        ]
        key = json.dumps(identity, sort_keys=True, default=str)
        folder = cache_folder('retrieval') / hashlib.sha256(key.encode()).hexdigest()[:20]
        if not (folder / 'bank.json').exists():
            build_bank(estimator, self.dataset, folder, self.pool, self.clusters, dtype='float32')
        return folder


class ExemplarLookup:
    """Looks exemplars up and remembers the last location; belongs to one session.

    Successive frames mostly have the same exemplars. A caller may therefore ask for the expected crops before the
    frame's features are known, so that the frame and the crops share one pass of the network.

    Args:
        bank: the labelled crops, loaded.
    """

    def __init__(self, bank: RetrievalBank) -> None:
        self.bank = bank
        self.forget()

    def forget(self) -> None:
        """Forgets the last location: the next look-up expects nothing."""
        self._last: Optional[Tensor] = None
        self._was_expected: dict[str, bool] = {}

    def expect(
        self, level: str, random_numbers: Optional[Tensor], trunk: Trunk
    ) -> Optional[SourceBatch]:
        """Returns the crops at the last location.

        Args:
            level: ``'lower'`` or ``'upper'``.
            random_numbers: of the bank.
            trunk: the crops pass through it.

        Returns:
            S crops; None before the first look-up, and if the last look-up of this level changed the location.
        """
        if self._last is None or not self._was_expected.get(level, True):
            return None
        return self.bank.crops_at(self._last, random_numbers, trunk)

    def find(
        self,
        level: str,
        random_numbers: Optional[Tensor],
        features: Optional[Tensor],
        trunk: Trunk,
        expected: Optional[SourceBatch] = None,
    ) -> SourceBatch:
        """Finds the S crops for a frame; waits for the device.

        Args:
            level: ``'lower'`` or ``'upper'``.
            random_numbers: of the bank.
            features: (1, F) pooled features of the frame; no gradient flows through the choice.
            trunk: the crops pass through it.
            expected: of :meth:`expect`; returned itself if the location has not changed.

        Raises:
            InputError: the estimator has no features.
        """
        if features is None:
            raise InputError(
                'exemplars: the estimator has no features to find crops by; set `exemplars=None`'
            )
        location = self.bank.locate(features.detach())
        is_same = self._last is not None and torch.equal(location, self._last)
        self._last = location
        self._was_expected[level] = is_same
        if is_same and expected is not None:
            return expected
        return self.bank.crops_at(location, random_numbers, trunk)


def _map_array(path: Path) -> Tensor:
    """Memory-maps an array of a bank."""
    try:
        return torch.from_numpy(np.load(path, mmap_mode='c', allow_pickle=False))
    except (OSError, ValueError) as error:
        remedy = 'build the bank again with tools/build_retrieval_bank.py'
        if path.stem in CLUSTER_ARRAYS:
            remedy += ', with --clusters'
        raise InputError(f'{path}: not readable ({error}); {remedy}') from error
