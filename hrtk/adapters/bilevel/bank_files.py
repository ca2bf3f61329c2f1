"""Retrieval banks: folders of memory-mapped arrays with labelled crops and their features of one network.

``features.npy`` (N, F) unit vectors, ``images.npy`` (N, 3, R, R) uint8, ``rotmat.npy``, ``betas.npy``,
``keypoints2d.npy``, and ``S.npy`` and ``part.npy`` if the data set measures them; with clusters ``centers.npy`` (K, F),
``members.npy`` (N,) indices of crops ordered by cluster and ``counts.npy`` (K,); and ``bank.json``, with hashes of the
content and of the weights that computed the features.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hrtk.adapters.parts.source_bank import LABELS, MEASURED
from hrtk.errors import InputError
from hrtk.files import disk_error, remove_leftovers, reserve
from hrtk.models.estimators import Estimator, hash_tensors
from hrtk.reading import read_json
from hrtk.structures import evenly_spaced

FORMAT = 1
ROWS_AT_ONCE = 1 << 16  # rows of features that are compared at once
K_MEANS_ROUNDS = 20


def build_bank(
    estimator: Estimator,
    dataset: Any,
    folder: str | Path,
    count: Optional[int] = None,
    clusters: int = 0,
    dtype: str = 'float16',
    batch_size: int = 32,
) -> Path:
    """Writes a bank under a temporary name and renames the folder when it is complete.

    Args:
        estimator: computes the pooled features, by which crops are retrieved.
        dataset: data set with the items of :class:`~hrtk.datasets.open_stream.views.OpenViews`.
        folder: path of the new bank.
        count: number of items, evenly spread over the data set; None for all.
        clusters: K of k-means over the features; 0 for none.
        dtype: type of the stored features, ``'float16'`` or ``'float32'``.
        batch_size: crops per forward pass.

    Returns:
        The folder.

    Raises:
        InputError: the crops are not of the estimator's resolution, or the estimator has no features.
    """
    folder = Path(folder)
    if count is None:
        count = len(dataset)
    picked = evenly_spaced(len(dataset), count)
    remove_leftovers(folder.parent, folder.name)
    unfinished = folder.with_name(f'{folder.name}.{os.getpid()}.part')
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    writer = _BankWriter(unfinished, len(picked), dtype)
    measured: list[str] = []
    estimator.eval()
    for start in range(0, len(picked), batch_size):
        items = [dataset[i] for i in picked[start : start + batch_size]]
        measured = [name for name in MEASURED if name in items[0]]
        names = ('image', *LABELS, *measured)
        rows = {name: torch.stack([item[name] for item in items]) for name in names}
        rows['images'] = rows.pop('image')
        rows['features'] = _features(estimator, rows['images'])
        writer.write(start, rows)
    if clusters:
        features = torch.from_numpy(writer.arrays['features'])
        for name, values in _k_means(features, clusters).items():
            np.save(unfinished / f'{name}.npy', values.numpy())
    meta = dict(
        format=FORMAT,
        count=len(picked),
        measured=measured,
        weights=hash_tensors(estimator.state_dict()),
        content=writer.digest.hexdigest(),
    )
    (unfinished / 'bank.json').write_text(json.dumps(meta, indent=1))
    _publish(unfinished, folder, meta)
    return folder


def read_meta(folder: Path) -> dict[str, Any]:
    """Reads ``bank.json``.

    Raises:
        InputError: there is no bank in the folder, or one of another format.
    """
    try:
        meta = read_json(folder / 'bank.json', kind=dict)
    except InputError as error:
        raise InputError(
            f'{folder}: no retrieval bank ({error}). tools/build_retrieval_bank.py writes one; or name a '
            f'`dataset` of labelled views in its place, or leave `exemplars` away'
        ) from error
    if meta.get('format') != FORMAT:
        raise InputError(
            f'{folder}: a retrieval bank of format {meta.get("format")}, not {FORMAT}; build it again with '
            f'tools/build_retrieval_bank.py'
        )
    return meta


class _BankWriter:
    """Writes the rows of a bank into memory-mapped arrays and hashes them.

    Args:
        folder: folder of the arrays.
        count: total number of rows.
        features_dtype: type of the stored features.
    """

    def __init__(self, folder: Path, count: int, features_dtype: str) -> None:
        self.folder = folder
        self.count = count
        self.features_dtype = features_dtype
        self.arrays: dict[str, np.ndarray] = {}
        self.digest = hashlib.sha256()

    def write(self, start: int, rows: dict[str, Tensor]) -> None:
        """Writes rows of all arrays, beginning at row ``start``."""
        for name, tensor in rows.items():
            values = tensor.cpu().numpy()
            if name not in self.arrays:
                self.arrays[name] = self._open(name, values)
            self.arrays[name][start : start + len(values)] = values
            self.digest.update(values.tobytes())

    def _open(self, name: str, example: np.ndarray) -> np.ndarray:
        dtype = np.dtype(self.features_dtype) if name == 'features' else example.dtype
        path = self.folder / f'{name}.npy'
        shape = (self.count, *example.shape[1:])
        array = np.lib.format.open_memmap(path, 'w+', dtype, shape)
        try:
            reserve(path)
        except OSError as error:
            raise disk_error(path, error) from error
        return array


def _publish(unfinished: Path, folder: Path, meta: dict[str, Any]) -> None:
    try:
        unfinished.replace(folder)
    except OSError:  # another process has published the bank, or an older bank exists
        if read_meta(folder) == meta:
            shutil.rmtree(unfinished)
        else:
            shutil.rmtree(folder)
            unfinished.replace(folder)


@torch.no_grad()
def _features(estimator: Estimator, images: Tensor) -> Tensor:
    """Returns (B, F) unit vectors of (B, 3, R, R) uint8 crops."""
    if tuple(images.shape[1:]) != estimator.input_shape:
        raise InputError(
            f'exemplars: the crops of the data set are {tuple(images.shape[1:])} and the estimator takes '
            f'{estimator.input_shape}; set `resolution` of the data set to that, in px'
        )
    crops = estimator.normalise(images.to(estimator.device))
    crops = crops.to(next(estimator.parameters()).dtype)
    features = estimator(crops).features
    if features is None:
        raise InputError(
            f'exemplars: {type(estimator).__name__} has no features to find crops by; set `exemplars=None`'
        )
    return F.normalize(features, dim=1)


def _k_means(features: Tensor, count: int) -> dict[str, Tensor]:
    """Runs k-means on the unit sphere, starting from random members; empty clusters are removed.

    Returns:
        ``centers`` (K, F), ``members`` (N,) indices of crops ordered by cluster, and ``counts`` (K,).
    """
    generator = torch.Generator().manual_seed(0)
    start = torch.randperm(len(features), generator=generator)[:count]
    centers = features[start].float()
    for _ in range(K_MEANS_ROUNDS):
        nearest = _nearest_center(features, centers)
        sums = torch.zeros_like(centers)
        for rows, clusters in zip(features.split(ROWS_AT_ONCE), nearest.split(ROWS_AT_ONCE)):
            sums.index_add_(0, clusters, rows.float())
        counts = nearest.bincount(minlength=len(centers))
        occupied = counts > 0
        used_centers = centers[occupied]
        centers = torch.where(occupied[:, None], F.normalize(sums, dim=1), centers)
    members = nearest.argsort(stable=True)
    return dict(centers=used_centers, members=members, counts=counts[occupied])


def _nearest_center(features: Tensor, centers: Tensor) -> Tensor:
    indices = [(rows.float() @ centers.T).argmax(1) for rows in features.split(ROWS_AT_ONCE)]
    return torch.cat(indices)
