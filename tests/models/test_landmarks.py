"""Observations of landmarks, the lifter and LandmarkHMR."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch

from hrtk.body_models.skeletons import flip_map, index_map
from hrtk.datasets import OpenStream
from hrtk.errors import InputError
from hrtk.geometry.camera import project
from hrtk.models.blazepose import BlazePose
from hrtk.models.estimators import LandmarkHMR, predict_sequence
from hrtk.models.landmarks import LandmarkLifter, fill_gaps, observe, observed_keypoints
from hrtk.models.landmarks.reader import LandmarkReader, first_regions
from hrtk.structures import Keypoints2D, Landmarks
from hrtk.testing import check_estimator

SMALL = dict(hidden=32, encoded=16, summary=8, blocks=1)


def random_landmarks(frames: int, valid: list[bool] | None = None) -> Landmarks:
    generator = torch.Generator().manual_seed(0)
    landmarks = Landmarks(
        100 * torch.randn(frames, 33, 3, generator=generator),
        torch.randn(frames, 33, 3, generator=generator),
        0.1 + 0.9 * torch.rand(frames, 33, generator=generator),
        torch.ones(frames, dtype=torch.bool),
    )
    if valid is None:
        return landmarks
    return dataclasses.replace(landmarks, valid=torch.tensor(valid))


def boxes_of(frames: int) -> torch.Tensor:
    return torch.tensor([[30.0, -10.0, 200.0]]).repeat(frames, 1)


def test_at_the_rate_of_the_moments_an_observation_is_the_frames_themselves():
    landmarks = random_landmarks(12)
    observed = observe(landmarks, boxes_of(12), [5, 2], fps=15.0)
    assert observed.shape == (2, 9, 33, 6)
    expected = (landmarks.xyz[1:10, :, :2] - torch.tensor([30.0, -10.0])) / 100
    torch.testing.assert_close(observed[0, ..., :2], expected)
    torch.testing.assert_close(observed[0, ..., 2], landmarks.visibility[1:10])
    torch.testing.assert_close(observed[0, ..., 3:], landmarks.world[1:10])
    # The clip begins two frames before frame 2.
    assert (observed[1, :2] == 0).all() and (observed[1, 2:, :, 2] > 0).all()


@pytest.mark.parametrize('fps', [10.0, 25.0, 60.0])
def test_other_rates_are_interpolated_and_averaged(fps):
    landmarks = random_landmarks(80)
    observed = observe(landmarks, boxes_of(80), [40], fps)[0]
    world = landmarks.world.double().numpy()
    times = (np.arange(80) - 40) / fps
    width = max(1 / 15, 1 / fps)
    for moment in range(9):
        weights = np.maximum(1 - np.abs(times - (moment - 4) / 15) / width, 0)
        weights[weights < 1e-4] = 0
        expected = np.einsum('f,fjc->jc', weights / weights.sum(), world)
        np.testing.assert_allclose(observed[moment, :, 3:].numpy(), expected, atol=2e-5)
    if fps == 10.0:  # between two frames: linear interpolation
        expected = world[40] * (1 / 3) + world[41] * (2 / 3)
        np.testing.assert_allclose(observed[5, :, 3:].numpy(), expected, atol=1e-5)


def test_frames_without_a_person_are_left_out_and_the_middle_is_interpolated():
    valid = [True] * 12
    valid[5] = valid[6] = False
    landmarks = random_landmarks(12, valid)
    filled = fill_gaps(landmarks)
    known = [t for t in range(12) if valid[t]]
    flat = landmarks.world.flatten(1).numpy()
    columns = [np.interp(np.arange(12), known, column) for column in flat[known].T]
    np.testing.assert_allclose(filled.world.flatten(1).numpy(), np.stack(columns, 1), atol=1e-5)
    observed = observe(filled, boxes_of(12), [5], fps=15.0)[0]
    torch.testing.assert_close(observed[4, :, 3:], filled.world[5])
    assert (observed[5] == 0).all()  # frame 6
    torch.testing.assert_close(observed[6, :, 3:], filled.world[7])
    with pytest.raises(InputError, match='nobody was found'):
        fill_gaps(random_landmarks(2, [False, False]))


@torch.no_grad()
def test_the_lifter_sees_neither_place_nor_size_nor_absent_moments():
    torch.manual_seed(0)
    lifter = LandmarkLifter(**SMALL)
    torch.nn.init.normal_(lifter.decoder.weight)
    observed = observe(random_landmarks(12), boxes_of(12), [5, 6], fps=15.0)
    observed[:, :2] = 0
    pose, betas, log_spread, features = lifter(observed)
    assert log_spread.shape == (2, 24)
    assert pose.shape == (2, 144) and betas.shape == (2, 10) and features.shape == (2, 32)
    moved = observed.clone()
    moved[:, 2:, :, :2] = 3 * moved[:, 2:, :, :2] + torch.tensor([0.3, -2.0])
    torch.testing.assert_close(lifter(moved)[0], pose, rtol=1e-3, atol=1e-3)
    absent = observed.clone()
    absent[:, :2, :, 3:] = 7.0  # visibility zero: nobody there
    torch.testing.assert_close(lifter(absent)[0], pose)
    absent[:, :2, :, 2] = 1.0
    assert not torch.allclose(lifter(absent)[0], pose, atol=1e-2)


@torch.no_grad()
def test_the_camera_is_the_least_squares_one():
    torch.manual_seed(0)
    model = LandmarkHMR(lifter=SMALL)
    observed = observe(random_landmarks(12), boxes_of(12), [5], fps=15.0)
    joints = model.body.joints(*_pose(model, observed), 'coco17')[0].double().numpy()
    # Points where the rest pose would be seen, so that the scale is positive.
    index = list(index_map('blazepose33', 'coco17'))
    target = (
        0.7 * joints[:, :2] + [0.1, -0.2] + 0.02 * np.random.default_rng(0).normal(size=(17, 2))
    )
    observed[0, 4, index, :2] = torch.tensor(target, dtype=torch.float32)
    prediction = model(observed)
    joints = model.body.joints(prediction.rotmat, prediction.betas, 'coco17')[0].double().numpy()
    # s x + s t for both axes: linear in s and in the shifts.
    rows = np.zeros((34, 3))
    rows[:, 0] = joints[:, :2].reshape(-1)
    rows[0::2, 1] = 1
    rows[1::2, 2] = 1
    solution = np.linalg.lstsq(rows, target.reshape(-1), rcond=None)[0]
    camera = prediction.camera[0].double().numpy()
    np.testing.assert_allclose(camera[0], solution[0], atol=1e-4)
    np.testing.assert_allclose(camera[0] * camera[1:], solution[1:], atol=1e-4)


def _pose(model: LandmarkHMR, observed: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    prediction = model(observed)
    return prediction.rotmat, prediction.betas


def test_it_keeps_the_contracts_of_estimators():
    # It needs a body: the camera is fitted to the body's joints.
    check_estimator(dict(type='LandmarkHMR', lifter=SMALL, passes=1), skip=['body'])


@pytest.fixture(scope='module')
def drawn():
    stream = OpenStream('studio', sequences=1, frames=4, fps=15.0, noise='clean', seed=77)
    return stream[0]


@torch.no_grad()
def test_landmarks_of_a_sequence_without_them(drawn):
    reader = LandmarkReader('open:blazepose', passes=2)
    landmarks = reader.landmarks(drawn, [0, 1, 2])
    assert landmarks.valid.tolist() == [True, True, True, False]
    index = list(index_map('blazepose33', 'coco17'))
    error = (landmarks.xyz[:3, index, :2] - drawn.keypoints2d.xy[:3]).norm(dim=-1)
    assert float(error.median()) < 0.04 * float(drawn.boxes[0, 2])
    # Exchanged keypoints are followed: the detector may have been repaired.
    crossed = dataclasses.replace(
        drawn,
        keypoints2d=dataclasses.replace(
            drawn.keypoints2d, xy=drawn.keypoints2d.xy[:, list(flip_map('coco17'))]
        ),
    )
    other = reader.landmarks(crossed, [0])
    flip = list(flip_map('blazepose33'))
    assert float((other.world[0, flip] - landmarks.world[0]).norm(dim=-1).mean()) < 0.1


@torch.no_grad()
def test_a_mirrored_look_is_a_look_at_the_mirrored_image(drawn):
    network = BlazePose()
    image = drawn.frames[0]
    right = image.shape[1] - 1
    region = first_regions(drawn.boxes[:1], drawn.keypoints2d, [0])
    region[:, 3] = 0.2
    found = network.look_mirrored(image, region)
    flipped = region * torch.tensor([-1.0, 1.0, 1.0, -1.0]) + torch.tensor([right, 0.0, 0.0, 0.0])
    other = network.look_once(np.ascontiguousarray(image[:, ::-1]), flipped)
    flip = list(flip_map('blazepose33'))
    sign = torch.tensor([-1.0, 1.0, 1.0])
    expected = other.landmarks[:, flip] * sign + torch.tensor([right, 0.0, 0.0])
    torch.testing.assert_close(found.landmarks, expected, atol=0.05, rtol=0)
    torch.testing.assert_close(found.world, other.world[:, flip] * sign, atol=1e-3, rtol=0)
    torch.testing.assert_close(found.visibility, other.visibility[:, flip], atol=1e-3, rtol=0)


def test_copies_of_an_estimator_look_at_a_frame_once(drawn):
    model = LandmarkHMR(lifter=SMALL, passes=1)
    model.crops(drawn, [0])
    assert copy.deepcopy(model).reader is model.reader


def test_regions_follow_the_trunk_or_the_box():
    xy = torch.zeros(2, 17, 2)
    xy[:, 5:7] = torch.tensor([[200.0, 90.0], [200.0, 110.0]])  # shoulders to the right of the hips
    xy[:, 11:13] = torch.tensor([[100.0, 90.0], [100.0, 110.0]])
    confidence = torch.zeros(2, 17)
    confidence[0, [5, 6, 11, 12]] = 1
    boxes = torch.tensor([[50.0, 60.0, 100.0]]).repeat(2, 1)
    regions = first_regions(boxes, Keypoints2D(xy, confidence, 'coco17', 'test'), [0, 1])
    assert regions[0, :2].tolist() == [100.0, 100.0]
    assert float(regions[0, 3]) == pytest.approx(np.pi / 2)  # lying: turned clockwise
    distance = np.hypot(100, 10)
    assert float(regions[0, 2]) == pytest.approx(2 * 1.25 * 1.1 * distance, rel=1e-4)
    assert regions[1].tolist() == [50.0, 60.0, 125.0, 0.0]


@torch.no_grad()
def test_given_landmarks_are_used_and_images_are_not_read(drawn):
    class Unreadable:
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> np.ndarray:
            raise AssertionError('the image was read')

    torch.manual_seed(0)
    model = LandmarkHMR(lifter=SMALL, passes=1).eval()
    landmarks = random_landmarks(4)
    sequence = dataclasses.replace(drawn, frames=Unreadable(), landmarks=landmarks)
    prediction = predict_sequence(model, sequence)
    expected = model(observe(landmarks, drawn.boxes, range(4), 15.0))
    torch.testing.assert_close(prediction.rotmat, expected.rotmat)
    xy, visibility = observed_keypoints(observe(landmarks, drawn.boxes, [1], 15.0), 'coco17')
    assert xy.shape == (1, 17, 2) and float(visibility.min()) > 0
    assert project(torch.zeros(1, 1, 3), prediction.camera[:1]).shape == (1, 1, 2)


@torch.no_grad()
def test_a_part_in_a_gap_of_the_landmarks_is_looked_at(drawn):
    estimator = LandmarkHMR(body=dict(type='BodyModel', file='open'), weights='open:lifter')
    valid = [t != 1 for t in range(len(drawn))]
    gap = dataclasses.replace(drawn, landmarks=random_landmarks(len(drawn), valid))
    part = gap.part(1, 2)
    assert not part.landmarks.valid.any()
    looked = estimator.crops(drawn.part(1, 2), [0])
    assert torch.equal(estimator.crops(part, [0]), looked)
    given = estimator.crops(gap.part(0, 1), [0])
    assert not torch.equal(given, estimator.crops(drawn.part(0, 1), [0]))


@torch.no_grad()
def test_the_mirror_image_of_an_observation_has_the_mirror_image_of_the_body():
    torch.manual_seed(0)
    model = LandmarkHMR(lifter=SMALL)
    torch.nn.init.normal_(model.lifter.decoder.weight, std=0.3)
    observed = observe(random_landmarks(12), boxes_of(12), [5], fps=15.0)
    mirrored = observed[:, :, list(flip_map('blazepose33'))].clone()
    mirrored[..., [0, 3]] *= -1
    reflection = torch.diag(torch.tensor([-1.0, 1.0, 1.0]))
    expected = reflection @ model(observed).rotmat[:, list(flip_map('smpl24'))] @ reflection
    torch.testing.assert_close(model(mirrored).rotmat, expected, rtol=1e-4, atol=1e-5)
    spread = model(observed).joint_spread[:, list(flip_map('spin24'))]
    torch.testing.assert_close(model(mirrored).joint_spread, spread)
