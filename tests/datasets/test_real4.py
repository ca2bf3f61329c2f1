"""real4: what is written from the asset, the hashes of the videos, and the whole project where the videos are."""

import hashlib
import json
import zipfile

import cv2
import numpy as np
import pytest

from hrtk.datasets import Pose2SimProject
from hrtk.datasets.own import real4
from hrtk.datasets.own.pose2sim_files import read_calibration, read_trc
from hrtk.errors import InputError

ASSET = dict(np.load(real4.FILE))
NAMES = ASSET['names'].tolist()
LIMBS = ('shoulder', 'elbow', 'wrist', 'hip', 'knee', 'ankle')
BODY = [NAMES.index(f'{side}_{limb}') for limb in LIMBS for side in ('left', 'right')]


def write_wheel(path, videos):
    with zipfile.ZipFile(path, 'w') as archive:
        for name, data in videos.items():
            archive.writestr(f'{real4.VIDEOS_IN_WHEEL}/{name}.mp4', data)
    return path


def projected(camera, points):
    """OpenCV's projection of (F, N, 3) world points."""
    pixels = cv2.projectPoints(
        np.float64(points).reshape(-1, 3),
        cv2.Rodrigues(ASSET['R'][camera])[0],
        ASSET['T'][camera],
        ASSET['K'][camera],
        ASSET['D'][camera],
    )[0]
    return pixels.reshape(*points.shape[:-1], 2)


@pytest.fixture
def written(tmp_path, monkeypatch):
    """The project of a wheel whose videos are four words."""
    videos = {name: name.encode() for name in real4.VIDEO_HASHES}
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in videos.items()}
    monkeypatch.setattr(real4, 'VIDEO_HASHES', hashes)
    wheel = write_wheel(tmp_path / 'x.whl', videos)
    assert real4.prepare_real4(wheel, tmp_path / 'data/real4') == 4
    return tmp_path / 'data/real4'


def test_written_project(written):
    assert (written / 'videos/cam03.mp4').read_bytes() == b'cam03'
    assert 'perfanalytics' in (written / 'LICENSE_Pose2Sim.txt').read_text()
    cameras = read_calibration(written / 'calibration/Calib.toml')
    for index, camera in enumerate(cameras):
        assert camera.name == ASSET['cameras'][index]
        assert camera.size == tuple(ASSET['image_size'][index])
        points = camera.project(camera.to_camera(ASSET['xyz']))
        np.testing.assert_allclose(points, projected(index, ASSET['xyz']), atol=1e-4)
    markers = read_trc(written / 'pose-3d/real4.trc')
    np.testing.assert_allclose(markers.points, ASSET['xyz'], atol=1e-7)
    assert markers.rate == 60 and markers.names[NAMES.index('left_foot_index')] == 'LBigToe'
    assert markers.names[NAMES.index('right_hip')] == 'RHip' and markers.names[0] == 'Nose'
    assert real4.check_real4(written) == '4 videos, 100 frames'
    (written / 'videos/cam02.mp4').write_bytes(b'other')
    with pytest.raises(InputError, match='cam02.mp4: not the video of the ground truth'):
        real4.check_real4(written)
    (written / 'videos/cam02.mp4').unlink()
    with pytest.raises(InputError, match='cam02.mp4: there is no such video.*pip download'):
        real4.check_real4(written)


def test_written_keypoints_and_joints(written):
    coco = [NAMES.index('nose'), NAMES.index('left_eye'), NAMES.index('right_eye')]
    coco += [NAMES.index('left_ear'), NAMES.index('right_ear'), *BODY]
    for index, camera in enumerate(ASSET['cameras']):
        expected = {
            'detected': ASSET['mediapipe_xy'][index][:, coco],
            'reprojected': projected(index, ASSET['xyz'][:, coco]),
        }
        for kind, xy in expected.items():
            content = json.loads((written / f'pose-{kind}/{camera}.json').read_text())
            found = np.array([frame['keypoints'][0] for frame in content['frames']])
            np.testing.assert_allclose(found, xy, atol=1e-3)
            scores = np.array([frame['scores'][0] for frame in content['frames']])
            assert scores.min() > 0 and (scores.min() == 1) == (kind == 'reprojected')
        content = json.loads((written / f'joints/mediapipe/{camera}_person1.json').read_text())
        np.testing.assert_allclose(content['xyz'], ASSET['mediapipe_world'][index], atol=1e-6)
        assert content['axes'] == 'crop'
        assert content['joints'][NAMES.index('left_hip')] == 'left_hip_lsp'
        repaired = json.loads(
            (written / f'joints/mediapipe_repaired/{camera}_person1.json').read_text()
        )
        exact = projected(index, ASSET['xyz'][:, BODY])
        errors = []
        for joints in (content, repaired):
            found = np.array(joints['uv'])[:, BODY]
            errors.append(np.linalg.norm(found - exact, axis=-1).mean())
        assert errors[1] <= errors[0] and (errors[1] < 0.5 * errors[0]) == (camera == 'cam02')
        mean = json.loads((written / f'joints/mean_pose/{camera}_person1.json').read_text())
        joints = ASSET['xyz'][:, BODY] @ ASSET['R'][index].T
        joints = joints - joints[:, 6:8].mean(1, keepdims=True)
        np.testing.assert_allclose(mean['xyz'][50], joints.mean(0), atol=1e-6)


def test_wrong_wheels(tmp_path):
    with pytest.raises(InputError, match='no such wheel.*pip download'):
        real4.prepare_real4(tmp_path / 'x.whl', tmp_path / 'out')
    (tmp_path / 'x.whl').write_bytes(b'nothing')
    with pytest.raises(InputError, match='not a wheel of Pose2Sim'):
        real4.prepare_real4(tmp_path / 'x.whl', tmp_path / 'out')
    write_wheel(tmp_path / 'x.whl', dict(cam01=b''))
    with pytest.raises(InputError, match='not a wheel of Pose2Sim.*cam02'):
        real4.prepare_real4(tmp_path / 'x.whl', tmp_path / 'out')
    write_wheel(tmp_path / 'x.whl', {name: b'' for name in real4.VIDEO_HASHES})
    with pytest.raises(InputError, match='cam01.mp4 has the hash e3b0c44298fc'):
        real4.prepare_real4(tmp_path / 'x.whl', tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_asset_is_consistent():
    """Every point is reprojected near MediaPipe's, left and right exchanged or not."""
    assert ASSET['xyz'].shape == (100, 33, 3) and np.isfinite(ASSET['xyz']).all()
    swap = [index + 1 if index % 2 == 0 else index - 1 for index in range(12)]
    for index in range(4):
        pixels = projected(index, ASSET['xyz'][:, BODY])
        detected = ASSET['mediapipe_xy'][index][:, BODY]
        errors = [
            np.linalg.norm(points - pixels, axis=-1).mean(1)
            for points in (detected, detected[:, swap])
        ]
        assert np.median(np.minimum(*errors)) < 15
    thigh = np.linalg.norm(ASSET['xyz'][:, BODY[6]] - ASSET['xyz'][:, BODY[8]], axis=-1)
    assert 0.35 < thigh.mean() < 0.42 and 'perfanalytics' in str(ASSET['licence'])


def test_real_project(data_root, tmp_path):
    folder = data_root / 'real4'
    videos = {name: (folder / f'videos/{name}.mp4').read_bytes() for name in real4.VIDEO_HASHES}
    real4.prepare_real4(write_wheel(tmp_path / 'x.whl', videos), tmp_path / 'real4')
    assert real4.check_real4(tmp_path / 'real4') == '4 videos, 100 frames'
    gt = np.load(folder / 'gt3d.npz')
    dataset = Pose2SimProject(tmp_path / 'real4', 'pose-detected', stride=4)
    assert dataset.names() == [f'{name}_person1' for name in real4.VIDEO_HASHES]
    for index, sequence in enumerate(dataset):
        joints = gt['xyz'][::4, BODY] @ gt['R'][index].T + gt['T'][index]
        np.testing.assert_allclose(sequence.truth.joints3d, joints, atol=1e-5)
        width, height = gt['image_size'][index]
        assert sequence.frames[24].shape == (height, width, 3) and sequence.fps == 15
        entries = json.loads((folder / f'keypoints/cam0{index + 1}_detected.json').read_text())
        xy = np.array([entry['keypoints'] for entry in entries[::4]]).reshape(25, 17, 3)
        np.testing.assert_allclose(sequence.keypoints2d.xy, xy[..., :2], atol=1e-3)
    triangulated = Pose2SimProject(tmp_path / 'real4', 'pose-detected', 'triangulated')
    difference = triangulated.references[0].joints - gt['xyz'][:, BODY]
    assert np.linalg.norm(difference, axis=-1).mean() < 0.015
