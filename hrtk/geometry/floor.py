"""Gravity and the floor of a clip with a camera that does not move, from the people who walk and stand in it.

There are three kinds of evidence:

- *balance*: on average over time the centre of mass of a person who stands or walks is above the feet;
- *trunk*: on average over time the trunk is upright;
- *stances*: places where a foot stood still lie in one plane.

The first two give a direction, even of a person who does not move, with an error of some degrees because people lean.
The stances become more accurate than that when a person walks some metres, because the depth of a place from one
camera is uncertain. :func:`estimate_floor` weighs the evidence by these errors and refuses an answer where it is weak
or contradictory.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Optional, Sequence

import numpy as np

STILL = 0.4  # m/s across the viewing ray: slower soles stand
LOWEST = 0.10  # metres: a standing sole is not higher than this above the lowest sole of its frame
LIFTED_SHARE = 0.3  # of the weight of a standing foot: where walkers will stand next counts, too
SHORTEST_STANCE = 0.12  # seconds
SHORTEST_TRACK = 0.5  # seconds with a standing foot
# Standard deviations.
BALANCE_ACROSS = 3.5  # degrees of a long track, in the image
BALANCE_AHEAD = 7.0  # degrees of a long track, in depth
SWAY_SECONDS = 2.0  # over so many seconds the variance is twice as large
STANCE_METRES = 0.05
STANCE_DEPTH = 0.05  # share of the distance, along the viewing ray
MOST_SPREAD = 30.0  # degrees: median deviation of the directions of single frames from their mean
MOST_CONFLICT = 50.0  # degrees between balance and trunk
ACCEPTED = 10.0  # degrees: the confidence is the probability of a smaller error
LEAST_CONFIDENCE = 0.5
ROUNDS = 10
HUBER = 1.5  # standard deviations


@dataclasses.dataclass(frozen=True)
class Floor:
    """A floor in the frame of a camera (x right, y down, z away).

    Attributes:
        up: (3,) unit vector against gravity.
        height: of the camera above the floor, metres.
    """

    up: np.ndarray
    height: float

    def heights(self, points: np.ndarray) -> np.ndarray:
        """Heights (...) above the floor of points (..., 3) in the frame of the camera, metres."""
        return points @ self.up + self.height

    @property
    def tilt_degrees(self) -> float:
        """The angle between up and the vertical of the image."""
        return math.degrees(math.acos(float(np.clip(-self.up[1], -1, 1))))

    def level_rotation(self) -> np.ndarray:
        """(3, 3) rotation from the camera's axes to level ones: x right, y along gravity, z the view's horizontal part.

        If the camera looks straight up or down, z is the horizontal part of the image's vertical.
        """
        down = -self.up
        view = np.array([0.0, 0.0, 1.0])
        if abs(down[2]) > 0.999:
            view = np.array([0.0, -1.0, 0.0])
        ahead = view - (view @ down) * down
        ahead = ahead / np.linalg.norm(ahead)
        return np.stack([np.cross(down, ahead), down, ahead])


@dataclasses.dataclass(frozen=True)
class Gait:
    """What one track of F frames tells about the floor, in the frame of the camera.

    Attributes:
        soles: (F, 2, P, 3) metres, P points under the left and the right foot.
        mass: (F, 3) metres, the centre of mass.
        trunk: (F, 3) unit vectors from the pelvis to the neck.
        fps: frames per second.
    """

    soles: np.ndarray
    mass: np.ndarray
    trunk: np.ndarray
    fps: float


@dataclasses.dataclass(frozen=True)
class FloorEstimate:
    """The answer of :func:`estimate_floor`.

    Attributes:
        floor: None if the estimate was refused.
        reason: of the refusal; empty for an answer.
        confidence: probability that the direction is less than :data:`ACCEPTED` degrees off, in [0, 1].
        uncertainty: expected root mean square error of the direction, degrees; infinite without evidence.
        stances: number of places where a foot stood.
    """

    floor: Optional[Floor]
    reason: str
    confidence: float
    uncertainty: float
    stances: int


def estimate_floor(people: Sequence[Gait]) -> FloorEstimate:
    """Estimates gravity and the floor from all people of a clip.

    Args:
        people: their tracks, in the frame of one camera that does not move.

    Returns:
        The floor, or a refusal with its reason.
    """
    directions = [_directions(person) for person in people]
    balance = _stacked([found.balance for found in directions])
    trunk = _stacked([found.trunk for found in directions])
    seconds = sum(len(found.balance) / person.fps for found, person in zip(directions, people))
    if seconds < SHORTEST_TRACK:
        return _refusal(f'feet stand still for {seconds:.1f} s, less than {SHORTEST_TRACK} s')
    mean_balance = mean_direction(balance)
    mean_trunk = mean_direction(trunk)
    spread = float(np.median(_degrees(balance, mean_balance)))
    if spread > MOST_SPREAD:
        return _refusal(f'people are not upright: their directions differ by {spread:.0f} degrees')
    conflict = float(_degrees(mean_balance, mean_trunk))
    if conflict > MOST_CONFLICT:
        return _refusal(f'people lean: trunk and balance differ by {conflict:.0f} degrees')
    stances = _stacked([stance_places(person, mean_balance) for person in people])
    if len(stances) == 0:
        return _refusal('no foot stands')
    return _fit(mean_balance, stances, seconds)


def mean_direction(directions: np.ndarray) -> np.ndarray:
    """The direction with the least sum of distances to (N, 3) unit vectors, by Weiszfeld's iteration; (3,)."""
    mean = _unit(directions.mean(0))
    for _ in range(ROUNDS):
        distance = np.linalg.norm(directions - mean, axis=1).clip(1e-3)
        mean = _unit((directions / distance[:, None]).sum(0))
    return mean


def standing(person: Gait, up: Optional[np.ndarray] = None) -> np.ndarray:
    """Which points of the soles stand: slow across the viewing ray, and low.

    Speed along the ray is not used, because the depth of a person from one camera is uncertain.

    Args:
        person: a track.
        up: (3,) unit vector; None does not ask for low points.

    Returns:
        (F, 2, P) bool.
    """
    still = across_speed(person.soles, person.fps) < STILL
    if up is not None:
        heights = person.soles @ up
        still &= heights < heights.min((1, 2), keepdims=True) + LOWEST
    return still


def across_speed(points: np.ndarray, fps: float) -> np.ndarray:
    """Speed across the viewing rays of points (F, ..., 3) in the frame of the camera: (F, ...) m/s."""
    if len(points) < 2:
        return np.zeros(points.shape[:-1])
    distance = np.linalg.norm(points, axis=-1)
    rays = points / distance[..., None]
    return np.linalg.norm(np.gradient(rays, axis=0), axis=-1) * distance * fps


def stance_places(person: Gait, up: np.ndarray) -> np.ndarray:
    """The places (N, 3) where a foot stood, one for every uninterrupted stance of a foot, metres.

    A place is the median over all points of the sole that stand.
    """
    stands = standing(person, up)
    places = []
    for foot in (0, 1):
        touching = np.asarray(stands[:, foot].any(axis=1))
        for start, stop in runs(touching):
            if stop - start >= max(2, SHORTEST_STANCE * person.fps):
                points = person.soles[start:stop, foot][stands[start:stop, foot]]
                places.append(np.median(points, axis=0))
    return np.array(places).reshape(-1, 3)


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """First and last + 1 index of every run of true values of (F,) bool."""
    edges = np.diff(np.concatenate([[0], flags.astype(int), [0]]))
    return list(zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist()))


@dataclasses.dataclass(frozen=True)
class _Directions:
    """Unit vectors of the frames in which a foot stands: (N, 3) each."""

    balance: np.ndarray
    trunk: np.ndarray


def _directions(person: Gait) -> _Directions:
    stands = standing(person)
    frames = stands.any((1, 2))
    share = LIFTED_SHARE + stands.any(2) * (1 - LIFTED_SHARE)
    share = share / share.sum(1, keepdims=True)
    support = (share[..., None] * person.soles.mean(2)).sum(1)
    balance = person.mass - support
    return _Directions(_unit(balance[frames]), person.trunk[frames])


def _fit(prior: np.ndarray, stances: np.ndarray, seconds: float) -> FloorEstimate:
    """The most probable plane, given the direction of balance over some seconds, and places (N, 3) in the plane."""
    basis = _across(prior, stances.mean(0))
    deviation = np.radians([BALANCE_ACROSS, BALANCE_AHEAD]) * math.sqrt(1 + SWAY_SECONDS / seconds)
    distance = np.linalg.norm(stances, axis=1)
    rays = stances / distance[:, None]
    slopes = np.zeros(2)
    offset = float(-np.median(stances @ prior))
    information = np.eye(3)
    for _ in range(ROUNDS):
        up = _unit(prior + slopes @ basis)
        deviations = np.hypot(STANCE_METRES, STANCE_DEPTH * distance * (rays @ up))
        errors = stances @ prior + (stances @ basis.T) @ slopes + offset
        weights = deviations**-2 * np.minimum(1, HUBER * deviations / np.abs(errors).clip(1e-9))
        rows = np.concatenate([stances @ basis.T, np.ones((len(stances), 1))], axis=1)
        information = rows.T @ (weights[:, None] * rows)
        information[[0, 1], [0, 1]] += deviation**-2
        target = -rows.T @ (weights * (stances @ prior))
        solution = np.linalg.solve(information, target)
        slopes = solution[:2]
        offset = float(solution[2])
    normal = prior + slopes @ basis
    length = float(np.linalg.norm(normal))
    variance = np.linalg.inv(information)[[0, 1], [0, 1]].sum()
    uncertainty = math.degrees(math.sqrt(float(variance)))
    # Two independent normal errors: their length has Rayleigh's distribution.
    confidence = 1 - math.exp(-((ACCEPTED / uncertainty) ** 2))
    if confidence < LEAST_CONFIDENCE:
        reason = f'the direction is uncertain by {uncertainty:.0f} degrees'
        return FloorEstimate(None, reason, confidence, uncertainty, len(stances))
    if offset <= 0:
        return _refusal('the camera would be below the floor')
    floor = Floor(normal / length, offset / length)
    return FloorEstimate(floor, '', confidence, uncertainty, len(stances))


def _across(direction: np.ndarray, view: np.ndarray) -> np.ndarray:
    """(2, 3) unit vectors across a direction: the first also across the view, the second ahead."""
    side = np.cross(direction, view)
    if np.linalg.norm(side) < 1e-3 * np.linalg.norm(view):
        side = np.cross(direction, [0.0, 1.0, 0.0])
    side = _unit(side)
    return np.stack([side, np.cross(side, direction)])


def _refusal(reason: str) -> FloorEstimate:
    return FloorEstimate(None, reason, 0.0, math.inf, 0)


def _stacked(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros((0, 3)), *arrays])


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _degrees(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.degrees(np.arccos(np.clip((a * b).sum(-1), -1, 1)))
