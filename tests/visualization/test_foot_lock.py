"""Standing feet stay: on captured walking whose truth is known, and legs against the body model's own joints."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from camera_parts import HEIGHT, UP, joints_of, seen_in_crops, walking
from export_parts import free_body
from scipy.spatial.transform import Rotation

from hrtk.body_models.skeletons import PARENTS24, SMPL24
from hrtk.geometry.floor import Floor
from hrtk.visualization.export import Placing, place_people
from hrtk.visualization.export.foot_lock import (
    LEGS,
    Stances,
    bend_leg,
    global_rotations,
    lock_feet,
    stances_of,
)
from hrtk.visualization.export.ground import on_floor, sliding
from hrtk.visualization.export.soles import soles_of

FLOOR = Floor(UP, HEIGHT)


def drifting():
    """Captured walking whose path drifts in depth and shakes, as the path from one camera does."""
    truth = walking()
    rng = np.random.default_rng(0)
    phase = np.arange(60) / 60 * 4 * np.pi
    drift = np.zeros((60, 3))
    drift[:, 2] = 0.05 * np.sin(phase)
    drift += rng.normal(0, 0.002, (60, 3))
    moved = truth.translation + torch.from_numpy(drift)
    return dataclasses.replace(truth, translation=moved, floor=FLOOR)


def steps_of(motion, stands: np.ndarray) -> float:
    """The mean horizontal step of points that stand in two frames, mm, written out."""
    soles = soles_of(motion, free_body())
    steps = []
    for t, foot, point in np.argwhere(stands[:-1] & stands[1:]):
        step = soles[t + 1, foot, point] - soles[t, foot, point]
        steps.append(np.linalg.norm(step - step @ UP * UP))
    return 1000 * float(np.mean(steps))


def test_feet_stop_and_the_body_stays() -> None:
    motion = drifting()
    stances = stances_of(motion, free_body(), UP)
    locked = lock_feet(motion, free_body(), stances)
    before, after = steps_of(motion, stances.stands), steps_of(locked, stances.stands)
    assert before > 8 and after < 0.35 * before
    assert sliding(locked, free_body(), UP, stances.stands) == pytest.approx(after / 1000)
    truth = joints_of(walking())
    errors = [(joints_of(one) - truth).norm(dim=-1).mean() for one in (motion, locked)]
    assert errors[1] < errors[0]  # the drift was wrong, and standing feet say so
    second = [joints_of(one).diff(n=2, dim=0).norm(dim=-1).mean() for one in (motion, locked)]
    assert second[1] < 1.1 * second[0]


def test_the_truth_hardly_changes() -> None:
    truth = dataclasses.replace(walking(), floor=FLOOR)
    locked = lock_feet(truth, free_body(), stances_of(truth, free_body(), UP))
    moved = (joints_of(locked) - joints_of(truth)).norm(dim=-1)
    assert moved.mean() < 0.012


def test_places_of_stances() -> None:
    labels = np.full((4, 2, 3), -1)
    labels[1:3, 0, 0] = 0
    labels[2:4, 1, 2] = 1
    soles = np.random.default_rng(0).normal(size=(4, 2, 3, 3))
    places = Stances(labels, 2).places(soles)
    np.testing.assert_allclose(places[0], (soles[1, 0, 0] + soles[2, 0, 0]) / 2)
    np.testing.assert_allclose(places[1], (soles[2, 1, 2] + soles[3, 1, 2]) / 2)


@pytest.mark.parametrize('leg', LEGS, ids=['left', 'right'])
def test_a_leg_reaches_its_target(leg: tuple[int, ...]) -> None:
    """The body model's forward kinematics brings the ankle there; nothing else moves, the foot keeps its direction."""
    motion = walking()
    joints = joints_of(motion)
    rng = np.random.default_rng(1)
    hip = joints[:, leg[0]]
    target = joints[:, leg[2]] + torch.from_numpy(rng.normal(0, 0.05, (60, 3)))
    length = (joints[:, leg[1]] - hip).norm(dim=-1) + (joints[:, leg[2]] - joints[:, leg[1]]).norm(
        dim=-1
    )
    within = (target - hip).norm(dim=-1) < 0.999 * length
    bent = dataclasses.replace(motion, rotmat=bend_leg(motion.rotmat, joints, leg, target))
    after = joints_of(bent)
    assert within.sum() > 20
    assert (after[:, leg[2]] - target).norm(dim=-1)[within].max() < 1e-6
    far = (after[:, leg[2]] - hip).norm(dim=-1)[~within]
    assert (far < length[~within] + 1e-6).all()
    others = [
        j for j in range(24) if not any(name in SMPL24[j] for name in ('knee', 'ankle', 'foot'))
    ]
    np.testing.assert_allclose(after[:, others], joints[:, others], atol=1e-9)
    for one, other in ((bent, motion),):
        np.testing.assert_allclose(
            global_rotations(one.rotmat)[:, leg[2]], global_rotations(other.rotmat)[:, leg[2]]
        )


def test_a_target_that_is_reached_changes_nothing() -> None:
    motion = walking()
    joints = joints_of(motion)
    same = bend_leg(motion.rotmat, joints, LEGS[0], joints[:, LEGS[0][2]])
    np.testing.assert_allclose(same, motion.rotmat, atol=1e-6)


def test_global_rotations_are_products_of_the_chain() -> None:
    rotmat = walking().rotmat[:1]
    wrist = SMPL24.index('left_wrist')
    chain = Rotation.identity()
    joint = wrist
    while joint >= 0:
        chain = Rotation.from_matrix(rotmat[0, joint].numpy()) * chain
        joint = PARENTS24[joint]
    np.testing.assert_allclose(global_rotations(rotmat)[0, wrist], chain.as_matrix(), atol=1e-12)


def test_facts_and_the_option() -> None:
    result = seen_in_crops(walking(), noise=0.03)
    body = free_body()
    locked = place_people({'a': result}, 'after', body, Placing())['a']
    free = place_people({'a': result}, 'after', body, Placing(lock_feet=False))['a']
    facts = locked.facts
    assert facts['sliding_before_mm'] > facts['sliding_filtered_mm'] > 3 * facts['sliding_mm']
    assert free.facts['sliding_mm'] == free.facts['sliding_filtered_mm']
    assert facts['sliding_filtered_mm'] == free.facts['sliding_filtered_mm']
    assert facts['stances'] > 3 and facts['floor_shift_mm'] > 0 and facts['floor_shift_px'] > 0
    depth = joints_of(locked.motion)[:, 0, 2].numpy()
    assert facts['depth_step_mm'] == pytest.approx(1000 * np.abs(np.diff(depth)).mean())
    assert facts['depth_step_mm'] < facts['depth_step_before_mm']
    assert facts['jitter_mm'] < 0.5 * facts['jitter_before_mm']


def test_without_a_floor_feet_are_free() -> None:
    motion = dataclasses.replace(drifting(), floor=None)
    stances = stances_of(motion, free_body(), UP)
    assert lock_feet(motion, free_body(), stances) is motion
    none = Stances(np.full((60, 2, 3), -1), 0)
    floored = on_floor(motion, free_body(), FLOOR)
    assert lock_feet(floored, free_body(), none) is floored
