"""Left and right joints of a joint list, and the body's height in an image from the lengths of its bones.

The functions take the joints by name, so that they also serve lists that :mod:`hrtk.body_models.skeletons` does not
have. ``left_hip_lsp``, ``left_hip_mocap`` and ``left_hip`` are hips, ``mouth_left`` and ``left_mouth`` the same point.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from hrtk.body_models.skeletons import joint_names
from hrtk.errors import InputError
from hrtk.geometry.smoothing import running_percentile

SIDES = ('left', 'right')
# The joints by which frames are compared; other pairs (eyes, fingers, toes) are too close to each other.
UPPER_JOINTS = ('shoulder', 'elbow', 'wrist')
LOWER_JOINTS = ('hip', 'knee', 'ankle')
# Pairs of the lower body by the beginning of their names; all others belong to the upper body.
LOWER_NAMES = ('hip', 'knee', 'ankle', 'foot', 'heel', 'toe', 'big_toe', 'small_toe')
# Lengths of bones in statures (Drillis and Contini, 1966; Winter, Biomechanics of Human Movement, 2009, figure 4.1).
BONE_LENGTHS = {
    ('shoulder', 'elbow'): 0.186,
    ('elbow', 'wrist'): 0.146,
    ('hip', 'knee'): 0.245,
    ('knee', 'ankle'): 0.246,
}
TRUNK_LENGTH = 0.288  # from the middle of the shoulders to the middle of the hips
# Foreshortening makes bones shorter, so the longest ones of about a second tell the height.
HEIGHT_PERCENTILE = 80
HEIGHT_SECONDS = 1.0


@dataclasses.dataclass(frozen=True)
class JointPairs:
    """The pairs of a joint list.

    Attributes:
        left: P indices of left joints.
        right: P indices of their counterparts.
        joints: P names without the side, ``'hip'`` for ``'left_hip_lsp'``.
        lower: P bools, whether the pair belongs to hips, legs and feet.
    """

    left: tuple[int, ...]
    right: tuple[int, ...]
    joints: tuple[str, ...]
    lower: tuple[bool, ...]

    def __len__(self) -> int:
        return len(self.left)

    def of(self, joints: Sequence[str]) -> JointPairs:
        """The pairs of some joints."""
        kept = [position for position, joint in enumerate(self.joints) if joint in joints]
        return JointPairs(
            tuple(self.left[position] for position in kept),
            tuple(self.right[position] for position in kept),
            tuple(self.joints[position] for position in kept),
            tuple(self.lower[position] for position in kept),
        )


def names_of(skeleton: str | Sequence[str]) -> tuple[str, ...]:
    """The joints of a list by its name, or the joints themselves.

    Raises:
        InputError: there is no list of this name.
    """
    if isinstance(skeleton, str):
        return joint_names(skeleton)
    return tuple(skeleton)


def joint_pairs(skeleton: str | Sequence[str]) -> JointPairs:
    """The pairs of left and right joints of a list; the k-th left wrist belongs to the k-th right one.

    Args:
        skeleton: name of a list of :mod:`hrtk.body_models.skeletons`, or the names of its joints.

    Raises:
        InputError: the list has no pair, or there is no list of this name.
    """
    pairs = _joint_pairs(names_of(skeleton))
    if not len(pairs):
        raise InputError(
            f'the joint list {skeleton!r} has no joint of which both a left and a right one exist, named like '
            f'left_knee and right_knee; name its joints so'
        )
    return pairs


def body_bones(skeleton: str | Sequence[str]) -> list[tuple[int, int, float]]:
    """The bones of arms and legs whose lengths are known, as (joint, joint, length in statures)."""
    first = first_indices(skeleton)
    bones = []
    for (start, end), length in BONE_LENGTHS.items():
        for side in SIDES:
            if (side, start) in first and (side, end) in first:
                bones.append((first[side, start], first[side, end], length))
    return bones


def body_height(
    points: np.ndarray, visible: np.ndarray, skeleton: str | Sequence[str], fps: float
) -> np.ndarray:
    """The height that a person would have in every frame, upright and parallel to the image.

    Every bone of :data:`BONE_LENGTHS` and the trunk, divided by its length in statures, is at most this height, and
    less where it is foreshortened. The height of a frame is the percentile :data:`HEIGHT_PERCENTILE` of its bones, and
    of this the same percentile over :data:`HEIGHT_SECONDS`. It does not change if left and right are exchanged.

    Args:
        points: (F, K, D) positions; D is 2 for px of an image, 3 for a height in space.
        visible: (F, K) bool.
        skeleton: joint list of the points.
        fps: frames per second.

    Returns:
        (F,) in the unit of the points; interpolated where no bone is visible, NaN if there is none in any frame.
    """
    estimates = np.sort(_height_estimates(points, visible, skeleton), axis=1)  # NaN last
    counts = np.isfinite(estimates).sum(1)
    known = np.flatnonzero(counts)
    if len(known) == 0:
        return np.full(len(points), np.nan)
    ranks = np.round(HEIGHT_PERCENTILE / 100 * (counts[known] - 1)).astype(int)
    heights = np.interp(np.arange(len(points)), known, estimates[known, ranks])
    window = max(round(HEIGHT_SECONDS * fps), 1)
    return running_percentile(heights, HEIGHT_PERCENTILE, window)


def first_indices(skeleton: str | Sequence[str]) -> dict[tuple[str, str], int]:
    """The first index of every joint by (side, joint); the side of a joint in the middle is ``''``."""
    first: dict[tuple[str, str], int] = {}
    for index, name in enumerate(names_of(skeleton)):
        first.setdefault(split_side(name), index)
    return first


def split_side(name: str) -> tuple[str, str]:
    """Side and joint of a name: ``('left', 'hip')`` of ``'left_hip_lsp'``, ``('', 'nose')`` of ``'nose'``."""
    joint = name.removesuffix('_lsp').removesuffix('_mocap')
    for side in SIDES:
        if joint.startswith(f'{side}_'):
            return side, joint.removeprefix(f'{side}_')
        if joint.endswith(f'_{side}'):
            return side, joint.removesuffix(f'_{side}')
    return '', joint


@functools.lru_cache(maxsize=None)
def _joint_pairs(names: tuple[str, ...]) -> JointPairs:
    indices: dict[tuple[str, str], list[int]] = {}
    for index, name in enumerate(names):
        indices.setdefault(split_side(name), []).append(index)
    left: list[int] = []
    right: list[int] = []
    joints: list[str] = []
    for (side, joint), of_left in indices.items():
        if side != 'left':
            continue
        for left_index, right_index in zip(of_left, indices.get(('right', joint), [])):
            left.append(left_index)
            right.append(right_index)
            joints.append(joint)
    lower = tuple(joint in LOWER_NAMES or joint.startswith('foot') for joint in joints)
    return JointPairs(tuple(left), tuple(right), tuple(joints), lower)


def _height_estimates(
    points: np.ndarray, visible: np.ndarray, skeleton: str | Sequence[str]
) -> np.ndarray:
    """(F, B) heights by every bone; NaN where an end of the bone is not visible."""
    columns = [np.full(len(points), np.nan)]
    for start, end, length in body_bones(skeleton):
        distance = np.linalg.norm(points[:, start] - points[:, end], axis=-1)
        columns.append(np.where(visible[:, start] & visible[:, end], distance / length, np.nan))
    first = first_indices(skeleton)
    trunk = [first.get((side, joint), -1) for joint in ('shoulder', 'hip') for side in SIDES]
    if min(trunk) >= 0:
        shoulders = points[:, trunk[:2]].mean(1)
        hips = points[:, trunk[2:]].mean(1)
        distance = np.linalg.norm(shoulders - hips, axis=-1)
        columns.append(np.where(visible[:, trunk].all(1), distance / TRUNK_LENGTH, np.nan))
    return np.stack(columns, axis=1)
