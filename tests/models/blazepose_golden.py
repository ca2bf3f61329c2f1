"""Outputs of Google's interpreter, made by tests/data/make_blazepose_golden.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

GOLDEN = dict(
    np.load(Path(__file__).parents[1] / 'data' / 'blazepose_golden.npz', allow_pickle=False)
)


def golden_images(name):
    """(2, 3, R, R) float32 in [0, 1]; pixels of the stored images are repeated twice along each axis."""
    images = GOLDEN[f'{name}/images'].repeat(2, axis=1).repeat(2, axis=2)
    return torch.from_numpy(images).permute(0, 3, 1, 2) / 255


def golden(key):
    """A stored output."""
    return torch.from_numpy(GOLDEN[key])
