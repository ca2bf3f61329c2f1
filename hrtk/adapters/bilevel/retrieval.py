"""Labelled crops that resemble a frame, found by the network's own features (DynaBOA's exemplars)."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hrtk.adapters.bilevel.bank_files import CHUNK, FORMAT, build_bank, read_meta
from hrtk.adapters.parts.source_bank import LABELS, SourceBatch
from hrtk.adapters.parts.trunk import Trunk
from hrtk.errors import InputError
from hrtk.geometry.boxes import normalise
from hrtk.models.estimators import Estimator, hash_tensors
from hrtk.registry import DATASETS

MODES = ('nearest', 'cluster')


class RetrievalBank:
    """Finds labelled crops by the cosine between pooled features.

    A bank is a folder that ``tools/build_retrieval_bank.py`` wrote, or is built once from a data set with the weights
    that the estimator starts with, and kept in ``$HRTK_CACHE`` under a hash of both.

    Args:
        folder: of a bank.
        dataset: in place of ``folder``, config of a data set of labelled views, see
            :class:`~hrtk.datasets.open_stream.views.OpenViews`.
        pool: how many items of the data set; None for all.
        batch: S, crops per look-up; 1 in DynaBOA.
        mode: ``'nearest'``, or ``'cluster'``: random members of the cluster with the nearest centre, as DynaBOA's code.
        topk: with ``'nearest'``, S at random among so many nearest ones; None for the S nearest.
        clusters: with ``dataset``, K of k-means.
        resident: banks of at most so many bytes are kept on the estimator's device; larger ones stay on disk, mapped.

    Raises:
        InputError: an option has another value, or both or none of ``folder`` and ``dataset`` are given.
    """

    def __init__(
        self,
        folder: Optional[str] = None,
        dataset: Optional[dict] = None,
        pool: Optional[int] = None,
        batch: int = 1,
        mode: str = 'nearest',
        topk: Optional[int] = None,
        clusters: int = 0,
        resident: int = 1 << 30,
    ) -> None:
        if (folder is None) == (dataset is None):
            raise InputError(
                'exemplars: name either the `folder` of a retrieval bank or a `dataset` of labelled views'
            )
        if mode not in MODES:
            raise InputError(f'exemplars: mode is one of {MODES}, not {mode!r}')
        if topk is not None and topk < batch:
            raise InputError(f'exemplars: topk={topk} is less than batch={batch}')
        if mode == 'cluster' and dataset is not None and not clusters:
            raise InputError(
                "exemplars: mode='cluster' needs `clusters`, the number of clusters, e.g. 64"
            )
        self.folder, self.config, self.pool = (
            None if folder is None else Path(folder),
            dataset,
            pool,
        )
        self.dataset: Any = None if dataset is None else DATASETS.build(dataset)
        self.batch, self.mode, self.topk, self.clusters, self.resident = (
            batch,
            mode,
            topk,
            clusters,
            resident,
        )
        self._arrays: dict[str, Tensor] = {}
        self.forget()

    def load(self, estimator: Estimator) -> None:
        """Opens the bank, and builds it first if it comes from a data set; nothing if that has happened already.

        Warns if the features of a folder are those of other weights than the estimator's.

        Raises:
            InputError: the bank is missing, or does not fit the estimator.
        """
        if self._arrays:
            return
        weights = hash_tensors(estimator.state_dict())
        folder = self.folder or self._cached(estimator, weights)
        meta = read_meta(folder)
        names = ['features', 'images', *LABELS] + (
            ['centers', 'members', 'counts'] if self.mode == 'cluster' else []
        )
        mapped = {name: _map(folder / f'{name}.npy') for name in names}
        if mapped['images'].shape[-1] != estimator.resolution:
            raise InputError(
                f'{folder}: its crops are {mapped["images"].shape[-1]} px and the estimator takes '
                f'{estimator.resolution} px; build it again for this estimator'
            )
        if meta['weights'] != weights:
            warnings.warn(
                f'{folder}: its features are those of other weights than the estimator starts with; '
                f'crops are found by comparing the two'
            )
        small = sum(array.nbytes for array in mapped.values()) <= self.resident
        self._arrays = {
            name: array.to(estimator.device) if small else array for name, array in mapped.items()
        }

    def forget(self) -> None:
        """The next look-up has nothing to guess from."""
        self._last: Optional[Tensor] = None
        self._steady: dict[str, bool] = {}

    def chance(self) -> Optional[Tensor]:
        """The random numbers of one look-up, from torch's CPU generator."""
        if self.mode == 'cluster':
            return torch.rand(self.batch)
        return (
            None
            if self.topk is None
            else torch.randperm(min(self.topk, len(self._arrays['features'])))[: self.batch]
        )

    def guess(self, level: str, chance: Optional[Tensor], trunk: Trunk) -> Optional[SourceBatch]:
        """The crops of a look-up whose frame still resembles what the last one did.

        Made before the frame's features are known, so that frame and crops share a pass. None at first, and where the
        last frame of this ``level`` had turned to others.
        """
        if self._last is None or not self._steady.get(level, True):
            return None
        return self._read(self._pick(self._last, chance), trunk)

    def draw(
        self,
        level: str,
        chance: Optional[Tensor],
        query: Tensor,
        trunk: Trunk,
        guess: Optional[SourceBatch] = None,
    ) -> SourceBatch:
        """The S crops for pooled features (1, F): the guess itself if it was right. Waits for the device.

        Args:
            level: under which later guesses are judged.
            chance: of :meth:`chance`.
            query: the features; no gradient flows through the choice.
            trunk: what the crops pass through.
            guess: of :meth:`guess`.
        """
        place = self._locate(query.detach())
        same = self._last is not None and torch.equal(place, self._last)
        self._last, self._steady[level] = place, same
        return guess if same and guess is not None else self._read(self._pick(place, chance), trunk)

    def fingerprint(self) -> dict[str, str]:
        """What the bank holds."""
        if self.folder is not None:
            return {'exemplars': read_meta(self.folder)['content']}
        return self.dataset.fingerprint() if hasattr(self.dataset, 'fingerprint') else {}

    def _locate(self, query: Tensor) -> Tensor:
        """What the features point at: a cluster, or the nearest crops, in whatever order of nearness."""
        query = F.normalize(query[0], dim=0).to(self._arrays['features'].device)
        if self.mode == 'cluster':
            return (self._arrays['centers'].to(query.dtype) @ query).argmax()
        return (
            self._nearest(query, min(self.topk or self.batch, len(self._arrays['features'])))
            .sort()
            .values
        )

    def _pick(self, place: Tensor, chance: Optional[Tensor]) -> Tensor:
        """The crops at a place, as indices."""
        chance = None if chance is None else chance.to(place.device)
        if self.mode == 'cluster':
            counts = self._arrays['counts']
            first = counts.cumsum(0)[place] - counts[place]
            return self._arrays['members'][first + (chance * counts[place]).long()]
        return place if chance is None else place[chance]

    def _read(self, index: Tensor, trunk: Trunk) -> SourceBatch:
        device = trunk.model.device

        def take(name: str, wanted: Tensor) -> Tensor:
            array = self._arrays[name]
            return array[wanted.to(array.device)].to(device)

        return SourceBatch(
            trunk.recall(index, lambda wanted: normalise(take('images', wanted).float())),
            **{name: take(name, index) for name in LABELS},
        )

    def _nearest(self, query: Tensor, count: int) -> Tensor:
        """Indices of the rows with the largest products, the best first, a chunk of the bank at a time."""
        scores, places = query.new_empty(0), torch.empty(0, dtype=torch.long, device=query.device)
        for number, rows in enumerate(self._arrays['features'].split(CHUNK)):
            best = (rows.to(query.dtype) @ query).topk(min(count, len(rows)))
            scores, order = torch.cat([scores, best.values]).sort(descending=True, stable=True)
            places = torch.cat([places, best.indices + number * CHUNK])[order][:count]
            scores = scores[:count]
        return places

    def _cached(self, estimator: Estimator, weights: str) -> Path:
        found = self.dataset.fingerprint() if hasattr(self.dataset, 'fingerprint') else {}
        key = json.dumps(
            [FORMAT, weights, self.config, found, self.pool, self.clusters],
            sort_keys=True,
            default=str,
        )
        root = Path(os.environ.get('HRTK_CACHE', Path.home() / '.cache' / 'hrtk')) / 'retrieval'
        folder = root / hashlib.sha256(key.encode()).hexdigest()[:20]
        if not (folder / 'bank.json').exists():
            build_bank(estimator, self.dataset, folder, self.pool, self.clusters, dtype='float32')
        return folder


def _map(path: Path) -> Tensor:
    try:
        return torch.from_numpy(np.load(path, mmap_mode='c', allow_pickle=False))
    except (OSError, ValueError) as error:
        raise InputError(
            f'{path}: not readable ({error}); build the bank again with tools/build_retrieval_bank.py'
            + (', with --clusters' if path.stem in ('centers', 'members', 'counts') else '')
        ) from error
