"""No evidence, no update: frames without a visible keypoint, and batches without a usable mask."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch
from literal.boa import LiteralBOA
from literal.dynamic import LiteralDynaBOA
from tiny_parts import (
    SIZE,
    VIEWS,
    RandomViews,
    Tiny,
    equal,
    predict_all,
    tiny_sequence,
    weights_of,
)

from hrtk.adapters import Bilevel, DynamicBilevel, PreAdapt, Preparation, TopologyAdapter, TrackFit
from hrtk.adapters.parts.targets import crop_targets
from hrtk.adapters.track.objectives import LossWeights, Objectives, TrackTargets
from hrtk.errors import InputError
from hrtk.geometry.boxes import boxes_from_keypoints
from hrtk.structures import Prediction

UNSEEN = [0, 3, 4]


def hidden(sequence, frames=None):
    """The same sequence with confidence 0 in some frames, or in all."""
    confidence = sequence.keypoints2d.confidence.clone()
    confidence[slice(None) if frames is None else frames] = 0
    keypoints = dataclasses.replace(sequence.keypoints2d, confidence=confidence)
    return dataclasses.replace(sequence, keypoints2d=keypoints)


def without(sequence, frames):
    """The same sequence without some frames."""
    kept = [t for t in range(len(sequence)) if t not in frames]
    keypoints = sequence.keypoints2d
    return dataclasses.replace(
        sequence,
        frames=sequence.frames[kept],
        boxes=sequence.boxes[kept],
        frame_ids=tuple(map(str, kept)),
        keypoints2d=dataclasses.replace(
            keypoints, xy=keypoints.xy[kept], confidence=keypoints.confidence[kept]
        ),
    )


def boa(model, plain):
    options = dict(lr=1e-3, inner_lr=1e-2, steps=2, interval=2)
    ours = Bilevel(
        **options, teacher_keep=0.8, weights=dict(pose_prior=0.0), source=dict(dataset=VIEWS)
    )
    views = RandomViews(SIZE, double=True)
    literal = LiteralBOA(
        plain,
        **options,
        keep=0.8,
        pool=[views[i] for i in range(len(views))],
        draw=lambda: torch.randint(8, (1,)).tolist(),
    )
    return ours, literal


def dynaboa(model, plain):
    options = dict(lr=1e-3, inner_lr=1e-2, interval=2, threshold=4e-3)
    ours = DynamicBilevel(**options, teacher_keep=0.8, weights=dict(pose_prior=0.0))
    return ours, LiteralDynaBOA(plain, **options, keep=0.8)


@pytest.mark.parametrize('make', [boa, dynaboa])
def test_frames_without_keypoints_are_as_if_they_were_not_there(make):
    """The literal float64 program runs on a sequence from which they are removed, as in the official files."""
    model, plain = Tiny(), Tiny()
    ours, literal = make(model, plain)
    whole = tiny_sequence(frames=8)
    session = ours.start(model)
    torch.manual_seed(3)
    found, weights = [], []
    before = weights_of(model)
    for prediction in session.run(hidden(whole, UNSEEN)):
        found.append(prediction)
        weights.append(weights_of(model))
    torch.manual_seed(3)
    expected = iter(list(literal.adapt(without(whole, UNSEEN))))
    for t, prediction in enumerate(found):
        if t not in UNSEEN:
            assert (prediction.rotmat - next(expected)['rotmat']).abs().max() < 1e-9
            continue
        earlier = weights[t - 1] if t else before
        assert equal(weights[t], earlier), 'a step without evidence'
        present = Tiny()
        present.load_state_dict(earlier, strict=False)
        with torch.no_grad():
            assert torch.equal(present(present.crops(whole, [t])).rotmat, prediction.rotmat)
    end, wanted = weights_of(model), weights_of(plain)
    assert max((end[name] - wanted[name]).abs().max() for name in end) < 1e-9
    teacher, wanted = session.state.teacher, dict(literal.teacher.named_parameters())
    assert max((teacher[name] - wanted[name]).abs().max() for name in teacher) < 1e-9
    assert session.counts['frames_without_evidence'] == 3


@pytest.mark.parametrize('make', [boa, dynaboa])
def test_a_track_without_keypoints_moves_nothing_and_the_stream_goes_on(make):
    model = Tiny()
    session = make(model, Tiny())[0].start(model)
    predict_all(session, tiny_sequence('first', 3, seed=1))
    weights, state = weights_of(model), copy.deepcopy(session.state_dict())
    second = hidden(tiny_sequence('second', 4, seed=2))
    with pytest.warns(UserWarning, match=r'second: none of its spin24 keypoints \(noise\)'):
        found = predict_all(session, second)
    assert equal(weights_of(model), weights) and equal(
        session.state_dict()['teacher'], state['teacher']
    )
    for now, then in zip(
        session.state_dict()['optimizer']['state'].values(), state['optimizer']['state'].values()
    ):
        assert equal(now, then), 'Adam moved'
    with torch.no_grad():
        assert torch.equal(found[2:3], model(model.crops(second, [2])).rotmat)
    assert session.counts['frames_without_evidence'] == 4
    predict_all(session, tiny_sequence('third', 3, seed=3))
    assert not equal(weights_of(model), weights)
    assert 'frames_without_evidence' not in session.counts


def pre_adapt(**options):
    weights = dict(pose=0.0, betas=0.0, camera=0.0)
    return PreAdapt(
        epochs=3, sequences=2, frames=4, lr=1e-3, corruption=None, weights=weights, **options
    )


def test_pre_adaptation_draws_frames_with_keypoints_only():
    tracks = [tiny_sequence(f'track{i}', 6, seed=i) for i in range(3)]
    gapped = [hidden(tracks[0], UNSEEN), hidden(tracks[1]), tracks[2]]
    dense = [without(tracks[0], UNSEEN), tracks[2]]
    ends = []
    for target in (gapped, dense):
        model = Tiny()
        torch.manual_seed(5)
        pre_adapt().prepare(model, target, Preparation())
        ends.append(weights_of(model))
    assert equal(*ends) and not equal(ends[0], weights_of(Tiny()))
    session = pre_adapt().start(Tiny())
    predict_all(session, gapped[0])
    assert session.counts == {'frames_without_evidence': 3}
    predict_all(session, gapped[2])
    assert session.counts == {}
    with pytest.raises(InputError, match='no frame of the target has a keypoint'):
        pre_adapt().prepare(Tiny(), gapped[1:2], Preparation())


def test_a_batch_without_a_mask_makes_no_step():
    """With Adam's moments of an earlier batch, a gradient of zero would move the weights."""
    sequence = tiny_sequence(frames=6)
    masks = [np.zeros((40, 40), np.uint8) for _ in range(6)]
    for t in (0, 1, 2):
        masks[t][8:32, 14:26] = 1
    sequence = dataclasses.replace(sequence, masks=masks)
    model = Tiny()
    adapter = TopologyAdapter(mode='online', batch=3, iterations=3, every=2, lr=1e-3, prior=None)
    session = adapter.start(model)
    weights = [weights_of(model)]
    for _ in session.run(sequence):
        weights.append(weights_of(model))
    assert not equal(weights[0], weights[1]) and equal(weights[1], weights[-1])
    assert session.counts['frames_without_evidence'] == session.counts['skipped_masks'] == 3


def test_a_track_without_a_usable_mask_is_named():
    empty = [np.zeros((40, 40), np.uint8) for _ in range(3)]
    body = np.zeros((40, 40), np.uint8)
    body[8:32, 14:26] = 1
    target = [
        dataclasses.replace(tiny_sequence('bare', 3), masks=empty),
        dataclasses.replace(tiny_sequence('seen', 3, seed=1), masks=[body] * 3),
    ]
    adapter = TopologyAdapter(mode='set', batch=2, tracks=1, iterations=2, every=0, prior=None)
    with pytest.warns(UserWarning, match='bare: none of its masks is usable'):
        adapter.prepare(Tiny(), target, Preparation())


def track_sequence(frames=6):
    sequence = tiny_sequence(frames=frames, dropped=0.0)
    boxes = boxes_from_keypoints(sequence.keypoints2d.xy, sequence.keypoints2d.confidence)
    keypoints = dataclasses.replace(sequence.keypoints2d, xy=sequence.keypoints2d.xy.double())
    return dataclasses.replace(sequence, boxes=boxes, keypoints2d=keypoints, fps=15.0)


def test_track_fit_learns_from_the_frames_with_keypoints():
    whole = track_sequence()
    ends = []
    options = dict(steps=3, lr=1e-3, weights=dict(acceleration=0.0))
    for sequence in (hidden(whole, UNSEEN), without(whole, UNSEEN)):
        model = Tiny()
        session = TrackFit(**options).start(model)
        found = predict_all(session, sequence)
        ends.append((weights_of(model), found))
    (gapped, all_frames), (dense, seen_frames) = ends
    assert max((gapped[name] - dense[name]).abs().max() for name in dense) < 1e-9
    assert (all_frames[[1, 2, 5]] - seen_frames).abs().max() < 1e-9
    model = Tiny()
    session = TrackFit(**options).start(model)
    found = predict_all(session, hidden(whole))
    assert equal(weights_of(model), weights_of(Tiny()))
    with torch.no_grad():
        assert torch.equal(found, model(model.crops(whole, range(6))).rotmat)
    assert session.counts['frames_without_evidence'] == 6


def test_accelerations_are_those_of_neighbours_that_are_seen():
    """Written out: with frame 3 of 8 missing, only 0-1-2, 4-5-6 and 5-6-7 are three moments 1/15 s apart."""
    sequence = track_sequence(8)
    kept = torch.tensor([0, 1, 2, 4, 5, 6, 7])
    seen = TrackTargets.of(sequence, torch.device('cpu'))[kept]
    joints = torch.from_numpy(np.random.default_rng(2).normal(size=(8, 12, 3)))
    rotmat = torch.eye(3, dtype=torch.float64).expand(8, 24, 3, 3)
    prediction = Prediction(rotmat, torch.zeros(8, 10), torch.ones(8, 3))
    weights = LossWeights(0.0, 0.0, 0.0, 0.0, 1.0)
    found = Objectives(weights, 0.1)(
        joints[kept] + torch.tensor([0.0, 0.0, 5.0]),
        prediction[kept],
        joints[kept],
        prediction[kept],
        seen,
    )
    centred = (joints - joints[:, 6:8].mean(1, keepdim=True)).numpy()
    triples = [(0, 1, 2), (4, 5, 6), (5, 6, 7)]
    second = [(centred[a] - 2 * centred[b] + centred[c]) * 15**2 for a, b, c in triples]
    assert float(found) == pytest.approx((np.stack(second) ** 2).mean(), rel=1e-9)


def test_targets_of_unseen_frames():
    keypoints = crop_targets(hidden(tiny_sequence(frames=6), UNSEEN))
    assert keypoints.seen.tolist() == [False, True, True, False, False, True]
