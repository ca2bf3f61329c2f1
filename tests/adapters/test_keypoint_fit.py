"""KeypointFit against plain loops of torch's Adam, and what it does without evidence."""

import copy

import pytest
import torch
from tiny_parts import Tiny, tiny_sequence

from hrtk.adapters import KeypointFit
from hrtk.adapters.run import AdapterRun
from hrtk.errors import InputError
from hrtk.geometry.boxes import to_crop
from hrtk.geometry.camera import project

RATE = 1e-3


def literal_loss(network, sequence, frames):
    """The sum of both terms, written out; the keypoints are spin24."""
    found = network(network.crops(sequence, frames))
    joints = network.body.joints(found.rotmat, found.betas, 'spin24')
    confidence = sequence.keypoints2d.confidence[frames][..., None]
    target = to_crop(sequence.keypoints2d.xy[frames], sequence.boxes[frames])
    target = torch.where(confidence > 0, target, torch.zeros_like(target))
    square = (project(joints, found.camera) - target).square()
    error = (confidence * square).sum() / (2 * confidence.sum())
    return 10 * error + 1e-3 * (found.betas**2).sum() / len(frames)


def literal_adam(network):
    return torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=RATE)


def literal_step(network, adam, sequence, frames):
    adam.zero_grad()
    literal_loss(network, sequence, frames).backward()
    adam.step()


def predictions_of(adapter, network, sequence):
    torch.manual_seed(5)
    run = AdapterRun(adapter, network)
    return list(run.run(sequence)), run.counts


def assert_same(found, wanted):
    assert len(found) == len(wanted)
    for ours, theirs in zip(found, wanted, strict=True):
        for name in ('rotmat', 'betas', 'camera'):
            assert (getattr(ours, name) - getattr(theirs, name)).abs().max() < 1e-9


@pytest.mark.parametrize('reset', ['frame', 'sequence'])
def test_frames_are_a_plain_loop(reset):
    network = Tiny()
    sequence = tiny_sequence(frames=3)
    twin = copy.deepcopy(network)
    adam = literal_adam(twin)
    wanted = []
    for t in range(3):
        if reset == 'frame':
            twin = copy.deepcopy(network)
            adam = literal_adam(twin)
        for _ in range(2):
            literal_step(twin, adam, sequence, [t])
        wanted.append(twin(twin.crops(sequence, [t])))
    found, counts = predictions_of(KeypointFit(lr=RATE, steps=2, reset=reset), network, sequence)
    assert_same(found, wanted)
    assert counts == {'skipped_updates': 0}


def test_a_sequence_is_fitted_in_batches_of_all_its_frames():
    network = Tiny()
    sequence = tiny_sequence(frames=3)
    twin = copy.deepcopy(network)
    adam = literal_adam(twin)
    torch.manual_seed(5)
    for _ in range(2):
        order = torch.randperm(3).tolist()
        literal_step(twin, adam, sequence, order[:2])
        literal_step(twin, adam, sequence, order[2:])
    wanted = [twin(twin.crops(sequence, [t])) for t in range(3)]
    adapter = KeypointFit(lr=RATE, steps=2, scope='sequence', batch=2, reset='sequence')
    found, _ = predictions_of(adapter, network, sequence)
    assert_same(found, wanted)


def test_until_ends_the_steps():
    sequence = tiny_sequence(frames=2)
    start = Tiny()
    unchanged = [start(start.crops(sequence, [t])) for t in range(2)]
    found, counts = predictions_of(KeypointFit(steps=3, until=1e4), Tiny(), sequence)
    assert_same(found, unchanged)
    assert counts == {'skipped_updates': 0, 'steps': 0.0}
    _, counts = predictions_of(KeypointFit(steps=3, until=1e-3), Tiny(), sequence)
    assert counts['steps'] == 3.0


@pytest.mark.parametrize('scope', ['frame', 'sequence'])
def test_without_keypoints_nothing_moves(scope):
    sequence = tiny_sequence(frames=2)
    sequence.keypoints2d.confidence.zero_()
    start = Tiny()
    unchanged = [start(start.crops(sequence, [t])) for t in range(2)]
    with pytest.warns(UserWarning, match='none of its spin24 keypoints'):
        found, counts = predictions_of(
            KeypointFit(steps=2, scope=scope, reset='sequence'), Tiny(), sequence
        )
    assert_same(found, unchanged)
    assert counts['frames_without_evidence'] == 2


@pytest.mark.parametrize(
    'options', [dict(until=3.0, scope='sequence'), dict(until=0.0), dict(weights=dict(pose=1.0))]
)
def test_refuses(options):
    with pytest.raises(InputError, match='KeypointFit'):
        KeypointFit(**options)
