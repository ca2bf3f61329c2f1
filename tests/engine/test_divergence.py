"""Values that are not finite are named where they come from, and never stored or drawn."""

import dataclasses

import numpy as np
import pytest
import torch

from hrtk.adapters.run import AdapterRun
from hrtk.engine import Result
from hrtk.engine.computing import ResultComputer
from hrtk.engine.store import ResultStore
from hrtk.errors import InputError
from hrtk.models.checkpoints import load_official, load_weights
from hrtk.registry import ADAPTERS, ESTIMATORS
from hrtk.testing import coloured_sequence
from hrtk.testing.trial import TINY

FRAMES = 4


def model():
    torch.manual_seed(1)
    return ESTIMATORS.build(dict(TINY)).eval()


class Runner:
    seed = 0
    cfg: dict = {}

    def __init__(self):
        self.model = model()

    def call_hook(self, name, **arguments):
        pass


def compute(tmp_path, adapter, sequence=None, runner=None):
    runner = runner or Runner()
    store = ResultStore(tmp_path, {})
    computer = ResultComputer(runner, ADAPTERS.build(adapter), [], store, resume=True)
    computer.prepare(None)
    return computer.compute(sequence or coloured_sequence('track', FRAMES, 64, 0))


@pytest.mark.parametrize('lr', [1e12, 1e30])
@pytest.mark.parametrize('name', ['Bilevel', 'DynamicBilevel'])
def test_a_diverged_session_returns_to_its_last_good_weights(tmp_path, lr, name):
    with pytest.warns(UserWarning, match=r'track: .* frame \d \(\d+\).*learning rate'):
        result = compute(tmp_path, dict(type=name, lr=lr, order='first'))
    assert result.after.rotmat.isfinite().all() and result.after.camera.isfinite().all()
    assert 0 < result.report['rolled_back_frames'] <= FRAMES
    result.save(tmp_path / 'result.npz')
    Result.load(tmp_path / 'result.npz')


@pytest.mark.parametrize('predict', ['after', 'before'])
def test_the_good_weights_are_those_before_the_bad_steps(predict):
    """By hand: only the second of three frames makes a step, of infinite size."""
    estimator = model()
    adapter = ADAPTERS.build(dict(type='Bilevel', lr=1e-3, order='first', predict=predict))
    run = AdapterRun(adapter, estimator)
    sequence = coloured_sequence('track', 3, 64, 0)
    predictions = run.run(sequence)
    next(predictions)
    learner = run._session.state.learner
    good = {name: weight.detach().clone() for name, weight in learner.weights.items()}
    for adam in learner.adams.values():
        adam.lr = 1e30
    with pytest.warns(UserWarning, match='frame [12]'):
        second = next(predictions)
        if predict == 'before':
            assert second.rotmat.isfinite().all()
            second = next(predictions)
    if predict == 'after':
        for name, weight in learner.weights.items():
            assert torch.equal(weight, good[name]), name
    assert second.rotmat.isfinite().all()
    assert not learner.state_dict()['adam']['state']
    session = run._session
    for name, value in session.state.teacher.items():
        assert torch.equal(value, learner.weights[name])


def test_a_sound_session_counts_nothing(tmp_path):
    result = compute(tmp_path, dict(type='Bilevel', lr=1e-5, order='first'))
    assert 'rolled_back_frames' not in result.report


def test_an_adapter_without_a_way_back_is_named(tmp_path):
    adapter = dict(type='TrackFit', steps=2, lr=1e30, shape_lr=1e30)
    with pytest.raises(InputError, match=r'track: frame 0 .*TrackFit is not finite.*learning rate'):
        compute(tmp_path, adapter)


def test_a_start_model_that_is_not_finite_is_named(tmp_path):
    runner = Runner()
    with torch.no_grad():
        runner.model.head.decpose.bias[3] = np.nan
    with pytest.raises(InputError, match='track: frame 0 .*start model.*weights'):
        compute(tmp_path, dict(type='Source'), runner=runner)


def test_a_stored_result_that_is_not_finite_counts_as_damaged(tmp_path):
    result = compute(tmp_path / 'run', dict(type='Source'))
    after = dataclasses.replace(result.after, betas=result.after.betas * np.nan)
    path = tmp_path / 'bad.npz'
    dataclasses.replace(result, after=after).save(path)
    with pytest.raises(InputError, match='bad.npz.*betas has values that are not finite'):
        Result.load(path)


def test_weights_that_are_not_finite_are_refused(tmp_path):
    network = model()
    state = network.state_dict()
    state['head.decpose.bias'] = state['head.decpose.bias'] * np.inf
    path = tmp_path / 'weights.pth'
    torch.save(dict(state_dict=state), path)
    with pytest.raises(InputError, match='weights.pth: head.decpose.bias.*not finite'):
        load_weights(network, path)
    with pytest.raises(InputError, match='not finite'):
        load_official(network, state)
    assert network.head.decpose.bias.isfinite().all()
