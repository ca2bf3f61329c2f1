"""Tiny clips in SURREAL's layout and MPII's annotation file, written from the facts of the official projects.

SURREAL: datageneration/misc of the official project has the chain from pose to pixels, which is written out here with
scipy: the root is turned by ``zrot`` about z and by 90 degrees about x, and the camera, whose matrix is a reflection,
sees joints at ``K [R | -R camLoc] joints3D``, in whole pixels. Images and segmentations are rasterised through the same
camera, as Blender does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import scipy.io
import torch
from scipy.spatial.transform import Rotation

from hrtk.body_models import BodyModel
from hrtk.silhouettes.raster import rasterize

SURREAL_SIZE = (240, 320)
SURREAL_CAMERA = np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])  # determinant -1
SURREAL_INTRINSICS = np.array([[600.0, 0, 160], [0, 600, 120], [0, 0, 1]])
MPII_IDS = 16


def write_surreal(
    root: str | Path,
    bodies: dict[str, str | Path],
    split: str = 'train',
    clips: int = 2,
    frames: int = 3,
    seed: int = 0,
) -> list[Path]:
    """Writes clips below ``<root>/cmu/<split>/run<r>/<sequence>``; their genders alternate, female first.

    Every vertex of a body is painted with the number of the joint that moves it most: parts 1 to 24 in the
    segmentation, a grey level of ten times the part in the image.

    Args:
        root: the folder that holds ``cmu``.
        bodies: ``male`` and ``female``, body files.
        split: ``'train'``, ``'val'`` or ``'test'``.
        clips: number of clips, one in every run in turn.
        frames: of each clip.
        seed: of poses, shapes, places and turns.

    Returns:
        The paths of the clips without endings.
    """
    stems = []
    for index in range(clips):
        rng = np.random.default_rng([seed, index])
        sequence = f'{index + 1:02d}_01'
        stem = Path(root) / 'cmu' / split / f'run{index % 3}' / sequence / f'{sequence}_c0001'
        stem.parent.mkdir(parents=True, exist_ok=True)
        gender = index % 2
        body = BodyModel(bodies[('female', 'male')[gender]])
        info, images, parts = _clip(body, frames, rng)
        info.update(
            gender=np.full((frames, 1), gender, np.uint8),
            sequence=stem.name,
            source='cmu',
            clipNo=1.0,
            stride=np.uint8(50),
        )
        scipy.io.savemat(f'{stem}_info.mat', info, do_compression=True)
        segmentations = {f'segm_{t + 1}': part for t, part in enumerate(parts)}
        scipy.io.savemat(f'{stem}_segm.mat', segmentations, do_compression=True)
        _write_video(Path(f'{stem}.mp4'), images)
        stems.append(stem)
    return stems


@torch.no_grad()
def _clip(
    body: BodyModel, frames: int, rng: np.random.Generator
) -> tuple[dict[str, Any], list[np.ndarray], list[np.ndarray]]:
    """The annotation, images and segmentations of a clip."""
    pose = np.zeros((frames, 24, 3))
    pose[:, 1:] = 0.2 * rng.normal(size=(1, 23, 3)) + 0.03 * rng.normal(size=(frames, 23, 3))
    # MoSh's bodies stand along z: a quarter turn about x, and any about z.
    stand = Rotation.from_euler('x', 90, degrees=True)
    turn = Rotation.from_euler('z', rng.uniform(0, 360), degrees=True)
    pose[:, 0] = (turn * stand).as_rotvec()
    zrot = rng.uniform(-np.pi, np.pi)
    betas = rng.normal(size=10) * 0.5
    root = Rotation.from_euler('x', 90, degrees=True) * Rotation.from_euler('z', zrot)
    rotations = Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix().reshape(frames, 24, 3, 3)
    rotations[:, 0] = root.as_matrix() @ rotations[:, 0]
    rotmat = torch.from_numpy(rotations).float()
    shape = torch.from_numpy(betas).float().expand(frames, 10)
    place = np.array([0.0, -1.0, 0.0]) + 0.1 * rng.normal(size=3)
    location = np.array([6.5 + rng.uniform(0, 1), place[1], place[2]]) + 0.05 * rng.normal(size=3)
    vertices = body(rotmat, shape).vertices.double().numpy() + place
    joints = body.joints(rotmat, shape, 'smpl24').double().numpy() + place
    images = []
    parts = []
    part_of_vertex = np.asarray(body.data.weights).argmax(1) + 1
    part_of_face = part_of_vertex[body.faces.numpy()[:, 0]]
    for points in vertices:
        seen = _project(points, location)
        seen[:, :2] -= 0.5  # the rasteriser's first pixel has its centre at 0
        face = rasterize(seen.astype(np.float32), body.faces.numpy(), *SURREAL_SIZE).face
        part = np.where(face < 0, 0, part_of_face[face.clip(0)]).astype(np.uint8)
        parts.append(part)
        images.append(np.repeat((10 * part)[..., None], 3, 2))
    joints2d = np.stack([np.round(_project(points, location)[:, :2]) for points in joints])
    info = dict(
        pose=pose.reshape(frames, 72).T.astype(np.float32),
        shape=np.repeat(betas[:, None], frames, 1).astype(np.float32),
        zrot=np.full((frames, 1), zrot, np.float32),
        camLoc=location[:, None].astype(np.float32),
        camDist=np.float32(location[0]),
        joints3D=joints.transpose(2, 1, 0).astype(np.float32),
        joints2D=joints2d.transpose(2, 1, 0).astype(np.float32),
    )
    return info, images, parts


def _project(points: np.ndarray, location: np.ndarray) -> np.ndarray:
    """(N, 3) world points -> (N, 3) px from the corner of the image, and depth, through the reflecting camera."""
    seen = (points - location) @ SURREAL_CAMERA.T
    pixels = seen @ SURREAL_INTRINSICS.T
    return np.concatenate([pixels[:, :2] / pixels[:, 2:], seen[:, 2:]], 1)


def _write_video(path: Path, images: list[np.ndarray]) -> None:
    height, width = SURREAL_SIZE
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'mp4v'), 30, (width, height))
    for image in images:
        writer.write(image[..., ::-1])
    writer.release()


def write_mpii(
    file: str | Path, image_root: str | Path, images: int = 3, seed: int = 0, size: int = 160
) -> np.ndarray:
    """Writes ``mpii_human_pose_v1_u12_1.mat`` and its images, grey with a white dot at every joint.

    Image 0 shows two people, of whom the second lacks a joint; the last image is one of the test set, without joints.

    Args:
        file: the annotation file.
        image_root: the folder that gets ``images``.
        images: number of images, at least 2.
        seed: of the joints.
        size: of the images, px.

    Returns:
        (images - 1, 16, 2) joints of the people that have all, px, in the order of MPII's ids.
    """
    rng = np.random.default_rng(seed)
    folder = Path(image_root) / 'images'
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    complete = []
    for index in range(images):
        name = f'{15601864 + index:09d}.jpg'
        joints = rng.integers(size // 5, size * 4 // 5, (MPII_IDS, 2)).astype(np.float64)
        picture = np.full((size, size, 3), 90, np.uint8)
        people = [_mpii_person(joints, range(MPII_IDS))]
        is_test = index == images - 1
        if is_test:
            people = [dict(scale=1.0, objpos=dict(x=5.0, y=5.0))]
        else:
            complete.append(joints)
            for x, y in joints.astype(int):
                picture[y - 1 : y + 2, x - 1 : x + 2] = 255
        if index == 0:
            people.append(_mpii_person(joints[::-1], range(1, MPII_IDS)))
        cv2.imwrite(str(folder / name), picture)
        entries.append(dict(image=dict(name=name), annorect=_structs(people)))
    training = np.ones((1, images), np.uint8)
    training[0, -1] = 0
    release = dict(annolist=_structs(entries), img_train=training, version='12')
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(file, dict(RELEASE=release))
    return np.stack(complete)


def _mpii_person(joints: np.ndarray, ids: range) -> dict[str, Any]:
    points = [dict(x=joints[i, 0], y=joints[i, 1], id=float(i), is_visible='1') for i in ids]
    low = joints.min(0)
    high = joints.max(0)
    middle = (low + high) / 2
    return dict(
        x1=low[0],
        y1=low[1],
        x2=low[0] + 20,
        y2=low[1] + 20,
        annopoints=dict(point=_structs(points)),
        scale=(high - low).max() / 200,
        objpos=dict(x=middle[0], y=middle[1]),
    )


def _structs(rows: list[dict[str, Any]]) -> np.ndarray:
    """A MATLAB struct array; fields that a row lacks are empty, as MATLAB writes them."""
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(row))
    array = np.zeros((1, len(rows)), [(name, object) for name in names])
    for index, row in enumerate(rows):
        for name in names:
            array[name][0, index] = row.get(name, np.zeros((0, 0)))
    return array
