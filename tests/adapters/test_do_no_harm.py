"""DoNoHarm: what it hides from the wrapped adapter, what it decides, and what it yields."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation, Slerp
from tiny_parts import Tiny, equal, tiny_sequence, weights_of

from hrtk.adapters import Adapter, Bilevel, DoNoHarm, KeypointFit, Preparation, Session
from hrtk.adapters.gate.blending import blend
from hrtk.adapters.gate.held_out import FEWEST_LEFT, HeldOut, usable_keypoints, without_held_out
from hrtk.adapters.parts.posed import PosedPrediction
from hrtk.adapters.run import AdapterRun
from hrtk.engine.computing import _stored_parameters
from hrtk.errors import InputError
from hrtk.geometry.boxes import to_image
from hrtk.geometry.rotation import axis_angle_to_rotmat
from hrtk.registry import ADAPTERS
from hrtk.results import Result
from hrtk.structures import GroundTruth, Keypoints2D, Prediction

FRAMES = 6
PARAMETERS = ('rotmat', 'betas', 'camera')
KEEP = dict(roll_back_below=-2e9, keep_above=-1e9, acceleration=1e9, bones=1e9, step=1.0)
SEEN = []  # sequences and data sets that the wrapped adapter received
GIVEN = []  # predictions that it gives


@pytest.fixture(autouse=True, scope='module')
def given_adapter():
    @ADAPTERS.register_module(name='GivenForTheGate')
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Given(Adapter):
        """Gives stored predictions, and remembers what it was shown."""

        change: float = 0.0

        def prepare(self, estimator, dataset, preparation):
            SEEN.append(dataset)
            if not self.change:
                return None
            for weight in estimator.parameters():
                weight.data += self.change
            return copy.deepcopy(estimator.state_dict())

        def start(self, estimator):
            return GivenSession()

    class GivenSession(Session):
        def run(self, sequence):
            SEEN.append(sequence)
            prediction = GIVEN[-1]
            for t in range(len(sequence)):
                yield prediction[t : t + 1]

    yield
    ADAPTERS.module_dict.pop('GivenForTheGate')


def gate(**options):
    return DoNoHarm(adapter=dict(type='GivenForTheGate'), **options)


def frozen_prediction(model, sequence):
    with torch.no_grad():
        frames = [model(model.crops(sequence, [t])) for t in range(len(sequence))]
    return Prediction.cat(frames)


def poses(seed, frames=FRAMES):
    """One pose, shape and camera per frame that hardly move."""
    generator = torch.Generator().manual_seed(seed)
    pose = torch.randn(1, 24, 3, generator=generator, dtype=torch.float64) * 0.4
    wobble = torch.randn(frames, 24, 3, generator=generator, dtype=torch.float64) * 0.01
    return Prediction(
        axis_angle_to_rotmat(pose + wobble),
        torch.zeros(frames, 10, dtype=torch.float64),
        torch.tensor([[0.9, 0.0, 0.1]], dtype=torch.float64).expand(frames, 3),
    )


def seen_from(model, sequence, prediction, noise=0.0):
    """The sequence with exact keypoints of a prediction, of the skeleton spin24, plus noise in px."""
    posed = PosedPrediction.of(prediction, model.required_body)
    xy = to_image(posed.spin24_joints2d, sequence.boxes)
    xy = xy + noise * torch.randn(
        xy.shape, generator=torch.Generator().manual_seed(1), dtype=xy.dtype
    )
    keypoints = Keypoints2D(xy, torch.ones_like(xy[..., 0]), 'spin24', 'exact')
    return dataclasses.replace(sequence, keypoints2d=keypoints)


def run_gate(adapter, model, sequence, prediction, seed=3):
    GIVEN.append(prediction)
    torch.manual_seed(seed)
    session = adapter.start(model)
    found = Prediction.cat(list(session.run(sequence)))
    return found, session


def same(a, b):
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in PARAMETERS)


def test_the_wrapped_adapter_never_sees_held_out_evidence():
    model, sequence = Tiny(), tiny_sequence(frames=24, dropped=0.1)
    truth = GroundTruth(rotmat=torch.eye(3, dtype=torch.float64).expand(24, 24, 3, 3))
    sequence = dataclasses.replace(sequence, truth=truth)
    adapter = gate(keypoint_share=0.2, frame_share=0.1)
    torch.manual_seed(5)
    adapter.prepare(model, [sequence], Preparation())
    run_gate(adapter, model, sequence, frozen_prediction(model, sequence), seed=6)
    prepared, shown = SEEN[-2][0], SEEN[-1]
    assert shown.truth is None and prepared.truth is None and len(SEEN[-2]) == 1
    before, after = usable_keypoints(sequence), usable_keypoints(shown)
    held = before & ~after
    assert torch.equal(usable_keypoints(prepared), after)
    assert (shown.keypoints2d.confidence[held] == 0).all()
    assert shown.keypoints2d.xy[held].isnan().all()
    torch.testing.assert_close(shown.keypoints2d.xy[after], sequence.keypoints2d.xy[after])
    whole = ~after.any(1)
    assert 1 <= whole.sum() <= 7
    shares = (held.sum(1) / before.sum(1))[~whole]
    assert (shares - 0.2).abs().max() < 0.03
    assert len({tuple(row.tolist()) for row in held[~whole]}) > 15  # changes from frame to frame
    assert held.any(0)[before.any(0)].all()  # every joint is examined


def test_a_part_hides_what_the_whole_hides_and_another_seed_hides_other_keypoints():
    sequence = tiny_sequence(frames=12)
    draw = HeldOut(0.2, 0.1, seed=1)
    held = draw.draw(sequence)
    state = torch.random.get_rng_state()
    assert torch.equal(draw.draw(sequence.part(4, 9)), held[4:9])
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not torch.equal(HeldOut(0.2, 0.1, seed=2).draw(sequence), held)


def test_a_frame_keeps_enough_keypoints():
    sequence = tiny_sequence(frames=5)
    sequence.keypoints2d.confidence[:, 8:] = 0
    left = usable_keypoints(without_held_out(sequence, HeldOut(0.9, 0.0, 1).draw(sequence)))
    visible = usable_keypoints(sequence).sum(1)
    assert torch.equal(left.sum(1), visible.clamp_max(FEWEST_LEFT))


def test_random_poses_are_rolled_back_and_a_perfect_adapter_is_kept():
    model, sequence = Tiny(), tiny_sequence(frames=FRAMES)
    frozen = frozen_prediction(model, sequence)
    random = Prediction(
        torch.from_numpy(Rotation.random(FRAMES * 24, random_state=0).as_matrix()).reshape(
            FRAMES, 24, 3, 3
        ),
        frozen.betas,
        frozen.camera,
    )
    found, session = run_gate(gate(), model, seen_from(model, sequence, frozen, noise=0.3), random)
    assert same(found, frozen) and session.counts['rolled_back'] == 1
    assert (found.adapted_share == 0).all()
    true = poses(0)
    found, session = run_gate(gate(), model, seen_from(model, sequence, true, noise=0.3), true)
    assert same(found, true)
    assert dict(session.counts) == dict(kept=1, blended=0, rolled_back=0, adapted_share=1)


@pytest.mark.parametrize('field', ['rotmat', 'camera'])
@pytest.mark.parametrize('value', ['nan', 'inf'])
def test_a_prediction_that_is_not_finite_is_rolled_back(field, value):
    model, sequence = Tiny(), tiny_sequence(frames=FRAMES)
    true = poses(0)
    broken = Prediction(true.rotmat.clone(), true.betas, true.camera.clone())
    getattr(broken, field)[2] = float(value)
    found, _ = run_gate(gate(), model, seen_from(model, sequence, true), broken)
    frozen = frozen_prediction(model, sequence)
    assert torch.equal(found.rotmat[2], frozen.rotmat[2])
    assert torch.equal(found.camera[2], frozen.camera[2])
    assert found.rotmat.isfinite().all() and found.camera.isfinite().all()
    assert found.adapted_share[1] == 1 and 0 < found.adapted_share[5] <= 1


def test_without_evidence_the_frozen_prediction_stays():
    model, sequence = Tiny(), tiny_sequence(frames=3)
    sequence.keypoints2d.confidence.zero_()
    found, _ = run_gate(gate(), model, sequence, poses(0))
    assert same(found, frozen_prediction(model, sequence))


def test_a_gate_that_always_keeps_gives_the_digits_of_the_wrapped_adapter():
    options = dict(type='Bilevel', lr=1e-3, inner_lr=1e-2, steps=2, interval=2, order='first')
    options['weights'] = dict(source=0.0, pose_prior=0.0)
    sequence = tiny_sequence(frames=4)
    ours, alone = Tiny(), Tiny()
    torch.manual_seed(7)
    gated = AdapterRun(DoNoHarm(adapter=options, look_ahead=2, **KEEP), ours)
    found = Prediction.cat(list(gated.run(sequence)))
    torch.manual_seed(7)
    hidden = without_held_out(sequence, HeldOut(0.1, 0.0, 7).draw(sequence))
    plain = AdapterRun(Bilevel(**{key: options[key] for key in options if key != 'type'}), alone)
    assert same(found, Prediction.cat(list(plain.run(hidden))))
    assert equal(weights_of(ours), weights_of(alone))
    assert gated.counts['kept'] == 1 and gated.counts['skipped_updates'] == 0


def test_the_frozen_prediction_is_that_from_before_the_preparation():
    model, sequence = Tiny(), tiny_sequence(frames=FRAMES)
    frozen = frozen_prediction(model, sequence)
    adapter = DoNoHarm(adapter=dict(type='GivenForTheGate', change=0.1))
    prepared = adapter.prepare(model, [sequence], Preparation())
    model.load_state_dict(prepared)
    assert not same(frozen_prediction(model, sequence), frozen)
    found, _ = run_gate(adapter, model, seen_from(model, sequence, frozen), poses(4))
    assert same(found, frozen)


@pytest.mark.parametrize('look_ahead', [0, 1])
def test_a_decision_uses_no_later_frame_than_it_may(look_ahead):
    model, sequence = Tiny(), tiny_sequence(frames=FRAMES)
    true = poses(0)
    sequence = seen_from(model, sequence, true, noise=4.0)
    worse = Prediction(true.rotmat.clone(), true.betas, true.camera)
    worse.rotmat[5:] = poses(5).rotmat[5:]  # a frame of which all keypoints are hidden
    options = dict(frame_share=0.5, roll_back_below=-1.0, keep_above=30.0)
    adapter = gate(look_ahead=look_ahead, **options)
    shares = [run_gate(adapter, model, sequence, each)[0].adapted_share for each in (true, worse)]
    equal_until = 5 - look_ahead
    assert len(shares[0]) == FRAMES and ((shares[0] > 0) & (shares[0] < 1)).any()
    assert torch.equal(shares[0][:equal_until], shares[1][:equal_until])
    assert shares[0][equal_until] != shares[1][equal_until]


def test_a_result_stores_the_share_of_every_frame(tmp_path):
    prediction = Prediction(
        torch.eye(3).expand(3, 24, 3, 3),
        torch.zeros(3, 10),
        torch.ones(3, 3),
        adapted_share=torch.tensor([0.0, 0.5, 1.0]),
    )
    stored = _stored_parameters(prediction)
    path = tmp_path / 'clip.npz'
    result = Result(
        name='clip',
        before=dataclasses.replace(stored, adapted_share=None),
        after=stored,
        boxes=np.ones((3, 3), np.float32),
        keypoints2d=np.ones((3, 24, 3), np.float32),
        keypoints_source='noise',
        skeleton='spin24',
        frame_ids=('0', '1', '2'),
        image_size=(8, 8),
        fps=25.0,
        ms_per_frame=1.0,
        before_ms_per_frame=1.0,
    )
    result.save(path)
    assert np.load(path)['adapted_share'].tolist() == [0, 0.5, 1]
    assert Result.load(path).after.adapted_share.tolist() == [0, 0.5, 1]
    assert Result.load(path).before.adapted_share is None
    dataclasses.replace(result, after=result.before).save(path)
    assert Result.load(path).after.adapted_share is None


def test_blending_follows_the_arcs_of_scipy():
    rotations = Rotation.random(2 * 24, random_state=3)
    first, second = rotations[:24], rotations[24:]
    weights = [0.0, 0.3, 0.75, 1.0]
    frozen, adapted = (
        Prediction(
            torch.from_numpy(each.as_matrix()).expand(4, 24, 3, 3),
            torch.full((4, 10), value, dtype=torch.float64),
            torch.full((4, 3), value, dtype=torch.float64),
        )
        for each, value in ((first, 1.0), (second, 3.0))
    )
    found = blend(frozen, adapted, torch.tensor(weights, dtype=torch.float64))
    for joint in range(24):
        ends = Rotation.concatenate([first[joint], second[joint]])
        expected = Slerp([0, 1], ends)(weights).as_matrix()
        torch.testing.assert_close(found.rotmat[:, joint], torch.from_numpy(expected))
    expected = torch.tensor([1.0, 1.6, 2.5, 3.0], dtype=torch.float64)
    torch.testing.assert_close(found.betas, expected[:, None].expand(4, 10))
    torch.testing.assert_close(found.camera, expected[:, None].expand(4, 3))
    assert torch.equal(found.rotmat[0], frozen.rotmat[0])
    assert torch.equal(found.rotmat[3], adapted.rotmat[3])


def test_around_an_adapter_that_resets_at_every_frame_the_judge_goes_on():
    """The wrapped adapter starts anew at every frame; the evidence of earlier frames counts unless reset='frame'."""
    inner = dict(type='KeypointFit', lr=1e-3, steps=2, reset='frame')
    assert DoNoHarm(adapter=inner).reset == 'sequence'
    model, sequence = Tiny(), tiny_sequence(frames=6)
    hidden = HeldOut(0.0, 0.4, 7).draw(sequence).any(1)  # evidence in some frames alone
    shown = without_held_out(sequence, HeldOut(0.0, 0.4, 7).draw(sequence))
    torch.manual_seed(7)
    plain = Prediction.cat(list(AdapterRun(KeypointFit(lr=1e-3, steps=2), Tiny()).run(shown)))
    shares = {}
    for reset in ('sequence', 'frame'):
        torch.manual_seed(7)
        adapter = DoNoHarm(adapter=inner, reset=reset, keypoint_share=0.0, frame_share=0.4, **KEEP)
        run = AdapterRun(adapter, model)
        found = Prediction.cat(list(run.run(sequence)))
        shares[reset] = found.adapted_share
        kept = found.adapted_share == 1
        torch.testing.assert_close(found.rotmat[kept], plain.rotmat[kept], rtol=0, atol=0)
        assert run.counts['kept'] == pytest.approx(float(kept.double().mean()))
    first = int(hidden.nonzero()[0])
    assert 0 < hidden[first:].sum() < len(hidden) - first
    assert torch.equal(shares['frame'] == 1, hidden)
    assert torch.equal(shares['sequence'] == 1, torch.arange(6) >= first)


def test_bad_options_and_the_reset_of_the_wrapped_adapter():
    inner = dict(type='Bilevel', reset='never', order='first', weights=dict(pose_prior=0.0))
    assert DoNoHarm(adapter=inner).reset == 'never'
    with pytest.raises(
        InputError, match="reset is that of the wrapped adapter, 'never', not 'frame'"
    ):
        DoNoHarm(adapter=inner, reset='frame')
    for options, message in (
        (dict(keypoint_share=1.0), 'keypoint_share is in'),
        (dict(keypoint_share=0.0, frame_share=0.0), 'nothing is held out'),
        (dict(keep_above=0.0, roll_back_below=0.0), 'is above roll_back_below'),
        (dict(step=0.0), 'step is above 0'),
        (dict(look_ahead=-1), 'look_ahead is 0 or more'),
    ):
        with pytest.raises(InputError, match=message):
            gate(**options)
    with pytest.raises(InputError, match='Bilevell'):
        DoNoHarm(adapter=dict(type='Bilevell'))
