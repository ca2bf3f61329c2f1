"""People followed through a clip: crossings, losses, newcomers, wrong angles, and an interrupted tracker."""

from __future__ import annotations

import json
import math

import cv2
import numpy as np
import pytest
import torch

from hrtk.datasets.open_stream import OpenStream
from hrtk.datasets.own.footage import open_footage
from hrtk.detectors import build_detector
from hrtk.errors import InputError
from hrtk.models.blazepose import BlazePose, PeopleTracker
from hrtk.models.blazepose.regions import limit_turn, plausible

FPS = 25.0
SIZE = (256, 448)  # height and width of the drawn clips


@pytest.fixture(scope='module')
def network():
    return BlazePose()


@pytest.fixture(scope='module')
def figures():
    """Cut-outs of two drawn people: (H, W, 3) and where they are opaque, both 200 px high."""
    cut_outs = []
    stream = OpenStream(domain='studio', sequences=4, frames=1, size=256, seed=0)
    for index in (0, 1):
        sequence = stream[index]
        image = np.asarray(sequence.frames[0])
        xy = sequence.keypoints2d.xy[0].numpy()
        left, top = np.floor(xy.min(0)).astype(int) - 14
        right, bottom = np.ceil(xy.max(0)).astype(int) + 14
        window = (slice(max(top, 0), bottom), slice(max(left, 0), right))
        picture = image[window]
        mask = np.asarray(sequence.masks[0])[window] > 0
        scale = 200 / len(picture)
        size = (round(picture.shape[1] * scale), 200)
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        mask = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        cut_outs.append((picture, mask > 0))
    return cut_outs


def scene(figures, places):
    """Figures at places (figure, x of the middle), the last one in front."""
    image = np.full((*SIZE, 3), 150, np.uint8)
    image[::16] = 135
    for index, x in places:
        picture, mask = figures[index]
        height, width = mask.shape
        left = round(x - width / 2)
        start, stop = max(left, 0), min(left + width, SIZE[1])
        if start >= stop:
            continue
        inside = slice(start - left, stop - left)
        target = image[30 : 30 + height, start:stop]
        target[mask[:, inside]] = picture[:, inside][mask[:, inside]]
    return image


def middles(people):
    """{track: x of the middle of the hips}."""
    found = {}
    for one in people:
        found[one.track] = float(one.person.landmarks[23:25, 0].mean())
    return found


def test_two_people_who_cross_keep_their_identities(network, figures):
    tracker = PeopleTracker(network, FPS, mirror_every=0)
    paths = {0: np.linspace(80, 368, 40), 1: np.linspace(368, 80, 40)}
    first = last = None
    for t in range(40):
        found = middles(tracker(scene(figures, [(0, paths[0][t]), (1, paths[1][t])])))
        if t == 0:
            first = found
        last = found
    assert set(first) == set(last) == {1, 2}
    for track in (1, 2):
        figure = min((0, 1), key=lambda index: abs(paths[index][0] - first[track]))
        assert abs(first[track] - paths[figure][0]) < 25
        assert abs(last[track] - paths[figure][-1]) < 25


def test_somebody_who_leaves_and_comes_back(network, figures):
    tracker = PeopleTracker(network, FPS, mirror_every=0)
    here = scene(figures, [(0, 150)])
    nobody = scene(figures, [])
    seen = [list(middles(tracker(here))) for _ in range(3)]
    assert seen == [[1]] * 3
    assert [tracker(nobody) for _ in range(5)] == [[]] * 5
    assert list(middles(tracker(here))) == [1]  # in the next frame, not only in the next interval
    for _ in range(tracker.max_missed + 1):
        assert tracker(nobody) == []
    assert not tracker.state()['tracks']
    assert list(middles(tracker(here))) == [2]


def test_newcomers_are_found_within_the_interval(network, figures):
    tracker = PeopleTracker(network, FPS, detect_every=4, mirror_every=0)
    found = []
    for t in range(7):
        places = [(0, 120)]
        if t >= 2:
            places.append((1, 330))
        found.append(list(middles(tracker(scene(figures, places)))))
    assert found == [[1]] * 4 + [[1, 2]] * 3


def test_prediction_follows_fast_people_at_ten_frames_per_second(network, figures):
    tracker = PeopleTracker(network, 10, detect_every=1000, mirror_every=0)
    path = 60 + 26.0 * np.arange(13)  # a tenth of the region per frame, 0.8 of it within the clip
    for x in path:
        image = scene(figures, [(0, x)])
        found = middles(tracker(image))
        assert list(found) == [1] and abs(found[1] - x) < 20
    (track,) = tracker.state()['tracks']
    assert track['velocity'][0] == pytest.approx(26, abs=4) and abs(track['velocity'][1]) < 4


def test_the_detector_runs_as_rarely_as_it_may(network, figures, monkeypatch):
    runs = []
    detect = BlazePose.detect

    def counted(self, image, tiles=None):
        runs.append(tiles)
        return detect(self, image, tiles)

    monkeypatch.setattr(BlazePose, 'detect', counted)
    tracker = PeopleTracker(network, FPS, detect_every=6, mirror_every=0, tiles_every=8)
    for _ in range(12):
        tracker(scene(figures, [(0, 200)]))
    assert runs == [1, 2, 1, 1, 2]  # frames 0, 6 and 8
    runs.clear()
    tracker = PeopleTracker(network, FPS, detect_every=3, mirror_every=0, tiles_every=0)
    for _ in range(4):
        tracker(scene(figures, []))
    assert runs == [1, 2, 1, 1, 1, 2]  # tiles where the interval begins only


def test_small_people_are_found_in_tiles_and_followed(network, data_root):
    person = cv2.imread(str(data_root / 'photos/yogait/test_m.jpg'))[..., ::-1]
    image = np.full((720, 1080, 3), 127, np.uint8)
    image[150:310, 300:540] = cv2.resize(person, (240, 160), interpolation=cv2.INTER_AREA)
    assert network(image) == []
    tracker = PeopleTracker(network, FPS, mirror_every=0)
    assert [list(middles(tracker(image))) for _ in range(3)] == [[1]] * 3
    assert tracker.state()['tiles'] == 2


def test_somebody_beside_a_larger_person_is_found_in_tiles(network, data_root):
    person = cv2.imread(str(data_root / 'photos/yogait/test_m.jpg'))[..., ::-1]
    image = np.full((720, 1080, 3), 127, np.uint8)
    image[150:310, 300:540] = cv2.resize(person, (240, 160), interpolation=cv2.INTER_AREA)
    image[100:700, 540:] = cv2.resize(person, (540, 600), interpolation=cv2.INTER_AREA)
    assert len(network(image)) == 1
    assert len(build_detector(dict(type='BlazePose'), 'cpu').photographed(image)) == 2
    tracker = PeopleTracker(network, FPS, mirror_every=0)
    assert [list(middles(tracker(image))) for _ in range(2)] == [[1, 2]] * 2
    tracker = PeopleTracker(network, FPS, mirror_every=0, tiles_every=0)
    assert list(middles(tracker(image))) == [1]


def test_mirrored_runs_agree_with_the_others(network, figures):
    tracker = PeopleTracker(network, FPS, mirror_every=2)
    results = [tracker(scene(figures, [(0, 200)]))[0] for _ in range(3)]
    assert [result.mirrored is None for result in results] == [False, True, False]
    height = float(
        results[0].person.landmarks[:, 1].max() - results[0].person.landmarks[:, 1].min()
    )
    distance = (results[0].mirrored[:, :2] - results[0].person.landmarks[:, :2]).norm(dim=1)
    assert float(distance[11:].median()) < 0.06 * height


def test_a_restored_tracker_goes_on_as_the_first(network, figures):
    images = [scene(figures, [(0, 120 + 4 * t), (1, 330 - 4 * t)]) for t in range(9)]
    whole = PeopleTracker(network, FPS, detect_every=4)
    expected = [whole(image) for image in images]
    before = PeopleTracker(network, FPS, detect_every=4)
    for image in images[:5]:
        before(image)
    after = PeopleTracker(network, FPS, detect_every=4)
    after.restore(json.loads(json.dumps(before.state())))
    for image, people in zip(images[5:], expected[5:]):
        found = after(image)
        assert [one.track for one in found] == [one.track for one in people]
        for one, other in zip(found, people):
            assert torch.equal(one.person.landmarks, other.person.landmarks)
            assert torch.equal(one.person.world, other.person.world)
            assert (one.mirrored is None) == (other.mirrored is None)
    assert json.dumps(after.state()) == json.dumps(whole.state())
    with pytest.raises(ValueError, match='format 0'):
        after.restore(dict(format=0))


@pytest.mark.parametrize(
    'options', [dict(fps=0), dict(detect_every=0), dict(mirror_every=-1), dict(tiles_every=-1)]
)
def test_numbers_out_of_range(network, options):
    with pytest.raises(InputError, match='PeopleTracker: '):
        PeopleTracker(network, **{'fps': FPS, **options})


def test_single_wrong_angles_do_not_turn_the_region():
    before = torch.tensor([[10.0, 20.0, 250.0, math.radians(170)]])
    after = torch.tensor([[11.0, 21.0, 251.0, math.radians(-123)]])  # 67 degrees further
    assert plausible(before, after, 1 / 60, turn=False).all()
    assert not plausible(before, after, 1 / 60).any() and plausible(before, after).all()
    largest = 75 * (0.25 + 0.75 / 6)
    limited = limit_turn(before, after, 1 / 60)
    assert math.degrees(limited[0, 3]) == pytest.approx(170 + largest - 360, abs=1e-3)
    torch.testing.assert_close(limited[:, :3], after[:, :3])
    torch.testing.assert_close(limit_turn(before, after, 0.1), after)


# One man in four cameras; in two of them somebody stands in the background


@pytest.mark.parametrize('camera', [1, 2, 3, 4])
def test_one_track_over_a_real_clip(network, data_root, camera):
    path = data_root / f'real4/videos/cam0{camera}.mp4'
    if not path.exists():
        pytest.skip('the folder of test data has no real4')
    footage = open_footage(path)
    frames = range(0, len(footage), 4)  # 15 per second
    images = footage.frames(frames)
    names = list(np.load(data_root / 'real4/gt3d.npz')['names'])
    truth = json.loads((data_root / f'real4/keypoints/cam0{camera}_reprojected.json').read_text())
    truth = {entry['image_id']: np.reshape(entry['keypoints'], (17, 3)) for entry in truth}
    hips = [names.index('left_hip'), names.index('right_hip')]
    tracker = PeopleTracker(network, 15, mirror_every=0)
    for position, frame in enumerate(frames):
        (one,) = tracker(images[position])
        assert one.track == 1 and one.person.flag > 0.6
        middle = one.person.landmarks[hips, :2].mean(0).numpy()
        expected = truth[frame][11:13, :2].mean(0)
        assert np.linalg.norm(middle - expected) < 60  # px of a man of 800
