"""Corruptions against statistics, scipy and Pillow."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage, stats

from hrtk.errors import InputError
from hrtk.registry import CORRUPTIONS

ALL = [
    dict(type='GaussianNoise'),
    dict(type='PatchOcclusion', patches=2),
    dict(type='Blur'),
    dict(type='LowResolution'),
]


def pictures(count=3, size=40):
    return 255 * torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def corrupt(images, seed=0, **cfg):
    torch.manual_seed(seed)
    return CORRUPTIONS.build(cfg)(images)


@pytest.mark.parametrize('cfg', ALL, ids=lambda cfg: cfg['type'])
def test_what_all_have_in_common(cfg):
    images = pictures()
    kept = images.clone()
    found = corrupt(images, **cfg)
    assert torch.equal(images, kept) and found.shape == images.shape and found.dtype == images.dtype
    assert 0 <= found.min() and found.max() <= 255
    assert torch.equal(found, corrupt(images, **cfg)) and not torch.equal(
        found, corrupt(images, seed=1, **cfg)
    )
    torch.manual_seed(0)
    corruption = CORRUPTIONS.build(cfg)
    assert not torch.equal(corruption(images), corruption(images))
    same = corrupt(images[:1].expand(4, -1, -1, -1), **cfg)
    assert all(not torch.equal(same[i], same[j]) for i in range(4) for j in range(i))
    assert corrupt(images.double(), **cfg).sub(found).abs().max() < 1e-3


@pytest.mark.parametrize('cfg', ALL, ids=lambda cfg: cfg['type'])
def test_one_seed_on_the_gpu(cfg):
    if not torch.cuda.is_available():
        pytest.skip('torch sees no GPU')
    images = pictures()
    found = corrupt(images.cuda(), **cfg)
    expected = corrupt(images, **cfg)
    if cfg['type'] == 'GaussianNoise':  # drawn on the device of the images
        expected = corrupt(images.cuda(), **cfg).cpu()
        assert not torch.equal(expected, corrupt(images.cuda(), seed=1, **cfg).cpu())
    assert found.is_cuda and found.cpu().sub(expected).abs().max() < 1e-3


@pytest.mark.parametrize('sigma', [35.0, 50.0, 65.0])
def test_noise_is_normal_and_independent(sigma):
    images = torch.full((4, 3, 128, 128), 127.5)
    noise = (corrupt(images, type='GaussianNoise', sigma=sigma) - images).double().numpy()
    free = np.abs(noise) < 127.5
    assert abs(free.mean() - (1 - 2 * stats.norm.sf(127.5 / sigma))) < 2e-3
    inner = stats.truncnorm(-127.5 / sigma, 127.5 / sigma, scale=sigma)
    assert stats.kstest(noise[free], inner.cdf).pvalue > 1e-3
    bound = 5 / np.sqrt(noise[0, 0].size)
    for other in (noise[1, 0], noise[0, 1], np.roll(noise[0, 0], 1, 0), np.roll(noise[0, 0], 1, 1)):
        assert abs(np.corrcoef(noise[0, 0].ravel(), other.ravel())[0, 1]) < bound


def test_noise_is_cut_at_black_and_white():
    dark = corrupt(torch.zeros(1, 3, 64, 64), type='GaussianNoise', sigma=35.0)
    assert abs((dark == 0).double().mean() - 0.5) < 0.02
    assert (
        abs(dark.double().mean() - 35 / np.sqrt(2 * np.pi)) < 0.5
    )  # of a normal variable's positive half
    images = pictures()
    assert torch.equal(corrupt(images, type='GaussianNoise', sigma=0.0), images)


def test_a_patch_is_one_rectangle_of_one_colour():
    images = pictures(200, 40)
    found = corrupt(images, type='PatchOcclusion', size=(0.2, 0.5))
    sides, starts, colours = [], [], []
    for before, after in zip(images, found):
        changed = (before != after).any(0)
        rows, columns = (torch.nonzero(changed.any(axis)).flatten() for axis in (1, 0))
        patch = after[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert changed.sum() == len(rows) * len(columns) == patch[0].numel()
        assert (patch == patch[:, :1, :1]).all()
        sides += [len(rows), len(columns)]
        starts += [(rows[0] / (40 - len(rows))).item(), (columns[0] / (40 - len(columns))).item()]
        colours += patch[:, 0, 0].tolist()
    assert (min(sides), max(sides)) == (8, 20) and len(set(sides)) == 13
    assert (min(starts), max(starts)) == (0, 1) and stats.kstest(starts, 'uniform').pvalue > 1e-3
    assert stats.kstest(np.array(colours) / 255, 'uniform').pvalue > 1e-3


def test_patches_add_up_and_may_cover_everything():
    images = pictures(50)
    one, four = (
        (corrupt(images, type='PatchOcclusion', patches=n) != images).double().mean()
        for n in (1, 4)
    )
    assert 2 < four / one < 4
    assert corrupt(images, type='PatchOcclusion', size=(1, 1)).flatten(2).std(2).max() < 1e-3


@pytest.mark.parametrize('sigma', [0.7, 2.5])
def test_blur_is_scipys(sigma):
    images = pictures(2, 30)
    found = corrupt(images, type='Blur', sigma=(sigma, sigma)).numpy()
    expected = ndimage.gaussian_filter(
        images.double().numpy(), (0, 0, sigma, sigma), mode='nearest'
    )
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_blur_draws_its_width():
    point = torch.zeros(300, 3, 41, 41)
    point[:, :, 20, 20] = 255
    profile = corrupt(point, type='Blur', sigma=(1, 4)).double().sum(2) / 255
    place = torch.arange(41) - 20
    sigmas = (profile * place**2).sum(2).sqrt()
    assert (sigmas[:, 0] - sigmas[:, 2]).abs().max() < 1e-4  # a picture's channels share one width
    assert 0.95 < sigmas.min() < 1.1 and 3.8 < sigmas.max() < 4.1
    assert stats.kstest((sigmas[:, 0].numpy() - 1) / 3, 'uniform').pvalue > 1e-3


@pytest.mark.parametrize('factor, size', [(2, 20), (3.2, 12), (6, 7), (1, 40)])
def test_low_resolution_is_pillows(factor, size):
    image = pytest.importorskip('PIL.Image', reason='Pillow is the reference')
    images = pictures(2, 40)
    found = corrupt(images, type='LowResolution', factor=(factor, factor))
    for ours, channel in zip(found.flatten(0, 1), images.flatten(0, 1)):
        small = image.fromarray(channel.numpy()).resize((size, size), image.Resampling.BICUBIC)
        back = np.asarray(small.resize((40, 40), image.Resampling.BICUBIC)).clip(0, 255)
        np.testing.assert_allclose(ours.numpy(), back, atol=1e-2)


@pytest.mark.parametrize(
    'cfg',
    [
        dict(type='GaussianNoise', sigma=-1),
        dict(type='PatchOcclusion', size=(0.5, 0.2)),
        dict(type='PatchOcclusion', size=(0.5, 1.2)),
        dict(type='PatchOcclusion', patches=0),
        dict(type='Blur', sigma=(0, 1)),
        dict(type='LowResolution', factor=(0.5, 2)),
    ],
)
def test_settings_out_of_range(cfg):
    with pytest.raises(InputError, match=cfg['type']):
        CORRUPTIONS.build(cfg)
