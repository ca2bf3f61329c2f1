"""RSC-Net against numbers of its own classes, run once under the rule of golden_rule.py.

``tests/data/rsc_net_golden.npz`` holds the outputs of all five buckets (every eighth feature).
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_rule import golden_weights, normal

from hrtk.apis import build_model, load_config
from hrtk.errors import InputError
from hrtk.geometry.boxes import denormalise
from hrtk.models.backbones import ResNet, RSCResNet
from hrtk.models.backbones.rsc_resnet import resolution_bucket
from hrtk.models.checkpoints import load_official
from hrtk.models.estimators import HMR, RSCNet
from hrtk.registry import ESTIMATORS

CONFIGS = Path(__file__).parents[2] / 'configs/_base_/estimators'
GOLDEN = dict(
    np.load(Path(__file__).parents[1] / 'data' / 'rsc_net_golden.npz', allow_pickle=False)
)
TOLERANCE = 1e-5  # the reference's float32 and float64 runs differ by up to 2.2e-6
TINY = dict(backbone=dict(type='RSCResNet', depth=18, width=4), body=None)
BUCKETS = range(5)


@pytest.fixture(scope='module')
def weights():
    return golden_weights(GOLDEN)


@pytest.fixture(scope='module')
def network(weights):
    network = build_model('rsc_net')
    report = load_official(network, weights)
    assert (
        report.missing_keys == report.unexpected_keys == report.dropped == ()
        and len(report.loaded) == 355
    )
    return network


@pytest.fixture(scope='module')
def images():
    images = normal('input:image', (2, 3, 224, 224))
    np.testing.assert_array_equal(images.flatten()[:4].numpy(), GOLDEN['image_first'])
    return images


@pytest.fixture(scope='module')
def predictions(network, images):
    with torch.no_grad():
        return [network(images, bucket) for bucket in BUCKETS]


def worst(found, name, bucket):
    return np.abs(found.numpy() - GOLDEN[name][bucket]).max()


@pytest.mark.parametrize('bucket', BUCKETS)
def test_prediction(network, predictions, bucket):
    prediction = predictions[bucket]
    assert prediction.rotmat.shape == (2, 24, 3, 3)
    for found, name in (
        (prediction.rotmat, 'pred_rotmat'),
        (prediction.betas, 'pred_betas'),
        (prediction.camera, 'pred_cam'),
        (prediction.features[:, ::8], 'features'),
    ):
        assert worst(found, name, bucket) < TOLERANCE
    with torch.no_grad():
        assert (
            worst(network.projection(prediction.features), 'contrastive_feat', bucket) < TOLERANCE
        )


def test_the_goldens_tell_buckets_apart(predictions):
    for bucket in BUCKETS:
        for other in set(BUCKETS) - {bucket}:
            assert worst(predictions[other].rotmat, 'pred_rotmat', bucket) > 1e-3


def test_the_goldens_notice_a_regressor_without_relu(network, predictions):
    network.head.activation = None
    try:
        with torch.no_grad():
            wrong = network.decode(network.head(predictions[0].features))
    finally:
        network.head.activation = 'relu'
    assert worst(wrong.rotmat, 'pred_rotmat', 0) > 0.1


@pytest.mark.parametrize('wrapper', [None, 'model', 'state_dict'])
def test_a_file_loads_bare_or_wrapped(wrapper, weights, tmp_path):
    torch.save(
        weights if wrapper is None else {wrapper: weights, 'epoch': 3}, tmp_path / 'RSC-Net.pt'
    )
    network = RSCNet(body=None, weights=str(tmp_path / 'RSC-Net.pt'))
    assert torch.equal(network.projection[2].bias, weights['layer4_mlp.2.bias'])
    assert torch.equal(network.backbone.layer3.alphas[2], weights['layer3.alphas.2'])


def test_other_networks_files_are_refused(weights, tmp_path):
    torch.save(
        {key: value for key, value in weights.items() if 'alphas.3' not in key},
        tmp_path / 'part.pt',
    )
    with pytest.raises(InputError, match='part.pt.*4 missing .*layer1.alphas.3'):
        RSCNet(body=None, weights=str(tmp_path / 'part.pt'))
    torch.save(HMR(body=None).state_dict(), tmp_path / 'spin.pt')
    with pytest.raises(InputError, match='spin.pt: not a checkpoint of RSCNet'):
        RSCNet(body=None, weights=str(tmp_path / 'spin.pt'))


def test_own_checkpoints_load_again():
    torch.manual_seed(0)
    first, second, file = RSCNet(**TINY), RSCNet(**TINY), io.BytesIO()
    torch.save(first.state_dict(), file)
    report = load_official(second, torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    assert report.missing_keys == report.unexpected_keys == ()
    assert first.fingerprint() == second.fingerprint() != RSCNet(size=64, **TINY).fingerprint()


def test_unit_gains_make_a_plain_resnet():
    torch.manual_seed(0)
    ours, plain = RSCResNet(18, width=4).double(), ResNet(18, width=4).double()
    plain.load_state_dict(
        {
            key.replace('.hmr_layer.', '.'): value
            for key, value in ours.state_dict().items()
            if 'alphas' not in key
        }
    )
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    torch.testing.assert_close(ours(images, 3), plain(images))
    with torch.no_grad():
        for stage in (
            'layer1',
            'layer2',
            'layer3',
            'layer4',
        ):  # without branches the shortcuts alone are left
            ours.get_submodule(stage).alphas[3].zero_()
    x = plain.maxpool(plain.relu(plain.bn1(plain.conv1(images))))
    for stage in (plain.layer2, plain.layer3, plain.layer4):
        x = stage[0].downsample(x).relu()
    torch.testing.assert_close(ours(images, 3), x.mean((2, 3)))
    torch.testing.assert_close(ours(images, 2), plain(images))


@pytest.mark.parametrize(
    'size, bucket',
    [
        (512, 0),
        (224, 0),
        (223, 1),
        (128, 1),
        (127, 2),
        (64, 2),
        (63, 3),
        (40, 3),
        (39, 4),
        (24, 4),
        (1, 4),
    ],
)
def test_buckets(size, bucket):
    assert resolution_bucket(size) == bucket
    if size <= 224:
        assert RSCNet(size, **TINY).bucket == bucket


@pytest.mark.parametrize('size', [0, 225])
def test_sizes_out_of_range(size):
    with pytest.raises(InputError, match=f'size is from 1 to 224 px, not {size}'):
        RSCNet(size, **TINY)


class Clip:
    frames = np.random.default_rng(0).integers(30, 170, (2, 224, 300, 3), dtype=np.uint8)
    boxes = torch.tensor([[111.5, 111.5, 224.0], [187.5, 111.5, 224.0]])


def test_low_resolution_crops():
    image = pytest.importorskip('PIL.Image', reason='Pillow is the reference')
    crops = denormalise(RSCNet(52, **TINY).crops(Clip, [1, 0])).permute(0, 2, 3, 1).double().numpy()
    for found, t, left in zip(crops, (1, 0), (76, 0)):
        cut = Clip.frames[t, :, left : left + 224].astype(np.float32)
        stretched = ((cut - cut.min()) * (255 / (cut.max() - cut.min())) + 0.5).astype(np.uint8)
        small = image.fromarray(stretched).resize((52, 52), image.Resampling.BICUBIC)
        expected = np.asarray(small.resize((224, 224), image.Resampling.BICUBIC))
        difference = np.abs(found - expected)
        assert difference.max() < 2.01 and difference.mean() < 0.01


def test_full_size_crops_are_those_of_spin():
    small = dict(type='ResNet', depth=18, width=4)
    assert torch.equal(
        RSCNet(**TINY).crops(Clip, [0, 1]), HMR(small, body=None).crops(Clip, [0, 1])
    )


@pytest.mark.parametrize('size', [224, 32])
def test_the_cut_and_the_bucket_of_the_size(size):
    torch.manual_seed(0)
    network = RSCNet(size, **TINY).eval()
    with torch.no_grad():
        for stage in ('layer1', 'layer4'):
            for bucket, gains in enumerate(network.backbone.get_submodule(stage).alphas):
                gains.fill_(1 + bucket)
        images = torch.randn(1, 3, 224, 224)
        prediction = network(images)
        assert torch.equal(prediction.features, network(images, network.bucket).features)
        assert torch.equal(prediction.features, network.from_trunk(network.trunk(images)).features)
        assert not torch.allclose(prediction.features, network(images, 2).features)
    behind = {
        name.split('.')[0] if not name.startswith('backbone.') else name.split('.')[1]
        for name, _ in network.named_parameters()
        if network.behind_trunk(name)
    }
    assert behind == {'layer4', 'head', 'projection'}


@pytest.mark.parametrize('name, kind', [('spin', HMR), ('rsc_net', RSCNet)])
def test_configs_of_the_official_networks(name, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = load_config(CONFIGS / f'{name}.py').estimator
    with torch.device('meta'):
        network, expected = ESTIMATORS.build(dict(cfg, weights=None, body=None)), build_model(name)
    assert type(network) is kind
    assert [(k, v.shape) for k, v in network.state_dict().items()] == [
        (k, v.shape) for k, v in expected.state_dict().items()
    ]
    with pytest.raises(InputError, match='SMPL_NEUTRAL.pkl'):
        ESTIMATORS.build(cfg)
    with pytest.raises(InputError, match=cfg.weights):
        ESTIMATORS.build(dict(cfg, body=None))


def test_bfloat16_is_close(images):
    network = RSCNet(**TINY, precision='bfloat16').eval()
    pictures = images[:1]
    rough = network(pictures)
    network.precision = 'float32'
    exact = network(pictures)
    assert rough.rotmat.dtype == rough.features.dtype == torch.float32
    assert 0 < (exact.rotmat - rough.rotmat).abs().max() < 0.01
