"""Tracks and landmarks in a file of keypoints: written, resumed, read, repaired and doubted."""

from __future__ import annotations

import json
import logging

import cv2
import numpy as np
import pytest

from hrtk.apis.detect import detect
from hrtk.apis.infer import infer
from hrtk.body_models.skeletons import flip_map
from hrtk.datasets.open_stream import OpenStream
from hrtk.datasets.own.footage import open_footage
from hrtk.datasets.own.keypoint_files import read_keypoints
from hrtk.datasets.own.video import VideoDataset
from hrtk.detectors import BlazePose, Detector, Findings, FoundLandmarks
from hrtk.detectors.findings import MIRRORED
from hrtk.errors import InputError

FRAMES = 8


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Images of a drawn person who moves by 3 px per frame."""
    path = tmp_path_factory.mktemp('walk') / 'walk'
    path.mkdir()
    sequence = OpenStream(domain='studio', sequences=1, frames=1, size=256, seed=0)[0]
    image = np.asarray(sequence.frames[0])[..., ::-1]
    for t in range(FRAMES):
        moved = np.roll(image, 3 * t, axis=1)
        cv2.imwrite(str(path / f'{t}.png'), moved)
    return path


class Stopping(BlazePose):
    """Ctrl-C is pressed before an image."""

    stop_at = None
    seen = 0

    def session(self, fps, state=None):
        inner = super().session(fps, state)

        def call(image):
            if self.seen == self.stop_at:
                raise KeyboardInterrupt
            self.seen += 1
            return inner(image)

        call.state = inner.state
        return call


def test_resumed_as_if_never_interrupted(folder, tmp_path):
    footage = open_footage(folder)
    whole = detect(footage, BlazePose(), tmp_path / 'whole.json', fps=20)
    first = Stopping()
    first.stop_at = 5
    path = tmp_path / 'parts.json'
    with pytest.raises(KeyboardInterrupt):
        detect(footage, first, path, fps=20)
    second = Stopping()
    detect(footage, second, path, fps=20)
    assert second.seen == FRAMES - 5
    assert json.loads(path.read_text()) == json.loads(whole.read_text())
    detect(footage, second, path, fps=20)
    assert second.seen == FRAMES - 5
    detect(footage, second, path, fps=10)  # other limits, other tracks
    assert second.seen == 2 * FRAMES - 5


def test_the_reader_returns_what_was_found(folder, tmp_path):
    path = detect(open_footage(folder), BlazePose(), tmp_path / 'kp.json', fps=20)
    network = BlazePose().network
    image = cv2.imread(str(folder / '0.png'))[..., ::-1].copy()
    (person,) = network(image)
    dataset = VideoDataset(folder, path, fps=20)
    sequence = dataset[0]
    assert dataset.names() == ['walk_person1'] and len(sequence) == FRAMES
    landmarks = sequence.landmarks
    assert landmarks.valid.all() and landmarks.xyz.shape == (FRAMES, 33, 3)
    np.testing.assert_allclose(landmarks.xyz[0], person.landmarks, atol=0.051)
    np.testing.assert_allclose(landmarks.world[0], person.world, atol=5.1e-5)
    np.testing.assert_allclose(landmarks.visibility[0], person.visibility, atol=5.1e-4)
    np.testing.assert_allclose(dataset.table.landmarks.region[0], person.region, atol=5.1e-5)
    mirrored = dataset.table.landmarks.mirrored
    assert np.isfinite(mirrored).all((1, 2)).tolist() == [True, False, False] * 2 + [True, False]
    assert path.stat().st_size < 3000 * FRAMES
    assert VideoDataset(folder, path)[0].landmarks is not None  # photographs


def test_gaps_and_parts(folder, tmp_path):
    path = detect(open_footage(folder), BlazePose(), tmp_path / 'kp.json', fps=20)
    content = json.loads(path.read_text())
    for entry in content['frames'][3:5]:
        entry.update(keypoints=[], scores=[], persons=[])
        entry['landmarks'] = {key: [] for key in entry['landmarks']}
    path.write_text(json.dumps(content))
    sequence = VideoDataset(folder, path, fps=20)[0]
    assert sequence.landmarks.valid.tolist() == [True] * 3 + [False] * 2 + [True] * 3
    for values in (sequence.landmarks.xyz, sequence.landmarks.world, sequence.landmarks.visibility):
        assert (values[3:5] == 0).all() and values[2].abs().sum() > 0
    assert sequence.part(2, 4).landmarks.valid.tolist() == [True, False]
    del content['frames'][0]['landmarks']['world']
    path.write_text(json.dumps(content))
    with pytest.raises(
        InputError, match=r'entry 0: landmarks: world are \(\); expected \(1, 33, 3\)'
    ):
        read_keypoints(path)


class Scripted(Detector):
    """Gives what a list says, one entry per frame."""

    source = 'scripted'
    skeleton = 'blazepose33'

    def __init__(self, findings):
        self.findings = findings

    def session(self, fps, state=None):
        rest = iter(self.findings)

        def call(image):
            return next(rest)

        call.state = dict
        return call


def found(rows, flags, persons):
    """Findings of people (33, 3) xyz px."""
    count = len(rows)
    xyz = np.zeros((count, 33, 3), np.float32)
    if count:
        xyz[:] = rows
    keypoints = np.concatenate([xyz[..., :2], np.ones((count, 33, 1), np.float32)], -1)
    landmarks = FoundLandmarks(
        xyz,
        xyz / 400,
        np.ones((count, 33), np.float32),
        np.float32(flags),
        np.zeros((count, 4), np.float32),
        np.full((count, 12, 3), np.nan, np.float32),
    )
    return Findings(keypoints, tuple(persons), landmarks)


def test_false_tracks_are_left_out_and_counted(folder, tmp_path):
    rows = np.random.default_rng(0).uniform(0, 200, (33, 3))
    findings = []
    for t in range(FRAMES):
        persons = [1] + [2] * (t < 2) + [3] * (t > 1)
        flags = {1: 0.9, 2: 0.99, 3: 0.55}
        findings.append(
            found([rows] * len(persons), [flags[person] for person in persons], persons)
        )
    path = detect(open_footage(folder), Scripted(findings), tmp_path / 'kp.json', fps=20)
    content = json.loads(path.read_text())
    assert content['left_out'] == dict(tracks=2, people=2 + FRAMES - 2)
    assert [entry['persons'] for entry in content['frames']] == [[1]] * FRAMES
    assert set(read_keypoints(path).persons) == {1}
    nobody = [found([rows], [0.51], [1])] * FRAMES
    with pytest.raises(
        InputError, match='found nobody in 8 frames for longer than a moment .1 short'
    ):
        detect(open_footage(folder), Scripted(nobody), tmp_path / 'none.json', fps=20)


def test_repair_exchanges_keypoints_and_landmarks(folder, tmp_path, caplog):
    """Exchanges of the whole body are found by mirrored runs and motion; z and x keep their signs."""
    rng = np.random.default_rng(1)
    path = detect(open_footage(folder), BlazePose(), tmp_path / 'real.json', fps=20)
    base = read_keypoints(path).landmarks.xyz[0]
    flip = list(flip_map('blazepose33'))
    findings, expected = [], []
    for t in range(FRAMES):
        rows = base + rng.normal(0, 0.2, (33, 3)).astype(np.float32)
        expected.append(rows)
        shown = rows
        if t in (4, 5):
            shown = rows[flip]
        one = found([shown], [0.99], [1])
        mirrored = np.concatenate([rows[:, :2], np.ones((33, 1))], 1)[list(MIRRORED)]
        one.landmarks.mirrored[0] = mirrored
        findings.append(one)
    keypoints = detect(open_footage(folder), Scripted(findings), tmp_path / 'kp.json', fps=20)
    with caplog.at_level(logging.WARNING):
        dataset = VideoDataset(folder, keypoints, fps=20, repair_sides=True)
    assert 'repaired left and right in 2 of 8 frames' in caplog.text
    sides = dataset.sides['walk_person1']
    assert np.flatnonzero(sides.exchanged.any(1)).tolist() == [4, 5]
    sequence = dataset[0]
    np.testing.assert_allclose(sequence.landmarks.xyz, expected, atol=0.051)
    np.testing.assert_allclose(sequence.landmarks.world, np.array(expected) / 400, atol=1e-4)
    np.testing.assert_allclose(sequence.keypoints2d.xy, np.array(expected)[..., :2], atol=0.006)
    plain = VideoDataset(folder, keypoints, fps=20)[0]
    np.testing.assert_allclose(plain.landmarks.xyz[4], expected[4][flip], atol=0.051)


def test_infer_without_anything_else(folder, tmp_path, capsys):
    made = infer(folder, output=tmp_path, fps=20, device='cpu')
    assert [path.name for path in made.results.glob('*.npz')] == ['walk_person1.npz']
    content = json.loads((tmp_path / 'metrics.json').read_text())
    (entry,) = content['per_sequence']
    doubts = made.doubts['walk_person1']
    assert entry['doubts']['doubtful'] == doubts.doubtful
    assert entry['doubts']['reasons'] == list(doubts.reasons)
    assert {'visible', 'jump', 'bone_deviation', 'reprojection', 'side_margin'} <= set(
        entry['doubts']['evidence']
    )
    assert ('doubtful: walk_person1' in capsys.readouterr().out) == doubts.doubtful


# Real people


def test_photographs_by_themselves(data_root, tmp_path):
    (tmp_path / 'photos').mkdir()
    for name in ('Pilots.jpg', 'yogait/test_m.jpg'):
        target = tmp_path / 'photos' / name.rsplit('/')[-1]
        target.symlink_to(data_root / 'photos' / name)
    path = detect(open_footage(tmp_path / 'photos'), BlazePose(), tmp_path / 'kp.json')
    content = json.loads(path.read_text())
    assert {entry['image']: len(entry['scores']) for entry in content['frames']} == {
        'Pilots.jpg': 3,
        'test_m.jpg': 1,
    }
    dataset = VideoDataset(tmp_path / 'photos', path, repair_sides=True)
    assert len(dataset) == 4 and dataset.sides == {} and dataset[0].landmarks.valid.all()


@pytest.mark.parametrize('camera', [1, 2, 3, 4])
def test_sides_of_real_clips(data_root, tmp_path, camera):
    clip = data_root / f'real4/videos/cam0{camera}.mp4'
    if not clip.exists():
        pytest.skip('the folder of test data has no real4')
    footage = open_footage(clip)
    (tmp_path / 'clip').mkdir()
    for number in range(0, len(footage), 4):
        image = footage.frames([number])[0][..., ::-1]
        cv2.imwrite(str(tmp_path / f'clip/{number:03d}.jpg'), image)
    path = detect(open_footage(tmp_path / 'clip'), BlazePose(), tmp_path / 'kp.json', fps=15)
    dataset = VideoDataset(tmp_path / 'clip', path, fps=15, repair_sides=True)
    assert len(dataset) == 1 and len(dataset[0]) == 25 and dataset[0].landmarks.valid.all()
    (sides,) = dataset.sides.values()
    assert sides.decided and (sides.count > 5) == (camera == 2)
    truth = np.array(
        [
            entry['keypoints']
            for entry in json.loads(
                (data_root / f'real4/keypoints/cam0{camera}_reprojected.json').read_text()
            )
        ]
    ).reshape(100, 17, 3)[::4, 5:, :2]
    xy = dataset[0].keypoints2d.xy[:, 5:].numpy()
    error = np.linalg.norm(xy - truth, axis=-1).mean(1)
    # px of a man of 800; exchanged sides make 100 and more. An arm is wrong in the first frame of the second camera.
    assert np.sort(error)[-2] < 60 and np.median(error) < 15
