"""The benchmark ``real4``: one man in four calibrated videos, as a project of Pose2Sim.

The videos are ``Demo_SinglePerson`` of the wheel pose2sim 0.10.49, which users download themselves. Calibration, 3D
joints and MediaPipe's points were derived from them and lie in ``assets/real4.npz``; docs/en/real4.md says how they
were made and how good they are. The asset holds F = 100 frames of C = 4 cameras and the 33 points of BlazePose:

=====================  ===============  ================================================================================
key                    shape            content
=====================  ===============  ================================================================================
names                  (33,)            BlazePose's names
cameras                (C,)             names of the videos
xyz                    (F, 33, 3)       float32 metres in the world, z up
error_px               (F, 33)          float16 mean reprojection error over the views that were kept
views                  (F, 33)          int8, their number
fps                    ()               frames per second
image_size             (C, 2)           width and height, px
K, D, R, T             (C, ...)         intrinsics, ``k1 k2 p1 p2``, world to camera, metres
mediapipe_xy           (C, F, 33, 2)    float32 px, MediaPipe 0.10.21 in video mode
mediapipe_visibility   (C, F, 33)       float16
mediapipe_world        (C, F, 33, 3)    float32 metres, camera frame, relative to the middle of the hips
licence                ()               notice
=====================  ===============  ================================================================================
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from hrtk.body_models.skeletons import joint_names
from hrtk.datasets.arrays import read_npz
from hrtk.datasets.own.pose2sim_files import Markers, read_trc, write_calibration, write_trc
from hrtk.datasets.own.sides import SideRepair, exchange_sides
from hrtk.errors import InputError
from hrtk.files import write_atomically, write_text_atomically
from hrtk.geometry.calibrated_camera import CalibratedCamera
from hrtk.reading.hashes import sha256

REAL4 = 'real4'
FILE = Path(__file__).parents[1] / 'assets' / 'real4.npz'
NOTICE = FILE.with_name('LICENSE_Pose2Sim.txt')
TRC = 'pose-3d/real4.trc'
VIDEOS_IN_WHEEL = 'Pose2Sim/Demo_SinglePerson/videos'
VIDEO_HASHES = {
    'cam01': 'cf4f2816c86bea4bfbea255333d8626ff32a3ecabdab8b0fb147cea9167fde3a',
    'cam02': '94ff87cf978b8406e8aa36ab3c5362e72848994e87652f0dc7a33c315e8e0442',
    'cam03': 'b8b329f832f178f27ecb78d024d5026b96c6adb36c387bfe2c0af85eab8a11ca',
    'cam04': 'b5c0e7863fd70d008e7178d3c556b045b0ea5f78fcd61ca548a0b2e807e641f7',
}
KEYS = (
    'names',
    'cameras',
    'xyz',
    'fps',
    'image_size',
    'K',
    'D',
    'R',
    'T',
    'mediapipe_xy',
    'mediapipe_visibility',
    'mediapipe_world',
)
WHEEL = (
    'get the wheel with: pip download --no-deps pose2sim==0.10.49 (51 MB); only its four videos '
    'cam01.mp4 to cam04.mp4 are used'
)
DETECTED = 'mediapipe 0.10.21'
REPROJECTED = 'projected truth'
# The world's joints under hrtk's names: BlazePose's hips are points inside the body as in COCO.
RENAMED = {'hip': 'hip_lsp', 'foot_index': 'big_toe'}
# TRC markers under Pose2Sim's names.
MARKERS = {'foot_index': 'BigToe', 'eye_inner': 'EyeInner', 'eye_outer': 'EyeOuter'}
DECIMALS = 6


def prepare_real4(wheel: str | Path, output: str | Path) -> int:
    """Writes the project folder that :class:`~hrtk.datasets.own.pose2sim.Pose2SimProject` reads.

    The folder holds ``videos`` from the wheel, ``calibration/Calib.toml``, ``pose-3d/real4.trc``, the 2D keypoints
    ``pose-detected`` (MediaPipe's) and ``pose-reprojected`` (of the projected truth), ``joints/mediapipe`` (its world
    landmarks), ``joints/mediapipe_repaired`` (the same after :class:`~hrtk.datasets.own.sides.SideRepair`) and
    ``joints/mean_pose`` (the clip's mean, which knows the truth) in the layout of
    :func:`hrtk.evaluation.stored_joints.read_joints`, and Pose2Sim's licence.

    Args:
        wheel: the wheel pose2sim 0.10.49; the videos of other versions are accepted if they are the same.
        output: the folder.

    Returns:
        The number of videos.

    Raises:
        InputError: the wheel is missing or damaged, or its videos are not those of the ground truth.
    """
    content = read_npz(FILE, KEYS, KEYS, 'install hrtk again')
    cameras = _cameras(content)
    videos = _videos_of_wheel(Path(wheel))
    root = Path(output)
    folders = ['videos', 'calibration', 'pose-3d', 'pose-detected', 'pose-reprojected']
    for folder in [*folders, 'joints/mediapipe', 'joints/mediapipe_repaired', 'joints/mean_pose']:
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name, data in videos.items():
        _write_bytes(root / 'videos' / f'{name}.mp4', data)
    write_text_atomically(root / NOTICE.name, NOTICE.read_text(encoding='utf-8'))
    write_calibration(root / 'calibration' / 'Calib.toml', cameras)
    frames = np.arange(len(content['xyz']))
    names = tuple(_marker(str(name)) for name in content['names'])
    write_trc(root / TRC, Markers(names, frames, content['xyz'], float(content['fps'])))
    for index, camera in enumerate(cameras):
        _write_view(root, content, index, camera)
    return len(videos)


def check_real4(path: Path) -> str:
    """Checks a prepared folder: the hashes of its videos, and that the 3D joints can be read.

    Raises:
        InputError: a file is missing or is not what it should be.
    """
    remedy = f'run tools/prepare_dataset.py real4 again; {WHEEL}'
    for name, expected in VIDEO_HASHES.items():
        video = path / 'videos' / f'{name}.mp4'
        if not video.is_file():
            raise InputError(f'{video}: there is no such video; {remedy}')
        if sha256(video) != expected:
            raise InputError(f'{video}: not the video of the ground truth; {remedy}')
    markers = read_trc(path / TRC)
    return f'{len(VIDEO_HASHES)} videos, {len(markers.frames)} frames'


def _videos_of_wheel(wheel: Path) -> dict[str, bytes]:
    """The content of the four videos, with the expected hashes."""
    if not wheel.is_file():
        raise InputError(f'{wheel}: there is no such wheel; {WHEEL}')
    videos = {}
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name in VIDEO_HASHES:
                videos[name] = archive.read(f'{VIDEOS_IN_WHEEL}/{name}.mp4')
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise InputError(
            f'{wheel}: not a wheel of Pose2Sim with {VIDEOS_IN_WHEEL}, or damaged ({error}); {WHEEL}'
        ) from error
    for name, data in videos.items():
        found = hashlib.sha256(data).hexdigest()
        if found != VIDEO_HASHES[name]:
            raise InputError(
                f'{wheel}: {name}.mp4 has the hash {found[:12]}..., the ground truth was made on '
                f'{VIDEO_HASHES[name][:12]}...; {WHEEL}'
            )
    return videos


def _write_bytes(path: Path, data: bytes) -> None:
    write_atomically(path, lambda file: file.write(data))


def _cameras(content: dict[str, np.ndarray]) -> list[CalibratedCamera]:
    cameras = []
    for index, name in enumerate(content['cameras']):
        width, height = content['image_size'][index].tolist()
        cameras.append(
            CalibratedCamera(
                str(name),
                (width, height),
                content['K'][index],
                np.append(content['D'][index], 0.0),
                content['R'][index],
                content['T'][index],
            )
        )
    return cameras


def _write_view(
    root: Path, content: dict[str, np.ndarray], index: int, camera: CalibratedCamera
) -> None:
    """Keypoints and stored joints of one camera."""
    names = [_joint(str(name)) for name in content['names']]
    coco = [names.index(name) for name in joint_names('coco17')]
    local = camera.to_camera(np.float64(content['xyz']))
    projected = camera.project(local)
    detected = content['mediapipe_xy'][index]
    visibility = np.float64(content['mediapipe_visibility'][index])
    file = f'{camera.name}.json'
    _write_keypoints(
        root / 'pose-detected' / file, camera, detected[:, coco], visibility[:, coco], DETECTED
    )
    ones = np.ones((len(local), len(coco)))
    _write_keypoints(
        root / 'pose-reprojected' / file, camera, projected[:, coco], ones, REPROJECTED
    )
    file = f'{camera.name}_person1.json'
    world = content['mediapipe_world'][index]
    path = root / 'joints/mediapipe' / file
    _write_joints(path, names, 'crop', xyz=world, uv=detected)
    points = np.concatenate([detected, visibility[..., None]], axis=-1)
    sides = SideRepair().find(points, names, float(content['fps']), landmarks3d=world)
    path = root / 'joints/mediapipe_repaired' / file
    _write_joints(
        path,
        names,
        'crop',
        xyz=exchange_sides(world, names, sides.exchanged),
        uv=exchange_sides(detected, names, sides.exchanged),
    )
    body = [names.index(name) for name in joint_names('body12')]
    joints = local[:, body]
    hips = [names.index(f'{side}_hip_lsp') for side in ('left', 'right')]
    joints = joints - local[:, hips].mean(1, keepdims=True)
    mean = np.broadcast_to(joints.mean(0), joints.shape)
    path = root / 'joints/mean_pose' / file
    _write_joints(path, list(joint_names('body12')), 'camera', xyz=mean)


def _write_keypoints(
    path: Path, camera: CalibratedCamera, xy: np.ndarray, scores: np.ndarray, source: str
) -> None:
    """Writes (F, 17, 2) px and (F, 17) scores of one person in hrtk's layout of rtmlib's output."""
    frames = []
    for positions, confidence in zip(xy, scores):
        frames.append(
            dict(
                keypoints=[_rounded(positions, 3)],
                scores=[_rounded(confidence, 3)],
                persons=[1],
            )
        )
    content = dict(skeleton='coco17', source=source, size=list(camera.size), frames=frames)
    write_text_atomically(path, json.dumps(content))


def _write_joints(path: Path, names: list[str], axes: str, **positions: np.ndarray) -> None:
    """Writes ``xyz`` (F, J, 3) metres and perhaps ``uv`` (F, J, 2) px, of all frames in order.

    ``axes`` are those of :class:`~hrtk.evaluation.stored_joints.StoredJoints`.
    """
    count = len(positions['xyz'])
    content: dict[str, Any] = dict(
        name=path.stem,
        joints=names,
        axes=axes,
        frame_ids=[f'{frame:06d}' for frame in range(count)],
    )
    for key, values in positions.items():
        content[key] = _rounded(values, DECIMALS)
    write_text_atomically(path, json.dumps(content))


def _rounded(values: np.ndarray, decimals: int) -> list:
    return np.float64(values).round(decimals).tolist()


def _joint(name: str) -> str:
    """hrtk's name of a point of BlazePose."""
    side, _, part = name.partition('_')
    return f'{side}_{RENAMED[part]}' if part in RENAMED else name


def _marker(name: str) -> str:
    """Pose2Sim's name of a point of BlazePose: ``left_shoulder`` is ``LShoulder``."""
    words = name.split('_')
    if words[0] == 'mouth':
        words.reverse()
    if words[0] not in ('left', 'right'):
        return name.capitalize()
    part = '_'.join(words[1:])
    return words[0][0].upper() + MARKERS.get(part, part.capitalize())
