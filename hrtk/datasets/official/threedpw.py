"""3DPW as its owners distribute it: ``sequenceFiles/<split>/*.pkl`` and ``imageFiles/<sequence>/image_%05d.jpg``.

Von Marcard et al., Recovering Accurate 3D Human Pose in The Wild Using IMUs and a Moving Camera, 2018;
https://virtualhumans.mpi-inf.mpg.de/3DPW.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Optional

import numpy as np
import torch
from torch import Tensor

from hrtk.body_models.gendered import GenderedBodies
from hrtk.body_models.safe_pickle import load_pickle
from hrtk.datasets.base import SequenceDataset
from hrtk.datasets.frames import ImageFrames
from hrtk.datasets.official.rows import has_shape, keypoints_of_points
from hrtk.errors import InputError, OptionError
from hrtk.geometry.boxes import boxes_from_keypoints
from hrtk.geometry.rotation import axis_angle_to_rotmat, rotmat_to_axis_angle
from hrtk.options import check_literals
from hrtk.reading.hashes import sha256_of_all
from hrtk.registry import DATASETS
from hrtk.structures import GroundTruth, Keypoints2D, Sequence

SPLITS = ('train', 'validation', 'test')
GENDERS = {'m': 'male', 'f': 'female'}
KEYPOINTS = ('gt', 'poses2d')
# The test set as BOA's and DynaBOA's scripts go through it. Both carry their weights on, so the order is part of the
# published numbers.
BOA_ORDER = (
    'downtown_runForBus_00',
    'downtown_rampAndStairs_00',
    'flat_packBags_00',
    'downtown_runForBus_01',
    'office_phoneCall_00',
    'downtown_windowShopping_00',
    'downtown_walkUphill_00',
    'downtown_sitOnStairs_00',
    'downtown_enterShop_00',
    'downtown_walking_00',
    'downtown_stairs_00',
    'downtown_crossStreets_00',
    'downtown_car_00',
    'downtown_downstairs_00',
    'downtown_bar_00',
    'downtown_walkBridge_01',
    'downtown_weeklyMarket_00',
    'downtown_warmWelcome_00',
    'downtown_arguing_00',
    'downtown_upstairs_00',
    'downtown_bus_00',
    'flat_guitar_01',
    'downtown_cafe_00',
    'outdoors_fencing_01',
)
# Keys that are read, with their shapes: 'F' is the number of frames, None is any length. A key of PERSON is a list with
# one array per person.
LARGEST = 1e6  # of all numbers of a person: radians, metres, px
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
        pose: (F, 72) axis-angle, the root rotated into the camera frame.
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
    no projected keypoints, and have the box of the nearest frame that has one. A person without any aligned frame has
    the boxes of the file's own detections, or else the whole image. Adapters take no step on frames without keypoints.

    Args:
        root: the folder with ``sequenceFiles`` and ``imageFiles``.
        split: ``'train'``, ``'validation'`` or ``'test'``.
        keypoints: the 2D evidence, from which the boxes are computed, too. ``'gt'``: the 49 joints of the true gendered
            body through the true camera, as in BOA and DynaBOA; ``'poses2d'``: the file's own ``openpose18``
            detections.
        bodies: ``dict(male=..., female=..., extra_regressor=...)``, body files; needed for ``'gt'``.
        sequences: names of sequence files to use, in this order; None takes all, in the order of ``order``.
        box_scale: side of the box over the larger extent of the points; 1.2 in SPIN and BOA, 1.0 in DynaBOA.
        order: ``'name'``, or ``'boa'``, in which BOA and DynaBOA go through the test set; other sequences follow.

    Attributes:
        tracks: content of the sequence files, in the order of the items.

    Raises:
        InputError: a folder, file, body or first image is missing, or a file is broken or unsafe.
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
        order: Literal['name', 'boa'] = 'name',
    ) -> None:
        check_literals(ThreeDPW, dict(order=order), 'ThreeDPW')
        if split not in SPLITS or keypoints not in KEYPOINTS:
            raise OptionError(
                f'ThreeDPW: split is one of {SPLITS}, keypoints one of {KEYPOINTS}; not {split!r}, '
                f'{keypoints!r}'
            )
        if keypoints == 'gt' and bodies is None:
            raise OptionError(
                "ThreeDPW: keypoints='gt' projects the true bodies and needs bodies=dict(male=..., "
                "female=..., extra_regressor=...); or choose keypoints='poses2d'"
            )
        self.root = Path(root)
        self.split = split
        self.keypoints = keypoints
        self.box_scale = box_scale
        self.bodies: Optional[GenderedBodies] = None
        if bodies is not None:
            self.bodies = GenderedBodies(bodies)
        self.files = self._sequence_files(sequences, order)
        self.tracks: list[PersonTrack] = []
        for file in self.files:
            tracks = read_3dpw(file)
            for track in tracks:
                first = self._image_path(track, 0)
                if not first.is_file():
                    raise InputError(
                        f'{first}: the first image of {track.clip!r}, a sequence of {file}, is missing; {REMEDY}'
                    )
            self.tracks += tracks

    def __len__(self) -> int:
        return len(self.tracks)

    def __getitem__(self, index: int) -> Sequence:
        track = self.tracks[index]
        paths = [self._image_path(track, t) for t in range(len(track.pose))]
        keypoints = keypoints_of_points(track.poses2d, 'openpose18', 'poses2d')
        translation: Optional[Tensor] = None
        if self.bodies is not None:
            translation = _translation_to_camera(track, self.bodies)
            if self.keypoints == 'gt':
                keypoints = _project_body(track, self.bodies, translation)
        frames = ImageFrames(paths)
        fx, fy, cx, cy = track.intrinsics
        truth = GroundTruth(
            rotmat=track.rotmat,
            betas=track.betas.expand(len(paths), 10),
            translation=translation,
            intrinsics=torch.stack([(fx + fy) / 2, cx, cy]).expand(len(paths), 3),
            valid=track.valid,
            gender=track.gender,
        )
        return Sequence(
            name=f'{track.clip}_{track.person}',
            frames=frames,
            boxes=self._boxes(keypoints, track, frames),
            keypoints2d=keypoints,
            truth=truth,
            frame_ids=tuple(path.name for path in paths),
            fps=30.0,
        )

    def _boxes(self, keypoints: Keypoints2D, track: PersonTrack, frames: ImageFrames) -> Tensor:
        """(F, 3) boxes around the keypoints, or else around the detections, or else around the image."""
        detections = keypoints_of_points(track.poses2d, 'openpose18', 'poses2d')
        for points in (keypoints, detections):
            boxes = boxes_from_keypoints(points.xy, points.confidence, self.box_scale)
            if _has_box(boxes).any():
                return _fill_missing_boxes(boxes)
        height, width = frames[0].shape[:2]
        whole = torch.tensor([width / 2, height / 2, max(width, height)], dtype=torch.float32)
        return whole.expand(len(frames), 3).clone()

    def fingerprint(self) -> dict[str, str]:
        """A hash of the sequence files; the images are assumed to be unchanged."""
        return {'sequence_files': sha256_of_all(self.files)}

    def _sequence_files(self, names: Optional[Iterable[str]], order: str) -> list[Path]:
        folder = self.root / 'sequenceFiles' / self.split
        if not folder.is_dir():
            raise InputError(f'{folder}: there is no such folder; {REMEDY}')
        if names is None:
            files = sorted(folder.glob('*.pkl'))
            if order == 'boa':
                files.sort(key=_place_in_boa)
        else:
            files = [folder / f'{name}.pkl' for name in names]
        missing = [file.name for file in files if not file.is_file()]
        if missing or not files:
            raise InputError(
                f'{folder}: holds no sequence file {", ".join(missing) or "(*.pkl)"}; {REMEDY}'
            )
        return files

    def _image_path(self, track: PersonTrack, frame: int) -> Path:
        return self.root / 'imageFiles' / track.clip / f'image_{frame:05d}.jpg'


def _place_in_boa(file: Path) -> int:
    """The place of a sequence file in BOA's order, or the one after the last."""
    if file.stem in BOA_ORDER:
        return BOA_ORDER.index(file.stem)
    return len(BOA_ORDER)


def read_3dpw(path: str | Path) -> list[PersonTrack]:
    """Reads one sequence file without executing code in it.

    Raises:
        InputError: the file is missing, is no pickle of plain arrays, lacks a key, or has an array of another shape.
    """
    content = load_pickle(path)
    missing = [key for key in ('sequence', 'genders', *PERSON, *CLIP) if key not in content]
    if missing:
        raise InputError(
            f'{path}: not a sequence file of 3DPW, it lacks {", ".join(missing)}; {REMEDY}'
        )
    people = len(content['poses'])
    frames = len(content['cam_poses'])
    cameras = _checked_array(content['cam_poses'], CLIP['cam_poses'], frames, f'{path}: cam_poses')
    k = _checked_array(
        content['cam_intrinsics'], CLIP['cam_intrinsics'], frames, f'{path}: cam_intrinsics'
    )
    intrinsics = torch.stack([k[0, 0], k[1, 1], k[0, 2], k[1, 2]]).float()
    tracks = []
    for person in range(people):
        try:
            raw = {key: content[key][person] for key in PERSON}
            gender = GENDERS[str(content['genders'][person])[:1]]
        except (IndexError, KeyError, TypeError) as error:
            raise InputError(
                f'{path}: its lists do not hold the same {people} people, or a gender is not m or f '
                f'({error}); {REMEDY}'
            ) from error
        arrays = {
            key: _checked_array(raw[key], shape, frames, f'{path}: {key}[{person}]')
            for key, shape in PERSON.items()
        }
        pose = arrays['poses'].clone()
        pose[:, :3] = _rotated(pose[:, :3], cameras[:, :3, :3])
        tracks.append(
            PersonTrack(
                clip=str(content['sequence']),
                person=person,
                pose=pose.float(),
                betas=arrays['betas'][:10].float(),
                gender=gender,
                trans=arrays['trans'].float(),
                camera=cameras.float(),
                intrinsics=intrinsics,
                poses2d=arrays['poses2d'].transpose(1, 2).float(),
                valid=arrays['campose_valid'] > 0,
            )
        )
    return tracks


def _translation_to_camera(track: PersonTrack, bodies: GenderedBodies) -> Tensor:
    """(F, 3) metres, from the body's own frame to the camera's.

    SMPL rotates a body about its pelvis, whose rest position depends on the betas.
    """
    rest = torch.eye(3).expand(1, 24, 3, 3)
    pelvis = bodies.get(track.gender).joints(rest, track.betas[None], 'smpl24')[:, 0]
    rotation = track.camera[:, :3, :3]
    shift = track.camera[:, :3, 3]
    return (rotation @ (pelvis + track.trans)[..., None])[..., 0] + shift - pelvis


@torch.no_grad()
def _project_body(track: PersonTrack, bodies: GenderedBodies, translation: Tensor) -> Keypoints2D:
    """The joints of the true body in the image."""
    betas = track.betas.expand(len(track.pose), 10)
    joints = bodies.get(track.gender).joints(track.rotmat, betas, 'spin49')
    points = joints + translation[:, None]
    visible = track.valid[:, None] & (points[..., 2] > 0)
    xy = points[..., :2] / points[..., 2:] * track.intrinsics[:2] + track.intrinsics[2:]
    return Keypoints2D(torch.where(visible[..., None], xy, 0.0), visible.float(), 'spin49', 'gt')


def _rotated(axis_angle: Tensor, rotation: Tensor) -> Tensor:
    """``rotation`` (F, 3, 3) times the rotation of ``axis_angle`` (F, 3), as axis-angle (F, 3)."""
    return rotmat_to_axis_angle(rotation @ axis_angle_to_rotmat(axis_angle))


def _checked_array(value: Any, shape: tuple, frames: int, label: str) -> Tensor:
    """A float64 tensor of an array of a file.

    Args:
        value: content of the file.
        shape: as in :data:`PERSON`.
        frames: F.
        label: file and key, for messages.

    Raises:
        InputError: another shape, no numbers, numbers that are not finite or too large, or fewer than ten betas.
    """
    array = np.asarray(value)
    lengths = {'F': frames}
    expected = tuple(lengths.get(length, length) for length in shape)
    if array.dtype.kind not in 'fiub' or not has_shape(array, expected):
        raise InputError(
            f'{label} has shape {array.shape} and dtype {array.dtype}, expected {expected} numbers; {REMEDY}'
        )
    too_few_betas = shape == PERSON['betas'] and len(array) < 10
    if too_few_betas or not (np.abs(array) < LARGEST).all():
        raise InputError(
            f'{label} holds {array.shape} numbers, expected finite ones below {LARGEST:g}, and ten betas or more; '
            f'{REMEDY}'
        )
    return torch.as_tensor(array.astype(np.float64))


def _has_box(boxes: Tensor) -> Tensor:
    """(F,) bool: frames with a box that is finite and not empty."""
    return (boxes[:, 2] > 0) & boxes.isfinite().all(1)


def _fill_missing_boxes(boxes: Tensor) -> Tensor:
    """Frames without a box get that of the nearest frame that has one; at least one has."""
    valid = torch.nonzero(_has_box(boxes)).flatten()
    nearest = (torch.arange(len(boxes))[:, None] - valid).abs().argmin(1)
    return boxes[valid[nearest]]
