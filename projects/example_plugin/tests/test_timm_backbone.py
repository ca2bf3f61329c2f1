"""Networks of timm; run with the plugin installed."""

import pytest
import torch

from hrtk.errors import InputError
from hrtk.registry import BACKBONES
from hrtk.testing import check_estimator

try:
    import timm
except (ImportError, RuntimeError) as error:
    timm, MISSING = None, str(error)

HEAD = dict(type='IterativeRegressor', hidden=16)


@pytest.mark.skipif(timm is None, reason='timm cannot be imported')
@pytest.mark.parametrize('model', ['convnext_atto', 'resnet10t'])
def test_keeps_hrtks_contracts(model):
    check_estimator(
        dict(type='HMR', backbone=dict(type='TimmBackbone', model=model), head=HEAD, resolution=64)
    )


@pytest.mark.skipif(timm is None, reason='timm cannot be imported')
def test_features_and_names():
    backbone = BACKBONES.build(dict(type='TimmBackbone', model='convnext_atto')).eval()
    assert backbone(torch.zeros(2, 3, 64, 64)).shape == (2, backbone.out_channels) == (2, 320)
    with pytest.raises(InputError, match="no network 'convnext_attoo'; it has convnext_atto"):
        BACKBONES.build(dict(type='TimmBackbone', model='convnext_attoo'))


@pytest.mark.skipif(timm is not None, reason='timm can be imported')
def test_says_what_is_missing():
    with pytest.raises(InputError, match=r'pip install hrtk-example\[timm\]'):
        BACKBONES.build(dict(type='TimmBackbone'))
