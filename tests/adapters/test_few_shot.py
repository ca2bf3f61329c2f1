"""FewShotMetric against Algorithm 1 read as a loop over triplets in float64; shots; kills; what it asks for."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from tiny_parts import (
    SIZE,
    VIEWS,
    Diary,
    Tiny,
    equal,
    predict_all,
    run,
    tiny_sequence,
    weights_of,
    with_infinity,
)

from hrtk.adapters import Bilevel, FewShotMetric, Preparation, Regeneration
from hrtk.adapters.few_shot.diversity import diverse_shots, farthest_first
from hrtk.adapters.few_shot.shots import draw_shots
from hrtk.adapters.run import AdapterRun
from hrtk.body_models.skeletons import joint_names
from hrtk.errors import InputError
from hrtk.geometry.camera import project
from hrtk.models.estimators import LandmarkHMR, VideoHMR
from hrtk.models.temporal import VIBE
from hrtk.registry import DATASETS
from hrtk.structures import GroundTruth

RATE = 1e-3
SOURCE = dict(dataset=dict(VIEWS, length=7), batch=7)


def with_truth(sequence, seed=0, **options):
    """The same sequence with random bodies as its truth."""
    random = torch.Generator().manual_seed(seed)
    turns = 0.4 * torch.randn(24 * len(sequence), 3, generator=random)
    rotmat = torch.tensor(Rotation.from_rotvec(turns.numpy()).as_matrix()).view(-1, 24, 3, 3)
    betas = torch.randn(len(sequence), 10, generator=random, dtype=torch.float64)
    return dataclasses.replace(sequence, truth=GroundTruth(rotmat, betas, **options))


@DATASETS.register_module(force=True)
class Labelled(list):
    """Sequences of 5, 9, 12 and 3 frames with truth."""

    def __init__(self, prefix='labelled'):
        super().__init__(
            with_truth(tiny_sequence(f'{prefix}{i}', frames, seed=i), i)
            for i, frames in enumerate((5, 9, 12, 3))
        )

    def fingerprint(self):
        return {'kind': 'random'}


@DATASETS.register_module(force=True)
class RandomClips:
    """Source clips of 4 frames, made of the views."""

    def __init__(self, length=5):
        self.views, self.length = DATASETS.build(dict(VIEWS, length=4 * length)), length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        items = [self.views[4 * index + t] for t in range(4)]
        return {name: torch.stack([item[name] for item in items]) for name in items[0]}


def adapter(**options):
    return FewShotMetric(
        **{
            **dict(
                source=SOURCE,
                shots=6,
                labelled=dict(type='Labelled'),
                steps=5,
                batch=4,
                lr=RATE,
                save_every=2,
                weights=dict(metric=0.5),
            ),
            **options,
        }
    )


def prepared(model, seed=7, diary=None, target=(), **options):
    torch.manual_seed(seed)
    return adapter(**options).prepare(model, list(target), diary or Preparation())


def poses(joints):
    """The joints of LSP relative to the middle of its hips."""
    names = joint_names('spin24')
    hips = (joints[names.index('right_hip_lsp')] + joints[names.index('left_hip_lsp')]) / 2
    return joints - hips


def metric(anchors, anchor_poses, others, other_poses, variant, reduction):
    """Algorithm 1 triplet by triplet; square roots have the offset that keeps them from zero."""

    def apart(a, b):
        return ((a - b).square().sum() + 1e-8).sqrt()

    total = 0
    for f, y in zip(anchors, anchor_poses):
        gaps = [sum((p - q).norm() for p, q in zip(y, z)) / 14 for z in other_poses]
        order = sorted(range(len(gaps)), key=lambda k: gaps[k])
        count = int(0.3 * len(gaps))
        terms = []
        for i in order[:count]:
            for j in order[-count:]:
                wanted = ((gaps[i] ** 2 + 1e-8) / (gaps[j] ** 2 + 1e-8)) ** 0.5
                ratio = apart(f, others[i]) / apart(f, others[j]) / wanted
                terms.append(
                    dict(thesis=(1 + ratio).log(), kim=ratio.log() ** 2, abs=ratio.log().abs())[
                        variant
                    ]
                )
        total = total + sum(terms) / len(terms)
    return total if reduction == 'sum' else total / len(anchors)


def exchanged(names):
    """For every joint the index of its counterpart on the other side."""
    sides = {'left': 'right', 'right': 'left'}
    other = ['_'.join(sides.get(word, word) for word in name.split('_')) for name in names]
    return [names.index(name) for name in other]


def mirrored(crop, rotmat, betas, xy, sure):
    """The labels of the mirrored crop: left and right exchanged, x negated."""
    bones, joints = exchanged(joint_names('smpl24')), exchanged(joint_names('spin24'))
    flip = torch.diag(torch.tensor([-1.0, 1.0, 1.0], dtype=rotmat.dtype))
    turned = torch.stack([flip @ rotmat[j] @ flip for j in bones])
    flat = torch.stack([xy[j] * torch.tensor([-1.0, 1.0]) for j in joints])
    return crop.flip(-1), turned, betas, flat, torch.stack([sure[j] for j in joints])


def one_loss(model, draws, shots, sequences, variant, reduction, w, w_joints, flips=None):
    """The loss of one step, crop by crop: shots are (sequence, frame), source items are views, some mirrored."""
    parts, supervised = [], 0
    views = DATASETS.build(SOURCE['dataset'])
    items = [
        [
            (
                model.crops(sequences[s], [t]),
                sequences[s].truth.rotmat[t],
                sequences[s].truth.betas[t],
                *points_of(sequences[s], t),
            )
            for s, t in (shots[i] for i in draws[0])
        ],
        [
            (
                grey(view['image']),
                view['rotmat'],
                view['betas'],
                view['keypoints2d'],
                torch.ones(24, dtype=torch.float64),
            )
            for view in (views[i] for i in draws[1])
        ],
    ]
    for batch, flip in zip(items, flips or ([False] * 9, [False] * 9)):
        outs, seen, true = [], [], []
        for item, flipped in zip(batch, flip):
            goal = model.body.joints(item[1][None], item[2][None], 'spin24')[0]
            if flipped:
                item = mirrored(*item)
                goal = goal[exchanged(joint_names('spin24'))] * torch.tensor([-1.0, 1.0, 1.0])
            crop, rotmat, betas, xy, sure = item
            out = model(crop)
            joints = model.body.joints(out.rotmat, out.betas, 'spin24')
            flat = project(joints, out.camera)[0]
            loss = 300 * (sure[:, None] * (flat - xy) ** 2).mean()
            loss = loss + 300 * ((poses(joints[0]) - poses(goal)) ** 2).mean()
            loss = (
                loss
                + 60 * ((out.rotmat[0] - rotmat) ** 2).mean()
                + 0.06 * ((out.betas[0] - betas) ** 2).mean()
            )
            supervised = supervised + loss / len(batch) / 2
            outs.append(out.features[0])
            seen.append(poses(joints[0])[:14].flatten())
            true.append(poses(goal)[:14])
        parts.append((outs, seen, true))
    (a, b, y), (c, d, z) = parts
    return (
        supervised
        + w * metric(a, y, c, z, variant, reduction)
        + w_joints * metric(b, y, d, z, variant, reduction)
    )


def grey(image):
    mean, std = (
        torch.tensor(v, dtype=torch.float64).view(3, 1, 1)
        for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    return ((image.double() / 255 - mean) / std)[None]


def points_of(sequence, t):
    sure = sequence.keypoints2d.confidence[t]
    place = (sequence.keypoints2d.xy[t] - sequence.boxes[t, :2]) / (sequence.boxes[t, 2] / 2)
    return torch.nan_to_num(place), sure


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


def test_without_shots_nothing_changes():
    model = Tiny()
    assert prepared(model, shots=0) is None and equal(weights_of(model), weights_of(Tiny()))


def test_shots_of_the_target_itself_are_a_choice():
    target = Labelled('target')
    own = prepared(Tiny(), target=target, labelled=None)
    assert not equal(own, prepared(Tiny(), target=target, labelled=dict(type='Labelled'), seed=8))
    assert equal(own, prepared(Tiny(), labelled=dict(type='Labelled', prefix='target')))
    with pytest.raises(InputError, match="'target0' is in the labelled data set and in the target"):
        prepared(Tiny(), target=target, labelled=dict(type='Labelled', prefix='target'))


def test_a_frame_that_is_not_finite_spoils_nothing():
    target = Labelled('target')
    target[1] = with_truth(with_infinity(target[1], 4))
    out = prepared(Tiny(), target=target, labelled=None, shots=29, steps=10)
    assert all(torch.isfinite(value).all() for value in out.values())
    assert not equal(out, Tiny().state_dict())


def test_gendered_truth_needs_its_body_and_gives_no_betas():
    target = Labelled('target')
    female = [
        dataclasses.replace(sequence, truth=dataclasses.replace(sequence.truth, gender='female'))
        for sequence in target
    ]
    with pytest.raises(
        InputError, match='target. *: its bodies are female; give the adapter bodies'
    ):
        prepared(Tiny(), target=female, labelled=None)

    class Same:
        """The neutral body for everybody, with other betas in the truth."""

        def get(self, gender, like):
            return like

    def learn(sequences, **weights):
        ours = adapter(
            labelled=None, weights=dict(metric=0, keypoints2d=0, joints3d=0, rotmat=0, **weights)
        )
        vars(ours)['gendered_bodies'] = Same()  # a cached property
        diary = Diary()
        torch.manual_seed(7)
        ours.prepare(Tiny(), sequences, diary)
        return float(diary.steps[0].numbers['loss'])

    of_source = learn(female, betas=1.0)
    other = [
        dataclasses.replace(
            sequence, truth=dataclasses.replace(sequence.truth, betas=9 + sequence.truth.betas)
        )
        for sequence in female
    ]
    assert learn(other, betas=1.0) == of_source < learn(target, betas=1.0)


class TinyVideo(VideoHMR):
    """VIBE behind the tiny network, in float64."""

    def __init__(self):
        torch.nn.Module.__init__(self)
        image = Tiny()
        self.image, self.body, self.resolution, self.window = image, image.body, SIZE, 4
        torch.manual_seed(1)
        self.network = VIBE(
            image.backbone.out_channels,
            8,
            1,
            regressor=dict(type='IterativeRegressor', hidden=16, activation='relu', dropout=0.0),
        ).double()


CLIPS = dict(
    source=dict(dataset=dict(type='RandomClips'), batch=2),
    shots=12,
    clip=4,
    batch=2,
    parameters='network',
)


def test_clips_of_a_video_network():
    model, diary = TinyVideo(), Diary()
    start = {name: value.clone() for name, value in model.state_dict().items()}
    after = prepared(model, diary=diary, **CLIPS)
    moved = {name for name in start if not torch.equal(after[name], start[name])}
    assert moved and all(name.startswith('network.') for name in moved)
    again = Diary(kill=3)
    with pytest.raises(KeyboardInterrupt):
        prepared(TinyVideo(), diary=again, **CLIPS)
    again.kill = None
    assert equal(prepared(TinyVideo(), diary=again, **CLIPS), after)
    # The first step's metric, from the two drawn clips' 8 frames among the 8 of the two source clips.
    fresh, sequences, clips = TinyVideo(), Labelled(), RandomClips()
    shots = draw_shots(sequences, 3, 7, 4)
    torch.manual_seed(7)
    drawn, source = torch.randperm(3)[:2].tolist(), torch.randint(5, (2,)).tolist()
    with torch.no_grad():
        sides = (
            [
                (
                    fresh(fresh.crops(sequences[s], frames)),
                    sequences[s].truth.rotmat[list(frames)],
                    sequences[s].truth.betas[list(frames)],
                )
                for s, frames in (shots[i] for i in drawn)
            ],
            [
                (
                    fresh(torch.cat([grey(image) for image in clips[i]['image']])[None]),
                    clips[i]['rotmat'],
                    clips[i]['betas'],
                )
                for i in source
            ],
        )
        found = [
            (
                [f for out, _, _ in side for f in out.features],
                [poses(j)[:14] for _, r, b in side for j in fresh.body.joints(r, b, 'spin24')],
            )
            for side in sides
        ]
    (f, y), (g, z) = found
    assert len(f) == len(g) == 8
    assert float(diary.steps[0].numbers['metric']) == pytest.approx(
        float(metric(f, y, g, z, 'thesis', 'mean')), abs=1e-6
    )


@pytest.mark.parametrize(
    'model, options, said',
    [
        (
            TinyVideo,
            {**CLIPS, 'source': SOURCE},
            'takes clips and the source has images.*OpenTracks',
        ),
        (Tiny, {'source': CLIPS['source']}, 'takes images and the source has clips.*OpenViews'),
        (Tiny, CLIPS, 'Tiny takes single images, not clips of 4 frames'),
    ],
)
def test_images_and_clips_are_told_apart(model, options, said):
    with pytest.raises(InputError, match=said):
        prepared(model(), **{**options, 'parameters': 'all'})


@pytest.mark.parametrize(
    'options, said',
    [
        (dict(weights=dict(theta=1)), 'theta'),
        (dict(variant='kimm'), 'kimm'),
        (dict(shots=-1), 'shots'),
        (dict(batch=0), 'batch'),
        (dict(augment=-0.1), 'augment'),
        (dict(schedule='cosine'), 'cosine'),
        (dict(choice='far'), 'far'),
        (dict(leave_out=-1), 'leave_out is at least 0'),
        (dict(shots=10, clip=4), 'take 8 or 12'),
        (dict(bodies=dict(male='m.pkl')), 'female'),
    ],
)
def test_wrong_options_are_named(options, said):
    with pytest.raises(InputError, match=said):
        adapter(**options)


def test_what_is_no_image_is_not_augmented():
    with pytest.raises(InputError, match='augment changes images, and LandmarkHMR takes'):
        prepared(LandmarkHMR(), augment=1.0)


def test_too_small_a_source_batch_is_named():
    with pytest.raises(InputError, match='share=0.3 of 2 samples'):
        prepared(Tiny(), source=dict(SOURCE, batch=2))


def test_plugs_into_regeneration():
    whole = Regeneration(
        pre=BEFORE,
        online=dict(type='Source'),
    )
    model = Tiny()
    torch.manual_seed(7)
    start = whole.prepare(model, [], Preparation())
    assert equal(start, prepared(Tiny()))
    assert whole.fingerprint() == {'pre.labelled.kind': 'random'}
    model.load_state_dict(start)
    sequence = tiny_sequence(frames=3)
    found = run(whole, model, sequence)
    with torch.no_grad():
        assert torch.equal(found, model(model.crops(sequence, range(3))).rotmat)


ONLINE = dict(
    type='Bilevel', order='first', lr=RATE, inner_lr=RATE, steps=1, weights=dict(pose_prior=0.0)
)
BEFORE = dict(
    type='FewShotMetric',
    source=SOURCE,
    shots=6,
    labelled=dict(type='Labelled'),
    steps=5,
    batch=4,
    lr=RATE,
    save_every=2,
    weights=dict(metric=0.5),
)


@pytest.mark.parametrize('reset', ['sequence', 'never'])
def test_online_adaptation_of_several_sequences_starts_from_the_shots(reset):
    whole = Regeneration(pre=BEFORE, online=dict(ONLINE, reset=reset), reset=reset)
    model = Tiny()
    torch.manual_seed(7)
    start = whole.prepare(model, [], Preparation())
    model.load_state_dict(start)
    started = AdapterRun(whole, model)
    target = [tiny_sequence(f'target{i}', 3, seed=20 + i) for i in range(2)]
    found = [predict_all(started, sequence) for sequence in target]
    alone = []
    for sequence in target:
        other = Tiny()
        other.load_state_dict(start)
        alone.append(
            run(Bilevel(**{k: v for k, v in ONLINE.items() if k != 'type'}), other, sequence)
        )
    assert torch.equal(found[0], alone[0])
    assert torch.equal(found[1], alone[1]) == (reset == 'sequence')
    fresh = run(whole, Tiny(), target[0])
    assert not torch.allclose(fresh, found[0])  # the shots matter


@pytest.mark.parametrize('kill', [1, 4])
def test_a_killed_preparation_of_online_adaptation_goes_on(kill):
    whole = Regeneration(pre=BEFORE, online=ONLINE)
    torch.manual_seed(7)
    start = whole.prepare(Tiny(), [], Preparation())
    diary = Diary(kill)
    torch.manual_seed(7)
    with pytest.raises(KeyboardInterrupt):
        whole.prepare(Tiny(), [], diary)
    assert set(diary.states) <= set(whole.states)
    diary.kill = None
    torch.manual_seed(7)
    again = Regeneration(pre=BEFORE, online=ONLINE).prepare(Tiny(), [], diary)
    assert equal(again, start)


def test_without_shots_the_weights_of_the_online_part_remain():
    inner = dict(type='Regeneration', pre=BEFORE, online=dict(type='Source'))
    whole = Regeneration(pre=dict(BEFORE, shots=0), online=inner)
    model = Tiny()
    torch.manual_seed(7)
    assert equal(whole.prepare(model, [], Preparation()), prepared(Tiny()))
