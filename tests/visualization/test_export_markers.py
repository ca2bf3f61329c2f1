"""TRC and C3D read back: by parsers written here after the formats, by hrtk's reader, by ezc3d and c3d."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import torch
from export_parts import FRAMES, TURN, free_body, make_motion

from hrtk.datasets.own.pose2sim_files import read_trc
from hrtk.errors import InputError
from hrtk.visualization.export import to_c3d, to_trc
from hrtk.visualization.export.rigs import marker_names

# Names of Pose2Sim's OpenSim models, and the joint of each.
NAMES = {
    'CHip': 'pelvis',
    'RHip': 'right_hip',
    'LKnee': 'left_knee',
    'RAnkle': 'right_ankle',
    'LBigToe': 'left_big_toe',
    'RSmallToe': 'right_small_toe',
    'LHeel': 'left_heel',
    'Neck': 'neck',
    'Nose': 'nose',
    'REye': 'right_eye',
    'LShoulder': 'left_shoulder',
    'RElbow': 'right_elbow',
    'LWrist': 'left_wrist',
}


def joint_of(motion, name: str) -> np.ndarray:
    """(F, 3) metres, y up, by the body model's double-precision forward kinematics."""
    names = (
        'nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist pelvis right_hip '
        'right_knee right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear left_ear left_big_toe '
        'left_small_toe left_heel right_big_toe right_small_toe right_heel'
    ).split()
    with torch.no_grad():
        joints = free_body().joints(motion.rotmat, motion.betas, 'openpose25')
    points = (joints + motion.translation[:, None]).numpy()[:, names.index(name)]
    return points @ TURN['y-up'].T


def parse_c3d(data: bytes) -> tuple[dict[str, object], np.ndarray]:
    """Parameters by ``GROUP:NAME``, and (frames, points, 4) numbers."""
    start = 512 * (data[0] - 1)
    assert data[1] == 0x50 and data[start + 3] == 84 and len(data) % 512 == 0
    groups: dict[int, str] = {}
    found: dict[str, object] = {}
    place = start + 4
    while data[place]:
        length, number = struct.unpack_from('<bb', data, place)
        name = data[place + 2 : place + 2 + length].decode()
        place += 2 + length
        (offset,) = struct.unpack_from('<H', data, place)
        if number < 0:
            groups[-number] = name
        else:
            kind, dimensions = struct.unpack_from('<bB', data, place + 2)
            shape = data[place + 4 : place + 4 + dimensions]
            count = int(np.prod(list(shape))) if dimensions else 1
            kinds = {-1: 'S1', 2: '<i2', 4: '<f4'}
            values = np.frombuffer(data, kinds[kind], count, place + 4 + dimensions)
            value: object = values.reshape(shape[::-1]) if dimensions else values[0]
            if kind == -1:
                rows = values.reshape(-1, shape[0]) if count else []
                value = [b''.join(x or b' ' for x in row).decode().strip() for row in rows]
            found[f'{groups[number]}:{name}'] = value
        place += offset
    used, frames = found['POINT:USED'], found['POINT:FRAMES']
    header = struct.unpack_from('<BBHHHHHfHHf', data)
    assert header[2:7] == (used, 0, 1, frames, 0) and header[7] == -1 and header[9] == 1
    assert header[8] == found['POINT:DATA_START'] and header[10] == found['POINT:RATE']
    points = np.frombuffer(data, '<f4', frames * used * 4, 512 * (header[8] - 1))
    return found, points.reshape(frames, used, 4)


def test_the_points_of_a_c3d() -> None:
    motion = make_motion()
    found, points = parse_c3d(to_c3d(motion, free_body()))
    assert points.shape == (FRAMES, 25, 4) and not points[..., 3].any()
    assert found['POINT:RATE'] == 12.5 and found['POINT:UNITS'] == ['mm']
    assert found['POINT:X_SCREEN'] == ['+X'] and found['POINT:Y_SCREEN'] == ['+Y']
    assert found['TRIAL:ACTUAL_END_FIELD'].tolist() == [FRAMES, 0]
    labels = found['POINT:LABELS']
    assert labels == list(marker_names()) and len(set(labels)) == 25
    for name, joint in NAMES.items():
        place = points[:, labels.index(name), :3]
        np.testing.assert_allclose(place, 1000 * joint_of(motion, joint), atol=1e-3)


def test_ezc3d_reads_it(tmp_path) -> None:
    ezc3d = pytest.importorskip('ezc3d')
    motion = make_motion()
    path = tmp_path / 'a.c3d'
    path.write_bytes(to_c3d(motion, free_body()))
    content = ezc3d.c3d(str(path))
    point = content['parameters']['POINT']
    assert point['LABELS']['value'] == list(marker_names())
    assert point['RATE']['value'] == [12.5] and point['UNITS']['value'] == ['mm']
    place = content['data']['points'][:3, point['LABELS']['value'].index('LHeel')].T
    np.testing.assert_allclose(place, 1000 * joint_of(motion, 'left_heel'), atol=1e-3)


def test_c3d_reads_it() -> None:
    c3d = pytest.importorskip('c3d')
    motion = make_motion()
    reader = c3d.Reader(io.BytesIO(to_c3d(motion, free_body())))
    labels = [label.strip() for label in reader.point_labels]
    points = np.stack([points for _, points, _ in reader.read_frames()])
    assert labels == list(marker_names()) and reader.point_rate == 12.5
    place = points[:, labels.index('RElbow'), :3]
    np.testing.assert_allclose(place, 1000 * joint_of(motion, 'right_elbow'), atol=1e-3)
    assert (points[:, :, 3] >= 0).all()


def test_the_rows_of_a_trc() -> None:
    motion = make_motion()
    lines = to_trc(motion, free_body()).splitlines()
    header = dict(zip(lines[1].split('\t'), lines[2].split('\t')))
    assert float(header['DataRate']) == 12.5 and header['Units'] == 'm'
    assert (header['NumFrames'], header['NumMarkers']) == (str(FRAMES), '25')
    names = [name for name in lines[3].split('\t')[2:] if name]
    rows = np.array([line.split('\t') for line in lines[5:]], float)
    np.testing.assert_allclose(np.diff(rows[:, 1]), 1 / 12.5, atol=1e-6)
    for name, joint in NAMES.items():
        column = 2 + 3 * names.index(name)
        np.testing.assert_allclose(rows[:, column : column + 3], joint_of(motion, joint), atol=1e-6)


def test_hrtk_reads_its_trc(tmp_path) -> None:
    motion = make_motion()
    (tmp_path / 'a.trc').write_text(to_trc(motion, free_body()))
    markers = read_trc(tmp_path / 'a.trc')
    # A project's world has z up: (x, y, z) of a TRC is (y, z, x) of the world.
    place = markers.points[:, markers.names.index('LWrist')][:, [1, 2, 0]]
    np.testing.assert_allclose(place, joint_of(motion, 'left_wrist'), atol=1e-6)


def test_a_clip_that_c3d_cannot_count() -> None:
    import hrtk.visualization.export.markers as markers

    motion = make_motion()
    most = markers.MOST_FRAMES
    markers.MOST_FRAMES = FRAMES - 1
    try:
        with pytest.raises(InputError, match='counts up to 6 frames, not 7'):
            to_c3d(motion, free_body())
    finally:
        markers.MOST_FRAMES = most
