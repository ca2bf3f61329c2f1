"""What DynamicBilevel does around its steps, and what a frozen trunk saves both bilevel adapters."""

from __future__ import annotations

import copy

import pytest
import torch
from tiny_parts import (
    SIZE,
    VIEWS,
    Tiny,
    equal,
    predict_all,
    run,
    tiny_sequence,
    weights_of,
    with_infinity,
)

from hrtk.adapters import Bilevel, DynamicBilevel, Preparation
from hrtk.adapters.parts.parameter_selection import select_parameters
from hrtk.adapters.parts.trunk import Trunk, TrunkCache
from hrtk.adapters.run import AdapterRun
from hrtk.errors import InputError
from hrtk.models.estimators import Estimator
from hrtk.registry import ADAPTERS


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('HRTK_CACHE', str(tmp_path))


def make(weights: dict | None = None, **options) -> DynamicBilevel:
    settings = dict(
        lr=1e-3,
        inner_lr=1e-3,
        interval=2,
        threshold=5e-3,
        max_extra=2,
        weights={'pose_prior': 0.0, **(weights or {})},
    )
    return DynamicBilevel(**{**settings, **options})


class WithoutCut(Tiny):
    """The same network, which offers no trunk."""

    trunk, from_trunk, behind_trunk = Estimator.trunk, Estimator.from_trunk, Estimator.behind_trunk


@pytest.mark.parametrize('which', ['layer4+head', 'head', r'layer4\.1\.bn'])
@pytest.mark.parametrize(
    'adapter',
    [
        lambda which: make(parameters=which, exemplars=dict(dataset=VIEWS, batch=2)),
        lambda which: make(
            parameters=which,
            order='second',
            extra='bilevel',
            exemplars=dict(dataset=VIEWS, mode='cluster', clusters=2),
        ),
        lambda which: Bilevel(
            lr=1e-3,
            inner_lr=1e-3,
            interval=2,
            weights=dict(pose_prior=0.0),
            parameters=which,
            source=dict(dataset=VIEWS, batch=3),
        ),
    ],
    ids=['dynamic', 'second', 'bilevel'],
)
def test_a_shared_trunk_changes_no_number(adapter, which, monkeypatch):
    shared, plain, adapters = (
        Tiny(norm='bn'),
        WithoutCut(norm='bn'),
        (adapter(which), adapter(which)),
    )
    passes = []
    trunk = Tiny.trunk
    monkeypatch.setattr(
        Tiny, 'trunk', lambda self, images: passes.append(len(images)) or trunk(self, images)
    )
    for seed in (1, 2):  # the second sequence finds the exemplars of the first
        sequence = tiny_sequence('noise', 4, seed)
        ours, expected = (
            run(a, model, sequence, seed) for a, model in zip(adapters, (shared, plain))
        )
        assert (ours - expected).abs().max() < 1e-10
    ends = weights_of(shared), weights_of(plain)
    assert max((ends[0][name] - ends[1][name]).abs().max() for name in ends[0]) < 1e-10
    assert not equal(ends[0], weights_of(Tiny(norm='bn')))
    assert 8 < sum(passes) <= 8 + 8, 'once per frame and at most once per exemplar'


def test_weights_before_the_cut_need_whole_passes(monkeypatch):
    monkeypatch.setattr(Tiny, 'trunk', None)
    run(make(parameters='norm'), Tiny(), tiny_sequence(frames=1))


def test_selection_of_the_last_stage_and_the_head():
    chosen = select_parameters(Tiny(), 'layer4+head')
    assert set(chosen) == {
        name for name in weights_of(Tiny()) if 'layer4' in name or name.startswith('head.')
    }


def test_a_trunk_remembers_as_much_as_it_may(monkeypatch):
    model, read = Tiny(), []

    def crops(index):
        read.extend(index.tolist())
        return torch.stack([torch.full((3, SIZE, SIZE), float(i)).double() for i in index])

    cache = TrunkCache(limit=3 * model.trunk(crops(torch.tensor([0])))[0].nbytes)
    read.clear()
    trunk = Trunk(model, ['head.fc1.weight'])
    for wanted, fresh in (
        ([0, 1], [0, 1]),
        ([1, 0, 1], []),
        ([2, 3], [2, 3]),
        ([1], []),
        ([0], [0]),
        ([4, 5, 6, 7, 4], [4, 5, 6, 7]),
    ):
        found = cache.get(trunk, torch.tensor(wanted), crops)
        assert read == fresh
        with torch.no_grad():
            assert (found - model.trunk(crops(torch.tensor(wanted)))).abs().max() < 1e-12
        read.clear()
    cache.get(Trunk(model, ['head.fc1.weight']), torch.tensor([7]), crops)
    assert read == []
    with torch.no_grad():
        model.backbone.conv1.weight.mul_(2)
    cache.get(Trunk(model, ['head.fc1.weight']), torch.tensor([7]), crops)
    assert read == [7]


def test_no_step_without_need_and_never_more_than_allowed():
    session = make(threshold=2.5).start(Tiny())  # a cosine turns by two at most
    predict_all(session, tiny_sequence(frames=3))
    assert session.counts == dict(skipped_updates=0, extra_steps=0.0)
    session = make(threshold=-1.0).start(Tiny())
    predict_all(session, tiny_sequence(frames=3))
    assert session.counts['extra_steps'] == 2


def test_every_pass_over_the_frame_is_used():
    """One at the start, one above, one after every step; and one of the teacher per step."""
    model, adapter, passes = Tiny(), make(threshold=-1.0, max_extra=3), []
    model.backbone.register_forward_hook(lambda module, given, out: passes.append(len(out)))
    run(adapter, model, tiny_sequence(frames=1))
    assert len(passes) == 2 + 4 + 4


def test_a_frame_that_is_not_finite_is_skipped():
    model = Tiny()
    session = make(exemplars=dict(dataset=VIEWS), interval=4).start(model)
    seen = [weights_of(model)]
    for _ in session.run(with_infinity(tiny_sequence(frames=4), 2)):
        seen.append(weights_of(model))
    assert [equal(a, b) for a, b in zip(seen, seen[1:])] == [False, False, True, False]
    assert session.counts['skipped_updates'] == 1


def test_a_stream_killed_between_sequences_goes_on_to_the_same_digits(tmp_path):
    options = dict(reset='never', exemplars=dict(dataset=VIEWS, mode='cluster', clusters=2))
    first, second = tiny_sequence('first', 3, seed=1), tiny_sequence('second', 3, seed=2)
    model, adapter = Tiny(), make(**options)
    adapter.prepare(model, None, Preparation())
    whole = AdapterRun(adapter, model)
    predict_all(whole, first)
    torch.save(dict(model=model.state_dict(), adapter=whole.state_dict()), tmp_path / 'state.pt')
    expected = predict_all(whole, second, seed=11)
    stored = torch.load(tmp_path / 'state.pt', weights_only=True)
    resumed, adapter = Tiny(), make(**options)
    adapter.prepare(resumed, None, Preparation())  # the loop prepares before it resumes
    second_part = AdapterRun(adapter, resumed)
    second_part.resume(stored['model'], stored['adapter'])
    assert torch.equal(predict_all(second_part, second, seed=11), expected)


def test_reset_by_sequence_forgets_everything_but_the_weights_that_the_loop_restores():
    options = dict(exemplars=dict(dataset=VIEWS, topk=4))
    model, adapter = Tiny(), make(**options)
    start = copy.deepcopy(model.state_dict())
    run(adapter, model, tiny_sequence('first', 3, seed=1))
    model.load_state_dict(start)
    again = run(adapter, model, tiny_sequence('second', 3, seed=2))
    assert torch.equal(again, run(make(**options), Tiny(), tiny_sequence('second', 3, seed=2)))


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(extra='double'), 'DynamicBilevel: extra'),
        (dict(order='third'), 'order'),
        (dict(scheme='bilevel'), 'scheme'),
        (dict(weights=dict(motoin=1.0)), 'DynamicBilevel.*motoin'),
        (dict(exemplars=dict()), 'folder'),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(InputError, match=message):
        ADAPTERS.build(dict(type='DynamicBilevel', **options))


def test_a_head_that_keeps_no_features():
    model = Tiny()
    regress = model.head.forward
    model.head.forward = lambda features: regress(features)[:3]
    with pytest.raises(InputError, match='Tiny have no `hidden`.*max_extra=0'):
        run(make(), model, tiny_sequence(frames=1))
