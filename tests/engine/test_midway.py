"""A track that was interrupted at any frame ends with the bits of an uninterrupted one."""

import copy
import functools
import random
import types

import numpy as np
import pytest
import torch

from hrtk.adapters.run import AdapterRun
from hrtk.apis import adapt
from hrtk.engine import Result
from hrtk.engine.computing import ResultComputer
from hrtk.engine.midway import Midway, MidwayStore
from hrtk.engine.store import ResultStore
from hrtk.errors import InputError
from hrtk.files import DiskError
from hrtk.registry import ADAPTERS, DATASETS, ESTIMATORS
from hrtk.structures import Prediction
from hrtk.testing import coloured_sequence
from hrtk.testing.trial import TINY

FRAMES = 5
FROZEN = {'PreAdapt': 32}  # frames of a batch, where it is no option
ONLINE = dict(lr=1e-3, inner_lr=1e-3, interval=2)


@DATASETS.register_module(force=True)
class MidwayViews:
    """Labelled crops of 32 px in different colours."""

    def __len__(self):
        return 6

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        return dict(
            image=torch.randint(0, 256, (3, 32, 32), generator=generator, dtype=torch.uint8),
            rotmat=torch.eye(3).repeat(24, 1, 1),
            betas=torch.randn(10, generator=generator),
            keypoints2d=torch.rand((24, 2), generator=generator) - 0.5,
        )


VIEWS = dict(type='MidwayViews')
DYNAMIC = dict(
    type='DynamicBilevel',
    max_extra=2,
    exemplars=dict(dataset=VIEWS, batch=2, topk=4),
    **ONLINE,
)
MASKS = dict(type='TopologyAdapter', batch=2, fitting_steps=2, prior=None)
METHODS = {
    'Source': dict(type='Source', batch_size=2),
    'Bilevel': dict(type='Bilevel', source=dict(batch=2, pool=6, dataset=VIEWS), **ONLINE),
    'Bilevel, in order': dict(
        type='Bilevel',
        order='first',
        steps=2,
        parameters='head',
        source=dict(batch=2, pool=6, dataset=VIEWS, order='sequential'),
        **ONLINE,
    ),
    'DynamicBilevel': DYNAMIC,
    'Regeneration': dict(type='Regeneration', online=dict(DYNAMIC, parameters='head')),
    'TrackFit': dict(
        type='TrackFit',
        lr=1e-3,
        steps=3,
        batch=2,
        segment=2,
        until=1.0,
        weights=dict(source=0.3),
        source=dict(batch=2, pool=6, dataset=VIEWS, order='sequential'),
    ),
    'PreAdapt': dict(
        type='PreAdapt', epochs=1, sequences=1, frames=2, weights=dict(pose=0, betas=0, camera=0)
    ),
    'TopologyAdapter, online': dict(MASKS, mode='online', iterations=2),
    'TopologyAdapter, fit': dict(MASKS, mode='fit'),
    'TopologyAdapter, set': dict(MASKS, iterations=1, tracks=1),
}


class Stopped(Exception):
    """Stands for the death of the process; its argument are the frames that were computed."""


class Runner:
    """What a computer needs of a runner; ``stop`` is the frame behind which the process dies."""

    seed = 0

    def __init__(self, midway, stop=None):
        self.model = copy.deepcopy(start_model(), {id(start_model().body): start_model().body})
        self.cfg = dict(midway=midway)
        self.stop = stop
        self.frames = []

    def call_hook(self, name, **arguments):
        if name == 'after_frame':
            self.frames.append(arguments['index'])
            if arguments['index'] == self.stop:
                raise Stopped(self.frames)


@functools.cache
def start_model():
    torch.manual_seed(1)
    model = ESTIMATORS.build(dict(TINY)).eval()
    for layer in (model.head.decpose, model.head.decshape, model.head.deccam):
        torch.nn.init.normal_(layer.weight, std=0.05)
    return model


def track(name='track', seed=0):
    return coloured_sequence(name, FRAMES, 64, seed)


def compute(tmp_path, method, midway=None, stop=None, reset='sequence', folder='run'):
    """The second of two sequences; the first one is finished before the process dies."""
    runner = Runner(midway, stop=None)
    adapter = ADAPTERS.build(dict(method, reset=reset))
    store = ResultStore(tmp_path / folder, {})
    computer = ResultComputer(runner, adapter, [track()], store, resume=True)
    computer.prepare(store.load_state())
    finished = []
    if reset == 'never':
        if store.load_state() is None:
            computer.compute(track('first', 1))
            store.save_state(dict(finished=['first'], **computer.state_dict()))
            computer.midway.remove('first')
        finished = ['first']
    runner.frames = []
    runner.stop = stop
    result = computer.compute(track(), finished)
    return result, computer, runner


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('HRTK_CACHE', str(tmp_path / 'cache'))


def assert_same(ours, other):
    assert ours.report == other.report
    for name in ('before', 'after'):
        for field in ('rotmat', 'betas', 'camera'):
            values = [getattr(getattr(result, name), field) for result in (ours, other)]
            assert torch.equal(*values), (name, field)


@pytest.mark.parametrize(
    ('name', 'reset'),
    [
        *((name, 'sequence') for name in METHODS),
        ('Bilevel, in order', 'never'),
        ('DynamicBilevel', 'never'),
        ('Regeneration', 'never'),
        ('TrackFit', 'never'),
        ('TopologyAdapter, online', 'never'),
    ],
)
def test_killed_at_every_frame(tmp_path, name, reset):
    method = METHODS[name]
    whole, computer, _ = compute(tmp_path, method, reset=reset, folder='whole')
    weights = computer.state_dict()['estimator']
    assert not torch.equal(whole.after.rotmat[0], whole.after.rotmat[1])
    batch = method.get('batch_size') or FROZEN.get(name, 1)
    if method['type'] == 'TopologyAdapter':
        batch = method['batch']
    # Every process continues where the one before it died, so that what one of them forgets is missing at the end.
    begin = 0
    for stop in range(FRAMES):
        with pytest.raises(Stopped) as death:
            compute(tmp_path, method, dict(frames=1), stop, reset, 'killed')
        assert death.value.args[0] == list(range(begin, stop + 1))
        # The frame behind which the process died was not stored, and the ones before it were.
        begin = stop - stop % batch
    again, computer, runner = compute(tmp_path, method, dict(frames=1), None, reset, 'killed')
    assert runner.frames == list(range(begin, FRAMES))
    assert_same(again, whole)
    for key, value in computer.state_dict()['estimator'].items():
        assert torch.equal(value, weights[key]), key


@pytest.mark.parametrize('name, parts', [('Source', ()), ('Bilevel, in order', ('head',))])
def test_only_changed_weights_are_stored(name, parts):
    torch.manual_seed(0)
    run = AdapterRun(ADAPTERS.build(METHODS[name]), ESTIMATORS.build(dict(TINY)).eval())
    predictions = run.run(coloured_sequence('track', FRAMES, 64, 0))
    for _ in range(2):
        next(predictions)
    state = run.midway_state(2)
    assert {weight.split('.')[0] for weight in state['weights']} == set(parts)


@pytest.mark.parametrize('stop', [2, 3, 4])
def test_killed_around_the_border_of_the_interval(tmp_path, stop):
    method = METHODS['Bilevel']
    whole, _, _ = compute(tmp_path, method, folder='whole')
    with pytest.raises(Stopped):
        compute(tmp_path, method, dict(frames=3), stop)
    again, _, runner = compute(tmp_path, method, dict(frames=3))
    # The frozen model's batch of five frames is stored at once, then every third frame of the adapter.
    assert runner.frames[0] == stop - stop % 3
    assert_same(again, whole)


def test_frames_without_a_person_and_single_images(tmp_path):
    method = dict(type='Bilevel', order='first', **ONLINE)
    whole, _, _ = compute(tmp_path, method, reset='frame', folder='whole')
    with pytest.raises(Stopped):
        compute(tmp_path, method, dict(frames=2), 4, 'frame')
    again, _, runner = compute(tmp_path, method, dict(frames=2), None, 'frame')
    assert runner.frames[0] == 4
    assert_same(again, whole)


def test_the_frozen_predictions_are_not_lost(tmp_path, monkeypatch):
    calls = []
    forward = ESTIMATORS.get('HMR').forward

    def counted(self, images):
        calls.append(len(images))
        return forward(self, images)

    method = METHODS['Bilevel']
    with pytest.raises(Stopped):
        compute(tmp_path, method, dict(frames=FRAMES), 0)
    monkeypatch.setattr(ESTIMATORS.get('HMR'), 'forward', counted)
    compute(tmp_path, method, dict(frames=FRAMES))
    assert FRAMES not in calls


def test_a_state_of_other_frames_is_not_used(tmp_path):
    store = MidwayStore(tmp_path, dict(frames=1), resume=True)
    sequence = track()
    part = Prediction(torch.eye(3).repeat(1, 24, 1, 1), torch.zeros(1, 10), torch.ones(1, 3))
    store.save(sequence, [], Midway([part], 1.0))
    assert store.start(sequence, []).frames_before == 1
    moved = track()
    moved.boxes[0] += 1
    assert store.start(moved, []).frames_before == 0
    assert store.start(sequence, ['another']).frames_before == 0
    assert MidwayStore(tmp_path, None, resume=False).start(sequence, []).frames_before == 0
    assert store.start(sequence, []).frames_before == 0  # removed by the one that does not resume


def test_a_damaged_state_is_reported(tmp_path, capfd):
    store = MidwayStore(tmp_path, dict(frames=1), resume=True)
    part = Prediction(torch.eye(3).repeat(1, 24, 1, 1), torch.zeros(1, 10), torch.ones(1, 3))
    store.save(track(), [], Midway([part], 1.0))
    path = store.path('track')
    path.write_bytes(path.read_bytes()[:-40])
    assert store.start(track(), []).frames_before == 0


def test_all_generators_continue(tmp_path):
    store = MidwayStore(tmp_path, dict(frames=1), resume=True)
    part = Prediction(torch.eye(3).repeat(1, 24, 1, 1), torch.zeros(1, 10), torch.ones(1, 3))
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    random.gauss(0, 1), np.random.normal(), torch.randn(3)
    store.save(track(), [], Midway([part], 1.0))
    expected = random.gauss(0, 1), np.random.normal(), float(torch.randn(1))
    random.seed(6), np.random.seed(6), torch.manual_seed(6)
    store.start(track(), [])
    assert (random.gauss(0, 1), np.random.normal(), float(torch.randn(1))) == expected


def test_a_full_disk_does_not_end_the_run(tmp_path, monkeypatch):
    def full(path, write):
        raise DiskError(f'{path}: the disk is full')

    monkeypatch.setattr('hrtk.engine.midway.write_atomically', full)
    method = METHODS['Bilevel']
    result, computer, _ = compute(tmp_path, method, dict(frames=1))
    assert len(result) == FRAMES
    assert not computer.midway.is_due(types.SimpleNamespace(work=99))


def test_storing_costs_little_time(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr('hrtk.engine.midway.time', types.SimpleNamespace(monotonic=lambda: now[0]))
    store = MidwayStore(tmp_path, None, resume=True)
    midway = store.start(track(), [])
    now[0] = 59
    assert not store.is_due(midway)
    now[0] = 61
    assert store.is_due(midway)

    def slow(path, write):
        now[0] += 4

    monkeypatch.setattr('hrtk.engine.midway.write_atomically', slow)
    part = Prediction(torch.eye(3).repeat(1, 24, 1, 1), torch.zeros(1, 10), torch.ones(1, 3))
    store.save(track(), [], Midway([part], 1.0))
    now[0] += 119  # thirty times four seconds
    assert not store.is_due(midway)
    now[0] += 2
    assert store.is_due(midway)


@pytest.mark.parametrize(
    'options',
    [dict(frames=0), dict(frames=1.5), dict(seconds='x'), dict(second=3), dict(seconds=-1)],
)
def test_wrong_options(tmp_path, options):
    with pytest.raises(InputError, match='midway'):
        MidwayStore(tmp_path, options, resume=True)


def test_kill_of_a_process_within_a_track(fork, config, digits, tmp_path):
    options = {
        'adapter.type': 'Walk',
        'dataset.lengths': (12, 3),
        'midway.frames': 4,
    }
    adapt(config, work_dir=tmp_path / 'whole', cfg_options=options)
    assert fork(tmp_path / 'run', options, FAKE_KILL=11)[0][0] == -9
    assert len(list((tmp_path / 'run/results').glob('*/midway_*.pt'))) == 1
    assert not list((tmp_path / 'run/results').glob('*/*.npz'))
    # The process dies at its fifth frame: without the stored state it would not finish the first track.
    assert fork(tmp_path / 'run', options, FAKE_KILL=5)[0][0] == -9
    assert [path.stem for path in (tmp_path / 'run/results').glob('*/*.npz')] == ['clip%2F0']
    assert not list((tmp_path / 'run/results').glob('*/midway_*.pt'))
    adapt(config, work_dir=tmp_path / 'run', cfg_options=options)
    assert digits(tmp_path / 'run') == digits(tmp_path / 'whole')
    first = next((tmp_path / 'run/results').glob('*/clip%2F0.npz'))
    assert Result.load(first).ms_per_frame > 0
