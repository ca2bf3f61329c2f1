"""FewShotMetric in use: missing and gendered truth, video networks, wrong options, and before other adapters."""

import dataclasses

import pytest
import torch
from few_shot_parts import (
    OPTIONS,
    RATE,
    SOURCE,
    Labelled,
    RandomClips,
    TinyVideo,
    adapter,
    grey,
    metric,
    poses,
    prepared,
    with_truth,
)
from tiny_parts import (
    Diary,
    Tiny,
    equal,
    predict_all,
    run,
    tiny_sequence,
    weights_of,
    with_infinity,
)

from hrtk.adapters import Bilevel, Preparation, Regeneration
from hrtk.adapters.few_shot.shots import draw_shots
from hrtk.adapters.run import AdapterRun
from hrtk.errors import InputError
from hrtk.models.estimators import LandmarkHMR


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
BEFORE = dict(type='FewShotMetric', **OPTIONS)


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
