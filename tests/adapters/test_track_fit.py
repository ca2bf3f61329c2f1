"""TrackFit: its losses against sums written out, and what it changes about a person whose body is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation
from torch import Tensor, nn

from hrtk.adapters import TrackFit
from hrtk.adapters.parts.posed import CropKeypoints
from hrtk.adapters.track.objectives import LossWeights, Objectives, TrackTargets
from hrtk.body_models import BodyModel
from hrtk.errors import InputError
from hrtk.geometry.boxes import boxes_from_keypoints, to_crop
from hrtk.geometry.camera import project, viewing_rotation
from hrtk.geometry.rotation import rot6d_to_rotmat, rotmat_to_rot6d
from hrtk.models.estimators import ImageEstimator, predict_sequence
from hrtk.structures import Keypoints2D, Prediction, Sequence

F = 6
FOCAL = 700.0
SIZE = (641, 481)  # its middle is (320, 240)
FPS = 20.0


class Memory(ImageEstimator):
    """An estimator whose weights are the bodies of the frames."""

    def __init__(self, rotmat: Tensor, betas: Tensor) -> None:
        super().__init__(8, dict(type='BodyModel'))
        self.pose = nn.Parameter(rotmat_to_rot6d(rotmat))
        self.betas = nn.Parameter(betas)

    def crops(self, sequence, indices):
        return torch.tensor(list(indices), dtype=torch.float32)[:, None, None, None]

    def forward(self, images: Tensor) -> Prediction:
        rows = images[:, 0, 0, 0].long()
        camera = torch.tensor([[0.9, 0.0, 0.0]]).expand(len(rows), 3)
        return Prediction(rot6d_to_rotmat(self.pose[rows]), self.betas[rows], camera)


def standing(seed: int, spread: float) -> Tensor:
    """(F, 24, 3, 3) bodies that stand before the camera, every joint turned at random, the same in all frames."""
    rng = np.random.default_rng(seed)
    vectors = np.repeat(spread * rng.normal(size=(1, 24, 3)), F, 0)
    vectors[:, 16, 0] += np.linspace(0, 0.5, F)  # an arm moves
    rotmat = Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix().reshape(F, 24, 3, 3)
    rotmat[:, 0] = np.diag([1.0, -1.0, -1.0]) @ rotmat[:, 0]
    return torch.tensor(rotmat, dtype=torch.float32)


@pytest.fixture(scope='module')
def person():
    """A sequence with the keypoints of a body three metres from the camera, and its joints in the axes of the crop."""
    body = BodyModel()
    rotmat = standing(0, 0.15)
    betas = torch.full((F, 10), 0.5)
    with torch.no_grad():
        joints = body.joints(rotmat, betas, 'coco17')
    offset = torch.tensor([0.8, 0.3, 3.0])
    xy = FOCAL * (joints + offset)[..., :2] / (joints + offset)[..., 2:] + torch.tensor(
        [320.0, 240]
    )
    boxes = boxes_from_keypoints(xy, torch.ones(F, 17))
    keypoints = Keypoints2D(xy, torch.ones(F, 17), 'coco17', 'gt')
    frames = np.zeros((F, SIZE[1], SIZE[0], 3), np.uint8)
    sequence = Sequence('a', frames, boxes, keypoints, fps=FPS, focal=FOCAL)
    ray = viewing_rotation(boxes, FOCAL, (320.0, 240.0))
    in_crop = (joints @ ray)[:, 5:]
    turned = torch.cat([(ray.mT @ rotmat[:, 0])[:, None], rotmat[:, 1:]], 1)
    return sequence, turned, betas, in_crop


def about_hips(joints: Tensor) -> Tensor:
    return joints - joints[:, 6:8].mean(1, keepdim=True)


def test_the_true_body_has_no_reprojection_error(person):
    sequence, rotmat, betas, in_crop = person
    targets = TrackTargets.of(sequence, torch.device('cpu'))
    objectives = Objectives(LossWeights(), 0.1)
    assert float(objectives.reprojection(in_crop, targets)) < 1e-9
    # Under a weak-perspective camera the same body seems to be wrong by some percent of the crop.
    xy = to_crop(sequence.keypoints2d.xy, sequence.boxes)[:, 5:]
    model = Memory(rotmat, betas)
    fitted = TrackFit(steps=0).start(model).run(sequence)
    camera = Prediction.cat(list(fitted)).camera
    weak = (project(in_crop, camera) - xy).norm(dim=-1).mean()
    assert 0.01 < float(weak) < 0.1


def test_losses_written_out(person):
    sequence, rotmat, betas, in_crop = person
    rng = np.random.default_rng(4)
    targets = TrackTargets.of(sequence, torch.device('cpu'))
    confidence = torch.tensor(rng.uniform(0, 1, (F, 12)), dtype=torch.float32)
    targets = TrackTargets(
        CropKeypoints(targets.keypoints.xy, confidence),
        targets.camera,
        FPS,
    )
    joints = in_crop + torch.tensor(0.05 * rng.normal(size=in_crop.shape), dtype=torch.float32)
    camera = torch.zeros(F, 3)
    prediction = Prediction(standing(2, 0.1), betas + 1, camera)
    anchor = Prediction(rotmat, betas, camera)
    weights = LossWeights(3.0, 5.0, 7.0, 0.11, 0.013)
    loss = float(Objectives(weights, 0.1)(joints, prediction, in_crop, anchor, targets))
    centred = about_hips(joints).double().numpy()
    depth = centred[..., 2] - about_hips(in_crop).double().numpy()[..., 2]
    acceleration = (centred[2:] - 2 * centred[1:-1] + centred[:-2]) * FPS**2
    pose = (prediction.rotmat - anchor.rotmat).double().numpy()
    expected = (
        3 * reprojection_by_hand(joints, targets)
        + 5 * (depth**2).mean()
        + 7 * (pose**2).mean()
        + 0.11 * float(((betas + 1) ** 2).mean())
        + 0.013 * (acceleration**2).mean()
    )
    assert loss == pytest.approx(expected, rel=2e-3)
    single = Objectives(weights, 0.1)(
        joints[:1], prediction[:1], in_crop[:1], anchor[:1], targets[:1]
    )
    assert np.isfinite(float(single))  # a photograph has no acceleration


def reprojection_by_hand(joints: Tensor, targets: TrackTargets) -> float:
    """With the translation that scipy finds for the algebraic error of the two rounds' weights."""
    total = 0.0
    confidence = targets.keypoints.confidence.double().numpy()
    for t in range(F):
        turned = (targets.camera.rays[t] @ joints[t].mT).mT.double().numpy()
        focal = float(targets.camera.focal[t])
        centre = targets.camera.principal_point[t].double().numpy()
        xy = targets.keypoints.xy[t].double().numpy()
        weight = np.sqrt(confidence[t] + 1e-3)[:, None]

        def residual(shift, turned=turned, focal=focal, centre=centre, xy=xy, weight=weight):
            placed = turned + shift
            return (weight * (focal * placed[:, :2] / placed[:, 2:] + centre - xy)).ravel()

        shift = least_squares(residual, [0.0, 0.0, 3.0]).x
        placed = turned + shift
        squared = ((focal * placed[:, :2] / placed[:, 2:] + centre - xy) ** 2).sum(-1)
        total += (confidence[t] * 0.01 * squared / (0.01 + squared)).sum()
    return total / confidence.sum()


def test_the_plane_is_fitted_and_the_depth_stays(person):
    sequence, rotmat, betas, in_crop = person
    wrong = rotmat @ torch.tensor(
        Rotation.from_rotvec(0.12 * np.random.default_rng(5).normal(size=(24, 3))).as_matrix(),
        dtype=torch.float32,
    )
    model = Memory(wrong, torch.zeros(F, 10))
    before = predict_sequence(model, sequence)
    adapter = TrackFit(lr=5e-3, steps=120, weights=dict(depth=100.0, pose=0.1))
    after = Prediction.cat(list(adapter.start(model).run(sequence)))
    body = model.required_body
    true = about_hips(in_crop)
    error = {}
    for name, prediction in (('before', before), ('after', after)):
        joints = body.joints(prediction.rotmat, prediction.betas, 'body12').detach()
        error[name] = about_hips(joints) - true
    plane = {name: float(value[..., :2].norm(dim=-1).mean()) for name, value in error.items()}
    assert plane['after'] < 0.4 * plane['before']
    moved = (error['after'] - error['before'])[..., 2].abs().mean()
    assert float(moved) < 0.25 * float(error['before'][..., 2].abs().mean())
    # One shape; cameras that put the body on the keypoints.
    assert float((after.betas - after.betas[0]).abs().max()) == 0
    joints = body.joints(after.rotmat, after.betas, 'body12')
    xy = to_crop(sequence.keypoints2d.xy, sequence.boxes)[:, 5:]
    assert float((project(joints, after.camera) - xy).norm(dim=-1).mean()) < 0.05


def test_without_keypoints_a_frame_keeps_its_camera(person):
    sequence, rotmat, betas, _ = person
    confidence = sequence.keypoints2d.confidence.clone()
    confidence[2] = 0
    keypoints = Keypoints2D(sequence.keypoints2d.xy, confidence, 'coco17', 'gt')
    hidden = Sequence('a', sequence.frames, sequence.boxes, keypoints, fps=FPS, focal=FOCAL)
    model = Memory(rotmat, betas)
    after = Prediction.cat(list(TrackFit(steps=3).start(model).run(hidden)))
    assert after.camera[2].tolist() == pytest.approx([0.9, 0, 0])
    assert after.rotmat.isfinite().all() and after.camera.isfinite().all()


def test_another_estimator_may_be_the_anchor(person, monkeypatch):
    sequence, rotmat, betas, in_crop = person
    anchor = Memory(rotmat, betas)
    adapter = TrackFit(lr=1e-2, steps=200, weights=dict(keypoints2d=0.0, pose=0.0))
    monkeypatch.setitem(adapter.__dict__, 'anchor_network', anchor)
    model = Memory(standing(3, 0.25), torch.zeros(F, 10))
    after = Prediction.cat(list(adapter.start(model).run(sequence)))
    joints = model.required_body.joints(after.rotmat, after.betas, 'body12').detach()
    depth = (about_hips(joints) - about_hips(in_crop))[..., 2].abs().mean()
    assert float(depth) < 0.02
    assert set(adapter.fingerprint()) == {'anchor_weights', 'anchor_body'}


def test_bad_options():
    with pytest.raises(InputError, match='robust is positive, not 0.0'):
        TrackFit(robust=0.0)
    with pytest.raises(InputError, match='keypoints2d'):
        TrackFit(weights=dict(keypoint2d=1.0))
