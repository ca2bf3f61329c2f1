"""Run with the plugin installed: ``pytest projects/example_plugin/tests``."""

import sys
from pathlib import Path

import pytest
import torch

from hrtk.apis import build_model, load_config
from hrtk.registry import BACKBONES
from hrtk.structures import InputError

CONFIG = Path(__file__).parents[1] / 'configs/tiny_convnet_plain.py'
BASE = Path(__file__).parents[3] / 'configs/hmr/r18_plain.py'


def test_found_by_entry_point():
    assert 'hrtk_example' not in sys.modules  # nothing here imports it
    assert BACKBONES.get('TinyConvNet').__module__ == 'hrtk_example.tiny_convnet'


def test_misspelt_name_suggests_it():
    with pytest.raises(InputError, match="Did you mean 'TinyConvNet'"):
        BACKBONES.build(dict(type='TinyConvnet'))


def test_features_and_second_order_gradients():
    torch.manual_seed(0)
    model = build_model('hmr_r18', backbone=dict(type='TinyConvNet', width=4), body=None).double()
    prediction = model(torch.rand(2, 3, 64, 64, dtype=torch.float64))
    assert prediction.features.shape == (2, model.backbone.out_channels) == (2, 32)
    first = next(model.backbone.parameters())
    gradient, = torch.autograd.grad(prediction.rotmat.square().sum() + prediction.betas.square().sum(), first,
                                    create_graph=True)
    second, = torch.autograd.grad(gradient.square().sum(), first)
    assert torch.isfinite(second).all() and second.abs().max() > 0


def test_config_changes_the_backbone_and_nothing_else():
    ours, base = (load_config(path).to_dict() for path in (CONFIG, BASE))
    assert ours['model']['estimator'].pop('backbone') == dict(type='TinyConvNet')
    assert base['model']['estimator'].pop('backbone')['type'] == 'ResNet'
    assert ours == base
