"""Estimators of images and of clips are told apart by type, and HMR is cut where its backbone is."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hrtk.models.backbones import ResNet
from hrtk.models.estimators import (
    HMR,
    ClipEstimator,
    Estimator,
    ForegroundHMR,
    ImageEstimator,
    RSCNet,
    VideoHMR,
)
from hrtk.registry import ESTIMATORS
from hrtk.structures import Prediction
from hrtk.testing import check_estimator

SMALL = dict(type='ResNet', depth=18, width=4)
HEAD = dict(type='IterativeRegressor', hidden=8)


class NamedStages(nn.Module):
    """A ResNet whose last stage has another name."""

    last_stage = 'deepest'

    def __init__(self):
        super().__init__()
        network = ResNet(18, 4)
        self.out_channels = network.out_channels
        self.deepest = network.layer4
        network.layer4 = nn.Identity()
        self.shallow = network

    def forward(self, images):
        return self.from_trunk(self.trunk(images))

    def trunk(self, images):
        return self.shallow.trunk(images)

    def from_trunk(self, maps):
        return self.deepest(maps).mean((2, 3))


@ESTIMATORS.register_module(force=True)
class PlainEstimator(Estimator):
    """A plugin's estimator that knows neither of the two types."""

    def __init__(self, body=dict(type='BodyModel')):
        super().__init__(32, body)
        self.network = HMR(SMALL, HEAD, 32, None)

    def forward(self, images):
        prediction = self.network(images)
        return Prediction(prediction.rotmat, prediction.betas, prediction.camera)


@pytest.mark.parametrize('kind', [HMR, RSCNet, ForegroundHMR])
def test_image_estimators(kind):
    assert issubclass(kind, ImageEstimator) and not issubclass(kind, ClipEstimator)


def test_video_hmr_is_a_clip_estimator():
    assert issubclass(VideoHMR, ClipEstimator) and not issubclass(VideoHMR, ImageEstimator)


def test_a_direct_subclass_of_the_base_fulfils_the_contracts_of_images():
    check_estimator(dict(type='PlainEstimator'))


@pytest.mark.parametrize('backbone', [SMALL, NamedStages()])
def test_a_backbone_names_the_stage_behind_the_cut(backbone):
    model = HMR(backbone, HEAD, 32, None).eval()
    behind = {name for name, _ in model.named_parameters() if model.behind_trunk(name)}
    stage = f'backbone.{model.backbone.last_stage}.'
    assert {name for name in behind if name.startswith('backbone.')} == {
        name for name, _ in model.named_parameters() if name.startswith(stage)
    }
    assert behind >= {name for name, _ in model.named_parameters() if name.startswith('head.')}
    maps = model.trunk(torch.rand(2, 3, 32, 32))
    assert maps.shape[1] == model.backbone.out_channels // 2


def test_a_backbone_without_a_cut_lies_behind_an_empty_trunk():
    class Flat(nn.Module):
        out_channels = 3

        def __init__(self):
            super().__init__()
            self.gain = nn.Parameter(torch.ones(3))

        def forward(self, images):
            return self.gain * images.mean((2, 3))

    model = HMR(Flat(), HEAD, 32, None)
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(model.trunk(images), images)
    assert all(model.behind_trunk(name) for name, _ in model.named_parameters())
