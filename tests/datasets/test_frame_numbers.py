"""Which frame is which: names and numbers that count from 0 or 1, frames by place, and what the log says about them."""

import json
import logging

import cv2
import numpy as np
import pytest

from hrtk.datasets.own.video import VideoDataset
from hrtk.errors import InputError

COUNT = 8
BODY = np.random.default_rng(3).uniform(0, 1, (17, 2)) * (20, 40)


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp('clip') / 'clip.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10, (64, 48))
    for _ in range(COUNT):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    return path


def put(path, content):
    path.write_text(json.dumps(content))
    return path


def flat(x):
    return np.column_stack([BODY + (x, 0), np.full(17, 2)]).ravel().tolist()


def annotations(names, ids=None, people=None):
    """COCO annotations in which a person stands at x = the number of the image in the list."""
    ids = list(ids or range(100, 100 + len(names)))
    people = range(len(names)) if people is None else people
    return {
        'images': [{'id': key, 'file_name': name} for key, name in zip(ids, names)],
        'annotations': [{'image_id': ids[i], 'keypoints': flat(i)} for i in people],
    }


def numbered(first, count):
    return [f'cam2_frame_{t:04d}.jpg' for t in range(first, first + count)]


def where(dataset):
    """``{frame: x}`` of the only track."""
    (sequence,) = dataset
    x = (sequence.keypoints2d.xy[:, 0, 0].numpy() - BODY[0, 0]).round().astype(int)
    return dict(zip([int(frame) for frame in sequence.frame_ids], x.tolist()))


SHIFTED = {t: t for t in range(COUNT)}
FROM_ONE = "its frames count from 1: 'cam2_frame_0001.jpg' is frame 0 of the video, whose first frame is 0, and "


@pytest.mark.parametrize(
    'names, options, frames, told',
    [
        (numbered(0, COUNT), {}, SHIFTED, None),
        (numbered(1, COUNT), {}, SHIFTED, FROM_ONE + "'cam2_frame_0008.jpg' is frame 7"),
        (numbered(1, COUNT), dict(first_frame=1), SHIFTED, None),
        # One frame less than the video has: nobody can say whether the first or the last one is missing.
        (
            numbered(1, COUNT - 1),
            {},
            {t + 1: t for t in range(COUNT - 1)},
            'is taken for frame 1 of the video, whose first frame is 0. If the names count from 1, give first_frame=1',
        ),
        (numbered(1, COUNT - 1), dict(first_frame=1), {t: t for t in range(COUNT - 1)}, None),
        (numbered(1, COUNT - 1), dict(first_frame=0), {t + 1: t for t in range(COUNT - 1)}, None),
    ],
)
def test_names_that_count_from_one(clip, tmp_path, caplog, names, options, frames, told):
    file = put(tmp_path / 'kp.json', annotations(names))
    with caplog.at_level(logging.INFO):
        assert where(VideoDataset(clip, file, **options)) == frames
    assert [told in text for text in caplog.messages] == [True] * (told is not None)


def test_images_without_people_tell_where_the_names_begin(clip, tmp_path):
    file = put(tmp_path / 'kp.json', annotations(numbered(1, COUNT), people=range(2, 7)))
    assert where(VideoDataset(clip, file)) == {t: t for t in range(2, 7)}


def test_ids_tell_where_the_names_begin(clip, tmp_path, caplog):
    count = COUNT - 2
    ids_from_0 = put(tmp_path / 'kp.json', annotations(numbered(1, count), ids=range(count)))
    assert where(VideoDataset(clip, ids_from_0)) == {t: t for t in range(count)}
    assert FROM_ONE in caplog.text
    ids_from_1 = annotations(numbered(1, count), ids=range(1, 1 + count))
    dataset = VideoDataset(clip, put(tmp_path / 'kp.json', ids_from_1))
    assert where(dataset) == {t + 1: t for t in range(count)}


def answers(numbers=None, count=COUNT):
    frames = []
    for t in range(count):
        entry = dict(keypoints=[(BODY + (t, 0)).tolist()], scores=[[0.9] * 17])
        if numbers is not None:
            entry['frame'] = numbers[t]
        frames.append(entry)
    return frames


def test_numbers_that_count_from_one(clip, tmp_path):
    file = put(tmp_path / 'kp.json', answers(range(1, COUNT + 1)))
    assert where(VideoDataset(clip, file)) == SHIFTED
    file = put(tmp_path / 'kp.json', answers(range(COUNT)))
    assert where(VideoDataset(clip, file)) == SHIFTED
    with pytest.raises(InputError, match=r'asked for \[-1.*numbered from 1, first_frame says'):
        VideoDataset(clip, file, first_frame=1)


def test_places_are_no_numbers(clip, tmp_path):
    file = put(tmp_path / 'kp.json', answers())
    assert where(VideoDataset(clip, file, first_frame=1)) == SHIFTED


@pytest.fixture(params=['{}.png', 'person_{}.png', 'letters'])
def folder(request, tmp_path):
    """Images whose names count from 1, so that 10 comes before 2 among plain strings, or have no numbers."""
    (tmp_path / 'images').mkdir()
    for t in range(11):
        name = request.param.format(t + 1)
        if request.param == 'letters':
            name = f'{"abcdefghijk"[t]}.png'
        cv2.imwrite(str(tmp_path / 'images' / name), np.full((48, 64, 3), 20 * t, np.uint8))
    return tmp_path / 'images'


def test_answer_i_belongs_to_image_i(folder, tmp_path, caplog):
    file = put(tmp_path / 'kp.json', answers(count=11))
    (sequence,) = VideoDataset(folder, file, fps=12)
    grey = [int(frame[0, 0, 0]) // 20 for frame in sequence.frames]
    x = (sequence.keypoints2d.xy[:, 0, 0].numpy() - BODY[0, 0]).round().tolist()
    assert grey == x == list(range(11)) and not caplog.messages
    np.savez(
        tmp_path / 'kp.npz',
        keypoints=[BODY + (t, 0) for t in range(11)],
        scores=np.full((11, 17), 0.9),
    )
    photographs = VideoDataset(folder, tmp_path / 'kp.npz', min_length=1)
    assert sorted(int(s.frames[0][0, 0, 0]) // 20 for s in photographs) == list(range(11))


def test_another_number_of_answers_than_images(folder, tmp_path, caplog):
    VideoDataset(folder, put(tmp_path / 'kp.json', answers(count=9)), fps=12)
    assert 'lists 9 frames without their names' in caplog.text and '11 images' in caplog.text
    with pytest.raises(InputError, match='1 of 12 annotated images .*entry 11, counted from 0'):
        VideoDataset(folder, put(tmp_path / 'kp.json', answers(count=12)), fps=12)


def test_annotated_people_are_not_too_short(clip, tmp_path):
    """Somebody who was annotated and told apart in two frames is no false detection."""
    content = annotations(numbered(0, COUNT))
    content['annotations'] += [{'image_id': 100 + t, 'keypoints': flat(40)} for t in (4, 5)]
    file = put(tmp_path / 'kp.json', content)
    assert [len(s) for s in VideoDataset(clip, file)] == [
        8
    ]  # without identities 5 frames are needed
    for index, annotation in enumerate(content['annotations']):
        annotation['track_id'] = int(index >= COUNT)
    file = put(tmp_path / 'kp.json', content)
    assert [len(s) for s in VideoDataset(clip, file)] == [8, 2]
    assert [len(s) for s in VideoDataset(clip, file, min_length=3)] == [8]
    detected = answers(range(COUNT))
    for entry in detected:
        entry['persons'] = [3]
    detected[4]['persons'] = [9]  # a tracker's identity is no annotation
    assert [s.name for s in VideoDataset(clip, put(tmp_path / 'd.json', detected))] == [
        'clip_person3'
    ]
