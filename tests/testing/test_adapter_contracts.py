"""Every adapter of hrtk keeps the contracts, and for every contract one that breaks it is caught."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from hrtk.adapters import Adapter, PreparationStep, Session, predict
from hrtk.datasets import OpenStream
from hrtk.errors import InputError
from hrtk.registry import ADAPTERS, DATASETS
from hrtk.structures import Prediction
from hrtk.testing import ADAPTER_CONTRACTS, BrokenContract, check_adapter, coloured_sequence

ONLINE = dict(lr=1e-4, inner_lr=1e-4, interval=2)
MASKS = dict(type='TopologyAdapter', batch=2, tracks=2, every=2, fitting_steps=2)
TEACHER = dict(
    type='TemporalTeacher',
    border='clamp',
    network=dict(
        type='TCMR',
        features=32,
        hidden=8,
        attention=8,
        regressor=dict(type='IterativeRegressor', hidden=8),
    ),
)
UNTIL = 40.0  # px, of 224: some frames of the trial are below it, some above
NO_LABELS = dict(pose=0, betas=0, camera=0)


@DATASETS.register_module(force=True)
class GreyViews:
    """Four labelled crops of 32 px."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return dict(
            image=torch.full((3, 32, 32), 50 * index, dtype=torch.uint8),
            rotmat=torch.eye(3).repeat(24, 1, 1),
            betas=torch.zeros(10),
            keypoints2d=torch.linspace(-0.5, 0.5, 48).reshape(24, 2),
        )


@DATASETS.register_module(force=True)
class LabelledColours(list):
    """Two sequences with true bodies."""

    def __init__(self):
        super().__init__(coloured_sequence(f'labelled {seed}', 2, 64, seed) for seed in range(2))


VIEWS = dict(type='GreyViews')
SHOTS = dict(
    type='FewShotMetric',
    shots=2,
    steps=2,
    batch=2,
    save_every=1,
    source=dict(batch=4, pool=4, dataset=VIEWS),
    labelled=dict(type='LabelledColours'),
)
ADAPTERS_OF_HRTK = {
    'Source': dict(type='Source', batch_size=2),
    'Bilevel': dict(type='Bilevel', source=dict(batch=1, pool=4, dataset=VIEWS), **ONLINE),
    'Bilevel, never': dict(
        type='Bilevel',
        reset='never',
        order='first',
        source=dict(batch=1, pool=4, dataset=VIEWS, order='sequential'),
        **ONLINE,
    ),
    'Bilevel, frame': dict(type='Bilevel', reset='frame', order='first', **ONLINE),
    'DynamicBilevel': dict(
        type='DynamicBilevel', max_extra=1, exemplars=dict(dataset=VIEWS, batch=2), **ONLINE
    ),
    'Bilevel, until': dict(
        type='Bilevel', scheme='one-stage', steps=3, until=UNTIL, pull=0.01, reset='never', **ONLINE
    ),
    'Bilevel, soft reset': dict(
        type='Bilevel', order='first', reset='never', soft_reset=0.8, **ONLINE
    ),
    'DynamicBilevel, until': dict(
        type='DynamicBilevel', max_extra=2, until=UNTIL, temporal_every=2, **ONLINE
    ),
    'DoNoHarm': dict(
        type='DoNoHarm',
        adapter=dict(type='Bilevel', order='first', **ONLINE),
        keep_above=0.3,
        roll_back_below=-0.3,
        look_ahead=1,
    ),
    'DoNoHarm, frames': dict(
        type='DoNoHarm',
        adapter=dict(type='KeypointFit', steps=2, lr=1e-3, reset='frame'),
        keep_above=0.3,
        roll_back_below=-0.3,
    ),
    'DoNoHarm, never': dict(
        type='DoNoHarm',
        adapter=dict(type='TrackFit', steps=2, lr=1e-5, shape_lr=1e-3, reset='never'),
        keep_above=0.3,
        roll_back_below=-0.3,
    ),
    'PreAdapt': dict(
        type='PreAdapt', teacher=TEACHER, epochs=2, sequences=1, frames=2, save_every=1
    ),
    'Regeneration': dict(
        type='Regeneration',
        online=dict(type='DynamicBilevel', max_extra=0, **ONLINE),
        pre=dict(type='PreAdapt', weights=NO_LABELS, epochs=2, sequences=1, frames=2, save_every=1),
    ),
    'Regeneration, few shots': dict(
        type='Regeneration',
        online=dict(type='Bilevel', order='first', **ONLINE),
        pre=SHOTS,
    ),
    'FewShotMetric': SHOTS,
    'FewShotMetric, changed crops': dict(SHOTS, augment=1.0),
    'TopologyAdapter': dict(MASKS, prior=None, iterations=2, save_every=1),
    'TopologyAdapter, online': dict(MASKS, mode='online', iterations=2, prior=None, reset='never'),
    'TopologyAdapter, fit': dict(MASKS, mode='fit'),
    'TrackFit': dict(type='TrackFit', steps=2, lr=1e-5, shape_lr=1e-3, segment=2),
    'TrackFit, never': dict(type='TrackFit', steps=2, lr=1e-5, shape_lr=1e-3, reset='never'),
    'TrackFit, batches': dict(
        type='TrackFit',
        steps=3,
        lr=1e-5,
        shape_lr=1e-3,
        batch=2,
        until=UNTIL,
        weights=dict(source=0.1, pose_prior=1e-4),
        source=dict(batch=1, pool=4, dataset=VIEWS, order='sequential'),
        reset='never',
    ),
    'KeypointFit': dict(type='KeypointFit', steps=2, until=UNTIL, reset='never'),
    'KeypointFit, sequence': dict(
        type='KeypointFit', scope='sequence', steps=1, batch=2, segment=2, reset='sequence'
    ),
    'SMPLify': dict(type='SMPLify', lr=1e-4, camera_steps=1, steps=1, scope='track', segment=2),
    'SMPLify, adapter': dict(
        type='SMPLify',
        adapter=dict(type='TrackFit', steps=2, lr=1e-5, shape_lr=1e-3, segment=3, reset='never'),
        lr=1e-4,
        camera_steps=1,
        steps=1,
        scope='track',
        segment=2,
        camera='image',
    ),
    'ClosedForm': dict(type='ClosedForm', batch_size=2),
    'CycleAdapt': dict(
        type='CycleAdapt', cycles=2, window=3, batch=2, motion_steps=1, lr=1e-4, reset='never'
    ),
    'NormAdapt': dict(type='NormAdapt', lr=1e-4, batch=2, steps=1, reset='never'),
}
# The statistics are what this method changes.
BROKEN_ON_PURPOSE = {'NormAdapt': ('buffers',)}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('HRTK_CACHE', str(tmp_path))


@pytest.mark.parametrize('name', ADAPTERS_OF_HRTK)
def test_adapters_of_hrtk(name):
    check_adapter(ADAPTERS_OF_HRTK[name], skip=BROKEN_ON_PURPOSE.get(name.split(',')[0], ()))


def test_none_is_forgotten():
    ours = {name for name in ADAPTERS.names() if ADAPTERS.get(name).__module__.startswith('hrtk.')}
    assert ours == {name.split(',')[0] for name in ADAPTERS_OF_HRTK}


@ADAPTERS.register_module(force=True)
@dataclasses.dataclass(frozen=True, kw_only=True)
class Good(Adapter):
    """Moves a bias a little, at random, towards the mean of what it sees; ``rule`` names the contract it breaks."""

    rule: str = ''
    options: dict | None = None
    memory: dict = dataclasses.field(default_factory=lambda: {'momentum': 0.0, 'runs': 0})

    def __post_init__(self):
        super().__post_init__()
        if self.rule == 'config':
            self.options['gone'] = True

    @property
    def states(self):
        return ('progress',)

    def prepare(self, estimator, dataset, preparation):
        if preparation.result() is not None and self.rule != 'resumed':
            return preparation.result()
        first = torch.initial_seed()
        state = preparation.load('progress') or dict(
            done=0, bias=estimator.head.deccam.bias.detach().clone()
        )
        for step in range(state['done'], 4):
            torch.manual_seed(first + step * (self.rule != 'resumed'))
            state = dict(done=step + 1, bias=state['bias'] + 0.01 * torch.rand(3))
            if self.rule != 'resumed' or step < 3:
                preparation.save(
                    'progress', state if self.rule != 'resumed' else {**state, 'done': 0}
                )
            preparation.report(PreparationStep('adapt', step + 1, 4))
        weights = dict(estimator.state_dict())
        weights['head.deccam.bias'] = state['bias']
        if self.rule == 'prepare':
            weights.pop('head.fc1.bias')
        return weights

    def start(self, estimator):
        return GoodSession(estimator, self.rule, self.memory)

    def fingerprint(self):
        return {'runs': str(self.memory['runs'])} if self.rule == 'fingerprint' else {}


class GoodSession(Session):
    def __init__(self, estimator, rule, memory):
        self.estimator, self.rule, self.memory = estimator, rule, memory
        self.momentum = memory['momentum'] if rule == 'isolation' else 0.0

    def run(self, sequence):
        return self.run_from(sequence, 0, self.state_dict())

    def midway_state(self, done):
        return {} if self.rule == 'midway' else self.state_dict()

    def run_from(self, sequence, done, state):
        if done:
            self.load_state_dict(state)
        self.memory['runs'] += 1
        estimator = self.estimator
        frames = list(range(done, len(sequence)))
        if self.rule == 'order':
            frames[0], frames[-1] = frames[-1], frames[0]
        if self.rule == 'frames':
            frames = frames[1:]
        if self.rule == 'one_frame':
            assert len(sequence) > 1, 'there is no motion in one frame'
        confidence, xy = sequence.keypoints2d.confidence, sequence.keypoints2d.xy
        if self.rule == 'no_keypoints' and not (confidence > 0).any(1).all():
            raise ValueError('a frame without keypoints')
        if self.rule == 'inputs':
            xy.add_(1)
        if self.rule == 'buffers':
            estimator.backbone.bn1.running_mean += 0.01
        if self.rule == 'body':
            estimator.body.joint_template.add_(1e-3)
        rng = np.random.default_rng() if self.rule == 'seeds' else np.random
        for t in frames:
            self.momentum = 0.9 * self.momentum + 1e-3 * rng.random()
            self.memory['momentum'] = self.momentum
            with torch.no_grad():
                estimator.head.deccam.bias += self.momentum
                if self.rule == 'no_truth' and sequence.truth is not None:
                    estimator.head.deccam.bias += 1e-2
            prediction = predict(estimator, estimator.crops(sequence, [t]))
            if self.rule == 'rotations':
                prediction = Prediction(
                    prediction.rotmat * 1.1, prediction.betas, prediction.camera
                )
            if self.rule == 'grad_mode':
                with torch.no_grad():
                    yield prediction
            else:
                yield prediction

    @property
    def counts(self):
        return {'momentum': 'large' if self.rule == 'counts' else self.momentum}

    def state_dict(self):
        return {} if self.rule == 'state' else {'momentum': self.momentum}

    def load_state_dict(self, state):
        self.momentum = state.get('momentum', 0.0)


@pytest.mark.parametrize('reset', ['sequence', 'never'])
def test_the_adapter_that_breaks_nothing(reset):
    check_adapter(dict(type='Good', reset=reset, options={}))


@pytest.mark.parametrize('rule', ADAPTER_CONTRACTS)
def test_a_broken_contract_is_named(rule):
    reset = 'never' if rule == 'state' else 'sequence'
    with pytest.raises(BrokenContract, match=f"Good breaks the contract '{rule}'") as error:
        check_adapter(dict(type='Good', rule=rule, reset=reset, options={}))
    assert ADAPTER_CONTRACTS[rule].promise in str(error.value) and 'documented in ' in str(
        error.value
    )


def test_sequences_of_a_data_set():
    stream = OpenStream(
        'studio', sequences=2, frames=3, size=48
    )  # its frames are drawn when they are asked for
    check_adapter(dict(type='Source'), sequences=[stream[0], stream[1]])


def test_a_contract_can_be_left_out():
    check_adapter(dict(type='Good', rule='counts', options={}), skip=['counts'])
    with pytest.raises(InputError, match="no contract 'colour'"):
        check_adapter(dict(type='Good'), skip=['colour'])
