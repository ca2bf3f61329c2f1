"""Left and right that a pose detector exchanged for some frames of a track, found and repaired.

Detectors such as BlazePose exchange left and right of a whole body, or of its upper or lower half, for single frames
or for about a second, with full confidence. :class:`SideRepair` decides for every frame by a Viterbi search over time,
see :mod:`hrtk.datasets.own.pair_filter`. It needs 2D keypoints only; the result of the detector on the mirrored image
and 3D landmarks make it more certain which of two opposite answers is right.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Optional

import numpy as np

from hrtk.body_models.pairs import (
    LOWER_JOINTS,
    UPPER_JOINTS,
    JointPairs,
    body_height,
    joint_pairs,
    names_of,
)
from hrtk.datasets.own.pair_filter import (
    HALVES,
    OPPOSITE,
    RIGHT,
    STATES,
    WHOLE,
    PairMotion,
    best_states,
    chain_cost,
)
from hrtk.datasets.own.side_cues import front_costs, mirror_costs, vote_weights
from hrtk.errors import InputError

MEASURED = (*UPPER_JOINTS, *LOWER_JOINTS)
LEAST_CONFIDENCE = 0.1  # of a visible point; the noise of a point grows with 1 / confidence
RARE = 1e-6  # changes per second between the two partial states


@dataclasses.dataclass(frozen=True)
class Sides:
    """What was found about the sides of a track of F frames.

    Attributes:
        found: (F, 2) bool: left and right of the upper, of the lower body are probably exchanged.
        margin: how much more likely ``found`` is than the opposite answer in every frame (natural logarithm of the
            ratio), at least 0. Motion alone cannot tell these two apart.
        decided: whether the margin is large enough to repair the track.
        disagreement: (F, 2) probability in [0, 1] that the mirrored image yields other sides of the upper, of the
            lower body; NaN where no pair is visible in both; None without a mirrored run.
    """

    found: np.ndarray
    margin: float
    decided: bool
    disagreement: Optional[np.ndarray] = None

    @property
    def exchanged(self) -> np.ndarray:
        """(F, 2) bool: what a repair exchanges, nothing in a track that is not decided."""
        return self.found & self.decided

    @property
    def count(self) -> int:
        """The number of frames in which any part of the body was found exchanged."""
        return int(self.found.any(1).sum())


@dataclasses.dataclass(frozen=True)
class SideRepair:
    """Finds and repairs exchanged sides.

    The constants describe people and detectors in general, in body heights and seconds. They were chosen with the
    training split of the bundled motion and with BlazePose on the free stream, see ``docs/en/left_and_right.md``.

    Args:
        begin: how often per second an exchange begins.
        end: how often per second an exchange ends.
        partial: share of the exchanges that concern one half of the body only.
        least_margin: tracks with a smaller :attr:`Sides.margin` are not repaired; 1 are odds of 2.7 to 1.
        noise: standard deviation of a detected point of confidence 1 per axis, body heights.
        motion: how the vectors between paired joints move.
    """

    begin: float = 0.2
    end: float = 2.0
    partial: float = 0.02
    least_margin: float = 1.0
    noise: float = 0.012
    motion: PairMotion = PairMotion(
        dict(shoulder=2.0, hip=1.0, elbow=4.0, wrist=8.0, knee=4.0, ankle=12.0)
    )

    def __call__(
        self,
        keypoints2d: np.ndarray,
        skeleton: str | Sequence[str],
        fps: float,
        **evidence: Optional[np.ndarray],
    ) -> tuple[np.ndarray, Sides]:
        """Repairs the keypoints of a track.

        Args:
            keypoints2d: as of :meth:`find`.
            skeleton: as of :meth:`find`.
            fps: as of :meth:`find`.
            evidence: the optional arguments of :meth:`find`.

        Returns:
            a copy of the keypoints with exchanged sides put right, and what was found.

        Raises:
            InputError: as of :meth:`find`.
        """
        sides = self.find(keypoints2d, skeleton, fps, **evidence)
        return exchange_sides(keypoints2d, skeleton, sides.exchanged), sides

    def find(
        self,
        keypoints2d: np.ndarray,
        skeleton: str | Sequence[str],
        fps: float,
        mirrored: Optional[np.ndarray] = None,
        landmarks3d: Optional[np.ndarray] = None,
        times: Optional[np.ndarray] = None,
    ) -> Sides:
        """Finds the frames of a track in which left and right are exchanged.

        Args:
            keypoints2d: (F, K, 3) x, y in px and confidence in [0, 1] of one person; confidence 0 marks a missing
                point, and so does a position that is not finite. A confidence that is not finite, or (F, K, 2) without
                any, counts as 1.
            skeleton: name of the joint list, or the names of the K joints.
            fps: frames per second.
            mirrored: the keypoints, (F, K, 3) or (F, K, 2), that the detector found in the mirrored image, mirrored
                back: in px of the image, and its left joints in the rows of the right ones. Frames without such a run
                have NaN or confidence 0.
            landmarks3d: (F, K, 3) 3D landmarks of the same run, camera axes (x right, y down, z away), any unit; a
                frame that is not finite has none.
            times: (F,) seconds of the frames, ascending, if they are not ``fps`` apart.

        Raises:
            InputError: an array has another shape, times do not ascend, or the joint list has no left and right
                shoulders, elbows, wrists, hips, knees or ankles.
        """
        points = _checked(keypoints2d, skeleton, 'keypoints2d')
        count = len(points)
        seconds = _checked_times(times, count, fps)
        pairs = _measured_pairs(skeleton)
        visible = points[..., 2] > 0
        heights = body_height(points[..., :2], visible, skeleton, fps)
        vectors = _vectors(points, pairs, heights)
        part_costs = np.zeros((count, 2))
        weight = vote_weights(seconds)[:, None]
        disagreement = None
        if mirrored is not None:
            other = _vectors(_checked(mirrored, skeleton, 'mirrored', count), pairs, heights)
            disagreement = self._disagreement(vectors, other, pairs)
            # A mirrored run in every n-th frame speaks for the frames between, too.
            seen = np.isfinite(disagreement).any(1)
            weight_seen = vote_weights(seconds[seen])[:, None]
            part_costs[seen] += weight_seen * mirror_costs(disagreement[seen])
        if landmarks3d is not None:
            landmarks3d = _checked3d(landmarks3d, skeleton, count)
            part_costs += weight * front_costs(landmarks3d, skeleton)[:, None]
        frames = np.flatnonzero(np.isfinite(vectors).all(-1).any(1))
        found = np.zeros((count, 2), bool)
        margin = 0.0
        if len(frames):
            variances = 2 * self.noise**2 / _confidence(points, pairs)
            states, margin = self._search(
                vectors[frames], variances[frames], seconds[frames], pairs, part_costs[frames]
            )
            found[frames] = STATES[states]
        return Sides(found, margin, margin >= self.least_margin, disagreement)

    def _disagreement(
        self, vectors: np.ndarray, mirrored: np.ndarray, pairs: JointPairs
    ) -> np.ndarray:
        """(F, 2) probability that two results of one image have different sides, NaN without a common pair."""
        variance = 4 * self.noise**2
        same = self.motion.cost(np.square(vectors - mirrored).sum(-1) / variance)
        other = self.motion.cost(np.square(vectors + mirrored).sum(-1) / variance)
        evidence = same - other  # positive: the vectors look turned around
        lower = np.array(pairs.lower)
        disagreement = np.full((len(vectors), 2), np.nan)
        for part in (0, 1):
            of_part = evidence[:, lower == part]
            common = np.isfinite(of_part).any(1)
            total = np.nansum(of_part[common], axis=1)
            disagreement[common, part] = 1 / (1 + np.exp(-total))
        return disagreement

    def _search(
        self,
        vectors: np.ndarray,
        variances: np.ndarray,
        seconds: np.ndarray,
        pairs: JointPairs,
        part_costs: np.ndarray,
    ) -> tuple[np.ndarray, float]:
        """The states of the frames in which a pair is visible, and the margin to the opposite answer."""
        rates = self._rates()
        prior = self._prior()
        costs = part_costs @ STATES.T
        states = best_states(
            self.motion,
            vectors,
            variances,
            seconds,
            np.array(pairs.lower),
            np.array([self.motion.agitation[joint] for joint in pairs.joints]),
            prior,
            rates,
            costs,
        )
        margin = chain_cost(OPPOSITE[states], seconds, prior, rates, costs)
        margin -= chain_cost(states, seconds, prior, rates, costs)
        # The search keeps four hypotheses only, and may have dropped the better one of two opposites.
        if margin < 0:
            return OPPOSITE[states], -margin
        return states, margin

    def _rates(self) -> np.ndarray:
        """(4, 4) probability per second of every change of state.

        They are in detailed balance with :meth:`_prior`, and a short exchange of one half is as likely among right as
        among exchanged frames, so that it does not vote on the sides of the track.
        """
        middle = np.sqrt(self.begin * self.end)
        rates = np.full((4, 4), RARE)
        rates[RIGHT, WHOLE] = self.begin
        rates[WHOLE, RIGHT] = self.end
        rates[RIGHT, HALVES] = middle * self.partial / 2
        rates[WHOLE, HALVES] = self.end * self.partial / 2
        rates[HALVES, RIGHT] = self.end
        rates[HALVES, WHOLE] = middle
        np.fill_diagonal(rates, 0)
        return rates

    def _prior(self) -> np.ndarray:
        """(4,) costs of the states of the first frame, by their shares in the long run."""
        shares = np.ones(4)
        shares[WHOLE] = self.begin / self.end
        shares[HALVES] = np.sqrt(self.begin / self.end) * self.partial / 2
        return -np.log(shares / shares.sum())


def exchange_sides(
    values: np.ndarray, skeleton: str | Sequence[str], exchanged: np.ndarray
) -> np.ndarray:
    """A copy in which left and right joints of the given frames are exchanged.

    Args:
        values: (F, K, ...) of the joints: keypoints, 3D landmarks, confidences.
        skeleton: name of the joint list, or the names of the K joints.
        exchanged: (F, 2) bool for the upper body with head and hands, and the lower body with feet.
    """
    repaired = np.array(values)
    pairs = joint_pairs(skeleton)
    lower = np.array(pairs.lower)
    for part in (0, 1):
        frames = np.flatnonzero(exchanged[:, part])[:, None]
        left = np.array(pairs.left)[lower == part]
        right = np.array(pairs.right)[lower == part]
        repaired[frames, left] = values[frames, right]
        repaired[frames, right] = values[frames, left]
    return repaired


def _measured_pairs(skeleton: str | Sequence[str]) -> JointPairs:
    """The pairs of a joint list by which sides are compared."""
    pairs = joint_pairs(skeleton).of(MEASURED)
    if len(pairs) == 0:
        raise InputError(
            f'the joint list {skeleton!r} has none of the pairs {", ".join(MEASURED)}, by which sides are '
            f'compared; name its joints like left_knee'
        )
    return pairs


def _checked(
    points: np.ndarray, skeleton: str | Sequence[str], label: str, count: Optional[int] = None
) -> np.ndarray:
    """(F, K, 3) float64 with confidence 0 for missing points, whose positions are 0."""
    points = np.asarray(points, np.float64)
    joints = len(names_of(skeleton))
    if points.ndim != 3 or points.shape[1] != joints or points.shape[2] not in (2, 3):
        raise InputError(
            f'{label} are {points.shape}; expected (F, {joints}, 3), x, y and confidence of the {joints} joints '
            f'of the list'
        )
    if count is not None and len(points) != count:
        raise InputError(f'{label} are of {len(points)} frames; keypoints2d are of {count}')
    position = points[..., :2]
    confidence = np.ones(points.shape[:2])
    if points.shape[2] == 3:
        confidence = np.nan_to_num(points[..., 2], nan=1.0)
    found = np.isfinite(position).all(-1)
    confidence = np.where(found, confidence.clip(0, 1), 0)
    position = np.where((confidence > 0)[..., None], position, 0)
    return np.concatenate([position, confidence[..., None]], axis=-1)


def _checked3d(landmarks3d: np.ndarray, skeleton: str | Sequence[str], count: int) -> np.ndarray:
    landmarks3d = np.asarray(landmarks3d, np.float64)
    expected = (count, len(names_of(skeleton)), 3)
    if landmarks3d.shape != expected:
        raise InputError(
            f'landmarks3d are {landmarks3d.shape}; expected {expected}, of the frames and joints of keypoints2d'
        )
    return landmarks3d


def _checked_times(times: Optional[np.ndarray], count: int, fps: float) -> np.ndarray:
    """(F,) seconds."""
    if not fps > 0:
        raise InputError(f'fps must be above 0, not {fps!r}')
    if times is None:
        return np.arange(count) / fps
    times = np.asarray(times, np.float64)
    if times.shape != (count,) or not (np.diff(times) > 0).all():
        raise InputError(
            f'times must be {count} ascending seconds, one per frame; give the frames in the order of time'
        )
    return times


def _vectors(points: np.ndarray, pairs: JointPairs, heights: np.ndarray) -> np.ndarray:
    """(F, P, 2) from right to left joints in body heights; NaN where one of both is missing."""
    left = points[:, list(pairs.left)]
    right = points[:, list(pairs.right)]
    visible = (left[..., 2] > 0) & (right[..., 2] > 0)
    with np.errstate(invalid='ignore', divide='ignore'):
        vectors = (left[..., :2] - right[..., :2]) / heights[:, None, None]
    vectors[~visible] = np.nan
    vectors[~np.isfinite(vectors)] = np.nan
    return vectors


def _confidence(points: np.ndarray, pairs: JointPairs) -> np.ndarray:
    """(F, P) the smaller confidence of each pair, at least :data:`LEAST_CONFIDENCE`."""
    confidence = points[..., 2]
    smaller = np.minimum(confidence[:, list(pairs.left)], confidence[:, list(pairs.right)])
    return smaller.clip(LEAST_CONFIDENCE, 1)
