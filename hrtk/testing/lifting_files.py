"""Tiny files in the layouts of VideoPose3D's Human3.6M, P-STMO's MPI-INF-3DHP and MPM's AMASS.

The poses in them are those of the free motion.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hrtk.body_models.joint_orders import H36M17, MPI17, mirror_order
from hrtk.datasets.lifting import h36m_cameras
from hrtk.datasets.lifting.cameras import project, world_to_camera
from hrtk.datasets.lifting.joints import OF_H36M32, from_regressor
from hrtk.datasets.lifting.mocap import posed_motion
from hrtk.datasets.motion import ASSET

Z_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # the world of Human3.6M
RECORDINGS = ('Walking', 'Walking 1', 'Directions')
DETECTOR = 'cpn_ft_h36m_dbb'
DETECTOR_ERROR = 2  # px, of every 2D joint of the detector
EXTRA_FRAMES = 2  # of the detector's 2D joints after the end of the motion

CAMERAS_3DHP = ('0', '1', '2', '4', '5', '6', '7', '8')
TRAIN_3DHP = ('S1 Seq1', 'S1 Seq2', 'S2 Seq1')
SQUARE_3DHP = (2048, 2048)  # width and height, px
WIDE_3DHP = (1920, 1080)  # of TS5 and TS6
FOCAL_3DHP = 1500  # px
# The nearest joint of Human3.6M for each joint of 3DHP.
NEAREST = [10, 8, 14, 15, 16, 11, 12, 13, 1, 2, 3, 4, 5, 6, 0, 7, 9]


def write_lifting_files(root: str | Path, frames: int = 12) -> Path:
    """Writes ``h36m/data_3d_h36m.npz``, ``h36m/data_2d_h36m_gt.npz``, ``h36m/data_2d_h36m_cpn_ft_h36m_dbb.npz``,
    ``3dhp/data_train_3dhp.npz``, ``3dhp/data_test_3dhp.npz`` and ``amass/amass.npz`` below a folder.

    All seven subjects have three recordings, some a frame longer than others; 2D joints of ``cpn`` are two pixels off
    and go on for two frames after the motion. The images of TS5 of 3DHP are 1920 by 1080, and not all its frames are
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
    _write_amass(root / 'amass', frames)
    return root


def _motion(index: int, frames: int) -> np.ndarray:
    """(frames, 17, 3) joints of a long clip, metres, y up, in Human3.6M's order."""
    long_clips = [joints for _, joints in posed_motion(ASSET) if len(joints) > 200]
    return long_clips[index % len(long_clips)][:frames, from_regressor('h36m17')]


def _in_camera(joints: np.ndarray) -> np.ndarray:
    """Joints in front of a camera that looks along z, with y down."""
    return joints * (1, -1, -1) + (0, 1, 5)


def _write_h36m(folder: Path, frames: int) -> None:
    motion: dict[str, dict[str, np.ndarray]] = {}
    exact: dict[str, dict[str, list[np.ndarray]]] = {}
    detected: dict[str, dict[str, list[np.ndarray]]] = {}
    for subject_index, subject in enumerate(h36m_cameras.EXTRINSICS):
        motion[subject] = {}
        exact[subject] = {}
        detected[subject] = {}
        for index, recording in enumerate(RECORDINGS):
            length = frames + index
            joints = _motion(3 * subject_index + index, length + EXTRA_FRAMES) @ Z_UP.T
            world = np.zeros((length, 32, 3), np.float32)
            world[:, OF_H36M32] = joints[:length]
            motion[subject][recording] = world
            exact[subject][recording] = []
            detected[subject][recording] = []
            for camera in range(4):
                pixels = _h36m_pixels(joints, subject, camera)
                exact[subject][recording].append(np.float32(pixels[:length]))
                detected[subject][recording].append(np.float32(pixels + DETECTOR_ERROR))
    _save(folder / 'data_3d_h36m.npz', positions_3d=motion)
    metadata = _h36m_metadata()
    _save(folder / 'data_2d_h36m_gt.npz', positions_2d=exact, metadata=metadata)
    _save(folder / f'data_2d_h36m_{DETECTOR}.npz', positions_2d=detected, metadata=metadata)


def _h36m_metadata() -> dict[str, Any]:
    order = mirror_order('h36m17')
    left = [index for index, name in enumerate(H36M17) if name.startswith('left')]
    right = [order[index] for index in left]
    return dict(layout_name='h36m', num_joints=17, keypoints_symmetry=[left, right])


def _h36m_pixels(joints: np.ndarray, subject: str, camera: int) -> np.ndarray:
    in_camera = world_to_camera(joints, *h36m_cameras.extrinsics(subject, camera))
    normalised = project(in_camera, h36m_cameras.intrinsics(camera))
    width, height = h36m_cameras.SIZES[camera]
    return (normalised + (1, height / width)) * width / 2


def _write_3dhp(folder: Path, frames: int) -> None:
    train = {}
    for index, name in enumerate(TRAIN_3DHP):
        views = {}
        for camera_index, camera in enumerate(CAMERAS_3DHP):
            views[camera] = _view_3dhp(index + camera_index, frames + index, SQUARE_3DHP)
        train[name] = [views, 25.0]
    test = {}
    for index in range(1, 7):
        length = frames + index
        size = WIDE_3DHP if index > 4 else SQUARE_3DHP
        valid = np.float64(np.arange(length) % index == 0)
        test[f'TS{index}'] = dict(_view_3dhp(index, length, size), valid=valid)
    _save(folder / 'data_train_3dhp.npz', data=train)
    _save(folder / 'data_test_3dhp.npz', data=test)


def _view_3dhp(index: int, frames: int, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """2D and 3D joints in one camera."""
    joints = _in_camera(_motion(index, frames)[:, NEAREST])
    assert joints.shape[1] == len(MPI17)
    pixels = joints[..., :2] / joints[..., 2:] * FOCAL_3DHP + np.array(size) / 2
    return dict(data_2d=pixels, data_3d=joints * 1000)


def _write_amass(folder: Path, frames: int) -> None:
    joint_indices = [index for index, name in enumerate(H36M17) if name != 'jaw_mocap']
    sequences = {}
    for index in range(3):
        joints = _in_camera(_motion(index, frames + index))
        pose2d = joints[:, joint_indices, :2] / joints[:, joint_indices, 2:]
        pose3d = joints[:, joint_indices] - joints[:, :1]
        sequences[f'set_{index}'] = dict(
            length=len(joints), pose2d=np.float32(pose2d), pose3d=np.float32(pose3d)
        )
    np.savez(folder / 'amass.npz', poses=np.array(sequences))


def _save(path: Path, **content: dict) -> None:
    """Saves dicts as the released files do: pickled, as arrays without dimensions."""
    arrays: dict[str, Any] = {name: np.array(value) for name, value in content.items()}
    np.savez_compressed(path, **arrays)
