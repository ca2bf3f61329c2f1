"""Keypoint files with mistakes: what is wrong is named, and one bad value does not spoil the others."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest
import torch
from coco_parts import coco, grey, points, put

from hrtk.datasets.own.coco_keypoints import CocoKeypointsDataset
from hrtk.errors import InputError


def _with(where, **change):
    content = coco()
    content[where][1].update(change)
    return content


def _without(where, key):
    content = coco()
    del content[where][1][key]
    return content


@pytest.mark.parametrize(
    'content, complaint',
    [
        (_with('annotations', keypoints=points(third=3)), 'visibility 0, 1 or 2'),
        (_with('annotations', keypoints=points(third=-1)), 'visibility 0, 1 or 2'),
        (_without('annotations', 'image_id'), 'entry 1 of annotations lacks image_id'),
        (_without('images', 'file_name'), 'entry 1 of images lacks file_name'),
        (_with('images', width='wide'), 'width must be a whole number'),
        (
            _with('images', file_name='gone.png'),
            r'1 of 3 annotated images are missing.*gone\.png.*has 4 images',
        ),
        (_with('images', file_name='../../etc/passwd.png'), 'missing'),
        ({'images': [], 'annotations': []}, 'no person with keypoints'),
        ({'images': [], 'annotations': {}}, 'annotations must be a list'),
        ([], 'no person with keypoints'),
        ([{'keypoints': []}], 'entry 0 of the list lacks image_id'),
        ([{'image_id': 2, 'keypoints': points(count=27)}], 'has 27 keypoints; known are 17'),
        ([{'image_id': 2.5, 'keypoints': points()}], 'image_id must be a whole number'),
        ([{'image_id': 77, 'keypoints': points()}], 'number 77'),
        ([3], 'must be a list of objects'),
        ({'people': None}, 'people must be a list'),
        ({'shapes': []}, r"unknown layout, it holds the keys \['shapes'\]"),
        ('text', 'unknown layout, it holds a str'),
        (coco(keypoints=[0] * 51), 'no frame has two visible points'),
        (coco(keypoints=[3, 4, 2] + [0] * 48), 'no frame has two visible points'),
    ],
)
def test_malformed_keypoints(tmp_path, four_pictures, content, complaint):
    file = put(tmp_path / 'kp.json', content)
    with pytest.raises(InputError, match=complaint) as caught:
        CocoKeypointsDataset(four_pictures, file)
    assert str(tmp_path) in str(caught.value)


NAN = float('nan')


@pytest.mark.parametrize(
    'change, told, complaint',
    [
        (
            dict(keypoints=points(count=16)),
            '1 of 3 people have no 17 points of coco17 and are left out (the first: annotation 101 of image 1)',
            'annotation 100 of image 0: keypoints must be 51.*there are 48',
        ),
        (dict(keypoints=points()[:50]), '1 of 3 people have no 17 points', 'there are 50'),
        (dict(keypoints='all'), '1 of 3 people have no 17 points', 'there are 0'),
        (dict(keypoints=[None] * 51), '17 of 51 points are no finite', 'annotation 100 .*nose is'),
        (dict(keypoints=['a'] * 51), '17 of 51 points are no', 'keypoints must be numbers'),
        (
            dict(image_id=77),
            '1 of 3 annotations are of images that the file does not list and left out (the first: annotation 101 of',
            'annotation 100 of image 77: no such id in images',
        ),
        (
            dict(category_id=2),
            '1 of 3 annotations are of other categories and left out (the first: annotation 101 of image 1, a dog)',
            'no annotation is of a person',
        ),
        (
            dict(track_id=0.5),
            '1 of 3 people have an identity that is no whole number and is ignored (the first: annotation 101 of',
            'track_id must be a whole number, not 0.5',
        ),
    ],
)
def test_one_bad_value_and_only_bad_values(
    tmp_path, four_pictures, caplog, change, told, complaint
):
    content = coco()
    content['categories'].append({'id': 2, 'name': 'dog', 'keypoints': ['nose', 'tail']})
    content['annotations'][1].update(change)
    sequence = CocoKeypointsDataset(four_pictures, put(tmp_path / 'kp.json', content))[0]
    assert grey(sequence) == ([1, 2, 10] if 'track_id' in change else [1, 10])
    np.testing.assert_allclose(
        sequence.keypoints2d.xy[-1].ravel(), np.delete(points(0), np.s_[2::3]), rtol=1e-6
    )
    (line,) = [text for text in caplog.messages if told in text]
    assert line.startswith(str(tmp_path / 'kp.json'))
    for annotation in content['annotations']:
        annotation.update(change)
    with pytest.raises(InputError, match=complaint):
        CocoKeypointsDataset(four_pictures, put(tmp_path / 'kp.json', content))


def test_a_point_that_is_no_number_is_absent(tmp_path, four_pictures, caplog):
    content = coco()
    for index, bad in enumerate((NAN, None, 'far')):
        content['annotations'][index]['keypoints'][3] = bad
    sequence = CocoKeypointsDataset(four_pictures, put(tmp_path / 'kp.json', content))[0]
    assert (sequence.keypoints2d.confidence == 0).nonzero().tolist() == [[0, 1], [1, 1], [2, 1]]
    told = '3 of 51 points are no finite numbers and count as absent (the first: left_eye of annotation 100 of image 0)'
    assert told in caplog.text


def test_identities_that_are_texts(tmp_path, four_pictures, caplog):
    content = coco(track_id='left man')
    content['annotations'][0]['track_id'] = '0'
    content['annotations'][2]['track_id'] = '0.0'
    dataset = CocoKeypointsDataset(four_pictures, put(tmp_path / 'kp.json', content))
    assert [(s.name, grey(s)) for s in dataset] == [('kp_person0', [1, 10]), ('kp_person1', [2])]
    assert "identities are names: 'left man' is person 1" in caplog.text


@pytest.mark.parametrize('with_visibility', [True, False])
def test_points_in_nested_lists(tmp_path, four_pictures, with_visibility):
    content = coco()
    for annotation in content['annotations']:
        nested = np.reshape(annotation['keypoints'], (17, 3)).tolist()
        annotation['keypoints'] = [point[: 2 + with_visibility] for point in nested]
    nested = CocoKeypointsDataset(four_pictures, put(tmp_path / 'kp.json', content))[0]
    flat = CocoKeypointsDataset(four_pictures, put(tmp_path / 'kp.json', coco()))[0]
    assert torch.equal(nested.keypoints2d.xy, flat.keypoints2d.xy)
    assert torch.equal(nested.keypoints2d.confidence, flat.keypoints2d.confidence)


def test_frames_without_anybody_are_dropped_and_counted(tmp_path, four_pictures, caplog):
    content = _with('annotations', keypoints=[0] * 51)
    with caplog.at_level(logging.WARNING):
        sequence = CocoKeypointsDataset(four_pictures, put(tmp_path / 'kp.json', content))[0]
    assert grey(sequence) == [1, 10]
    assert any(
        'left out 1 of 3 people with fewer than two visible points' in m for m in caplog.messages
    )


def test_every_truncation_is_an_input_error(tmp_path, four_pictures):
    data = json.dumps(coco()).encode()
    for end in (0, 1, 40, len(data) // 2, len(data) - 1):
        (tmp_path / 'kp.json').write_bytes(data[:end])
        with pytest.raises(InputError, match=r'kp\.json: not json, or truncated'):
            CocoKeypointsDataset(four_pictures, tmp_path / 'kp.json')
    (tmp_path / 'kp.json').write_bytes(b'\xff\xd8\xff\xe0 a picture')
    with pytest.raises(InputError, match='not json'):
        CocoKeypointsDataset(four_pictures, tmp_path / 'kp.json')


def test_files_that_are_not_there(tmp_path, four_pictures):
    file = put(tmp_path / 'kp.json', coco())
    (tmp_path / 'nothing').mkdir()
    for images, keypoints, complaint in (
        (four_pictures, tmp_path / 'no.json', r'no\.json: there is no such keypoint file'),
        (four_pictures, tmp_path / 'nothing', r'nothing: .*no \*_keypoints\.json'),
        (tmp_path / 'nothing', file, 'nothing: no image in this folder'),
        (tmp_path / 'none', file, 'none: there is no such folder'),
    ):
        with pytest.raises(InputError, match=complaint):
            CocoKeypointsDataset(images, keypoints)
