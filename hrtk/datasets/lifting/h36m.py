"""Human3.6M for lifting, from the two npz files of VideoPose3D."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Optional

import numpy as np

from hrtk.body_models.joint_orders import ORDERS, check_order, mirror_order
from hrtk.datasets.lifting.cameras import normalise_screen, world_to_camera
from hrtk.datasets.lifting.h36m_cameras import CAMERAS, EXTRINSICS, SIZES, extrinsics, intrinsics
from hrtk.datasets.lifting.joints import OF_H36M32
from hrtk.datasets.lifting.object_npz import pose_array, read_object
from hrtk.datasets.lifting.windows import PoseTrack, PoseWindows
from hrtk.errors import InputError, OptionError
from hrtk.reading.hashes import sha256_of_all
from hrtk.registry import DATASETS

SUBJECTS = {'train': ('S1', 'S5', 'S6', 'S7', 'S8'), 'test': ('S9', 'S11')}
REMEDY = (
    'DATASETS.md of VideoPose3D (https://github.com/facebookresearch/VideoPose3D) says how to make '
    'data_3d_h36m.npz and where to get 2D detections'
)


@DATASETS.register_module()
class H36MLifting(PoseWindows):
    """Windows of Human3.6M: one track per recording and camera.

    Joints are transformed from the world frame to each camera's frame; 2D joints are cut to the length of the motion
    and normalised. The action is the recording's name up to the first blank (``'Walking 1'`` is ``'Walking'``), as
    errors are reported for 15 actions.

    Args:
        file: ``data_3d_h36m.npz``, joints (N, 32, 3) in metres per subject and recording.
        keypoints: ``data_2d_h36m_gt.npz``, ``data_2d_h36m_cpn_ft_h36m_dbb.npz`` or one of their layout, four arrays
            (N, 17, 2) in pixels per subject and recording.
        split: ``'train'`` (S1, S5, S6, S7, S8) or ``'test'`` (S9, S11).
        subjects: others of the seven subjects that have cameras.
        actions: recordings whose names begin like one of these; default all.
        joints: ``'h36m17'``, or ``'h36m16'`` without the joint between neck and head, as for several data sets.
        frames: F.
        step: frames between neighbours of a window; MPM takes every second of 50 frames per second.
        stride: frames between the middles of windows.
        flip: whether mirrored windows follow; by default for training.

    Raises:
        InputError: a file is missing, damaged or of another layout, the files do not fit each other, or an option has
            an invalid value.
    """

    def __init__(
        self,
        file: str | Path,
        keypoints: str | Path,
        split: str = 'train',
        subjects: Optional[Iterable[str]] = None,
        actions: Optional[Iterable[str]] = None,
        joints: str = 'h36m17',
        frames: int = 243,
        step: int = 2,
        stride: int = 1,
        flip: Optional[bool] = None,
    ) -> None:
        if split not in SUBJECTS:
            raise OptionError(f"H36MLifting: split is 'train' or 'test', not {split!r}")
        check_order(joints, ('h36m17', 'h36m16'), 'H36MLifting')
        self.motion_file = Path(file)
        self.keypoints_file = Path(keypoints)
        self.split = split
        if subjects is None:
            subjects = SUBJECTS[split]
        self.subjects = tuple(subjects)
        unknown = [subject for subject in self.subjects if subject not in EXTRINSICS]
        if unknown or not self.subjects:
            raise OptionError(
                f'H36MLifting: there are cameras of {", ".join(EXTRINSICS)}, not of '
                f'{", ".join(unknown) or "an empty list"}'
            )
        if actions is not None:
            actions = tuple(actions)
        tracks = self._tracks(actions)
        if joints == 'h36m16':
            tracks = [_without_jaw(track) for track in tracks]
        if flip is None:
            flip = split == 'train'
        super().__init__(tracks, joints, frames, step, stride, flip)

    def fingerprint(self) -> dict[str, str]:
        """A hash of both files."""
        return {'npz': sha256_of_all((self.motion_file, self.keypoints_file))}

    def _tracks(self, actions: Optional[tuple[str, ...]]) -> list[PoseTrack]:
        """The tracks of all subjects, in the order of 17 joints."""
        motion = read_object(self.motion_file, 'positions_3d', REMEDY)
        keypoints = self._read_keypoints()
        tracks = []
        for subject in self.subjects:
            recordings = _recordings_of(subject, motion, self.motion_file)
            detections = _recordings_of(subject, keypoints, self.keypoints_file)
            for name, world in recordings.items():
                if actions is None or name.startswith(actions):
                    tracks += self._recording(subject, name, world, detections.get(name))
        if not tracks:
            examples = list(motion[self.subjects[0]])[:5]
            raise InputError(
                f'{self.motion_file}: no recording of {", ".join(self.subjects)} is called like '
                f'{", ".join(actions or ())}; it has, for instance, {", ".join(examples)}'
            )
        return tracks

    def _recording(self, subject: str, name: str, world: Any, views: Any) -> list[PoseTrack]:
        """The four tracks of a recording.

        Args:
            subject: name of the person.
            name: name of the recording.
            world: 3D joints, as in the file.
            views: 2D joints of all cameras, as in the file.
        """
        world = pose_array(world, (32, 3), self.motion_file, f'positions_3d[{subject!r}][{name!r}]')
        world = world[:, OF_H36M32]
        key = f'positions_2d[{subject!r}][{name!r}]'
        if not isinstance(views, (list, tuple)) or len(views) != len(CAMERAS):
            actual = 'missing'
            if views is not None:
                actual = f'{type(views).__name__} of {np.size(views)}'
            raise InputError(
                f'{self.keypoints_file}: {key} is {actual}, expected a list of {len(CAMERAS)} arrays, one '
                f'per camera, as for every recording of {self.motion_file}; {REMEDY}'
            )
        tracks = []
        for camera, view in enumerate(views):
            pixels = pose_array(view, (17, 2), self.keypoints_file, f'{key}[{camera}]')
            if len(pixels) < len(world):
                raise InputError(
                    f'{self.keypoints_file}: {key}[{camera}] has {len(pixels)} frames, expected at least '
                    f'the {len(world)} of {self.motion_file}; the two files must belong together'
                )
            width, height = SIZES[camera]
            rotation, position = extrinsics(subject, camera)
            track = PoseTrack(
                name=f'{subject} {name} {CAMERAS[camera]}',
                subject=subject,
                action=name.split(' ')[0],
                camera=CAMERAS[camera],
                keypoints2d=normalise_screen(pixels[: len(world)], width, height),
                joints3d=world_to_camera(world, rotation, position),
                intrinsics=intrinsics(camera),
            )
            tracks.append(track)
        return tracks

    def _read_keypoints(self) -> dict:
        """The 2D file's dict of subjects, after a check of its joint order."""
        keypoints = read_object(self.keypoints_file, 'positions_2d', REMEDY)
        metadata = read_object(self.keypoints_file, 'metadata', REMEDY)
        symmetry = metadata.get('keypoints_symmetry')
        if not _is_symmetry_of_h36m17(symmetry):
            order = mirror_order('h36m17')
            names = enumerate(ORDERS['h36m17'])
            left = [index for index, name in names if name.startswith('left')]
            right = [order[index] for index in left]
            raise InputError(
                f'{self.keypoints_file}: metadata has keypoints_symmetry {symmetry}, expected left {left} '
                f"and right {right}; take 2D files in the order of Human3.6M's 17 joints"
            )
        return keypoints


def _recordings_of(subject: str, content: dict, file: Path) -> dict:
    recordings = content.get(subject)
    if not isinstance(recordings, dict):
        raise InputError(
            f'{file}: has no recordings of {subject}, only of {", ".join(map(str, content))}; {REMEDY}'
        )
    return recordings


def _is_symmetry_of_h36m17(symmetry: Any) -> bool:
    """Whether ``symmetry`` is a pair of lists, the left joints and the corresponding right joints."""
    order = mirror_order('h36m17')
    try:
        left, right = symmetry
        pairs = list(zip(left, right, strict=True))
        return len(pairs) > 0 and all(order[a] == b for a, b in pairs)
    except (TypeError, ValueError, IndexError):
        return False


def _without_jaw(track: PoseTrack) -> PoseTrack:
    """The track in the order of 16 joints, which lacks the joint between neck and head."""
    kept = [ORDERS['h36m17'].index(name) for name in ORDERS['h36m16']]
    return dataclasses.replace(
        track, keypoints2d=track.keypoints2d[:, kept], joints3d=track.joints3d[:, kept]
    )
