"""Keypoints of rtmlib, plain arrays and long lists; the layouts of others are in test_coco_keypoints.py."""

import json

import numpy as np
import pytest

from hrtk.datasets.own.keypoint_files import read_keypoints
from hrtk.errors import InputError

RNG = np.random.default_rng(0)
KEYPOINTS, SCORES = (
    RNG.uniform(0, 90, (3, 17, 2)).astype(np.float32),
    RNG.uniform(0, 1, (3, 17)).astype(np.float32),
)
JOINED = np.concatenate([KEYPOINTS, SCORES[..., None]], axis=-1)


def put(path, content):
    path.write_text(json.dumps(content))
    return path


def answer(*people, **more):
    return dict(
        keypoints=KEYPOINTS[list(people)].tolist(), scores=SCORES[list(people)].tolist(), **more
    )


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_answers_of_rtmlib(tmp_path):
    # As a user keeps them: [{'keypoints': k.tolist(), 'scores': s.tolist()} for k, s in answers]
    table = read_keypoints(put(tmp_path / 'kp.json', [answer(0, 1), answer(), answer(2)]))
    assert (table.source, table.skeleton, table.persons) == ('rtmlib', 'coco17', (None,) * 3)
    assert [frame.number for frame in table.frames] == [0, 0, 2]
    np.testing.assert_allclose(table.points, JOINED, rtol=1e-6)


def test_answers_with_a_head(tmp_path):
    content = dict(
        source='rtmlib:balanced',
        skeleton='coco17',
        size=[640, 480],
        frames=[answer(1, 2, frame=7, persons=[4, 9]), answer(0, image='a\\b.png')],
    )
    table = read_keypoints(put(tmp_path / 'kp.json', content))
    assert table.source == 'rtmlib:balanced' and table.persons == (4, 9, None)
    assert [(frame.name, frame.number, frame.size) for frame in table.frames] == [
        ('', 7, (640, 480)),
        ('', 7, (640, 480)),
        ('a/b.png', None, (640, 480)),
    ]


def test_arrays_by_row(tmp_path):
    path = save(
        tmp_path / 'kp.npz', keypoints=KEYPOINTS, scores=SCORES, frame=[5, 5, 8], person=[1, 2, 1]
    )
    table = read_keypoints(path)
    assert table.source == 'detected' and table.persons == (1, 2, 1)
    assert [frame.number for frame in table.frames] == [5, 5, 8]
    np.testing.assert_array_equal(table.points, JOINED)


def test_arrays_by_frame(tmp_path):
    one = read_keypoints(save(tmp_path / 'one.npz', keypoints=KEYPOINTS, scores=SCORES))
    assert [frame.number for frame in one.frames] == [0, 1, 2]
    scores = np.stack([SCORES, SCORES[::-1]], axis=1)
    scores[1, 1] = 0
    many = read_keypoints(
        save(tmp_path / 'many.npz', keypoints=np.stack([KEYPOINTS] * 2, axis=1), scores=scores)
    )
    assert [frame.number for frame in many.frames] == [0, 0, 1, 2, 2]
    np.testing.assert_array_equal(many.points[:, 0, 2], scores[:, :, 0][scores.any(-1)])


@pytest.mark.parametrize('count', [26, 133, 136])
def test_longer_lists_begin_with_coco(tmp_path, count):
    values = RNG.uniform(0, 1, (count, 3)).round(3)
    table = read_keypoints(
        put(
            tmp_path / 'kp.json',
            [{'image_id': '0.jpg', 'idx': 3, 'keypoints': values.ravel().tolist(), 'score': 2.9}],
        )
    )
    assert (table.skeleton, table.source) == ('coco17', 'alphapose')
    np.testing.assert_allclose(table.points[0], values[:17], rtol=1e-6)
    with pytest.raises(InputError, match=f'must be 51 numbers.*there are {3 * count}'):
        read_keypoints(tmp_path / 'kp.json', skeleton='coco17')


@pytest.mark.parametrize(
    'written, identity',
    [
        (3, 3),
        (3.0, 3),
        ([3.0], 3),
        ([[3.0]], 3),
        ([[3.0], [3.0], [3.0]], 3),  # AlphaPose: one number for each detection that it merged
        ([[3.0], [4.0]], None),
        ([], None),
        (None, None),
        (-1, None),
        ([-1], None),
    ],
)
def test_forms_of_an_identity(tmp_path, written, identity):
    points = JOINED[0].ravel().tolist()
    alphapose = [{'image_id': '0.jpg', 'idx': written, 'keypoints': points, 'score': 2.9}]
    assert read_keypoints(put(tmp_path / 'a.json', alphapose)).persons == (identity,)
    openpose = {'people': [{'person_id': written, 'pose_keypoints_2d': points}]}
    assert read_keypoints(put(tmp_path / 'o.json', openpose)).persons == (identity,)
    rtmlib = [answer(0, persons=[written])]
    assert read_keypoints(put(tmp_path / 'r.json', rtmlib)).persons == (identity,)
    coco = {
        'images': [{'id': 1, 'file_name': '0.jpg'}],
        'annotations': [{'image_id': 1, 'track_id': written, 'keypoints': points}],
    }
    assert read_keypoints(put(tmp_path / 'c.json', coco)).persons == (identity,)


def test_an_identity_is_a_whole_number(tmp_path):
    entry = {'image_id': '0.jpg', 'idx': [[0.5]], 'keypoints': JOINED[0].ravel().tolist()}
    with pytest.raises(InputError, match='idx must be a whole number, not 0.5'):
        read_keypoints(put(tmp_path / 'a.json', [entry]))


@pytest.mark.parametrize(
    'content, complaint',
    [
        ({'frames': 3}, 'frames must be a list of objects'),
        ([answer(0), dict(keypoints=[])], 'entry 1 of frames lacks scores'),
        (
            [dict(answer(0), scores=SCORES[:2].tolist())],
            r'entry 0: keypoints are \(1, 17, 2\) and scores \(2, 17\)',
        ),
        (
            [dict(keypoints=[[[1, 2]], [[1, 2], [3, 4]]], scores=[])],
            'entry 0: keypoints and scores must be arrays',
        ),
        ([answer(0, frame='three')], "entry 0: frame must be a whole number, not 'three'"),
        ([answer(0, 1, persons=[3])], 'an identity for each of 2 people'),
        ({'frames': [answer(0)], 'size': 640}, r'size must be \[width, height\]'),
        ({'frames': [answer(0)], 'skeleton': 'coco18'}, "no skeleton 'coco18'"),
        ([answer(), answer()], 'no person with keypoints'),
    ],
)
def test_malformed_answers(tmp_path, content, complaint):
    with pytest.raises(InputError, match=complaint):
        read_keypoints(put(tmp_path / 'kp.json', content))


@pytest.mark.parametrize(
    'arrays, complaint',
    [
        (dict(keypoints=KEYPOINTS), 'lacks scores'),
        (dict(keypoints=KEYPOINTS, scores=SCORES[:2]), r'\(3, 17, 2\) and scores \(2, 17\)'),
        (dict(keypoints=KEYPOINTS, scores=SCORES, frame=[1, 2]), 'frame must be 3 whole numbers'),
        (
            dict(keypoints=KEYPOINTS, scores=SCORES, frame=[1.0, 2.0, 3.0]),
            'frame must be 3 whole numbers',
        ),
        (dict(keypoints=KEYPOINTS, scores=np.where(SCORES > 0, np.nan, 0)), 'not a finite number'),
    ],
)
def test_malformed_arrays(tmp_path, arrays, complaint):
    with pytest.raises(InputError, match=f'kp.npz.*{complaint}'):
        read_keypoints(save(tmp_path / 'kp.npz', **arrays))


@pytest.mark.parametrize('far', [1e6, -1e6, 1e30])
def test_far_points_are_absent_and_counted(tmp_path, caplog, far):
    points = np.tile([[10.0, 20.0]], (2, 17, 1))
    points[1, 3, 0] = far
    np.savez(tmp_path / 'a.npz', keypoints=points, scores=np.ones((2, 17)), frame=np.arange(2))
    table = read_keypoints(tmp_path / 'a.npz')
    expected = np.tile(np.float32([10, 20, 1]), (2, 17, 1))
    expected[1, 3] = 0
    np.testing.assert_array_equal(table.points, expected)
    assert 'a.npz: 1 of 34 points lie more than 65535 px' in caplog.text
