"""Frames of a stream, pushed one at a time, against the run over the finished sequence."""

from __future__ import annotations

import copy

import pytest
import torch
from tiny_parts import VIEWS, Tiny, equal, tiny_sequence, weights_of

from hrtk.adapters import FROZEN, Effort, Source, TrackFit
from hrtk.errors import InputError
from hrtk.registry import ADAPTERS

ONLINE = dict(lr=1e-3, inner_lr=1e-3, interval=2)
BILEVEL = dict(
    ONLINE,
    type='Bilevel',
    steps=2,
    weights=dict(pose_prior=0.0, source=0.3),
    source=dict(batch=2, pool=4, dataset=VIEWS),
)
UNTIL = dict(BILEVEL, until=2.0, predict='before', temporal_every=2)
DYNAMIC = dict(ONLINE, type='DynamicBilevel', max_extra=1, weights=dict(pose_prior=0.0, source=0.0))


def hidden_at(sequence, frame: int):
    """The same sequence without keypoints in one frame."""
    sequence.keypoints2d.confidence[frame] = 0
    return sequence


def push_all(session, sequence, first: int = 0, effort=None) -> list[torch.Tensor]:
    """The rotations of the frames from ``first`` on, each pushed alone."""
    return [
        session.push(sequence.part(t, t + 1), effort).rotmat for t in range(first, len(sequence))
    ]


@pytest.mark.parametrize('config', [BILEVEL, UNTIL, DYNAMIC, dict(type='Source')])
def test_pushed_frames_have_the_digits_of_the_run(config):
    adapter = ADAPTERS.build(dict(config))
    sequence = hidden_at(tiny_sequence(), 3)
    whole = Tiny()
    torch.manual_seed(5)
    expected = [prediction.rotmat for prediction in adapter.start(whole).run(sequence)]
    live = Tiny()
    torch.manual_seed(5)
    found = push_all(adapter.start(live), sequence)
    torch.testing.assert_close(torch.cat(found), torch.cat(expected), rtol=0, atol=1e-12)
    if config['type'] != 'Source':
        assert not torch.equal(found[-1], Tiny()(Tiny().crops(sequence, [7])).rotmat)


def test_a_stream_goes_on_from_its_state():
    adapter = ADAPTERS.build(dict(UNTIL))
    sequence = tiny_sequence()
    model = Tiny()
    session = adapter.start(model)
    torch.manual_seed(1)
    push_all(session, sequence.part(0, 5))
    state = copy.deepcopy(session.stream_state())
    weights = weights_of(model)
    numbers = torch.get_rng_state()
    expected = push_all(session, sequence, 5)

    other = Tiny()
    again = adapter.start(other)
    other.load_state_dict({**other.state_dict(), **weights})
    again.load_stream(state)
    torch.set_rng_state(numbers)
    assert torch.equal(torch.cat(push_all(again, sequence, 5)), torch.cat(expected))
    assert equal(weights_of(other), weights_of(model))


def test_effort_is_the_number_of_steps_and_their_order():
    """An effort gives the digits of an adapter that has it as its options, and leaves the options alone."""
    options = dict(BILEVEL, order='second')
    sequence = tiny_sequence(frames=4)
    for effort in (Effort(1, 'first'), Effort(1, 'second'), Effort(2, 'first')):
        other = ADAPTERS.build(dict(options, steps=effort.steps, order=effort.order))
        whole = other.start(Tiny())
        torch.manual_seed(2)
        expected = [prediction.rotmat for prediction in whole.run(sequence)]
        session = ADAPTERS.build(dict(options)).start(Tiny())
        torch.manual_seed(2)
        found = push_all(session, sequence, effort=effort)
        torch.testing.assert_close(torch.cat(found), torch.cat(expected), rtol=0, atol=1e-12)
        assert (session.steps, session.order) == (2, 'second')
    assert session.efforts == (
        Effort(2, 'second'),
        Effort(2, 'first'),
        Effort(1, 'second'),
        Effort(1, 'first'),
        FROZEN,
    )


def test_without_steps_nothing_changes():
    model = Tiny()
    session = ADAPTERS.build(dict(BILEVEL)).start(model)
    before = weights_of(model)
    sequence = tiny_sequence(frames=3)
    found = push_all(session, sequence, effort=FROZEN)
    assert equal(weights_of(model), before)
    session = Source().start(Tiny())
    expected = [prediction.rotmat for prediction in session.run(sequence)]
    torch.testing.assert_close(torch.cat(found), torch.cat(expected), rtol=0, atol=1e-12)


def test_methods_of_whole_sequences_have_no_streams():
    sequence = tiny_sequence(frames=1)
    with pytest.raises(InputError, match='needs a whole sequence'):
        TrackFit().start(Tiny()).push(sequence)
