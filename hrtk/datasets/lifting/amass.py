"""AMASS for pre-training, from an npz of MPM's layout."""

from __future__ import annotations

from pathlib import Path

from hrtk.datasets.lifting.object_npz import poses, read_object
from hrtk.datasets.lifting.windows import PoseTrack, PoseWindows
from hrtk.errors import InputError
from hrtk.files import sha256
from hrtk.registry import DATASETS

REMEDY = (
    "MPM's file was not published; save one with numpy.savez(file, poses={sequence: dict(length=N, pose2d=(N, "
    '16, 2), pose3d=(N, 16, 3))}), 2D normalised, 3D in metres'
)


@DATASETS.register_module()
class AMASSLifting(PoseWindows):
    """Windows that lie wholly within sequences of AMASS, for pre-training only; sequences shorter than F have none.

    MPM's code leaves out the last two windows of every sequence; here they are in.

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
        self.file, tracks = Path(file), []
        for name, sequence in read_object(file, 'poses', REMEDY).items():
            lacks = [
                key
                for key in ('length', 'pose2d', 'pose3d')
                if not isinstance(sequence, dict) or key not in sequence
            ]
            if lacks:
                raise InputError(f'{file}: poses[{name!r}] lacks {", ".join(lacks)}; {REMEDY}')
            seen = poses(sequence['pose2d'], (16, 2), file, f"poses[{name!r}]['pose2d']")
            points = poses(sequence['pose3d'], (16, 3), file, f"poses[{name!r}]['pose3d']")
            if not int(sequence['length']) == len(seen) == len(points):
                raise InputError(
                    f'{file}: poses[{name!r}] has length {sequence["length"]}, {len(seen)} frames in '
                    f'pose2d and {len(points)} in pose3d, expected the same; make the file again'
                )
            tracks.append(PoseTrack(str(name), str(name), 'amass', '', seen, points))
        super().__init__(tracks, 'h36m16', frames, step, stride, flip, pad=False)

    def fingerprint(self) -> dict[str, str]:
        """A hash of the file."""
        return {'npz': sha256(self.file)}
