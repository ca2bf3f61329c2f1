"""The estimator; run with the plugin installed."""

from pathlib import Path

import pytest
import torch

from hrtk.apis import load_config
from hrtk.errors import InputError
from hrtk.registry import ESTIMATORS
from hrtk.testing import check_estimator

SMALL = dict(type='PlainViT', resolution=32)
CONFIG = Path(__file__).parents[1] / 'configs/plain_vit_wild.py'
BASE = Path(__file__).parents[3] / 'configs/boa/r18_wild.py'


def test_keeps_hrtks_contracts():
    check_estimator(SMALL)


def test_starts_near_the_rest_pose_before_the_camera():
    torch.manual_seed(0)
    prediction = ESTIMATORS.build(SMALL).eval()(torch.randn(2, 3, 32, 32))
    wanted = torch.eye(3).repeat(2, 24, 1, 1)
    wanted[:, 0] = torch.diag(torch.tensor([1.0, -1, -1]))  # half a turn about x
    torch.testing.assert_close(prediction.rotmat, wanted, atol=0.05, rtol=0)
    torch.testing.assert_close(prediction.betas, torch.zeros(2, 10), atol=0.05, rtol=0)


def test_every_patch_and_its_place_count():
    torch.manual_seed(0)
    network = ESTIMATORS.build({**SMALL, 'body': None}).double().eval()
    images = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    whole = network(images).rotmat
    for y, x in ((0, 0), (0, 16), (16, 0), (16, 16)):
        hidden = images.clone()
        hidden[:, :, y : y + 16, x : x + 16] = 0
        assert (network(hidden).rotmat - whole).abs().max() > 1e-9
    assert (network(images.flip(-1)).rotmat - whole).abs().max() > 1e-9
    exchanged = images.roll(16, -1)  # the same patches at other places
    assert (network(exchanged).rotmat - whole).abs().max() > 1e-9


def test_weights_of_another_size_are_refused(tmp_path):
    path = tmp_path / 'larger.pt'
    torch.save(ESTIMATORS.build({**SMALL, 'resolution': 64, 'body': None}).state_dict(), path)
    with pytest.raises(InputError, match='another shape'):
        ESTIMATORS.build({**SMALL, 'weights': str(path)})


def test_a_resolution_that_patches_do_not_fill():
    with pytest.raises(InputError, match='no multiple of 16'):
        ESTIMATORS.build({**SMALL, 'resolution': 40})


def test_config_changes_the_estimator_and_nothing_else():
    ours = load_config(CONFIG).to_dict()
    base = load_config(BASE).to_dict()
    assert ours.pop('estimator') == dict(type='PlainViT', resolution=112)
    assert base.pop('estimator')['type'] == 'HMR'
    assert ours == base
