"""PreAdapt against a literal reading of Algorithm 1, lines 3-11, in float64; kills; what it asks for."""

import pytest
import torch
from tiny_parts import Diary, Tiny, equal, tiny_sequence, weights_of, with_infinity

from hrtk.adapters import Adapter, PreAdapt, Preparation, Regeneration, Session
from hrtk.adapters.run import AdapterRun
from hrtk.errors import InputError
from hrtk.geometry.camera import project
from hrtk.registry import ADAPTERS, CORRUPTIONS, TEACHERS
from hrtk.structures import Prediction

MEAN, STD = (
    torch.tensor(v, dtype=torch.float64).view(3, 1, 1)
    for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
)
RATE = 1e-3


@TEACHERS.register_module(force=True)
class RandomTeacher:
    """Labels that depend on the name of the sequence alone; counts what it is asked."""

    asked: list = []

    def label(self, sequence, extractor):
        self.asked.append(sequence.name)
        random = torch.Generator().manual_seed(len(sequence))
        rotmat, _ = torch.linalg.qr(
            torch.randn(len(sequence), 24, 3, 3, generator=random, dtype=torch.float64)
        )
        return Prediction(
            rotmat,
            torch.randn(len(sequence), 10, generator=random, dtype=torch.float64),
            torch.rand(len(sequence), 3, generator=random, dtype=torch.float64),
        )

    def fingerprint(self):
        return {'teacher': 'random'}


@CORRUPTIONS.register_module(force=True)
class Shift:
    """Adds a random grey level to a batch."""

    def __call__(self, images):
        return (images + 20 * torch.rand(1, dtype=images.dtype)).clamp(0, 255)


@ADAPTERS.register_module(force=True)
class Drifting(Adapter):
    """Adds one to a weight at every frame, so that a missing return to the start shows."""

    def start(self, estimator):
        return DriftingSession(estimator)


class DriftingSession(Session):
    def __init__(self, estimator):
        self.estimator = estimator

    def run(self, sequence):
        for _ in range(len(sequence)):
            with torch.no_grad():
                self.estimator.head.deccam.bias += 1
            yield self.estimator(self.estimator.crops(sequence, [0]))


class Tracks(list):
    """A data set of sequences of 5, 9, 12 and 3 frames."""

    def __init__(self):
        super().__init__(
            tiny_sequence(f'track{i}', frames, seed=i) for i, frames in enumerate((5, 9, 12, 3))
        )


def adapter(**options):
    return PreAdapt(
        **{
            **dict(
                teacher=dict(type='RandomTeacher'),
                epochs=5,
                lr=RATE,
                corruption=dict(type='Shift'),
                save_every=2,
            ),
            **options,
        }
    )


def prepared(model, seed=7, diary=None, **options):
    torch.manual_seed(seed)
    return adapter(**options).prepare(model, Tracks(), diary or Preparation())


def literal(model, seed=7, epochs=5, factors=(10, 0.1, 1, 1), max_norm=float('inf'), norms=None):
    """Lines 3-11 one by one: plain Adam, every label taken anew, no reading ahead."""
    tracks, teacher = Tracks(), RandomTeacher()
    adam = torch.optim.Adam(model.parameters(), lr=RATE)
    for epoch in range(epochs):
        torch.manual_seed(seed + epoch)
        draw = torch.Generator().manual_seed(seed + epoch)
        for which in torch.randperm(4, generator=draw)[:3].tolist():
            track = tracks[which]
            frames = torch.randperm(len(track), generator=draw)[:8].tolist()
            label = teacher.label(track, None)
            grey = 255 * (torch.cat([model.crops(track, [t]) for t in frames]) * STD + MEAN)
            noisy = (grey + 20 * torch.rand(1, dtype=torch.float64)).clamp(0, 255)
            out = model((noisy / 255 - MEAN) / STD)
            joints = project(model.body.joints(out.rotmat, out.betas, 'spin24'), out.camera)
            loss = 0
            for row, t in enumerate(frames):
                given = track.keypoints2d
                side = track.boxes[t, 2]
                sure = given.confidence[t]
                goal = torch.nan_to_num((given.xy[t] - track.boxes[t, :2]) / (side / 2))
                loss = loss + factors[0] * ((out.rotmat[row] - label.rotmat[t]) ** 2).mean()
                loss = loss + factors[1] * ((out.betas[row] - label.betas[t]) ** 2).mean()
                loss = loss + factors[2] * ((out.camera[row] - label.camera[t]) ** 2).mean()
                loss = loss + factors[3] * (sure[:, None] * (joints[row] - goal) ** 2).mean()
            adam.zero_grad()
            (loss / len(frames)).backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
            if norms is not None:
                norms.append(norm.item())
            adam.step()
    return weights_of(model)


def test_equals_the_algorithm_line_by_line():
    ours, theirs = prepared(Tiny()), literal(Tiny())
    start = weights_of(Tiny())
    moved = max((theirs[name] - start[name]).abs().max().item() for name in theirs)
    assert moved > 5 * RATE  # every step counts
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=0, atol=1e-9)


def test_long_gradients_are_shortened():
    norms = []
    free = literal(Tiny(), norms=norms)
    most = sorted(norms)[len(norms) // 2]
    ours, theirs = prepared(Tiny(), max_norm=most), literal(Tiny(), max_norm=most)
    assert max((theirs[name] - free[name]).abs().max().item() for name in theirs) > 1e-4
    for name, value in theirs.items():
        torch.testing.assert_close(
            ours[name], value, rtol=0, atol=1e-7
        )  # torch divides by the norm plus 1e-6
    assert equal(prepared(Tiny(), max_norm=10 * max(norms)), prepared(Tiny()))


def test_batch_norm_keeps_its_statistics():
    model = Tiny(norm='bn')
    before = {name: value.clone() for name, value in model.named_buffers() if 'running' in name}
    after = prepared(model, epochs=1)
    assert before and all(torch.equal(after[name], value) for name, value in before.items())


@pytest.mark.parametrize('kill', [1, 2, 3, 4])
def test_goes_on_inside_with_the_same_digits(kill):
    whole, diary = prepared(Tiny()), Diary(kill)
    with pytest.raises(KeyboardInterrupt):
        prepared(Tiny(), diary=diary)
    RandomTeacher.asked.clear()
    diary.kill = None
    assert equal(prepared(Tiny(), diary=diary), whole)
    assert not RandomTeacher.asked  # labels were kept
    assert (diary.steps[-1].done, diary.steps[-1].total) == (5, 5)


def test_labels_are_taken_once_and_keypoints_can_do_without():
    RandomTeacher.asked.clear()
    prepared(Tiny(), epochs=20)
    assert sorted(RandomTeacher.asked) == [f'track{i}' for i in range(4)]
    alone = prepared(Tiny(), teacher=None, weights=dict(pose=0, betas=0, camera=0))
    assert not equal(alone, prepared(Tiny()))


def test_a_frame_that_is_not_finite_spoils_nothing():
    tracks = Tracks()
    tracks[1] = with_infinity(tracks[1], 4)
    torch.manual_seed(0)
    out = adapter(epochs=10).prepare(Tiny(), tracks, Preparation())
    assert all(torch.isfinite(value).all() for value in out.values())


def test_passes_are_the_papers_sample_percentage():
    diary = Diary()
    adapter(epochs=3).prepare(Tiny(), Tracks(), diary)
    passes = [step.numbers['passes'] for step in diary.steps if step.stage == 'adapt']
    assert passes == pytest.approx([24 / 29, 48 / 29, 72 / 29])


@pytest.mark.parametrize(
    'options, said',
    [
        (dict(weights=dict(theta=1)), 'theta'),
        (dict(pose='quaternion'), 'quaternion'),
        (dict(teacher=None), 'teacher'),
        (dict(frames=0), 'frames'),
        (dict(max_norm=0.0), 'max_norm'),
    ],
)
def test_wrong_options_are_named(options, said):
    with pytest.raises(InputError, match=said):
        adapter(**options)


@pytest.mark.parametrize('reset, expected', [('sequence', 3), ('never', 6)])
def test_regeneration_starts_from_the_prepared_weights(reset, expected):
    whole = Regeneration(
        pre=dict(
            type='PreAdapt', teacher=dict(type='RandomTeacher'), epochs=2, lr=RATE, corruption=None
        ),
        online=dict(type='Drifting'),
        reset=reset,
    )
    model = Tiny()
    torch.manual_seed(7)
    start = whole.prepare(model, Tracks(), Preparation())
    assert equal(start, prepared(Tiny(), epochs=2, corruption=None))
    assert whole.fingerprint() == {'pre.teacher': 'random'}
    model.load_state_dict(start)
    started = AdapterRun(whole, model)
    for _ in range(2):
        list(started.run(tiny_sequence(frames=3)))
    assert torch.allclose(model.head.deccam.bias, start['head.deccam.bias'] + expected)


def test_the_online_part_is_prepared_by_the_source_model(monkeypatch):
    whole = Regeneration(
        pre=dict(
            type='PreAdapt', teacher=dict(type='RandomTeacher'), epochs=1, lr=RATE, corruption=None
        ),
        online=dict(type='Drifting'),
    )
    seen, source = [], weights_of(Tiny())
    monkeypatch.setattr(Drifting, 'prepare', lambda self, model, *_: seen.append(weights_of(model)))
    whole.prepare(Tiny(), Tracks(), Preparation())
    assert equal(seen[0], source)
    finished = Diary()
    finished.result = lambda: {
        'done': torch.ones(())
    }  # also after a kill: the weights are not those of the source yet
    assert whole.prepare(Tiny(), Tracks(), finished) == finished.result() and equal(seen[1], source)
