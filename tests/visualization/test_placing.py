"""Tracks in the camera frame of their clip, on synthetic cameras with known truth."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from camera_parts import FOCAL, HEIGHT, MIDDLE, SIZE, TURN, UP, joints_of, seen_in_crops, walking
from export_parts import free_body
from scipy.spatial.transform import Rotation

from hrtk.errors import InputError
from hrtk.geometry.camera import default_focal, turn_root
from hrtk.geometry.floor import Floor
from hrtk.geometry.perspective import perspective_pixels
from hrtk.visualization.export import (
    Placing,
    describe,
    in_world,
    place_people,
    place_track,
)
from hrtk.visualization.export.ground import (
    clip_of,
    floors_of_clips,
    mass_shares,
    on_floor,
    sliding,
    soles_of,
)
from hrtk.visualization.export.placing import evenly_spaced

EXACT = Placing(smooth=0, floor=False)


def rooted(joints: torch.Tensor) -> np.ndarray:
    return (joints - joints[:, :1]).numpy()


def mean_mm(a: np.ndarray, b: np.ndarray) -> float:
    return float(1000 * np.linalg.norm(a - b, axis=-1).mean())


def pixels_of(motion) -> np.ndarray:
    return perspective_pixels(joints_of(motion), motion.focal, MIDDLE).numpy()


def degrees_from_up(up) -> float:
    return float(np.degrees(np.arccos(np.clip(np.dot(up, UP), -1, 1))))


def test_the_truth_comes_back() -> None:
    truth = walking()
    placed = place_track(seen_in_crops(truth, focal=FOCAL), 'after', free_body(), EXACT)
    motion = placed.motion
    assert motion.focal == FOCAL and placed.facts['focal_known']
    np.testing.assert_allclose(motion.rotmat, truth.rotmat, atol=1e-5)
    error = (joints_of(motion) - joints_of(truth)).norm(dim=-1)
    # The crop's camera is nearly orthographic: the distance is that of least squares.
    assert error.max() < 0.09 and np.abs(pixels_of(motion) - pixels_of(truth)).mean() < 2.5


def test_without_the_viewing_ray_the_body_leans() -> None:
    truth = walking()
    result = seen_in_crops(truth, focal=FOCAL)
    turned = place_track(result, 'after', free_body(), EXACT).motion
    plain = place_track(
        result, 'after', free_body(), dataclasses.replace(EXACT, viewing_ray=False)
    ).motion
    expected = rooted(joints_of(truth))
    assert mean_mm(rooted(joints_of(turned)), expected) < 0.1
    assert mean_mm(rooted(joints_of(plain)), expected) > 20
    # Both are seen at the same places.
    assert np.abs(pixels_of(turned) - pixels_of(plain)).mean() < 5


@pytest.mark.parametrize(
    'placing, stored, focal, known',
    [
        (Placing(), None, default_focal(SIZE), False),
        (Placing(), 900.0, 900.0, True),
        (Placing(focal=700), 900.0, 700.0, True),
        (Placing(fov=90), 900.0, 640.0, True),
    ],
)
def test_one_focal_length(placing, stored, focal, known) -> None:
    result = seen_in_crops(walking(), focal=stored)
    placed = place_track(result, 'after', free_body(), placing)
    assert placed.motion.focal == placed.facts['focal_px'] == pytest.approx(focal)
    assert placed.facts['focal_known'] is known


def test_depth_is_in_proportion_to_the_focal_length() -> None:
    result = seen_in_crops(walking())
    placed = [
        place_track(result, 'after', free_body(), dataclasses.replace(EXACT, focal=focal))
        for focal in (FOCAL, 2 * FOCAL)
    ]
    near, far = (joints_of(one.motion)[:, 0, 2] for one in placed)
    np.testing.assert_allclose(far / near, 2, rtol=0.05)


def test_one_shape_and_the_places_of_joints() -> None:
    """A shape that changes is replaced by its mean; joints keep their places as far as it allows."""
    result = seen_in_crops(walking())
    rng = np.random.default_rng(0)
    betas = torch.tensor(rng.normal(0, 1, (60, 10))).float()
    changed = dataclasses.replace(result, after=dataclasses.replace(result.after, betas=betas))
    motion = place_track(changed, 'after', free_body(), EXACT).motion
    np.testing.assert_allclose(motion.betas, betas.mean(0).expand(60, 10), atol=1e-6)


def test_the_filter_takes_jitter_and_keeps_the_motion() -> None:
    truth = walking()
    result = seen_in_crops(truth, noise=0.08, focal=FOCAL)
    raw = place_track(result, 'after', free_body(), EXACT)
    smooth = place_track(result, 'after', free_body(), Placing(floor=False))
    expected = rooted(joints_of(truth))
    before = mean_mm(rooted(joints_of(raw.motion)), expected)
    after = mean_mm(rooted(joints_of(smooth.motion)), expected)
    assert after < 0.85 * before
    assert smooth.facts['jitter_mm'] < 0.4 * smooth.facts['jitter_before_mm']
    assert smooth.facts['jitter_before_mm'] == raw.facts['jitter_mm']
    assert raw.facts['smoothed_frames'] == 1 and smooth.facts['smoothed_frames'] == 5
    second = np.diff(joints_of(smooth.motion).numpy(), n=2, axis=0)
    expected_jitter = 1000 * np.linalg.norm(second, axis=-1).mean()
    assert smooth.facts['jitter_mm'] == pytest.approx(expected_jitter)
    path = mean_mm(joints_of(smooth.motion)[:, :1].numpy(), joints_of(truth)[:, :1].numpy())
    assert path < 60


def test_exchanged_sides_do_not_spread() -> None:
    """In one frame the body is turned about: its neighbours stay, and the jump is counted."""
    truth = walking()
    result = seen_in_crops(truth, focal=FOCAL)
    rotmat = result.after.rotmat.clone()
    turn = torch.tensor(Rotation.from_euler('y', 180, degrees=True).as_matrix()).float()
    rotmat[30, 0] = rotmat[30, 0] @ turn
    spoilt = dataclasses.replace(result, after=dataclasses.replace(result.after, rotmat=rotmat))
    clean, mixed = (
        place_track(one, 'after', free_body(), Placing(floor=False)) for one in (result, spoilt)
    )
    assert clean.facts['jumps'] == 0 and mixed.facts['jumps'] == 2
    difference = np.linalg.norm(
        rooted(joints_of(clean.motion)) - rooted(joints_of(mixed.motion)), axis=-1
    ).mean(1)
    assert difference[30] > 0.1 and np.delete(difference, 30).max() < 0.02


def test_frames_with_gaps_are_not_filtered() -> None:
    assert evenly_spaced(('a1', 'a3', 'a5')) and evenly_spaced(('x', 'y')) and evenly_spaced(('7',))
    assert not evenly_spaced(('a1', 'a2', 'a7'))
    result = seen_in_crops(walking(), noise=0.05)
    labels = tuple(f'{t * t}' for t in range(60))
    gaps = dataclasses.replace(result, frame_ids=labels)
    placed = place_people({'a': gaps}, 'after', free_body(), Placing())['a']
    assert placed.facts['smoothed_frames'] == 1 and not placed.facts['floor']['found']


def test_predictions_in_the_camera_frame() -> None:
    truth = walking()
    result = seen_in_crops(truth)
    rotation = Placing(focal=FOCAL).rotation_of(result)
    turned = turn_root(result.after.rotmat.double(), rotation)
    np.testing.assert_allclose(turned, truth.rotmat, atol=1e-5)
    assert Placing(focal=FOCAL, viewing_ray=False).rotation_of(result) is None


@pytest.mark.parametrize(
    'values, part',
    [(dict(focal=0), 'not 0'), (dict(fov=200), 'not 200'), (dict(smooth=-1), 'from 0 up, not -1')],
)
def test_impossible_options(values: dict, part: str) -> None:
    with pytest.raises(InputError, match=part):
        Placing(**values)


def test_names_of_clips() -> None:
    names = ('run_person1', 'run_person12_part3', 'wild_s0_000', 'a_person', 'run_person1_left')
    assert [clip_of(name) for name in names] == ['run', 'run', *names[2:]]


def test_the_mass_of_a_body() -> None:
    shares = mass_shares()
    assert shares.sum() == pytest.approx(1) and (shares >= 0).all()
    identity = torch.eye(3).double().expand(1, 24, 3, 3)
    rest = free_body().joints(identity, torch.zeros(1, 10).double(), 'smpl24')[0].numpy()
    mass = shares @ rest
    # Between pelvis and chest, in the middle.
    assert abs(mass[0]) < 0.02 and rest[0, 1] < mass[1] < rest[9, 1]


def test_the_floor_of_the_truth() -> None:
    truth = walking()
    estimate = floors_of_clips([truth], free_body())['clip']
    assert degrees_from_up(estimate.floor.up) < 4
    assert estimate.floor.height == pytest.approx(HEIGHT, abs=0.2)


def test_feet_are_on_the_floor_of_the_world() -> None:
    result = seen_in_crops(walking(), noise=0.03, focal=FOCAL)
    placed = place_people({'a': result}, 'after', free_body(), Placing())['a']
    facts = placed.facts
    floor = facts['floor']
    assert floor['found'] and degrees_from_up(floor['up']) < 5 and floor['confidence'] > 0.6
    assert floor['tilt_degrees'] == pytest.approx(
        np.degrees(np.arccos(-np.dot(floor['up'], [0, 1, 0])))
    )
    assert facts['sliding_mm'] < facts['sliding_before_mm']
    world = in_world(placed.motion, free_body(), 'y-up')
    lowest = soles_of(world, free_body())[..., 1].min((1, 2))
    assert np.abs(lowest).max() < 0.06 and np.abs(lowest).mean() < 0.02
    upright = joints_of(world)[:, 15, 1].numpy()  # heads
    assert 1.2 < upright.min() and upright.max() < 1.8
    up_z = in_world(placed.motion, free_body(), 'z-up')
    swapped = joints_of(up_z).numpy()[..., [0, 2, 1]] * [1, 1, -1]
    np.testing.assert_allclose(swapped, joints_of(world).numpy(), atol=1e-9)
    text = describe('a', json.loads(json.dumps(facts)))
    single = describe('a', {**facts, 'frames': 1})
    assert text.startswith(f'{single}; jitter') and 'jitter' not in single
    assert 'known' in text and 'feet slide' in text and 'gravity' in text


def test_feet_at_another_height_are_brought_to_the_floor() -> None:
    truth = walking()
    floor = Floor(UP, HEIGHT)
    lifted = dataclasses.replace(truth, translation=truth.translation + 0.1 * torch.tensor(UP))
    moved = on_floor(lifted, free_body(), floor)
    assert moved.floor is floor
    heights = floor.heights(soles_of(moved, free_body())).min((1, 2))
    assert np.abs(heights).mean() < 0.02
    far = dataclasses.replace(truth, translation=truth.translation + 0.5 * torch.tensor(UP))
    assert torch.equal(on_floor(far, free_body(), floor).translation, far.translation)


def test_sliding_is_the_step_of_standing_feet() -> None:
    truth = walking()
    still = dataclasses.replace(
        truth,
        rotmat=truth.rotmat[:1].expand(60, 24, 3, 3),
        translation=truth.translation[:1]
        + 0.01 * torch.arange(60)[:, None] * torch.tensor(TURN[:, 0]),
    )
    assert sliding(still, free_body()) == pytest.approx(0.01)
    rising = dataclasses.replace(
        still,
        translation=truth.translation[:1] + 0.01 * torch.arange(60)[:, None] * torch.tensor(UP),
    )
    assert sliding(rising, free_body(), UP) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize('key', ['sliding_before_mm', 'sliding_mm'])
def test_feet_that_never_stand_are_not_described(key: str) -> None:
    result = seen_in_crops(walking())
    facts = place_people({'a': result}, 'after', free_body(), Placing())['a'].facts
    assert 'feet slide' in describe('a', facts)
    assert 'feet slide' not in describe('a', {**facts, key: None})


def test_a_camera_that_moves_has_no_floor() -> None:
    result = seen_in_crops(walking())
    arguments = ({'a': result}, 'after', free_body(), Placing())
    assert place_people(*arguments, background={'clip': 0.004})['a'].facts['floor']['found']
    moving = place_people(*arguments, background={'clip': 0.08})['a']
    assert 'camera moves' in moving.facts['floor']['reason'] and moving.motion.floor is None
    assert '8.0%' in describe('a', moving.facts)
    off = place_people(*arguments[:3], Placing(floor=False))['a']
    assert 'not asked for' in off.facts['floor']['reason']
