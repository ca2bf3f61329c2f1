"""VideoDataset: exact frames, tracks, gaps, boxes, photographs; and the plug for rtmlib with a module in its place."""

import json
import logging
import sys
import types

import cv2
import numpy as np
import pytest
import torch

from hrtk.datasets.own.coco_keypoints import CocoKeypointsDataset
from hrtk.datasets.own.footage import ImageFootage
from hrtk.datasets.own.tracking import smooth_boxes
from hrtk.datasets.own.video import VideoDataset
from hrtk.detectors.rtmlib import RTMLib
from hrtk.errors import InputError
from hrtk.registry import DATASETS

BODY = np.random.default_rng(3).uniform(0, 1, (17, 2)) * (30, 80)
COUNT, BITS, BLOCK = 40, 6, 24


def numbered(t):
    """A picture whose top row of squares spells its number in bits, so that no codec can hide a wrong frame."""
    picture = np.full((120, 160, 3), 128, np.uint8)
    for bit in range(BITS):
        picture[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = 255 * (t >> bit & 1)
    return picture


def number(picture):
    return sum(
        int(picture[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK].mean() > 128) << bit
        for bit in range(BITS)
    )


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp('clip') / 'clip.mp4'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), 10, (160, 120))
    for t in range(COUNT):
        writer.write(numbered(t))
    writer.release()
    return path


@pytest.fixture
def pictures(tmp_path):
    """f1.png ... f12.png: in the order of plain strings f10 comes before f2."""
    for t in range(1, 13):
        (tmp_path / 'images').mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / f'images/f{t}.png'), numbered(t))
    return tmp_path / 'images'


def person(x, y=20.0, scale=1.0, score=0.9):
    return [(BODY * scale + (x, y)).round(2).tolist(), [score] * 17]


def keypoints(path, frames):
    """Writes rtmlib's answers; frames: {frame number or picture: [person, ...]}."""
    entries = [
        {
            'image' if isinstance(key, str) else 'frame': key,
            'keypoints': [p[0] for p in people],
            'scores': [p[1] for p in people],
        }
        for key, people in frames.items()
    ]
    path.write_text(json.dumps(dict(frames=entries)))
    return path


def test_frames_are_those_of_the_keypoints(clip, tmp_path):
    frames = {t: [person(t)] for t in [*range(12, 18), *range(21, 30)]}
    dataset = DATASETS.build(
        dict(
            type='VideoDataset',
            images=str(clip),
            keypoints=str(keypoints(tmp_path / 'kp.json', frames)),
        )
    )
    sequence = dataset[0]
    assert len(dataset) == 1 and sequence.name == 'clip_person0' and sequence.fps == 10
    assert sequence.keypoints2d.source == 'rtmlib'
    assert sequence.frame_ids == tuple(f'{t:06d}' for t in range(12, 30))
    assert [number(sequence.frames[i]) for i in range(18)] == list(range(12, 30))
    order = (
        np.random.default_rng(0).permutation(18).tolist()
    )  # as adapters that look back read them
    assert [number(sequence.frames[i]) for i in order] == [12 + i for i in order]
    seen = sequence.keypoints2d.confidence.any(1)
    assert [12 + i for i in torch.nonzero(~seen).flatten().tolist()] == [18, 19, 20]
    for t in (12, 17, 21, 29):
        np.testing.assert_allclose(
            sequence.keypoints2d.xy[t - 12], (BODY + (t, 20)).round(2), atol=1e-5
        )


def test_boxes_are_spins_filled_and_smoothed(clip, tmp_path):
    place = {t: 2.0 * t + (7 if t % 2 else 0) for t in [*range(10), *range(14, 24)]}
    file = keypoints(tmp_path / 'kp.json', {t: [person(x)] for t, x in place.items()})
    low, high = BODY.min(0), BODY.max(0)
    known = np.array(
        [[*(low + high) / 2 + (x, 20), 1.2 * (high - low).max()] for x in place.values()]
    )
    wanted = np.stack([np.interp(range(24), list(place), column) for column in known.T], axis=1)
    raw, calm = (
        VideoDataset(clip, file, smooth=smooth)[0].boxes.numpy() for smooth in (False, True)
    )
    np.testing.assert_allclose(raw, wanted, atol=0.02)
    np.testing.assert_allclose(calm, smooth_boxes(raw, 10), atol=1e-4)
    assert np.abs(np.diff(calm[:, 0], 2)).max() < 0.3 * np.abs(np.diff(raw[:, 0], 2)).max()


def test_two_people_short_tracks_and_long_gaps(clip, tmp_path, caplog):
    frames = {
        t: [person(100, scale=0.9), person(3 * t, scale=1.1)][:: -1 if t % 2 else 1]
        for t in range(20)
    }
    frames[5].append(person(60, 100, 0.2))  # somebody for one frame
    frames.update({t: [person(100, scale=0.9)] for t in range(31, 40)})  # back after eleven
    file = keypoints(tmp_path / 'kp.json', frames)
    with caplog.at_level(logging.WARNING):
        dataset = VideoDataset(clip, file, name='two')
    assert any('left out 1 tracks of fewer than 5 frames' in m for m in caplog.messages)
    assert [(s.name, s.frame_ids[0], len(s)) for s in dataset] == [
        ('two_person0', '000000', 20),
        ('two_person1', '000000', 20),
        ('two_person1_part2', '000031', 9),  # lost while beside somebody else
    ]
    assert dataset[0].keypoints2d.xy[19, 0, 0] - dataset[0].keypoints2d.xy[
        0, 0, 0
    ] == pytest.approx(57, abs=0.02)
    bridged = VideoDataset(clip, file, max_gap=11)
    assert [len(s) for s in bridged] == [20, 40]
    caplog.clear()
    assert [s.name for s in VideoDataset(clip, file, name='two', max_people=1)] == ['two_person0']
    assert 'left out 2 of 3 tracks (max_people = 1)' in caplog.text


def test_identities_of_the_file_count(clip, tmp_path):
    entries = [
        dict(
            image_id=f'{t}.jpg',
            idx=4 if t < 8 else 9,
            score=1,
            keypoints=np.column_stack(person(0)).ravel().tolist(),
        )
        for t in [*range(16), *range(30, 36)]
    ]
    (tmp_path / 'kp.json').write_text(json.dumps(entries))
    dataset = VideoDataset(clip, tmp_path / 'kp.json')
    assert [(s.name, s.frame_ids[0], len(s)) for s in dataset] == [
        ('clip_person4', '000000', 8),
        ('clip_person9', '000008', 8),
        ('clip_person9_part2', '000030', 6),
    ]
    assert dataset[0].keypoints2d.source == 'alphapose'


def crossing_people(t):
    """Two people of 17 points; the detector lists them now in this order, now in that."""
    people = [np.column_stack(person(3 * t)), np.column_stack(person(100, scale=0.9))]
    return people[:: -1 if t % 2 else 1]


@pytest.mark.parametrize('everybody', [0, [0.0], [[0.0]]])
@pytest.mark.parametrize('layout', ['alphapose', 'coco', 'openpose', 'rtmlib', 'npz'])
def test_one_identity_for_everybody_is_none(clip, tmp_path, caplog, layout, everybody):
    """AlphaPose without tracking writes "idx": [0.0] for every person."""
    path = tmp_path / 'kp.json'
    rows = [(t, points) for t in range(10) for points in crossing_people(t)]
    flat = [points.ravel().tolist() for _, points in rows]
    if layout == 'alphapose':
        entries = [
            dict(image_id=f'{t}.jpg', idx=everybody, score=1, keypoints=values)
            for (t, _), values in zip(rows, flat)
        ]
        path.write_text(json.dumps(entries))
    elif layout == 'coco':
        images = [dict(id=t, file_name=f'{t}.jpg') for t in range(10)]
        people = [
            dict(image_id=t, track_id=everybody, keypoints=values)
            for (t, _), values in zip(rows, flat)
        ]
        path.write_text(json.dumps(dict(images=images, annotations=people)))
    elif layout == 'openpose':
        path = tmp_path / 'op'
        path.mkdir()
        for t in range(10):
            people = [
                dict(person_id=everybody, pose_keypoints_2d=points.ravel().tolist())
                for points in crossing_people(t)
            ]
            (path / f'clip_{t:012d}_keypoints.json').write_text(json.dumps(dict(people=people)))
    elif layout == 'rtmlib':
        entries = []
        for t in range(10):
            pair = np.array(crossing_people(t))
            entries.append(
                dict(
                    keypoints=pair[..., :2].tolist(),
                    scores=pair[..., 2].tolist(),
                    persons=[everybody] * 2,
                )
            )
        path.write_text(json.dumps(entries))
    else:
        points = np.array([points for _, points in rows])
        path = tmp_path / 'kp.npz'
        np.savez(
            path,
            keypoints=points[..., :2],
            scores=points[..., 2],
            frame=np.array([t for t, _ in rows]),
            person=np.zeros(len(rows), int),
        )
    with caplog.at_level(logging.WARNING):
        dataset = VideoDataset(clip, path, smooth=False)
    assert [(s.name, len(s)) for s in dataset] == [('clip_person0', 10), ('clip_person1', 10)]
    moved = [float(s.keypoints2d.xy[9, 0, 0] - s.keypoints2d.xy[0, 0, 0]) for s in dataset]
    np.testing.assert_allclose(moved, [27, 0], atol=0.02)
    assert 'a frame holds identity 0 in clip twice; 1 clips are tracked' in caplog.text


def test_weak_points_do_not_count(clip, tmp_path):
    frames = {t: [person(0)] for t in range(6)}
    for people in frames.values():
        people[0][1] = [0.29] * 8 + [0.31] * 9
    sequence = VideoDataset(clip, keypoints(tmp_path / 'kp.json', frames), smooth=False)[0]
    np.testing.assert_allclose(
        sequence.keypoints2d.confidence, [[0] * 8 + [np.float32(0.31)] * 9] * 6
    )
    assert float(sequence.boxes[0, 2]) == pytest.approx(
        1.2 * np.ptp(BODY[8:], axis=0).max(), abs=0.02
    )


def test_pictures_are_photographs(pictures, tmp_path):
    file = keypoints(
        tmp_path / 'kp.json', {'f10.png': [person(0), person(60, scale=1.2)], 'f2.png': [person(0)]}
    )
    dataset = VideoDataset(pictures, file)
    assert [s.name for s in dataset] == [
        'images_f10_person0',
        'images_f10_person1',
        'images_f2_person0',
    ]
    assert [number(s.frames[0]) for s in dataset] == [10, 10, 2] and all(
        len(s) == 1 for s in dataset
    )
    assert dataset[0].boxes[0, 2] > dataset[1].boxes[0, 2]
    alone = VideoDataset(
        pictures / 'f2.png', keypoints(tmp_path / 'one.json', {'f2.png': [person(0)]})
    )
    assert [s.frame_ids for s in alone] == [('f2.png',)]


def test_photographs_are_not_opened_to_tell_people_apart(pictures, tmp_path, monkeypatch):
    file = keypoints(tmp_path / 'kp.json', {f'f{t}.png': [person(0)] for t in range(1, 13)})

    def refuse(*options):
        raise AssertionError('every photograph is a clip: all frames would be opened for each')

    monkeypatch.setattr(ImageFootage, 'frames', refuse)
    assert len(VideoDataset(pictures, file)) == 12


def test_pictures_with_a_rate_are_a_film(pictures, tmp_path):
    (pictures / 'later').mkdir()
    for t in range(13, 20):
        cv2.imwrite(str(pictures / f'later/f{t}.png'), numbered(t))
    file = keypoints(
        tmp_path / 'kp.json', {f'f{t}.png': [person(t)] for t in range(2, 19) if t != 6}
    )
    dataset = VideoDataset(pictures, file, fps=12)
    assert [(s.name, s.fps) for s in dataset] == [
        ('images_person0', 12),
        ('images_later_person0', 12),
    ]
    assert [number(frame) for frame in dataset[0].frames] == list(range(2, 13))
    assert [number(frame) for frame in dataset[1].frames] == list(range(13, 19))
    assert not dataset[0].keypoints2d.confidence[4].any()


def test_fingerprint_follows_the_footage(pictures, tmp_path):
    file = keypoints(tmp_path / 'kp.json', {f'f{t}.png': [person(t)] for t in range(2, 9)})
    before = VideoDataset(pictures, file, fps=12).fingerprint()
    assert VideoDataset(pictures, file, fps=12, smooth=False).fingerprint() == before
    cv2.imwrite(
        str(pictures / 'f3.png'), np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    )
    assert VideoDataset(pictures, file, fps=12).fingerprint() != before


def test_the_focal_length_of_the_camera(clip, pictures, tmp_path):
    file = keypoints(tmp_path / 'kp.json', {t: [person(0)] for t in range(6)})
    assert VideoDataset(clip, file)[0].focal is None
    assert VideoDataset(clip, file, focal=123.0)[0].focal == 123
    assert VideoDataset(clip, file, fov=90.0)[0].focal == pytest.approx(80)  # 160 x 120 px
    images = keypoints(tmp_path / 'images.json', {f'f{t}.png': [person(t)] for t in range(2, 9)})
    dataset = VideoDataset(pictures, images, fps=12, fov=90.0)
    width = dataset[0].frames[0].shape[1]
    assert dataset[0].focal == pytest.approx(width / 2)
    assert dataset[0].part(1, 3).focal == dataset[0].focal
    assert 'focal' in VideoDataset.free_options and 'fov' in VideoDataset.free_options


@pytest.mark.parametrize(
    'options, complaint',
    [
        (dict(fps=0), 'fps must be above 0'),
        (dict(focal=-5), 'focal length must be a positive number of px, not -5'),
        (dict(fov=90, focal=100), 'not both'),
        (dict(max_people=0), 'max_people must be at least 1'),
        (dict(min_length=7), 'no track is left of 6 people'),
        (dict(min_confidence=0.95), 'lower min_confidence'),
        (dict(images='nowhere.mp4'), 'nowhere.mp4: there is no such'),
        (dict(keypoints='no.json'), 'no.json: there is no'),
    ],
)
def test_refuses(clip, tmp_path, options, complaint):
    file = keypoints(tmp_path / 'kp.json', {t: [person(0)] for t in range(6)})
    with pytest.raises(InputError, match=complaint):
        VideoDataset(**{**dict(images=clip, keypoints=file), **options})


def identified(path, frames):
    """Writes rtmlib's output with identities; frames: {image or frame number: {identity: x}}."""
    entries = []
    for key, people in frames.items():
        points = [person(x, scale=1 + 0.1 * (identity or 0)) for identity, x in people.items()]
        entries.append(
            {
                'image' if isinstance(key, str) else 'frame': key,
                'keypoints': [xy for xy, _ in points],
                'scores': [scores for _, scores in points],
                'persons': list(people),
            }
        )
    path.write_text(json.dumps(dict(frames=entries)))
    return path


def test_annotated_people(clip, tmp_path, caplog):
    frames = {t: {4: 0.0, 7: 50.0, None: 90.0} for t in (0, 1, 2, 3, 4, 30)}
    file = identified(tmp_path / 'kp.json', frames)
    with caplog.at_level(logging.WARNING):
        annotated = VideoDataset(clip, file, people='annotated')
    assert annotated.names() == ['clip_person4', 'clip_person7'] and len(annotated[0]) == 5
    assert 'left out 6 of 18 people without an identity' in caplog.text
    # One person without an identity is enough for everybody to be tracked.
    assert VideoDataset(clip, file).names() == ['clip_person0', 'clip_person1', 'clip_person2']
    without = keypoints(
        tmp_path / 'no.json', {t: [person(0), person(50, scale=1.2)] for t in range(6)}
    )
    (largest,) = VideoDataset(clip, without, people='annotated', smooth=False)
    assert largest.name == 'clip' and len(largest) == 6
    np.testing.assert_allclose(largest.keypoints2d.xy[0], person(50, scale=1.2)[0], rtol=1e-6)


def test_tracks_of_detected_frames_only(clip, tmp_path):
    frames = {t: [person(t)] for t in (2, 3, 4, 5, 6, 9, 30)}
    file = keypoints(tmp_path / 'kp.json', frames)
    dataset = VideoDataset(clip, file, fill_gaps=False, smooth=False, min_length=1)
    assert [[int(label) for label in s.frame_ids] for s in dataset] == [[2, 3, 4, 5, 6, 9], [30]]
    assert all(s.keypoints2d.confidence.all() for s in dataset)
    with pytest.raises(InputError, match='fill_gaps=False does not give; set smooth=False'):
        VideoDataset(clip, file, fill_gaps=False)


def test_image_sequence_without_a_rate(pictures, tmp_path):
    file = keypoints(tmp_path / 'kp.json', {f'f{t}.png': [person(t)] for t in range(2, 12)})
    (sequence,) = VideoDataset(pictures, file, image_sequence=True)
    assert [number(frame) for frame in sequence.frames] == list(range(2, 12))
    assert sequence.fps == 25


def test_the_old_name_is_a_preset(pictures, clip, tmp_path):
    frames = {f'f{t}.png': {3: float(t), 1: 60.0} for t in (10, 2, 7)}
    for images, file in (
        (pictures, identified(tmp_path / 'images.json', frames)),
        (clip, identified(tmp_path / 'video.json', {t: {0: 2.0 * t} for t in (3, 20, 21)})),
    ):
        old = CocoKeypointsDataset(images, file)
        new = VideoDataset(
            images,
            file,
            people='annotated',
            fill_gaps=False,
            smooth=False,
            image_sequence=True,
            min_confidence=0.0,
            min_length=1,
            name=file.stem,
        )
        assert old.fingerprint() == new.fingerprint() and old.names() == new.names()
        for one, other in zip(old, new, strict=True):
            assert one.frame_ids == other.frame_ids and one.fps == other.fps
            assert torch.equal(one.boxes, other.boxes)
            assert torch.equal(one.keypoints2d.xy, other.keypoints2d.xy)


def test_unknown_choice_of_people(clip, tmp_path):
    file = keypoints(tmp_path / 'kp.json', {0: [person(0)]})
    config = dict(type='VideoDataset', images=str(clip), keypoints=str(file), people='everybody')
    with pytest.raises(InputError, match="people is one of 'tracked', 'annotated'"):
        DATASETS.build(config)


def test_frames_that_the_video_does_not_have(clip, tmp_path):
    with pytest.raises(
        InputError, match=r'has the frames 0\.\.39, asked for \[40\].*counted from 0'
    ):
        VideoDataset(clip, keypoints(tmp_path / 'kp.json', {t: [person(0)] for t in range(30, 41)}))


class FakeBody:
    """Stands for rtmlib.Body: finds whoever is brighter than the rest, and keeps what it was given."""

    def __init__(self, mode, backend, device, det, pose, **sizes):
        self.given = (mode, backend, device, det, pose)
        self.sizes = sizes
        if det == 'offline':
            raise OSError('urlopen error')

    def det_model(self, image):
        assert image[0, 0].tolist() == [30, 20, 10]  # BGR
        return np.array([[5.0, 6, 25, 46]] * int(image.max() > 200))

    def pose_model(self, image, bboxes):
        corners = bboxes[:, None, :2].repeat(17, 1)
        return corners + np.arange(17)[None, :, None], np.full((len(bboxes), 17), 0.75)


def test_rtmlib(monkeypatch):
    monkeypatch.setitem(sys.modules, 'rtmlib', types.SimpleNamespace(Body=FakeBody))
    detector = RTMLib('lightweight', 'cuda')
    assert detector._body.given == ('lightweight', 'onnxruntime', 'cuda', None, None)
    assert (detector.source, detector.skeleton) == ('rtmlib:lightweight', 'coco17')
    empty = np.full((60, 40, 3), (10, 20, 30), np.uint8)
    occupied = empty.copy()
    occupied[30, 20] = 255
    nobody, somebody = detector([empty, occupied])
    assert nobody.shape == (0, 17, 3)  # rtmlib itself would take the whole image for a person
    assert somebody.shape == (1, 17, 3) and somebody.dtype == np.float32
    assert somebody[0, 3].tolist() == [8, 9, 0.75]
    with pytest.raises(InputError, match='could not get its weights.*urlopen error'):
        RTMLib(detector='offline', detector_size=(640, 640))
    with pytest.raises(InputError, match='lightweight, balanced, performance'):
        RTMLib('best')


class Network:
    """Stands for onnxruntime.InferenceSession: the file holds the shape of the input."""

    def __init__(self, path, providers):
        self.shape = json.loads(open(path).read())

    def get_inputs(self):
        return [types.SimpleNamespace(shape=self.shape)]


@pytest.mark.parametrize(
    'option, name, content, size',
    [
        ('detector', 'mine.onnx', [1, 3, 416, 512], (512, 416)),
        ('pose', 'a.onnx', ['batch', 3, 384, 288], (288, 384)),
        # The network takes any size, or cannot be read: the name counts.
        (
            'pose',
            'rtmpose-s_simcc-body7_pt-body7_420e-256x192-acd4.onnx',
            [1, 3, 'h', 'w'],
            (192, 256),
        ),
        ('pose', 'rtmpose-x_simcc-body7_700e-384x288-71d7/end2end.onnx', 'broken', (288, 384)),
        ('detector', 'yolox_tiny_8xb8-300e_humanart-6f32.onnx', 'broken', (416, 416)),
        ('detector', 'yolox_x_8xb8-300e_humanart-a39d.onnx', 'broken', (640, 640)),
        ('detector', 'yolox_m_8xb8-300e_humanart/end2end.onnx', 'broken', (640, 640)),
    ],
)
def test_local_networks_of_rtmlib_have_their_own_sizes(
    monkeypatch, tmp_path, option, name, content, size
):
    """The sizes by default are those of the largest networks, so that a smaller one got a wrong input."""
    monkeypatch.setitem(sys.modules, 'rtmlib', types.SimpleNamespace(Body=FakeBody))
    runtime = types.SimpleNamespace(InferenceSession=Network)
    monkeypatch.setitem(sys.modules, 'onnxruntime', runtime)
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(content if content == 'broken' else json.dumps(content))
    key = {'detector': 'det_input_size', 'pose': 'pose_input_size'}[option]
    assert RTMLib(**{option: str(file)})._body.sizes == {key: size}
    given = RTMLib(**{option: str(file), f'{option}_size': (64, 48)})
    assert given._body.sizes == {key: (64, 48)}
    assert RTMLib()._body.sizes == {}  # rtmlib knows the sizes of the networks of its modes


def test_local_networks_whose_size_nobody_tells(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, 'rtmlib', types.SimpleNamespace(Body=FakeBody))
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    (tmp_path / 'pose.onnx').write_text('[1, 3, 256, 192]')
    with pytest.raises(InputError, match=r'pose\.onnx: .*give pose_size=\(width, height\)'):
        RTMLib(pose=str(tmp_path / 'pose.onnx'))
    with pytest.raises(InputError, match=r'detector_size must be \(width, height\)'):
        RTMLib(detector='yolox_m.onnx', detector_size=(640,))


def test_without_rtmlib(monkeypatch):
    monkeypatch.setitem(sys.modules, 'rtmlib', None)
    with pytest.raises(InputError, match=r'--keypoints.*hrtk\[pose2d\].*downloads'):
        RTMLib()


def test_real_clip(data_root):
    (sequence,) = VideoDataset(
        data_root / 'clips/single_person_demo.mp4',
        data_root / 'annotations/single_person_coco.json',
    )
    assert sequence.frame_ids == tuple(f'{t:06d}' for t in range(37)) and sequence.fps == 12
    assert torch.nonzero(sequence.keypoints2d.confidence.any(1)).flatten().tolist() == list(
        range(0, 37, 4)
    )
    xy, confidence = sequence.keypoints2d.xy, sequence.keypoints2d.confidence
    reach = (xy - sequence.boxes[:, None, :2]).abs().amax(-1) / (sequence.boxes[:, None, 2] / 2)
    assert float(reach[confidence > 0].max()) < 1  # smoothing leaves everybody inside their crop
    picture = cv2.imread(str(data_root / 'clips/single_person/frame_0020.jpg'))[..., ::-1].astype(
        int
    )
    assert np.abs(sequence.frames[20] - picture).mean() < 2


def meeting(folder, colours):
    """Two people of one size who meet and turn back, in two colours; 30 frames without identities."""
    path = folder / 'kp.json'
    (folder / 'frames').mkdir()
    entries = {}
    for t in range(30):
        away = 3.0 * abs(t - 15)
        image = np.full((120, 220, 3), 128, np.uint8)
        for x, colour in zip((90 - away, 90 + away), colours):
            image[15:105, int(x) - 5 : int(x) + 35] = colour
        cv2.imwrite(str(folder / f'frames/{t:02d}.png'), image)
        both = [person(90 - away), person(90 + away)]
        entries[f'{t:02d}.png'] = [] if abs(t - 15) < 4 else both[:: -1 if t % 2 else 1]
    return keypoints(path, entries)


@pytest.mark.parametrize('colours', [(20, 230), (230, 20), (120, 120)])
def test_people_who_turn_back_are_known_by_their_colours(tmp_path, colours):
    file = meeting(tmp_path, colours)
    tracks = VideoDataset(tmp_path / 'frames', file, fps=15, smooth=False).tracks
    sides = [np.sign(track.boxes[[0, -1], 0] - 105).tolist() for track in tracks]
    alike = colours[0] == colours[1]
    assert len(tracks) == 2 and (alike or sides[0][0] == sides[0][1] != sides[1][0])
    for track in tracks:
        uncertain = np.isfinite(track.identity_margin)
        assert uncertain[15] and not uncertain[[0, 1, 2, 27, 28, 29]].any()
    blind = VideoDataset(tmp_path / 'frames', file, fps=15, smooth=False, colours=False).tracks
    # Motion alone says that they passed each other.
    assert sorted(np.sign(track.boxes[[0, -1], 0] - 105).tolist() for track in blind) == [
        [-1, 1],
        [1, -1],
    ]


def test_a_stretch_and_a_person(clip, tmp_path):
    file = keypoints(
        tmp_path / 'kp.json', {t: [person(100), person(2 * t, scale=1.2)] for t in range(COUNT)}
    )
    dataset = VideoDataset(clip, file, begin='0.5', end='f25', person='largest')
    (track,) = dataset.tracks
    assert track.frames == tuple(range(5, 25)) and track.identity == 0
    assert dataset[0].frame_ids[0] == '000005' and number(dataset[0].frames[0]) == 5
    with pytest.raises(InputError, match='no person 4; there are 0, 1'):
        VideoDataset(clip, file, person=4)
