"""MPI-INF-3DHP for lifting, from the two npz files of P-STMO."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Optional

import numpy as np

from hrtk.body_models.joint_orders import check_order
from hrtk.datasets.lifting.cameras import normalise_screen
from hrtk.datasets.lifting.joints import h36m16_of_mpi17
from hrtk.datasets.lifting.object_npz import pose_array, read_object
from hrtk.datasets.lifting.windows import PoseTrack, PoseWindows
from hrtk.errors import InputError, OptionError
from hrtk.reading.hashes import sha256
from hrtk.registry import DATASETS

SIZE = (2048, 2048)  # width and height, px
SIZES_OF_TEST = {'TS5': (1920, 1080), 'TS6': (1920, 1080)}
KEYS = {'train': ('data_2d', 'data_3d'), 'test': ('data_2d', 'data_3d', 'valid')}
PIPELINES = ('correct', 'released')
REMEDY = 'P-STMO (https://github.com/paTRICK-swk/P-STMO) distributes data_train_3dhp.npz and data_test_3dhp.npz'


@dataclasses.dataclass(frozen=True)
class _View:
    """One camera of a recording.

    Attributes:
        recording: name of the recording.
        camera: name of the camera; empty in the test set.
        position: where the arrays are in the file, for messages.
        arrays: ``data_2d``, ``data_3d`` and, of the test set, ``valid``.
    """

    recording: str
    camera: str
    position: str
    arrays: dict


@DATASETS.register_module()
class MPIINF3DHPLifting(PoseWindows):
    """Windows of MPI-INF-3DHP: one track per recording and camera; of the test set, one per sequence.

    3D joints are the normalised ``univ_annot3``, in millimetres in the file. In the test set windows are centred on
    valid frames only, as in the official evaluation, but include the other frames. The action is the recording
    (``'S1 Seq1'``, ``'TS1'``), so that errors are reported per sequence. Cameras are not in the files, so there are no
    intrinsics.

    Args:
        file: ``data_train_3dhp.npz`` or ``data_test_3dhp.npz``.
        split: ``'train'`` or ``'test'``, the split of the file.
        sequences: recordings, e.g. ``['S1 Seq1']``; default all.
        joints: ``'mpi17'``, the official order, which the official errors need; or ``'h36m16'``, which MPM shares with
            Human3.6M.
        pipeline: ``'correct'``, or ``'released'`` for ``'h36m16'`` as in MPM's code: 2D joints are divided by 1000,
            too, and the neck is 3DHP's head.
        frames: F.
        step: frames between neighbours of a window.
        stride: frames between the middles of windows.
        flip: whether mirrored windows follow; by default for training.

    Raises:
        InputError: the file is missing, damaged or of another layout, or an option has an invalid value.
    """

    def __init__(
        self,
        file: str | Path,
        split: str = 'train',
        sequences: Optional[Iterable[str]] = None,
        joints: str = 'mpi17',
        pipeline: str = 'correct',
        frames: int = 243,
        step: int = 1,
        stride: int = 1,
        flip: Optional[bool] = None,
    ) -> None:
        if split not in KEYS or pipeline not in PIPELINES:
            raise OptionError(
                f"MPIINF3DHPLifting: split is 'train' or 'test' and pipeline 'correct' or 'released', not "
                f'{split!r} and {pipeline!r}'
            )
        check_order(joints, ('mpi17', 'h36m16'), 'MPIINF3DHPLifting')
        if joints == 'mpi17' and pipeline == 'released':
            raise OptionError(
                "MPIINF3DHPLifting: pipeline='released' is MPM's treatment of joints='h36m16'; leave it out "
                "for 'mpi17'"
            )
        self.file = Path(file)
        self.split = split
        self.pipeline = pipeline
        recordings = read_object(file, 'data', REMEDY)
        names = list(sequences or recordings)
        missing = [name for name in names if name not in recordings]
        if missing:
            raise InputError(
                f'{file}: has no sequence {", ".join(missing)}; it has {", ".join(map(str, recordings))}'
            )
        tracks = []
        for name in names:
            for view in self._views(str(name), recordings[name]):
                tracks.append(self._track(view, joints))
        if flip is None:
            flip = split == 'train'
        super().__init__(tracks, joints, frames, step, stride, flip)

    def fingerprint(self) -> dict[str, str]:
        """A hash of the file."""
        return {'npz': sha256(self.file)}

    def _views(self, name: str, content: Any) -> Iterator[_View]:
        """The cameras of a recording."""
        position = f'data[{name!r}]'
        if self.split == 'test':
            if not isinstance(content, dict):
                raise self._layout_error(position, 'a dict of data_2d, data_3d and valid')
            yield _View(name, '', position, content)
            return
        cameras: Any = None
        if isinstance(content, (list, tuple, np.ndarray)) and len(content):
            cameras = content[0]
        if not _is_dict_of_dicts(cameras):
            raise self._layout_error(position, 'a list of one dict of cameras and the frame rate')
        for camera, arrays in cameras.items():
            yield _View(name, str(camera), f'{position}[0][{camera!r}]', arrays)

    def _layout_error(self, position: str, expected: str) -> InputError:
        return InputError(
            f'{self.file}: {position} is not {expected}, as the file of split={self.split!r} has it; {REMEDY}'
        )

    def _track(self, view: _View, joints: str) -> PoseTrack:
        position = view.position
        arrays = view.arrays
        missing = [key for key in KEYS[self.split] if key not in arrays]
        if missing:
            raise InputError(
                f'{self.file}: {position} lacks {", ".join(missing)}; it has {", ".join(map(str, arrays))}. '
                f'{REMEDY}'
            )
        pixels = pose_array(arrays['data_2d'], (17, 2), self.file, f"{position}['data_2d']")
        points = pose_array(arrays['data_3d'], (17, 3), self.file, f"{position}['data_3d']") / 1000
        lengths = {'data_2d': len(pixels), 'data_3d': len(points)}
        scored = None
        if self.split == 'test':
            scored = np.asarray(arrays['valid']).reshape(-1) > 0
            lengths['valid'] = len(scored)
        if len(set(lengths.values())) > 1:
            raise InputError(
                f'{self.file}: the arrays of {position} differ in length, {lengths}; copy or download the '
                f'file again'
            )
        width, height = SIZES_OF_TEST.get(view.recording, SIZE)
        keypoints = normalise_screen(pixels, width, height)
        if joints == 'h36m16':
            keypoints = h36m16_of_mpi17(keypoints, self.pipeline)
            points = h36m16_of_mpi17(points, self.pipeline)
        if self.pipeline == 'released':
            keypoints = keypoints / 1000
        return PoseTrack(
            name=f'{view.recording} {view.camera}'.strip(),
            subject=view.recording.split(' ')[0],
            action=view.recording,
            camera=view.camera,
            keypoints2d=keypoints,
            joints3d=points,
            scored=scored,
        )


def _is_dict_of_dicts(value: Any) -> bool:
    if not isinstance(value, dict) or not value:
        return False
    return all(isinstance(entry, dict) for entry in value.values())
