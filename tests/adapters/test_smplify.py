"""SMPLify: its losses against sums in numpy, and a body that was turned away from its keypoints."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from test_closed_form import LIMBS, case, joints_of
from test_track_fit import Memory, person

from hrtk.adapters import SMPLify
from hrtk.adapters.parts.posed import CropKeypoints
from hrtk.errors import InputError
from hrtk.geometry.boxes import to_crop
from hrtk.geometry.camera import project, viewing_rotation
from hrtk.geometry.rotation import axis_angle_to_rotmat
from hrtk.structures import Keypoints2D, Prediction

__all__ = ['person']  # a fixture
FEW = dict(camera_steps=5, steps=60, lr=0.02)


@pytest.fixture(scope='module')
def drawn():
    """Joints, translations, poses, betas and keypoints of two frames, float64."""
    rng = np.random.default_rng(0)
    joints = rng.normal(0, 0.4, (2, 24, 3))
    translation = rng.normal(0, 0.1, (2, 3)) + [0, 0, 45.0]
    pose = rng.normal(0, 0.3, (2, 69))
    betas = rng.normal(size=(2, 10))
    xy = rng.normal(0, 0.5, (2, 24, 2))
    confidence = rng.uniform(0, 1, (2, 24))
    confidence[:, 5] = 0
    return joints, translation, pose, betas, xy, confidence


def tensors(arrays):
    return [torch.tensor(array) for array in arrays]


def pixels(joints, translation):
    placed = joints + translation[:, None]
    return 5000 * placed[..., :2] / placed[..., 2:]  # from the middle of a crop of 224 px


def test_second_stage_written_out(drawn):
    joints, translation, pose, betas, xy, confidence = drawn
    adapter = SMPLify(pose_prior=dict(type='GMMPosePrior', dtype=torch.float64))
    objectives = adapter.objectives
    expected = 0.0
    for t in range(2):
        away = pixels(joints, translation)[t] - 112 * xy[t]
        robust = (100**2 * away**2 / (100**2 + away**2)).sum(1)
        weight = confidence[t] ** 2
        weight[[2, 3]] = 0  # the hips
        expected += (weight * robust).sum()
        energy = float(objectives.pose_prior(torch.tensor(pose[t : t + 1])))
        expected += 4.78**2 * energy
        # Left and right elbow, left and right knee, of SMPL's 72 numbers; the first three are the orientation.
        elbows = np.exp(2 * pose[t, 55 - 3]) + np.exp(-2 * pose[t, 58 - 3])
        knees = np.exp(-2 * pose[t, 12 - 3]) + np.exp(-2 * pose[t, 15 - 3])
        expected += 15.2**2 * (elbows + knees) + 5**2 * (betas[t] ** 2).sum()
    places = pixels(joints, translation) / 112
    found = objectives.body(
        *tensors((places, pose, betas)), CropKeypoints(*tensors((xy, confidence)))
    )
    assert float(found) == pytest.approx(expected, rel=1e-9)


def test_first_stage_and_smoothness_written_out(drawn):
    joints, translation, _, _, xy, confidence = drawn
    objectives = SMPLify(weights=dict(smooth=3.0)).objectives
    first = translation + np.array([0.1, 0.2, 0.03])
    torso = [2, 3, 8, 9]  # hips and shoulders of spin24
    away = (pixels(joints, translation) - 112 * xy)[:, torso]
    expected = (away**2).sum() + 100**2 * 2 * 0.03**2
    keypoints = CropKeypoints(*tensors((xy, confidence)))
    found = objectives.torso(torch.tensor(pixels(joints, translation) / 112), keypoints)
    found = found + objectives.depth(*tensors((translation, first)))
    assert float(found) == pytest.approx(expected, rel=1e-9)
    step = np.abs(joints[1] - joints[0]).sum()
    assert float(objectives.smooth(torch.tensor(joints))) == pytest.approx(3 * step)


def reprojection(predictions, model, sequence):
    prediction = Prediction.cat(list(predictions))
    places = project(joints_of([prediction], model), prediction.camera)
    target = to_crop(sequence.keypoints2d.xy, sequence.boxes)
    return 112 * float((places - target).norm(dim=-1).mean())


def test_finds_keypoints_that_the_network_missed():
    sequence, rotmat, model = case(LIMBS, 0.3)
    frozen = [model(model.crops(sequence, range(len(rotmat))))]
    fitted = list(SMPLify(**FEW).start(model).run(sequence))
    assert reprojection(fitted, model, sequence) < 0.4 * reprojection(frozen, model, sequence)
    weights = [weight.requires_grad for weight in model.parameters()]
    assert all(weights)  # nothing of the network was touched


def test_both_stages_are_a_plain_loop():
    sequence, _, model = case(LIMBS, 0.3)
    objectives = SMPLify().objectives
    with torch.no_grad():
        start = model(model.crops(sequence, [1]))
    vectors = Rotation.from_matrix(start.rotmat[0].numpy()).as_rotvec().astype(np.float32)
    orient = torch.tensor(vectors[:1], requires_grad=True)
    pose = torch.tensor(vectors[1:].reshape(1, 69), requires_grad=True)
    betas = start.betas.clone().requires_grad_()
    scale, x, y = start.camera[0].tolist()
    first = torch.tensor([[x, y, 2 * 5000 / (224 * scale)]])
    place = first.clone().requires_grad_()
    keypoints = CropKeypoints(
        to_crop(sequence.keypoints2d.xy, sequence.boxes)[1:2], torch.ones(1, 24)
    )

    def joints():
        vectors = torch.cat([orient, pose.reshape(23, 3)])
        return model.body.joints(axis_angle_to_rotmat(vectors)[None], betas, 'spin24')

    def descend(loss, leaves):
        adam = torch.optim.Adam(leaves, lr=1e-2)
        for _ in range(3):
            adam.zero_grad()
            loss().backward()
            adam.step()

    def places():
        x, y, z = (joints() + place[:, None]).unbind(-1)
        return 5000 / 112 * torch.stack([x / z, y / z], -1)

    def torso_loss():
        return objectives.torso(places(), keypoints) + objectives.depth(place, first)

    def body_loss():
        return objectives.body(places(), pose, betas, keypoints)

    descend(torso_loss, [orient, place])
    descend(body_loss, [pose, betas, orient])
    adapter = SMPLify(camera_steps=3, steps=3)
    found = list(adapter.start(model).run(sequence))[1]
    wanted = Rotation.from_rotvec(
        torch.cat([orient, pose.reshape(23, 3)]).detach().numpy()
    ).as_matrix()
    np.testing.assert_allclose(found.rotmat[0], wanted, atol=2e-4)
    np.testing.assert_allclose(found.betas[0], betas[0].detach(), atol=2e-3)
    x, y, depth = place[0].tolist()
    np.testing.assert_allclose(found.camera[0], [2 * 5000 / (224 * depth), x, y], atol=1e-4)


def test_the_camera_of_the_image_does_not_tilt_a_near_body(person):
    """The start is the truth, three metres from a pinhole camera."""
    sequence, rotmat, betas, _ = person
    model = Memory(rotmat, betas)
    with torch.no_grad():
        truth = model.body.joints(rotmat, betas, 'spin24')
    ray = viewing_rotation(sequence.boxes, 700.0, (320.0, 240.0))
    placed = truth @ ray.mT + torch.tensor([0.8, 0.3, 3.0])
    xy = 700 * placed[..., :2] / placed[..., 2:] + torch.tensor([320.0, 240])
    keypoints = Keypoints2D(xy, torch.ones(len(xy), 24), 'spin24', 'gt')
    sequence = dataclasses.replace(sequence, keypoints2d=keypoints)
    no_priors = dict(pose_prior=0.0, angle_prior=0.0, shape_prior=0.0, smooth=0.0)

    def moved(camera, scope):
        adapter = SMPLify(camera=camera, scope=scope, lr=1e-3, weights=no_priors)
        fitted = Prediction.cat(list(adapter.start(model).run(sequence)))
        joints = model.body.joints(fitted.rotmat, fitted.betas, 'spin24')
        return float((joints - truth).norm(dim=-1).mean())

    assert max(moved('image', 'frame'), moved('image', 'track')) < 2e-3
    assert min(moved('crop', 'frame'), moved('crop', 'track')) > 1e-2
    assert SMPLify(camera='image').uses_camera and not SMPLify().uses_camera


def test_frames_do_not_depend_on_each_other_and_tracks_do():
    sequence, _, model = case(LIMBS, 0.3)
    together = Prediction.cat(list(SMPLify(camera_steps=2, steps=3).start(model).run(sequence)))
    single = SMPLify(camera_steps=2, steps=3, segment=1)
    alone = Prediction.cat(list(single.start(model).run(sequence)))
    torch.testing.assert_close(together.rotmat, alone.rotmat, rtol=0, atol=1e-4)
    torch.testing.assert_close(together.betas, alone.betas, rtol=0, atol=1e-3)
    track = SMPLify(camera_steps=2, steps=3, scope='track')
    fitted = Prediction.cat(list(track.start(model).run(sequence)))
    assert torch.equal(fitted.betas, fitted.betas[:1].expand_as(fitted.betas))


def test_smoothness_makes_a_track_smooth():
    sequence, _, model = case(LIMBS, 0.3)
    noise = torch.Generator().manual_seed(0)
    sequence.keypoints2d.xy.add_(3 * torch.randn(sequence.keypoints2d.xy.shape, generator=noise))

    def steps(weight):
        adapter = SMPLify(**FEW, scope='track', weights=dict(smooth=weight))
        joints = joints_of(adapter.start(model).run(sequence), model)
        return float((joints[1:] - joints[:-1]).abs().mean())

    assert steps(3000.0) < 0.6 * steps(0.0)


def test_a_frame_without_keypoints_keeps_its_prediction():
    sequence, _, model = case(LIMBS, 0.3)
    sequence.keypoints2d.confidence[2] = 0
    start = model(model.crops(sequence, [2]))
    session = SMPLify(camera_steps=2, steps=2).start(model)
    fitted = list(session.run(sequence))[2]
    assert torch.equal(fitted.rotmat, start.rotmat) and torch.equal(fitted.betas, start.betas)
    assert torch.equal(fitted.camera, start.camera)
    assert session.counts == {'frames_without_evidence': 1}


@pytest.mark.parametrize(
    'options',
    [dict(sigma=0.0), dict(camera_steps=-1), dict(weights=dict(motion=1.0)), dict(camera='world')],
)
def test_refuses(options):
    with pytest.raises(InputError, match='SMPLify'):
        SMPLify(**options)
