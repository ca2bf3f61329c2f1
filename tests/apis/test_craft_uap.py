"""Perturbations without data: against the closed form of one layer, and against noise on a real network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hrtk.apis.craft_uap import craft, load_estimator, save_perturbation
from hrtk.datasets import OpenStream
from hrtk.datasets.transforms import AddPerturbation, CropTo
from hrtk.errors import InputError
from hrtk.geometry.boxes import IMAGE_MEAN, IMAGE_STD
from hrtk.models.estimators import Estimator
from hrtk.models.estimators.base import hash_tensors
from hrtk.structures import Prediction

ROOT = Path(__file__).parents[2]
WEIGHTS = [0.3, -0.5, 0.8]


class OneLayer(Estimator):
    """Mixes the channels of 8 x 8 px."""

    def __init__(self):
        super().__init__(8)
        self.layer = nn.Conv2d(3, 1, 1, bias=False)
        self.layer.weight.data = torch.tensor(WEIGHTS).view(1, 3, 1, 1)

    def forward(self, images):
        self.layer(images)
        return Prediction(torch.zeros(1, 24, 3, 3), torch.zeros(1, 10), torch.zeros(1, 3))


def test_one_layer_has_a_closed_form():
    eps = 8.0
    found = craft(OneLayer(), eps, steps=400)
    weights, mean, std = (np.array(v) for v in (WEIGHTS, IMAGE_MEAN, IMAGE_STD))
    grey = weights @ ((0.5 - mean) / std)
    assert abs(grey) > 0.05  # else both signs of the pattern would be as good
    # Every pixel is pushed further the way the grey picture lies, each channel to its bound.
    most = abs(grey) + np.abs(weights / std).sum() * eps / 255
    assert (
        found.objective == pytest.approx(np.log(8 * most), abs=1e-4)
        and found.objective > found.start
    )
    np.testing.assert_allclose(
        found.pattern, np.broadcast_to(eps * np.sign(weights * grey), (8, 8, 3)), atol=1e-4
    )
    assert found.saturation == 1 and found.rescalings == 5 and found.steps < 400


def test_bounds_seeds_and_weights():
    estimator = load_estimator('hmr_r18', 'open:r18_studio')
    before = hash_tensors(estimator.state_dict())
    one, two, other = (craft(estimator, 4.0, steps=4, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.pattern, two.pattern)
    assert not np.array_equal(one.pattern, other.pattern)
    assert (
        one.pattern.shape == (112, 112, 3)
        and one.pattern.dtype == np.float32
        and np.abs(one.pattern).max() <= 4
    )
    assert one.steps == 4 and one.objective > one.start
    assert hash_tensors(estimator.state_dict()) == before and not estimator.training


def test_it_harms_more_than_noise_and_more_with_eps(tmp_path, monkeypatch):
    monkeypatch.setenv('HRTK_CACHE', str(tmp_path))
    estimator = load_estimator('hmr_r18', 'open:r18_studio')
    stream = OpenStream('studio', sequences=2, frames=3, size=112, fps=2, noise='clean')
    crops = [CropTo(112)(stream[i]) for i in range(2)]

    def mpjpe(pattern):
        errors = []
        for sequence in crops:
            if pattern is not None:
                np.savez(tmp_path / 'p.npz', perturbation=pattern)
                sequence = AddPerturbation(tmp_path / 'p.npz')(sequence)
            with torch.no_grad():
                found, truth = estimator(estimator.crops(sequence, range(3))), sequence.truth
                ours, true = (
                    estimator.body.joints(x.rotmat, x.betas, 'coco17') for x in (found, truth)
                )
            ours, true = (x - x[:, 11:13].mean(1, keepdim=True) for x in (ours, true))
            errors.append(1000 * (ours - true).norm(dim=-1).mean().item())
        return np.mean(errors)

    clean, harmed = (
        mpjpe(None),
        {eps: mpjpe(craft(estimator, eps, steps=250).pattern) for eps in (8.0, 16.0)},
    )
    for eps, error in harmed.items():
        noise = [
            mpjpe(eps * np.random.default_rng(k).choice([-1.0, 1.0], (112, 112, 3)))
            for k in range(3)
        ]
        assert error > max(noise) + 5 and max(noise) < clean + 5
    assert harmed[16.0] > harmed[8.0] + 15


def test_the_command(call_tool, tmp_path):
    file = tmp_path / 'new/uap.npz'
    config = ROOT / 'configs/source/r18_wild.py'
    done = call_tool('craft_uap', config, file, '--eps', '16', '--steps', '3')
    assert done.returncode == 0 and '112 px, eps 16, 3 steps' in done.stdout, done.stderr
    with np.load(file, allow_pickle=False) as data:
        assert (
            data['perturbation'].shape == (112, 112, 3) and data['perturbation'].dtype == np.float32
        )
        assert (data['eps'], data['resolution'], data['steps']) == (16, 112, 3)
        assert (
            data['weights'] == load_estimator('hmr_r18', 'open:r18_studio').fingerprint()['weights']
        )
        assert 'torch' in json.loads(data['versions'].item())
    assert np.abs(AddPerturbation(file).pattern).max() <= 16
    wrong = call_tool('craft_uap', 'configs/nothing.py', file)
    assert wrong.returncode == 2 and 'there is no config configs/nothing.py' in wrong.stderr


def test_what_cannot_be_attacked(tmp_path):
    for eps, steps in ((0.0, 5), (-1.0, 5), (300.0, 5), (8.0, 0)):
        with pytest.raises(InputError, match='eps is in grey levels'):
            craft(OneLayer(), eps, steps)
    with pytest.raises(InputError, match='give weights'):
        load_estimator('hmr_r18')
    with pytest.raises(InputError, match='names no estimator'):
        load_estimator(
            str(ROOT / 'configs/hmr/r18_studio.py').replace(
                'hmr/r18_studio', '_base_/datasets/open_wild'
            )
        )
    flat = OneLayer()
    flat.layer = nn.Linear(3, 3)
    with pytest.raises(InputError, match='no convolution'):
        craft(flat, 8.0)
    found = craft(OneLayer(), 2.0, steps=2)
    save_perturbation(tmp_path / 'p.npz', found, 2.0, OneLayer())
    np.testing.assert_array_equal(AddPerturbation(tmp_path / 'p.npz').pattern, found.pattern)
