"""FewShotMetric chooses: the shots among more frames, and the number of steps on videos left out."""

import dataclasses

import numpy as np
import pytest
import torch
from few_shot_parts import RATE, Labelled, TinyVideo, adapter, poses, prepared, with_truth
from tiny_parts import (
    Diary,
    Tiny,
    equal,
)

from hrtk.adapters import FewShotMetric, Preparation
from hrtk.adapters.few_shot.diversity import diverse_shots, farthest_first
from hrtk.adapters.few_shot.shots import draw_shots
from hrtk.errors import InputError


def test_few_shots_are_among_more_and_spread_over_the_sequences():
    sequences = Labelled()
    draws = {count: draw_shots(sequences, count, 3) for count in (1, 4, 8, 12, 29)}
    for fewer, more in zip(list(draws), list(draws)[1:]):
        assert draws[more][:fewer] == draws[fewer]
    assert sorted(which for which, _ in draws[4]) == [0, 1, 2, 3]
    assert sorted(which for which, _ in draws[12]) == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    assert len({(which, frames[0]) for which, frames in draws[29]}) == 29
    assert draw_shots(sequences, 12, 3) == draws[12] != draw_shots(sequences, 12, 4)
    clips = draw_shots(sequences, 5, 3, clip=4)
    assert all(len(frames) == 4 and frames[0] % 4 == 0 for _, frames in clips)
    assert len({(which, frames[0]) for which, frames in clips}) == 5


def test_frames_without_labels_are_no_shots():
    sequences = Labelled()
    valid = torch.zeros(5, dtype=torch.bool)
    valid[2] = True
    sequences[0] = dataclasses.replace(
        sequences[0], truth=dataclasses.replace(sequences[0].truth, valid=valid)
    )
    sequences[3] = dataclasses.replace(sequences[3], truth=None)
    drawn = draw_shots(sequences, 22, 0)
    assert [frames[0] for which, frames in drawn if which == 0] == [2] and 3 not in {
        which for which, _ in drawn
    }
    with pytest.raises(InputError, match='23 labelled frames are wanted; 4 sequences have 22'):
        draw_shots(sequences, 23, 0)
    with pytest.raises(InputError, match='6 labelled clips of 4 frames .* have 5'):
        draw_shots(sequences, 6, 0, clip=4)


def farthest(points, first, count):
    """Point by point, in float64."""
    order = [first]
    while len(order) < count:
        gaps = [min(np.linalg.norm(p - points[i]) for i in order) for p in points]
        order.append(int(np.argmax(gaps)))
    return order


@pytest.mark.parametrize('space', ['poses', 'features'])
def test_diverse_shots_are_the_farthest_in_the_predictions(space):
    sequences, model = Labelled(), Tiny()
    chosen = diverse_shots(model, sequences, 9, 3, space=space)
    frames = [(s, t) for s, sequence in enumerate(sequences) for t in range(len(sequence))]
    points = []
    with torch.no_grad():
        for s, t in frames:
            out = model(model.crops(sequences[s], [t]))
            joints = model.body.joints(out.rotmat, out.betas, 'spin24')[0]
            points.append((poses(joints)[:14] if space == 'poses' else out.features[0]).numpy())
    points = [point.ravel() for point in points]
    found = [frames.index((s, shot[0])) for s, shot in chosen]
    assert found == farthest(points, found[0], 9) and len(set(found)) == 9
    assert chosen[:4] == diverse_shots(model, sequences, 4, 3, space=space)
    assert len({diverse_shots(model, sequences, 1, seed, space=space)[0] for seed in range(9)}) > 3
    # Labels are not read; frames without them are no candidates.
    other = [with_truth(sequence, 50 + i) for i, sequence in enumerate(sequences)]
    assert diverse_shots(model, other, 9, 3, space=space) == chosen
    valid = torch.zeros(9, dtype=torch.bool)
    other[1] = dataclasses.replace(other[1], truth=dataclasses.replace(other[1].truth, valid=valid))
    assert 1 not in {s for s, _ in diverse_shots(model, other, 20, 3, space=space)}
    with pytest.raises(InputError, match='21 labelled frames are wanted; 4 sequences have 20'):
        diverse_shots(model, other, 21, 3, space=space)


def test_points_that_are_not_finite_come_last():
    points = torch.tensor([[0.0], [float('nan')], [1.0], [5.0], [float('inf')], [2.0]])
    assert farthest_first(points, 2, 6) == [2, 3, 0, 5, 1, 4]
    assert farthest_first(points, 1, 3)[0] == 0


def test_diverse_clips_and_diverse_training():
    clips = diverse_shots(TinyVideo().eval(), Labelled(), 5, 3, clip=4, space='features')
    assert len({(s, frames[0]) for s, frames in clips}) == 5
    assert all(len(frames) == 4 and frames[0] % 4 == 0 for _, frames in clips)
    assert not equal(prepared(Tiny(), choice='diverse'), prepared(Tiny()))


def left_out_errors(number, checks=(0, 2, 4, 5), **options):
    """Errors on one video, after each number of steps, of adapters that never saw its shots, in metres."""
    sequences = Labelled()
    shots = draw_shots(sequences, 12, 7)
    video = list(dict.fromkeys(s for s, _ in shots))[number]

    class Kept(FewShotMetric):
        def _choose_shots(self, *_):
            return [shot for shot in shots if shot.sequence != video]

    whole, totals = adapter(shots=12, **options), []
    for steps in checks:
        model = Tiny()
        torch.manual_seed(7)
        same = {f.name: getattr(whole, f.name) for f in dataclasses.fields(whole)}
        ours = Kept(**{**same, 'steps': steps})
        model.load_state_dict(ours.prepare(model, [], Preparation()) or model.state_dict())
        total = 0
        with torch.no_grad():
            for _, frames in (shot for shot in shots if shot.sequence == video):
                t, sequence = frames[0], sequences[video]
                out = model(model.crops(sequence, [t]))
                found = poses(model.body.joints(out.rotmat, out.betas, 'spin24')[0])
                truth = sequence.truth
                joints = model.body.joints(truth.rotmat[t][None], truth.betas[t][None], 'spin24')[0]
                total += float((found - poses(joints))[:14].norm(dim=-1).mean())
        totals.append(total)
    return totals


@pytest.mark.parametrize('lr, leave_out', [(RATE, 2), (5e-2, 4)])
def test_the_steps_are_those_that_are_best_on_videos_left_out(lr, leave_out):
    diary = Diary()
    options = dict(shots=12, lr=lr, leave_out=leave_out, check_every=2)
    ours = prepared(Tiny(), diary=diary, **options)
    totals = np.sum([left_out_errors(i, lr=lr) for i in range(leave_out)], 0)
    stored = np.sum(diary.states['validation']['errors'], 0)
    np.testing.assert_allclose(stored, totals, rtol=1e-9)
    best = (0, 2, 4, 5)[int(np.argmin(totals))]
    stages = [step.stage for step in diary.steps]
    assert stages == ['validation'] * leave_out + ['adapt'] * best
    alone = prepared(Tiny(), shots=12, lr=lr, steps=best) or Tiny().state_dict()
    assert equal(ours, alone)


def test_a_killed_choice_of_steps_goes_on():
    options = dict(shots=12, leave_out=3, check_every=2)
    whole = prepared(Tiny(), **options)

    class Killed(Diary):
        def save(self, name, state):
            super().save(name, state)
            if self.kill and name == 'validation' and len(state['errors']) == 2:
                raise KeyboardInterrupt

    diary = Killed(kill=99)
    with pytest.raises(KeyboardInterrupt):
        prepared(Tiny(), diary=diary, **options)
    diary.kill = None
    assert equal(prepared(Tiny(), diary=diary, **options), whole)
    assert [step.done for step in diary.steps if step.stage == 'validation'] == [1, 3]
    with pytest.raises(InputError, match='leave_out=3 videos are left out, and 2 have shots'):
        prepared(Tiny(), **dict(options, shots=2))
