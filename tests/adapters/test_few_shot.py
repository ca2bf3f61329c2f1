"""FewShotMetric against Algorithm 1 read as a loop over triplets in float64; shots; kills; what it asks for."""

import pytest
import torch
from few_shot_parts import RATE, Labelled, one_loss, prepared
from tiny_parts import (
    Diary,
    Tiny,
    equal,
    weights_of,
)

from hrtk.adapters.few_shot.shots import draw_shots


@pytest.mark.parametrize(
    'variant, reduction, w_joints, rates',
    [
        ('thesis', 'mean', 0.0, (RATE, RATE)),
        ('kim', 'sum', 0.3, (RATE, RATE / 2)),
        ('abs', 'mean', 0.0, (RATE, RATE)),
    ],
)
def test_equals_a_loop_over_triplets(variant, reduction, w_joints, rates):
    factors, diary = dict(metric=0.5, metric_joints=w_joints), Diary()
    ours = prepared(
        Tiny(),
        diary=diary,
        steps=2,
        variant=variant,
        reduction=reduction,
        weights=factors,
        schedule='linear' if rates[1] < RATE else 'constant',
    )
    model, sequences = Tiny(), Labelled()
    shots = [(s, frames[0]) for s, frames in draw_shots(sequences, 6, 7)]
    adam = torch.optim.Adam(model.parameters(), lr=RATE)
    for step in range(2):
        torch.manual_seed(7 + step)
        draws = torch.randperm(6)[:4].tolist(), torch.randint(7, (7,)).tolist()
        adam.zero_grad()
        loss = one_loss(model, draws, shots, sequences, variant, reduction, 0.5, w_joints)
        told = sum(
            factors.get(name, 1) * float(value) for name, value in diary.steps[step].numbers.items()
        )
        assert loss.item() == pytest.approx(told, rel=1e-8)  # crops of the source are float32
        loss.backward()
        adam.param_groups[0]['lr'] = rates[step]
        adam.step()
    start, theirs = weights_of(Tiny()), weights_of(model)
    assert max((theirs[name] - start[name]).abs().max().item() for name in theirs) > 1.4 * RATE
    for name, value in theirs.items():
        # Adam's first steps are signs: where a gradient all but vanishes, its rounding is a share of a step.
        torch.testing.assert_close(ours[name], value, rtol=0, atol=1e-3 * RATE)


def test_mirrored_shots_and_source_crops_equal_the_loop(monkeypatch):
    # Distortion of strength 0 changes nothing, but it draws random numbers between the two halves.
    monkeypatch.setattr('hrtk.adapters.few_shot.process.distort', lambda images, strength: images)
    diary = Diary()
    prepared(Tiny(), seed=9, diary=diary, steps=1, augment=0)
    sequences = Labelled()
    assert all((seq.keypoints2d.confidence.diff() != 0).any() for seq in sequences)
    shots = [(s, frames[0]) for s, frames in draw_shots(sequences, 6, 9)]
    torch.manual_seed(9)
    draws = torch.randperm(6)[:4].tolist(), torch.randint(7, (7,)).tolist()
    flips = (torch.rand(4) < 0.5).tolist(), (torch.rand(7) < 0.5).tolist()
    assert all(0 < sum(flip) < len(flip) for flip in flips)
    with torch.no_grad():
        loss = one_loss(Tiny(), draws, shots, sequences, 'thesis', 'mean', 0.5, 0.0, flips)
    numbers = diary.steps[0].numbers
    told = float(numbers['loss']) + 0.5 * float(numbers['metric'])
    assert told == pytest.approx(loss.item(), rel=1e-6)  # crops of the source are float32


def test_distorted_crops_change_the_steps_and_not_the_labels():
    plain, mirror, strong = Diary(), Diary(), Diary()
    prepared(Tiny(), diary=plain)
    prepared(Tiny(), diary=mirror, augment=0)
    prepared(Tiny(), diary=strong, augment=1)
    first = [float(diary.steps[0].numbers['loss']) for diary in (plain, mirror, strong)]
    assert len(set(first)) == 3
    assert first[2] == pytest.approx(first[1], rel=0.5)


def test_reports_the_parts_of_its_loss_and_the_metric_matters():
    diary, plain = Diary(), Diary()
    whole = prepared(Tiny(), diary=diary)
    bare = prepared(Tiny(), diary=plain, weights=dict(metric=0))
    assert set(diary.steps[0].numbers) == {'loss', 'metric'} and set(plain.steps[0].numbers) == {
        'loss'
    }
    assert float(diary.steps[0].numbers['loss']) == float(
        plain.steps[0].numbers['loss']
    )  # the same shots and source crops
    assert len(diary.steps) == 5 and not equal(whole, bare)


@pytest.mark.parametrize(
    'kill, options',
    [
        (1, {}),
        (2, {}),
        (3, dict(schedule='linear')),
        (4, dict(parameters='layer4+head')),
        (3, dict(augment=1.0)),
        (2, dict(augment=0.5, parameters='layer4+head')),
    ],
)
def test_goes_on_inside_with_the_same_digits(kill, options):
    whole, diary = prepared(Tiny(), **options), Diary(kill)
    with pytest.raises(KeyboardInterrupt):
        prepared(Tiny(), diary=diary, **options)
    diary.kill = None
    assert equal(prepared(Tiny(), diary=diary, **options), whole)
    diary.result = lambda: whole
    assert prepared(Tiny(), diary=diary, **options) is whole


def test_a_frozen_trunk_changes_time_alone():
    ours = prepared(Tiny(), parameters='layer4+head')
    model = Tiny()
    model.behind_trunk = lambda name: True  # as if nothing could be run once for all
    theirs = prepared(model, parameters='layer4+head')
    start = Tiny().state_dict()
    moved = {name for name in start if not torch.equal(ours[name], start[name])}
    assert moved and all(name.startswith(('backbone.layer4.', 'head.')) for name in moved)
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=0, atol=1e-9)


def test_batch_norm_keeps_its_statistics():
    model = Tiny(norm='bn')
    before = {name: value.clone() for name, value in model.named_buffers() if 'running' in name}
    after = prepared(model, steps=1)
    assert before and all(torch.equal(after[name], value) for name, value in before.items())
