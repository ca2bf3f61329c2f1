"""Exchanged sides: found in simulated and real tracks, in the reader of a user's footage, and left alone elsewhere."""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from hrtk.body_models.skeletons import flip_map, index_map, joint_names
from hrtk.datasets.own.side_cues import front_consistency
from hrtk.datasets.own.sides import SideRepair, exchange_sides
from hrtk.datasets.own.video import VideoDataset
from hrtk.errors import InputError

sys.path.insert(0, str(Path(__file__).parents[2] / 'benchmarks'))
from left_and_right import (  # noqa: E402
    METHODS,
    RATES,
    VIEWS,
    evaluate,
    make_cases,
    motion_joints,
    real_tracks,
)

COCO = joint_names('coco17')


def walking(fps=30, frames=60, height=400.0):
    """Somebody who walks towards the camera, without noise: (F, 17, 3) px and confidence 1, and his joints in m."""
    joints = next(joints for action, joints in motion_joints('test') if action == 'walking')
    joints = joints[: frames * 30 // fps : 30 // fps]
    camera = np.stack([joints[..., 0], -joints[..., 1], -joints[..., 2]], axis=-1)
    points = camera[..., :2] * height / 1.7 + (500, 900)
    return np.concatenate([points, np.ones(points.shape[:2])[..., None]], axis=-1), camera


def marked(frames, count=60, parts=(0, 1)):
    """(F, 2) bool."""
    exchanged = np.zeros((count, 2), bool)
    for part in parts:
        exchanged[list(frames), part] = True
    return exchanged


@pytest.fixture(scope='module')
def simulated():
    """Tracks of every view and frame rate, with and without exchanges."""
    cases = {}
    for share in (0.0, 0.25):
        for view in VIEWS:
            for fps in RATES:
                cases[view, fps, share] = list(make_cases('test', view, fps, share, 3, seed=1))
    return cases


def test_nothing_is_repaired_in_tracks_without_exchange(simulated):
    for (view, fps, share), cases in simulated.items():
        if share == 0:
            assert evaluate(cases, METHODS['2D'])['false'] < 0.01, (view, fps)


@pytest.mark.parametrize('view', VIEWS)
def test_exchanges_are_found(simulated, view):
    cases = [case for fps in RATES for case in simulated[view, fps, 0.25]]
    before = evaluate(cases, METHODS['none'])
    simple = evaluate(cases, METHODS['previous frame'])
    after = evaluate(cases, METHODS['+ mirrored'])
    assert after['found'] > 0.95 and after['false'] < 0.02
    assert after['error'] < 0.4 * before['error'] and after['error'] < 0.8 * simple['error']


def test_both_halves_and_single_frames():
    points, _ = walking()
    exchanged = marked([10, *range(20, 28)]) | marked([35, 36], parts=[0]) | marked([44], parts=[1])
    detected = exchange_sides(points, 'coco17', exchanged)
    repaired, sides = SideRepair()(detected, 'coco17', 30)
    np.testing.assert_array_equal(sides.exchanged, exchanged)
    np.testing.assert_array_equal(repaired, points)
    assert sides.decided and sides.margin > 1 and sides.count == 12


def test_exchange_follows_the_mirror_map():
    values = np.arange(2 * 25 * 3).reshape(2, 25, 3)
    swapped = exchange_sides(values, 'openpose25', np.array([[True, True], [False, False]]))
    np.testing.assert_array_equal(swapped[0], values[0, list(flip_map('openpose25'))])
    np.testing.assert_array_equal(swapped[1], values[1])


@pytest.mark.parametrize('skeleton', ['openpose25', 'openpose18', 'spin49', 'smpl24', 'common14'])
def test_other_joint_lists(skeleton):
    points, _ = walking()
    order = np.array(index_map('coco17', skeleton, nearest=True))
    listed = np.where((order >= 0)[:, None], points[:, order], 0)
    exchanged = marked(range(20, 28))
    detected = exchange_sides(listed, skeleton, exchanged)
    np.testing.assert_array_equal(SideRepair().find(detected, skeleton, 30).exchanged, exchanged)


def test_joints_by_name_only_arms_and_no_legs():
    points, _ = walking()
    names = COCO[:11]
    exchanged = marked(range(20, 28), parts=[0])
    detected = exchange_sides(points[:, :11], names, exchanged)
    found = SideRepair().find(detected, names, 30).exchanged
    np.testing.assert_array_equal(found[:, 0], exchanged[:, 0])


def test_missing_confidences_points_and_frames():
    points, _ = walking()
    exchanged = marked([*range(20, 28), 40])
    exchanged[30:34] = False
    detected = exchange_sides(points, 'coco17', exchanged)
    expected = SideRepair().find(detected, 'coco17', 30).exchanged
    np.testing.assert_array_equal(
        SideRepair().find(detected[..., :2], 'coco17', 30).exchanged, expected
    )
    holes = detected.copy()
    holes[..., 2] = np.nan
    holes[30:34] = 0  # nobody was detected
    holes[5:15, 7, :2] = np.nan
    holes[22:25, 11:13, 2] = 0
    sides = SideRepair().find(holes, 'coco17', 30)
    np.testing.assert_array_equal(sides.exchanged, exchanged)


def test_time_counts_not_the_number_of_frames():
    points, _ = walking(frames=90)
    kept = [*range(0, 30, 2), *range(30, 60), *range(60, 90, 3)]
    exchanged = marked(range(20, 28), len(kept))
    detected = exchange_sides(points[kept], 'coco17', exchanged)
    sides = SideRepair().find(detected, 'coco17', 30, times=np.array(kept) / 30)
    np.testing.assert_array_equal(sides.exchanged, exchanged)


@pytest.mark.parametrize('count', [0, 1, 2])
def test_short_tracks(count):
    points, _ = walking()
    repaired, sides = SideRepair()(points[:count], 'coco17', 30)
    np.testing.assert_array_equal(repaired, points[:count])
    assert sides.exchanged.shape == (count, 2) and not sides.exchanged.any()
    empty = np.zeros((count, 17, 3))
    assert not SideRepair().find(empty, 'coco17', 30).exchanged.any()


def test_half_of_the_frames_is_no_majority():
    points, _ = walking()
    detected = exchange_sides(points, 'coco17', marked(range(30, 60)))
    repaired, sides = SideRepair()(detected, 'coco17', 30)
    assert not sides.decided and sides.margin < 1 and sides.count in (29, 30, 31)
    np.testing.assert_array_equal(repaired, detected)


def test_mirrored_run_settles_the_sides():
    points, _ = walking()
    exchanged = marked(range(22, 60))  # more than half
    detected = exchange_sides(points, 'coco17', exchanged)
    mirrored = exchange_sides(points, 'coco17', marked(range(50, 60)))
    alone = SideRepair().find(detected, 'coco17', 30)
    assert not (alone.exchanged == exchanged).all()
    sides = SideRepair().find(detected, 'coco17', 30, mirrored=mirrored)
    np.testing.assert_array_equal(sides.exchanged, exchanged)
    expected = (np.arange(60) >= 22) & (np.arange(60) < 50)
    np.testing.assert_array_equal(sides.disagreement > 0.5, np.stack([expected] * 2, axis=1))
    hidden = mirrored.copy()
    hidden[3] = 0
    other = SideRepair().find(detected, 'coco17', 30, mirrored=hidden).disagreement
    assert np.isnan(other[3]).all() and np.isfinite(other[4]).all()


def test_3d_landmarks_settle_the_sides():
    points, joints = walking()
    exchanged = marked(range(24, 60))
    detected = exchange_sides(points, 'coco17', exchanged)
    landmarks3d = exchange_sides(joints, 'coco17', exchanged)  # knees that bend backwards
    sides = SideRepair().find(detected, 'coco17', 30, landmarks3d=landmarks3d)
    np.testing.assert_array_equal(sides.exchanged, exchanged)
    landmarks3d[:40] = np.nan
    assert SideRepair().find(detected, 'coco17', 30, landmarks3d=landmarks3d).margin < sides.margin


def test_front_by_hand():
    """Somebody who faces the viewer, with one knee and one elbow bent, 1.7 units tall."""
    body = np.full((1, 17, 3), np.nan)
    places = dict(
        left_shoulder=(0.2, -1.4, 0), right_shoulder=(-0.2, -1.4, 0),
        left_hip_lsp=(0.1, -0.9, 0), right_hip_lsp=(-0.1, -0.9, 0),
        left_knee=(0.1, -0.45, -0.3), right_knee=(-0.1, -0.45, 0),
        left_ankle=(0.1, 0, 0), right_ankle=(-0.1, 0, 0),
        left_elbow=(0.2, -1.1, 0.1), right_elbow=(-0.2, -1.1, 0),
        left_wrist=(0.2, -0.8, 0), right_wrist=(-0.2, -0.8, 0),
    )  # fmt: skip
    for name, place in places.items():
        body[0, COCO.index(name)] = place
    consistency = front_consistency(body, 'coco17')
    stature = (0.3 + 0.1) / consistency[0]
    assert 1.5 < stature < 2.3  # by the longest bones, which are rough here
    exchanged = exchange_sides(body, 'coco17', np.array([[True, True]]))
    np.testing.assert_allclose(front_consistency(exchanged, 'coco17'), -consistency)
    assert np.isnan(front_consistency(np.full((1, 17, 3), np.nan), 'coco17')).all()


@pytest.mark.parametrize(
    'change, complaint',
    [
        (dict(keypoints2d=np.zeros((5, 16, 3))), r'keypoints2d are \(5, 16, 3\).*\(F, 17, 3\)'),
        (dict(mirrored=np.zeros((5, 17, 4))), 'mirrored are'),
        (dict(mirrored=np.zeros((4, 17, 3))), 'mirrored'),
        (dict(landmarks3d=np.zeros((5, 17, 2))), 'landmarks3d are'),
        (dict(landmarks3d=np.zeros((6, 17, 3))), 'landmarks3d'),
        (dict(times=np.zeros(5)), '5 ascending seconds'),
        (dict(fps=0), 'fps must be above 0'),
        (dict(skeleton=('nose', 'left_eye', 'right_eye'), keypoints2d=np.zeros((5, 3, 3))), 'none of the pairs'),
    ],
)  # fmt: skip
def test_refuses(change, complaint):
    arguments = dict(keypoints2d=np.zeros((5, 17, 3)), skeleton='coco17', fps=30)
    with pytest.raises(InputError, match=complaint):
        SideRepair().find(**{**arguments, **change})


def test_speed_on_one_thread():
    points, joints = walking(frames=60)
    points = np.concatenate([points, points[::-1]] * 5)
    joints = np.concatenate([joints, joints[::-1]] * 5)
    begin = time.process_time()
    SideRepair().find(points, 'coco17', 30, mirrored=points, landmarks3d=joints)
    assert (time.process_time() - begin) / len(points) < 1e-3


# The reader of a user's footage


@pytest.fixture
def footage(tmp_path):
    """Blank images, and a keypoint file in which nobody is detected in one frame; frames 20 to 27 are exchanged."""
    (tmp_path / 'images').mkdir()
    points, _ = walking(height=80.0)
    points[..., :2] -= points[..., :2].min((0, 1)) - 5
    detected = exchange_sides(points, 'coco17', marked(range(20, 28)))
    entries = []
    for frame, person in enumerate(detected):
        cv2.imwrite(str(tmp_path / f'images/{frame:02d}.png'), np.zeros((8, 8, 3), np.uint8))
        people = [] if frame == 22 else [person]
        entries.append(
            dict(
                image=f'{frame:02d}.png',
                keypoints=[person[:, :2].tolist() for person in people],
                scores=[person[:, 2].tolist() for person in people],
            )
        )
    (tmp_path / 'keypoints.json').write_text(json.dumps(entries))
    return dict(images=tmp_path / 'images', keypoints=tmp_path / 'keypoints.json'), points, detected


def test_reader_repairs_on_request(footage, caplog):
    options, points, detected = footage
    with caplog.at_level(logging.WARNING):
        plain = VideoDataset(**options, fps=30, name='walk')
    assert not plain.sides and 'repaired' not in caplog.text
    with caplog.at_level(logging.WARNING):
        dataset = VideoDataset(**options, fps=30, name='walk', repair_sides=True)
    assert 'repaired left and right in 7 of 60 frames of person walk_person0' in caplog.text
    seen = np.arange(60) != 22
    before = plain[0].keypoints2d
    after = dataset[0].keypoints2d
    np.testing.assert_allclose(before.xy[seen], detected[seen, :, :2], atol=1e-3)
    np.testing.assert_allclose(after.xy[seen], points[seen, :, :2], atol=1e-3)
    assert (after.confidence[22] == 0).all() and dataset.sides['walk_person0'].count == 7
    np.testing.assert_array_equal(plain[0].boxes, dataset[0].boxes)
    assert (
        plain.fingerprint() == dataset.fingerprint()
    )  # results are compared by the keypoints' values


def test_reader_leaves_an_uncertain_track_and_photographs(footage, caplog):
    options, points, _ = footage
    entries = json.loads(options['keypoints'].read_text())
    halves = exchange_sides(points, 'coco17', marked(range(30, 60)))
    for frame in range(20, 60):
        entries[frame]['keypoints'] = [halves[frame, :, :2].tolist()]
        entries[frame]['scores'] = [[1.0] * 17]
    options['keypoints'].write_text(json.dumps(entries))
    with caplog.at_level(logging.WARNING):
        dataset = VideoDataset(**options, fps=30, repair_sides=True)
    assert 'not repaired' in caplog.text
    plain = VideoDataset(**options, fps=30)
    np.testing.assert_array_equal(dataset[0].keypoints2d.xy, plain[0].keypoints2d.xy)
    assert VideoDataset(**options, repair_sides=True).sides == {}


# One man in four calibrated cameras: the truth follows from the others


@pytest.mark.parametrize('evidence', ['2D', '3D'])
@pytest.mark.parametrize('step', [1, 2, 4])
def test_real_clips(data_root, step, evidence):
    folder = data_root / 'real4'
    if not folder.is_dir():
        pytest.skip('the folder of test data has no real4')
    found = right = wrong = 0
    for track in real_tracks(folder):
        extra = {}
        if evidence == '3D':
            extra = dict(landmarks3d=track.landmarks3d[::step])
        sides = SideRepair().find(track.keypoints2d[::step], track.names, 60 / step, **extra)
        states = track.states[::step]
        found += (sides.exchanged & (states == 1)).sum()
        wrong += (states == 1).sum()
        right += (sides.exchanged & (states == 0)).sum()
        assert sides.decided and (track.name.startswith('cam02') or sides.count == 0)
    assert wrong > 20 and found >= 0.98 * wrong - 1 and right <= 1
