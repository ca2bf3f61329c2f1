"""Clips of VIBE's databases, captured motion of AMASS, and the batches that mix them, on hand-written files."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hrtk.datasets import AMASSMotion, AMASSPoses, MixedClips, VIBEClips
from hrtk.errors import InputError
from hrtk.testing.joblib_writer import dump_joblib
from hrtk.training import MixedBatches

# The order of VIBE's 49 joints, by the numbers of its documentation: OpenPose's 25, then the 24 of data sets.
HEAD_TOP, RIGHT_ANKLE, LEFT_WRIST, OP_HEEL, OP_NECK = 38, 25, 36, 24, 1


@pytest.fixture
def numbers():
    return np.random.default_rng(0)


def database(path, numbers, joints2d, frames=(20, 7), **more):
    """A database of one video per entry of ``frames``."""
    count = sum(frames)
    content = dict(
        vid_name=np.repeat([f'video_{index}' for index in range(len(frames))], frames),
        frame_id=np.arange(count),
        img_name=np.array([f'{index}.jpg' for index in range(count)]),
        features=numbers.normal(size=(count, 6)).astype(np.float32),
        bbox=np.tile([100.0, 60.0, 80.0, 40.0], (count, 1)),
        joints2D=numbers.uniform(20, 120, (count, joints2d, 3)),
        **{key: numbers.normal(size=(count, *shape)) for key, shape in more.items()},
    )
    content['joints2D'][..., 2] = 1
    dump_joblib(content, path)
    return content


def test_3dpw(tmp_path, numbers):
    shapes = dict(joints3D=(49, 3), pose=(72,), shape=(10,))
    table = database(tmp_path / 'db.pt', numbers, 14, **shapes)
    clips = VIBEClips(tmp_path / 'db.pt', '3dpw', frames=8)
    # Three quarters of a clip are repeated: every second frame of 8 begins one, in the first video alone.
    assert clips.starts == [0, 2, 4, 6, 8, 10, 12]
    clip = clips[2]
    assert torch.equal(clip['features'][0], torch.as_tensor(table['features'][4:12]))
    # Frame 5, joint 0 of 14 is the right ankle: a crop of 1.2 times the box, 96 x 48 px around (100, 60).
    x, y, _ = table['joints2D'][5, 0]
    expected = np.float16([(x - 100) / 48, (y - 60) / 24])
    assert np.array_equal(clip['keypoints2d'][1, RIGHT_ANKLE, :2], expected.astype(np.float32))
    with_confidence = clip['keypoints2d'][0, :, 2].nonzero().flatten().tolist()
    assert with_confidence == list(range(25, 39)) and not clip['keypoints2d'][:, :25].any()
    assert np.array_equal(clip['joints3d'], np.float16(table['joints3D'][4:12, 25:39]))
    pose = np.float16(table['pose'][6]).astype(np.float64).reshape(24, 3)
    rotmat = Rotation.from_rotvec(pose).as_matrix()
    assert np.allclose(clip['rotmat'][2], rotmat, atol=1e-5)
    assert clip['has_joints3d'].eq(1).all() and clip['has_body'].eq(1).all()
    evaluated = VIBEClips(tmp_path / 'db.pt', '3dpw', frames=8, overlap=0.0)
    assert evaluated.starts == [0, 8]


def test_sets_without_some_labels(tmp_path, numbers):
    table = database(tmp_path / 'penn.pt', numbers, 13, joints3D=(49, 3))
    clip = VIBEClips(tmp_path / 'penn.pt', 'pennaction', frames=4)[0]
    assert not clip['has_joints3d'].any() and not clip['has_body'].any()
    assert not clip['joints3d'].any() and torch.equal(clip['rotmat'][1, 3], torch.eye(3))
    for row, source in ((HEAD_TOP, 0), (LEFT_WRIST, 5), (RIGHT_ANKLE, 12)):
        expected = np.float16((table['joints2D'][0, source, 0] - 100) / 48)
        assert clip['keypoints2d'][0, row, 0] == float(expected)
    database(tmp_path / 'mpii.pt', numbers, 49, joints3D=(49, 3), pose=(72,), shape=(10,))
    clip = VIBEClips(tmp_path / 'mpii.pt', 'mpii3d', frames=4)[0]
    assert clip['has_joints3d'].all() and not clip['has_body'].any()


def test_instavariety(tmp_path, numbers):
    h5py = pytest.importorskip('h5py')
    joints = numbers.uniform(0, 224, (9, 25, 3))
    joints[..., 2] = 1
    names = np.array(['a'] * 4 + ['b'] * 5).astype('S')
    with h5py.File(tmp_path / 'insta.h5', 'w') as file:
        file['vid_name'] = names
        file['frame_id'] = np.arange(9)
        file['joints2D'] = joints
        file['features'] = np.zeros((9, 6), np.float32)
    clips = VIBEClips(tmp_path / 'insta.h5', 'insta', frames=4)
    assert clips.starts == [0, 4]
    for row, source in ((OP_HEEL, 0), (OP_NECK, 12), (HEAD_TOP, 13)):
        expected = np.float16(joints[4, source, 1] / 112 - 1)
        assert clips[1]['keypoints2d'][0, row, 1] == float(expected)


@pytest.mark.parametrize(
    'layout, joints, options, message',
    [
        ('3dwp', 14, {}, "Did you mean '3dpw'"),
        ('posetrack', 14, {}, r'joints2D has shape \(27, 14, 3\), expected \(27, 49, 3\)'),
        ('mpii3d', 49, {}, 'lacks joints3D'),
        ('posetrack', 49, {'frames': 30}, 'no video has 30 frames'),
        ('posetrack', 49, {'overlap': 1.0}, 'overlap from 0 to below 1'),
    ],
)
def test_bad_databases(tmp_path, numbers, layout, joints, options, message):
    database(tmp_path / 'db.pt', numbers, joints)
    with pytest.raises(InputError, match=message):
        VIBEClips(tmp_path / 'db.pt', layout, **options)


def test_code_in_a_database_is_refused(tmp_path):
    (tmp_path / 'db.pt').write_bytes(b'cos\nsystem\n(S"touch here"\ntR.')
    with pytest.raises(InputError, match='os.system'):
        VIBEClips(tmp_path / 'db.pt', '3dpw')
    with pytest.raises(InputError, match='os.system'):
        AMASSMotion(tmp_path / 'db.pt')
    assert not (tmp_path / 'here').exists()


def test_captured_motion(tmp_path, numbers):
    theta = numbers.normal(size=(11, 82))
    names = np.array(['a'] * 5 + ['b'] * 6)
    dump_joblib(dict(theta=theta, vid_name=names), tmp_path / 'amass_db.pt')
    motion = AMASSMotion(tmp_path / 'amass_db.pt', frames=3, stride=3)
    assert motion.starts.tolist() == [0, 5, 8]
    expected = theta[5:8, 3:72].astype(np.float32)
    assert np.array_equal(motion[1]['body_pose'], expected)
    assert np.array_equal(motion.batch(torch.tensor([1]))[0], expected)
    poses = AMASSPoses(tmp_path / 'amass_db.pt', stride=2)
    assert len(poses) == 6
    rotmat = Rotation.from_rotvec(theta[4, 3:72].reshape(23, 3)).as_matrix()
    assert np.allclose(poses[2]['rotmat'], rotmat, atol=1e-5)
    with pytest.raises(InputError, match='theta has shape'):
        dump_joblib(dict(theta=theta[:, :72], vid_name=names), tmp_path / 'bad.pt')
        AMASSPoses(tmp_path / 'bad.pt')


def test_files_of_amass(tmp_path, numbers):
    poses = numbers.normal(size=(10, 156))
    folder = tmp_path / 'CMU/01'
    folder.mkdir(parents=True)
    np.savez(folder / '01_01_poses.npz', poses=poses, mocap_framerate=120.0, betas=np.zeros(16))
    np.savez(folder / 'shape.npz', betas=np.zeros(16))
    motion = AMASSMotion(tmp_path / 'CMU', frames=2, stride=1)
    # 120 Hz in whole steps of 4: frames 0, 4 and 8; SMPL's hands are joints 22 and 37 of SMPL-H.
    joints = poses[[4, 8]].reshape(2, 52, 3)
    expected = np.concatenate([joints[:, 1:22], joints[:, [22, 37]]], 1).reshape(2, 69)
    assert len(motion) == 2
    assert np.array_equal(motion[1]['body_pose'], expected.astype(np.float32))
    (tmp_path / 'none').mkdir()
    with pytest.raises(InputError, match='holds no recording'):
        AMASSMotion(tmp_path / 'none')
    with pytest.raises(InputError, match='amass.is.tue.mpg.de'):
        AMASSMotion(tmp_path / 'amass_db.pt')
    (folder / 'broken.npz').write_bytes(b'no zip')
    with pytest.raises(InputError, match='broken.npz: cannot be read as an npz'):
        AMASSMotion(tmp_path / 'CMU', frames=2)


def test_batches_have_the_shares_of_vibe(tmp_path, numbers):
    database(tmp_path / 'penn.pt', numbers, 13, frames=(40,))
    database(tmp_path / 'mpii.pt', numbers, 49, frames=(30,), joints3D=(49, 3))
    planar = dict(type='VIBEClips', file=tmp_path / 'penn.pt', layout='pennaction', frames=4)
    spatial = dict(type='VIBEClips', file=tmp_path / 'mpii.pt', layout='mpii3d', frames=4)
    clips = MixedClips([planar], [spatial])
    assert (clips.planar_clips, len(clips)) == (37, 44)
    assert clips[36]['has_joints3d'].sum() == 0 and clips[37]['has_joints3d'].sum() == 4
    sampler = MixedBatches(clips, batch_size=32, share=0.6, steps=5, seed=3)
    batches = np.array(list(sampler)).reshape(5, 32)
    assert len(sampler) == 160
    assert ((batches < 37).sum(1) == 19).all()  # int(0.6 * 32), and 13 of the others
    # A set is exhausted before any of its clips is repeated.
    spatial_clips = batches[batches >= 37].reshape(-1)
    assert sorted(spatial_clips[:7]) == list(range(37, 44)) == sorted(spatial_clips[7:14])
    assert list(sampler) == batches.flatten().tolist()
    sampler.set_epoch(1)
    assert list(sampler) != batches.flatten().tolist()
    with pytest.raises(InputError, match='the data set has none'):
        MixedBatches(MixedClips([], [spatial]))
