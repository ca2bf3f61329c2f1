"""Every estimator of hrtk keeps the contracts, and for every contract one that breaks it is caught."""

from __future__ import annotations

import pytest
import torch

from hrtk.models.checkpoints import load_weights
from hrtk.models.estimators import HMR
from hrtk.registry import ESTIMATORS
from hrtk.structures import Prediction
from hrtk.testing import ESTIMATOR_CONTRACTS, BrokenContract, check_estimator

HEAD = dict(type='IterativeRegressor', hidden=16)
IMAGE = dict(type='HMR', backbone=dict(type='ResNet', depth=18, width=4), head=HEAD, resolution=32)
ESTIMATORS_OF_HRTK = {
    'LandmarkHMR': dict(
        type='LandmarkHMR', lifter=dict(hidden=32, encoded=16, summary=8, blocks=1), passes=1
    ),
    'HMR': IMAGE,
    'HMR, half the bits': dict(
        IMAGE, precision='bfloat16', backbone=dict(type='ResNet', depth=18, width=4, norm='gn')
    ),
    'LatentHMR': dict(
        IMAGE,
        type='LatentHMR',
        head=dict(hidden=16),
        prior=dict(type='PoseAutoEncoder', latent=6, hidden=8),
    ),
    'HMR2': dict(
        type='HMR2',
        backbone=dict(type='ViT', image_size=(32, 24), patch=8, width=16, depth=2, heads=2),
        head=dict(
            type='TransformerDecoderHead', width=16, depth=1, heads=2, head_width=8, hidden=16
        ),
        resolution=32,
        weights_body='open',  # with 'smpl', betas are 0 on the free body alone
    ),
    'RSCNet': dict(type='RSCNet', size=40, backbone=dict(type='RSCResNet', depth=18, width=4)),
    'ForegroundHMR': dict(
        IMAGE,
        type='ForegroundHMR',
        reducer=dict(type='ResNet', depth=18, width=4),
        fusion='gate',
        frozen=(),
        segmenter=dict(
            type='HRNetOCR',
            width=8,
            stem=16,
            first=1,
            blocks=1,
            modules=(1, 1, 1),
            channels=16,
            keys=8,
        ),
    ),
    'VideoHMR': dict(
        type='VideoHMR', image=IMAGE, network=dict(type='VIBE', features=32, hidden=16)
    ),
}


@pytest.mark.parametrize('name', ESTIMATORS_OF_HRTK)
def test_estimators_of_hrtk(name):
    # LandmarkHMR fits its camera to the joints of a body.
    skip = ['body'] if name == 'LandmarkHMR' else []
    check_estimator(ESTIMATORS_OF_HRTK[name], skip=skip)


def test_none_is_forgotten():
    ours = {
        name for name in ESTIMATORS.names() if ESTIMATORS.get(name).__module__.startswith('hrtk.')
    }
    assert ours == {name.split(',')[0] for name in ESTIMATORS_OF_HRTK}


@ESTIMATORS.register_module(force=True)
class Odd(HMR):
    """A small HMR; ``rule`` names the contract that it breaks."""

    def __init__(self, rule='', weights=None, body=dict(type='BodyModel'), options=None):
        super().__init__(
            dict(type='ResNet', depth=18, width=4),
            HEAD,
            32,
            body or (dict(type='BodyModel') if rule == 'body' else None),
        )
        self.rule, self.hidden_scale = rule, torch.rand(1)
        if rule == 'config':
            options['gone'] = True
        if weights is not None and rule == 'weights':
            self.load_state_dict(torch.load(weights, weights_only=True))
        elif weights is not None:
            load_weights(self, weights)

    def crops(self, sequence, indices):
        indices = list(indices)
        return super().crops(sequence, indices[::-1] if self.rule == 'crops' else indices)

    def _regress(self, features):
        prediction = super()._regress(features)
        if self.rule == 'functional':
            prediction = prediction.detach()
        rotmat, betas, camera, features = (
            prediction.rotmat,
            prediction.betas,
            prediction.camera,
            prediction.features,
        )
        if self.rule == 'shapes':
            betas = betas[:, :9]
        if self.rule == 'rotations':
            rotmat = 1.1 * rotmat
        if self.rule == 'evaluation':
            betas = betas + torch.rand(10)
        if self.rule == 'independence':
            betas = betas - betas.mean(0) if len(betas) > 1 else betas
        if self.rule == 'second_order':
            rotmat, betas, camera = (Linear.apply(value) for value in (rotmat, betas, camera))
        if self.rule == 'state':
            betas = betas + self.hidden_scale
        return Prediction(rotmat, betas, camera, features)

    def from_trunk(self, maps):
        return super().from_trunk(maps + (self.rule == 'trunk'))

    def fingerprint(self):
        return (
            {'weights': 'always the same'} if self.rule == 'fingerprint' else super().fingerprint()
        )


class Linear(torch.autograd.Function):
    """The identity, whose gradient cannot be differentiated again."""

    @staticmethod
    def forward(context, x):
        return x.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context, gradient):
        return gradient


def test_the_estimator_that_breaks_nothing():
    check_estimator(dict(type='Odd', options={}))


@pytest.mark.parametrize('rule', ESTIMATOR_CONTRACTS)
def test_a_broken_contract_is_named(rule):
    with pytest.raises(BrokenContract, match=f"Odd breaks the contract '{rule}'") as error:
        check_estimator(dict(type='Odd', rule=rule, options={}))
    assert ESTIMATOR_CONTRACTS[rule].promise in str(error.value) and 'documented in ' in str(
        error.value
    )


def test_one_that_cannot_be_differentiated_twice_may_say_so():
    check_estimator(dict(type='Odd', rule='second_order'), second_order=False)
