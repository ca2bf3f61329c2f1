"""2D-3D windows of files of the official layouts against the raw files."""

from __future__ import annotations

import numpy as np
import pytest
from brown_lens import seen_by_hand
from scipy.spatial.transform import Rotation

from hrtk.datasets.lifting import AMASSLifting, H36MLifting, MPIINF3DHPLifting
from hrtk.datasets.lifting.cameras import normalise_screen
from hrtk.datasets.lifting.h36m_cameras import CAMERAS, EXTRINSICS, INTRINSICS, SIZES
from hrtk.errors import InputError
from hrtk.registry import DATASETS
from hrtk.testing import write_lifting_files

FRAMES = 12


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    return write_lifting_files(tmp_path_factory.mktemp('lifting'), FRAMES)


def load(path, key):
    return np.load(path, allow_pickle=True)[key].item()  # our own file


# Human3.6M


@pytest.mark.parametrize('kind', ['gt', 'cpn_ft_h36m_dbb'])
def test_h36m_says_what_the_raw_files_say(files, kind):
    paths = files / 'h36m/data_3d_h36m.npz', files / f'h36m/data_2d_h36m_{kind}.npz'
    motion, seen = load(paths[0], 'positions_3d'), load(paths[1], 'positions_2d')
    keep = [
        joint
        for joint in range(32)
        if joint not in [4, 5, 9, 10, 11, 16, 20, 21, 22, 23, 24, 28, 29, 30, 31]
    ]
    windows = H36MLifting(*paths, 'test', frames=3)
    assert {label['action'] for label in windows.labels} == {'Walking', 'Directions'}
    assert len(windows) == 2 * 4 * (FRAMES + FRAMES + 1 + FRAMES + 2)
    track = 0
    for subject in ('S9', 'S11'):
        for name, world in motion[subject].items():
            for camera in range(4):
                w, x, y, z, *place = EXTRINSICS[subject][camera]
                inverse = Rotation.from_quat([x, y, z, w]).inv()
                points = inverse.apply(
                    (world[:, keep] - np.array(place) / 1000).reshape(-1, 3)
                ).reshape(-1, 17, 3)
                part = slice(int(windows.starts[track]), int(windows.ends[track]))
                label = windows.labels[track]
                assert (label['subject'], label['camera']) == (subject, CAMERAS[camera])
                np.testing.assert_allclose(windows.root[part], points[:, 0], atol=2e-6)
                np.testing.assert_allclose(
                    windows.joints3d[part], points - points[:, :1], atol=2e-6
                )
                width, height = SIZES[camera]
                pixels = seen[subject][name][camera][: len(world)]
                wanted = np.float64(pixels) / width * 2 - [1, height / width]
                np.testing.assert_allclose(windows.keypoints2d[part], wanted, atol=1e-6)
                if kind == 'gt':
                    np.testing.assert_allclose(
                        pixels, seen_by_hand(points, *INTRINSICS[camera]), atol=2e-3
                    )
                track += 1
    # The nine numbers are the camera in the same units as the 2D joints.
    item = windows[17]
    points = (item['joints3d'] + item['root'][:, None]).double().numpy()
    if kind == 'gt':
        np.testing.assert_allclose(
            item['keypoints2d'], seen_by_hand(points, *item['intrinsics'].double()), atol=1e-5
        )


def test_h36m_cameras_are_rotations():
    for places in EXTRINSICS.values():
        for numbers in places:
            assert abs(np.linalg.norm(numbers[:4]) - 1) < 1e-6
            # In the room: half a metre to two and a half high, three to six metres from its middle.
            assert 3000 < np.hypot(*numbers[4:6]) < 6000 and 1400 < numbers[6] < 1700
            forward = Rotation.from_quat([*numbers[1:4], numbers[0]]).apply([0, 0, 1])
            towards = np.array([*numbers[4:6], 0]) / np.hypot(*numbers[4:6])
            assert forward @ towards < -0.9


def test_h36m_options(files):
    paths = files / 'h36m/data_3d_h36m.npz', files / 'h36m/data_2d_h36m_gt.npz'
    whole = DATASETS.build(dict(type='H36MLifting', file=str(paths[0]), keypoints=str(paths[1])))
    assert len(whole) == 2 * 5 * 4 * (3 * FRAMES + 3) and whole.step == 2 and whole.frames == 243
    train, test = (
        {label['subject'] for label in H36MLifting(*paths, split).labels}
        for split in ('train', 'test')
    )
    assert train == {'S1', 'S5', 'S6', 'S7', 'S8'} and test == {'S9', 'S11'}
    some = H36MLifting(*paths, 'test', subjects=['S9'], actions=['Walking'], joints='h36m16')
    assert {label['track'].rsplit(' ', 1)[0] for label in some.labels} == {
        'S9 Walking',
        'S9 Walking 1',
    }
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
    tried('cut.npz: cannot be read as an npz at the list of arrays', motion=tmp_path / 'cut.npz')
    tried('lacks positions_3d; it has positions_2d, metadata', motion=seen)
    np.savez(tmp_path / 'plain.npz', positions_3d=np.zeros(3))
    tried(r'positions_3d is an array of float64 \(3,\)', motion=tmp_path / 'plain.npz')
    np.savez(tmp_path / 'evil.npz', positions_3d=np.array({'a': print}, dtype=object))
    tried('contains the name .*print', motion=tmp_path / 'evil.npz')
    tried(
        'has no recordings of S9, only of S1',
        motion=changed(motion, lambda c: c['positions_3d'].pop('S9')),
    )

    def short(content):
        content['positions_2d']['S9']['Walking'][2] = content['positions_2d']['S9']['Walking'][2][
            :5
        ]

    tried(
        r"\['S9'\]\['Walking'\]\[2\] has 5 frames, expected at least the 12",
        seen=changed(seen, short),
    )
    tried(
        r"\['S9'\]\['Walking'\] is missing, expected a list of 4",
        seen=changed(seen, lambda c: c['positions_2d']['S9'].pop('Walking')),
    )
    tried(
        r"\['S9'\]\['Walking'\] is list of 0",
        seen=changed(seen, lambda c: c['positions_2d']['S9'].update(Walking=[])),
    )

    def coco(content):
        content['metadata']['keypoints_symmetry'] = [[1, 3], [2, 4]]

    tried(r'keypoints_symmetry \[\[1, 3\].*expected left \[4, 5, 6, 11', seen=changed(seen, coco))

    def damage(content):
        content['positions_3d']['S11']['Walking'][0] = np.nan

    tried(
        r"\['S11'\]\['Walking'\] holds numbers that are not finite", motion=changed(motion, damage)
    )
    tried(
        r"\['S11'\]\['Walking'\] is float32 \(12, 17, 3\), expected numbers \(frames, 32, 3\)",
        motion=changed(
            motion,
            lambda c: c['positions_3d']['S11'].update(Walking=np.zeros((12, 17, 3), np.float32)),
        ),
    )
    tried('there are cameras of S1, .* not of S2', subjects=['S2'])
    tried('called like Sitting; it has, for instance, Walking', actions=['Sitting'])
    tried("joints is one of 'h36m17'", joints='coco17')
    with pytest.raises(InputError, match='frames, step and stride are positive'):
        H36MLifting(motion, seen, frames=0)


# MPI-INF-3DHP


def test_3dhp_train_says_what_the_file_says(files):
    path = files / '3dhp/data_train_3dhp.npz'
    data, windows = load(path, 'data'), MPIINF3DHPLifting(path, frames=9)
    assert (
        len(windows.labels) == 3 * 8
        and windows.flip
        and windows.step == 1
        and 'intrinsics' not in windows[0]
    )
    track = 0
    for name, (views, _) in data.items():
        for camera, anim in views.items():
            part = slice(int(windows.starts[track]), int(windows.ends[track]))
            points = anim['data_3d'] / 1000
            np.testing.assert_allclose(windows.joints3d[part], points - points[:, 14:15], atol=2e-6)
            np.testing.assert_allclose(windows.root[part], points[:, 14], atol=2e-6)
            np.testing.assert_allclose(
                windows.keypoints2d[part], anim['data_2d'] / 1024 - 1, atol=1e-6
            )
            assert windows.labels[track] == dict(
                subject=name[:2],
                action=name,
                camera=camera,
                track=f'{name} {camera}',
                joint_order='mpi17',
            )
            track += 1


def test_3dhp_test_scores_valid_frames_and_sees_all(files):
    path = files / '3dhp/data_test_3dhp.npz'
    data, windows = load(path, 'data'), MPIINF3DHPLifting(path, 'test', frames=5)
    valid = [
        (name, frame) for name, anim in data.items() for frame in np.flatnonzero(anim['valid'])
    ]
    items = [windows[index] for index in range(len(windows))]
    assert [(item['action'], int(item['frame'])) for item in items] == valid and not windows.flip
    wide = next(item for item in items if item['action'] == 'TS6' and item['frame'] == 6)
    pixels = data['TS6']['data_2d'][4:9]
    np.testing.assert_allclose(wide['keypoints2d'], pixels / 960 - [1, 1080 / 1920], atol=1e-6)
    np.testing.assert_allclose(
        wide['joints3d'][:, 3] * 1000,
        data['TS6']['data_3d'][4:9, 3] - data['TS6']['data_3d'][4:9, 14],
        atol=2e-3,
    )


def test_3dhp_as_mpm_has_it(files):
    """A literal reading of MPM's loader: head averaged, then reordered, then everything divided by 1000."""
    path, order = (
        files / '3dhp/data_test_3dhp.npz',
        [14, 8, 9, 10, 11, 12, 13, 15, 16, 0, 5, 6, 7, 2, 3, 4],
    )
    released, correct = (
        MPIINF3DHPLifting(path, 'test', joints='h36m16', pipeline=name)
        for name in ('released', 'correct')
    )
    at = 0
    for name, anim in load(path, 'data').items():
        points = anim['data_3d'] - anim['data_3d'][:, 14:15]
        seen = normalise_screen(
            anim['data_2d'], *((1920, 1080) if name in ('TS5', 'TS6') else (2048, 2048))
        )
        for array in (points, seen):
            array[:, 0] = (array[:, 16] + array[:, 0]) / 2
        part = slice(at, at + len(points))
        np.testing.assert_allclose(released.joints3d[part], points[:, order] / 1000, atol=2e-6)
        np.testing.assert_allclose(released.keypoints2d[part], seen[:, order] / 1000, atol=2e-9)
        order_with_neck = order[:8] + [1] + order[9:]
        np.testing.assert_allclose(
            correct.joints3d[part], points[:, order_with_neck] / 1000, atol=2e-6
        )
        np.testing.assert_allclose(correct.keypoints2d[part], seen[:, order_with_neck], atol=1e-6)
        at += len(points)


def test_3dhp_refusals(files, tmp_path):
    train, test = files / '3dhp/data_train_3dhp.npz', files / '3dhp/data_test_3dhp.npz'

    def tried(message, file=test, split='test', **options):
        with pytest.raises(InputError, match=message):
            MPIINF3DHPLifting(file, split, **options)

    tried(
        r"data\['S1 Seq1'\] is not a dict of data_2d, data_3d and valid, as the file of split='test'",
        file=train,
    )
    tried(r"data\['TS1'\] is not a list of one dict of cameras", split='train')
    tried("split is 'train' or 'test' and pipeline .* not 'val'", split='val')
    tried("joints is one of 'mpi17', 'h36m16', not 'lsp14'", joints='lsp14')
    tried("pipeline='released' is MPM's treatment of joints='h36m16'", pipeline='released')
    tried('has no sequence TS9; it has TS1', sequences=['TS9'])
    tried(
        r"arrays of data\['TS2'\] differ in length, {'data_2d': 14, 'data_3d': 14, 'valid': 3}",
        file=rewritten(
            test, tmp_path / 'x.npz', lambda c: c['data']['TS2'].update(valid=np.ones(3))
        ),
    )
    tried(
        r"data\['TS2'\] lacks valid",
        file=rewritten(test, tmp_path / 'x.npz', lambda c: c['data']['TS2'].pop('valid')),
    )


# AMASS


def test_amass_windows_lie_within_their_sequence(files):
    path = files / 'amass/amass.npz'
    content, windows = load(path, 'poses'), AMASSLifting(path, frames=FRAMES)
    # Sequences of 12, 13 and 14 frames hold 1, 2 and 3 windows.
    assert [item['track'] for item in map(windows.__getitem__, range(len(windows)))] == [
        'set_0'
    ] + ['set_1'] * 2 + ['set_2'] * 3
    for index, (name, start) in enumerate(
        [('set_0', 0), ('set_1', 0), ('set_1', 1), ('set_2', 0), ('set_2', 1), ('set_2', 2)]
    ):
        np.testing.assert_array_equal(
            windows[index]['keypoints2d'], content[name]['pose2d'][start : start + FRAMES]
        )
        np.testing.assert_array_equal(
            windows[index]['joints3d'], content[name]['pose3d'][start : start + FRAMES]
        )
    assert [len(AMASSLifting(path, frames=frames)) for frames in (13, 14)] == [3, 1]
    with pytest.raises(InputError, match='no window of 15 frames.*the longest has 14'):
        AMASSLifting(path, frames=15)


def test_amass_refusals(files, tmp_path):
    path = files / 'amass/amass.npz'
    for change, message in [
        (lambda c: c['poses']['set_1'].pop('pose3d'), r"poses\['set_1'\] lacks pose3d"),
        (lambda c: c['poses']['set_1'].update(length=3), r"\['set_1'\] has length 3, 13 frames"),
        (lambda c: c['poses'].update(set_2=3), r"poses\['set_2'\] lacks length"),
    ]:
        with pytest.raises(InputError, match=message):
            AMASSLifting(rewritten(path, tmp_path / 'x.npz', change), frames=3)
