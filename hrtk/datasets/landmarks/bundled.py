"""BundledLandmarks: labelled observations that come with hrtk, source data of the adaptation of LandmarkHMR."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from hrtk.datasets.arrays import read_npz
from hrtk.datasets.landmarks.views import LABELS
from hrtk.geometry.rotation import rot6d_to_rotmat, rotmat_to_rot6d
from hrtk.reading.hashes import sha256
from hrtk.registry import DATASETS

FILE = Path(__file__).parents[1] / 'assets' / 'landmark_views.npz'


@DATASETS.register_module()
class BundledLandmarks(Dataset):
    """The first 512 items of a :class:`~hrtk.datasets.landmarks.views.LandmarkViews`, in half precision.

    They save the quarter of an hour in which the videos of that set are drawn and looked at.

    Raises:
        InputError: the file is missing or broken.
    """

    def __init__(self) -> None:
        self.arrays = unpacked(FILE)

    def __len__(self) -> int:
        return len(self.arrays['image'])

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return {name: values[index] for name, values in self.arrays.items()}

    def fingerprint(self) -> dict[str, str]:
        """The hash of the file."""
        return {'landmark_views': sha256(FILE)}


def packed(items: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The arrays of the file for items of a :class:`~hrtk.datasets.landmarks.views.LandmarkViews`."""
    arrays = {name: torch.stack([item[name] for item in items]) for name in LABELS}
    arrays['rotmat'] = rotmat_to_rot6d(arrays['rotmat'])
    return {name: values.half() for name, values in arrays.items()}


def unpacked(path: Path) -> dict[str, Tensor]:
    """Float32 tensors of all items of a file."""
    content = read_npz(path, LABELS, LABELS, 'install hrtk again')
    arrays = {name: torch.from_numpy(values).float() for name, values in content.items()}
    arrays['rotmat'] = rot6d_to_rotmat(arrays['rotmat'])
    return arrays
