"""2D-3D windows against plain loops, the raw files, and a double precision camera written out by hand."""

from __future__ import annotations

import math
import pickle
import time

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hrtk.body_models import BodyModel
from hrtk.body_models.skeletons import joint_names
from hrtk.datasets.lifting import AMASSLifting, H36MLifting, MocapLifting, MPIINF3DHPLifting, mirror_pose
from hrtk.datasets.lifting.cameras import normalise_screen
from hrtk.datasets.lifting.h36m_cameras import CAMERAS, EXTRINSICS, INTRINSICS, SIZES
from hrtk.datasets.lifting.joints import ORDERS, mirror_order
from hrtk.datasets.lifting.mocap import CAMERAS as MOCAP_CAMERAS
from hrtk.datasets.lifting.mocap import TARGET
from hrtk.datasets.motion import load_motion
from hrtk.registry import DATASETS
from hrtk.structures import InputError
from hrtk.testing import write_lifting_files

FRAMES = 12
LEFT, RIGHT = [4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]  # of VideoPose3D


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    return write_lifting_files(tmp_path_factory.mktemp('lifting'), FRAMES)


@pytest.fixture(scope='module')
def train():
    return MocapLifting('train', frames=9)


@pytest.fixture(scope='module')
def test():
    return MocapLifting('test', frames=9)


def seen_by_hand(points, fx, fy, cx, cy, k1, k2, k3, p1, p2):
    """One point at a time, Brown's lens as VideoPose3D has it."""
    found = []
    for x, y, z in np.float64(points).reshape(-1, 3):
        x, y = x / z, y / z
        r2 = x * x + y * y
        factor = 1 + k1 * r2 + k2 * r2 ** 2 + k3 * r2 ** 3 + p1 * x + p2 * y
        found.append((fx * (x * factor + p1 * r2) + cx, fy * (y * factor + p2 * r2) + cy))
    return np.array(found).reshape(*np.shape(points)[:-1], 2)


def load(path, key):
    return np.load(path, allow_pickle=True)[key].item()  # our own file


# the free motion

def test_mocap_2d_is_the_projection_of_its_3d(train):
    for index in (0, 40000, 81000, 130000):
        item = train[index]
        points = item['joints3d'].double() + item['root'].double()[:, None]
        wanted = seen_by_hand(points.numpy(), *item['intrinsics'].double().numpy())
        np.testing.assert_allclose(item['keypoints2d'], wanted, atol=2e-6)


def test_mocap_is_exact_in_double_precision(train):
    """All numbers from the motion file on, by scipy and loops, without the data set's own cameras."""
    numbers = {clip.name: (number, clip) for number, clip in enumerate(load_motion())}
    body, height = BodyModel('open').double(), {1: 1002, 2: 1000, 3: 1000, 4: 1002}
    names = joint_names('h36m17')
    for track in (5, 102):
        label = train.labels[track]
        number, clip = numbers[label['track'].rsplit(' ', 1)[0]]
        which = [camera.name for camera in MOCAP_CAMERAS].index(label['camera'])
        camera = MOCAP_CAMERAS[which]
        rotmat = torch.from_numpy(Rotation.from_rotvec(np.float64(clip.poses[::20]).reshape(-1, 3)).as_matrix())
        rotmat, betas = rotmat.view(-1, 24, 3, 3), torch.zeros(len(clip.poses[::20]), 10).double()
        mesh = body(rotmat, betas)
        joints = body.joints_from_mesh(mesh, 'h36m17').numpy() - mesh.joints[:, :1].numpy()
        path = np.float64(clip.transl)
        middle = [(path[:, 0].max() + path[:, 0].min()) / 2, 0, (path[:, 2].max() + path[:, 2].min()) / 2]
        turn = Rotation.from_euler('y', number * math.pi * (3 - 5 ** .5))
        world = turn.apply((joints + (path - middle)[::20, None]).reshape(-1, 3)) - camera.position
        z = np.subtract(TARGET, camera.position) / np.linalg.norm(np.subtract(TARGET, camera.position))
        x = np.cross(z, [0, 1, 0]) / np.linalg.norm(np.cross(z, [0, 1, 0]))
        points = np.stack([world @ x, world @ np.cross(z, x), world @ z], -1).reshape(-1, 17, 3)
        points = points[:, [names.index(name) for name in ORDERS['h36m17']]]
        pixels = seen_by_hand(points, *camera.focal, *camera.centre, *camera.radial, *camera.tangential)
        wanted = pixels / 500 - [1, height[which + 1] / 1000]
        part = slice(int(train.starts[track]), int(train.ends[track]))
        np.testing.assert_allclose(train.keypoints2d[part][::20], wanted, atol=1e-6)
        np.testing.assert_allclose(train.root[part][::20], points[:, 0], atol=1e-6)
        np.testing.assert_allclose(train.joints3d[part][::20], points - points[:, :1], atol=1e-6)


def test_mocap_people_are_upright_and_in_front_of_the_camera(train):
    up = -train.joints3d[:, ORDERS['h36m17'].index('head_mocap'), 1]
    assert up.median() > .5 and train.root[:, 2].min() > 1.5 and train.root[:, 2].max() < 9
    assert (train.keypoints2d.abs() > 1).any(-1).float().mean() < .01
    shoulders = train.joints3d[:, 14] - train.joints3d[:, 11]
    assert .35 < (shoulders[:, 0] < 0).float().mean() < .65  # the right one is on the left of who faces the camera


def test_mocap_splits_are_whole_recordings(train, test):
    recordings = [{label['subject'] for label in part.labels} for part in (train, test)]
    assert not recordings[0] & recordings[1]
    assert len(train.middles) == 4 * 20502 and len(test.middles) == 4 * 4716
    assert len(train) == 2 * len(train.middles) and len(test) == len(test.middles)
    assert {label['action'] for label in test.labels} >= {label['action'] for label in train.labels}


def test_mocap_noise_is_a_fixed_error_of_2d_alone(test):
    noisy, again = (MocapLifting('test', frames=9, noise_px=5) for _ in range(2))
    error = (noisy.keypoints2d - test.keypoints2d) * 500
    assert abs(error.std() - 5) < .02 and abs(error.mean()) < .02
    assert torch.equal(noisy.keypoints2d, again.keypoints2d) and torch.equal(noisy.joints3d, test.joints3d)
    assert not torch.equal(noisy.keypoints2d, MocapLifting('test', frames=9, noise_px=5, seed=1).keypoints2d)


def test_sixteen_joints_are_the_seventeen_without_the_jaw(test):
    keep = [index for index in range(17) if index != 9]
    assert torch.equal(MocapLifting('test', joints='h36m16').joints3d, test.joints3d[:, keep])
    assert mirror_order('h36m16') == tuple(
        {**dict(zip([4, 5, 6, 10, 11, 12], [1, 2, 3, 13, 14, 15])),
         **dict(zip([1, 2, 3, 13, 14, 15], [4, 5, 6, 10, 11, 12]))}.get(index, index) for index in range(16))


def test_the_whole_set_is_ready_in_moments(train):
    began = time.perf_counter()
    MocapLifting('test', frames=243)  # posed already
    train.batch(torch.arange(1024), labels=False)
    assert time.perf_counter() - began < 10


# windows and mirror

def test_flip_is_its_own_inverse_and_swaps_sides():
    order = mirror_order('h36m17')
    assert [order[index] for index in LEFT] == RIGHT and [order[index] for index in RIGHT] == LEFT
    assert [order[index] for index in (0, 7, 8, 9, 10)] == [0, 7, 8, 9, 10]
    assert [mirror_order('mpi17')[index] for index in (5, 6, 7, 11, 12, 13, 14)] == [2, 3, 4, 8, 9, 10, 14]
    for size in (2, 3):
        pose = torch.randn(5, 17, size)
        kept = pose.clone()
        mirrored = mirror_pose(pose, order)
        assert torch.equal(mirror_pose(mirrored, order), pose) and torch.equal(pose, kept)
        assert torch.equal(mirrored[:, 1], pose[:, 4] * torch.tensor([-1, 1, 1])[:size])


def test_mirrored_items_project_through_the_mirrored_camera(train):
    half = len(train.middles)
    straight, mirrored = train[1234], train[half + 1234]
    assert not straight['mirrored'] and mirrored['mirrored'] and straight['track'] == mirrored['track']
    for key in ('keypoints2d', 'joints3d'):
        swapped = straight[key].clone()
        swapped[:, LEFT + RIGHT] = straight[key][:, RIGHT + LEFT]
        swapped[..., 0] *= -1
        assert torch.equal(mirrored[key], swapped)
    points = (mirrored['joints3d'] + mirrored['root'][:, None]).double().numpy()
    wanted = seen_by_hand(points, *mirrored['intrinsics'].double().numpy())
    np.testing.assert_allclose(mirrored['keypoints2d'], wanted, atol=2e-6)
    assert torch.equal(train[1234]['root'], straight['root'])  # the stored frames are untouched


@pytest.mark.parametrize('frames, step', [(9, 1), (9, 2), (243, 1), (1, 1), (4, 3)])
def test_windows_are_those_of_a_padded_clip(frames, step):
    """Pad with the edge, cut [t - pad, t + pad], take every step-th: for every frame of every clip."""
    windows = MocapLifting('test', frames=frames, step=step)
    at = 0
    for number, (start, end) in enumerate(zip(windows.starts.tolist(), windows.ends.tolist())):
        clip, reach = np.arange(start, end), step * frames
        padded = np.pad(clip, reach, 'edge')
        for t in list(range(min(len(clip), 12))) + [len(clip) - 2, len(clip) - 1]:
            first = reach + t - step * (frames // 2)
            rows = torch.tensor([at + t])
            assert windows.window(rows)[0].tolist() == padded[first:first + step * frames:step].tolist()
            assert windows.owners[at + t] == number and windows.middles[at + t] == start + t
        at += len(clip)
    assert at == len(windows) and torch.equal(windows.middles, torch.arange(len(windows)))


def test_items_batches_and_workers_agree(train):
    picked = [3, 90000, 70000, 150000]
    batch, items = train.batch(picked), [train[index] for index in picked]
    collated = next(iter(torch.utils.data.DataLoader(torch.utils.data.Subset(train, picked), batch_size=4)))
    assert set(batch) == set(items[0]) == set(collated)
    for key, value in batch.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, torch.stack([item[key] for item in items])) and torch.equal(value, collated[key])
        else:
            assert value == [item[key] for item in items] == list(collated[key])
    assert items[0]['keypoints2d'].shape == (9, 17, 2) and items[0]['joints3d'].shape == (9, 17, 3)
    assert (batch['joints3d'][:, :, 0] == 0).all() and batch['joints3d'].dtype == torch.float32
    with pytest.raises(IndexError):
        train[len(train)]


def test_stride_takes_every_nth_middle():
    every, third = MocapLifting('test', frames=9), MocapLifting('test', frames=9, stride=3)
    clips = zip(every.starts.tolist(), every.ends.tolist())
    wanted = np.concatenate([np.arange(start, end, 3) for start, end in clips])
    np.testing.assert_array_equal(third.middles, wanted)


# Human3.6M

@pytest.mark.parametrize('kind', ['gt', 'cpn_ft_h36m_dbb'])
def test_h36m_says_what_the_raw_files_say(files, kind):
    paths = files / 'h36m/data_3d_h36m.npz', files / f'h36m/data_2d_h36m_{kind}.npz'
    motion, seen = load(paths[0], 'positions_3d'), load(paths[1], 'positions_2d')
    keep = [joint for joint in range(32) if joint not in [4, 5, 9, 10, 11, 16, 20, 21, 22, 23, 24, 28, 29, 30, 31]]
    windows = H36MLifting(*paths, 'test', frames=3)
    assert {label['action'] for label in windows.labels} == {'Walking', 'Directions'}
    assert len(windows) == 2 * 4 * (FRAMES + FRAMES + 1 + FRAMES + 2)
    track = 0
    for subject in ('S9', 'S11'):
        for name, world in motion[subject].items():
            for camera in range(4):
                w, x, y, z, *place = EXTRINSICS[subject][camera]
                inverse = Rotation.from_quat([x, y, z, w]).inv()
                points = inverse.apply((world[:, keep] - np.array(place) / 1000).reshape(-1, 3)).reshape(-1, 17, 3)
                part = slice(int(windows.starts[track]), int(windows.ends[track]))
                label = windows.labels[track]
                assert (label['subject'], label['camera']) == (subject, CAMERAS[camera])
                np.testing.assert_allclose(windows.root[part], points[:, 0], atol=2e-6)
                np.testing.assert_allclose(windows.joints3d[part], points - points[:, :1], atol=2e-6)
                width, height = SIZES[camera]
                pixels = seen[subject][name][camera][:len(world)]
                wanted = np.float64(pixels) / width * 2 - [1, height / width]
                np.testing.assert_allclose(windows.keypoints2d[part], wanted, atol=1e-6)
                if kind == 'gt':
                    np.testing.assert_allclose(pixels, seen_by_hand(points, *INTRINSICS[camera]), atol=2e-3)
                track += 1
    # The nine numbers are the camera in the same units as the 2D joints.
    item = windows[17]
    points = (item['joints3d'] + item['root'][:, None]).double().numpy()
    if kind == 'gt':
        np.testing.assert_allclose(item['keypoints2d'], seen_by_hand(points, *item['intrinsics'].double()), atol=1e-5)


def test_h36m_cameras_are_rotations():
    for places in EXTRINSICS.values():
        for numbers in places:
            assert abs(np.linalg.norm(numbers[:4]) - 1) < 1e-6
            # In the room: half a metre to two and a half high, three to six metres from its middle.
            assert 3000 < np.hypot(*numbers[4:6]) < 6000 and 1400 < numbers[6] < 1700
            forward = Rotation.from_quat([*numbers[1:4], numbers[0]]).apply([0, 0, 1])
            towards = np.array([*numbers[4:6], 0]) / np.hypot(*numbers[4:6])
            assert forward @ towards < -.9


def test_h36m_options(files):
    paths = files / 'h36m/data_3d_h36m.npz', files / 'h36m/data_2d_h36m_gt.npz'
    whole = DATASETS.build(dict(type='H36MLifting', file=str(paths[0]), keypoints=str(paths[1])))
    assert len(whole) == 2 * 5 * 4 * (3 * FRAMES + 3) and whole.step == 2 and whole.frames == 243
    train, test = ({label['subject'] for label in H36MLifting(*paths, split).labels} for split in ('train', 'test'))
    assert train == {'S1', 'S5', 'S6', 'S7', 'S8'} and test == {'S9', 'S11'}
    some = H36MLifting(*paths, 'test', subjects=['S9'], actions=['Walking'], joints='h36m16')
    assert {label['track'].rsplit(' ', 1)[0] for label in some.labels} == {'S9 Walking', 'S9 Walking 1'}
    assert some.keypoints2d.shape[1] == 16 and set(some.fingerprint()) == {'npz'}


def rewritten(path, target, change, **keys):
    content = {key: load(path, key) for key in np.load(path, allow_pickle=True).files}
    change(content)
    np.savez(target, **content)
    return target


def test_h36m_refusals(files, tmp_path):
    motion, seen = files / 'h36m/data_3d_h36m.npz', files / 'h36m/data_2d_h36m_gt.npz'

    def tried(message, motion=motion, seen=seen, **options):
        with pytest.raises(InputError, match=message):
            H36MLifting(motion, seen, 'test', frames=3, **options)

    def changed(path, change):
        return rewritten(path, tmp_path / 'x.npz', change)

    tried('none.npz: there is no such file; DATASETS.md', motion=tmp_path / 'none.npz')
    (tmp_path / 'cut.npz').write_bytes(motion.read_bytes()[:3000])
    tried('cut.npz: cannot be read as an npz at positions_3d', motion=tmp_path / 'cut.npz')
    tried('lacks positions_3d; it has positions_2d, metadata', motion=seen)
    np.savez(tmp_path / 'plain.npz', positions_3d=np.zeros(3))
    tried(r'positions_3d is an array of float64 \(3,\)', motion=tmp_path / 'plain.npz')
    np.savez(tmp_path / 'evil.npz', positions_3d=np.array({'a': print}, dtype=object))
    tried('asks for .*print', motion=tmp_path / 'evil.npz')
    tried('has no recordings of S9, only of S1', motion=changed(motion, lambda c: c['positions_3d'].pop('S9')))

    def short(content):
        content['positions_2d']['S9']['Walking'][2] = content['positions_2d']['S9']['Walking'][2][:5]
    tried(r"\['S9'\]\['Walking'\]\[2\] has 5 frames, expected at least the 12", seen=changed(seen, short))
    tried(r"\['S9'\]\['Walking'\] is missing, expected a list of 4",
          seen=changed(seen, lambda c: c['positions_2d']['S9'].pop('Walking')))
    tried(r"\['S9'\]\['Walking'\] is list of 0",
          seen=changed(seen, lambda c: c['positions_2d']['S9'].update(Walking=[])))

    def coco(content):
        content['metadata']['keypoints_symmetry'] = [[1, 3], [2, 4]]
    tried(r'keypoints_symmetry \[\[1, 3\].*expected left \[4, 5, 6, 11', seen=changed(seen, coco))

    def damage(content):
        content['positions_3d']['S11']['Walking'][0] = np.nan
    tried(r"\['S11'\]\['Walking'\] holds numbers that are not finite", motion=changed(motion, damage))
    tried(r"\['S11'\]\['Walking'\] is float32 \(12, 17, 3\), expected numbers \(frames, 32, 3\)", motion=changed(
        motion, lambda c: c['positions_3d']['S11'].update(Walking=np.zeros((12, 17, 3), np.float32))))
    tried('there are cameras of S1, .* not of S2', subjects=['S2'])
    tried('called like Sitting; it has, for instance, Walking', actions=['Sitting'])
    tried("joints is one of 'h36m17'", joints='coco17')
    with pytest.raises(InputError, match='frames, step and stride are positive'):
        H36MLifting(motion, seen, frames=0)


# MPI-INF-3DHP

def test_3dhp_train_says_what_the_file_says(files):
    path = files / '3dhp/data_train_3dhp.npz'
    data, windows = load(path, 'data'), MPIINF3DHPLifting(path, frames=9)
    assert len(windows.labels) == 3 * 8 and windows.flip and windows.step == 1 and 'intrinsics' not in windows[0]
    track = 0
    for name, (views, _) in data.items():
        for camera, anim in views.items():
            part = slice(int(windows.starts[track]), int(windows.ends[track]))
            points = anim['data_3d'] / 1000
            np.testing.assert_allclose(windows.joints3d[part], points - points[:, 14:15], atol=2e-6)
            np.testing.assert_allclose(windows.root[part], points[:, 14], atol=2e-6)
            np.testing.assert_allclose(windows.keypoints2d[part], anim['data_2d'] / 1024 - 1, atol=1e-6)
            assert windows.labels[track] == dict(subject=name[:2], action=name, camera=camera, track=f'{name} {camera}')
            track += 1


def test_3dhp_test_scores_valid_frames_and_sees_all(files):
    path = files / '3dhp/data_test_3dhp.npz'
    data, windows = load(path, 'data'), MPIINF3DHPLifting(path, 'test', frames=5)
    valid = [(name, frame) for name, anim in data.items() for frame in np.flatnonzero(anim['valid'])]
    items = [windows[index] for index in range(len(windows))]
    assert [(item['action'], int(item['frame'])) for item in items] == valid and not windows.flip
    wide = next(item for item in items if item['action'] == 'TS6' and item['frame'] == 6)
    pixels = data['TS6']['data_2d'][4:9]
    np.testing.assert_allclose(wide['keypoints2d'], pixels / 960 - [1, 1080 / 1920], atol=1e-6)
    np.testing.assert_allclose(wide['joints3d'][:, 3] * 1000,
                               data['TS6']['data_3d'][4:9, 3] - data['TS6']['data_3d'][4:9, 14], atol=2e-3)


def test_3dhp_as_mpm_has_it(files):
    """A literal reading of MPM's loader: head averaged, then reordered, then everything divided by 1000."""
    path, order = files / '3dhp/data_test_3dhp.npz', [14, 8, 9, 10, 11, 12, 13, 15, 16, 0, 5, 6, 7, 2, 3, 4]
    released, correct = (MPIINF3DHPLifting(path, 'test', joints='h36m16', pipeline=name)
                         for name in ('released', 'correct'))
    at = 0
    for name, anim in load(path, 'data').items():
        points = anim['data_3d'] - anim['data_3d'][:, 14:15]
        seen = normalise_screen(anim['data_2d'], *((1920, 1080) if name in ('TS5', 'TS6') else (2048, 2048)))
        for array in (points, seen):
            array[:, 0] = (array[:, 16] + array[:, 0]) / 2
        part = slice(at, at + len(points))
        np.testing.assert_allclose(released.joints3d[part], points[:, order] / 1000, atol=2e-6)
        np.testing.assert_allclose(released.keypoints2d[part], seen[:, order] / 1000, atol=2e-9)
        order_with_neck = order[:8] + [1] + order[9:]
        np.testing.assert_allclose(correct.joints3d[part], points[:, order_with_neck] / 1000, atol=2e-6)
        np.testing.assert_allclose(correct.keypoints2d[part], seen[:, order_with_neck], atol=1e-6)
        at += len(points)


def test_3dhp_refusals(files, tmp_path):
    train, test = files / '3dhp/data_train_3dhp.npz', files / '3dhp/data_test_3dhp.npz'

    def tried(message, file=test, split='test', **options):
        with pytest.raises(InputError, match=message):
            MPIINF3DHPLifting(file, split, **options)

    tried(r"data\['S1 Seq1'\] is not a dict of data_2d, data_3d and valid, as the file of split='test'", file=train)
    tried(r"data\['TS1'\] is not a list of one dict of cameras", split='train')
    tried("split is 'train' or 'test' and pipeline .* not 'val'", split='val')
    tried("joints is one of 'mpi17', 'h36m16', not 'lsp14'", joints='lsp14')
    tried("pipeline='released' is what MPM does to joints='h36m16'", pipeline='released')
    tried('has no sequence TS9; it has TS1', sequences=['TS9'])
    tried(r"arrays of data\['TS2'\] differ in length, {'data_2d': 14, 'data_3d': 14, 'valid': 3}", file=rewritten(
        test, tmp_path / 'x.npz', lambda c: c['data']['TS2'].update(valid=np.ones(3))))
    tried(r"data\['TS2'\] lacks valid", file=rewritten(
        test, tmp_path / 'x.npz', lambda c: c['data']['TS2'].pop('valid')))


# AMASS

def test_amass_windows_lie_within_their_sequence(files):
    path = files / 'amass/amass.npz'
    content, windows = load(path, 'poses'), AMASSLifting(path, frames=FRAMES)
    # Sequences of 12, 13 and 14 frames hold 1, 2 and 3 windows.
    assert [item['track'] for item in map(windows.__getitem__, range(len(windows)))] == \
        ['set_0'] + ['set_1'] * 2 + ['set_2'] * 3
    for index, (name, start) in enumerate([('set_0', 0), ('set_1', 0), ('set_1', 1), ('set_2', 0), ('set_2', 1),
                                           ('set_2', 2)]):
        np.testing.assert_array_equal(windows[index]['keypoints2d'], content[name]['pose2d'][start:start + FRAMES])
        np.testing.assert_array_equal(windows[index]['joints3d'], content[name]['pose3d'][start:start + FRAMES])
    assert [len(AMASSLifting(path, frames=frames)) for frames in (13, 14)] == [3, 1]
    with pytest.raises(InputError, match='no window of 15 frames.*the longest has 14'):
        AMASSLifting(path, frames=15)


def test_amass_refusals(files, tmp_path):
    path = files / 'amass/amass.npz'
    for change, message in [(lambda c: c['poses']['set_1'].pop('pose3d'), r"poses\['set_1'\] lacks pose3d"),
                            (lambda c: c['poses']['set_1'].update(length=3), r"\['set_1'\] has length 3, 13 frames"),
                            (lambda c: c['poses'].update(set_2=3), r"poses\['set_2'\] lacks length")]:
        with pytest.raises(InputError, match=message):
            AMASSLifting(rewritten(path, tmp_path / 'x.npz', change), frames=3)


def test_mocap_refusals(tmp_path):
    with pytest.raises(InputError, match="split is one of 'train', 'test' and None.*they are 'val'"):
        MocapLifting('val')
    with pytest.raises(InputError, match="joints is one of 'h36m17', 'h36m16'"):
        MocapLifting(joints='mpi17')
    with pytest.raises(InputError, match='motion.npz: not found'):
        MocapLifting(path=tmp_path / 'motion.npz')


def test_sets_travel_to_workers(test):
    copy = pickle.loads(pickle.dumps(test))
    assert torch.equal(copy[77]['keypoints2d'], test[77]['keypoints2d'])
