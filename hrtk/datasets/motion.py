"""Captured human motion as body poses: the fourteen minutes of clips that ship with hrtk."""

from __future__ import annotations

import dataclasses
import zipfile
from pathlib import Path
from typing import Mapping, Optional

import numpy as np

from hrtk.body_models.skeletons import flip_map
from hrtk.errors import InputError

FORMAT = 'hrtk-motion-1'
ASSET = Path(__file__).parent / 'assets' / 'cmu_motion.npz'
SPLITS = ('train', 'test')

_MIRROR = np.array(flip_map('smpl24'))
_PER_CLIP = ('names', 'actions', 'splits', 'lengths')
_KEYS = (
    'format',
    'licence',
    'fps',
    *_PER_CLIP,
    'joints',
    'rotvec_quantum',
    'rotvec_bytes',
    'transl_quantum',
    'transl_bytes',
)


@dataclasses.dataclass(frozen=True)
class MotionClip:
    """One stretch of motion of one person.

    Attributes:
        name: the recording; ``name#k`` is the k-th piece of a recording that was cut.
        action: name of the action, e.g. ``'walking'``.
        split: ``'train'`` or ``'test'``.
        fps: frames per second.
        poses: (F, 24, 3) float32 axis-angle in radians; joint 0 is the orientation of the pelvis in a world with y
            up, in which the rest pose faces +z; the others are relative to their parents. Wrists, hands and toes
            were not captured and stay at rest.
        transl: (F, 3) float32 metres, position of the root joint: the soles touch y = 0 in the clip's lowest frames,
            and the first frame is at x = z = 0.
    """

    name: str
    action: str
    split: str
    fps: float
    poses: np.ndarray
    transl: np.ndarray

    def __len__(self) -> int:
        return len(self.poses)

    @property
    def global_orient(self) -> np.ndarray:
        """(F, 3) rotation of the root."""
        return self.poses[:, 0]

    @property
    def body_pose(self) -> np.ndarray:
        """(F, 23, 3) rotations of all other joints."""
        return self.poses[:, 1:]

    def mirrored(self) -> MotionClip:
        """The motion mirrored at the plane x = 0; mirroring twice returns the same numbers."""
        poses = self.poses[:, _MIRROR] * np.array([1, -1, -1], np.float32)
        transl = self.transl * np.array([-1, 1, 1], np.float32)
        return dataclasses.replace(self, poses=poses, transl=transl)


def load_motion(split: Optional[str] = None, path: str | Path = ASSET) -> list[MotionClip]:
    """Reads clips from a file in the format of :func:`pack_motion`.

    Args:
        split: ``'train'``, ``'test'`` or None for all. Test clips are whole recordings and about a fifth of the
            frames; every action has one.
        path: the file; by default the bundled CMU clips, fitted to the open body by ``tools/fit_motion.py``.

    Raises:
        InputError: the file is missing, has another format or contradicts itself, or the split is unknown.
    """
    if split is not None and split not in SPLITS:
        raise InputError(
            f'there is no motion split {split!r}; choose one of {", ".join(SPLITS)}, or None for all'
        )
    arrays = _read(Path(path))
    _check(arrays, path)
    poses, transl = _decode(arrays)
    fps = float(arrays['fps'])
    clips = []
    start = 0
    for name, action, clip_split, length in zip(*[arrays[key] for key in _PER_CLIP]):
        frames = slice(start, start + int(length))
        start = frames.stop
        if split in (None, clip_split):
            clips.append(
                MotionClip(
                    str(name), str(action), str(clip_split), fps, poses[frames], transl[frames]
                )
            )
    return clips


def pack_motion(
    clips: list[MotionClip],
    licence: str,
    rotvec_quantum: float = 2.0**-10,
    transl_quantum: float = 1e-3,
) -> dict[str, np.ndarray]:
    """The arrays of a file that :func:`load_motion` reads.

    Rotations are whole multiples of ``rotvec_quantum`` radians (the default errs by at most 0.03 degrees per
    component) and positions of ``transl_quantum`` metres. Both are stored as differences from frame to frame, high and
    low bytes separately, which deflate compresses best. Joints that never move are left out.

    Args:
        clips: the clips; all must have the same fps.
        licence: stored in the file, to be distributed with it.
        rotvec_quantum: step in radians.
        transl_quantum: step in metres.
    """
    poses = np.concatenate([clip.poses for clip in clips])
    transl = np.concatenate([clip.transl for clip in clips])
    lengths = np.array([len(clip) for clip in clips], np.int32)
    joints = np.flatnonzero(np.abs(poses).max(axis=(0, 2)) > 0).astype(np.uint8)
    rotvec = poses[:, joints].reshape(len(poses), -1)
    return {
        'format': np.array(FORMAT),
        'licence': np.array(licence),
        'fps': np.array(clips[0].fps),
        'names': np.array([clip.name for clip in clips]),
        'actions': np.array([clip.action for clip in clips]),
        'splits': np.array([clip.split for clip in clips]),
        'lengths': lengths,
        'joints': joints,
        'rotvec_quantum': np.array(rotvec_quantum),
        'transl_quantum': np.array(transl_quantum),
        'rotvec_bytes': _to_bytes(rotvec / rotvec_quantum, lengths),
        'transl_bytes': _to_bytes(transl / transl_quantum, lengths),
    }


def _read(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise InputError(
            f'{path}: not found; leave the path out to read the clips that ship with hrtk'
        )
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise InputError(
            f'{path}: cannot be read as an .npz of plain arrays ({error}); make it with '
            f'tools/fit_motion.py'
        ) from error
    problem = ''
    missing = [key for key in _KEYS if key not in arrays]
    if missing:
        problem = f'lacks {", ".join(missing)}'
    elif str(arrays['format']) != FORMAT:
        problem = f'format is {arrays["format"]}'
    if problem:
        raise InputError(
            f'{path}: not a {FORMAT} file, {problem}; make it with tools/fit_motion.py'
        )
    return arrays


def _check(arrays: Mapping[str, np.ndarray], path: str | Path) -> None:
    """Raises InputError if the arrays of a file contradict each other."""
    joints = arrays['joints']
    frames = int(arrays['lengths'].astype(np.int64).sum())
    if joints.ndim != 1 or not np.isin(joints, np.arange(24)).all():
        raise InputError(
            f'{path}: joints is {joints.tolist()}, expected numbers from 0 to 23; the file is damaged, '
            f'make it again'
        )
    for key, width in (('rotvec_bytes', 3 * len(joints)), ('transl_bytes', 3)):
        expected = (2, width, frames)
        if arrays[key].shape != expected or arrays[key].dtype != np.uint8:
            raise InputError(
                f'{path}: {key} is {arrays[key].dtype} {arrays[key].shape}, expected uint8 {expected} '
                f'from lengths and joints; the file is damaged, make it again'
            )
    if len({len(arrays[key]) for key in _PER_CLIP}) != 1:
        raise InputError(
            f'{path}: {", ".join(_PER_CLIP)} differ in length; the file is damaged, make it again'
        )


def _decode(arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Poses (F, 24, 3) and root positions (F, 3) of all clips, float32."""
    lengths = arrays['lengths'].astype(np.int64)
    joints = arrays['joints']
    rotvec = _from_bytes(arrays['rotvec_bytes'], lengths) * float(arrays['rotvec_quantum'])
    transl = _from_bytes(arrays['transl_bytes'], lengths) * float(arrays['transl_quantum'])
    poses = np.zeros((len(rotvec), 24, 3), np.float32)
    poses[:, joints] = rotvec.reshape(len(rotvec), len(joints), 3)
    return poses, transl.astype(np.float32)


def _to_bytes(values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(F, N) -> (2, N, F) uint8: high and low bytes of the differences of the rounded values within each clip."""
    rounded = np.round(values).astype(np.int64)
    steps = np.diff(rounded, axis=0, prepend=0)
    starts = _clip_starts(lengths)
    steps[starts] = rounded[starts]
    if np.abs(steps).max() >= 2**15:
        raise InputError('a value does not fit 16 bits: choose a coarser quantum')
    # Zigzag maps small steps of both signs to small numbers, so the high byte is nearly always zero.
    zigzag = ((steps << 1) ^ (steps >> 63)).astype(np.uint16).T
    return np.stack([(zigzag >> 8).astype(np.uint8), (zigzag & 255).astype(np.uint8)])


def _from_bytes(packed: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The inverse of :func:`_to_bytes`: (2, N, F) -> (F, N) int64."""
    high = packed[0].astype(np.int64).T
    low = packed[1].astype(np.int64).T
    zigzag = high << 8 | low
    steps = (zigzag >> 1) ^ -(zigzag & 1)
    total = np.cumsum(steps, axis=0)
    # The sum runs through all clips; every clip starts again from zero.
    starts = _clip_starts(lengths)
    before_clip = np.where(starts[:, None] > 0, total[starts - 1], 0)
    return total - np.repeat(before_clip, lengths, axis=0)


def _clip_starts(lengths: np.ndarray) -> np.ndarray:
    """The first frame of every clip."""
    return np.concatenate([[0], np.cumsum(lengths)[:-1]])
