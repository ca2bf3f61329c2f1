"""Tiny files in the layouts of 3DPW, Human3.6M, MPI-INF-3DHP, SPIN, BOA, DynaBOA and VIBE.

Their content is the free stream, so the complete pipeline of the official data runs without any official file.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from hrtk.body_models import BodyModel
from hrtk.body_models.skeletons import index_map
from hrtk.datasets import OpenStream
from hrtk.geometry.boxes import boxes_from_diagonal, boxes_from_keypoints
from hrtk.geometry.rotation import axis_angle_to_rotmat, rotmat_to_axis_angle
from hrtk.structures import Sequence
from hrtk.testing.joblib_writer import dump_joblib
from hrtk.testing.python2_pickle import dump_python2
from hrtk.testing.smpl_files import VERTICES, write_body_files

GENDERS = ('m', 'f')
BODY_FILES = {'m': 'MALE', 'f': 'FEMALE', 'n': 'NEUTRAL'}
MEASURED = list(index_map('spin24_mocap', 'j17'))  # joints that Human3.6M measures
CAMERA_IN_WORLD = (0.3, -0.2, 0.1)  # axis-angle
CAMERA_SHIFT = (0.5, 1.0, 2.0)  # m
BETAS = (10, 300)  # of the first and the second person; the body of a person uses ten
H36M_CLIPS = ('S9_Directions_1.54138969', 'S9_Directions_1.60457274', 'S11_Walking.60457274')
H36M_FRONTAL = '60457274'  # the camera of protocol 2
H36M_STEP = 5  # frames between two images
VIBE_FOLDER = '/home/author/3dpw/imageFiles'
VIBE_3DHP = '/home/author/mpi_inf_3dhp'
MEASURED49 = slice(25, 39)  # the joints of spin49 that 3DHP measures: LSP's 14

SPIN_KEYS = ('imgname', 'center', 'scale', 'pose', 'shape', 'gender')
BOA_KEYS = ('imgname', 'center', 'scale', 'pose', 'shape', 'part')
DYNABOA_KEYS = ('imgname', 'gender', 'center', 'scale', 'pose', 'shape', 'j3d', 'j2d', 'op_j2d')
H36M_TEST_KEYS = ('imgname', 'center', 'scale', 'S')

Arrays = dict[str, np.ndarray]


@dataclasses.dataclass
class Person:
    """A person of the stream in the terms of the files: F frames, camera coordinates, metres and px.

    Attributes:
        images: F images, RGB.
        valid: (F,) bool, False where 3DPW's camera is not aligned.
        gender: ``'m'`` or ``'f'``.
        rotmat: (F, 24, 3, 3).
        pose: (F, 72) axis-angle.
        betas: (F, 10).
        intrinsics: (F, 3) focal length and principal point.
        part: (F, 24, 3) ``spin24`` keypoints with confidences.
        joints49: (F, 49, 3) ``spin49`` keypoints with confidences.
        openpose18: (F, 18, 3) keypoints with confidences.
        S: (F, 24, 4) ``spin24_mocap`` joints relative to the pelvis, with confidences.
        world_pose: (F, 72) axis-angle in the world.
        world_translation: (F, 3) SMPL's translation in the world.
        camera: (F, 4, 4) world to camera.
    """

    images: list[np.ndarray]
    valid: np.ndarray
    gender: str
    rotmat: Tensor
    pose: np.ndarray
    betas: np.ndarray
    intrinsics: np.ndarray
    part: np.ndarray
    joints49: np.ndarray
    openpose18: np.ndarray
    S: np.ndarray
    world_pose: np.ndarray
    world_translation: np.ndarray
    camera: np.ndarray

    def __len__(self) -> int:
        return len(self.images)


def write_official_files(
    root: str | Path, sequences: int = 2, frames: int = 4, size: int = 128, seed: int = 0
) -> Path:
    """Writes everything below a ``data`` folder, under the paths that the configs name.

    ``body_models/smpl``, ``spin`` (regressors, mean parameters, pose prior, ``3dpw_test.npz``,
    ``h36m_valid_protocol1.npz`` and ``2``, ``h36m_train.npz``, ``mpi_inf_3dhp_test.npz``), ``boa`` (``3dpw_vid``,
    ``3dpw_ph.npz``), ``dynaboa``, ``vibe`` (``3dpw_test_db.pt``, ``3dpw_val_db.pt``, ``mpii3d_train_db.pt``), ``3dpw``
    (``sequenceFiles``, ``imageFiles``), and ``h36m``, ``mpi_inf_3dhp`` and ``mpi_inf_3dhp_train`` (images). Network
    weights are not written; see :func:`write_checkpoint`.

    Args:
        root: the folder.
        sequences: number of clips; the first shows two people, a man and a woman.
        frames: of each clip; the camera of the second person is not aligned in the first of them.
        size: side of the images, px.
        seed: of the stream.

    Returns:
        The folder.
    """
    root = Path(root)
    write_body_files(root)
    bodies = {gender: _load_body(root, name) for gender, name in BODY_FILES.items()}
    stream = OpenStream(
        'studio', sequences=sequences, frames=frames, size=size, seed=seed, noise='clean'
    )
    clips = {}
    for index in range(sequences):
        people = [_person(stream[index], bodies, gender) for gender in _genders(index)]
        for person in people[1:]:
            person.valid[0] = False
        clips[f'free_clip_{index:02d}'] = people
    _write_3dpw(root, clips)
    _write_vibe(root, clips, bodies['n'])
    all_people = [person for people in clips.values() for person in people]
    _write_h36m(root, all_people)
    _write_3dhp(root, all_people)
    return root


def _load_body(root: Path, name: str) -> BodyModel:
    return BodyModel(
        root / f'body_models/smpl/SMPL_{name}.pkl',
        root / 'spin/J_regressor_extra.npy',
        root / 'spin/J_regressor_h36m.npy',
    )


def _genders(clip: int) -> tuple[str, ...]:
    """The genders of the people in a clip."""
    if clip == 0:
        return GENDERS
    return (GENDERS[clip % 2],)


@torch.no_grad()
def _person(sequence: Sequence, bodies: dict[str, BodyModel], gender: str) -> Person:
    truth = sequence.truth
    if truth is None or truth.rotmat is None or truth.betas is None:
        raise ValueError('the stream has no ground truth of bodies')
    if truth.translation is None or truth.intrinsics is None:
        raise ValueError('the stream has no ground truth of cameras')
    rotmat = truth.rotmat
    betas = truth.betas
    translation = truth.translation
    intrinsics = truth.intrinsics
    body = bodies[gender]
    frames = len(sequence)

    def keypoints(skeleton: str, confidence: float = 1.0) -> np.ndarray:
        joints = body.joints(rotmat, betas, skeleton) + translation[:, None]
        return _pixels(joints, intrinsics, confidence)

    mocap = body.joints(rotmat, betas, 'spin24_mocap')
    mocap = mocap - mocap[:, 14:15]
    world_pose, world_translation, camera = _in_world(body, rotmat, betas, translation)
    return Person(
        images=[sequence.frames[t] for t in range(frames)],
        valid=np.ones(frames, bool),
        gender=gender,
        rotmat=rotmat,
        pose=rotmat_to_axis_angle(rotmat).flatten(1).numpy(),
        betas=betas.numpy(),
        intrinsics=intrinsics.numpy(),
        part=keypoints('spin24'),
        joints49=keypoints('spin49'),
        openpose18=keypoints('openpose18', confidence=0.9),
        S=torch.cat([mocap, torch.ones(frames, 24, 1)], -1).numpy(),
        world_pose=world_pose.numpy(),
        world_translation=world_translation.numpy(),
        camera=camera.numpy(),
    )


def _pixels(joints: Tensor, intrinsics: Tensor, confidence: float) -> np.ndarray:
    """(F, K, 3) projected joints in px, with a confidence."""
    focal = intrinsics[:, None, :1]
    center = intrinsics[:, None, 1:]
    xy = joints[..., :2] / joints[..., 2:] * focal + center
    return torch.cat([xy, torch.full_like(xy[..., :1], confidence)], -1).numpy()


def _in_world(
    body: BodyModel, rotmat: Tensor, betas: Tensor, translation: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Poses (F, 72) and SMPL's translations (F, 3) in the world, and its cameras (F, 4, 4), world to camera."""
    frames = len(rotmat)
    rotation = axis_angle_to_rotmat(torch.tensor(CAMERA_IN_WORLD))
    shift = torch.tensor(CAMERA_SHIFT)
    camera = torch.eye(4).repeat(frames, 1, 1)
    camera[:, :3, :3] = rotation
    camera[:, :3, 3] = shift
    # SMPL rotates a body about its pelvis and then translates it.
    pelvis = body.joints(torch.eye(3).expand(frames, 24, 3, 3), betas, 'smpl24')[:, 0]
    world_translation = (translation + pelvis - shift) @ rotation - pelvis
    pose = rotmat_to_axis_angle(rotmat).flatten(1)
    pose[:, :3] = rotmat_to_axis_angle(rotation.T @ rotmat[:, 0])
    return pose, world_translation, camera


def _write_3dpw(root: Path, clips: dict[str, list[Person]]) -> None:
    """The official files, SPIN's npz of the test set, BOA's per clip and DynaBOA's per person."""
    sequence_files = root / '3dpw/sequenceFiles/test'
    for folder in (sequence_files, root / 'boa/3dpw_vid', root / 'dynaboa'):
        folder.mkdir(parents=True, exist_ok=True)
    clip_rows = []
    for number, (clip, people) in enumerate(clips.items()):
        _write_images(root / '3dpw/imageFiles' / clip, people[0], 'image_{:05d}.jpg')
        dump_python2(_sequence_file(clip, people), sequence_files / f'{clip}.pkl')
        boa_rows = []
        for index, person in enumerate(people):
            row = _row_3dpw(clip, person)
            _save(root / f'dynaboa/3dpw_{number}_{index}.npz', _dynaboa_row(row))
            boa_rows.append(_boa_row(row))
        joined = _join(boa_rows)
        _save(root / f'boa/3dpw_vid/{clip}.npz', joined)
        clip_rows.append(joined)
    joined = _join(clip_rows)
    _save(root / 'spin/3dpw_test.npz', _select(joined, SPIN_KEYS))
    _save(root / 'boa/3dpw_ph.npz', _select(joined, BOA_KEYS))


def _sequence_file(clip: str, people: list[Person]) -> dict[str, Any]:
    """The content of an official file of 3DPW, with the keys that nobody reads."""
    camera = people[0]
    count = len(camera)
    focal, cx, cy = camera.intrinsics[0]
    return {
        'sequence': clip,
        'genders': [person.gender for person in people],
        'poses': [person.world_pose.astype(np.float64) for person in people],
        'trans': [person.world_translation.astype(np.float64) for person in people],
        'betas': [_padded(person.betas[0], size) for person, size in zip(people, BETAS)],
        'poses2d': [person.openpose18.transpose(0, 2, 1).astype(np.float64) for person in people],
        'campose_valid': [person.valid.astype(np.int64) for person in people],
        'cam_poses': camera.camera.astype(np.float64),
        'cam_intrinsics': np.array([[focal, 0, cx], [0, focal, cy], [0, 0, 1]], np.float64),
        'img_frame_ids': np.arange(count) * 2,
        'poses_60Hz': [np.repeat(person.world_pose, 2, axis=0) for person in people],
        'trans_60Hz': [np.repeat(person.world_translation, 2, axis=0) for person in people],
        'jointPositions': [np.zeros((count, 72)) for _ in people],
        'v_template_clothed': [np.zeros((VERTICES, 3)) for _ in people],
        'betas_clothed': [person.betas[0].astype(np.float64) for person in people],
        'texture_maps': [np.zeros((4, 4, 3), np.uint8) for _ in people],
    }


def _row_3dpw(clip: str, person: Person) -> Arrays:
    """The valid frames of a person, under the keys of DynaBOA."""
    count = len(person)
    detected = person.joints49.copy()
    detected[:, 25:] = 0
    row = dict(
        imgname=np.array([f'imageFiles/{clip}/image_{t:05d}.jpg' for t in range(count)]),
        gender=np.array([person.gender] * count),
        **_boxes(person.joints49),
        pose=person.pose,
        shape=person.betas,
        part=person.part,
        j2d=person.joints49,
        op_j2d=detected,
        j3d=np.zeros((count, 49, 3), np.float32),
    )
    return {key: value[person.valid] for key, value in row.items()}


def _dynaboa_row(row: Arrays) -> Arrays:
    """The same with the boxes of DynaBOA's script, which does not enlarge them."""
    return _select(dict(row, **_boxes(row['j2d'], scale=1.0)), DYNABOA_KEYS)


def _padded(values: np.ndarray, count: int) -> np.ndarray:
    """(count,) float64, zeros after the values."""
    padded = np.zeros(count)
    padded[: len(values)] = values
    return padded


def _boa_row(row: Arrays) -> Arrays:
    """The same under the keys of BOA."""
    renamed = dict(row, smpl_j2d=row['j2d'], smpl_j3d=row['j3d'])
    for key in ('j2d', 'j3d', 'op_j2d'):
        renamed.pop(key)
    return renamed


def _write_vibe(root: Path, clips: dict[str, list[Person]], neutral: BodyModel) -> None:
    test = []
    validation = []
    training: list[Arrays] = []
    for clip, people in clips.items():
        for index, person in enumerate(people):
            row = _row_vibe(clip, index, person, neutral)
            names = np.array([f'validation_{name}' for name in row['vid_name']])
            test.append(row)
            validation.append(dict(row, vid_name=names))
            training.append(_row_vibe_3dhp(root, len(training) + 1, person, row['bbox'], neutral))
    (root / 'vibe').mkdir(exist_ok=True)
    dump_joblib(_join(test), root / 'vibe/3dpw_test_db.pt')
    dump_joblib(_join(validation), root / 'vibe/3dpw_val_db.pt')
    dump_joblib(_join(training), root / 'vibe/mpii3d_train_db.pt')


@torch.no_grad()
def _row_vibe_3dhp(
    root: Path, subject: int, person: Person, bbox: np.ndarray, neutral: BodyModel
) -> Arrays:
    """A video of 3DHP's training set, with its images: joints around the pelvis and no body."""
    count = len(person)
    video = f'S{subject}/Seq1/imageFrames/video_0'
    _write_images(root / 'mpi_inf_3dhp_train' / video, person, 'frame_{:06d}.jpg', start=1)
    joints = neutral.joints(person.rotmat, torch.as_tensor(person.betas), 'spin49').numpy()
    joints2d = np.zeros((count, 49, 3), np.float32)
    joints2d[:, MEASURED49] = person.joints49[:, MEASURED49]
    joints3d = np.zeros((count, 49, 3), np.float32)
    pelvis = joints[:, 27:29].mean(1, keepdims=True)
    joints3d[:, MEASURED49] = joints[:, MEASURED49] - pelvis
    names = [f'{VIBE_3DHP}/{video}/frame_{t + 1:06d}.jpg' for t in range(count)]
    return dict(
        vid_name=np.array([f'S{subject}_Seq1_video_0'] * count),
        frame_id=np.arange(count),
        img_name=np.array(names),
        joints3D=joints3d,
        joints2D=joints2d,
        bbox=bbox,
        features=np.zeros((count, 2048), np.float32),
    )


@torch.no_grad()
def _row_vibe(clip: str, index: int, person: Person, neutral: BodyModel) -> Arrays:
    count = len(person)
    limbs = person.part[:, :12]
    head = person.part[:, 12:14] * [1, 1, 0]
    keypoints = np.concatenate([limbs, head], 1).astype(np.float32)
    xy = torch.as_tensor(keypoints[..., :2])
    confidence = torch.as_tensor(keypoints[..., 2])
    box = boxes_from_diagonal(xy, confidence).numpy()
    joints = neutral.joints(person.rotmat, torch.as_tensor(person.betas), 'lsp14').numpy()
    return dict(
        vid_name=np.array([f'{clip}_{index}'] * count),
        frame_id=np.arange(count),
        img_name=np.array([f'{VIBE_FOLDER}/{clip}/image_{t:05d}.jpg' for t in range(count)]),
        joints3D=joints + person.world_translation[:, None],
        joints2D=keypoints,
        pose=person.pose,
        shape=person.betas,
        bbox=np.concatenate([box, box[:, 2:]], 1),
        valid=person.valid.astype(np.int64),
        features=np.zeros((count, 2048), np.float32),
    )


def _write_h36m(root: Path, people: list[Person]) -> None:
    rows = []
    protocol1 = []
    protocol2 = []
    for index, clip in enumerate(H36M_CLIPS):
        person = people[index % len(people)]
        _write_images(root / 'h36m/images', person, clip + '_{:06d}.jpg', 1, H36M_STEP)
        row = _row_h36m(clip, person)
        test = _select(row, H36M_TEST_KEYS)
        rows.append(row)
        protocol1.append(test)
        if clip.endswith(H36M_FRONTAL):
            protocol2.append(test)
    _save(root / 'spin/h36m_valid_protocol1.npz', _join(protocol1))
    _save(root / 'spin/h36m_valid_protocol2.npz', _join(protocol2))
    _save(root / 'spin/h36m_train.npz', _join(rows))


def _row_h36m(clip: str, person: Person) -> Arrays:
    """All frames of a person; joints that Human3.6M does not measure are 0."""
    measured = np.zeros(24, np.float32)
    measured[MEASURED] = 1
    part = person.part.copy()
    part[..., 2] = measured
    joints = person.S.copy()
    joints[..., 3] = measured
    numbers = [1 + H36M_STEP * t for t in range(len(person))]
    names = [f'images/{clip}_{number:06d}.jpg' for number in numbers]
    return dict(
        imgname=np.array(names),
        **_boxes(person.part, 0.9),
        S=joints * measured[:, None],
        part=part * measured[:, None],
        pose=person.pose,
        shape=person.betas,
    )


def _write_3dhp(root: Path, people: list[Person]) -> None:
    rows = []
    for index, person in enumerate(people[:2], start=1):
        folder = f'mpi_inf_3dhp_test_set/TS{index}/imageSequence'
        _write_images(root / 'mpi_inf_3dhp' / folder, person, 'img_{:06d}.jpg', start=1)
        names = [f'{folder}/img_{t + 1:06d}.jpg' for t in range(len(person))]
        rows.append(
            dict(imgname=np.array(names), **_boxes(person.part), part=person.part, S=person.S)
        )
    _save(root / 'spin/mpi_inf_3dhp_test.npz', _join(rows))


def _boxes(keypoints: np.ndarray, scale: float = 1.2) -> Arrays:
    """Boxes around (F, K, 3) keypoints in SPIN's convention, which divides sides by 200 px."""
    xy = torch.as_tensor(keypoints[..., :2])
    confidence = torch.as_tensor(keypoints[..., 2])
    boxes = boxes_from_keypoints(xy, confidence, scale).numpy()
    return dict(center=boxes[:, :2], scale=boxes[:, 2] / 200)


def _write_images(
    folder: Path, person: Person, pattern: str, start: int = 0, step: int = 1
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for t, image in enumerate(person.images):
        cv2.imwrite(str(folder / pattern.format(start + step * t)), image[..., ::-1])


def _join(rows: list[Arrays]) -> Arrays:
    joined = {}
    for key in rows[0]:
        joined[key] = np.concatenate([row[key] for row in rows])
    return joined


def _select(row: Arrays, keys: tuple[str, ...]) -> Arrays:
    return {key: row[key] for key in keys}


def _save(path: Path, arrays: Arrays) -> None:
    keywords: dict[str, Any] = dict(arrays)
    np.savez(path, **keywords)
