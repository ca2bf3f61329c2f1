"""Hypotheses about exchanged sides, followed through time: the Viterbi algorithm over Kalman filters.

The vector from the right joint of a pair to the left one is free of the motion of the person and of the camera, and an
exchange of left and right turns it around. Between two frames it changes little, so the best sequence of states is the
one in which the turned vectors move most smoothly. Every state of the last frame keeps one hypothesis about the
frames before, and every hypothesis filters its own vectors (per-survivor processing: Raheli, Polydoros and Tzou,
IEEE Transactions on Communications 43, 1995). A filter predicts by position and velocity. Therefore two legs that cross
are not taken for legs that turn back, and a gap makes a prediction less certain instead of ending a hypothesis.
"""

from __future__ import annotations

import dataclasses

import numpy as np

# The joint states of the upper and the lower body, True: exchanged.
STATES = np.array([[False, False], [True, True], [True, False], [False, True]])
RIGHT, WHOLE = 0, 1
HALVES = [2, 3]
OPPOSITE = np.array([1, 0, 3, 2])  # the state with both parts the other way round
MOST_CHANGE = 0.3  # probability of one change after a gap; three changes lead away from a state


@dataclasses.dataclass(frozen=True)
class PairMotion:
    """How the vectors between paired joints move, in body heights and seconds.

    Attributes:
        agitation: spectral density of the random acceleration of every pair, (body heights)² / s³, by joint.
        speed: standard deviation of the velocity of a vector that was just seen for the first time, body heights / s.
        damping: seconds in which a velocity falls to 1 / e without observations.
        freedom: degrees of freedom of Student's t distribution of the deviations from a prediction.
        independence: weight of a pair's logarithmic likelihood; less than 1, as the errors of pairs are correlated.
    """

    agitation: dict[str, float]
    speed: float = 1.5
    damping: float = 0.3
    freedom: float = 3.0
    independence: float = 0.5

    def cost(self, squared: np.ndarray) -> np.ndarray:
        """Negative logarithmic likelihood, without its constant, of squared normalised deviations in the plane."""
        exponent = self.independence * (self.freedom + 2) / 2
        return exponent * np.log1p(squared / self.freedom)

    def trust(self, squared: np.ndarray) -> np.ndarray:
        """Weight in (0, 1] by which the precision of an observation with such a deviation is reduced."""
        return np.minimum((self.freedom + 2) / (self.freedom + squared), 1)


class PairFilters:
    """The Kalman filters of P vectors in S hypotheses.

    Args:
        motion: the model of their motion.
        agitation: (P,) of every vector.
        count: S.
    """

    def __init__(self, motion: PairMotion, agitation: np.ndarray, count: int) -> None:
        pairs = len(agitation)
        self.motion = motion
        self.agitation = agitation
        self.seen = np.zeros(pairs, bool)
        self.position = np.zeros((count, pairs, 2))
        self.velocity = np.zeros((count, pairs, 2))
        # Variances of position and velocity, and their covariance, the same for x and y.
        self.of_position = np.zeros((count, pairs))
        self.of_both = np.zeros((count, pairs))
        self.of_velocity = np.zeros((count, pairs))

    def advance(self, seconds: float) -> None:
        """Predicts all vectors for a later frame."""
        kept = np.exp(-seconds / self.motion.damping)
        reach = self.motion.damping * (1 - kept)
        self.position += reach * self.velocity
        self.velocity *= kept
        random = self.agitation * seconds
        self.of_position += reach * (2 * self.of_both + reach * self.of_velocity)
        self.of_position += random * seconds**2 / 3
        self.of_both = kept * (self.of_both + reach * self.of_velocity) + random * seconds / 2
        self.of_velocity = kept**2 * self.of_velocity + random

    def deviations(self, vectors: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """(S, 2, P) squared normalised deviations of the vectors as they are (0) and turned around (1).

        Args:
            vectors: (P, 2) in body heights.
            noise: (P,) their variances.
        """
        variance = self.of_position + noise
        kept = np.square(vectors - self.position).sum(-1) / variance
        turned = np.square(vectors + self.position).sum(-1) / variance
        return np.stack([kept, turned], axis=1)

    def update(
        self, sources: np.ndarray, vectors: np.ndarray, noise: np.ndarray, visible: np.ndarray
    ) -> None:
        """Follows the observed vectors of a frame.

        Args:
            sources: (S,) the hypothesis that each new hypothesis continues.
            vectors: (S, P, 2) turned as each new hypothesis takes them.
            noise: (P,) variances.
            visible: (P,) bool.
        """
        position = self.position[sources]
        of_position = self.of_position[sources]
        of_both = self.of_both[sources]
        deviation = vectors - position
        trust = self.motion.trust(np.square(deviation).sum(-1) / (of_position + noise))
        variance = of_position + noise / trust
        used = visible & self.seen
        gain = np.where(used, of_position / variance, 0)
        velocity_gain = np.where(used, of_both / variance, 0)
        self.position = position + gain[..., None] * deviation
        self.velocity = self.velocity[sources] + velocity_gain[..., None] * deviation
        self.of_position = of_position * (1 - gain)
        self.of_both = of_both * (1 - gain)
        self.of_velocity = self.of_velocity[sources] - velocity_gain * of_both
        self._begin(visible & ~self.seen, vectors, noise)

    def _begin(self, new: np.ndarray, vectors: np.ndarray, noise: np.ndarray) -> None:
        """Starts the filters of vectors that are seen for the first time."""
        self.position[:, new] = vectors[:, new]
        self.velocity[:, new] = 0
        self.of_position[:, new] = noise[new]
        self.of_both[:, new] = 0
        self.of_velocity[:, new] = self.motion.speed**2
        self.seen |= new


def best_states(
    motion: PairMotion,
    vectors: np.ndarray,
    noise: np.ndarray,
    times: np.ndarray,
    lower: np.ndarray,
    agitation: np.ndarray,
    prior: np.ndarray,
    rates: np.ndarray,
    costs: np.ndarray,
) -> np.ndarray:
    """The most likely state of every frame.

    Args:
        motion: the model of the vectors' motion.
        vectors: (F, P, 2) from right to left joints in body heights; NaN where a pair is not visible. At least one
            pair is visible in every frame.
        noise: (F, P) their variances.
        times: (F,) seconds, ascending.
        lower: (P,) bool, pairs of the lower body.
        agitation: (P,) of every pair.
        prior: (4,) costs of the states in the first frame.
        rates: (4, 4) probability per second of the change from one state of :data:`STATES` to another.
        costs: (F, 4) further costs of the states of every frame.

    Returns:
        (F,) indices into :data:`STATES`.
    """
    visible = np.isfinite(vectors).all(-1)
    vectors = np.where(visible[..., None], vectors, 0)
    noise = np.where(visible, noise, 1)
    signs = np.where(STATES[:, lower.astype(int)], -1.0, 1.0)  # (4, P)
    parts = np.stack([~lower, lower]).astype(float)  # (2, P)
    upper_state, lower_state = STATES.T.astype(int)
    filters = PairFilters(motion, agitation, len(STATES))
    sources = np.arange(len(STATES))
    filters.update(sources, signs[..., None] * vectors[0], noise[0], visible[0])
    total = prior + costs[0]
    origins = np.zeros((len(vectors), len(STATES)), int)
    seconds = np.diff(times)
    changes = change_costs(rates, seconds)
    for frame in range(1, len(vectors)):
        filters.advance(seconds[frame - 1])
        deviations = filters.deviations(vectors[frame], noise[frame])
        used = visible[frame] & filters.seen
        by_part = (motion.cost(deviations) * used) @ parts.T  # (4, 2, 2): hypothesis, turned, part
        fits = by_part[:, upper_state, 0] + by_part[:, lower_state, 1]  # (4, 4)
        candidates = total[:, None] + changes[frame - 1] + fits
        sources = candidates.argmin(0)
        origins[frame] = sources
        total = candidates.min(0) + costs[frame]
        filters.update(sources, signs[..., None] * vectors[frame], noise[frame], visible[frame])
    states = np.empty(len(vectors), int)
    states[-1] = total.argmin()
    for frame in range(len(vectors) - 1, 0, -1):
        states[frame - 1] = origins[frame, states[frame]]
    return states


def change_costs(rates: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Negative logarithmic probabilities of the changes between frames.

    They are of first order in the time, limited to :data:`MOST_CHANGE` after a gap.

    Args:
        rates: (S, S) probability per second of the change from one state to another; its diagonal is 0.
        seconds: (N,) between the frames.

    Returns:
        (N, S, S), from the first state to the second.
    """
    changes = np.minimum(rates * seconds[:, None, None], MOST_CHANGE)
    staying = 1 - changes.sum(-1)
    return -np.log(changes + staying[..., None] * np.eye(len(rates)))


def chain_cost(
    states: np.ndarray,
    times: np.ndarray,
    prior: np.ndarray,
    rates: np.ndarray,
    costs: np.ndarray,
) -> float:
    """What a sequence of states costs apart from the motion.

    Args:
        states: (F,) indices.
        times: as of :func:`best_states`, like the others.
    """
    changes = change_costs(rates, np.diff(times))
    frames = np.arange(len(states))
    total = prior[states[0]] + costs[frames, states].sum()
    return float(total + changes[frames[:-1], states[:-1], states[1:]].sum())
