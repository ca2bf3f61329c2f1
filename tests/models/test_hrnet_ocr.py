"""HRNet-OCR against numbers of the released classes, and what it says about wrong files and sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from golden_rule import golden_weights, normal

from hrtk.errors import InputError
from hrtk.models.checkpoints import load_official
from hrtk.models.segmentation import HRNetOCR, foreground_map
from hrtk.models.segmentation.ocr import gather
from hrtk.registry import SEGMENTERS

GOLDEN = dict(
    np.load(Path(__file__).parents[1] / 'data' / 'hrnet_ocr_golden.npz', allow_pickle=False)
)
W18S = dict(width=18, first=2, blocks=2, modules=(1, 3, 2))
W8 = dict(width=8, stem=16, first=1, blocks=1, modules=(1, 1, 1), channels=48, keys=24)
SIZES = {'w48': dict(classes=19), 'w18s': dict(W18S, classes=19), 'w8': W8}


def count(**size):
    with torch.device('meta'):
        return sum(value.numel() for value in HRNetOCR(**size).parameters())


@pytest.mark.parametrize('name', SIZES)
def test_key_names_and_shapes_are_the_released_ones(name):
    with torch.device('meta'):
        own = {
            key: 'x'.join(map(str, value.shape))
            for key, value in HRNetOCR(**SIZES[name]).state_dict().items()
        }
    assert own == dict(zip(GOLDEN[f'{name}/keys'].tolist(), GOLDEN[f'{name}/shapes'].tolist()))


def test_parameter_counts():
    assert count(classes=19) == 70_372_678  # 70.4 M as published for Cityscapes
    assert count() == 70_351_700 and count(width=18) == 12_067_490 and count(**W18S) == 6_365_950
    assert count(**W8) == 312_124


@pytest.mark.parametrize('name, shape', [('w18s', (1, 3, 72, 56)), ('w8', (2, 3, 56, 40))])
def test_outputs_are_those_of_the_released_classes(name, shape):
    network = HRNetOCR(**SIZES[name]).eval()
    weights = golden_weights(GOLDEN, f'{name}/')
    # What the released training saves: the network beside its loss.
    saved = {
        **{f'module.model.{key}': value for key, value in weights.items()},
        'module.loss.criterion.weight': torch.ones(19),
    }
    report = load_official(network, saved)
    assert not report.missing_keys and not report.unexpected_keys
    with torch.no_grad():
        found = network(normal(f'images {name}', shape))
    for value, key in zip(found, ('main', 'auxiliary')):
        wanted = torch.from_numpy(GOLDEN[f'{name}/{key}'])
        assert (
            value - wanted
        ).abs().max() < 5e-6 * wanted.abs().max()  # the reference's own rounding is 1e-6


def test_regions_are_means_over_pixels():
    """Numpy, in float64: the mean feature of every class, weighted by how much of the class lies in each pixel."""
    generator = np.random.default_rng(0)
    pixels, logits = generator.normal(size=(2, 5, 3, 4)), generator.normal(size=(2, 2, 3, 4))
    share = np.exp(logits) / np.exp(logits).sum((2, 3), keepdims=True)
    wanted = np.einsum('bchw,bkhw->bck', pixels, share)
    found = gather(torch.from_numpy(pixels), torch.from_numpy(logits))
    assert found.shape == (2, 5, 2, 1)
    np.testing.assert_allclose(found[..., 0], wanted, atol=1e-12)


def test_foreground_map_is_a_probability_cut_at_the_threshold():
    logits = torch.zeros(1, 2, 2, 2)
    logits[0, 1] = torch.tensor([[-2.0, -1.0], [0.0, 3.0]])  # 0.12, 0.27, 0.5, 0.95
    found = foreground_map(logits, (2, 2))[0, 0]
    np.testing.assert_allclose(found, [[0, 1 / (1 + np.e)], [0.5, 1 / (1 + np.exp(-3))]], atol=1e-6)
    assert (foreground_map(logits, (2, 2), threshold=0.0)[0, 0] > 0).all()
    assert foreground_map(logits, (7, 9)).shape == (1, 1, 7, 9)


def test_gradients_reach_every_weight():
    network = HRNetOCR(**W8).train()
    found = network(normal('batch', (2, 3, 48, 48)))
    (found.main.square().mean() + found.auxiliary.square().mean()).backward()
    assert [name for name, value in network.named_parameters() if value.grad is None] == []


def test_start_from_a_network_with_other_heads(tmp_path):
    """Classification weights have no OCR and other layers; those of other classes have heads of other shapes."""
    other = HRNetOCR(**W8, classes=19)
    body = {
        key: value
        for key, value in other.state_dict().items()
        if not key.startswith(('cls', 'aux', 'ocr', 'conv3'))
    }
    torch.save(
        {
            **body,
            'incre_modules.0.0.conv1.weight': torch.zeros(3),
            'classifier.bias': torch.zeros(9),
        },
        tmp_path / 'imagenet.pth',
    )
    torch.save(
        {'state_dict': {f'model.{key}': value for key, value in other.state_dict().items()}},
        tmp_path / 'cityscapes.pth',
    )
    first, second = (
        HRNetOCR(**W8, pretrained=str(tmp_path / name))
        for name in ('imagenet.pth', 'cityscapes.pth')
    )
    assert torch.equal(
        first.stage4[0].branches[3][0].conv1.weight, other.stage4[0].branches[3][0].conv1.weight
    )
    assert not torch.equal(first.aux_head[0].weight, other.aux_head[0].weight)
    assert (
        torch.equal(second.aux_head[0].weight, other.aux_head[0].weight)
        and second.cls_head.weight.shape[0] == 2
    )
    with pytest.raises(InputError, match='imagenet.pth.*before its heads.*stage4'):
        HRNetOCR(**{**W8, 'modules': (1, 1, 2)}, pretrained=str(tmp_path / 'imagenet.pth'))


@pytest.mark.parametrize(
    'options, part',
    [
        ({'width': 0}, 'positive'),
        ({'modules': (1, 2)}, 'modules'),
        ({'classes': 1}, 'classes'),
        ({'wide': 3}, 'width'),
        ({'weights': 'open:hrnet_w9_open'}, 'hrnet_w9_open'),
        ({'weights': 'none.pth'}, 'none.pth'),
    ],
)
def test_bad_settings(options, part):
    with pytest.raises(InputError, match=part):
        SEGMENTERS.build(dict(type='HRNetOCR', **{**W8, **options}))
