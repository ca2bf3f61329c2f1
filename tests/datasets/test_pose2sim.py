"""Pose2SimProject on a project written by hand: geometry, people, frames, triangulation, and what it refuses."""

import json
import logging
import types

import numpy as np
import pose2sim_parts as parts
import pytest
from pose2sim_parts import BODY, COCO, F, entry, number, people, seen_by, trc, write_keypoints

from hrtk.datasets import Pose2SimProject
from hrtk.datasets.own.keypoint_files import read_keypoints
from hrtk.datasets.own.multiview import people_by_identity
from hrtk.datasets.own.pose2sim_files import (
    Markers,
    read_calibration,
    read_trc,
    write_calibration,
    write_trc,
)
from hrtk.errors import InputError
from hrtk.testing import check_dataset

ROWS = [COCO.index(name) for name in BODY]


@pytest.fixture
def project(tmp_path):
    """(folder, (F, 17, 3) world points) of one person."""
    return tmp_path / 'trial', parts.write_project(tmp_path / 'trial')[0]


def test_geometry(project):
    root, world = project
    dataset = Pose2SimProject(root)
    assert dataset.names() == ['cam_left_person1', 'cam_side_person1']
    assert dataset.metainfo == dict(reference='trc')
    for sequence, camera in zip(dataset, ('left', 'side')):
        local, pixels = seen_by(camera, world)
        truth = sequence.truth
        np.testing.assert_allclose(truth.joints3d, local[:, ROWS], atol=1e-6)
        np.testing.assert_allclose(truth.joints2d, pixels[:, ROWS], atol=1e-4)
        np.testing.assert_allclose(sequence.keypoints2d.xy, pixels, atol=1e-4)
        K = parts.MATRICES[camera]
        expected = [(K[0, 0] + K[1, 1]) / 2, K[0, 2], K[1, 2]]
        np.testing.assert_allclose(truth.intrinsics[F - 1], expected)
        assert truth.valid.all() and truth.skeleton == 'body12'
        assert [number(image) for image in sequence.frames] == list(range(F))
        assert sequence.fps == parts.FPS and sequence.keypoints2d.source == 'openpose'
        middle = (pixels.min(1) + pixels.max(1)) / 2
        assert np.abs(sequence.boxes[:, :2].numpy() - middle).max() < 6  # smoothed


def test_contracts(project):
    root = str(project[0])
    check_dataset(dict(type='Pose2SimProject', root=root))
    check_dataset(dict(type='Pose2SimProject', root=root, stride=5, reference='triangulated'))


def test_stride_cameras_and_offsets(project):
    root, world = project
    (only,) = Pose2SimProject(root, stride=5, cameras=['cam_side'])
    assert only.name == 'cam_side_person1' and only.frame_ids == ('000000', '000005', '000010')
    assert [number(image) for image in only.frames] == [0, 5, 10] and only.fps == 4
    np.testing.assert_allclose(
        only.truth.joints3d, seen_by('side', world[[0, 5, 10]])[0][:, ROWS], atol=1e-6
    )
    # Frame t of the project is frame t + 2 of the left video; keypoint files count frames of the video here.
    left, side = Pose2SimProject(root, offsets=dict(cam_left=2), smooth=False)
    assert left.frame_ids[0] == '000002' and side.frame_ids[0] == '000000'
    assert len(left) == len(side) == F - 2 and number(left.frames[0]) == 2
    np.testing.assert_allclose(left.keypoints2d.xy, seen_by('left', world[2:])[1], atol=1e-4)
    np.testing.assert_allclose(
        left.truth.joints3d, seen_by('left', world[:-2])[0][:, ROWS], atol=1e-6
    )


def test_people_are_matched_to_their_markers(tmp_path):
    world = parts.write_project(tmp_path / 'two', count=2)
    dataset = Pose2SimProject(tmp_path / 'two', smooth=False)
    assert dataset.names() == [
        f'cam_{camera}_person{person}' for camera in ('left', 'side') for person in (0, 1)
    ]
    for index, sequence in enumerate(dataset):
        camera, person = ('left', 'side')[index // 2], index % 2
        np.testing.assert_allclose(
            sequence.keypoints2d.xy, seen_by(camera, world[person])[1], atol=1e-4
        )


def test_strangers_gaps_and_exchanged_sides(project):
    root, world = project
    _, pixels = seen_by('left', world)
    swap = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
    stranger = entry(pixels[0] * 0.3 + 100)
    frames = [[stranger, entry(pixels[t])] for t in range(F)]
    frames[3] = [stranger, entry(pixels[3][swap])]
    frames[6] = [stranger]
    frames[8] = [{}, dict(person_id=[-1], pose_keypoints_2d=[np.nan] * 51), entry(pixels[8])]
    nan_wrist = pixels[9].copy()
    nan_wrist[9] = np.nan
    frames[9] = [entry(nan_wrist)]
    write_keypoints(root / 'pose-other', 'cam_left', frames)
    (root / 'pose-other/cam_side.json').write_text(
        json.dumps(dict(source='mine', frames=[dict(keypoints=[], scores=[])] * F))
    )
    with pytest.raises(InputError, match='no person with keypoints'):
        Pose2SimProject(root, 'pose-other')
    (root / 'pose-other/cam_side.json').unlink()
    write_keypoints(root / 'pose-other', 'cam_side', [[stranger]] * F)
    (sequence,) = Pose2SimProject(root, 'pose-other', smooth=False)
    assert sequence.name == 'cam_left_person1'
    xy = sequence.keypoints2d.xy.numpy()
    confidence = sequence.keypoints2d.confidence.numpy()
    np.testing.assert_allclose(xy[3], pixels[3][swap], atol=1e-4)
    np.testing.assert_allclose(xy[8], pixels[8], atol=1e-4)
    assert (confidence[6] == 0).all() and confidence[9, 9] == 0 and confidence[9, 10] > 0.8
    boxes = sequence.boxes.numpy()
    np.testing.assert_allclose(boxes[6], (boxes[5] + boxes[7]) / 2, rtol=1e-5)


def test_missing_markers_are_not_scored(project):
    root, world = project
    world[:2] = np.nan
    world[4, COCO.index('LKnee')] = 0  # as Pose2Sim marks it
    next((root / 'pose-3d').iterdir()).write_text(trc(world, COCO))
    for sequence in Pose2SimProject(root):
        assert sequence.frame_ids[0] == '000002' and len(sequence) == F - 2
        valid = sequence.truth.valid.numpy()
        assert (~valid).nonzero()[0].tolist() == [2]
        assert sequence.truth.joints3d.isfinite().all()


@pytest.mark.parametrize('stride', [1, 5])
def test_triangulated_reference(project, stride):
    """Without lens against the linear transform written out; with it against the true joints."""
    root, world = project
    dataset = Pose2SimProject(root, reference='triangulated', stride=stride)
    assert dataset.metainfo == dict(reference='triangulated')
    assert len(dataset) == 2
    for sequence, camera in zip(dataset, ('left', 'side')):
        local, _ = seen_by(camera, world[::stride])
        np.testing.assert_allclose(sequence.truth.joints3d, local[:, ROWS], atol=2e-5)
        assert sequence.keypoints2d.source == 'openpose, also the triangulated reference'


def test_triangulation_is_the_linear_transform(project, monkeypatch):
    root, world = project
    monkeypatch.setitem(parts.LENSES, 'left', np.zeros(4))
    (root / 'calibration/Calib.toml').write_text(parts.toml())
    rng = np.random.default_rng(0)
    noisy = {}
    for camera in parts.ROTATIONS:
        noisy[camera] = seen_by(camera, world)[1] + rng.normal(0, 0.2, (F, 17, 2))
        frames = [[entry(noisy[camera][t])] for t in range(F)]
        write_keypoints(root / 'noisy', f'cam_{camera}', frames)
    left = Pose2SimProject(root, 'noisy', reference='triangulated')[0]
    for t in (0, 7):
        for joint in (0, 5, 11):
            rows = []
            for camera, R in parts.ROTATIONS.items():
                P = parts.MATRICES[camera] @ np.hstack([R, -(R @ parts.CENTRES[camera])[:, None]])
                u, v = noisy[camera][t, ROWS[joint]]
                rows += [u * P[2] - P[0], v * P[2] - P[1]]
            homogeneous = np.linalg.svd(np.array(rows))[2][-1]
            point = seen_by('left', homogeneous[None, :3] / homogeneous[3])[0][0]
            # The transform minimises an algebraic error, the data set the one in the images.
            assert np.linalg.norm(left.truth.joints3d[t, joint].numpy() - point) < 2e-3


def test_identities_of_the_file_for_triangulation(tmp_path):
    root = tmp_path / 'two'
    world = parts.write_project(root, count=2)
    for camera in parts.ROTATIONS:
        _, pixels = seen_by(camera, world)
        frames = [
            dict(keypoints=pixels[::-1, t].tolist(), scores=[[0.9] * 17] * 2, persons=[7, 4])
            for t in range(F)
        ]
        (root / 'tracked').mkdir(exist_ok=True)
        (root / f'tracked/cam_{camera}.json').write_text(
            json.dumps(dict(source='mine', frames=frames))
        )
    dataset = Pose2SimProject(root, 'tracked', reference='triangulated', source='by hand')
    assert dataset.names()[:2] == ['cam_left_person4', 'cam_left_person7']
    for sequence, person in zip(dataset, (0, 1)):
        local, _ = seen_by('left', world[person])
        np.testing.assert_allclose(sequence.truth.joints3d, local[:, ROWS], atol=2e-5)
        assert sequence.keypoints2d.source == 'by hand, also the triangulated reference'


def test_calibration_of_a_batch_and_natural_order(project):
    root, _ = project
    (root / 'calibration').rename(root.parent / 'calib')
    (root / 'videos/cam_left.mp4').rename(root / 'videos/2.mp4')
    (root / 'videos/cam_side.mp4').rename(root / 'videos/10.mp4')
    assert Pose2SimProject(root).names() == ['2_person1', '10_person1']


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(stride=0), 'stride must be a whole number above 0'),
        (dict(reference='c3d'), "reference is one of 'trc', 'triangulated'"),
        (dict(cameras=['cam_lef']), "Did you mean 'cam_left'"),
        (dict(offsets=dict(cam_lef=1)), "Did you mean 'cam_left'"),
        (dict(keypoints='pose-sync'), 'pose-sync: there is no such folder'),
        (dict(trc='pose-3d/*.c3d'), 'holds no pose-3d/'),
        (dict(calibration='calibration/x.toml'), 'x.toml: there is no such calibration'),
        (dict(offsets=dict(cam_left=50)), 'no person is left'),
    ],
)
def test_wrong_options(project, options, message):
    with pytest.raises(InputError, match=message):
        Pose2SimProject(project[0], **options)


def test_wrong_files(project, tmp_path):
    root, world = project
    with pytest.raises(InputError, match='there is no such folder'):
        Pose2SimProject(tmp_path / 'nowhere')
    path = next((root / 'pose-3d').iterdir())
    (root / 'pose-3d/trial_0-12_filt_butterworth.trc').write_text(path.read_text())
    with pytest.raises(InputError, match='several TRC files of one person.*trc='):
        Pose2SimProject(root)
    assert len(Pose2SimProject(root, trc=f'pose-3d/{path.name}')) == 2
    path.write_text(trc(world[:, :3], ['r.ASIS_study', 'L.ASIS_study', 'RHip']))
    with pytest.raises(InputError, match='no marker for left_shoulder'):
        Pose2SimProject(root, trc=f'pose-3d/{path.name}')
    (root / 'calibration/Calib_old.toml').write_text(parts.toml())
    with pytest.raises(InputError, match='several calibrations'):
        Pose2SimProject(root)
    (root / 'calibration/Calib_old.toml').unlink()
    (root / 'videos/cam_side.mp4').unlink()
    with pytest.raises(InputError, match='1 entries .* for 2 calibrated cameras'):
        Pose2SimProject(root)


# The files


@pytest.mark.parametrize('unit', ['m', 'mm'])
def test_trc_by_hand(tmp_path, unit):
    world = people(1)[0]
    world[2, 4] = np.nan
    (tmp_path / 'x.trc').write_text(trc(world, COCO, unit, first=3))
    markers = read_trc(tmp_path / 'x.trc')
    assert markers.names == tuple(COCO) and markers.rate == parts.FPS
    np.testing.assert_array_equal(markers.frames, np.arange(3, 3 + F))
    np.testing.assert_allclose(markers.points, world, atol=1e-12)


def test_written_trc_is_what_is_written_by_hand(tmp_path):
    world = people(1)[0].round(6)
    write_trc(tmp_path / 'a.trc', Markers(tuple(COCO), np.arange(F), world, float(parts.FPS)))
    (tmp_path / 'b.trc').write_text(trc(world, COCO))
    ours, theirs = ((tmp_path / name).read_text().split('\n') for name in ('a.trc', 'b.trc'))
    assert ours[1:5] == theirs[1:5]
    for line, other in zip(ours[5:-1], theirs[5:-1]):
        np.testing.assert_allclose(
            np.float64(line.split('\t')), np.float64(other.split('\t')), atol=1e-6
        )


@pytest.mark.parametrize(
    'change',
    [
        lambda text: text.replace('\tm\t', '\tinch\t'),
        lambda text: text.replace('DataRate', 'Rate', 1),
        lambda text: '\n'.join(text.split('\n')[:3]),
        lambda text: text.replace('\t0.0\t', '\tx\t', 1),
    ],
)
def test_broken_trc(tmp_path, change):
    text = trc(people(1)[0], COCO)
    (tmp_path / 'x.trc').write_text(change(text))
    with pytest.raises(InputError, match='x.trc: not a TRC file'):
        read_trc(tmp_path / 'x.trc')


def test_toml_round_trip(tmp_path):
    (tmp_path / 'a.toml').write_text(parts.toml())
    cameras = read_calibration(tmp_path / 'a.toml')
    write_calibration(tmp_path / 'b.toml', cameras)
    for first, second, name in zip(cameras, read_calibration(tmp_path / 'b.toml'), parts.ROTATIONS):
        assert first.name == second.name == f'cam_{name}' and second.size == parts.SIZE
        np.testing.assert_allclose(first.rotation, parts.ROTATIONS[name], atol=1e-12)
        np.testing.assert_allclose(second.rotation, first.rotation, atol=1e-12)
        np.testing.assert_allclose(second.translation, first.translation)
        np.testing.assert_allclose(second.distortion[:4], parts.LENSES[name])


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda text: text + '[', 'not toml'),
        (lambda text: '[metadata]\nerror = 0', 'names no camera'),
        (lambda text: text.replace('fisheye = false', 'fisheye = true'), 'fisheye'),
        (lambda text: text.replace('rotation = [', 'turn = ['), "cam_left: KeyError: 'rotation'"),
        (
            lambda text: text.replace('distortions = [', 'distortions = [ 0.1, 0.1,'),
            '6 distortions',
        ),
    ],
)
def test_broken_toml(tmp_path, change, message):
    (tmp_path / 'c.toml').write_text(change(parts.toml()))
    with pytest.raises(InputError, match=message):
        read_calibration(tmp_path / 'c.toml')


QCA = """<calibration><cameras>
<camera model="none" serial="cam10"><fov_video bottom="1919" left="8" right="1087" top="4"/>
<transform r11="0.5536380477336265" r12="0.8046719867383512" r13="0.2144479094331626" r21="-0.4345300743838753"
r22="0.05946489349975602" r23="0.8986921279821063" r31="0.7104002579937896" r32="-0.5907342212870501"
r33="0.3825762057979294" x="1460.2323709212087" y="-1909.1590482454608" z="1896.5058524092062"/>
<intrinsic centerPointU="34110.316406" centerPointV="60680.792969" focalLengthU="107599.671875"
focalLengthV="107588.828125" radialDistortion1="-0.046183" radialDistortion2="0.139983"
tangentalDistortion1="0.000608" tangentalDistortion2="0.00069"/></camera>
<camera model="Oqus marker" serial="cam1"/>
<camera model="Miqus Video" serial="cam2"><fov_video bottom="1919" left="0" right="1087" top="0"/>
<transform r11="1" r12="0" r13="0" r21="0" r22="1" r23="0" r31="0" r32="0" r33="1" x="0" y="0" z="3000"/>
<intrinsic centerPointU="34112" centerPointV="61440" focalLengthU="64000" focalLengthV="64000"
radialDistortion1="0" radialDistortion2="0" tangentalDistortion1="0" tangentalDistortion2="0"/></camera>
</cameras></calibration>"""

# Of Pose2Sim's calib_qca_fun.
ROTATION_BY_POSE2SIM = [
    [0.5536380477336261, 0.804671986738351, 0.2144479094331627],
    [0.43453007438387503, -0.05946489349975581, -0.8986921279821064],
    [-0.7104002579937897, 0.5907342212870502, -0.38257620579792906],
]
TRANSLATION_BY_POSE2SIM = [0.3211048899999996, 0.9563320600000009, 2.8907130499999996]


def test_qualisys(tmp_path):
    """cam10 against what Pose2Sim 0.10.49 converts it to; cam2 by thought: it looks down from 3 m."""
    (tmp_path / 'Calib.qca.txt').write_text(QCA)
    down, camera = read_calibration(tmp_path / 'Calib.qca.txt')
    assert (down.name, camera.name, camera.size) == ('cam2', 'cam10', (1080, 1916))
    np.testing.assert_allclose(down.to_camera(np.array([0.2, 0.5, 1.0])), [0.2, -0.5, 2.0])
    assert down.matrix[0].tolist() == [1000, 0, 533]
    np.testing.assert_allclose(camera.matrix[0], [1681.244873046875, 0, 532.97369384375 - 8])
    np.testing.assert_allclose(camera.matrix[1], [0, 1681.075439453125, 948.137390140625 - 4])
    np.testing.assert_allclose(
        camera.distortion, [-0.000721609375, 0.002187234375, 9.5e-06, 1.078125e-05, 0]
    )
    np.testing.assert_allclose(camera.rotation, ROTATION_BY_POSE2SIM, atol=1e-12)
    np.testing.assert_allclose(camera.translation, TRANSLATION_BY_POSE2SIM, atol=1e-12)


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda text: text[:50], 'not Qualisys'),
        (lambda text: text.replace('r33="1"', ''), "camera 'cam2': KeyError: 'r33'"),
        (lambda text: text.replace('none', 'x').replace('Video', 'x'), 'no video camera'),
    ],
)
def test_broken_qualisys(tmp_path, change, message):
    (tmp_path / 'x.qca.txt').write_text(change(QCA))
    with pytest.raises(InputError, match=message):
        read_calibration(tmp_path / 'x.qca.txt')


def test_keypoint_folder_of_pose2sim(project):
    table = read_keypoints(project[0] / 'pose/cam_left_json')
    assert table.skeleton == 'coco17' and table.frames[3].name == 'cam_left_000003'


def test_identities_that_contradict_themselves_are_reported(caplog):
    """One identity for two people of a frame: nobody can say who of them the other views show."""
    view = types.SimpleNamespace(
        camera=types.SimpleNamespace(name='cam1'),
        table=types.SimpleNamespace(persons=(0, 0, 5, 0)),
        frames=np.array([0, 0, 0, 1]),
        boxes=np.array([[0, 0, 10.0], [9, 9, 20.0], [5, 5, 8.0], [1, 1, 10.0]]),
    )
    with caplog.at_level(logging.WARNING):
        people = people_by_identity(view)
    assert people == {0: {0: 1, 1: 3}, 5: {0: 2}}  # the larger one counts
    assert 'cam1: several people of one frame have the identity 0' in caplog.text
    caplog.clear()
    view.table.persons = (0, 1, 5, 0)
    people_by_identity(view)
    assert not caplog.text
