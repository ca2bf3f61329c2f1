"""3DPW as its owners distribute it: ``sequenceFiles/<split>/*.pkl`` and ``imageFiles/<sequence>/image_%05d.jpg``.

Von Marcard et al., Recovering Accurate 3D Human Pose in The Wild Using IMUs and a Moving Camera, 2018;
https://virtualhumans.mpi-inf.mpg.de/3DPW.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Optional

import numpy as np
import torch
from torch import Tensor

from hrtk.body_models.gendered import GenderedBodies
from hrtk.body_models.safe_pickle import load_pickle
from hrtk.datasets.base import SequenceDataset
from hrtk.datasets.frames import ImageFrames
from hrtk.errors import InputError
from hrtk.files import sha256_of_all
from hrtk.geometry.boxes import boxes_from_keypoints
from hrtk.geometry.rotation import axis_angle_to_rotmat, rotmat_to_axis_angle
from hrtk.registry import DATASETS
from hrtk.structures import GroundTruth, Keypoints2D, Sequence

SPLITS = ('train', 'validation', 'test')
GENDERS = {'m': 'male', 'f': 'female'}
KEYPOINTS = ('gt', 'poses2d')
# Keys that are read; those of a person are lists, F frames each.
PERSON = {
    'poses': ('F', 72),
    'betas': (None,),
    'trans': ('F', 3),
    'poses2d': ('F', 3, 18),
    'campose_valid': ('F',),
}
CLIP = {'cam_poses': ('F', 4, 4), 'cam_intrinsics': (3, 3)}
REMEDY = (
    'sequenceFiles.zip and imageFiles.zip are free for research at https://virtualhumans.mpi-inf.mpg.de/3DPW; '
    'unpack both in one folder and name it with `root`'
)


@dataclasses.dataclass(frozen=True)
class PersonTrack:
    """One person of a sequence file, in the camera frame.

    Attributes:
        clip: name of the sequence.
        person: index in the file.
        pose: (F, 72) axis-angle, the root rotated into the camera.
        betas: (10,) of the body of ``gender``.
        gender: ``'male'`` or ``'female'``.
        trans: (F, 3) metres, SMPL's translation in the *world*.
        camera: (F, 4, 4) world to camera.
        intrinsics: (4,) ``[fx, fy, cx, cy]`` px.
        poses2d: (F, 18, 3) ``openpose18`` detections, px and confidence.
        valid: (F,) whether the camera is aligned.
    """

    clip: str
    person: int
    pose: Tensor
    betas: Tensor
    gender: str
    trans: Tensor
    camera: Tensor
    intrinsics: Tensor
    poses2d: Tensor
    valid: Tensor

    @property
    def rotmat(self) -> Tensor:
        """(F, 24, 3, 3)."""
        return axis_angle_to_rotmat(self.pose.unflatten(1, (24, 3)))


@DATASETS.register_module()
class ThreeDPW(SequenceDataset):
    """The raw 3DPW; an item is one person of one sequence, all its frames, called ``<sequence>_<person>``.

    Frames whose camera is not aligned (``campose_valid`` 0) stay in the sequence, are marked in ``truth.valid``, have
    no projected keypoints and the box of the nearest frame that has one.

    Args:
        root: the folder with ``sequenceFiles`` and ``imageFiles``.
        split: ``'train'``, ``'validation'`` or ``'test'``.
        keypoints: the 2D evidence, which the boxes are made of, too. ``'gt'``: the 49 joints of the true gendered body
            through the true camera, as BOA and DynaBOA use them; ``'poses2d'``: the file's own ``openpose18``
            detections.
        bodies: ``dict(male=..., female=..., extra_regressor=...)``, body files; needed for ``'gt'``.
        sequences: names of sequence files to use, in this order; None is all, sorted.
        box_scale: side of the box over the larger extent of the points; 1.2 in SPIN and BOA.

    Raises:
        InputError: a folder, file, body or first picture is missing, or a file is broken or unsafe.
    """

    def __init__(
        self,
        root: str | Path,
        split: str = 'test',
        *,
        keypoints: str,
        bodies: Optional[Mapping[str, str]] = None,
        sequences: Optional[Iterable[str]] = None,
        box_scale: float = 1.2,
    ) -> None:
        if split not in SPLITS or keypoints not in KEYPOINTS:
            raise InputError(
                f'ThreeDPW: split is one of {SPLITS}, keypoints one of {KEYPOINTS}; not {split!r}, '
                f'{keypoints!r}'
            )
        if keypoints == 'gt' and bodies is None:
            raise InputError(
                "ThreeDPW: keypoints='gt' projects the true bodies and needs bodies=dict(male=..., "
                "female=..., extra_regressor=...); or choose keypoints='poses2d'"
            )
        self.root, self.split, self.keypoints, self.box_scale = (
            Path(root),
            split,
            keypoints,
            box_scale,
        )
        self.bodies = None if bodies is None else GenderedBodies(bodies)
        self.files = self._find(None if sequences is None else list(sequences))
        self._tracks = [track for file in self.files for track in read_3dpw(file)]
        for track in self._tracks:
            if not self._picture(track, 0).is_file():
                raise InputError(
                    f'{self._picture(track, 0)}: the first picture of {track.clip!r} is missing; {REMEDY}'
                )

    def __len__(self) -> int:
        return len(self._tracks)

    def __getitem__(self, index: int) -> Sequence:
        track = self._tracks[index]
        paths = [self._picture(track, t) for t in range(len(track.pose))]
        translation = None if self.bodies is None else self._translation(track)
        evidence = (
            self._projected(track, translation)
            if self.keypoints == 'gt'
            else Keypoints2D(
                track.poses2d[..., :2], track.poses2d[..., 2].clamp(0, 1), 'openpose18', 'poses2d'
            )
        )
        boxes = _fill(boxes_from_keypoints(evidence.xy, evidence.confidence, self.box_scale))
        frames, (fx, fy, cx, cy) = len(paths), track.intrinsics
        truth = GroundTruth(
            track.rotmat,
            track.betas.expand(frames, 10),
            translation,
            torch.stack([(fx + fy) / 2, cx, cy]).expand(frames, 3),
            valid=track.valid,
            gender=track.gender,
        )
        return Sequence(
            f'{track.clip}_{track.person}',
            ImageFrames(paths),
            boxes,
            evidence,
            truth,
            frame_ids=tuple(path.name for path in paths),
            fps=30.0,
        )

    def fingerprint(self) -> dict[str, str]:
        """A hash of the sequence files; the pictures are taken for granted."""
        return {'sequence_files': sha256_of_all(self.files)}

    def _find(self, names: Optional[list[str]]) -> list[Path]:
        folder = self.root / 'sequenceFiles' / self.split
        if not folder.is_dir():
            raise InputError(f'{folder}: there is no such folder; {REMEDY}')
        files = (
            sorted(folder.glob('*.pkl'))
            if names is None
            else [folder / f'{name}.pkl' for name in names]
        )
        missing = [file.stem for file in files if not file.is_file()]
        if missing or not files:
            raise InputError(
                f'{folder}: holds no sequence {", ".join(missing) or "file (*.pkl)"}; {REMEDY}'
            )
        return files

    def _picture(self, track: PersonTrack, frame: int) -> Path:
        return self.root / 'imageFiles' / track.clip / f'image_{frame:05d}.jpg'

    def _translation(self, track: PersonTrack) -> Tensor:
        """(F, 3) from the body's own frame to the camera's: SMPL turns about the pelvis, wherever that rests."""
        rest = torch.eye(3).expand(1, 24, 3, 3)
        pelvis = self.bodies.get(track.gender).joints(rest, track.betas[None], 'smpl24')[:, 0]
        rotation, shift = track.camera[:, :3, :3], track.camera[:, :3, 3]
        return (rotation @ (pelvis + track.trans)[..., None])[..., 0] + shift - pelvis

    @torch.no_grad()
    def _projected(self, track: PersonTrack, translation: Tensor) -> Keypoints2D:
        betas = track.betas.expand(len(track.pose), 10)
        points = (
            self.bodies.get(track.gender).joints(track.rotmat, betas, 'spin49')
            + translation[:, None]
        )
        seen = track.valid[:, None] & (points[..., 2] > 0)
        xy = points[..., :2] / points[..., 2:] * track.intrinsics[:2] + track.intrinsics[2:]
        return Keypoints2D(torch.where(seen[..., None], xy, 0.0), seen.float(), 'spin49', 'gt')


def read_3dpw(path: str | Path) -> list[PersonTrack]:
    """Reads one sequence file without running anything that is in it.

    Raises:
        InputError: it is missing, no pickle of plain arrays, lacks a key, or an array has another shape.
    """
    raw, path = load_pickle(path), Path(path)
    missing = [key for key in ('sequence', 'genders', *PERSON, *CLIP) if key not in raw]
    if missing:
        raise InputError(
            f'{path}: not a sequence file of 3DPW, it lacks {", ".join(missing)}; {REMEDY}'
        )
    people, frames = len(raw['poses']), len(raw['cam_poses'])
    clip = {key: _array(raw[key], shape, frames, f'{path}: {key}') for key, shape in CLIP.items()}
    tracks = []
    for person in range(people):
        try:
            own = {key: raw[key][person] for key in PERSON}
            gender = GENDERS[str(raw['genders'][person])[:1]]
        except (IndexError, KeyError, TypeError) as error:
            raise InputError(
                f'{path}: its lists do not hold the same {people} people, or a gender is not m or f '
                f'({error}); {REMEDY}'
            ) from error
        own = {
            key: _array(own[key], shape, frames, f'{path}: {key}[{person}]')
            for key, shape in PERSON.items()
        }
        pose = own['poses'].clone()
        pose[:, :3] = _turned(own['poses'][:, :3], clip['cam_poses'][:, :3, :3])
        k = clip['cam_intrinsics']
        tracks.append(
            PersonTrack(
                str(raw['sequence']),
                person,
                pose.float(),
                own['betas'][:10].float(),
                gender,
                own['trans'].float(),
                clip['cam_poses'].float(),
                torch.stack([k[0, 0], k[1, 1], k[0, 2], k[1, 2]]).float(),
                own['poses2d'].transpose(1, 2).float(),
                own['campose_valid'] > 0,
            )
        )
    return tracks


def _turned(root: Tensor, rotation: Tensor) -> Tensor:
    """World axis-angle (F, 3) -> camera axis-angle (F, 3)."""
    return rotmat_to_axis_angle(rotation @ axis_angle_to_rotmat(root))


def _array(value: np.ndarray, shape: tuple, frames: int, what: str) -> Tensor:
    array = np.asarray(value)
    wanted = tuple(frames if n == 'F' else n for n in shape)
    if (
        array.dtype.kind not in 'fiub'
        or array.ndim != len(wanted)
        or any(n not in (None, have) for n, have in zip(wanted, array.shape))
    ):
        raise InputError(
            f'{what} has shape {array.shape} and dtype {array.dtype}, expected {wanted} numbers; {REMEDY}'
        )
    if shape == (None,) and len(array) < 10 or not np.isfinite(array).all():
        raise InputError(
            f'{what} holds {array.shape} numbers, expected finite ones, and ten betas or more; {REMEDY}'
        )
    return torch.as_tensor(array.astype(np.float64))


def _fill(boxes: Tensor) -> Tensor:
    """Frames without a box get that of the nearest frame that has one."""
    have = torch.nonzero((boxes[:, 2] > 0) & boxes.isfinite().all(1)).flatten()
    if len(have) in (0, len(boxes)):
        return boxes
    nearest = (torch.arange(len(boxes))[:, None] - have).abs().argmin(1)
    return boxes[have[nearest]]
