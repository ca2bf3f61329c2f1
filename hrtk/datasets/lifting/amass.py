"""AMASS for pre-training, from an npz of MPM's layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hrtk.datasets.lifting.object_npz import pose_array, read_object
from hrtk.datasets.lifting.windows import PoseTrack, PoseWindows
from hrtk.errors import InputError
from hrtk.reading.hashes import sha256
from hrtk.registry import DATASETS

KEYS = ('length', 'pose2d', 'pose3d')
REMEDY = (
    "MPM's file was not published; save one with numpy.savez(file, poses={sequence: dict(length=N, pose2d=(N, "
    '16, 2), pose3d=(N, 16, 3))}), 2D normalised, 3D in metres'
)


@DATASETS.register_module()
class AMASSLifting(PoseWindows):
    """Windows that lie completely within sequences of AMASS, for pre-training only.

    Sequences shorter than F have no windows. MPM's code leaves out the last two windows of every sequence; this class
    includes them.

    Args:
        file: npz of one dict ``poses``: per sequence ``length``, ``pose2d`` (N, 16, 2) normalised and ``pose3d``
            (N, 16, 3) metres in the camera frame.
        frames: F.
        step: frames between neighbours of a window.
        stride: frames between the middles of windows.
        flip: whether mirrored windows follow.

    Raises:
        InputError: the file is missing, damaged or of another layout, or no sequence is long enough.
    """

    def __init__(
        self,
        file: str | Path,
        frames: int = 243,
        step: int = 1,
        stride: int = 1,
        flip: bool = False,
    ) -> None:
        self.file = Path(file)
        sequences = read_object(file, 'poses', REMEDY)
        tracks = [self._track(str(name), sequence) for name, sequence in sequences.items()]
        super().__init__(tracks, 'h36m16', frames, step, stride, flip, pad=False)

    def fingerprint(self) -> dict[str, str]:
        """A hash of the file."""
        return {'npz': sha256(self.file)}

    def _track(self, name: str, sequence: Any) -> PoseTrack:
        position = f'poses[{name!r}]'
        missing = list(KEYS)
        if isinstance(sequence, dict):
            missing = [key for key in KEYS if key not in sequence]
        if missing:
            raise InputError(f'{self.file}: {position} lacks {", ".join(missing)}; {REMEDY}')
        pose2d = pose_array(sequence['pose2d'], (16, 2), self.file, f"{position}['pose2d']")
        pose3d = pose_array(sequence['pose3d'], (16, 3), self.file, f"{position}['pose3d']")
        if not int(sequence['length']) == len(pose2d) == len(pose3d):
            raise InputError(
                f'{self.file}: {position} has length {sequence["length"]}, {len(pose2d)} frames in '
                f'pose2d and {len(pose3d)} in pose3d, expected the same; make the file again'
            )
        return PoseTrack(
            name=name,
            subject=name,
            action='amass',
            camera='',
            keypoints2d=pose2d,
            joints3d=pose3d,
        )
