"""Our imresize against Pillow and against the lines that SciPy 1.2 had before it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from hrtk.geometry.imresize import imresize

image = pytest.importorskip('PIL.Image', reason='Pillow is the reference')


def random_image(size, smooth, seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 2) if smooth else noise


def scipys(array, size):
    """SciPy 1.2: ``toimage`` makes 8 bits of everything else, then Pillow resizes."""
    if array.dtype != np.uint8:
        spread = array.max() - array.min()
        array = ((array - array.min()) * (255.0 / (spread if spread else 1))).clip(0, 255) + 0.5
    pixels = image.fromarray(array.astype(np.uint8))
    return np.asarray(pixels.resize((size, size), image.Resampling.BICUBIC))


def ours(array, size, **options):
    tensor = torch.as_tensor(array.copy()).permute(2, 0, 1)[None].float()
    return imresize(tensor, size, **options)[0].permute(1, 2, 0).numpy().astype(np.float64)


def compare(resized, expected):
    difference = np.abs(resized - expected)
    assert difference.max() <= 1 and (difference > 0).mean() < 1e-3


@pytest.mark.parametrize('smooth', [True, False])
@pytest.mark.parametrize(
    'input_size, size',
    [(224, 24), (224, 52), (224, 96), (224, 223), (32, 224), (100, 224), (60, 60)],
)
def test_resizes_as_pillow(input_size, size, smooth):
    pixels = random_image(input_size, smooth)
    compare(ours(pixels, size), scipys(pixels, size))


@pytest.mark.parametrize('size', [24, 32, 52, 96])
def test_stretch_of_a_dim_picture(size):
    dim = random_image(224, True).astype(np.float32) / 3 + 20.3
    compare(ours(dim, size, stretch=True), scipys(dim, size))
    assert np.abs(ours(dim, size, stretch=True) - ours(dim, size)).mean() > 10


def test_stretch_is_of_each_picture():
    images = torch.stack([torch.linspace(10, 20, 192).view(3, 8, 8), torch.full((3, 8, 8), 77.0)])
    resized = imresize(images, 8, stretch=True)
    assert (resized[0].min(), resized[0].max()) == (0, 255) and (resized[1] == 0).all()
    assert (scipys(np.full((8, 8, 3), 77.0), 8) == 0).all()
