"""ClosedForm: its solutions against sums by hand in float64, and bodies whose limbs were turned away."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation
from test_track_fit import F, Memory, standing
from torch import Tensor

from hrtk.adapters import ClosedForm
from hrtk.adapters.rivals.closed_form import (
    plane_angle,
    solve_bone,
    swing,
    world_rotations,
)
from hrtk.body_models import BodyModel
from hrtk.errors import InputError
from hrtk.geometry.boxes import to_crop, to_image
from hrtk.geometry.camera import project
from hrtk.structures import Keypoints2D, Prediction, Sequence

CAMERA = torch.tensor([0.9, 0.05, 0.1])
LIMBS = [1, 2, 4, 5, 16, 17, 18, 19]


@pytest.mark.parametrize('away', [1.0, -1.0])
def test_a_bone_ends_on_the_ray_at_its_length(away):
    begin = np.array([0.2, -0.1, 45.0])
    true = np.array([0.15, 0.3, 0.2 * away])
    end = begin + true
    place = end[:2] * (5000 / 112) / end[2]
    guess = np.array([0.0, 0.25, 0.3 * away])
    guess *= np.linalg.norm(true) / np.linalg.norm(guess)

    def residual(depth):
        point = np.array([*(place / (5000 / 112) * depth[0]), depth[0]])
        return np.sum((point - begin) ** 2) - np.sum(true**2)

    depth = least_squares(residual, [begin[2] + guess[2]], xtol=1e-15, ftol=1e-15).x[0]
    expected = np.array([*(place / (5000 / 112) * depth), depth]) - begin
    found = solve_bone(torch.tensor(begin), torch.tensor(guess), torch.tensor(place))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(found.numpy(), true, atol=1e-6)


def test_a_bone_that_is_too_short_points_along_the_image():
    begin = torch.tensor([0.0, 0.0, 45.0], dtype=torch.float64)
    bone = torch.tensor([0.1, 0.0, 0.1], dtype=torch.float64)
    place = torch.tensor([0.0, 0.5 * 5000 / 112 / 45], dtype=torch.float64)
    found = solve_bone(begin, bone, place)
    assert abs(float(found[0])) < 1e-9
    assert float(found[1]) == pytest.approx(0.5, rel=1e-3)


def test_swing_is_the_smallest_rotation():
    rng = np.random.default_rng(0)
    first, second = torch.tensor(rng.normal(size=(2, 5, 3)))
    angle = torch.acos((first * second).sum(-1) / first.norm(dim=-1) / second.norm(dim=-1))
    for share in (1.0, 0.4):
        turn = swing(first, second, share)
        found = Rotation.from_matrix(turn.numpy()).magnitude()
        np.testing.assert_allclose(found, share * angle.numpy(), atol=1e-9)
    whole = swing(first, second)
    turned = (whole @ first[..., None])[..., 0]
    torch.testing.assert_close(
        turned / turned.norm(dim=-1, keepdim=True), second / second.norm(dim=-1, keepdim=True)
    )
    assert torch.equal(swing(first, -first), torch.eye(3, dtype=torch.float64).expand(5, 3, 3))


def test_world_rotations_are_products_along_the_tree():
    rotmat = standing(3, 0.4).double()
    world = world_rotations(rotmat)
    torch.testing.assert_close(world[:, 4], rotmat[:, 0] @ rotmat[:, 1] @ rotmat[:, 4])


def sitting() -> Tensor:
    """(F, 24, 3, 3) bodies whose limbs all point clearly towards the camera or away from it."""
    vectors = np.zeros((F, 24, 3))
    vectors[:, 0, 1] = 0.3
    vectors[:, 1] = [-0.8, 0, 0.1]
    vectors[:, 2] = [-0.5, 0, -0.1]
    vectors[:, 4, 0] = 1.2
    vectors[:, 5, 0] = 1.4
    vectors[:, 16] = [0, -0.8, -0.7]
    vectors[:, 17] = [0, 0.7, 0.8]
    vectors[:, 18, 1] = -0.9
    vectors[:, 19, 1] = 0.8
    rotmat = Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix().reshape(F, 24, 3, 3)
    rotmat[:, 0] = np.diag([1.0, -1.0, -1.0]) @ rotmat[:, 0]
    return torch.tensor(rotmat, dtype=torch.float32)


def case(turned: list[int], angle: float):
    """A sequence with the keypoints of a body, the true rotations, and a memory whose joints are turned away."""
    body = BodyModel()
    rotmat = sitting()
    betas = torch.full((F, 10), 0.3)
    camera = CAMERA.expand(F, 3)
    with torch.no_grad():
        places = project(body.joints(rotmat, betas, 'spin24'), camera)
    boxes = torch.tensor([100.0, 90, 160]).expand(F, 3).clone()
    keypoints = Keypoints2D(to_image(places, boxes), torch.ones(F, 24), 'spin24', 'gt')
    images = np.zeros((F, 200, 200, 3), np.uint8)
    start = rotmat.clone()
    rng = np.random.default_rng(1)
    for joint in turned:
        axis = rng.normal(size=3)
        extra = Rotation.from_rotvec(angle * axis / np.linalg.norm(axis)).as_matrix()
        start[:, joint] = start[:, joint] @ torch.tensor(extra, dtype=torch.float32)
    return Sequence('a', images, boxes, keypoints), rotmat, Memory(start, betas)


def joints_of(predictions, model):
    prediction = Prediction.cat(list(predictions))
    with torch.no_grad():
        return model.body.joints(prediction.rotmat, prediction.betas, 'spin24')


def error(joints, others):
    """Mean distance about the middle of the hips, metres."""
    centred = joints - joints[:, 2:4].mean(1, keepdim=True)
    other = others - others[:, 2:4].mean(1, keepdim=True)
    return float((centred - other).norm(dim=-1).mean())


def refined(model, sequence, **options):
    return joints_of(ClosedForm(**options).start(model).run(sequence), model)


def test_finds_the_limbs_that_were_turned_away():
    sequence, rotmat, model = case(LIMBS, 0.25)
    with torch.no_grad():
        true = model.body.joints(rotmat, torch.full((F, 10), 0.3), 'spin24')
        start = model(model.crops(sequence, range(F)))
    frozen = error(joints_of([start], model), true)
    once = error(refined(model, sequence), true)
    assert once < 0.3 * frozen
    assert error(refined(model, sequence, rounds=6), true) < 0.1 * frozen
    assert once < error(refined(model, sequence, strength=0.5), true) < frozen


def test_turns_the_body_in_the_plane_of_the_image():
    sequence, rotmat, model = case([], 0.0)
    tilt = torch.tensor(Rotation.from_rotvec([0, 0, 0.3]).as_matrix(), dtype=torch.float32)
    start = rotmat.clone()
    start[:, 0] = tilt @ start[:, 0]
    turned = Memory(start, torch.full((F, 10), 0.3))
    found = Prediction.cat(list(ClosedForm(rounds=3).start(turned).run(sequence)))
    left = Rotation.from_matrix((found.rotmat[:, 0] @ rotmat[:, 0].mT).numpy()).magnitude()
    assert left.max() < 0.02
    kept = Prediction.cat(list(ClosedForm(torso=False).start(turned).run(sequence)))
    torch.testing.assert_close(kept.rotmat[:, 0], start[:, 0], rtol=0, atol=1e-5)


def test_plane_angle_against_scipy():
    rng = np.random.default_rng(0)
    points, targets = rng.normal(size=(2, 4, 2))
    weight = np.array([0.5, 1.0, 0.0, 0.8])
    share = weight[:, None] / weight.sum()
    spatial = [
        np.pad(values - (share * values).sum(0), ((0, 0), (0, 1))) for values in (targets, points)
    ]

    def residual(angle):
        turn = Rotation.from_rotvec([0, 0, angle[0]]).as_matrix()
        return ((spatial[1] @ turn.T - spatial[0]) * np.sqrt(weight)[:, None]).ravel()

    starts = [
        least_squares(residual, [angle], xtol=1e-14, ftol=1e-14) for angle in (0.0, 2.0, -2.0)
    ]
    expected = min(starts, key=lambda result: result.cost).x
    found = plane_angle(*(torch.tensor(values)[None] for values in (points, targets, weight)))
    assert abs(np.angle(np.exp(1j * (float(found) - expected[0])))) < 1e-5
    alone = plane_angle(*(torch.tensor(v)[None] for v in (points, targets, weight * [1, 0, 0, 0])))
    assert float(alone) == 0


def test_bones_keep_their_length_and_end_at_their_keypoints():
    sequence, _, model = case(LIMBS, 0.25)
    prediction = Prediction.cat(list(ClosedForm(rounds=6).start(model).run(sequence)))
    joints = joints_of([prediction], model)
    places = project(joints, prediction.camera)
    target = to_crop(sequence.keypoints2d.xy, sequence.boxes)
    limbs = [0, 1, 4, 5, 6, 7, 10, 11]  # ankles, knees, wrists and elbows of spin24
    assert 112 * (places - target)[:, limbs].norm(dim=-1).max() < 1.0  # px
    with torch.no_grad():
        start = joints_of([model(model.crops(sequence, range(F)))], model)
    for upper, lower in ((1, 0), (4, 5)):  # skin moves with a bend, but a shin stays as long
        before = (start[:, upper] - start[:, lower]).norm(dim=-1)
        after = (joints[:, upper] - joints[:, lower]).norm(dim=-1)
        torch.testing.assert_close(before, after, rtol=0, atol=0.01)


def test_an_unseen_keypoint_turns_nothing():
    sequence, _, model = case(LIMBS, 0.3)
    sequence.keypoints2d.confidence.fill_(0.2)
    start = model(model.crops(sequence, range(len(sequence))))
    found = Prediction.cat(list(ClosedForm().start(model).run(sequence)))
    torch.testing.assert_close(found.rotmat, start.rotmat, rtol=0, atol=1e-5)
    assert not torch.equal(found.camera, start.camera)


@pytest.mark.parametrize(
    'options', [dict(strength=0.0), dict(rounds=0), dict(least_confidence=math.inf)]
)
def test_refuses(options):
    with pytest.raises(InputError, match='ClosedForm|least_confidence'):
        ClosedForm(**options)
