"""The disk cache of drawn images; its keys change with anything that changes a pixel."""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hrtk.files import cache_folder
from hrtk.reading.hashes import sha256

LABEL_SHAPES = {'rotmat': (24, 3, 3), 'betas': (10,), 'camera': (3,), 'keypoints2d': (24, 2)}


def cache_root() -> Path:
    """The folder of the stream's files: ``$HRTK_CACHE/open_stream``, by default in ``~/.cache/hrtk``."""
    return cache_folder('open_stream')


def cache_key(*settings: Any) -> str:
    """A file name for the output of the present generator with these settings."""
    content = json.dumps([generator_hash(), *settings])
    return hashlib.sha256(content.encode()).hexdigest()[:20]


@functools.cache
def generator_hash() -> str:
    """A hash of everything that determines the stream's output: its code, the body model and the motion clips."""
    folder = Path(__file__).parent
    datasets = folder.parent
    package = datasets.parent
    paths = [
        *sorted(folder.glob('*.py')),
        datasets / 'motion.py',
        package / 'silhouettes' / 'raster.py',
        package / 'body_models' / 'body.py',
        datasets / 'assets' / 'cmu_motion.npz',
        *sorted((package / 'body_models' / 'assets').glob('*.npz')),
    ]
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f'{path.name}{sha256(path)}'.encode())
    return digest.hexdigest()[:16]


class ViewCache:
    """Views on disk, filled in any order by any number of processes that draw the same views.

    Args:
        settings: everything that determines the views.
        length: number of views.
        resolution: side of a view, px.
    """

    def __init__(self, settings: list, length: int, resolution: int) -> None:
        folder = cache_root() / cache_key('views', length, *settings)
        folder.mkdir(parents=True, exist_ok=True)
        image_shape = (length, 3, resolution, resolution)
        self.images = _open_memmap(folder / 'image.bin', np.uint8, image_shape)
        self.labels = {
            name: _open_memmap(folder / f'{name}.bin', np.float32, (length, *shape))
            for name, shape in LABEL_SHAPES.items()
        }
        self.complete = _open_memmap(folder / 'done.bin', np.uint8, (length,))

    def __contains__(self, index: int) -> bool:
        """Whether view ``index`` is stored."""
        return bool(self.complete[index])

    def store(self, index: int, view: dict[str, torch.Tensor]) -> None:
        """Writes a view; its mark is set last, so a killed process leaves no half-written view that is marked."""
        self.images[index] = view['image'].numpy()
        for name, labels in self.labels.items():
            labels[index] = view[name].numpy()
        self.complete[index] = 1

    def load(self, index: int) -> dict[str, torch.Tensor]:
        """Reads view ``index``."""
        view = {'image': torch.from_numpy(self.images[index].copy())}
        for name, labels in self.labels.items():
            view[name] = torch.from_numpy(labels[index].copy())
        return view


def _open_memmap(path: Path, dtype: type, shape: tuple[int, ...]) -> np.memmap:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    with open(path, 'ab') as file:
        if file.tell() < size:
            file.truncate(size)  # a sparse file: only views that are stored take space
    return np.memmap(path, dtype=dtype, mode='r+', shape=shape)
