"""SMPLify from the predictions of another adapter."""

import copy
import dataclasses

import pytest
import torch
from tiny_parts import Tiny, equal, tiny_sequence, weights_of

from hrtk.adapters import Adapter, Preparation, Session, SMPLify
from hrtk.adapters.parts.posed import SKELETON
from hrtk.adapters.parts.targets import crop_targets
from hrtk.adapters.run import AdapterRun
from hrtk.errors import InputError
from hrtk.registry import ADAPTERS
from hrtk.structures import Prediction

FEW = dict(camera_steps=2, steps=1, scope='track', weights=dict(pose_prior=0.0))
ONLINE = dict(
    type='Bilevel', lr=1e-3, inner_lr=1e-3, order='first', interval=2, weights=dict(pose_prior=0.0)
)
PARTS = ('rotmat', 'betas', 'camera')


@pytest.fixture(scope='module', autouse=True)
def drifting_adapter():
    @ADAPTERS.register_module(name='DriftingCamera')
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class DriftingCamera(Adapter):
        """Predicts with a bias of the camera that grows from frame to frame."""

        uses_camera = True

        @property
        def states(self):
            return ('drift',)

        def prepare(self, estimator, dataset, preparation):
            return {name: value + 1 for name, value in estimator.state_dict().items()}

        def start(self, estimator):
            return DriftingSession(estimator)

        def fingerprint(self):
            return {'file': 'abc'}

    class DriftingSession(Session):
        counts = {'drifts': 3}
        state_bytes = 7

        def __init__(self, estimator):
            self.estimator = estimator
            self.finished = False

        def run(self, sequence):
            for t in range(len(sequence)):
                with torch.no_grad():
                    self.estimator.head.deccam.bias += 0.01
                    prediction = self.estimator(self.estimator.crops(sequence, [t]))
                yield prediction
            self.finished = True

    yield
    ADAPTERS.module_dict.pop('DriftingCamera')


def outcome(adapter, sequence):
    model = Tiny()
    run = AdapterRun(adapter, model)
    torch.manual_seed(0)
    found = Prediction.cat(list(run.run(sequence)))
    return found, run, model


def same(a, b):
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in PARTS)


def test_the_frozen_network_is_the_plain_start_to_the_bit():
    sequence = tiny_sequence(frames=5)
    plain, _, _ = outcome(SMPLify(**FEW), sequence)
    wrapped, run, model = outcome(SMPLify(adapter=dict(type='Source'), **FEW), sequence)
    assert same(plain, wrapped) and run.counts == {}
    assert equal(weights_of(model), weights_of(Tiny()))


def test_the_optimisation_begins_at_the_predictions_of_the_adapter():
    sequence = tiny_sequence(frames=5)
    adapted, alone, _ = outcome(ADAPTERS.build(ONLINE), sequence)
    nothing = dict(FEW, camera_steps=0, steps=0, scope='frame')
    start, run, model = outcome(SMPLify(adapter=ONLINE, **nothing), sequence)
    # Through axis-angles and back.
    torch.testing.assert_close(start.rotmat, adapted.rotmat, rtol=0, atol=1e-9)
    torch.testing.assert_close(start.camera, adapted.camera, rtol=0, atol=1e-9)
    assert torch.equal(start.betas, adapted.betas)
    assert run.counts == alone.counts and run.state_bytes == alone.state_bytes > 0
    assert not equal(weights_of(model), weights_of(Tiny()))
    # And the whole of it is the plain refinement of these predictions.
    found, _, _ = outcome(SMPLify(adapter=ONLINE, **FEW, segment=3), sequence)
    plain = SMPLify(**FEW).start(Tiny())
    keypoints = crop_targets(sequence, SKELETON)
    by_hand = [
        plain.refine(adapted[part], keypoints[part], part) for part in (slice(0, 3), slice(3, 5))
    ]
    assert same(found, Prediction.cat(by_hand))


@pytest.mark.parametrize('options', [dict(ONLINE, reset='never'), None])
def test_continues_behind_every_frame(options):
    sequence = tiny_sequence(frames=4)
    adapter = SMPLify(adapter=options, segment=2, **FEW)
    whole, first, end = outcome(adapter, sequence)
    for done in range(1, 4):
        stopped = AdapterRun(adapter, Tiny())
        torch.manual_seed(0)
        frames = stopped.run(sequence)
        for _ in range(done):
            next(frames)
        state = copy.deepcopy(stopped.midway_state(done))  # as on disk
        draws = torch.get_rng_state()
        model = Tiny()
        resumed = AdapterRun(adapter, model)
        rest = resumed.run_from(sequence, done, state)
        torch.set_rng_state(draws)
        found = [next(rest)]
        # A second interruption before the wrapped session has continued.
        again = AdapterRun(adapter, Tiny())
        state = copy.deepcopy(resumed.midway_state(done + 1))
        later = again.run_from(sequence, done + 1, state)
        draws = torch.get_rng_state()
        found += list(later)
        torch.set_rng_state(draws)
        list(rest)
        assert same(Prediction.cat(found), whole[done:])
        assert again.counts == resumed.counts == first.counts
        assert equal(weights_of(model), weights_of(end))


def test_speaks_for_the_wrapped_adapter():
    adapter = SMPLify(adapter=dict(type='DriftingCamera', reset='never'), **FEW)
    assert adapter.reset == 'never' and adapter.uses_camera and adapter.states == ('drift',)
    assert not SMPLify(**FEW).uses_camera and SMPLify(**FEW).states == ()
    assert adapter.fingerprint() == {'adapter.file': 'abc'}
    model = Tiny()
    before = weights_of(model)
    prepared = adapter.prepare(model, [], Preparation())
    assert all(torch.equal(prepared[name], value + 1) for name, value in before.items())
    assert SMPLify(**FEW).prepare(model, [], Preparation()) is None
    sequence = tiny_sequence(frames=3)
    run = AdapterRun(adapter, model)
    list(run.run(sequence))
    bias = model.head.deccam.bias.clone()
    list(run.run(sequence))
    torch.testing.assert_close(model.head.deccam.bias, bias + 0.03)
    assert run.counts == {'drifts': 3} and run.state_bytes == 7
    assert run._session.wrapped.finished


@pytest.mark.parametrize(
    'options, words',
    [
        (dict(adapter=dict(type='Sauce')), 'Source'),
        (dict(adapter=dict(type='TrackFit', robust=0.0)), 'TrackFit: robust'),
        (dict(adapter=dict(type='TrackFit'), reset='never'), 'SMPLify: reset .* adapter.reset'),
        (dict(adapter=3), 'SMPLify: adapter'),
    ],
)
def test_refuses(options, words):
    with pytest.raises(InputError, match=words):
        SMPLify(**options)
