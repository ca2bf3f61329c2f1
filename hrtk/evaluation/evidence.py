"""Evidence, without ground truth, that frames of a track or the whole track are wrong.

Every number is computed from what a detector and an estimator returned. It says that something contradicts itself; a
small number is no proof that a frame is right.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Optional

import numpy as np

from hrtk.body_models.pairs import (
    LOWER_JOINTS,
    UPPER_JOINTS,
    body_bones,
    body_height,
    joint_pairs,
)
from hrtk.errors import InputError

BESIDE = (
    1.5  # times the jump of a frame; 2 beside a single frame that jumps, 1 beside a shaking one
)
LIMB_JOINTS = (('elbow', 'wrist'), ('knee', 'ankle'))


@dataclasses.dataclass(frozen=True)
class TrackEvidence:
    """Numbers about each of F frames; NaN where there is nothing to compute them from.

    Attributes:
        visible: (F,) share of shoulders, elbows, wrists, hips, knees and ankles with a confidence above 0, inside the
            image.
        unseen: (F,) share of elbows and wrists, or of knees and ankles, that is not visible, the larger one. Detectors
            and estimators complete arms and legs that they do not see.
        jump: (F,) mean distance of these joints from the middle between the frames before and after, body heights.
        exchanged: (F,) 1 where left and right were found exchanged, else 0, see
            :class:`hrtk.datasets.own.sides.SideRepair`.
        side_disagreement: (F,) probability that the mirrored image yields other sides, the larger one of upper and
            lower body.
        bone_deviation: (F,) mean over bones of |log(length / median length of the track)| of the 3D landmarks, about
            the relative error.
        reprojection: (F,) mean distance of the projected joints from the visible keypoints, body heights.
        spread: (F,) mean expected error of the joints by the estimator's own judgement, metres.
        seconds: between two frames.
        side_margin: of :class:`hrtk.datasets.own.sides.Sides`; NaN if sides were not examined.
        identity: (F,) logarithm of the odds that the person is the one of the track, in frames around which people
            overlapped, see :func:`hrtk.datasets.own.identities.identify`.
    """

    visible: np.ndarray
    unseen: np.ndarray
    jump: np.ndarray
    exchanged: np.ndarray
    side_disagreement: np.ndarray
    bone_deviation: np.ndarray
    reprojection: np.ndarray
    spread: np.ndarray
    seconds: float
    side_margin: float
    identity: np.ndarray


@dataclasses.dataclass(frozen=True)
class DoubtLimits:
    """Where doubt begins.

    Attributes:
        visible: smallest share of visible joints.
        unseen: largest share of unseen joints of arms or legs; three of four are too many.
        jump: largest jump apart from acceleration, body heights.
        acceleration: what people do, as a mean over their joints, body heights / s²; it allows larger jumps between
            frames that are far apart.
        side_disagreement: largest probability.
        bone_deviation: largest mean deviation.
        reprojection: largest mean distance, body heights.
        spread: largest mean expected error, metres.
        side_margin: smallest margin of a track.
        identity: smallest margin of an identity; one such frame makes a track doubtful.
        share: largest share of doubtful frames in a track that is not doubtful.
    """

    visible: float = 0.5
    unseen: float = 0.7
    jump: float = 0.03
    acceleration: float = 15.0
    side_disagreement: float = 0.5
    bone_deviation: float = 0.15
    reprojection: float = 0.05
    spread: float = 0.15
    side_margin: float = 2.0
    identity: float = 5.0
    share: float = 0.2


@dataclasses.dataclass(frozen=True)
class Doubts:
    """Which frames of a track are doubtful, and why.

    Attributes:
        doubtful: whether the track is doubtful.
        reasons: why: names of reasons that concern more than the allowed share of frames, ``'frames'`` if only all
            reasons together do, ``'side_margin'`` if the sides of the track are a guess, ``'identity'`` if the person
            may be another one from some frame on.
        frames: (F,) bool, the doubtful frames.
        frame_reasons: for each reason (F,) bool: ``'visible'``, ``'unseen'``, ``'jump'``, ``'exchanged'``,
            ``'side_disagreement'``, ``'bone_deviation'``, ``'reprojection'``, ``'spread'``.
    """

    doubtful: bool
    reasons: tuple[str, ...]
    frames: np.ndarray
    frame_reasons: dict[str, np.ndarray]

    def reasons_of(self, frame: int) -> tuple[str, ...]:
        """Why a frame is doubtful; empty for a frame that is not."""
        return tuple(reason for reason, frames in self.frame_reasons.items() if frames[frame])


def track_evidence(
    keypoints2d: np.ndarray,
    skeleton: str | Sequence[str],
    fps: float,
    *,
    exchanged: Optional[np.ndarray] = None,
    side_disagreement: Optional[np.ndarray] = None,
    side_margin: float = np.nan,
    landmarks3d: Optional[np.ndarray] = None,
    projected2d: Optional[np.ndarray] = None,
    joint_spread: Optional[np.ndarray] = None,
    image_size: Optional[tuple[int, int]] = None,
    identity: Optional[np.ndarray] = None,
) -> TrackEvidence:
    """Collects the evidence of a track of F consecutive frames.

    Args:
        keypoints2d: (F, K, 3) x, y in px and confidence, 0 for missing points.
        skeleton: name of the joint list, or the names of the K joints.
        fps: frames per second.
        exchanged: (F, 2) or (F,) bool of :class:`hrtk.datasets.own.sides.Sides`.
        side_disagreement: (F, 2) or (F,) likewise.
        side_margin: likewise.
        landmarks3d: (F, K, 3) 3D landmarks or joints, any unit that is the same in all frames.
        projected2d: (F, K, 2) joints of the reconstructed body, projected, px; NaN for joints that it lacks.
        joint_spread: (F, J) of :class:`hrtk.structures.Prediction`, metres.
        image_size: (width, height), px; joints outside are not visible, whatever the detector says. None for no limit.
        identity: (F,) margins of :class:`hrtk.datasets.own.choosing.Track`.

    Raises:
        InputError: an array has another shape than these.
    """
    points = np.asarray(keypoints2d, np.float64)
    joints = _limb_joints(points, skeleton)
    count = len(points)
    known = (points[..., 2] > 0) & np.isfinite(points).all(-1)
    heights = body_height(np.where(known[..., None], points, 0)[..., :2], known, skeleton, fps)
    scaled = np.where(known[..., None], points[..., :2], np.nan) / heights[:, None, None]
    visible = known & _inside(points[..., :2], image_size)
    nothing = np.full(count, np.nan)
    bone_deviation = nothing
    reprojection = nothing
    spread = nothing
    if identity is None:
        identity = nothing
    _check_shape(identity, (count,), 'identity')
    if joint_spread is not None:
        spread = np.asarray(joint_spread, np.float64).mean(1)
    if landmarks3d is not None:
        _check_shape(landmarks3d, (*points.shape[:2], 3), 'landmarks3d')
        bone_deviation = _bone_deviation(np.asarray(landmarks3d, np.float64), skeleton)
    if projected2d is not None:
        reprojection = _reprojection(projected2d, points, heights, known)
    return TrackEvidence(
        visible=visible[:, joints].mean(1),
        unseen=_unseen(visible, skeleton),
        jump=_jumps(scaled[:, joints]),
        exchanged=_largest(exchanged, count),
        side_disagreement=_largest(side_disagreement, count),
        bone_deviation=bone_deviation,
        reprojection=reprojection,
        spread=spread,
        seconds=1 / fps,
        side_margin=float(side_margin),
        identity=np.asarray(identity, np.float64),
    )


def _limb_joints(points: np.ndarray, skeleton: str | Sequence[str]) -> list[int]:
    """Indices of the joints of arms and legs in a joint list.

    Raises:
        InputError: the points are not (F, K, 3) with these joints.
    """
    pairs = joint_pairs(skeleton).of((*UPPER_JOINTS, *LOWER_JOINTS))
    joints = [*pairs.left, *pairs.right]
    if points.ndim != 3 or points.shape[2] != 3 or not joints or points.shape[1] <= max(joints):
        raise InputError(
            f'keypoints2d are {points.shape}; expected (F, K, 3), x, y and confidence of the joints {skeleton!r} '
            f'with left and right arms or legs'
        )
    return joints


def find_doubts(evidence: TrackEvidence, limits: DoubtLimits = DoubtLimits()) -> Doubts:
    """Marks the frames whose evidence is beyond a limit, and the track if they are many.

    NaN is never beyond a limit. One frame that jumps away makes half a jump of the frames before and after; these are
    not marked for it.
    """
    jump_limit = limits.jump + limits.acceleration * evidence.seconds**2 / 2
    frame_reasons = {
        'visible': evidence.visible < limits.visible,
        'unseen': evidence.unseen > limits.unseen,
        'jump': (evidence.jump > jump_limit) & ~_beside_jumps(evidence.jump),
        'exchanged': evidence.exchanged > 0,
        'side_disagreement': evidence.side_disagreement > limits.side_disagreement,
        'bone_deviation': evidence.bone_deviation > limits.bone_deviation,
        'reprojection': evidence.reprojection > limits.reprojection,
        'spread': evidence.spread > limits.spread,
        'identity': evidence.identity < limits.identity,
    }
    frames = np.any(list(frame_reasons.values()), axis=0)
    reasons = [reason for reason, of in frame_reasons.items() if of.mean() > limits.share]
    if not reasons and frames.mean() > limits.share:
        reasons.append('frames')
    if frame_reasons['identity'].any() and 'identity' not in reasons:
        reasons.append('identity')
    if evidence.side_margin < limits.side_margin:
        reasons.append('side_margin')
    return Doubts(bool(reasons), tuple(reasons), frames, frame_reasons)


def _inside(xy: np.ndarray, image_size: Optional[tuple[int, int]]) -> np.ndarray:
    """(F, K) whether points (F, K, 2) lie in the image; pixel centres lie at integers."""
    if image_size is None:
        return np.ones(xy.shape[:-1], bool)
    with np.errstate(invalid='ignore'):
        inside = (xy >= -0.5) & (xy <= np.array(image_size) - 0.5)
    return np.asarray(inside.all(-1))


def _unseen(visible: np.ndarray, skeleton: str | Sequence[str]) -> np.ndarray:
    """(F,) share of invisible joints of the arms or of the legs, the larger one; NaN without such joints."""
    unseen = np.full(len(visible), np.nan)
    for limbs in LIMB_JOINTS:
        pairs = joint_pairs(skeleton).of(limbs)
        if len(pairs):
            unseen = np.fmax(unseen, 1 - visible[:, [*pairs.left, *pairs.right]].mean(1))
    return unseen


def _jumps(points: np.ndarray) -> np.ndarray:
    """(F,) of (F, J, 2) points with NaN for missing ones."""
    jumps = np.full(len(points), np.nan)
    if len(points) > 2:
        middle = (points[:-2] + points[2:]) / 2
        jumps[1:-1] = _mean(np.linalg.norm(points[1:-1] - middle, axis=-1))
    return jumps


def _beside_jumps(jumps: np.ndarray) -> np.ndarray:
    """(F,) bool, whether a frame beside jumps much more, so that the jump is that of the frame beside."""
    padded = np.pad(np.nan_to_num(jumps), 1)
    return np.maximum(padded[:-2], padded[2:]) > BESIDE * np.nan_to_num(jumps)


def _bone_deviation(landmarks3d: np.ndarray, skeleton: str | Sequence[str]) -> np.ndarray:
    """(F,) mean deviation of the bones from their median lengths."""
    bones = body_bones(skeleton)
    if not bones:
        return np.full(len(landmarks3d), np.nan)
    starts = [start for start, _, _ in bones]
    ends = [end for _, end, _ in bones]
    lengths = np.linalg.norm(landmarks3d[:, starts] - landmarks3d[:, ends], axis=-1)
    lengths = np.where(lengths > 0, lengths, np.nan)
    measured = np.isfinite(lengths).any(0)
    lengths = lengths[:, measured]
    return _mean(np.abs(np.log(lengths / np.nanmedian(lengths, axis=0))))


def _reprojection(
    projected2d: np.ndarray, points: np.ndarray, heights: np.ndarray, known: np.ndarray
) -> np.ndarray:
    """(F,) mean distance of projected joints from the (F, K) known points, in heights of the body."""
    _check_shape(projected2d, (*points.shape[:2], 2), 'projected2d')
    distance = np.linalg.norm(projected2d - points[..., :2], axis=-1) / heights[:, None]
    return _mean(np.where(known, distance, np.nan))


def _mean(values: np.ndarray) -> np.ndarray:
    """The mean of every row without NaN; NaN for a row without any number."""
    known = np.isfinite(values)
    counts = known.sum(1)
    sums = np.where(known, values, 0).sum(1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _largest(values: Optional[np.ndarray], count: int) -> np.ndarray:
    """(F,) the larger one of upper and lower body; NaN without values."""
    if values is None:
        return np.full(count, np.nan)
    by_part = np.asarray(values, np.float64).reshape(len(values), -1)
    _check_shape(by_part, (count, by_part.shape[1]), 'exchanged or side_disagreement')
    known = np.isfinite(by_part).any(1)
    largest = np.full(count, np.nan)
    largest[known] = np.nanmax(by_part[known], axis=1)
    return largest


def _check_shape(values: np.ndarray, shape: tuple[int, ...], label: str) -> None:
    if np.shape(values) != shape:
        raise InputError(f'{label} are {np.shape(values)}; expected {shape}, as keypoints2d say')
