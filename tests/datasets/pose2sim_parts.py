"""A project of Pose2Sim written by hand: two cameras, known geometry, text files as Pose2Sim writes them."""

import json

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

F, FPS, SIZE = 12, 20, (160, 120)
# Rows are the axes of the camera (right, down, forward) in a world with z up.
ROTATIONS = {
    'left': np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),
    'side': np.array([[0.0, 1, 0], [0, 0, -1], [-1, 0, 0]]),
}
CENTRES = {'left': np.array([0.1, -4.0, 1.0]), 'side': np.array([4.2, 0.3, 1.1])}
MATRICES = {
    'left': np.array([[110.0, 0, 81], [0, 112, 58], [0, 0, 1]]),
    'side': np.array([[105.0, 0, 78], [0, 105, 61], [0, 0, 1]]),
}
LENSES = {'left': np.array([-0.1, 0.02, 0.001, -0.002]), 'side': np.zeros(4)}
COCO = (
    'Nose LEye REye LEar REar LShoulder RShoulder LElbow RElbow LWrist RWrist LHip RHip LKnee RKnee '
    'LAnkle RAnkle'
).split()
BODY = COCO[5:]
# COCO's points of a standing man, metres, x to his left (he faces -y), z up.
STANDING = np.array(
    [
        [0, -0.1, 1.6],
        [0.03, -0.08, 1.63],
        [-0.03, -0.08, 1.63],
        [0.07, 0, 1.6],
        [-0.07, 0, 1.6],
        [0.18, 0, 1.4],
        [-0.18, 0, 1.4],
        [0.25, 0.05, 1.12],
        [-0.28, 0.05, 1.15],
        [0.26, -0.1, 0.9],
        [-0.3, -0.15, 0.95],
        [0.1, 0, 0.9],
        [-0.1, 0, 0.9],
        [0.12, -0.05, 0.5],
        [-0.11, 0.02, 0.5],
        [0.12, 0, 0.08],
        [-0.12, 0.1, 0.1],
    ]
)


def people(count):
    """(P, F, 17, 3) metres: one man beside the other, both walking."""
    t = np.arange(F) / FPS
    moved = []
    for person in range(count):
        points = np.repeat(STANDING[None], F, 0).copy()
        points[:, 9:11, 2] += 0.2 * np.sin(5 * t)[:, None]
        points[:, [13, 15], 1] += 0.15 * np.sin(6 * t + person)[:, None]
        points[..., 0] += 0.9 * person - 0.3 + 0.2 * t[:, None]
        points[..., 1] += 0.6 * person
        moved.append(points)
    return np.array(moved)


def seen_by(camera, world):
    """Camera-frame points and px of (..., 3) world points, by OpenCV."""
    R = ROTATIONS[camera]
    local = (world - CENTRES[camera]) @ R.T
    rotvec = Rotation.from_matrix(R).as_rotvec()
    pixels = cv2.projectPoints(
        world.reshape(-1, 3), rotvec, -R @ CENTRES[camera], MATRICES[camera], LENSES[camera]
    )[0]
    return local, pixels.reshape(*world.shape[:-1], 2)


def toml():
    """The calibration."""
    lines = []
    for name, R in ROTATIONS.items():
        K = MATRICES[name]
        lines += [
            f'[cam_{name}]',
            f'name = "cam_{name}"',
            f'size = [ {SIZE[0]}.0, {SIZE[1]}.0]',
            f'matrix = [ [ {K[0, 0]}, 0.0, {K[0, 2]}], [ 0.0, {K[1, 1]}, {K[1, 2]}], [ 0.0, 0.0, 1.0]]',
            f'distortions = [ {", ".join(map(str, LENSES[name].tolist()))}]',
            f'rotation = [ {", ".join(map(str, Rotation.from_matrix(R).as_rotvec().tolist()))}]',
            f'translation = [ {", ".join(map(str, (-R @ CENTRES[name]).tolist()))}]',
            'fisheye = false',
            '',
        ]
    return '\n'.join([*lines, '[metadata]', 'adjusted = false', 'error = 0.0', ''])


def trc(points, names, unit='m', first=0):
    """A TRC file: y up, so that a point (X, Y, Z) of the world is written as (Y, Z, X)."""
    scale = {'m': 1, 'mm': 1000}[unit]
    header = [
        'PathFileType\t4\t(X/Y/Z)\tx.trc',
        'DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames',
        f'{FPS}\t{FPS}\t{len(points)}\t{len(names)}\t{unit}\t{FPS}\t{first}\t{len(points)}',
        'Frame#\tTime\t' + '\t\t\t'.join(names) + '\t\t\t',
        '\t\t' + '\t'.join(f'X{i + 1}\tY{i + 1}\tZ{i + 1}' for i in range(len(names))) + '\t',
    ]
    for t, frame in enumerate(points):
        cells = []
        for x, y, z in frame:
            cells += ['', '', ''] if np.isnan(x) else [repr(float(v * scale)) for v in (y, z, x)]
        header.append(f'{t + first}\t{(t + first) / FPS}\t' + '\t'.join(cells))
    return '\n'.join(header) + '\n'


def numbered(t):
    """An image whose top row of squares spells its number in bits."""
    image = np.full((SIZE[1], SIZE[0], 3), 128, np.uint8)
    for bit in range(5):
        image[:20, bit * 24 : bit * 24 + 24] = 255 * (t >> bit & 1)
    return image


def number(image):
    """The number that :func:`numbered` wrote."""
    return sum(int(image[:20, bit * 24 : bit * 24 + 24].mean() > 128) << bit for bit in range(5))


def write_video(path, count=F):
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), FPS, SIZE)
    for t in range(count):
        writer.write(numbered(t))
    writer.release()


def entry(xy, score=0.9):
    """A person of Pose2Sim's json files."""
    points = np.concatenate([xy, np.full((len(xy), 1), score)], axis=1)
    return dict(person_id=[-1], pose_keypoints_2d=points.ravel().tolist())


def write_keypoints(folder, camera, frames):
    """One json file per frame from lists of entries."""
    target = folder / f'{camera}_json'
    target.mkdir(parents=True)
    for t, entries in enumerate(frames):
        (target / f'{camera}_{t:06d}.json').write_text(
            json.dumps(dict(version=1.3, people=entries))
        )


def write_project(root, count=1):
    """A whole project of so many people, in every frame listed from the last to the first in the first camera."""
    world = people(count)
    (root / 'calibration').mkdir(parents=True)
    (root / 'calibration/Calib.toml').write_text(toml())
    (root / 'pose-3d').mkdir()
    for person in range(count):
        suffix = f'_P{person}' if count > 1 else ''
        text = trc(world[person], COCO)
        (root / f'pose-3d/trial{suffix}_0-{F}.trc').write_text(text)
    for camera in ROTATIONS:
        write_video(root / f'videos/cam_{camera}.mp4')
        _, pixels = seen_by(camera, world)
        order = range(count) if camera == 'side' else range(count - 1, -1, -1)
        frames = [[entry(pixels[person, t]) for person in order] for t in range(F)]
        write_keypoints(root / 'pose', f'cam_{camera}', frames)
    return world
