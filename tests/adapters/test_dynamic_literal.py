"""The DynamicBilevel adapter in float64 against the literal implementation that the benchmarks time it with."""

from __future__ import annotations

import pytest
import torch
from literal.dynamic import LiteralDynaBOA  # conftest.py puts its folder on the path
from tiny_parts import SIZE, VIEWS, RandomViews, Tiny, same_run, tiny_sequence

from hrtk.adapters import DynamicBilevel, Preparation
from hrtk.models.priors.gmm import OPEN_GMM, read_gmm

RATES = dict(lr=1e-3, inner_lr=1e-2, interval=3)

# name: (options of both, network, sequence, exemplars)
CASES = {
    'as released': (
        dict(lr=4e-4, threshold=1e-3),
        {},
        dict(frames=10),
        dict(mode='cluster', clusters=3),
    ),
    'nearest, second order': (
        dict(order='second', threshold=3e-3),
        {},
        dict(frames=4),
        dict(batch=2),
    ),
    'bilevel extra steps': (
        dict(extra='bilevel', threshold=8e-3, max_extra=3),
        {},
        dict(frames=4),
        dict(batch=2),
    ),
    'measured joints of exemplars': (
        dict(threshold=4e-3, source_labels='measured', weights=dict(source=3.0)),
        {},
        dict(frames=4),
        dict(mode='cluster', clusters=3),
    ),
    'teacher once per frame': (
        dict(threshold=4e-3, teacher_keep=0.8, teacher_update='frame'),
        {},
        dict(frames=4),
        None,
    ),
    'no exemplars, batch norm': (
        dict(threshold=4e-3, teacher_keep=0.9),
        dict(norm='bn', activation='relu'),
        dict(frames=5),
        None,
    ),
    'no extra step, certain motion': (
        dict(max_extra=0, certain_motion=True, normalise='visible', truncate=True),
        {},
        dict(frames=5, skeleton='coco17', dropped=0.3),
        dict(batch=1),
    ),
    'neither motion nor teacher, before': (
        dict(weights=dict(motion=0.0, teacher=0.0), predict='before', threshold=1e-3),
        {},
        dict(frames=4),
        dict(batch=1),
    ),
}


def pair(case: str, prior: bool):
    options, network, sequence, exemplars = CASES[case]
    options = {**RATES, **options}
    factors = {**({} if prior else dict(pose_prior=0.0)), **options.pop('weights', {})}
    measured = options.get('source_labels') == 'measured'
    dataset = {**VIEWS, 'measured': measured}
    model, plain = Tiny(**network), Tiny(**network)
    ours = DynamicBilevel(
        **options,
        weights=factors,
        pose_prior=dict(type='GMMPosePrior', dtype=torch.float64),
        exemplars=None if exemplars is None else dict(dataset=dataset, **exemplars),
    )
    options['keep'] = options.pop('teacher_keep', 0.1)
    bank = {}
    if exemplars is not None:
        ours.prepare(model, None, Preparation())
        arrays, views = (
            ours.exemplar_bank._arrays,
            RandomViews(SIZE, double=True, measured=measured),
        )
        bank = dict(
            pool=[views[i] for i in range(len(views))],
            features=arrays['features'],
            batch=exemplars.get('batch', 1),
        )
        if 'clusters' in exemplars:
            bank |= dict(
                centers=arrays['centers'],
                clusters=[
                    part.tolist() for part in arrays['members'].split(arrays['counts'].tolist())
                ],
            )
    literal = LiteralDynaBOA(
        plain, read_gmm(OPEN_GMM) if prior else None, **bank, **options, **factors
    )
    return ours, model, literal, plain, tiny_sequence(**sequence)


@pytest.mark.parametrize('case, prior', [*((case, False) for case in CASES), ('as released', True)])
def test_equals_the_literal_implementation(case, prior, tmp_path, monkeypatch):
    monkeypatch.setenv('HRTK_CACHE', str(tmp_path))
    ours, model, literal, plain, sequence = pair(case, prior)
    session = same_run(ours, model, literal, plain, sequence)
    assert [steps - 1 for steps in session.steps_taken] == literal.extra_steps
    assert session.counts == dict(
        skipped_updates=0, extra_steps=sum(literal.extra_steps) / len(sequence)
    )
    if ours.max_extra:
        assert len(set(literal.extra_steps)) > 1, (
            f'frames should differ in their steps: {literal.extra_steps}'
        )
