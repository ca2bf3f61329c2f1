"""Steps that end where the evidence is met, against a float64 program that is written out by hand."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from literal.boa import LiteralBOA  # conftest.py puts its folder on the path
from literal.dynamic import LiteralDynaBOA
from test_no_evidence import UNSEEN, hidden
from tiny_parts import (
    SIZE,
    VIEWS,
    RandomViews,
    Tiny,
    equal,
    predict_all,
    same_run,
    tiny_sequence,
    weights_of,
    with_infinity,
)

from hrtk.adapters import Bilevel, DynamicBilevel
from hrtk.adapters.parts.evidence import keypoint_error
from hrtk.adapters.parts.posed import CropKeypoints
from hrtk.adapters.run import AdapterRun
from hrtk.errors import InputError

RATES = dict(lr=1e-3, inner_lr=1e-2, interval=2)


class UntilRule:
    """The rule, for one of the literal programs: which frames make how many steps, and what is predicted."""

    def set_rule(self, until: float, temporal_every: int = 1, pull: float = 0.0):
        self.until = until
        self.temporal_every = temporal_every
        self.pull = pull
        self.begin = {name: value.detach().clone() for name, value in self.weights.items()}
        self.counts = []
        return self

    def adapt(self, sequence):
        frames_seen = []
        motion, teacher = self.loss_weights['motion'], self.loss_weights['teacher']
        for t in range(len(sequence)):
            xy, confidence = self._evidence(sequence, t)
            image = self.model.crops(sequence, [t])
            predicted = self._predict(image)
            if not confidence.any():
                yield predicted
                continue
            past = frames_seen[-self.interval] if len(frames_seen) >= self.interval else None
            frames_seen.append((image, xy, confidence))
            is_temporal = len(frames_seen) % self.temporal_every == 0
            self.loss_weights['motion'] = motion if is_temporal else 0.0
            self.loss_weights['teacher'] = teacher if is_temporal else 0.0
            first = predicted
            count = 0
            while count < self.steps:
                self.draw_ahead()
                if not self.error(predicted, xy, confidence) > self.until:
                    break
                self.one_step(count, image, xy, confidence, past)
                with torch.no_grad():
                    for name, weight in self.weights.items():
                        weight.copy_((1 - self.pull) * weight + self.pull * self.begin[name])
                if self.teacher_update == 'step':
                    self._update_teacher()
                count += 1
                predicted = self._predict(image)
            if self.teacher_update == 'frame':
                self._update_teacher()
            self.counts.append(count)
            yield first if self.predict == 'before' else predicted

    def draw_ahead(self):
        """Every pass that a step may follow has drawn the source crops of that step."""

    def error(self, predicted, xy, confidence) -> float:
        """Root mean square over the two coordinates of the points, by confidence, on a crop of 224 px."""
        points = self._joints(predicted)[1][0].numpy()
        total = amount = 0.0
        for point, target, sure in zip(points, xy.reshape(-1, 2).numpy(), confidence.flatten()):
            for coordinate in range(2):
                total += float(sure) * (112 * (point[coordinate] - target[coordinate])) ** 2
                amount += float(sure)
        return float(np.sqrt(total / amount))


class UntilBOA(UntilRule, LiteralBOA):
    """BOA with the rule."""

    def draw_ahead(self):
        if self.pool is not None:
            crops = self.draw_crops()
            self.draw = lambda: crops

    def one_step(self, count, image, xy, confidence, past):
        self._step(image, xy, confidence, past)


class UntilDynaBOA(UntilRule, LiteralDynaBOA):
    """DynaBOA with the rule in place of the change of features."""

    def one_step(self, count, image, xy, confidence, past):
        frame = (image, xy, confidence, past)
        if count == 0:
            self._bilevel_update(
                lambda weights: self._level(weights, frame, upper=False),
                lambda weights: self._level(weights, frame, upper=True),
                image,
            )
        else:
            self._plain_update(lambda weights: self._level(weights, frame, upper=True))


# Options of both, source batch.
CASES = {
    'one stage, frame losses': (dict(scheme='one-stage', upper=('frame',)), 1),
    'one stage, all losses': (dict(scheme='one-stage', teacher_keep=0.8), None),
    'bilevel': (dict(order='second', teacher_update='step', teacher_keep=0.8), 2),
    'two stages': (dict(scheme='two-stage', inner_lr=1e-3), 1),
    'every second frame, pulled': (
        dict(scheme='one-stage', temporal_every=2, pull=0.2, weights=dict(motion=3.0)),
        1,
    ),
    'visible points, before': (
        dict(scheme='one-stage', normalise='visible', predict='before'),
        None,
    ),
}


def both(case: str):
    options, batch = CASES[case]
    options = {**RATES, 'steps': 4, **options}
    factors = dict(pose_prior=0.0, **options.pop('weights', {}))
    rule = {name: options.pop(name) for name in ('temporal_every', 'pull') if name in options}
    source = None
    if batch is not None:
        source = dict(dataset=VIEWS, batch=batch)
    model, plain = Tiny(), Tiny()
    ours = Bilevel(**options, **rule, until=UNTIL, weights=factors, source=source)
    views = RandomViews(SIZE, double=True)
    options['keep'] = options.pop('teacher_keep', 0.1)
    literal = UntilBOA(
        plain,
        **options,
        **factors,
        pool=None if batch is None else [views[i] for i in range(len(views))],
    )
    literal.draw_crops = lambda: torch.randint(8, (batch,)).tolist()
    return ours, model, literal.set_rule(UNTIL, **rule), plain


UNTIL = 50.0


@pytest.mark.parametrize('case', CASES)
def test_bilevel_takes_the_steps_of_the_literal_program(case):
    ours, model, literal, plain = both(case)
    session = same_run(ours, model, literal, plain, hidden(tiny_sequence(frames=7), UNSEEN))
    assert session.steps_taken == literal.counts
    assert min(literal.counts) < max(literal.counts), 'the frames differ'
    assert session.counts['steps'] == pytest.approx(np.mean(literal.counts))
    assert session.counts['frames_without_evidence'] == 3


DYNAMIC = dict(lr=1e-3, inner_lr=1e-2, interval=2, weights=dict(pose_prior=0.0))


@pytest.mark.parametrize('every', [1, 2])
def test_dynamic_bilevel_takes_the_steps_of_the_literal_program(every):
    model, plain = Tiny(), Tiny()
    ours = DynamicBilevel(**DYNAMIC, max_extra=3, until=UNTIL, temporal_every=every, pull=0.1)
    literal = UntilDynaBOA(plain, lr=1e-3, inner_lr=1e-2, interval=2, steps=4)
    literal.set_rule(UNTIL, every, pull=0.1)
    session = same_run(ours, model, literal, plain, tiny_sequence(frames=4))
    assert session.steps_taken == literal.counts
    assert min(literal.counts) < max(literal.counts), 'the frames differ'
    assert 'extra_steps' not in session.counts


def test_the_prediction_is_the_pass_that_met_the_evidence():
    """Of the weights after the last step, with an error that is not above the limit; a frame below it makes no step."""
    sequence = tiny_sequence(frames=4)
    model = Tiny()
    session = Bilevel(
        **RATES, scheme='one-stage', steps=8, until=UNTIL, weights=dict(pose_prior=0.0)
    ).start(model)
    before = weights_of(model)
    for t, prediction in enumerate(session.run(sequence)):
        with torch.no_grad():
            present = model(model.crops(sequence, [t]))
        for name in ('rotmat', 'betas', 'camera'):
            assert (getattr(prediction, name) - getattr(present, name)).abs().max() < 1e-12
            assert not getattr(prediction, name).requires_grad
        after = weights_of(model)
        assert equal(before, after) == (session.steps_taken[t] == 0)
        before = after


def test_the_error_is_that_of_the_noise():
    rng = np.random.default_rng(0)
    noise = torch.tensor(rng.normal(size=(2, 20000, 2)) * 4 / 112)
    exact = torch.tensor(rng.uniform(-1, 1, (2, 20000, 2)))
    confidence = torch.tensor(rng.uniform(0, 1, (2, 20000)))
    confidence[1, ::2] = 0
    xy = exact + noise
    xy[1, ::2] = float('nan')
    error = keypoint_error(exact, CropKeypoints(xy, confidence))
    assert error.tolist() == pytest.approx([4.0, 4.0], rel=0.02)
    # Also where little is visible, and that with little confidence.
    one = CropKeypoints(torch.tensor([[[0.5, 0.25]]]), torch.tensor([[0.1]]))
    assert keypoint_error(torch.zeros(1, 1, 2), one).item() == pytest.approx(
        112 * np.sqrt((0.25 + 0.0625) / 2)
    )


def test_a_frame_that_is_not_finite_is_skipped_and_not_taken_for_evidence():
    model = Tiny()
    options = dict(scheme='one-stage', steps=2, pull=0.5, weights=dict(motion=0.0, pose_prior=0.0))
    session = Bilevel(**RATES, **{**options, 'until': 1.0}).start(model)
    weights = [weights_of(model)]
    for _ in session.run(with_infinity(tiny_sequence(frames=3), 1)):
        weights.append(weights_of(model))
    assert session.counts['skipped_updates'] == 2
    assert [equal(a, b) for a, b in zip(weights, weights[1:])] == [False, True, False]


@pytest.mark.parametrize('kind', [Bilevel, DynamicBilevel])
def test_a_stream_resumes_with_the_weights_that_it_is_pulled_to(kind):
    sequences = [tiny_sequence('first', 3, seed=1), tiny_sequence('second', 3, seed=2)]
    options = dict(**RATES, until=UNTIL, pull=0.3, reset='never', weights=dict(pose_prior=0.0))
    whole_model = Tiny()
    whole = AdapterRun(kind(**options), whole_model)
    predict_all(whole, sequences[0])
    kept = copy.deepcopy((whole_model.state_dict(), whole.state_dict()))
    wanted = predict_all(whole, sequences[1])
    model = Tiny()
    resumed = AdapterRun(kind(**options), model)
    resumed.resume(*kept)
    assert torch.equal(predict_all(resumed, sequences[1]), wanted)
    assert equal(weights_of(model), weights_of(whole_model))


@pytest.mark.parametrize(
    'options', [dict(until=0.0), dict(until=float('nan')), dict(temporal_every=0), dict(pull=1.0)]
)
@pytest.mark.parametrize('kind', [Bilevel, DynamicBilevel])
def test_bad_options(kind, options):
    with pytest.raises(InputError, match=next(iter(options))):
        kind(**options)
