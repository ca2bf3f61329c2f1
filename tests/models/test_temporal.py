"""TCMR and MPS-Net against numbers of the released classes, and against plain readings of what they compute."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from temporal_golden import (
    GOLDEN,
    NETWORKS,
    TOLERANCE,
    golden_features,
    official_network,
    official_weights,
)

from hrtk.apis import build_model, list_models
from hrtk.errors import InputError
from hrtk.models.checkpoints import load_weights
from hrtk.models.temporal import TCMR, MPSNet, ScoredSum
from hrtk.structures import Prediction

SMALL = dict(features=12, attention=4, regressor=dict(type='IterativeRegressor', hidden=8))


@pytest.fixture(scope='module')
def networks():
    return {name: official_network(name) for name in NETWORKS}


@pytest.fixture(scope='module')
def windows():
    windows = {name: golden_features(name, 3, 16) for name in NETWORKS}
    for name, value in windows.items():
        np.testing.assert_array_equal(value[value > 0][:4].numpy(), GOLDEN[f'{name}_input_first'])
    return windows


def worst(prediction, name):
    """The largest difference to the golden of that name."""
    found = dict(
        rotmat=prediction.rotmat,
        betas=prediction.betas,
        cam=prediction.camera,
        features=prediction.features[:, :64],
    )
    return {
        key: np.abs(value.numpy() - GOLDEN[f'{name}_{key}']).max() for key, value in found.items()
    }


@pytest.mark.parametrize('name', NETWORKS)
@torch.no_grad()
def test_golden(name, networks, windows):
    assert max(worst(networks[name](windows[name]), name).values()) < TOLERANCE


@torch.no_grad()
def test_golden_of_the_attention_maps_and_scores(networks, windows):
    moca = networks['mpsnet'].moca(windows['mpsnet'])
    assert np.abs(moca[..., :32].numpy() - GOLDEN['mpsnet_moca']).max() < TOLERANCE
    groups = moca[:, [4, 5, 6, 7, 8, 9, 10, 11, 12]].view(3, 3, 3, 2048)
    attention = networks['mpsnet'].attention
    merged = torch.stack([attention(groups[:, i]) for i in range(3)], 1)
    assert np.abs(attention.scores(merged).numpy() - GOLDEN['mpsnet_scores']).max() < TOLERANCE


@torch.no_grad()
def test_pairing(networks, windows):
    network, x = networks['mpsnet'], windows['mpsnet']
    single = Prediction.cat([network(x[i : i + 1]) for i in range(3)])
    assert max(worst(single, 'mpsnet_single').values()) < TOLERANCE
    assert (
        max(worst(single, 'mpsnet').values()) > 1e-3
    )  # the released code mixes the windows of a batch
    paired = MPSNet(map_pairing='paired').eval()
    paired.load_state_dict(network.state_dict())
    assert max(worst(paired(x), 'mpsnet_single').values()) < TOLERANCE


@pytest.mark.parametrize('batch', [1, 2, 3, 8])
@torch.no_grad()
def test_released_pairing_is_the_list_of_maps_read_two_by_two(batch):
    torch.manual_seed(0)
    network = MPSNet(**SMALL).double().eval()
    torch.nn.init.normal_(network.moca.conv_mask.weight)
    moca, x = network.moca, torch.randn(batch, 16, 12, dtype=torch.float64)

    def project(layer, window):
        return window @ layer.weight[:, :, 0].T

    similar = [(w @ w.T).softmax(1) for w in x]
    learnt = [(project(moca.conv_theta, w) @ project(moca.conv_phi, w).T).softmax(1) for w in x]
    maps, mixing = [*similar, *learnt], moca.conv_mask_forR.weight.flatten()
    for b, window in enumerate(x):
        gather = (mixing[0] * maps[2 * b] + mixing[1] * maps[2 * b + 1]).softmax(1)
        expected = window + project(moca.conv_mask, gather @ project(moca.conv_g, window))
        torch.testing.assert_close(moca(x)[b], expected, rtol=1e-12, atol=1e-12)


def test_attention_is_a_weighted_sum():
    torch.manual_seed(0)
    attention, three = ScoredSum(12, 4), torch.randn(5, 3, 12)
    scores = attention.scores(three)
    torch.testing.assert_close(scores.sum(1), torch.ones(5))
    torch.testing.assert_close(
        attention(three), sum(scores[:, i : i + 1] * three[:, i] for i in range(3))
    )


def test_tcmr_sees_past_and_future_apart():
    torch.manual_seed(0)
    network = TCMR(hidden=6, **SMALL).eval()
    x = torch.randn(1, 16, 12, requires_grad=True)
    for unit, frames in ((network.gru_bef, range(8)), (network.gru_aft, range(9, 16))):
        seen = []
        handle = unit.register_forward_hook(lambda module, given, out: seen.append(out[0][:, -1]))
        network(x)
        handle.remove()
        (gradient,) = torch.autograd.grad(seen[0].sum(), x)
        assert gradient[0].abs().sum(1).nonzero().flatten().tolist() == list(frames)


@pytest.mark.parametrize('name', NETWORKS)
def test_official_checkpoint_with_a_body_model_and_numpy_scalars(name, tmp_path, windows):
    weights = official_weights(name)
    smpl = {
        'regressor.smpl.v_template': torch.zeros(6890, 3),
        'regressor.smpl.faces_tensor': torch.zeros(13776, 3),
    }
    path = tmp_path / f'{name}_best.pth.tar'
    torch.save(
        {
            'epoch': 3,
            'performance': np.float32(84.3),
            'gen_state_dict': {**weights, **smpl},
            'disc_motion_state_dict': {},
        },
        path,
        _use_new_zipfile_serialization=False,
    )
    network = NETWORKS[name]()
    report = load_weights(network, path)
    assert set(report.dropped) == set(smpl) and set(report.loaded) == set(weights)
    with torch.no_grad():
        assert max(worst(network.eval()(windows[name]), name).values()) < TOLERANCE


def test_another_checkpoint_is_refused(tmp_path):
    torch.save({'gen_state_dict': MPSNet(**SMALL).state_dict()}, tmp_path / 'small.pt')
    with pytest.raises(InputError, match='small.pt: not a checkpoint of MPSNet'):
        MPSNet(weights=str(tmp_path / 'small.pt'))
    with pytest.raises(InputError, match='small.pt: not a checkpoint of TCMR'):
        TCMR(hidden=6, **SMALL, weights=str(tmp_path / 'small.pt'))


@pytest.mark.parametrize('name', NETWORKS)
def test_by_name(name):
    assert name in list_models()
    with torch.no_grad():
        prediction = build_model(name)(torch.rand(2, 16, 2048))
    assert (prediction.rotmat.shape, prediction.betas.shape, prediction.camera.shape) == (
        (2, 24, 3, 3),
        (2, 10),
        (2, 3),
    )


def test_wrong_input():
    with pytest.raises(InputError, match=r'\(B, 16, 12\) features, not \(2, 15, 12\)'):
        MPSNet(**SMALL)(torch.zeros(2, 15, 12))
    with pytest.raises(InputError, match='map_pairing'):
        MPSNet(map_pairing='pairs')


def test_a_fresh_motion_attention_changes_nothing():
    network = MPSNet(**SMALL)
    x = torch.randn(2, 16, 12)
    assert torch.equal(network.moca(x), x)
