"""Where drawn pictures are kept, and under which key: anything that changes a pixel changes the key."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

FIELDS = {'rotmat': (24, 3, 3), 'betas': (10,), 'camera': (3,), 'keypoints2d': (24, 2)}


def cache_root() -> Path:
    """The folder of the stream's files: ``$HRTK_CACHE/open_stream``, by default in ``~/.cache/hrtk``."""
    return Path(os.environ.get('HRTK_CACHE', Path.home() / '.cache' / 'hrtk')) / 'open_stream'


def cache_key(*settings: Any) -> str:
    """A name for what these settings draw with the present code and files."""
    return hashlib.sha256(json.dumps([generator_hash(), *settings]).encode()).hexdigest()[:20]


@functools.cache
def generator_hash() -> str:
    """One hash over everything that decides what the stream looks like: its code, the body and the motion."""
    here = Path(__file__).parent
    datasets, package = here.parent, here.parents[1]
    files = [
        *sorted(here.glob('*.py')),
        datasets / 'motion.py',
        package / 'geometry' / 'raster.py',
        package / 'body_models' / 'body.py',
        *sorted((datasets / 'assets').glob('*.npz')),
        *sorted((package / 'body_models' / 'assets').glob('*.npz')),
    ]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


class ViewCache:
    """Views on disk, filled in any order by any number of processes that draw the same ones.

    Args:
        settings: what determines the views.
        length: how many there are.
        resolution: side of a view, px.
    """

    def __init__(self, settings: list, length: int, resolution: int) -> None:
        folder = cache_root() / cache_key('views', length, *settings)
        folder.mkdir(parents=True, exist_ok=True)
        self.images = _map(folder / 'image.bin', np.uint8, (length, 3, resolution, resolution))
        self.labels = {
            name: _map(folder / f'{name}.bin', np.float32, (length, *shape))
            for name, shape in FIELDS.items()
        }
        self.done = _map(folder / 'done.bin', np.uint8, (length,))

    def has(self, index: int) -> bool:
        """Whether view ``index`` has been drawn before."""
        return bool(self.done[index])

    def put(self, index: int, view: dict[str, torch.Tensor]) -> None:
        """Keeps a view; the mark is set last, so that a killed process leaves none half written and marked."""
        self.images[index] = view['image'].numpy()
        for name, store in self.labels.items():
            store[index] = view[name].numpy()
        self.done[index] = 1

    def get(self, index: int) -> dict[str, torch.Tensor]:
        """Reads view ``index``."""
        labels = {
            name: torch.from_numpy(store[index].copy()) for name, store in self.labels.items()
        }
        return dict(image=torch.from_numpy(self.images[index].copy()), **labels)


def _map(path: Path, dtype: type, shape: tuple[int, ...]) -> np.memmap:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    with open(path, 'ab') as file:
        if file.tell() < size:
            file.truncate(size)  # sparse: space is taken only by views that are there
    return np.memmap(path, dtype=dtype, mode='r+', shape=shape)
