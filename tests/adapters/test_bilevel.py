"""What Bilevel does around its steps: bad frames, resets, carried state, options."""

from __future__ import annotations

import copy
import dataclasses
import warnings

import pytest
import torch
from tiny_parts import (
    SIZE,
    VIEWS,
    RandomViews,
    Tiny,
    equal,
    predict_all,
    random_sequence,
    run,
    tiny_sequence,
    weights_of,
    with_infinity,
)

from hrtk.adapters import Bilevel
from hrtk.adapters.parts import guarded_adam
from hrtk.adapters.parts.parameter_selection import select_parameters
from hrtk.adapters.parts.posed import PosedPrediction
from hrtk.adapters.parts.source_bank import SourceBank, SourceSampler
from hrtk.adapters.parts.targets import crop_targets
from hrtk.adapters.parts.trunk import Trunk
from hrtk.adapters.run import AdapterRun
from hrtk.body_models.skeletons import joint_names
from hrtk.errors import InputError
from hrtk.geometry.boxes import normalise
from hrtk.models.estimators import HMR
from hrtk.registry import ADAPTERS
from hrtk.structures import Keypoints2D


def make(weights: dict | None = None, **options) -> Bilevel:
    settings = dict(
        type='Bilevel',
        lr=1e-3,
        inner_lr=1e-3,
        order='first',
        interval=3,
        weights={'pose_prior': 0.0, **(weights or {})},
    )
    return ADAPTERS.build({**settings, **options})


@pytest.mark.parametrize('fused', [True, False])
@pytest.mark.parametrize('scheme', ['bilevel', 'one-stage', 'two-stage'])
def test_a_frame_that_is_not_finite_is_skipped_and_leaves_no_trace(monkeypatch, fused, scheme):
    if not fused:
        monkeypatch.setattr(guarded_adam, 'has_fused_adam', lambda device_type: False)
    model = Tiny()
    session = make(dict(motion=0.0), scheme=scheme).start(model)
    sequence = with_infinity(tiny_sequence(frames=5), 2)
    seen, moments = [weights_of(model)], []
    for prediction in session.run(sequence):
        seen.append(weights_of(model))
        moments.append(copy.deepcopy(session.state_dict()['optimizer']['state']))
    assert session.counts == {'skipped_updates': 1}
    assert [equal(a, b) for a, b in zip(seen, seen[1:])] == [False, False, True, False, False]
    for before, after in zip(moments[1].values(), moments[2].values()):
        assert equal(before, after), 'Adam remembers the bad frame'
    assert (
        all(torch.isfinite(w).all() for w in seen[-1].values())
        and torch.isfinite(prediction.rotmat).all()
    )


def test_a_bad_frame_is_skipped_again_as_the_past_of_a_later_one():
    model = Tiny()
    session = make(interval=2).start(model)
    list(session.run(with_infinity(tiny_sequence(frames=6), 1)))
    assert session.counts == {'skipped_updates': 2}
    assert all(torch.isfinite(w).all() for w in weights_of(model).values())


def test_after_a_bad_frame_the_run_goes_on_as_if_it_had_not_been():
    whole = tiny_sequence(frames=4)
    without = dataclasses.replace(
        whole,
        frames=whole.frames[[0, 2, 3]],
        boxes=whole.boxes[[0, 2, 3]],
        frame_ids=('0', '2', '3'),
        keypoints2d=dataclasses.replace(
            whole.keypoints2d,
            xy=whole.keypoints2d.xy[[0, 2, 3]],
            confidence=whole.keypoints2d.confidence[[0, 2, 3]],
        ),
    )
    options = dict(weights=dict(motion=0.0, teacher=0.0))
    bad, good = Tiny(), Tiny()
    with_gap = run(make(**options), bad, with_infinity(whole, 1))
    assert torch.equal(with_gap[[0, 2, 3]], run(make(**options), good, without))
    assert equal(weights_of(bad), weights_of(good))


def test_the_count_of_skipped_updates_starts_anew_with_every_sequence():
    session = make().start(Tiny())
    list(session.run(with_infinity(tiny_sequence(frames=3), 0)))
    assert session.counts['skipped_updates'] == 1
    list(session.run(tiny_sequence(frames=3)))
    assert session.counts['skipped_updates'] == 0


@pytest.mark.parametrize('order', ['random', 'sequential'])
def test_reset_by_sequence_forgets_everything_but_the_weights_that_the_loop_restores(order):
    source = dict(dataset=VIEWS, order=order)
    model, adapter = Tiny(), make(source=source)
    start = copy.deepcopy(model.state_dict())
    run(adapter, model, tiny_sequence('first', 4, seed=1))
    model.load_state_dict(start)
    again = run(adapter, model, tiny_sequence('second', 4, seed=2))
    assert torch.equal(again, run(make(source=source), Tiny(), tiny_sequence('second', 4, seed=2)))


def test_reset_by_frame_treats_every_frame_as_a_sequence_of_its_own():
    whole = tiny_sequence(frames=3)
    together = run(make(reset='frame', steps=2), Tiny(), whole)
    for t in range(3):
        single = dataclasses.replace(
            whole,
            frames=whole.frames[[t]],
            boxes=whole.boxes[[t]],
            frame_ids=(str(t),),
            keypoints2d=dataclasses.replace(
                whole.keypoints2d,
                xy=whole.keypoints2d.xy[[t]],
                confidence=whole.keypoints2d.confidence[[t]],
            ),
        )
        # Motion needs a past, which a single frame has not and the third of three (interval 3) has not either.
        assert torch.equal(together[[t]], run(make(steps=2), Tiny(), single))


def test_without_reset_moments_and_teacher_carry_over_and_motion_does_not():
    sequences = [tiny_sequence('first', 5, seed=1), tiny_sequence('second', 3, seed=2)]
    model = Tiny()
    session = make(interval=3).start(model)
    predict_all(session, sequences[0])
    middle = copy.deepcopy(model)
    carried = predict_all(session, sequences[1])
    assert not torch.equal(carried, run(make(interval=3), middle, sequences[1]))
    # Three frames are too few for motion within the second, so its factor must not matter there.
    session = make(interval=3).start(Tiny())
    predict_all(session, sequences[0])
    objectives = session.objectives
    objectives.loss_weights = dataclasses.replace(objectives.loss_weights, motion=1e6)
    assert torch.equal(carried, predict_all(session, sequences[1]))


@pytest.mark.parametrize('order', ['random', 'sequential'])
def test_a_stream_killed_between_sequences_goes_on_to_the_same_digits(tmp_path, order):
    options = dict(reset='never', order='second', source=dict(dataset=VIEWS, batch=3, order=order))
    sequences = [tiny_sequence('first', 4, seed=1), tiny_sequence('second', 4, seed=2)]
    model = Tiny()
    first = AdapterRun(make(**options), model)
    predict_all(first, sequences[0], seed=10)
    torch.save(dict(model=model.state_dict(), adapter=first.state_dict()), tmp_path / 'state.pt')
    expected = predict_all(first, sequences[1], seed=11)

    stored = torch.load(tmp_path / 'state.pt', weights_only=True)
    resumed = Tiny(seed=5)
    second = AdapterRun(make(**options), resumed)
    second.resume(stored['model'], stored['adapter'])
    assert torch.equal(predict_all(second, sequences[1], seed=11), expected)
    assert equal(weights_of(resumed), weights_of(model))


@pytest.mark.parametrize('order', ['first', 'second'])
def test_in_bfloat16_the_gradient_is_nearly_the_same_and_all_but_convolutions_stay_float32(order):
    frame = random_sequence('noise', 1, 40, 0)
    source = dict(dataset=dict(type='RandomViews', resolution=32), order='sequential')
    gradients = []
    for precision in ('float32', 'bfloat16'):
        torch.manual_seed(0)
        backbone = dict(type='ResNet', depth=18, width=8)
        head = dict(type='IterativeRegressor', hidden=16, dropout=0.0)
        model = HMR(backbone, head, 32, precision=precision).eval()
        session = make(order=order, inner_lr=0.1, source=source).start(model)
        (prediction,) = session.run(frame)
        moments = session.state_dict()['optimizer']['state'].values()
        first = [moment['exp_avg'].flatten() for moment in moments]  # the gradient, scaled
        assert session.counts['skipped_updates'] == 0
        assert {x.dtype for x in (prediction.rotmat, *first, *model.parameters())} == {
            torch.float32
        }
        gradients.append(torch.cat(first))
    assert 0.98 < torch.nn.functional.cosine_similarity(*gradients, dim=0) < 1 - 1e-7


def test_predict_before_the_update():
    sequence = tiny_sequence(frames=4)
    after_model, before_model, frozen = Tiny(), Tiny(), Tiny()
    before = run(make(predict='before'), before_model, sequence)
    after = run(make(), after_model, sequence)
    assert equal(weights_of(before_model), weights_of(after_model))
    with torch.no_grad():
        assert torch.equal(before[:1], frozen(frozen.crops(sequence, [0])).rotmat)
        last = after_model(after_model.crops(sequence, [3])).rotmat
    assert torch.equal(after[3:], last) and not torch.equal(before[3:], last)


def test_generator_yields_with_gradients_on_and_predictions_without_graph():
    model = Tiny()
    for prediction in make().start(model).run(tiny_sequence(frames=2)):
        assert (
            torch.is_grad_enabled() and not prediction.rotmat.requires_grad and len(prediction) == 1
        )


def test_dropout_and_batch_statistics_stay_off():
    model = Tiny(norm='bn')
    statistics = {name: value.clone() for name, value in model.named_buffers() if 'running' in name}
    model.train()
    first = run(make(), model, tiny_sequence(frames=2))
    assert equal(
        statistics, {name: value for name, value in model.named_buffers() if 'running' in name}
    )
    assert torch.equal(first, run(make(), Tiny(norm='bn'), tiny_sequence(frames=2)))


@pytest.mark.parametrize(
    'which, chosen',
    [
        ('all', lambda name: True),
        ('head', lambda name: name.startswith('head.')),
        ('norm', lambda name: '.bn' in name or 'downsample.1' in name),
        ('layer4|dec', lambda name: 'layer4' in name or 'dec' in name),
    ],
)
def test_only_the_chosen_weights_move(which, chosen):
    model = Tiny()
    before = weights_of(model)
    assert set(select_parameters(model, which)) == {name for name in before if chosen(name)}
    run(make(parameters=which), model, tiny_sequence(frames=1))
    moved = {
        name for name, value in weights_of(model).items() if not torch.equal(value, before[name])
    }
    assert moved and moved <= {name for name in before if chosen(name)}


def test_temporal_terms_alone_wait_for_their_first_pair():
    model = Tiny()
    adapter = make(dict(teacher=0.0), scheme='one-stage', upper=('temporal',), interval=2)
    seen = [weights_of(model)]
    for _ in adapter.start(model).run(tiny_sequence(frames=4)):
        seen.append(weights_of(model))
    assert [equal(a, b) for a, b in zip(seen, seen[1:])] == [True, True, False, False]


def test_adaptation_lowers_the_reprojection_error():
    """The direction is right: repeated on one frame, predictions approach its keypoints."""
    model, sequence = Tiny(), tiny_sequence(frames=1)
    still = dataclasses.replace(
        sequence,
        frames=sequence.frames.repeat(30, 0),
        boxes=sequence.boxes.repeat(30, 1),
        keypoints2d=dataclasses.replace(
            sequence.keypoints2d,
            xy=sequence.keypoints2d.xy.repeat(30, 1, 1),
            confidence=sequence.keypoints2d.confidence.repeat(30, 1),
        ),
    )
    keypoints = crop_targets(sequence)
    session = make(dict(motion=0.0, teacher=0.0), lr=3e-4).start(model)
    errors = []
    for prediction in session.run(still):
        distance = PosedPrediction.of(prediction, model.body).joints2d - keypoints.xy
        errors.append((keypoints.confidence[..., None] * distance.square()).mean().item())
    assert errors[-1] < 0.6 * errors[0]


def test_targets():
    sequence = tiny_sequence(skeleton='coco17', dropped=0.3)
    keypoints = crop_targets(sequence)
    xy, confidence = keypoints.xy, keypoints.confidence
    names = [name.removesuffix('_lsp') for name in joint_names('spin24')]
    coco = [name.removesuffix('_lsp') for name in joint_names('coco17')]
    for k, name in enumerate(names):
        if name not in coco:
            assert (confidence[:, k] == 0).all()
            continue
        given = sequence.keypoints2d.confidence[:, coco.index(name)]
        assert torch.equal(confidence[:, k], given)
        pixels = sequence.keypoints2d.xy[:, coco.index(name)]
        expected = (pixels - sequence.boxes[:, :2]) / (sequence.boxes[:, 2:] / 2)
        torch.testing.assert_close(xy[given > 0, k], expected[given > 0])
    assert torch.isfinite(xy).all()


def test_targets_take_the_block_of_the_49_that_the_losses_use():
    xy = torch.zeros(1, 49, 2)
    confidence = torch.cat([torch.zeros(1, 25), torch.ones(1, 24)], dim=1)
    keypoints = Keypoints2D(xy, confidence, 'spin49', 'annotated')
    sequence = dataclasses.replace(tiny_sequence(frames=1), keypoints2d=keypoints)
    assert crop_targets(sequence).confidence.sum() == 24


def test_keypoints_that_are_not_finite_are_not_seen():
    sequence = tiny_sequence('empty clip')
    keypoints = dataclasses.replace(
        sequence.keypoints2d, xy=torch.full_like(sequence.keypoints2d.xy, torch.nan)
    )
    targets = crop_targets(dataclasses.replace(sequence, keypoints2d=keypoints))
    assert not targets.seen.any() and torch.isfinite(targets.xy).all()


def test_source_bank():
    bank = SourceBank(VIEWS, batch=4)
    bank.load(Tiny())
    random = SourceSampler(bank)
    torch.manual_seed(0)
    first = random.draw()
    torch.manual_seed(0)
    assert torch.equal(first.images, random.draw().images) and first.images.shape == (4, 3, 32, 32)
    assert not torch.equal(first.betas, random.draw().betas)
    larger = Tiny()
    larger.resolution = 224
    with pytest.raises(InputError, match=r'\(3, 32, 32\) and .* takes \(3, 224, 224\)'):
        SourceBank(VIEWS).load(larger)
    with pytest.raises(InputError, match='order'):
        SourceBank(VIEWS, order='shuffled')


def test_sequential_source_replays_every_row_and_keeps_none(monkeypatch):
    """BOA's loader reads the file from its first row to its last; a pool of 3 of 8 rows must not cut it short."""
    read = []
    item = RandomViews.__getitem__

    def counted(views, index):
        read.append(index)
        return item(views, index)

    monkeypatch.setattr(RandomViews, '__getitem__', counted)
    bank = SourceBank(VIEWS, batch=3, pool=3, order='sequential')
    bank.load(Tiny())
    assert read == [0]  # its shape is checked, and no row is kept
    sampler = SourceSampler(bank)
    batches = [sampler.draw() for _ in range(4)]
    order = [0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3]
    assert read[1:] == order
    views = RandomViews(SIZE, double=True)
    expected = torch.stack([item(views, row)['betas'] for row in order])
    assert torch.equal(torch.cat([batch.betas for batch in batches]), expected)
    images = torch.stack([item(views, row)['image'] for row in order])
    drawn = torch.cat([batch.images for batch in batches])
    torch.testing.assert_close(drawn, normalise(images.float()), rtol=0, atol=0)
    trunk = Trunk(Tiny(), ['head.decpose.weight'])
    maps = SourceSampler(bank).draw(trunk).images
    assert trunk.shared
    one_by_one = [trunk(drawn[row : row + 1]) for row in range(3)]
    assert torch.equal(maps, torch.cat(one_by_one))


def test_the_random_pool_is_spread_over_the_data_set():
    """Files of Human3.6M are ordered by subject: the first rows alone would be one subject."""
    bank = SourceBank(dict(VIEWS, length=40), batch=16, pool=8)
    bank.load(Tiny())
    sampler = SourceSampler(bank)
    torch.manual_seed(0)
    drawn = torch.cat([sampler.draw().betas for _ in range(20)])
    views = RandomViews(SIZE, 40, double=True)
    row_of = {tuple(views[row]['betas'].tolist()): row for row in range(40)}
    rows = {row_of[tuple(betas.tolist())] for betas in drawn}
    assert rows == {
        round(39 * k / 7) for k in range(8)
    }  # the first, the last, and six between them
    assert {row // 10 for row in rows} == {0, 1, 2, 3}


@pytest.mark.parametrize('method, option', [('Bilevel', 'source'), ('DynamicBilevel', 'exemplars')])
def test_a_source_loss_without_data_is_reported(method, option):
    silent = dict(type=method, weights=dict(source=0.0, pose_prior=0.0))
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        ADAPTERS.build(silent).start(Tiny())
    loud = dict(type=method, weights=dict(pose_prior=0.0))
    with pytest.warns(UserWarning, match=f'weights.source is 0.1 and `{option}` names no labelled'):
        ADAPTERS.build(loud).start(Tiny())


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(scheme='bi-level'), 'scheme'),
        (dict(order='third'), 'order'),
        (dict(predict='now'), 'predict'),
        (dict(teacher_update='video'), 'teacher_update'),
        (dict(source_labels='motion'), 'source_labels'),
        (dict(normalise='none'), 'normalise'),
        (dict(lower=('temporal',)), 'lower'),
        (dict(upper=()), 'upper'),
        (dict(upper=('motion',)), 'upper'),
        (dict(weights=dict(motoin=1.0)), 'motoin'),
        (dict(reset='video'), 'reset'),
        (dict(learning_rate=1.0), 'learning_rate'),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(InputError, match=message):
        ADAPTERS.build({**dict(type='Bilevel'), **options})


def test_parameters_that_match_nothing():
    with pytest.raises(InputError, match="parameters='transformer'"):
        run(make(parameters='transformer'), Tiny(), tiny_sequence(frames=1))
