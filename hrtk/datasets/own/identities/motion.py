"""How people move through an image: Kalman filters at constant velocity, and how well two pieces of a track join.

Lengths are in sides of the person's box, so that near and far people are treated alike; times are in seconds.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from hrtk.body_models.pairs import first_indices

TORSO = (('left', 'shoulder'), ('right', 'shoulder'), ('left', 'hip'), ('right', 'hip'))
LEAST_TORSO = 3  # visible joints of four; from fewer the middle of the torso is uncertain
UNCERTAIN = 5.0  # times the noise of such a middle
PERIODS = 0.4  # s at the end of a piece of a track from which its velocity is estimated


@dataclasses.dataclass(frozen=True)
class Motion:
    """A model of random accelerations about a constant velocity.

    Attributes:
        noise: standard deviation of an observed middle of the body, sides.
        speed: standard deviation of the velocity of somebody who was just seen for the first time, sides / s. People
            walk at 1.4 m/s, which is 0.7 sides / s for a side of 1.2 times the body's height.
        agitation: spectral density of the random acceleration, sides² / s³.
        size_noise: standard deviation of the logarithm of an observed side.
        freedom: degrees of freedom of Student's t distribution, whose long tails allow people to stop and to turn.
    """

    noise: float = 0.015
    speed: float = 1.0
    agitation: float = 0.3
    size_noise: float = 0.06
    freedom: float = 3.0

    def spread(self, seconds: float) -> np.ndarray:
        """(2, 2) covariance of position and velocity that random acceleration adds in some time."""
        both = seconds**2 / 2
        return self.agitation * np.array([[seconds**3 / 3, both], [both, seconds]])

    def cost(self, squared: float, dimensions: int) -> float:
        """Negative logarithmic likelihood, without its constant, of a squared normalised deviation."""
        return (self.freedom + dimensions) / 2 * float(np.log1p(squared / self.freedom))


def body_middles(
    points: np.ndarray, boxes: np.ndarray, skeleton: str
) -> tuple[np.ndarray, np.ndarray]:
    """The middles of the torsos, which move more evenly than the boxes of swinging limbs.

    Args:
        points: (N, K, 3) x, y in px and confidence; 0 marks a missing point.
        boxes: (N, 3) ``[cx, cy, side]``, px.
        skeleton: joint list of the points.

    Returns:
        (N, 2) middles, px, those of the boxes where less than three joints of the torso are visible; and (N,) how many
        times as uncertain as others they are.
    """
    index = first_indices(skeleton)
    joints = [index[joint] for joint in TORSO if joint in index]
    middles = boxes[:, :2].astype(np.float64)
    factors = np.full(len(points), UNCERTAIN)
    if not joints:
        return middles, factors
    torso = points[:, joints].astype(np.float64)
    seen = torso[..., 2] > 0
    known = seen.sum(1) >= LEAST_TORSO
    weights = seen[known, :, None]
    middles[known] = (torso[known, :, :2] * weights).sum(1) / weights.sum(1)
    complete = seen.sum(1) == len(TORSO)
    factors[known] = UNCERTAIN / 2
    factors[complete] = 1.0
    return middles, factors


class Filter:
    """The Kalman filter of one person's middle.

    Args:
        motion: the model.
        middle: (2,) px, where the person is first seen.
        side: of the box, px.
        factor: how many times as uncertain as others the middle is.
    """

    def __init__(self, motion: Motion, middle: np.ndarray, side: float, factor: float) -> None:
        self.motion = motion
        self.side = side
        self.place = middle
        self.velocity = np.zeros(2)  # px / s
        self.covariance = np.diag([(motion.noise * factor) ** 2, motion.speed**2])  # sides

    def advance(self, seconds: float) -> None:
        """Predicts the person for a later time."""
        step = np.array([[1, seconds], [0, 1]])
        self.place = self.place + seconds * self.velocity
        self.covariance = step @ self.covariance @ step.T + self.motion.spread(seconds)

    def update(self, middle: np.ndarray, side: float, factor: float) -> None:
        """Follows an observation, the less the farther it is from the prediction."""
        deviation = middle - self.place
        noise = (self.motion.noise * factor) ** 2
        variance = self.covariance[0, 0] + noise
        squared = float(deviation @ deviation) / self.side**2 / variance
        trust = min((self.motion.freedom + 2) / (self.motion.freedom + squared), 1)
        gain = self.covariance[:, 0] / (self.covariance[0, 0] + noise / trust)
        self.place = self.place + gain[0] * deviation
        self.velocity = self.velocity + gain[1] * deviation
        self.covariance = self.covariance - np.outer(gain, self.covariance[0])
        self.side = 0.8 * self.side + 0.2 * side


@dataclasses.dataclass(frozen=True)
class End:
    """Where a piece of a track begins or ends.

    Attributes:
        time: s.
        state: (2, 2) place (px) and velocity (px / s), rows, of x and y.
        covariance: (2, 2) of place and velocity, sides.
        side: median side of the box there, px.
    """

    time: float
    state: np.ndarray
    covariance: np.ndarray
    side: float


def fit_end(
    motion: Motion,
    times: np.ndarray,
    middles: np.ndarray,
    sides: np.ndarray,
    factors: np.ndarray,
    last: bool,
) -> End:
    """Fits a place and a velocity to the observations at the end, or the beginning, of a piece of a track.

    Args:
        motion: the model, whose ``speed`` is the prior of the velocity.
        times: (F,) s, ascending.
        middles: (F, 2) px.
        sides: (F,) px.
        factors: (F,) how many times as uncertain as others each middle is.
        last: whether the end is fitted.
    """
    time = times[-1] if last else times[0]
    near = np.abs(times - time) <= PERIODS
    side = float(np.median(sides[near]))
    offsets = times[near] - time
    design = np.stack([np.ones_like(offsets), offsets], axis=1)
    weights = 1 / (motion.noise * factors[near]) ** 2
    prior = np.diag([0, 1 / motion.speed**2])
    values = middles[near] / side
    origin = values[-1 if last else 0]
    for _ in range(3):  # reweighted, so that a wrong middle counts little
        precision = prior + (design * weights[:, None]).T @ design
        covariance = np.linalg.inv(precision)
        state = covariance @ (design * weights[:, None]).T @ (values - origin)
        residual = np.square(values - origin - design @ state).sum(1)
        squared = residual / (motion.noise * factors[near]) ** 2
        trust = np.minimum((motion.freedom + 2) / (motion.freedom + squared), 1)
        weights = trust / (motion.noise * factors[near]) ** 2
    state[0] += origin
    return End(float(time), state * side, covariance, side)


def joining_cost(motion: Motion, end: End, start: End) -> float:
    """How unlikely it is that somebody moves from the end of one piece to the start of another, and how he changes
    size: a negative logarithmic likelihood, nats.

    The normalisation by the covariance's determinant makes costs of gaps of different lengths comparable.
    """
    seconds = start.time - end.time
    step = np.array([[1, seconds], [0, 1]])
    side = np.sqrt(end.side * start.side)
    deviation = (start.state - step @ end.state) / side
    covariance = step @ end.covariance @ step.T + motion.spread(seconds) + start.covariance
    squared = float(np.einsum('ic,ij,jc->', deviation, np.linalg.inv(covariance), deviation))
    growth = np.log(start.side / end.side) / motion.size_noise
    return (
        motion.cost(squared, 4)
        + motion.cost(float(growth**2), 1)
        + float(np.log(np.linalg.det(covariance)) - np.log(np.linalg.det(2 * start.covariance)))
    )


def between(end: End, start: End, time: float) -> np.ndarray:
    """(2,) where somebody is between two pieces of a track, px: the cubic with both places and velocities."""
    seconds = start.time - end.time
    u = (time - end.time) / seconds
    return (
        (2 * u**3 - 3 * u**2 + 1) * end.state[0]
        + (u**3 - 2 * u**2 + u) * seconds * end.state[1]
        + (3 * u**2 - 2 * u**3) * start.state[0]
        + (u**3 - u**2) * seconds * start.state[1]
    )
