"""Retrieval banks as folders of arrays that are mapped, not read: labelled crops with the features of one network.

``features.npy`` (N, F) unit vectors, ``images.npy`` (N, 3, R, R) uint8, ``rotmat.npy``, ``betas.npy``,
``keypoints2d.npy``; with clusters ``centers.npy`` (K, F), ``members.npy`` (N,) crops in the order of their clusters and
``counts.npy`` (K,); and ``bank.json``, which says whose features they are.
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

from hrtk.adapters.parts.source_bank import LABELS
from hrtk.errors import InputError
from hrtk.geometry.boxes import normalise
from hrtk.models.estimators import Estimator, hash_tensors

FORMAT = 1
CHUNK = 1 << 16  # rows of features that are looked at together


def build_bank(
    estimator: Estimator,
    dataset: Any,
    folder: str | Path,
    count: Optional[int] = None,
    clusters: int = 0,
    dtype: str = 'float16',
    batch_size: int = 32,
) -> Path:
    """Writes a bank; it appears under its name when it is complete.

    Args:
        estimator: whose pooled features the crops are found by.
        dataset: items of :class:`~hrtk.datasets.open_stream.views.OpenViews`'s form.
        folder: to write.
        count: how many of its items, from the first on; None for all.
        clusters: K of k-means over the features; 0 for none.
        dtype: of the stored features, ``'float16'`` or ``'float32'``.
        batch_size: crops per forward pass.

    Returns:
        The folder.

    Raises:
        InputError: the crops are not of the estimator's resolution, or it gives no features.
    """
    folder, count = Path(folder), min(count or len(dataset), len(dataset))
    part = folder.with_name(f'{folder.name}.{os.getpid()}.part')
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    estimator.eval()
    arrays, digest = {}, hashlib.sha256()
    for start in range(0, count, batch_size):
        items = [dataset[i] for i in range(start, min(start + batch_size, count))]
        rows = {name: torch.stack([item[name] for item in items]) for name in ('image', *LABELS)}
        rows['images'] = rows.pop('image')
        rows['features'] = _features(estimator, rows['images'])
        for name, value in rows.items():
            value = value.cpu().numpy()
            kind = dtype if name == 'features' else value.dtype
            if name not in arrays:
                arrays[name] = np.lib.format.open_memmap(
                    part / f'{name}.npy', 'w+', kind, (count, *value.shape[1:])
                )
            arrays[name][start : start + len(value)] = value
            digest.update(value.tobytes())
    if clusters:
        for name, value in _clusters(torch.from_numpy(arrays['features']), clusters).items():
            np.save(part / f'{name}.npy', value.numpy())
    meta = dict(
        format=FORMAT,
        count=count,
        weights=hash_tensors(estimator.state_dict()),
        content=digest.hexdigest(),
    )
    (part / 'bank.json').write_text(json.dumps(meta, indent=1))
    try:
        part.replace(folder)
    except OSError:  # another process was faster, or an older bank is there
        if read_meta(folder) == meta:
            shutil.rmtree(part)
        else:
            shutil.rmtree(folder)
            part.replace(folder)
    return folder


def read_meta(folder: Path) -> dict[str, Any]:
    """What ``bank.json`` says.

    Raises:
        InputError: there is no bank in the folder, or one of another format.
    """
    try:
        meta = json.loads((folder / 'bank.json').read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(
            f'{folder}: no retrieval bank ({error}). tools/build_retrieval_bank.py writes one; or name a '
            f'`dataset` of labelled views in its place, or set `exemplars=None`'
        ) from error
    if meta.get('format') != FORMAT:
        raise InputError(
            f'{folder}: a retrieval bank of format {meta.get("format")}, not {FORMAT}; build it again '
            f'with tools/build_retrieval_bank.py'
        )
    return meta


@torch.no_grad()
def _features(estimator: Estimator, images: Tensor) -> Tensor:
    if images.shape[-1] != estimator.resolution:
        raise InputError(
            f'exemplars: the crops of the data set are {images.shape[-1]} px and the estimator takes '
            f'{estimator.resolution} px; set `resolution` of the data set to that'
        )
    crops = normalise(images.to(estimator.device).float()).to(next(estimator.parameters()).dtype)
    features = estimator(crops).features
    if features is None:
        raise InputError(
            f'exemplars: {type(estimator).__name__} gives no features to find crops by; set '
            f'`exemplars=None`'
        )
    return F.normalize(features, dim=1)


def _clusters(features: Tensor, count: int, rounds: int = 20) -> dict[str, Tensor]:
    """k-means on the sphere from random members; clusters that end up empty are left out."""
    start = torch.randperm(len(features), generator=torch.Generator().manual_seed(0))[:count]
    centers = features[start].float()
    for _ in range(rounds):
        nearest = torch.cat(
            [(rows.float() @ centers.T).argmax(1) for rows in features.split(CHUNK)]
        )
        sums = torch.zeros_like(centers)
        for rows, of in zip(features.split(CHUNK), nearest.split(CHUNK)):
            sums.index_add_(0, of, rows.float())
        counts = nearest.bincount(minlength=len(centers))
        kept = counts > 0
        members, sizes, found = nearest.argsort(stable=True), counts[kept], centers[kept]
        centers = torch.where(kept[:, None], F.normalize(sums, dim=1), centers)
    return dict(centers=found, members=members, counts=sizes)
