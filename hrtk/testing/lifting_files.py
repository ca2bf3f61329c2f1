"""Tiny files of exactly the layouts of VideoPose3D's Human3.6M, P-STMO's MPI-INF-3DHP and MPM's AMASS.

What moves in them is the free motion.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hrtk.datasets.lifting import h36m_cameras
from hrtk.datasets.lifting.cameras import project, world_to_camera
from hrtk.datasets.lifting.joints import H36M17, MPI17, OF_H36M32, from_regressor, mirror_order
from hrtk.datasets.lifting.mocap import posed_motion
from hrtk.datasets.motion import ASSET

Z_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # Human3.6M's world
RECORDINGS = ('Walking', 'Walking 1', 'Directions')
CAMERAS_3DHP = ('0', '1', '2', '4', '5', '6', '7', '8')
# Where each joint of 3DHP lies nearest in the order of Human3.6M.
NEAREST = [10, 8, 14, 15, 16, 11, 12, 13, 1, 2, 3, 4, 5, 6, 0, 7, 9]


def write_lifting_files(root: str | Path, frames: int = 12) -> Path:
    """Writes ``h36m/data_3d_h36m.npz``, ``h36m/data_2d_h36m_gt.npz``, ``h36m/data_2d_h36m_cpn_ft_h36m_dbb.npz``,
    ``3dhp/data_train_3dhp.npz``, ``3dhp/data_test_3dhp.npz`` and ``amass/amass.npz`` below a folder.

    All seven subjects have three recordings, some a frame longer than others; 2D joints of ``cpn`` are two pixels off
    and go on for two frames after the motion. TS5 of 3DHP is a picture of 1920 by 1080, and not all its frames are
    valid.

    Args:
        root: the folder.
        frames: of the shortest recording.

    Returns:
        The folder.
    """
    root = Path(root)
    for name in ('h36m', '3dhp', 'amass'):
        (root / name).mkdir(parents=True, exist_ok=True)
    _write_h36m(root / 'h36m', frames)
    _write_3dhp(root / '3dhp', frames)
    joints = [_motion(number, frames + number) * (1, -1, -1) + (0, 1, 5) for number in range(3)]
    keep = [index for index, name in enumerate(H36M17) if name != 'jaw_mocap']
    sequences = {
        f'set_{number}': dict(
            length=len(points),
            pose2d=np.float32(points[:, keep, :2] / points[:, keep, 2:]),
            pose3d=np.float32(points[:, keep] - points[:, :1]),
        )
        for number, points in enumerate(joints)
    }
    np.savez(root / 'amass/amass.npz', poses=sequences)
    return root


def _motion(number: int, frames: int) -> np.ndarray:
    """(frames, 17, 3) joints of the k-th long clip, metres, y up, in Human3.6M's order."""
    long = [joints for _, joints in posed_motion(ASSET) if len(joints) > 200]
    return long[number % len(long)][:frames, from_regressor('h36m17')]


def _write_h36m(folder: Path, frames: int) -> None:
    motion: dict = {}
    seen: dict = {'gt': {}, 'cpn_ft_h36m_dbb': {}}
    for number, subject in enumerate(h36m_cameras.EXTRINSICS):
        for part in (motion, *seen.values()):
            part[subject] = {}
        for which, name in enumerate(RECORDINGS):
            length = frames + which
            joints = _motion(3 * number + which, length + 2) @ Z_UP.T
            world = np.zeros((length, 32, 3), np.float32)
            world[:, OF_H36M32] = joints[:length]
            motion[subject][name] = world
            exact = [_pixels(joints, subject, camera) for camera in range(4)]
            seen['gt'][subject][name] = [np.float32(points[:length]) for points in exact]
            seen['cpn_ft_h36m_dbb'][subject][name] = [np.float32(points + 2) for points in exact]
    order = mirror_order('h36m17')
    left = [index for index, name in enumerate(H36M17) if name.startswith('left')]
    metadata = dict(
        layout_name='h36m',
        num_joints=17,
        keypoints_symmetry=[left, [order[index] for index in left]],
    )
    np.savez_compressed(folder / 'data_3d_h36m.npz', positions_3d=motion)
    for kind, points in seen.items():
        np.savez_compressed(
            folder / f'data_2d_h36m_{kind}.npz', positions_2d=points, metadata=metadata
        )


def _pixels(joints: np.ndarray, subject: str, camera: int) -> np.ndarray:
    seen = world_to_camera(joints, *h36m_cameras.extrinsics(subject, camera))
    width, height = h36m_cameras.SIZES[camera]
    return (project(seen, h36m_cameras.intrinsics(camera)) + (1, height / width)) * width / 2


def _write_3dhp(folder: Path, frames: int) -> None:
    train: dict = {}
    for number, name in enumerate(('S1 Seq1', 'S1 Seq2', 'S2 Seq1')):
        views = {
            camera: _view(number + which, frames + number, (2048, 2048))
            for which, camera in enumerate(CAMERAS_3DHP)
        }
        train[name] = [views, 25.0]
    test: dict = {}
    for number in range(1, 7):
        test[f'TS{number}'] = dict(
            _view(number, frames + number, (1920, 1080) if number > 4 else (2048, 2048)),
            valid=np.float64(np.arange(frames + number) % number == 0),
        )
    np.savez_compressed(folder / 'data_train_3dhp.npz', data=train)
    np.savez_compressed(folder / 'data_test_3dhp.npz', data=test)


def _view(number: int, frames: int, size: tuple[int, int]) -> dict[str, np.ndarray]:
    joints = _motion(number, frames)[:, NEAREST] * (1, -1, -1) + (0, 1, 5)
    assert joints.shape[1] == len(MPI17)
    pixels = joints[..., :2] / joints[..., 2:] * 1500 + np.array(size) / 2
    return dict(data_2d=pixels, data_3d=joints * 1000)
