"""The Bilevel adapter in float64 against the literal implementation that the benchmarks time it with."""

from __future__ import annotations

import pytest
import torch
from literal.boa import LiteralBOA  # conftest.py puts its folder on the path
from tiny_parts import SIZE, VIEWS, RandomViews, Tiny, same_run, tiny_sequence, weights_of

from hrtk.adapters import Bilevel
from hrtk.models.priors.gmm import OPEN_GMM, read_gmm

RATES = dict(lr=1e-3, inner_lr=1e-2)
NO_PRIOR = dict(pose_prior=0.0)

# name: (options of both, network, sequence, source batch and order)
CASES = {
    'as published': (dict(), {}, {}, (1, 'sequential')),
    'first order': (dict(order='first', interval=2), {}, {}, (1, 'random')),
    'batch norm, no source': (dict(interval=1), dict(norm='bn', activation='relu'), {}, None),
    'three steps, four crops': (dict(steps=3, interval=2), {}, dict(frames=3), (4, 'random')),
    'measured source joints': (
        dict(source_labels='measured', interval=2, weights=dict(source=3.0)),
        {},
        dict(frames=4),
        (2, 'random'),
    ),
    'three steps, teacher at each': (
        dict(steps=3, interval=2, teacher_update='step', teacher_keep=0.8),
        {},
        dict(frames=3),
        None,
    ),
    'three stages of two steps': (
        dict(scheme='two-stage', steps=3, interval=1, teacher_keep=0.8),
        {},
        dict(frames=3),
        (2, 'random'),
    ),
    'one stage, frame terms': (dict(scheme='one-stage', upper=('frame',)), {}, {}, (2, 'random')),
    'one stage, all terms': (dict(scheme='one-stage', interval=3), {}, {}, (1, 'sequential')),
    'two stages': (dict(scheme='two-stage', upper=('temporal',), interval=2), {}, {}, None),
    'bilevel, temporal above': (dict(upper=('temporal',), interval=2), {}, {}, (1, 'random')),
    'no motion, slow teacher': (
        dict(teacher_keep=0.9, weights=dict(motion=0.0, teacher=3.0)),
        {},
        {},
        None,
    ),
    'no teacher': (dict(interval=2, weights=dict(teacher=0.0, motion=2.0)), {}, {}, None),
    'coco points, truncated': (
        dict(truncate=True, normalise='visible', interval=2),
        {},
        dict(skeleton='coco17', dropped=0.4),
        None,
    ),
    'norm layers only, before': (
        dict(parameters='norm', predict='before', interval=2),
        {},
        {},
        (1, 'random'),
    ),
}


def both(case: str, prior: bool = False):
    options, network, sequence, source = CASES[case]
    options = {**RATES, **options}
    factors = {**({} if prior else NO_PRIOR), **options.pop('weights', {})}
    measured = options.get('source_labels') == 'measured'
    dataset = {**VIEWS, 'measured': measured}
    model, plain = Tiny(**network), Tiny(**network)
    ours = Bilevel(
        **options,
        weights=factors,
        pose_prior=dict(type='GMMPosePrior', dtype=torch.float64),
        source=None if source is None else dict(dataset=dataset, batch=source[0], order=source[1]),
    )
    options['keep'] = options.pop('teacher_keep', 0.1)
    if options.pop('parameters', 'all') == 'norm':
        options['adapts'] = lambda name: '.bn' in name or '.downsample.1.' in name
    views = RandomViews(SIZE, double=True, measured=measured)
    literal = LiteralBOA(
        plain,
        **options,
        **factors,
        mixture=read_gmm(OPEN_GMM) if prior else None,
        pool=None if source is None else [views[i] for i in range(len(views))],
        draw=None if source is None else indices(*source),
    )
    return ours, model, literal, plain, tiny_sequence(**sequence)


def indices(batch: int, order: str):
    """Draws like the source bank: from torch's generator, or one after the other over eight views."""
    place = 0

    def draw():
        nonlocal place
        if order == 'random':
            return torch.randint(8, (batch,)).tolist()
        place += batch
        return [(place - batch + i) % 8 for i in range(batch)]

    return draw


def check(case: str, prior: bool = False):
    ours, model, literal, plain, sequence = both(case, prior)
    session = same_run(ours, model, literal, plain, sequence)
    assert session.counts == {'skipped_updates': 0}


@pytest.mark.parametrize('case', CASES)
def test_equals_the_literal_implementation(case):
    check(case)


def test_equals_the_literal_implementation_with_the_pose_prior():
    check('as published', prior=True)


def test_a_stream_without_resets_equals_the_literal_one():
    ours, model, literal, plain, first = both('first order')
    session = ours.start(model)
    for sequence, seed in ((first, 1), (tiny_sequence('second', 4, seed=5), 2)):
        torch.manual_seed(seed)
        found = list(session.run(sequence))
        torch.manual_seed(seed)
        expected = list(literal.adapt(sequence))
        assert (found[-1].rotmat - expected[-1]['rotmat']).abs().max() < 1e-9
    end, wanted = weights_of(model), weights_of(plain)
    assert max((end[name] - wanted[name]).abs().max() for name in end) < 1e-9
