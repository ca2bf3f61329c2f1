"""Human3.6M for lifting, from the two npz files of VideoPose3D."""

from __future__ import annotations

from pathlib import Path
from typing import Iterable, Optional

import numpy as np

from hrtk.datasets.lifting.cameras import normalise_screen, world_to_camera
from hrtk.datasets.lifting.h36m_cameras import CAMERAS, EXTRINSICS, SIZES, extrinsics, intrinsics
from hrtk.datasets.lifting.joints import OF_H36M32, ORDERS, check_order, mirror_order
from hrtk.datasets.lifting.object_npz import poses, read_object
from hrtk.datasets.lifting.windows import PoseTrack, PoseWindows
from hrtk.errors import InputError
from hrtk.files import sha256_of_all
from hrtk.registry import DATASETS

SUBJECTS = {'train': ('S1', 'S5', 'S6', 'S7', 'S8'), 'test': ('S9', 'S11')}
REMEDY = (
    'DATASETS.md of VideoPose3D (https://github.com/facebookresearch/VideoPose3D) says how to make '
    'data_3d_h36m.npz and where to get 2D detections'
)


@DATASETS.register_module()
class H36MLifting(PoseWindows):
    """Windows of Human3.6M: one track per recording and camera.

    The world's joints are turned into each camera's frame; 2D joints are cut to the length of the motion and
    normalised. The action is the recording's name up to the first blank (``'Walking 1'`` is ``'Walking'``), as the
    errors of 15 actions are reported.

    Args:
        file: ``data_3d_h36m.npz``, joints (N, 32, 3) in metres per subject and recording.
        keypoints: ``data_2d_h36m_gt.npz``, ``data_2d_h36m_cpn_ft_h36m_dbb.npz`` or one of their layout, four arrays
            (N, 17, 2) in pixels per subject and recording.
        split: ``'train'`` (S1, S5, S6, S7, S8) or ``'test'`` (S9, S11).
        subjects: others of the seven subjects that have cameras.
        actions: recordings whose names begin like one of these; default all.
        joints: ``'h36m17'``, or ``'h36m16'`` without the joint between neck and head, as for several data sets.
        frames: F.
        step: MPM takes every second of 50 frames per second.
        stride: frames between the middles of windows.
        flip: whether mirrored windows follow; default when training.

    Raises:
        InputError: a file is missing, damaged or of another layout, the files do not fit each other, or an option has
            no such value.
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
            raise InputError(f"H36MLifting: split is 'train' or 'test', not {split!r}")
        check_order(joints, ('h36m17', 'h36m16'), 'H36MLifting')
        self.files, self.split = (Path(file), Path(keypoints)), split
        self.subjects = SUBJECTS[split] if subjects is None else tuple(subjects)
        unknown = [subject for subject in self.subjects if subject not in EXTRINSICS]
        if unknown or not self.subjects:
            raise InputError(
                f'H36MLifting: there are cameras of {", ".join(EXTRINSICS)}, not of '
                f'{", ".join(unknown) or "an empty list"}'
            )
        tracks = self._tracks(None if actions is None else tuple(actions))
        if joints == 'h36m16':
            keep = [ORDERS['h36m17'].index(name) for name in ORDERS['h36m16']]
            tracks = [
                PoseTrack(
                    track.name,
                    track.subject,
                    track.action,
                    track.camera,
                    track.keypoints2d[:, keep],
                    track.joints3d[:, keep],
                    track.intrinsics,
                )
                for track in tracks
            ]
        super().__init__(
            tracks, joints, frames, step, stride, split == 'train' if flip is None else flip
        )

    def fingerprint(self) -> dict[str, str]:
        """A hash of both files."""
        return {'npz': sha256_of_all(self.files)}

    def _tracks(self, actions: Optional[tuple[str, ...]]) -> list[PoseTrack]:
        motion, seen = read_object(self.files[0], 'positions_3d', REMEDY), self._keypoints()
        tracks = []
        for subject in self.subjects:
            for file, content in zip(self.files, (motion, seen)):
                if not isinstance(content.get(subject), dict):
                    raise InputError(
                        f'{file}: has no recordings of {subject}, only of {", ".join(map(str, content))}; '
                        f'{REMEDY}'
                    )
            for name, world in motion[subject].items():
                if actions is None or name.startswith(actions):
                    tracks += self._recording(subject, name, world, seen[subject].get(name))
        if not tracks:
            raise InputError(
                f'{self.files[0]}: no recording of {", ".join(self.subjects)} is called like '
                f'{", ".join(actions or ())}; it has, for instance, '
                f'{", ".join(list(motion[self.subjects[0]])[:5])}'
            )
        return tracks

    def _recording(
        self, subject: str, name: str, world: np.ndarray, seen: object
    ) -> list[PoseTrack]:
        world = poses(world, (32, 3), self.files[0], f'positions_3d[{subject!r}][{name!r}]')[
            :, OF_H36M32
        ]
        key = f'positions_2d[{subject!r}][{name!r}]'
        if not isinstance(seen, (list, tuple)) or len(seen) != len(CAMERAS):
            got = 'missing' if seen is None else f'{type(seen).__name__} of {np.size(seen)}'
            raise InputError(
                f'{self.files[1]}: {key} is {got}, expected a list of {len(CAMERAS)} arrays, one per '
                f'camera, as for every recording of {self.files[0]}; {REMEDY}'
            )
        tracks = []
        for camera, points in enumerate(seen):
            points = poses(points, (17, 2), self.files[1], f'{key}[{camera}]')
            if len(points) < len(world):
                raise InputError(
                    f'{self.files[1]}: {key}[{camera}] has {len(points)} frames, expected at least the '
                    f'{len(world)} of {self.files[0]}; the two files must be of one making'
                )
            points = normalise_screen(points[: len(world)], *SIZES[camera])
            tracks.append(
                PoseTrack(
                    f'{subject} {name} {CAMERAS[camera]}',
                    subject,
                    name.split(' ')[0],
                    CAMERAS[camera],
                    points,
                    world_to_camera(world, *extrinsics(subject, camera)),
                    intrinsics(camera),
                )
            )
        return tracks

    def _keypoints(self) -> dict:
        seen = read_object(self.files[1], 'positions_2d', REMEDY)
        sides = read_object(self.files[1], 'metadata', REMEDY).get('keypoints_symmetry')
        order = mirror_order('h36m17')
        try:
            fits = len(sides[0]) and all(
                order[left] == right for left, right in zip(*sides, strict=True)
            )
        except (TypeError, ValueError, IndexError, KeyError):
            fits = False
        if not fits:
            left = [index for index, name in enumerate(ORDERS['h36m17']) if name.startswith('left')]
            raise InputError(
                f'{self.files[1]}: metadata has keypoints_symmetry {sides}, expected left '
                f'{left} and right {[order[index] for index in left]}; take 2D files in the order of '
                f"Human3.6M's 17 joints"
            )
        return seen
