"""The terms of Eq. 2-6 on bodies that are known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hrtk.adapters.bilevel.objectives import LossWeights, Objectives
from hrtk.adapters.parts.posed import CropKeypoints, PosedPrediction
from hrtk.adapters.parts.source_bank import SourceBatch
from hrtk.body_models import BodyModel
from hrtk.errors import InputError
from hrtk.structures import Prediction

RNG = np.random.default_rng(0)


@pytest.fixture(scope='module')
def body():
    return BodyModel('open').double()


def posed(body, seed):
    rng = np.random.default_rng(seed)
    rotmat = Rotation.from_rotvec(0.3 * rng.normal(size=(24, 3))).as_matrix()[None]
    values = rotmat, rng.normal(size=(1, 10)), np.array([[0.9, 0.1, -0.1]])
    return PosedPrediction.of(Prediction(*map(torch.from_numpy, values)), body)


ZERO = dict(keypoints2d=0.0, shape_prior=0.0, pose_prior=0.0, source=0.0, motion=0.0, teacher=0.0)


def mean_square(a, b):
    return ((a - b) ** 2).mean().item()


def full_term(student, joints3d, joints2d, rotmat, betas):
    def centred(joints):
        return joints - (joints[:, 2:3] + joints[:, 3:4]) / 2

    return (
        5 * mean_square(centred(student.joints3d), centred(joints3d))
        + 5 * mean_square(student.joints2d, joints2d)
        + mean_square(student.prediction.rotmat, rotmat)
        + 0.001 * mean_square(student.prediction.betas, betas)
    )


def test_published_factors():
    assert dataclasses.asdict(LossWeights()) == dict(
        keypoints2d=10.0, shape_prior=2e-6, pose_prior=1e-4, source=0.1, motion=0.1, teacher=0.1
    )


def test_frame_term(body):
    student = posed(body, 1)
    xy, confidence = torch.randn(1, 24, 2).double(), torch.rand(1, 24).double()
    objectives = Objectives(
        LossWeights(**{**ZERO, 'keypoints2d': 10.0, 'shape_prior': 0.5, 'pose_prior': 2.0}),
        lambda pose: pose.square().sum(1),
        'all',
    )
    pose = Rotation.from_matrix(student.prediction.rotmat[0, 1:].numpy()).as_rotvec()
    expected = (
        10 * (confidence[..., None] * (student.joints2d - xy) ** 2).mean().item()
        + 0.5 * student.prediction.betas.square().sum().item()
        + 2 * (pose**2).sum()
    )
    assert objectives.frame(student, CropKeypoints(xy, confidence)).item() == pytest.approx(
        expected, rel=1e-10
    )


def test_teacher_and_source_terms_share_one_mixture(body):
    student, other = posed(body, 1), posed(body, 2)
    expected = full_term(
        student, other.joints3d, other.joints2d, other.prediction.rotmat, other.prediction.betas
    )
    objectives = Objectives(LossWeights(**{**ZERO, 'teacher': 0.3, 'source': 0.7}), None, 'all')
    assert objectives.teacher(student, other).item() == pytest.approx(0.3 * expected, rel=1e-10)
    batch = SourceBatch(
        torch.zeros(1), other.prediction.rotmat, other.prediction.betas, other.joints2d
    )
    assert objectives.source(student, batch, body).item() == pytest.approx(
        0.7 * expected, rel=1e-10
    )
    assert objectives.teacher(student, student).item() == 0


def test_source_term_of_measured_joints(body):
    """5 S3D + 5 S2D of motion capture with its confidences, rotations and 0.001 betas, in NumPy."""
    student, label = posed(body, 1), posed(body, 2)
    rng = np.random.default_rng(5)
    S = np.concatenate([rng.normal(size=(1, 24, 3)), rng.integers(0, 2, (1, 24, 1))], -1)
    part = np.concatenate([rng.normal(size=(1, 24, 2)), rng.uniform(size=(1, 24, 1))], -1)
    joints3d, joints2d = student.joints3d.numpy(), student.joints2d.numpy()
    difference = joints3d - joints3d[:, 2:4].mean(1) - (S[..., :3] - S[:, 2:4, :3].mean(1))
    expected = (
        5 * (S[..., 3:] * difference**2).sum() / 72
        + 5 * (part[..., 2:] * (joints2d - part[..., :2]) ** 2).sum() / 48
        + mean_square(student.prediction.rotmat, label.prediction.rotmat)
        + 0.001 * mean_square(student.prediction.betas, label.prediction.betas)
    )
    weights = LossWeights(**{**ZERO, 'source': 0.7})
    objectives = Objectives(weights, None, 'all', source_labels='measured')
    bare = SourceBatch(
        torch.zeros(1), label.prediction.rotmat, label.prediction.betas, label.joints2d
    )
    batch = dataclasses.replace(bare, S=torch.from_numpy(S), part=torch.from_numpy(part))
    assert objectives.source(student, batch, body).item() == pytest.approx(
        0.7 * expected, rel=1e-10
    )
    with pytest.raises(InputError, match="no 'S'.*source_labels='body'"):
        objectives.source(student, bare, body)


def test_motion_needs_both_ends(body):
    now, then = posed(body, 1), posed(body, 2)
    xy = torch.from_numpy(RNG.normal(size=(2, 1, 24, 2)))
    confidence = torch.from_numpy(RNG.random((2, 1, 24)).round())
    both = (confidence[0] * confidence[1])[..., None]
    expected = (both * ((now.joints2d - then.joints2d) - (xy[0] - xy[1])) ** 2).mean().item()
    objectives = Objectives(LossWeights(**{**ZERO, 'motion': 0.4}), None, 'all')
    found = objectives.motion(
        now, then, CropKeypoints(xy[0], 0.3 * confidence[0]), CropKeypoints(xy[1], confidence[1])
    )
    assert found.item() == pytest.approx(0.4 * expected, rel=1e-12) and 0 < both.mean() < 1
