"""VideoDataset: exact frames, tracks, gaps, boxes, photographs; and the plug for rtmlib with a module in its place."""

import logging

import cv2
import numpy as np
import pytest
import torch
from video_parts import BODY, COUNT, identified, keypoints, number, numbered, person

from hrtk.datasets.own.coco_keypoints import CocoKeypointsDataset
from hrtk.datasets.own.footage import ImageFootage
from hrtk.datasets.own.tracking import smooth_boxes
from hrtk.datasets.own.video import VideoDataset
from hrtk.errors import InputError
from hrtk.registry import DATASETS


@pytest.fixture
def pictures(tmp_path):
    """f1.png ... f12.png: in the order of plain strings f10 comes before f2."""
    for t in range(1, 13):
        (tmp_path / 'images').mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / f'images/f{t}.png'), numbered(t))
    return tmp_path / 'images'


def test_frames_are_those_of_the_keypoints(numbered_clip, tmp_path):
    frames = {t: [person(t)] for t in [*range(12, 18), *range(21, 30)]}
    dataset = DATASETS.build(
        dict(
            type='VideoDataset',
            images=str(numbered_clip),
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


def test_boxes_are_spins_filled_and_smoothed(numbered_clip, tmp_path):
    place = {t: 2.0 * t + (7 if t % 2 else 0) for t in [*range(10), *range(14, 24)]}
    file = keypoints(tmp_path / 'kp.json', {t: [person(x)] for t, x in place.items()})
    low, high = BODY.min(0), BODY.max(0)
    known = np.array(
        [[*(low + high) / 2 + (x, 20), 1.2 * (high - low).max()] for x in place.values()]
    )
    wanted = np.stack([np.interp(range(24), list(place), column) for column in known.T], axis=1)
    raw, calm = (
        VideoDataset(numbered_clip, file, smooth=smooth)[0].boxes.numpy()
        for smooth in (False, True)
    )
    np.testing.assert_allclose(raw, wanted, atol=0.02)
    np.testing.assert_allclose(calm, smooth_boxes(raw, 10), atol=1e-4)
    assert np.abs(np.diff(calm[:, 0], 2)).max() < 0.3 * np.abs(np.diff(raw[:, 0], 2)).max()


def test_two_people_short_tracks_and_long_gaps(numbered_clip, tmp_path, caplog):
    frames = {
        t: [person(100, scale=0.9), person(3 * t, scale=1.1)][:: -1 if t % 2 else 1]
        for t in range(20)
    }
    frames[5].append(person(60, 100, 0.2))  # somebody for one frame
    frames.update({t: [person(100, scale=0.9)] for t in range(31, 40)})  # back after eleven
    file = keypoints(tmp_path / 'kp.json', frames)
    with caplog.at_level(logging.WARNING):
        dataset = VideoDataset(numbered_clip, file, name='two')
    assert any('left out 1 tracks of fewer than 5 frames' in m for m in caplog.messages)
    assert [(s.name, s.frame_ids[0], len(s)) for s in dataset] == [
        ('two_person0', '000000', 20),
        ('two_person1', '000000', 20),
        ('two_person1_part2', '000031', 9),  # lost while beside somebody else
    ]
    assert dataset[0].keypoints2d.xy[19, 0, 0] - dataset[0].keypoints2d.xy[
        0, 0, 0
    ] == pytest.approx(57, abs=0.02)
    bridged = VideoDataset(numbered_clip, file, max_gap=11)
    assert [len(s) for s in bridged] == [20, 40]
    caplog.clear()
    assert [s.name for s in VideoDataset(numbered_clip, file, name='two', max_people=1)] == [
        'two_person0'
    ]
    assert 'left out 2 of 3 tracks (max_people = 1)' in caplog.text


def test_weak_points_do_not_count(numbered_clip, tmp_path):
    frames = {t: [person(0)] for t in range(6)}
    for people in frames.values():
        people[0][1] = [0.29] * 8 + [0.31] * 9
    sequence = VideoDataset(numbered_clip, keypoints(tmp_path / 'kp.json', frames), smooth=False)[0]
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


def test_the_focal_length_of_the_camera(numbered_clip, pictures, tmp_path):
    file = keypoints(tmp_path / 'kp.json', {t: [person(0)] for t in range(6)})
    assert VideoDataset(numbered_clip, file)[0].focal is None
    assert VideoDataset(numbered_clip, file, focal=123.0)[0].focal == 123
    assert VideoDataset(numbered_clip, file, fov=90.0)[0].focal == pytest.approx(80)  # 160 x 120 px
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
def test_refuses(numbered_clip, tmp_path, options, complaint):
    file = keypoints(tmp_path / 'kp.json', {t: [person(0)] for t in range(6)})
    with pytest.raises(InputError, match=complaint):
        VideoDataset(**{**dict(images=numbered_clip, keypoints=file), **options})


def test_tracks_of_detected_frames_only(numbered_clip, tmp_path):
    frames = {t: [person(t)] for t in (2, 3, 4, 5, 6, 9, 30)}
    file = keypoints(tmp_path / 'kp.json', frames)
    dataset = VideoDataset(numbered_clip, file, fill_gaps=False, smooth=False, min_length=1)
    assert [[int(label) for label in s.frame_ids] for s in dataset] == [[2, 3, 4, 5, 6, 9], [30]]
    assert all(s.keypoints2d.confidence.all() for s in dataset)
    with pytest.raises(InputError, match='fill_gaps=False does not give; set smooth=False'):
        VideoDataset(numbered_clip, file, fill_gaps=False)


def test_image_sequence_without_a_rate(pictures, tmp_path):
    file = keypoints(tmp_path / 'kp.json', {f'f{t}.png': [person(t)] for t in range(2, 12)})
    (sequence,) = VideoDataset(pictures, file, image_sequence=True)
    assert [number(frame) for frame in sequence.frames] == list(range(2, 12))
    assert sequence.fps == 25


def test_the_old_name_is_a_preset(pictures, numbered_clip, tmp_path):
    frames = {f'f{t}.png': {3: float(t), 1: 60.0} for t in (10, 2, 7)}
    for images, file in (
        (pictures, identified(tmp_path / 'images.json', frames)),
        (
            numbered_clip,
            identified(tmp_path / 'video.json', {t: {0: 2.0 * t} for t in (3, 20, 21)}),
        ),
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


def test_frames_that_the_video_does_not_have(numbered_clip, tmp_path):
    with pytest.raises(
        InputError, match=r'has the frames 0\.\.39, asked for \[40\].*counted from 0'
    ):
        VideoDataset(
            numbered_clip, keypoints(tmp_path / 'kp.json', {t: [person(0)] for t in range(30, 41)})
        )


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


def test_a_stretch_and_a_person(numbered_clip, tmp_path):
    file = keypoints(
        tmp_path / 'kp.json', {t: [person(100), person(2 * t, scale=1.2)] for t in range(COUNT)}
    )
    dataset = VideoDataset(numbered_clip, file, begin='0.5', end='f25', person='largest')
    (track,) = dataset.tracks
    assert track.frames == tuple(range(5, 25)) and track.identity == 0
    assert dataset[0].frame_ids[0] == '000005' and number(dataset[0].frames[0]) == 5
    with pytest.raises(InputError, match='no person 4; there are 0, 1'):
        VideoDataset(numbered_clip, file, person=4)
