"""Gravity and floor of people whose floor is known, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hrtk.geometry.floor import (
    Floor,
    Gait,
    across_speed,
    estimate_floor,
    mean_direction,
    runs,
    stance_places,
    standing,
)

FPS = 25.0
# A camera 1.8 m above the floor, which looks down and is rolled; world y up to camera y down.
TURN = Rotation.from_euler('zx', [12, 25], degrees=True).as_matrix() @ np.diag([1.0, -1, -1])
UP = TURN[:, 1]
HEIGHT = 1.8


def degrees(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(a @ b, -1, 1))))


def walker(
    frames: int,
    speed: float = 0.0,
    heading: float = 90.0,
    lean: float = 0.0,
    start: tuple[float, float] = (0.0, -5.0),
) -> Gait:
    """A person in the world who stands, or walks with one foot on the floor at a time, seen by the camera.

    Args:
        frames: F.
        speed: m/s.
        heading: degrees in the floor; 0 walks away from the camera, 90 to the right.
        lean: degrees of trunk and centre of mass in the image.
        start: x and z in the world.
    """
    time = np.arange(frames) / FPS
    ahead = np.array([np.sin(np.radians(heading)), 0, -np.cos(np.radians(heading))])
    across = np.array([ahead[2], 0, -ahead[0]])
    # The middle of both feet lags a quarter of a step behind their phase.
    root = np.array([start[0], 0, start[1]]) + (time[:, None] - 0.25) * speed * ahead
    soles = np.zeros((frames, 2, 3, 3))
    for foot, side in ((0, -0.1), (1, 0.1)):
        phase = time + 0.5 * foot
        step = np.floor(phase)
        swing = np.clip((phase - step - 0.5) / 0.5, 0, 1)
        place = step - 0.5 * foot + swing * swing * (3 - 2 * swing)
        ground = np.array([start[0], 0, start[1]]) + place[:, None] * speed * ahead
        ground = ground + side * across
        if speed:
            ground[:, 1] += 0.15 * np.sin(np.pi * swing)
        for point, offset in enumerate((-0.1, 0.12, 0.1)):
            soles[:, foot, point] = ground + offset * ahead
    tilt = Rotation.from_rotvec(np.radians(lean) * TURN.T[:, 2]).as_matrix()
    trunk = np.tile(tilt @ [0, 1.0, 0], (frames, 1))
    mass = soles.mean((1, 2)) * [1, 0, 1] + 0.95 * trunk
    if speed:
        mass = root + 0.95 * trunk
    camera = np.array([0, HEIGHT, 0])
    return Gait((soles - camera) @ TURN.T, (mass - camera) @ TURN.T, trunk @ TURN.T, FPS)


def test_a_level_camera_has_level_axes():
    rotation = Floor(np.array([0.0, -1, 0]), 1.5).level_rotation()
    np.testing.assert_allclose(rotation, np.eye(3), atol=1e-12)


def test_axes_of_a_tilted_camera():
    floor = Floor(UP, HEIGHT)
    rotation = floor.level_rotation()
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)
    np.testing.assert_allclose(rotation @ UP, [0, -1, 0], atol=1e-12)
    view = rotation @ [0, 0, 1]
    assert view[0] == pytest.approx(0, abs=1e-12) and view[2] > 0
    assert floor.tilt_degrees == pytest.approx(degrees(UP, np.array([0, -1, 0])))
    ground = (np.array([0.3, 0, -4]) - [0, HEIGHT, 0]) @ TURN.T
    assert floor.heights(ground) == pytest.approx(0, abs=1e-12)


def test_a_camera_that_looks_straight_down():
    rotation = Floor(np.array([0, 0, -1.0]), 3.0).level_rotation()
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(rotation @ [0, 0, -1], [0, -1, 0], atol=1e-12)
    np.testing.assert_allclose(rotation @ [0, -1, 0], [0, 0, 1], atol=1e-12)


def test_speed_across_the_ray():
    time = np.arange(20)[:, None] / FPS
    sideways = [0, 0, 4] + time * [0.7, 0, 0]
    along = [0.4, 0.2, 4] * (1 + time)
    both = np.stack([sideways, along], 1)
    speeds = across_speed(both, FPS)
    np.testing.assert_allclose(speeds[:, 0], 0.7, rtol=0.02)
    np.testing.assert_allclose(speeds[:, 1], 0, atol=1e-9)
    assert across_speed(both[:1], FPS).tolist() == [[0, 0]]


def test_runs():
    assert runs(np.array([1, 1, 0, 1, 0, 0, 1], bool)) == [(0, 2), (3, 4), (6, 7)]
    assert runs(np.zeros(3, bool)) == []


def test_mean_direction_ignores_outliers():
    rng = np.random.default_rng(0)
    directions = np.concatenate([UP + rng.normal(0, 0.05, (40, 3)), np.tile([1.0, 0, 0], (10, 1))])
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    mean = directions.mean(0) / np.linalg.norm(directions.mean(0))
    assert degrees(mean_direction(directions), UP) < 4 < degrees(mean, UP)


def test_feet_stand_in_turn():
    person = walker(100, speed=1.2)
    stands = standing(person, UP).any(2)
    # Half of the time one foot stands alone; a swinging foot is fast in its middle.
    assert 0.45 < stands[:, 0].mean() < 0.8 and stands.any(1).mean() > 0.9
    places = stance_places(person, UP)
    assert 6 <= len(places) <= 9
    np.testing.assert_allclose(Floor(UP, HEIGHT).heights(places), 0, atol=0.02)


def test_a_foot_in_the_air_does_not_stand():
    person = walker(30)
    lifted = person.soles.copy()
    lifted[:, 1] += 0.4 * UP
    stands = standing(Gait(lifted, person.mass, person.trunk, FPS), UP)
    assert stands[:, 0].all() and not stands[:, 1].any()


@pytest.mark.parametrize('heading', [0.0, 45.0, 90.0])
def test_a_walker_gives_the_floor(heading):
    estimate = estimate_floor([walker(150, 1.2, heading, start=(-2, -4))])
    assert degrees(estimate.floor.up, UP) < 2
    assert estimate.floor.height == pytest.approx(HEIGHT, abs=0.15)
    assert estimate.confidence > 0.8 and estimate.reason == '' and estimate.stances >= 10


def test_stances_correct_a_leaning_walker():
    lean = 12.0
    there = walker(150, 1.2, 90, lean, (-3, -4))
    estimate = estimate_floor([there])
    alone = estimate_floor([walker(150, 0, 90, lean)])
    assert degrees(alone.floor.up, UP) == pytest.approx(lean, abs=1.5)
    assert degrees(estimate.floor.up, UP) < 5
    assert estimate.uncertainty < alone.uncertainty


def test_two_people_share_a_floor():
    people = [walker(100, start=(-1.5, -4)), walker(100, start=(1.5, -7), heading=30)]
    estimate = estimate_floor(people)
    assert degrees(estimate.floor.up, UP) < 2 and estimate.stances == 4
    assert estimate.uncertainty < estimate_floor(people[:1]).uncertainty


def noisy(person: Gait, scale: float) -> Gait:
    rng = np.random.default_rng(1)
    depth = 1 + scale * np.repeat(rng.normal(size=(len(person.mass) // 10 + 1, 1)), 10, 0)
    depth = depth[: len(person.mass)]
    return Gait(
        person.soles * depth[..., None, None], person.mass * depth, person.trunk, person.fps
    )


def test_errors_of_depth_are_survived():
    person = noisy(walker(150, 1.2, 90, start=(-3, -4)), 0.04)
    estimate = estimate_floor([person])
    assert degrees(estimate.floor.up, UP) < estimate.uncertainty < 8


def lying() -> Gait:
    """A person who rolls on the floor, with feet that stay."""
    person = walker(60)
    angle = np.linspace(0, 2 * np.pi, 60)[:, None]
    sideways = np.cos(angle) * [1.0, 0, 0] + np.sin(angle) * [0, 0, -1.0]
    mass = person.soles.mean((1, 2)) + 0.9 * sideways @ TURN.T
    return Gait(person.soles, mass, sideways @ TURN.T, FPS)


def bent() -> Gait:
    person = walker(60)
    return Gait(person.soles, person.mass, np.tile(TURN @ [1.0, 0.2, 0], (60, 1)) / 1.02, FPS)


@pytest.mark.parametrize(
    'people, reason',
    [
        ([], 'stand still for 0.0 s'),
        ([walker(5)], 'stand still for 0.2 s'),
        ([lying()], 'not upright'),
        ([bent()], 'lean: trunk and balance differ by 7'),
        ([walker(14)], 'the direction is uncertain by 1'),
    ],
)
def test_refusals(people, reason):
    estimate = estimate_floor(people)
    assert estimate.floor is None and reason in estimate.reason
    assert estimate.confidence < 0.5


def test_a_camera_below_the_floor_is_refused():
    person = walker(60)
    below = person.soles - 2.5 * UP, person.mass - 2.5 * UP
    shifted = Gait(below[0] + 5 * UP, below[1] + 5 * UP, person.trunk, FPS)
    assert 'below the floor' in estimate_floor([shifted]).reason
