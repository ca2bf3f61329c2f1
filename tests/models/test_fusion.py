"""Features of a foreground map beside those of an image: formulas, starts, who learns, and the estimator around it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hrtk.adapters import Bilevel
from hrtk.datasets import OpenStream
from hrtk.errors import InputError
from hrtk.models.estimators import HMR, ForegroundHMR, VideoHMR
from hrtk.models.segmentation import GateFusion, MulFusion
from hrtk.registry import ESTIMATORS

SEGMENTER = dict(
    type='HRNetOCR', width=8, stem=16, first=1, blocks=1, modules=(1, 1, 1), channels=16, keys=8
)
PLAIN = dict(
    backbone=dict(type='ResNet', depth=18, width=8),
    resolution=64,
    head=dict(type='IterativeRegressor', hidden=16, dropout=0.0),
)
REDUCER = dict(type='ResNet', depth=18, width=4)


def fused(tmp_path=None, **options):
    torch.manual_seed(1)
    return ForegroundHMR(**{**PLAIN, 'segmenter': SEGMENTER, 'reducer': REDUCER, **options})


@pytest.fixture
def start(tmp_path):
    torch.manual_seed(0)
    plain = HMR(**PLAIN).eval()
    torch.save(plain.state_dict(), tmp_path / 'start.pt')
    return plain, str(tmp_path / 'start.pt')


@pytest.fixture
def crops():
    return torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(5))


def test_formulas():
    generator = np.random.default_rng(0)
    features, foreground, matrix = (
        generator.normal(size=shape) for shape in ((4, 6), (4, 3), (6, 3))
    )
    mul, gate = MulFusion(6, 3).double(), GateFusion(6, 3).double()
    for module in (mul, gate):
        module.project.weight.data = torch.from_numpy(matrix)
    inputs = torch.from_numpy(features), torch.from_numpy(foreground)
    np.testing.assert_allclose(
        mul(*inputs).detach(), features * (foreground @ matrix.T), atol=1e-12
    )
    np.testing.assert_allclose(
        gate(*inputs).detach(), features * (1 + np.tanh(foreground @ matrix.T)), atol=1e-12
    )
    same = MulFusion(3, 3)
    assert not list(same.parameters()) and torch.equal(same(inputs[1], inputs[1]), inputs[1] ** 2)


def test_gate_starts_as_the_unfused_network_bit_for_bit(start, crops):
    plain, path = start
    network = fused(fusion='gate', start=path).eval()
    with torch.no_grad():
        found, wanted = network(crops), plain(crops)
    for name in ('rotmat', 'betas', 'camera', 'features'):
        assert torch.equal(getattr(found, name), getattr(wanted, name))
    with torch.no_grad():
        assert not torch.equal(
            fused(fusion='mul', start=path).eval()(crops).features, wanted.features
        )


def test_features_are_the_product_of_what_the_parts_give(start, crops):
    plain, path = start
    network = fused(fusion='mul', start=path, threshold=0.5).eval()
    with torch.no_grad():
        logits = network.segmenter(crops).main
        share = torch.nn.functional.interpolate(logits, (64, 64), mode='bilinear').softmax(1)[:, 1:]
        share[share < 0.5] = 0
        assert 0 < (share > 0).float().mean() < 1
        vector = network.reducer(share.repeat(1, 3, 1, 1)) @ network.fusion.project.weight.T
        torch.testing.assert_close(
            network(crops).features, plain(crops).features * vector, rtol=1e-4, atol=1e-5
        )


def test_fingerprint_tells_settings_apart():
    options = (dict(fusion='mul'), dict(fusion='gate'), dict(threshold=0.3), dict(size=96))
    weights = fused().state_dict()
    networks = [fused(**option) for option in options]
    for network in networks:
        network.load_state_dict(weights)
    assert len({str(network.fingerprint()) for network in networks}) == len(options)


def test_segmenter_may_see_larger_pictures(crops):
    network = fused(size=96).eval()
    seen = []
    network.segmenter.register_forward_hook(
        lambda module, inputs, output: seen.append(inputs[0].shape)
    )
    with torch.no_grad():
        assert network.foreground(crops).shape == (3, 1, 64, 64)
    assert seen == [(3, 3, 96, 96)]


@pytest.mark.parametrize('frozen', [('backbone',), ('backbone', 'head'), ()])
def test_who_learns(crops, frozen):
    network = fused(fusion='gate', frozen=frozen).train()
    torch.nn.init.normal_(
        network.fusion.project.weight, std=0.1
    )  # at zero, nothing before it would learn yet
    before = {name: value.clone() for name, value in network.named_buffers()}
    network(crops).rotmat.square().mul(torch.rand(3, 24, 3, 3)).sum().backward()
    learn = {
        name.split('.')[0]
        for name, value in network.named_parameters()
        if value.grad is not None and value.grad.abs().sum() > 0
    }
    assert learn == {'backbone', 'head', 'reducer', 'fusion'} - set(frozen)
    moved = {
        name.split('.')[0]
        for name, value in network.named_buffers()
        if not torch.equal(value, before[name])
    }
    assert moved == {'backbone', 'reducer'} - set(frozen)  # statistics of norms


def test_weights_may_lack_what_is_frozen(tmp_path, start, crops):
    _, path = start
    trained = fused(start=path)
    torch.save(
        {f'estimator.{key}': value for key, value in trained.state_dict().items()},
        tmp_path / 'all.pt',
    )
    part = {
        key: value
        for key, value in trained.state_dict().items()
        if not key.startswith(('segmenter', 'backbone'))
    }
    torch.save({'state_dict': part}, tmp_path / 'part.pt')
    torch.save(
        {key: value for key, value in part.items() if not key.startswith('fusion')},
        tmp_path / 'broken.pt',
    )
    torch.save(trained.segmenter.state_dict(), tmp_path / 'segmenter.pt')
    segmenter = dict(SEGMENTER, weights=str(tmp_path / 'segmenter.pt'))
    torch.manual_seed(9)
    again = ForegroundHMR(
        **PLAIN, segmenter=segmenter, reducer=REDUCER, start=path, weights=str(tmp_path / 'part.pt')
    )
    whole = ForegroundHMR(
        **PLAIN, segmenter=SEGMENTER, reducer=REDUCER, weights=str(tmp_path / 'all.pt')
    )
    with torch.no_grad():
        wanted = trained.eval()(crops).rotmat
        assert torch.equal(again.eval()(crops).rotmat, wanted) and torch.equal(
            whole.eval()(crops).rotmat, wanted
        )
    with pytest.raises(InputError, match='broken.pt.*missing.*fusion'):
        fused(start=path, weights=str(tmp_path / 'broken.pt'))


def test_image_network_of_a_video(start, crops):
    plain, path = start
    image = dict(
        type='ForegroundHMR',
        **PLAIN,
        segmenter=SEGMENTER,
        reducer=REDUCER,
        fusion='gate',
        start=path,
    )
    network = dict(type='VIBE', features=64, hidden=16, layers=1)
    video = VideoHMR(image=image, network=network).eval()
    with torch.no_grad():
        found = video(crops[None])
        wanted = video.network(plain(crops).features[None])
    assert torch.equal(found.rotmat, wanted.rotmat.flatten(0, 1)) and len(found) == 3


@pytest.mark.parametrize('parameters', ['head', 'all'])
def test_adapts(start, parameters):
    _, path = start
    network = fused(fusion='gate', start=path).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    sequence = OpenStream(sequences=1, frames=2, size=64)[0]
    adapter = Bilevel(
        lr=1e-3, order='first', interval=1, normalise='visible', parameters=parameters
    )
    assert len(list(adapter.start(network).run(sequence))) == 2
    moved = {
        name.split('.')[0]
        for name, value in network.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert 'head' in moved and 'segmenter' not in moved


@pytest.mark.parametrize(
    'options, part',
    [
        ({'fusion': 'add'}, 'mul'),
        ({'frozen': ('backbon',)}, 'backbone'),
        ({'threshold': 1.5}, 'probability'),
        ({'start': 'open:r18_studio'}, 'r18_studio'),
        ({'segmenter': dict(SEGMENTER, type='HRNet')}, 'HRNetOCR'),
    ],
)
def test_bad_settings(options, part):
    with pytest.raises(InputError, match=part):
        ESTIMATORS.build(
            dict(
                type='ForegroundHMR',
                **{**PLAIN, 'segmenter': SEGMENTER, 'reducer': REDUCER, **options},
            )
        )
