"""Streams: digits of the run over the file, states, budgets by a clock of the test's own, and what is refused."""

from __future__ import annotations

import contextlib
import json
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from hrtk.adapters import FROZEN, Effort, PreAdapt, Source, TrackFit
from hrtk.adapters.run import AdapterRun
from hrtk.apis.live import CostModel, FoundPerson, RecordedCamera, StreamingRunner, play, playing
from hrtk.apis.live.screens import Film, Page, Window
from hrtk.apis.live.setup import streaming_runner
from hrtk.cli.main import run_command
from hrtk.detectors import Detector
from hrtk.engine.computing import seed_generators
from hrtk.errors import InputError
from hrtk.geometry.one_euro import OneEuroRotation
from hrtk.models.estimators import HMR
from hrtk.registry import ADAPTERS
from hrtk.structures import Keypoints2D, Sequence
from hrtk.visualization.video import write_image

BODY = np.random.default_rng(3).uniform(0, 1, (17, 2)) * (30, 80)
FRAMES = 5
BILEVEL = dict(
    type='Bilevel',
    lr=1e-3,
    inner_lr=1e-3,
    interval=2,
    steps=3,
    order='second',
    weights=dict(pose_prior=0.0, source=0.0),
)


def picture(t: int) -> np.ndarray:
    """Noise of its own in every frame."""
    return np.random.default_rng(t).integers(0, 255, (120, 160, 3), dtype=np.uint8)


def points(t: int, x: float = 20) -> np.ndarray:
    return np.column_stack([BODY + (x + 4 * t, 20), np.full(17, 0.9)]).astype(np.float32)


class Stub(Detector):
    """Finds two people without identities; the number of images is known."""

    source = 'stub'
    skeleton = 'coco17'

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, images):
        self.asked += len(images)
        return [np.stack([points(self.asked), points(self.asked, 60)]) for _ in images]


class Clock:
    """Shows the seconds that the test's parts claim to take."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    head = dict(type='IterativeRegressor', hidden=16, dropout=0.0)
    backbone = dict(type='ResNet', depth=18, width=4)
    return HMR(backbone, head, 32, body=dict(type='BodyModel', file='open')).eval()


def recorded(network) -> tuple[Sequence, list[FoundPerson]]:
    """A clip as a data set gives it, and what a live tracker gives for the same frames."""
    keypoints = torch.from_numpy(np.stack([points(t) for t in range(FRAMES)]))
    boxes = torch.tensor([[40.0 + 4 * t, 60, 90] for t in range(FRAMES)])
    frames = np.stack([picture(t) for t in range(FRAMES)])
    points2d = Keypoints2D(keypoints[..., :2], keypoints[..., 2], 'coco17', 'stub')
    people = [FoundPerson(1, points(t), boxes[t]) for t in range(FRAMES)]
    return Sequence('live_person1', frames, boxes, points2d), people


def test_a_stream_has_the_digits_of_the_file(network):
    """With seed, name, boxes and keypoints of the file: each frame is what a run over the file stores for it."""
    adapter = ADAPTERS.build(dict(BILEVEL))
    sequence, people = recorded(network)
    runner = StreamingRunner(network, adapter, seed=4)
    found = []
    for t, person in enumerate(people):
        torch.manual_seed(t)  # what others draw in between changes nothing
        (live,) = runner.push_people(picture(t), [person])
        assert live.effort == Effort(3, 'second') and live.track == 1
        found.append(live.prediction)
    start = {name: value.clone() for name, value in network.state_dict().items()}
    seed_generators(4, sequence.name)
    expected = list(AdapterRun(adapter, network).run(sequence))
    network.load_state_dict(start)
    for ours, wanted in zip(found, expected, strict=True):
        assert torch.equal(ours.rotmat, wanted.rotmat)
        assert torch.equal(ours.camera, wanted.camera)
    frozen = StreamingRunner(network, Source()).push_people(picture(0), people[:1])[0]
    assert not torch.equal(frozen.prediction.rotmat, found[0].rotmat)


def test_a_stored_stream_goes_on_with_the_same_digits(network, tmp_path):
    adapter = ADAPTERS.build(dict(BILEVEL, steps=1))
    runner = StreamingRunner(network, adapter, Stub(), max_people=2)
    for t in range(3):
        runner.push(picture(t), t / 10)
    runner.save(tmp_path / 'live.pt')
    expected = [runner.push(picture(t), t / 10) for t in (3, 4)]
    again = StreamingRunner(network, adapter, Stub(), max_people=2)
    again.load(tmp_path / 'live.pt')
    again.detector.asked = 3
    found = [again.push(picture(t), t / 10) for t in (3, 4)]
    for ours, wanted in zip(sum(found, []), sum(expected, []), strict=True):
        for name in ('rotmat', 'betas', 'camera'):
            assert torch.equal(getattr(ours.prediction, name), getattr(wanted.prediction, name))
            assert torch.equal(getattr(ours.shown, name), getattr(wanted.shown, name))
        assert torch.equal(ours.box, wanted.box) and ours.track == wanted.track
    other = StreamingRunner(network, ADAPTERS.build(dict(BILEVEL, steps=2)))
    with pytest.raises(InputError, match=r'live\.pt.*another adapter'):
        other.load(tmp_path / 'live.pt')
    with pytest.raises(InputError, match='--state'):
        other.load(tmp_path / 'nothing.pt')


def test_people_do_not_change_each_other(network):
    adapter = ADAPTERS.build(dict(BILEVEL, steps=1, order='first'))
    both = StreamingRunner(network, adapter, max_people=2)
    alone = StreamingRunner(network, adapter)
    for t in range(3):
        first = FoundPerson(1, points(t))
        second = FoundPerson(2, points(t, 60))
        pair = both.push_people(picture(t), [second, first])
        (single,) = alone.push_people(picture(t), [first, second])
        assert [person.track for person in pair] == [1, 2] and single.track == 1
        assert torch.equal(pair[0].prediction.rotmat, single.prediction.rotmat)
    for t in range(3, 35):  # the first leaves for more than a second: the second has room
        people = alone.push_people(picture(t), [FoundPerson(2, points(0))])
    assert [person.track for person in people] == [2]


def test_what_is_shown_is_filtered_on_the_rotations(network):
    runner = StreamingRunner(network, Source(), fps=20)
    reference = OneEuroRotation()
    for t in range(4):
        (person,) = runner.push_people(picture(t), [FoundPerson(1, points(t))])
        wanted = reference.push(person.prediction.rotmat, t / 20)
        torch.testing.assert_close(person.shown.rotmat, wanted, atol=1e-5, rtol=0)
    assert not torch.allclose(person.shown.rotmat, person.prediction.rotmat, atol=1e-3)


@pytest.mark.parametrize('budget, wanted', [(1000, 3), (75, 1), (115, 2), (25, 0), (5, 0)])
def test_a_budget_chooses_the_steps(network, monkeypatch, budget, wanted):
    """20 ms for a prediction, 40 ms for a step of first order, 400 ms for one of second order: what fits is taken."""
    clock = Clock()
    adapter = ADAPTERS.build(dict(BILEVEL))
    session = type(adapter.start(network))
    cost = {'first': 0.04, 'second': 0.4}
    prediction = network(torch.zeros(1, 3, 32, 32)).detach()

    def push(self, sequence, effort):
        clock.now += 0.02 + effort.steps * cost.get(effort.order, 0)
        self.last_steps = effort.steps
        return prediction

    monkeypatch.setattr(session, 'push', push)
    runner = StreamingRunner(network, adapter, budget=budget, clock=clock)
    late = []
    efforts = []
    for t in range(60):
        (person,) = runner.push_people(picture(0), [FoundPerson(1, points(0))])
        late.append(runner.report.late)
        efforts.append(person.effort)
    assert efforts[-1].steps == wanted
    assert wanted == 0 or efforts[-1].order == 'first'
    if budget > 20:
        # What is not measured is tried again now and then.
        assert np.mean(late) <= 0.05
    else:
        assert all(late)


def test_steps_that_the_method_ends_itself_are_counted_as_taken(network, monkeypatch):
    """A step takes 40 ms; of up to three, as many are taken as the evidence demands, and none without a person."""
    clock = Clock()
    options = dict(type='Bilevel', scheme='one-stage', upper=('frame',), steps=3, until=1.0)
    weights = dict(pose_prior=0.0, source=0.0)
    adapter = ADAPTERS.build(dict(options, weights=weights, lr=1e-4))
    session = type(adapter.start(network))
    demanded = [1000]  # while the costs are measured
    looks = []

    def is_met(self, posed, frame):
        looks.append(frame)
        return len(looks) > demanded[0]

    step = session._step

    def slow_step(self, *args):
        clock.now += 0.04
        return step(self, *args)

    monkeypatch.setattr(session, 'evidence_is_met', is_met)
    monkeypatch.setattr(session, '_step', slow_step)
    runner = StreamingRunner(network, adapter, budget=1000, clock=clock)
    taken = []
    for t in range(8):
        demanded[0] = (3, 1, 0, 2)[t % 4]
        looks.clear()
        person = FoundPerson(1, points(t))
        if t == 7:
            person.keypoints[:, 2] = 0
        (found,) = runner.push_people(picture(t), [person])
        taken.append(found.effort.steps)
    assert taken == [3, 1, 0, 2, 3, 1, 0, 0]
    assert runner.costs.steps['first'].mean == pytest.approx(0.04)
    assert runner.costs.prediction.mean == pytest.approx(0)


def test_costs_of_frames_that_vary():
    """The expected cost lies above nearly all of noisy frames, and a single slow one is forgotten."""
    rng = np.random.default_rng(0)
    costs = CostModel()
    above = []
    for _ in range(400):
        seconds = rng.gamma(20, 0.001)
        above.append(seconds > costs.expected(FROZEN) > 0)
        costs.add(FROZEN, seconds)
    assert np.mean(above) < 0.05
    for _ in range(20):
        costs.add(Effort(1, 'first'), 0.06)
    costs.add(Effort(1, 'first'), 2.0)
    efforts = (Effort(1, 'first'), FROZEN)
    chosen = [costs.choose(efforts, 0.2) for _ in range(250)]
    assert chosen[0] == FROZEN and chosen[-1] == efforts[0]


def test_what_cannot_be_a_stream(network):
    for adapter in (TrackFit(), PreAdapt(weights=dict(pose=0.0, betas=0.0, camera=0.0))):
        with pytest.raises(InputError, match='finished footage'):
            StreamingRunner(network, adapter)
    runner = StreamingRunner(network, Source())
    with pytest.raises(InputError, match='needs a detector'):
        runner.push(picture(0))
    runner.push_people(picture(0), [], 1.0)
    with pytest.raises(InputError, match='times must rise'):
        runner.push_people(picture(0), [], 1.0)
    with pytest.raises(InputError, match='uint8 RGB'):
        runner.push_people(picture(0).astype(float), [])
    with pytest.raises(InputError, match='budget is a number'):
        StreamingRunner(network, Source(), budget=-1)


def frames_on_disk(folder):
    for t in range(12):
        write_image(folder / f'{t:02d}.png', np.full((48, 64, 3), 20 * t, np.uint8))
    return folder


def test_a_file_stands_in_for_a_camera(tmp_path):
    """At 10 frames per second a reader that needs 0.25 s per frame gets every third frame, with its time."""
    clock = Clock()

    def sleep(seconds):
        clock.now += seconds

    camera = RecordedCamera(frames_on_disk(tmp_path), 10, clock, sleep)
    seen = []
    while (news := camera.read()) is not None:
        image, time = news
        seen.append((int(image[0, 0, 0]) // 20, round(time, 6)))
        clock.now += 0.25
    assert seen == [(0, 0.0), (2, 0.2), (5, 0.5), (7, 0.7), (10, 1.0), (11, 1.1)]
    assert camera.dropped == 6
    lazy = RecordedCamera(tmp_path, 10, clock, sleep)
    start = clock.now
    count = 0
    while lazy.read() is not None:
        count += 1
    assert (count, lazy.dropped) == (12, 0) and round(clock.now - start, 6) == 1.1


def test_playing_ends_with_the_file_and_writes_the_film(network, tmp_path):
    clock = Clock()

    def sleep(seconds):
        clock.now += seconds

    class Slow(Stub):
        def __call__(self, images):
            clock.now += 0.15
            return super().__call__(images)

    (tmp_path / 'frames').mkdir()
    camera = RecordedCamera(frames_on_disk(tmp_path / 'frames'), 10, clock, sleep)
    runner = StreamingRunner(network, Source(), Slow(), fps=10, budget=100, clock=clock)
    report = play(runner, camera, [Film(tmp_path / 'film.mp4', 10)])
    assert report.within == 0 and report.dropped == 3 and len(report.latencies) == 9
    assert '0.0 % within 100 ms' in str(report)
    reader = cv2.VideoCapture(str(tmp_path / 'film.mp4'))
    levels = []
    while (read := reader.read())[0]:
        levels.append(read[1][:5, :5].mean() / 20)
    # a frame stays until the next one comes: the film has the length of the recording
    expected = [0, 1, 1, 3, 4, 4, 6, 7, 7, 9, 10, 11]
    assert len(levels) == 12
    assert np.abs(np.array(levels) - expected).max() < 0.5


def test_no_person_at_all_is_refused(network, tmp_path, monkeypatch):
    def build(adapt, *, max_people, **options):
        return StreamingRunner(network, Source(), max_people=max_people)

    monkeypatch.setattr(playing, 'streaming_runner', build)
    with pytest.raises(InputError, match='max_people at least 1, not .* and 0'):
        playing.live(frames_on_disk(tmp_path), fps=10, max_people=0, show='none')


def test_options_of_the_command(tmp_path, capsys, monkeypatch):
    assert run_command('infer', ['clip.mp4', '--budget', '200']) == 2
    assert '--budget belongs to --live' in capsys.readouterr().err
    assert run_command('infer', ['clip.mp4', '--live', '--from', '3']) == 2
    assert '--from is for finished footage' in capsys.readouterr().err
    assert run_command('infer', [str(tmp_path / 'nothing.mp4'), '--live']) == 2
    assert 'nothing.mp4' in capsys.readouterr().err
    monkeypatch.delenv('DISPLAY', raising=False)
    monkeypatch.delenv('WAYLAND_DISPLAY', raising=False)
    monkeypatch.setattr('sys.platform', 'linux')
    with pytest.raises(InputError, match='no display.*--record'):
        Window()


def test_page_shows_who_is_there(network, monkeypatch):
    """A stand-in for viser, which counts what is added: a body per identity, hidden while nobody has it."""
    added = {}

    def add(name, vertices, faces, color, position):
        added[name] = SimpleNamespace(vertices=vertices, visible=True, position=position)
        return added[name]

    image = SimpleNamespace(image=None)
    scene = SimpleNamespace(
        set_up_direction=str, configure_environment_map=str, add_mesh_simple=add
    )
    server = SimpleNamespace(
        scene=scene,
        initial_camera=SimpleNamespace(),
        gui=SimpleNamespace(add_image=lambda picture, format: image),
        atomic=contextlib.nullcontext,
        stop=str,
        get_host=lambda: '127.0.0.1',
        get_port=lambda: 8080,
    )
    viser = SimpleNamespace(ViserServer=lambda **options: server)
    monkeypatch.setitem(sys.modules, 'viser', viser)
    page = Page(network.required_body)
    runner = StreamingRunner(network, Source(), max_people=2)
    pair = [FoundPerson(1, points(0)), FoundPerson(2, points(0, 60))]
    people = runner.push_people(picture(0), pair)
    page.show(picture(0), people, 0.0)
    before = added['/person2'].vertices
    people = runner.push_people(picture(1), pair[1:])
    page.show(picture(1), people, 0.1)
    assert set(added) == {'/person1', '/person2'}
    assert not added['/person1'].visible and added['/person2'].visible
    assert added['/person1'].position != added['/person2'].position
    assert not np.array_equal(added['/person2'].vertices, before)
    assert np.array_equal(image.image, picture(1))
    assert page.viewer.url == 'http://127.0.0.1:8080'
    monkeypatch.setitem(sys.modules, 'viser', None)
    with pytest.raises(InputError, match='viser'):
        Page(network.required_body)


@pytest.mark.parametrize(
    'pose2d, every',
    [('blazepose', 0), ('blazepose:tiles_every=25', 25), ('blazepose:tiles=2', None)],
)
def test_tiles_are_looked_at_only_where_somebody_asks_for_them(pose2d, every):
    detector = streaming_runner(pose2d=pose2d, fps=25).detector
    assert json.loads(detector.fingerprint()['options'])['tiles_every'] == every
