"""Run with the plugin installed: ``pytest projects/example_plugin/tests``."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hrtk.apis import list_registered, load_config
from hrtk.errors import InputError
from hrtk.registry import BACKBONES
from hrtk.testing import check_estimator

CONFIG = Path(__file__).parents[1] / 'configs/tiny_convnet_plain.py'
BASE = Path(__file__).parents[3] / 'configs/hmr/r18_plain.py'


def test_found_by_entry_point():
    code = (
        'import sys; from hrtk.registry import BACKBONES; assert "hrtk_example" not in sys.modules; '
        'print(BACKBONES.get("TinyConvNet").__module__)'
    )
    assert subprocess.check_output([sys.executable, '-c', code], text=True).split() == [
        'hrtk_example.tiny_convnet'
    ]


def test_listed_under_its_distribution():
    assert {item.name for item in list_registered(plugin='hrtk-example')} == {
        'GemanMcClure',
        'HeatmapDetector',
        'KeypointTuner',
        'PlainViT',
        'TimmBackbone',
        'TinyConvNet',
    }


def test_misspelt_name_suggests_it():
    with pytest.raises(InputError, match="Did you mean 'TinyConvNet'"):
        BACKBONES.build(dict(type='TinyConvnet'))


def test_keeps_hrtks_contracts():
    check_estimator(
        dict(
            type='HMR',
            backbone=dict(type='TinyConvNet', width=4),
            resolution=64,
            head=dict(type='IterativeRegressor', hidden=16),
        )
    )


def test_features_have_the_promised_size():
    backbone = BACKBONES.build(dict(type='TinyConvNet', width=4))
    assert backbone(torch.rand(2, 3, 64, 64)).shape == (2, backbone.out_channels) == (2, 32)


def test_config_changes_the_backbone_and_nothing_else():
    ours, base = (load_config(path).to_dict() for path in (CONFIG, BASE))
    assert ours['model']['estimator'].pop('backbone') == dict(type='TinyConvNet')
    assert base['model']['estimator'].pop('backbone')['type'] == 'ResNet'
    assert ours == base
