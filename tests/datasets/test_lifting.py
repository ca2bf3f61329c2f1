"""2D-3D windows of the free motion against plain loops and a double precision camera written out by hand."""

from __future__ import annotations

import math
import pickle
import time

import numpy as np
import pytest
import torch
from brown_lens import seen_by_hand
from scipy.spatial.transform import Rotation

from hrtk.body_models import BodyModel
from hrtk.body_models.joint_orders import ORDERS, mirror_order
from hrtk.body_models.skeletons import joint_names
from hrtk.datasets.lifting import MocapLifting
from hrtk.datasets.lifting.mocap import CAMERAS as MOCAP_CAMERAS
from hrtk.datasets.lifting.mocap import TARGET
from hrtk.datasets.motion import load_motion
from hrtk.errors import InputError
from hrtk.geometry.mirror import mirror_points

LEFT, RIGHT = [4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]  # of VideoPose3D


@pytest.fixture(scope='module')
def train():
    return MocapLifting('train', frames=9)


@pytest.fixture(scope='module')
def test():
    return MocapLifting('test', frames=9)


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
        rotmat = torch.from_numpy(
            Rotation.from_rotvec(np.float64(clip.poses[::20]).reshape(-1, 3)).as_matrix()
        )
        rotmat, betas = rotmat.view(-1, 24, 3, 3), torch.zeros(len(clip.poses[::20]), 10).double()
        mesh = body(rotmat, betas)
        joints = body.joints_from_mesh(mesh, 'h36m17').numpy() - mesh.joints[:, :1].numpy()
        path = np.float64(clip.transl)
        middle = [
            (path[:, 0].max() + path[:, 0].min()) / 2,
            0,
            (path[:, 2].max() + path[:, 2].min()) / 2,
        ]
        turn = Rotation.from_euler('y', number * math.pi * (3 - 5**0.5))
        world = turn.apply((joints + (path - middle)[::20, None]).reshape(-1, 3)) - camera.position
        z = np.subtract(TARGET, camera.position) / np.linalg.norm(
            np.subtract(TARGET, camera.position)
        )
        x = np.cross(z, [0, 1, 0]) / np.linalg.norm(np.cross(z, [0, 1, 0]))
        points = np.stack([world @ x, world @ np.cross(z, x), world @ z], -1).reshape(-1, 17, 3)
        points = points[:, [names.index(name) for name in ORDERS['h36m17']]]
        pixels = seen_by_hand(
            points, *camera.focal, *camera.centre, *camera.radial, *camera.tangential
        )
        wanted = pixels / 500 - [1, height[which + 1] / 1000]
        part = slice(int(train.starts[track]), int(train.ends[track]))
        np.testing.assert_allclose(train.keypoints2d[part][::20], wanted, atol=1e-6)
        np.testing.assert_allclose(train.root[part][::20], points[:, 0], atol=1e-6)
        np.testing.assert_allclose(train.joints3d[part][::20], points - points[:, :1], atol=1e-6)


def test_mocap_people_are_upright_and_in_front_of_the_camera(train):
    up = -train.joints3d[:, ORDERS['h36m17'].index('head_mocap'), 1]
    assert up.median() > 0.5 and train.root[:, 2].min() > 1.5 and train.root[:, 2].max() < 9
    assert (train.keypoints2d.abs() > 1).any(-1).float().mean() < 0.01
    shoulders = train.joints3d[:, 14] - train.joints3d[:, 11]
    assert (
        0.35 < (shoulders[:, 0] < 0).float().mean() < 0.65
    )  # the right one is on the left of who faces the camera


def test_mocap_splits_are_whole_recordings(train, test):
    recordings = [{label['subject'] for label in part.labels} for part in (train, test)]
    assert not recordings[0] & recordings[1]
    assert len(train.centre_rows) == 4 * 20502 and len(test.centre_rows) == 4 * 4716
    assert len(train) == 2 * len(train.centre_rows) and len(test) == len(test.centre_rows)
    assert {label['action'] for label in test.labels} >= {label['action'] for label in train.labels}


def test_mocap_noise_is_a_fixed_error_of_2d_alone(test):
    noisy, again = (MocapLifting('test', frames=9, noise_px=5) for _ in range(2))
    error = (noisy.keypoints2d - test.keypoints2d) * 500
    assert abs(error.std() - 5) < 0.02 and abs(error.mean()) < 0.02
    assert torch.equal(noisy.keypoints2d, again.keypoints2d) and torch.equal(
        noisy.joints3d, test.joints3d
    )
    assert not torch.equal(
        noisy.keypoints2d, MocapLifting('test', frames=9, noise_px=5, seed=1).keypoints2d
    )


def test_mocap_noise_can_last(test):
    lasting = MocapLifting('test', frames=9, noise_px=5, noise_frames=6)
    error = (lasting.keypoints2d - test.keypoints2d) * 500
    assert abs(error.std() - 5) < 0.1
    for gap in (1, 6, 12):
        products = []
        for start, end in zip(lasting.starts, lasting.ends):
            part = error[start:end]
            products.append((part[gap:] * part[:-gap]).flatten())
        correlation = torch.cat(products).mean() / 25
        assert correlation.item() == pytest.approx(np.exp(-gap / 6), abs=0.03)
    with pytest.raises(InputError, match='noise_frames'):
        MocapLifting('test', frames=9, noise_frames=-1)


def test_sixteen_joints_are_the_seventeen_without_the_jaw(test):
    keep = [index for index in range(17) if index != 9]
    assert torch.equal(MocapLifting('test', joints='h36m16').joints3d, test.joints3d[:, keep])
    assert mirror_order('h36m16') == tuple(
        {
            **dict(zip([4, 5, 6, 10, 11, 12], [1, 2, 3, 13, 14, 15])),
            **dict(zip([1, 2, 3, 13, 14, 15], [4, 5, 6, 10, 11, 12])),
        }.get(index, index)
        for index in range(16)
    )


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
    assert [mirror_order('mpi17')[index] for index in (5, 6, 7, 11, 12, 13, 14)] == [
        2,
        3,
        4,
        8,
        9,
        10,
        14,
    ]
    for size in (2, 3):
        pose = torch.randn(5, 17, size)
        kept = pose.clone()
        mirrored = mirror_points(pose, order)
        assert torch.equal(mirror_points(mirrored, order), pose) and torch.equal(pose, kept)
        assert torch.equal(mirrored[:, 1], pose[:, 4] * torch.tensor([-1, 1, 1])[:size])


def test_mirrored_items_project_through_the_mirrored_camera(train):
    half = len(train.centre_rows)
    straight, mirrored = train[1234], train[half + 1234]
    assert (
        not straight['mirrored'] and mirrored['mirrored'] and straight['track'] == mirrored['track']
    )
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
            assert (
                windows.window(rows)[0].tolist()
                == padded[first : first + step * frames : step].tolist()
            )
            assert (
                windows.track_of_window[at + t] == number
                and windows.centre_rows[at + t] == start + t
            )
        at += len(clip)
    assert at == len(windows) and torch.equal(windows.centre_rows, torch.arange(len(windows)))


def test_items_batches_and_workers_agree(train):
    picked = [3, 90000, 70000, 150000]
    batch, items = train.batch(picked), [train[index] for index in picked]
    collated = next(
        iter(torch.utils.data.DataLoader(torch.utils.data.Subset(train, picked), batch_size=4))
    )
    assert set(batch) == set(items[0]) == set(collated)
    for key, value in batch.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, torch.stack([item[key] for item in items])) and torch.equal(
                value, collated[key]
            )
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
    np.testing.assert_array_equal(third.centre_rows, wanted)


def test_mocap_refusals(tmp_path):
    with pytest.raises(
        InputError, match="split is one of 'train', 'test' and None.*they are 'val'"
    ):
        MocapLifting('val')
    with pytest.raises(InputError, match="joints is one of 'h36m17', 'h36m16'"):
        MocapLifting(joints='mpi17')
    with pytest.raises(InputError, match='motion.npz: not found'):
        MocapLifting(path=tmp_path / 'motion.npz')


def test_sets_travel_to_workers(test):
    copy = pickle.loads(pickle.dumps(test))
    assert torch.equal(copy[77]['keypoints2d'], test[77]['keypoints2d'])
