"""People's pictures with a keypoint file: every layout becomes the right tracks, every flaw a clear message."""

from __future__ import annotations

import json
import logging

import cv2
import numpy as np
import pytest
import torch
from coco_parts import COCO, coco, grey, points, put

from hrtk.datasets.own.coco_keypoints import CocoKeypointsDataset
from hrtk.errors import InputError
from hrtk.registry import DATASETS


@pytest.fixture
def video(tmp_path):
    path = tmp_path / 'clip.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 12, (64, 48))
    for t in range(12):
        writer.write(np.full((48, 64, 3), 20 * t, np.uint8))
    writer.release()
    return path


def test_coco_annotations(tmp_path, four_pictures):
    content = coco()
    content['annotations'][1]['keypoints'] = [5, 5, 2, 25, 9, 1, 99, 99, 0] + [0] * 42
    dataset = DATASETS.build(
        dict(
            type='CocoKeypointsDataset',
            images=str(four_pictures),
            keypoints=str(put(tmp_path / 'kp.json', content)),
        )
    )
    assert len(dataset) == 1
    sequence = dataset[0]
    assert sequence.name == 'kp' and len(sequence) == 3 and sequence.fps == 25
    assert sequence.frame_ids == ('f1.png', 'f2.png', 'f10.png') and grey(sequence) == [1, 2, 10]
    evidence = sequence.keypoints2d
    assert (evidence.source, evidence.skeleton) == ('annotated', 'coco17')
    assert evidence.xy.dtype == evidence.confidence.dtype == sequence.boxes.dtype == torch.float32
    # Visibility 0, 1, 2 is confidence 0, 1, 1; the hidden point at 99, 99 widens no box.
    assert evidence.confidence[1].tolist() == [1, 1] + [0] * 15
    assert sequence.boxes[1].tolist() == [15, 7, 24]
    for t, annotation in enumerate(content['annotations'][::-1]):
        np.testing.assert_allclose(
            evidence.xy[t].ravel(), np.reshape(annotation['keypoints'], (17, 3))[:, :2].ravel()
        )
    xy = evidence.xy[0].numpy()
    np.testing.assert_allclose(
        sequence.boxes[0], [*(xy.max(0) + xy.min(0)) / 2, 1.2 * np.ptp(xy, axis=0).max()], rtol=1e-5
    )


def test_options(tmp_path, four_pictures):
    content = coco()
    for annotation in content['annotations']:
        annotation['keypoints'][2::3] = [0.2] * 8 + [0.8] * 9
    dataset = CocoKeypointsDataset(
        four_pictures,
        put(tmp_path / 'kp.json', content),
        source='rtmpose',
        min_confidence=0.5,
        box_scale=2.0,
        name='mine',
    )
    sequence = dataset[0]
    assert sequence.name == 'mine' and sequence.keypoints2d.source == 'rtmpose'
    np.testing.assert_allclose(
        sequence.keypoints2d.confidence, [[0] * 8 + [np.float32(0.8)] * 9] * 3
    )
    extent = np.ptp(sequence.keypoints2d.xy[0, 8:].numpy(), axis=0).max()
    np.testing.assert_allclose(sequence.boxes[0, 2], 2 * extent, rtol=1e-5)
    with pytest.raises(InputError, match='min_confidence = 0.9'):
        CocoKeypointsDataset(four_pictures, tmp_path / 'kp.json', min_confidence=0.9)


def test_frames_are_ordered_by_frame_index(tmp_path, four_pictures):
    content = coco()
    for image, number in zip(content['images'], (1, 2, 0)):
        image['frame_index'] = number
    assert CocoKeypointsDataset(four_pictures, put(tmp_path / 'kp.json', content))[0].frame_ids == (
        'f1.png',
        'f10.png',
        'f2.png',
    )


def test_track_ids_make_tracks(tmp_path, four_pictures, caplog):
    content = coco(track_id=12)
    content['annotations'] += [
        {'id': 7, 'image_id': 1, 'keypoints': points(7, 30), 'track_id': 3},
        {'id': 8, 'image_id': 1, 'keypoints': points(8, 35), 'track_id': 12},
        {'id': 9, 'image_id': 0, 'keypoints': points(9)},
        {'id': 10, 'image_id': 0, 'keypoints': [0] * 51, 'track_id': 3},
        {'id': 11, 'image_id': 2, 'keypoints': points(11, 40), 'track_id': 12, 'iscrowd': 1},
        {'id': 12, 'image_id': 2, 'bbox': [0, 0, 5, 5]},
    ]
    with caplog.at_level(logging.WARNING):
        dataset = CocoKeypointsDataset(four_pictures, put(tmp_path / 'kp.json', content))
    assert [sequence.name for sequence in dataset] == ['kp_person3', 'kp_person12']
    assert grey(dataset[0]) == [2] and grey(dataset[1]) == [1, 2, 10]
    # Person 12 occurs twice in f2.png: the larger one counts.
    np.testing.assert_allclose(
        dataset[1].keypoints2d.xy[1].ravel(),
        np.reshape(points(8, 35), (17, 3))[:, :2].ravel(),
        rtol=1e-6,
    )
    for count, why in (
        (1, 'fewer than two visible points'),
        (1, 'without an identity'),
        (1, 'smaller than another'),
    ):
        assert any(f'left out {count} of 7 people' in m and why in m for m in caplog.messages)


def test_without_identities_the_largest_person_is_the_track(tmp_path, four_pictures):
    content = coco()
    content['annotations'].insert(0, {'image_id': 1, 'keypoints': points(5, 35)})
    content['annotations'].append({'image_id': 2, 'keypoints': points(6, 5)})
    dataset = CocoKeypointsDataset(four_pictures, put(tmp_path / 'kp.json', content))
    assert len(dataset) == 1 and len(dataset[0]) == 3
    for t, keypoints in ((0, points(2)), (1, points(5, 35)), (2, points(0))):
        np.testing.assert_allclose(
            dataset[0].keypoints2d.xy[t].ravel(), np.delete(keypoints, np.s_[2::3]), rtol=1e-6
        )


def test_subfolders_are_clips(tmp_path, four_pictures):
    for clip, picture in (('a', 'f2.png'), ('b', 'f1.png')):
        (four_pictures / clip).mkdir()
        (four_pictures / picture).rename(four_pictures / clip / 'f1.png')
    content = coco(('a/f1.png', 'b\\f1.png', 'anywhere/else/f9.png'), track_id=1)
    dataset = CocoKeypointsDataset(four_pictures, put(tmp_path / 'kp.json', content))
    assert [(s.name, grey(s)) for s in dataset] == [
        ('kp_person1', [9]),
        ('kp_a_person1', [2]),
        ('kp_b_person1', [1]),
    ]
    content['images'][2]['file_name'] = 'f1.png'
    with pytest.raises(InputError, match='ambiguous'):
        CocoKeypointsDataset(four_pictures, put(tmp_path / 'kp.json', content))


def test_coco_results(tmp_path, four_pictures):
    scores = [1.3, -0.1] + [0.5] * 15
    content = [
        {'image_id': i, 'category_id': 1, 'score': 0.9, 'keypoints': points(i)} for i in (9, 2)
    ]
    for entry in content:
        entry['keypoints'][2::3] = scores
    sequence = CocoKeypointsDataset(four_pictures, put(tmp_path / 'results.json', content))[0]
    assert grey(sequence) == [2, 9] and sequence.keypoints2d.source == 'detected'
    assert sequence.keypoints2d.confidence[0].tolist() == [1, 0] + [0.5] * 15


def test_alphapose(tmp_path, four_pictures):
    content = [
        {
            'image_id': f'f{i}.png',
            'category_id': 1,
            'score': 2.5,
            'keypoints': points(i + k, third=0.7),
            'idx': idx,
        }
        for i in (2, 10)
        for k, idx in enumerate(([3.0], 4))
    ]
    dataset = CocoKeypointsDataset(four_pictures, put(tmp_path / 'alphapose-results.json', content))
    assert [s.name for s in dataset] == ['alphapose-results_person3', 'alphapose-results_person4']
    assert grey(dataset[0]) == [2, 10] and dataset[0].keypoints2d.source == 'alphapose'
    np.testing.assert_allclose(
        dataset[1].keypoints2d.xy[0].ravel(), np.delete(points(3), np.s_[2::3]), rtol=1e-6
    )


@pytest.mark.parametrize(
    'count, skeleton, key',
    [(25, 'openpose25', 'pose_keypoints_2d'), (18, 'openpose18', 'pose_keypoints')],
)
def test_openpose(tmp_path, four_pictures, count, skeleton, key):
    output = tmp_path / 'op'
    output.mkdir()
    for i in (1, 2, 10):
        people = [
            {'person_id': [-1], key: points(i, 20, count, 0.5)},
            {key: points(i, 5, count, 0.5)},
        ]
        put(output / f'f{i}_keypoints.json', {'version': 1.3, 'people': people if i != 2 else []})
    sequence = CocoKeypointsDataset(four_pictures, output)[0]
    assert (sequence.keypoints2d.source, sequence.keypoints2d.skeleton) == ('openpose', skeleton)
    assert grey(sequence) == [1, 10] and sequence.name == 'op'
    np.testing.assert_allclose(
        sequence.keypoints2d.xy[1].ravel(), np.delete(points(10, 20, count), np.s_[2::3]), rtol=1e-6
    )
    single = CocoKeypointsDataset(four_pictures / 'f1.png', output / 'f1_keypoints.json')[0]
    assert grey(single) == [1]


def test_other_joint_lists_are_named(tmp_path, four_pictures):
    content = coco()
    content['categories'][0]['keypoints'] = COCO[::-1]
    with pytest.raises(InputError, match='categories lists the joints right_ankle.*skeleton='):
        CocoKeypointsDataset(four_pictures, put(tmp_path / 'kp.json', content))
    assert (
        CocoKeypointsDataset(four_pictures, tmp_path / 'kp.json', skeleton='h36m17')[
            0
        ].keypoints2d.skeleton
        == 'h36m17'
    )
    with pytest.raises(InputError, match='75 numbers .* of openpose25.*there are 51'):
        CocoKeypointsDataset(four_pictures, tmp_path / 'kp.json', skeleton='openpose25')
    with pytest.raises(InputError, match="no skeleton 'coco'"):
        CocoKeypointsDataset(four_pictures, tmp_path / 'kp.json', skeleton='coco')


@pytest.mark.parametrize('numbered', [True, False])
def test_video(tmp_path, video, numbered):
    content = coco(('frame_0011.jpg', 'frame_0003.jpg', 'frame_0007.jpg'), (64, 48))
    if numbered:
        for image in content['images']:
            image.update(frame_index=int(image['file_name'][6:10]), file_name='whatever 999.jpg')
    sequence = CocoKeypointsDataset(video, put(tmp_path / 'kp.json', content))[0]
    assert sequence.frame_ids == ('000003', '000007', '000011') and sequence.fps == 12
    np.testing.assert_allclose([frame.mean() for frame in sequence.frames], [60, 140, 220], atol=3)
    np.testing.assert_allclose(
        sequence.keypoints2d.xy[0].ravel(), np.delete(points(1), np.s_[2::3]), rtol=1e-6
    )


def test_video_and_keypoints_that_do_not_belong_together(tmp_path, video):
    for names, size, complaint in (
        (('a.jpg',), (64, 48), "the frame 'a.jpg' has no number"),
        (('12.jpg',), (64, 48), r'has the frames 0\.\.11, asked for \[12\]'),
        (('3.jpg',), (48, 64), 'video is 64x48 px, .* annotated on 48x64'),
    ):
        with pytest.raises(InputError, match=rf'clip\.avi: .*{complaint}'):
            CocoKeypointsDataset(video, put(tmp_path / 'kp.json', coco(names, size)))
    with pytest.raises(InputError, match='no such folder or video'):
        CocoKeypointsDataset(tmp_path / 'none.mp4', tmp_path / 'kp.json')


def test_detector_results_on_a_video(tmp_path, video):
    content = [{'image_id': i, 'keypoints': points()} for i in (5, 4.0)]
    assert CocoKeypointsDataset(video, put(tmp_path / 'r.json', content))[0].frame_ids == (
        '000004',
        '000005',
    )
    content = [{'image_id': f'{i}.jpg', 'keypoints': points(i), 'idx': 1} for i in (10, 9)]
    assert CocoKeypointsDataset(video, put(tmp_path / 'r.json', content))[0].frame_ids == (
        '000009',
        '000010',
    )


def test_a_picture_of_another_size_raises_when_read(tmp_path, four_pictures):
    dataset = CocoKeypointsDataset(four_pictures, put(tmp_path / 'kp.json', coco(size=(120, 80))))
    with pytest.raises(InputError, match=r'f1\.png: the image is 60x40 px, .* on 120x80'):
        dataset[0].frames[0]


def test_real_pictures_and_a_real_clip(data_root):
    yoga = CocoKeypointsDataset(
        data_root / 'photos/yogait', data_root / 'annotations/yogait_coco.json'
    )
    assert len(yoga) == 1 and len(yoga[0]) == 9
    raw = json.loads((data_root / 'annotations/yogait_coco.json').read_text())
    boxes = {
        image['file_name']: annotation['bbox']
        for image, annotation in zip(raw['images'], raw['annotations'])
    }
    for name, (cx, cy, side) in zip(yoga[0].frame_ids, yoga[0].boxes.tolist()):
        x, y, width, height = boxes[name]
        assert x < cx < x + width and y < cy < y + height and 0.7 < side / max(width, height) < 1.3
    assert yoga[0].frames[8].shape == (720, 1080, 3)
    file = data_root / 'annotations/single_person_coco.json'
    pictures = CocoKeypointsDataset(data_root / 'clips/single_person', file)[0]
    video = CocoKeypointsDataset(data_root / 'clips/single_person_demo.mp4', file)[0]
    assert len(pictures) == len(video) == 10 and video.fps == 12
    torch.testing.assert_close(pictures.boxes, video.boxes)
    assert np.abs(pictures.frames[1].astype(int) - video.frames[1]).mean() < 2
