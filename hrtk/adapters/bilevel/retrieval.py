"""Retrieval of labelled crops that resemble a frame, by the network's own features (DynaBOA's exemplars)."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Optional

import torch
from torch import Tensor
from torch.nn import functional as F

from hrtk.adapters.bilevel.bank_files import FORMAT, ROWS_AT_ONCE, build_bank, read_meta
from hrtk.adapters.parts.source_bank import LABELS, SourceBatch, dataset_fingerprint
from hrtk.adapters.parts.trunk import Trunk, TrunkCache
from hrtk.errors import InputError
from hrtk.files import cache_folder
from hrtk.models.estimators import Estimator, hash_tensors
from hrtk.options import check_options
from hrtk.reading.arrays import map_npy
from hrtk.registry import DATASETS

CLUSTER_ARRAYS = ('centers', 'members', 'counts')
CACHED = 2  # of banks in the cache: items spread over the data set, and its measured joints


class RetrievalBank:
    """Labelled crops with their features, searched by cosine similarity of the features.

    A bank is a folder written by ``tools/build_retrieval_bank.py``, or is built once from a data set and cached in
    ``$HRTK_CACHE`` under a hash of the data set and the initial weights.

    Args:
        folder: path of a bank.
        dataset: alternative to ``folder``: config of a data set of labelled views, see
            :class:`~hrtk.datasets.open_stream.views.OpenViews`.
        pool: number of items of the data set to use, evenly spread over it; None for all.
        batch: S, crops per look-up; 1 in DynaBOA.
        mode: ``'nearest'``, or ``'cluster'``, which samples members of the cluster with the nearest centre, as in
            DynaBOA's code.
        topk: in mode ``'nearest'``, sample the S crops from the ``topk`` nearest; None takes the S nearest.
        clusters: number of clusters, K of k-means, for a bank that is built from ``dataset``; 0 for none.
        resident: size limit in bytes: a bank up to this size is kept on the device; a larger one stays on disk,
            memory-mapped.

    Raises:
        InputError: an option has a value that is not allowed, or not exactly one of ``folder`` and ``dataset`` is set.
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
        options = dict(
            pool=pool, batch=batch, mode=mode, topk=topk, clusters=clusters, resident=resident
        )
        check_options(RetrievalBank, options, 'exemplars')
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
        self._labels: tuple[str, ...] = LABELS
        self._cache = TrunkCache()

    def load(self, estimator: Estimator) -> None:
        """Opens the bank, and builds it first if it comes from a data set. Later calls do nothing.

        Warns if the features of a folder were computed with weights that differ from the estimator's.

        Raises:
            InputError: the bank is missing, or its crops have another resolution than the estimator's.
        """
        if self._arrays:
            return
        weights_hash = hash_tensors(estimator.state_dict())
        if self.folder is not None:
            folder = Path(self.folder)
        else:
            folder = self._built_folder(estimator, weights_hash)
        meta = read_meta(folder)
        self._labels = (*LABELS, *meta.get('measured', ()))
        arrays = {name: _map_array(folder / f'{name}.npy') for name in self._array_names()}
        shape = tuple(arrays['images'].shape[1:])
        if shape != estimator.input_shape:
            raise InputError(
                f'{folder}: its crops are {shape} and the estimator takes {estimator.input_shape}; build it '
                f'again for this estimator'
            )
        if meta['weights'] != weights_hash:
            warnings.warn(
                f'{folder}: its features were computed with other weights than the estimator starts with; '
                f'the search compares features of different weights, so it may find poor matches'
            )
        total_bytes = sum(array.nbytes for array in arrays.values())
        if total_bytes <= self.resident:
            arrays = {name: array.to(estimator.device) for name, array in arrays.items()}
        self._arrays = arrays

    @property
    def device(self) -> torch.device:
        """Where the features, and therefore all locations, are."""
        return self._arrays['features'].device

    def random_numbers(self) -> Optional[Tensor]:
        """Draws the random numbers of one look-up from torch's CPU generator.

        Returns:
            In mode ``'cluster'``, (S,) float32 in [0, 1); in mode ``'nearest'`` with ``topk``, (S,) int64, the chosen
            ranks; without ``topk``, None.
        """
        if self.mode == 'cluster':
            return torch.rand(self.batch)
        if self.topk is None:
            return None
        candidates = min(self.topk, len(self._arrays['features']))
        return torch.randperm(candidates)[: self.batch]

    def locate(self, query: Tensor) -> Tensor:
        """Finds the cluster, or the nearest crops, of a query.

        Args:
            query: (1, F) pooled features, detached.

        Returns:
            In mode ``'cluster'``, the index of the cluster, a scalar; in mode ``'nearest'``, the indices of the nearest
            crops, as sorted indices, so that two look-ups can be compared with :func:`torch.equal`.
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
            location: returned by :meth:`locate`.
            random_numbers: returned by :meth:`random_numbers`.
            trunk: shared layers whose output for the crops is cached.
        """
        index = self._pick(location, random_numbers)
        # The images, or the trunk's feature maps of them.
        inputs = self._cache.get(trunk, index, lambda i: self._images(i, trunk))
        labels = {name: self._take(name, index, trunk) for name in self._labels}
        return SourceBatch(inputs, **labels)

    def fingerprint(self) -> dict[str, str]:
        """Returns hashes of the bank's content, or of the data set that it is built from."""
        if self.folder is not None:
            return {'exemplars': read_meta(Path(self.folder))['content']}
        return dataset_fingerprint(self.dataset)

    def _array_names(self) -> list[str]:
        names = ['features', 'images', *self._labels]
        if self.mode == 'cluster':
            names += CLUSTER_ARRAYS
        return names

    def _pick(self, location: Tensor, random_numbers: Optional[Tensor]) -> Tensor:
        """Selects S crops at a location.

        Args:
            location: int64: sorted indices of crops, or in mode ``'cluster'`` the index of a cluster.
            random_numbers: None takes all crops of ``location``; in mode ``'nearest'`` (S,) int64 positions in
                ``location``; in mode ``'cluster'`` (S,) float32 in [0, 1).

        Returns:
            (S,) int64 indices of crops.
        """
        if random_numbers is None:
            return location
        random_numbers = random_numbers.to(location.device)
        if self.mode == 'nearest':
            return location[random_numbers]
        # `members` is a flat list of crop indices ordered by cluster.
        counts = self._arrays['counts']
        cluster_start = counts.cumsum(0)[location] - counts[location]
        offset = (random_numbers * counts[location]).long()
        return self._arrays['members'][cluster_start + offset]

    def _images(self, index: Tensor, trunk: Trunk) -> Tensor:
        return trunk.model.normalise(self._take('images', index, trunk))

    def _take(self, name: str, index: Tensor, trunk: Trunk) -> Tensor:
        array = self._arrays[name]
        return array[index.to(array.device)].to(trunk.model.device)

    def _nearest(self, direction: Tensor, count: int) -> Tensor:
        """Returns the indices of the crops with the highest cosine similarity, best first.

        Compares ``ROWS_AT_ONCE`` crops at a time.
        """
        scores = direction.new_empty(0)
        indices = torch.empty(0, dtype=torch.long, device=direction.device)
        for chunk, features in enumerate(self._arrays['features'].split(ROWS_AT_ONCE)):
            similarities = features.to(direction.dtype) @ direction
            best = similarities.topk(min(count, len(features)))
            scores, order = torch.cat([scores, best.values]).sort(descending=True, stable=True)
            indices = torch.cat([indices, best.indices + chunk * ROWS_AT_ONCE])[order][:count]
            scores = scores[:count]
        return indices

    def _built_folder(self, estimator: Estimator, weights_hash: str) -> Path:
        """Returns the folder of the bank in the cache, and builds the bank if it does not exist."""
        identity = [
            FORMAT,
            CACHED,
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
    """Looks exemplars up and stores the last location; each session has its own.

    Successive frames mostly have the same exemplars. A caller may therefore request the expected crops before the
    frame's features are computed, so that the frame and the crops share one pass of the network.

    Args:
        bank: the labelled crops, loaded.
    """

    def __init__(self, bank: RetrievalBank) -> None:
        self.bank = bank
        # The last location is shared, because both levels mostly find the same exemplars for a frame. The flag is per
        # level, because the first look-up of a new frame changes the location more often than the next one does.
        self._last: Optional[Tensor] = None
        self._location_unchanged: dict[str, bool] = {}

    def forget(self) -> None:
        """Resets the last location; the next call of :meth:`expected_crops` returns None."""
        self._last = None
        self._location_unchanged = {}

    def state_dict(self) -> dict[str, Any]:
        """Returns the last location and, per level, whether it was unchanged."""
        return {'last': self._last, 'unchanged': dict(self._location_unchanged)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resumes from a :meth:`state_dict`, after :meth:`RetrievalBank.load`."""
        self._last = state['last']
        if self._last is not None:
            self._last = self._last.to(self.bank.device)
        self._location_unchanged = dict(state['unchanged'])

    def expected_crops(
        self, level: str, random_numbers: Optional[Tensor], trunk: Trunk
    ) -> Optional[SourceBatch]:
        """Returns the crops at the last location.

        Args:
            level: level of the bilevel optimisation, ``'lower'`` or ``'upper'``.
            random_numbers: returned by :meth:`RetrievalBank.random_numbers`.
            trunk: shared layers whose output for the crops is cached.

        Returns:
            S crops; None before the first look-up, and if the last look-up of this level changed the location.
        """
        if self._last is None or not self._location_unchanged.get(level, True):
            return None
        return self.bank.crops_at(self._last, random_numbers, trunk)

    def find_crops(
        self,
        level: str,
        random_numbers: Optional[Tensor],
        features: Optional[Tensor],
        trunk: Trunk,
        expected: Optional[SourceBatch] = None,
    ) -> SourceBatch:
        """Finds the S crops for a frame. Synchronises with the GPU.

        Args:
            level: level of the bilevel optimisation, ``'lower'`` or ``'upper'``.
            random_numbers: returned by :meth:`RetrievalBank.random_numbers`.
            features: (1, F) pooled features of the frame; the search is not differentiated.
            trunk: shared layers whose output for the crops is cached.
            expected: returned by :meth:`expected_crops`; this method returns the same object if the location has not
                changed.

        Raises:
            InputError: the estimator has no features.
        """
        if features is None:
            raise InputError(
                'exemplars: the estimator has no features to find crops by; set `exemplars=None`'
            )
        location = self.bank.locate(features.detach())
        is_unchanged = self._last is not None and torch.equal(location, self._last)
        self._last = location
        self._location_unchanged[level] = is_unchanged
        if is_unchanged and expected is not None:
            return expected
        return self.bank.crops_at(location, random_numbers, trunk)


def _map_array(path: Path) -> Tensor:
    """Memory-maps an array of a bank."""
    try:
        # 'c' is copy-on-write: torch warns about read-only arrays.
        return torch.from_numpy(map_npy(path, 'c'))
    except (InputError, TypeError) as error:
        remedy = 'build the bank again with tools/build_retrieval_bank.py'
        if path.stem in CLUSTER_ARRAYS:
            remedy += ', with --clusters'
        raise InputError(f'{path}: not readable ({error}); {remedy}') from error
