"""SURREAL's files, written through its own reflecting camera, and MPII's annotations."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.io
import torch
from scipy.spatial.transform import Rotation

from hrtk.body_models import BodyModel
from hrtk.datasets import SURREAL, MixedDataset, SPINFile, SPINViews, SURREALViews
from hrtk.datasets.official import prepare
from hrtk.datasets.official.surreal_clip import read_clip
from hrtk.errors import InputError
from hrtk.silhouettes.raster import rasterize
from hrtk.testing import check_dataset, write_body_files, write_mpii, write_surreal

FRAMES = 3


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp('surreal')
    write_body_files(root)
    write_surreal(root / 'surreal', bodies_of(root), clips=2, frames=FRAMES)
    return root


def info_of(stem):
    """The annotation of a clip, by key."""
    content = scipy.io.loadmat(f'{stem}_info.mat')
    return {key: value for key, value in content.items() if not key.startswith('__')}


def bodies_of(root):
    folder = root / 'body_models/smpl'
    return dict(
        male=str(folder / 'SMPL_MALE.pkl'),
        female=str(folder / 'SMPL_FEMALE.pkl'),
    )


def neutral_of(root):
    return dict(
        type='BodyModel',
        file=str(root / 'body_models/smpl/SMPL_NEUTRAL.pkl'),
        extra_regressor=str(root / 'spin/J_regressor_extra.npy'),
        h36m_regressor=str(root / 'spin/J_regressor_h36m.npy'),
    )


@pytest.fixture(scope='module')
def tracks(data):
    return SURREAL(data / 'surreal', 'train', bodies=bodies_of(data))


def drawn(body, sequence, t):
    """The face at every pixel of the true body, seen by a camera without reflection."""
    truth = sequence.truth
    assert torch.linalg.det(truth.rotmat).min() > 0.99
    vertices = body(truth.rotmat[t : t + 1], truth.betas[t : t + 1]).vertices[0]
    points = vertices + truth.translation[t]
    focal, cx, cy = truth.intrinsics[t].tolist()
    xy = points[:, :2] / points[:, 2:] * focal + torch.tensor([cx, cy])
    pixels = torch.cat([xy, points[:, 2:]], 1).numpy()
    return rasterize(pixels, body.faces.numpy(), 240, 320).face


@pytest.mark.parametrize('index', [0, 1])
def test_labels_are_those_of_the_person_in_the_mirrored_picture(data, tracks, index):
    sequence = tracks[index]
    gender = ('female', 'male')[index]
    assert sequence.truth.gender == gender and len(sequence) == FRAMES
    body = BodyModel(bodies_of(data)[gender])
    for t in range(FRAMES):
        face = drawn(body, sequence, t)
        mask = np.asarray(sequence.masks[t]) > 0
        overlap = ((face >= 0) & mask).sum() / ((face >= 0) | mask).sum()
        assert overlap > 0.97, overlap
        mirrored = ((face >= 0) & mask[:, ::-1]).sum() / ((face >= 0) | mask[:, ::-1]).sum()
        assert mirrored < 0.9  # the released picture is not that of these labels
        # The image shows the same parts: the left hand has the grey level of its own part.
        part = np.asarray(body.data.weights).argmax(1)[body.faces.numpy()[face.clip(0), 0]]
        image = sequence.frames[t][..., 0].astype(int)
        shown = (face >= 0) & mask
        difference = np.abs(image - 10 * (part + 1))[shown]
        assert np.median(difference) <= 6
    joints = sequence.truth.translation[:, None] + body.joints(
        sequence.truth.rotmat, sequence.truth.betas, 'smpl24'
    )
    focal, cx, cy = sequence.truth.intrinsics[0].tolist()
    xy = joints[..., :2] / joints[..., 2:] * focal + torch.tensor([cx, cy])
    assert (xy - sequence.keypoints2d.xy).abs().max() < 0.51  # whole pixels, as released


def test_the_chain_of_the_official_scripts_in_float64(data, tracks):
    """Root in the mirrored camera: R_cv of smpl_relations.py with x negated, times R90, Rz(zrot) and the pelvis."""
    stem = tracks.stems[1]
    info = scipy.io.loadmat(f'{stem}_info.mat')
    official = np.array([[0, 0, -1], [0, 1, 0], [-1, 0, 0]], np.float64)
    assert np.linalg.det(official) == -1
    pose = info['pose'][:3, 0].astype(np.float64)
    world = (
        Rotation.from_euler('x', np.pi / 2)
        * Rotation.from_euler('z', float(info['zrot'][0, 0]))
        * Rotation.from_rotvec(pose)
    ).as_matrix()
    expected = np.diag([-1.0, 1, 1]) @ official @ world
    clip = read_clip(stem)
    np.testing.assert_allclose(clip.rotmat[0, 0].numpy(), expected, atol=1e-5)
    seen = (official @ (info['joints3D'][:, :, 0] - info['camLoc'])).T * [-1, 1, 1]
    np.testing.assert_allclose(clip.joints3d[0].numpy(), seen, atol=1e-5)
    np.testing.assert_array_equal(
        clip.joints2d[0, :, 0].numpy(), 320 - info['joints2D'][0, :, 0] - 0.5
    )


def test_views_are_labelled_by_their_own_body(data, tracks):
    views = SURREALViews(
        data / 'surreal', neutral_of(data), bodies_of(data), resolution=64, length=4, seed=1
    )
    neutral = BodyModel(**{key: value for key, value in neutral_of(data).items() if key != 'type'})
    assert len(views) == 4
    for index in range(4):
        view = views[index]
        assert view['image'].shape == (3, 64, 64) and view['image'].dtype == torch.uint8
        assert view['has_body'] == 1 and view['confidence'].eq(1).all()
        joints = neutral.joints(view['rotmat'][None], view['betas'][None], 'spin24')[0]
        scale, tx, ty = view['camera']
        projected = scale * (joints[:, :2] + torch.stack([tx, ty]))
        # The stand-in's male and female bodies differ from the neutral one in height, which betas can express in part.
        assert (projected - view['keypoints2d']).norm(dim=1).mean() < 0.06
        again = views[index]
        assert all(torch.equal(view[key], again[key]) for key in view)
        # A joint well inside the body lies on the person in the crop.
        pelvis = ((view['keypoints2d'][14] + 1) * 32 - 0.5).round().long()
        assert view['image'][:, pelvis[1], pelvis[0]].max() > 5
    own = SURREALViews(data / 'surreal', neutral_of(data), resolution=64)
    assert len(own) == 2
    assert torch.equal(own[1]['betas'], tracks[1].truth.betas[0])
    with pytest.raises(IndexError):
        own[2]


def test_an_npz_of_the_same_keys_replaces_the_mat(data, tmp_path):
    bodies = bodies_of(data)
    (stem,) = write_surreal(tmp_path, bodies, 'val', clips=1, frames=1)
    mat = read_clip(stem)
    np.savez(f'{stem}_info.npz', **info_of(stem))
    (stem.parent / f'{stem.name}_info.mat').unlink()
    npz = read_clip(stem)
    assert len(mat) == len(npz) == 1  # a single frame, whose axis a mat file drops
    assert torch.equal(mat.rotmat, npz.rotmat) and torch.equal(mat.joints2d, npz.joints2d)
    assert SURREAL(tmp_path, 'val')[0].truth.translation is None


def test_the_fingerprint_of_views_depends_on_every_clip(data, tmp_path):
    folder = tmp_path / 'cmu/train/run0/01_01'
    folder.mkdir(parents=True)
    for number in range(12):
        (folder / f'01_01_c{number:04d}_info.mat').touch()
    before = SURREALViews(tmp_path, neutral_of(data)).fingerprint()
    assert SURREALViews(tmp_path, neutral_of(data)).fingerprint() == before
    (folder / '01_01_c0011_info.mat').rename(folder / '01_01_c0012_info.mat')
    assert SURREALViews(tmp_path, neutral_of(data)).fingerprint() != before


def test_contracts_of_the_tracks(data):
    check_dataset(
        dict(type='SURREAL', root=str(data / 'surreal'), split='train', bodies=bodies_of(data))
    )


def test_frames_without_joints_are_not_scored(data, tmp_path):
    (stem,) = write_surreal(tmp_path, bodies_of(data), 'train', clips=1)
    info = info_of(stem)
    for key in ('joints2D', 'joints3D'):
        info[key][:, :, 1] = 0
    scipy.io.savemat(f'{stem}_info.mat', info)
    sequence = SURREAL(tmp_path, 'train')[0]
    assert sequence.truth.valid.tolist() == [True, False, True]
    assert sequence.keypoints2d.confidence[1].max() == 0
    views = SURREALViews(tmp_path, neutral_of(data), length=12, resolution=32)
    used = {tuple(views[index]['rotmat'][1].flatten().tolist()) for index in range(12)}
    assert len(used) == 2


@pytest.mark.parametrize(
    'change, said',
    [
        (dict(pose=np.zeros((72, 4), np.float32)), 'joints2D has shape'),
        (dict(camLoc=np.zeros((2, 1))), 'camLoc'),
        (dict(gender=np.array([[0], [1], [1]])), 'gender'),
        (dict(shape=None), 'lacks shape'),
    ],
)
def test_wrong_files_are_named(data, tmp_path, change, said):
    (stem,) = write_surreal(tmp_path, bodies_of(data), clips=1)
    info = {**info_of(stem), **change}
    info = {key: value for key, value in info.items() if value is not None}
    scipy.io.savemat(f'{stem}_info.mat', info)
    with pytest.raises(InputError, match=f'01_01_c0001_info.mat.*{said}'):
        SURREAL(tmp_path, 'train')[0]
    with pytest.raises(InputError, match='no clip'):
        SURREAL(tmp_path, 'test')
    with pytest.raises(InputError, match="'trian'"):
        SURREAL(tmp_path, 'trian')


@pytest.fixture(scope='module')
def mpii(tmp_path_factory):
    root = tmp_path_factory.mktemp('mpii')
    joints = write_mpii(root / 'mpii_human_pose_v1_u12_1.mat', root)
    count = prepare.prepare_mpii(root / 'mpii_human_pose_v1_u12_1.mat', root / 'mpii_train.npz')
    assert count == len(joints) == 2  # neither the person without a joint nor the test image
    return root, joints


def test_mpii_is_spins_layout(mpii):
    root, joints = mpii
    table = dict(np.load(root / 'mpii_train.npz'))
    # SPIN's datasets/preprocess/mpii.py: the place of each of MPII's joints among the 24.
    places = [0, 1, 2, 3, 4, 5, 14, 15, 12, 13, 6, 7, 8, 9, 10, 11]
    np.testing.assert_array_equal(table['part'][:, places, :2], joints)
    assert (table['part'][:, places, 2] == 1).all() and table['part'][..., 2].sum() == 2 * 16
    middle = (joints.min(1) + joints.max(1)) / 2
    np.testing.assert_allclose(table['center'], middle)
    np.testing.assert_allclose(
        200 * table['scale'], (joints.max(1) - joints.min(1)).max(1), rtol=1e-6
    )
    tracks = SPINFile(root / 'mpii_train.npz', root, keypoints='annotated')
    assert sum(len(track) for track in tracks) == 2


def test_weak_views_are_supervised_by_their_joints_alone(mpii, data):
    root, joints = mpii
    with pytest.raises(InputError, match='pose, shape.*weak=True'):
        SPINViews(root / 'mpii_train.npz', root, neutral_of(data))
    views = SPINViews(root / 'mpii_train.npz', root, neutral_of(data), resolution=96, weak=True)
    view = views[1]
    assert view['has_body'] == 0 and view['confidence'].sum() == 16
    assert view['confidence'][16:].sum() == 0 and (view['keypoints2d'][16:] == 0).all()
    for x, y in ((view['keypoints2d'][:16] + 1) * 48 - 0.5).round().long():
        if 2 <= x < 94 and 2 <= y < 94:
            assert view['image'][0, y - 1 : y + 2, x - 1 : x + 2].max() > 150  # a dot at each
    mixed = MixedDataset([SURREALViews(data / 'surreal', neutral_of(data), resolution=96), views])
    assert [float(mixed[index]['has_body']) for index in range(4)] == [1, 1, 0, 0]
    assert set(mixed[0]) == set(view) - {'part'}  # SURREAL's views have no such label


@pytest.mark.parametrize('content', [dict(x=1), dict(RELEASE=dict(annolist=3, img_train=1))])
def test_other_mat_files_are_no_mpii(tmp_path, content):
    scipy.io.savemat(tmp_path / 'x.mat', content)
    with pytest.raises(InputError, match='x.mat.*human-pose.mpi-inf.mpg.de'):
        prepare.prepare_mpii(tmp_path / 'x.mat', tmp_path / 'out.npz')
    with pytest.raises(InputError, match='no such file'):
        prepare.prepare_mpii(tmp_path / 'none.mat', tmp_path / 'out.npz')
