"""Tiny files of exactly the layouts of 3DPW, Human3.6M, MPI-INF-3DHP, SPIN, BOA, DynaBOA and VIBE.

What they show is the free stream, so the whole path of the official data runs without any of it.
"""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from hrtk.body_models import BodyModel
from hrtk.body_models.skeletons import index_map
from hrtk.datasets import OpenStream
from hrtk.geometry.boxes import boxes_from_diagonal, boxes_from_keypoints
from hrtk.geometry.rotation import axis_angle_to_rotmat, rotmat_to_axis_angle
from hrtk.structures import Sequence
from hrtk.testing.joblib_writer import dump_joblib
from hrtk.testing.smpl_files import write_body_files

GENDERS = ('m', 'f')
MEASURED = list(index_map('spin24_mocap', 'j17'))
WORLD = (0.3, -0.2, 0.1)  # axis-angle of the camera in the world
H36M = ('S9_Directions_1.54138969', 'S9_Directions_1.60457274', 'S11_Walking.60457274')


@dataclasses.dataclass
class Person:
    """A person of the stream in the terms of the files: everything (F, ...), camera frame, metres and px."""

    pictures: list[np.ndarray]
    rotmat: torch.Tensor
    pose: np.ndarray
    betas: np.ndarray
    gender: str
    translation: torch.Tensor
    intrinsics: np.ndarray
    part: np.ndarray
    joints49: np.ndarray
    openpose18: np.ndarray
    S: np.ndarray
    world: tuple[np.ndarray, np.ndarray]  # pose (F, 72) and SMPL's translation (F, 3) in the world
    camera: np.ndarray  # (F, 4, 4) world to camera


def write_official_files(
    root: str | Path, sequences: int = 2, frames: int = 4, size: int = 128, seed: int = 0
) -> Path:
    """Writes everything below a ``data`` folder, at the places that the configs name.

    ``body_models/smpl``, ``spin`` (regressors, mean parameters, pose prior, ``3dpw_test.npz``,
    ``h36m_valid_protocol1.npz`` and ``2``, ``h36m_train.npz``, ``mpi_inf_3dhp_test.npz``), ``boa`` (``3dpw_vid``,
    ``3dpw_ph.npz``), ``dynaboa``, ``vibe/3dpw_test_db.pt``, ``3dpw`` (``sequenceFiles``, ``imageFiles``), ``h36m`` and
    ``mpi_inf_3dhp`` (pictures). Network weights are not written; see :func:`write_checkpoint`.

    Args:
        root: the folder.
        sequences: clips; the first shows two people, a man and a woman.
        frames: of each; the camera of the second person is not aligned in the first of them.
        size: side of the pictures, px.
        seed: of the stream.

    Returns:
        The folder.
    """
    root = Path(root)
    write_body_files(root)
    bodies = {
        gender: BodyModel(
            root / f'body_models/smpl/SMPL_{name}.pkl',
            root / 'spin/J_regressor_extra.npy',
            root / 'spin/J_regressor_h36m.npy',
        )
        for gender, name in (('m', 'MALE'), ('f', 'FEMALE'), ('n', 'NEUTRAL'))
    }
    stream = OpenStream(
        'studio', sequences=sequences, frames=frames, size=size, seed=seed, noise='clean'
    )
    clips = {}
    for index in range(sequences):
        genders = GENDERS if index == 0 else GENDERS[index % 2 : index % 2 + 1]
        clips[f'free_clip_{index:02d}'] = [
            _person(stream[index], bodies, gender) for gender in genders
        ]
    _write_3dpw(root, clips)
    _write_vibe(root, clips, bodies['n'])
    people = [person for group in clips.values() for person in group]
    _write_h36m(root, people)
    _write_3dhp(root, people)
    return root


@torch.no_grad()
def _person(sequence: Sequence, bodies: dict[str, BodyModel], gender: str) -> Person:
    truth, body, frames = sequence.truth, bodies[gender], len(sequence)
    rotmat, betas, translation = truth.rotmat, truth.betas, truth.translation

    def seen(skeleton: str, confidence: float = 1.0) -> np.ndarray:
        points = body.joints(rotmat, betas, skeleton) + translation[:, None]
        xy = (
            points[..., :2] / points[..., 2:] * truth.intrinsics[:, None, :1]
            + truth.intrinsics[:, None, 1:]
        )
        return torch.cat([xy, torch.full_like(xy[..., :1], confidence)], -1).numpy()

    S = body.joints(rotmat, betas, 'spin24_mocap')
    S = torch.cat([S - S[:, 14:15], torch.ones(frames, 24, 1)], -1).numpy()
    turn = axis_angle_to_rotmat(torch.tensor(WORLD))
    shift = torch.tensor([0.5, 1.0, 2.0])
    camera = torch.eye(4).repeat(frames, 1, 1)
    camera[:, :3, :3], camera[:, :3, 3] = turn, shift
    pelvis = body.joints(torch.eye(3).expand(frames, 24, 3, 3), betas, 'smpl24')[:, 0]
    trans = (translation + pelvis - shift) @ turn - pelvis
    pose = rotmat_to_axis_angle(rotmat).flatten(1)
    world = pose.clone()
    world[:, :3] = rotmat_to_axis_angle(turn.T @ rotmat[:, 0])
    return Person(
        [sequence.frames[t] for t in range(frames)],
        rotmat,
        pose.numpy(),
        betas.numpy(),
        gender,
        translation,
        truth.intrinsics.numpy(),
        seen('spin24'),
        seen('spin49'),
        seen('openpose18', 0.9),
        S,
        (world.numpy(), trans.numpy()),
        camera.numpy(),
    )


def _boxes(points: np.ndarray, scale: float = 1.2) -> dict[str, np.ndarray]:
    boxes = boxes_from_keypoints(
        *map(torch.as_tensor, (points[..., :2], points[..., 2])), scale
    ).numpy()
    return dict(center=boxes[:, :2], scale=boxes[:, 2] / 200)


def _write_pictures(folder: Path, person: Person, pattern: str, start: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for t, picture in enumerate(person.pictures):
        cv2.imwrite(str(folder / pattern.format(start + t)), picture[..., ::-1])


def _join(rows: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}


def _write_3dpw(root: Path, clips: dict[str, list[Person]]) -> None:
    """The raw files, SPIN's npz of the test set, BOA's per clip and DynaBOA's per person."""
    sequences, everybody = root / '3dpw/sequenceFiles/test', []
    for folder in (sequences, root / 'boa/3dpw_vid', root / 'dynaboa'):
        folder.mkdir(parents=True, exist_ok=True)
    for clip, people in clips.items():
        _write_pictures(root / '3dpw/imageFiles' / clip, people[0], 'image_{:05d}.jpg')
        (sequences / f'{clip}.pkl').write_bytes(pickle.dumps(_raw_3dpw(clip, people), 2))
        rows = [_row_3dpw(clip, person, valid) for person, valid in zip(people, _valid(people))]
        for number, row in enumerate(rows):
            keys = ('imgname', 'gender', 'center', 'scale', 'pose', 'shape', 'j3d', 'j2d', 'op_j2d')
            np.savez(root / f'dynaboa/3dpw_{clip}_{number}.npz', **{key: row[key] for key in keys})
        joined = _join([{**row, 'smpl_j2d': row['j2d'], 'smpl_j3d': row['j3d']} for row in rows])
        for key in ('j2d', 'j3d', 'op_j2d'):
            joined.pop(key)
        np.savez(root / f'boa/3dpw_vid/{clip}.npz', **joined)
        everybody.append(joined)
    joined = _join(everybody)
    np.savez(
        root / 'spin/3dpw_test.npz',
        **{key: joined[key] for key in ('imgname', 'center', 'scale', 'pose', 'shape', 'gender')},
    )
    np.savez(
        root / 'boa/3dpw_ph.npz',
        **{key: joined[key] for key in ('imgname', 'center', 'scale', 'pose', 'shape', 'part')},
    )


def _valid(people: list[Person]) -> list[np.ndarray]:
    frames = np.arange(len(people[0].pictures))
    return [frames >= (1 if number else 0) for number in range(len(people))]


def _raw_3dpw(clip: str, people: list[Person]) -> dict[str, Any]:
    focal, cx, cy = people[0].intrinsics[0]
    return {
        'sequence': clip,
        'genders': [person.gender for person in people],
        'poses': [person.world[0].astype(np.float64) for person in people],
        'trans': [person.world[1].astype(np.float64) for person in people],
        'betas': [person.betas[0].astype(np.float64) for person in people],
        'poses2d': [person.openpose18.transpose(0, 2, 1).astype(np.float64) for person in people],
        'campose_valid': [valid.astype(np.int64) for valid in _valid(people)],
        'cam_poses': people[0].camera.astype(np.float64),
        'cam_intrinsics': np.array([[focal, 0, cx], [0, focal, cy], [0, 0, 1]], np.float64),
        'img_frame_ids': np.arange(len(people[0].pictures)) * 2,
    }


def _row_3dpw(clip: str, person: Person, valid: np.ndarray) -> dict[str, np.ndarray]:
    count = len(valid)
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
    return {key: value[valid] for key, value in row.items()}


@torch.no_grad()
def _write_vibe(root: Path, clips: dict[str, list[Person]], neutral: BodyModel) -> None:
    rows = []
    for clip, people in clips.items():
        for number, person in enumerate(people):
            count = len(person.pictures)
            points = np.concatenate(
                [person.part[:, :12], person.part[:, 12:14] * [1, 1, 0]], 1
            ).astype(np.float32)
            box = boxes_from_diagonal(
                *map(torch.as_tensor, (points[..., :2], points[..., 2]))
            ).numpy()
            joints = neutral.joints(person.rotmat, torch.as_tensor(person.betas), 'lsp14').numpy()
            rows.append(
                dict(
                    vid_name=np.array([f'{clip}_{number}'] * count),
                    frame_id=np.arange(count),
                    img_name=np.array(
                        [
                            f'/home/author/3dpw/imageFiles/{clip}/image_{t:05d}.jpg'
                            for t in range(count)
                        ]
                    ),
                    joints3D=joints + person.world[1][:, None],
                    joints2D=points,
                    pose=person.pose,
                    shape=person.betas,
                    bbox=np.concatenate([box, box[:, 2:]], 1),
                    valid=_valid(people)[number].astype(np.int64),
                    features=np.zeros((count, 2048), np.float32),
                )
            )
    (root / 'vibe').mkdir(exist_ok=True)
    dump_joblib(_join(rows), root / 'vibe/3dpw_test_db.pt')


def _write_h36m(root: Path, people: list[Person]) -> None:
    rows = []
    for number, clip in enumerate(H36M):
        person = people[number % len(people)]
        names = [f'{clip}_{5 * t + 1:06d}.jpg' for t in range(len(person.pictures))]
        (root / 'h36m/images').mkdir(parents=True, exist_ok=True)
        for name, picture in zip(names, person.pictures):
            cv2.imwrite(str(root / 'h36m/images' / name), picture[..., ::-1])
        known = np.zeros(24, np.float32)
        known[MEASURED] = 1
        part, S = person.part.copy(), person.S.copy()
        part[..., 2], S[..., 3] = known, known
        rows.append(
            dict(
                imgname=np.array([f'images/{name}' for name in names]),
                **_boxes(person.part, 0.9),
                S=S * known[:, None],
                part=part * known[:, None],
                pose=person.pose,
                shape=person.betas,
            )
        )
    tests = [{key: row[key] for key in ('imgname', 'center', 'scale', 'S')} for row in rows]
    np.savez(root / 'spin/h36m_valid_protocol1.npz', **_join(tests))
    np.savez(
        root / 'spin/h36m_valid_protocol2.npz',
        **_join([row for row, clip in zip(tests, H36M) if clip.endswith('60457274')]),
    )
    np.savez(root / 'spin/h36m_train.npz', **_join(rows))


def _write_3dhp(root: Path, people: list[Person]) -> None:
    rows = []
    for number, person in enumerate(people[:2], start=1):
        folder = f'mpi_inf_3dhp_test_set/TS{number}/imageSequence'
        _write_pictures(root / 'mpi_inf_3dhp' / folder, person, 'img_{:06d}.jpg', start=1)
        rows.append(
            dict(
                imgname=np.array(
                    [f'{folder}/img_{t + 1:06d}.jpg' for t in range(len(person.pictures))]
                ),
                **_boxes(person.part),
                part=person.part,
                S=person.S,
            )
        )
    np.savez(root / 'spin/mpi_inf_3dhp_test.npz', **_join(rows))
