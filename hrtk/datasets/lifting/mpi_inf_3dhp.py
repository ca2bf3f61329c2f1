"""MPI-INF-3DHP for lifting, from the two npz files of P-STMO."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterable, Iterator, Optional

import numpy as np

from hrtk.datasets.lifting.cameras import normalise_screen
from hrtk.datasets.lifting.joints import check_order, h36m16_of_mpi17
from hrtk.datasets.lifting.object_npz import poses, read_object
from hrtk.datasets.lifting.windows import PoseTrack, PoseWindows
from hrtk.errors import InputError
from hrtk.files import sha256
from hrtk.registry import DATASETS

SIZE = (2048, 2048)
WIDE = {'TS5': (1920, 1080), 'TS6': (1920, 1080)}
PIPELINES = ('correct', 'released')
REMEDY = 'P-STMO (https://github.com/paTRICK-swk/P-STMO) distributes data_train_3dhp.npz and data_test_3dhp.npz'


@DATASETS.register_module()
class MPIINF3DHPLifting(PoseWindows):
    """Windows of MPI-INF-3DHP: one track per recording and camera; of the test set, one per sequence.

    3D joints are the normalised ``univ_annot3``, in millimetres in the file. Of the test set windows are made around
    the valid frames only, as in the official evaluation, but see the others. The action is the recording
    (``'S1 Seq1'``, ``'TS1'``), so that errors are reported per sequence. Cameras are not in the files, so there are no
    intrinsics.

    Args:
        file: ``data_train_3dhp.npz`` or ``data_test_3dhp.npz``.
        split: ``'train'`` or ``'test'``: which of the two it is.
        sequences: recordings, e.g. ``['S1 Seq1']``; default all.
        joints: ``'mpi17'``, the official order, which the official errors need; or ``'h36m16'``, which MPM shares with
            Human3.6M.
        pipeline: ``'correct'``, or ``'released'`` for ``'h36m16'`` as in MPM's code: 2D joints divided by 1000, too,
            and the head in the place of the neck.
        frames: F.
        step: frames between neighbours of a window.
        stride: frames between the middles of windows.
        flip: whether mirrored windows follow; default when training.

    Raises:
        InputError: the file is missing, damaged or of another layout, or an option has no such value.
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
        if split not in ('train', 'test') or pipeline not in PIPELINES:
            raise InputError(
                f"MPIINF3DHPLifting: split is 'train' or 'test' and pipeline 'correct' or 'released', not "
                f'{split!r} and {pipeline!r}'
            )
        if (
            check_order(joints, ('mpi17', 'h36m16'), 'MPIINF3DHPLifting') == 'mpi17'
            and pipeline == 'released'
        ):
            raise InputError(
                "MPIINF3DHPLifting: pipeline='released' is what MPM does to joints='h36m16'; leave it out "
                "for 'mpi17'"
            )
        self.file, self.split, self.pipeline = Path(file), split, pipeline
        data = read_object(file, 'data', REMEDY)
        missing = [name for name in sequences or () if name not in data]
        if missing:
            raise InputError(
                f'{file}: has no sequence {", ".join(missing)}; it has {", ".join(map(str, data))}'
            )
        tracks = [
            track
            for name in sequences or data
            for track in self._recording(str(name), data[name], joints)
        ]
        super().__init__(
            tracks, joints, frames, step, stride, split == 'train' if flip is None else flip
        )

    def fingerprint(self) -> dict[str, str]:
        """A hash of the file."""
        return {'npz': sha256(self.file)}

    def _recording(self, name: str, content: Any, joints: str) -> Iterator[PoseTrack]:
        for camera, key, anim in self._views(name, content):
            lacks = [
                part
                for part in ('data_2d', 'data_3d', 'valid')[: 3 if self.split == 'test' else 2]
                if part not in anim
            ]
            if lacks:
                raise InputError(
                    f'{self.file}: {key} lacks {", ".join(lacks)}; it has {", ".join(map(str, anim))}. '
                    f'{REMEDY}'
                )
            seen = poses(anim['data_2d'], (17, 2), self.file, f"{key}['data_2d']")
            points = poses(anim['data_3d'], (17, 3), self.file, f"{key}['data_3d']") / 1000
            scored = np.asarray(anim['valid']).reshape(-1) > 0 if self.split == 'test' else None
            lengths = {
                'data_2d': len(seen),
                'data_3d': len(points),
                'valid': len(seen if scored is None else scored),
            }
            if len(set(lengths.values())) > 1:
                raise InputError(
                    f'{self.file}: the arrays of {key} differ in length, {lengths}; copy or download the '
                    f'file again'
                )
            seen = normalise_screen(seen, *WIDE.get(name, SIZE))
            if joints == 'h36m16':
                seen, points = (h36m16_of_mpi17(array, self.pipeline) for array in (seen, points))
            if self.pipeline == 'released':
                seen = seen / 1000
            yield PoseTrack(
                f'{name} {camera}'.strip(),
                name.split(' ')[0],
                name,
                camera,
                seen,
                points,
                None,
                scored,
            )

    def _views(self, name: str, content: Any) -> list[tuple[str, str, dict]]:
        """Name, place in the file and arrays of every camera of a recording."""
        views = {'': content}
        if self.split == 'train':
            views = (
                content[0]
                if isinstance(content, (list, tuple, np.ndarray)) and len(content)
                else None
            )
        if (
            not isinstance(views, dict)
            or not views
            or not all(isinstance(view, dict) for view in views.values())
        ):
            wanted = (
                'a list of one dict of cameras and the frame rate'
                if self.split == 'train'
                else 'a dict of data_2d, data_3d and valid'
            )
            raise InputError(
                f'{self.file}: data[{name!r}] is not {wanted}, as the file of split={self.split!r} has it'
                f'; {REMEDY}'
            )
        where = f'data[{name!r}]'
        return [
            (str(camera), f'{where}[0][{camera!r}]' if self.split == 'train' else where, view)
            for camera, view in views.items()
        ]
