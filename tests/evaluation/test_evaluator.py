"""MeshEvaluator against the same numbers put together by hand."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from scipy.stats import pearsonr

from hrtk.body_models import BodyModel
from hrtk.errors import InputError, OptionError
from hrtk.evaluation import MeshEvaluator, Protocol, get_protocol, register_protocol
from hrtk.evaluation.protocols import MeshError
from hrtk.geometry.camera import project
from hrtk.geometry.rotation import rot6d_to_rotmat
from hrtk.results import Result
from hrtk.structures import GroundTruth, Prediction

H36M_TO_J14 = [6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10]
F = 70  # more than one chunk


@pytest.fixture(scope='module')
def body():
    return BodyModel('open')


def poses(seed, spread=0.2, frames=F):
    generator = torch.Generator().manual_seed(seed)
    six = torch.tensor([1.0, 0, 0, 0, 1, 0]) + spread * torch.randn(
        frames, 24, 6, generator=generator
    )
    return rot6d_to_rotmat(six), 0.5 * torch.randn(frames, 10, generator=generator)


def result(body, name='a', seed=1, frames=F, **changes):
    camera = torch.tensor([0.9, 0.1, 0]).repeat(frames, 1)
    values = dict(
        before=Prediction(*poses(seed + 50, frames=frames), camera),
        after=Prediction(*poses(seed, frames=frames), camera.clone()),
    )
    xy = np.random.default_rng(seed).uniform(0, 200, (frames, 17, 2))
    values.update(
        name=name,
        boxes=np.tile(np.float32([100, 90, 160]), (frames, 1)),
        skeleton='coco17',
        keypoints2d=np.concatenate([xy, np.ones((frames, 17, 1))], -1).astype(np.float32),
        keypoints_source='noise:test',
        frame_ids=tuple(map(str, range(frames))),
        image_size=(200, 200),
        fps=25.0,
        ms_per_frame=2.0,
        before_ms_per_frame=1.0,
        report={'skipped_updates': 2, 'state_bytes': 5000},
    )
    return Result(**{**values, **changes})


def evaluator(body, tmp_path=None, **kwargs):
    metric = MeshEvaluator(**kwargs)
    metric.dataset_meta = dict(
        body=body, adapter='Bilevel', **({'work_dir': tmp_path} if tmp_path else {})
    )
    return metric


def by_hand(body, rotmat, betas):
    """Root-aligned joints and vertices through the full mesh and a dense regressor, float64."""
    output = body(torch.as_tensor(rotmat), torch.as_tensor(betas))
    vertices = output.vertices.double().numpy()
    joints = np.einsum('jv,fvc->fjc', body.data.J_regressor_h36m.astype(np.float64), vertices)
    return joints[:, H36M_TO_J14] - joints[:, :1], vertices - joints[:, :1]


def test_numbers(body, tmp_path):
    done, (rotmat, betas) = result(body), poses(7)
    metric = evaluator(body, tmp_path)
    metric.process(SimpleNamespace(truth=GroundTruth(rotmat, betas)), [done])
    metrics = metric.evaluate(1)
    true_joints, true_vertices = by_hand(body, rotmat, betas)
    errors = {}
    for row, prediction in (('Source', done.before), ('Bilevel', done.after)):
        pose, shape, camera = prediction.rotmat, prediction.betas, prediction.camera
        joints, vertices = by_hand(body, pose, shape)
        errors[row] = 1000 * np.linalg.norm(joints - true_joints, axis=-1).mean(1)
        assert metrics[f'{row}/mpjpe_mm'] == pytest.approx(errors[row].mean(), rel=1e-4)
        assert metrics[f'{row}/pve_mm'] == pytest.approx(
            1000 * np.linalg.norm(vertices - true_vertices, axis=-1).mean(), rel=1e-4
        )
        moving = np.diff(joints - true_joints, 2, axis=0)
        assert metrics[f'{row}/accel_mm'] == pytest.approx(
            1000 * np.linalg.norm(moving, axis=-1).mean(), rel=1e-4
        )
        coco = body.joints(torch.as_tensor(pose), torch.as_tensor(shape), 'coco17')
        pixels = project(coco, torch.as_tensor(camera)).numpy() * 80 + [100, 90]
        assert metrics[f'{row}/reprojection_px'] == pytest.approx(
            np.linalg.norm(pixels - done.keypoints2d[..., :2], axis=-1).mean(), rel=1e-4
        )
    assert metrics['Bilevel/worse_share'] == pytest.approx(
        (errors['Bilevel'] > errors['Source'] + 5).mean()
    )
    assert metrics['Bilevel/worst_regression_mm'] == pytest.approx(
        (errors['Bilevel'] - errors['Source']).max(), rel=1e-3
    )
    assert metrics['Bilevel/skipped_updates'] == 2 and metrics['Source/ms_per_frame'] == 1
    assert metrics['Bilevel/state_kb'] == 5 and 'Source/state_kb' not in metrics
    report = json.loads((tmp_path / 'metrics.json').read_text())
    assert report['protocol']['name'] == 'open' and report['keypoints_sources'] == ['noise:test']
    assert report['metrics'] == metrics


def test_correlation_of_2d_loss_and_error(body):
    """Figure 7 of BOA: the 2D loss in crop coordinates, and scipy's correlation over the scored frames of all clips."""
    metric = evaluator(body, loss_correlation=True)
    losses, errors = [], []
    for seed, name in ((1, 'a'), (2, 'b')):
        done, (rotmat, betas) = result(body, name, seed), poses(seed + 7)
        done.keypoints2d[:, 3, 2] = 0
        done.keypoints2d[0, :, 2] = 0
        metric.process(SimpleNamespace(truth=GroundTruth(rotmat, betas)), [done])
        true_joints, _ = by_hand(body, rotmat, betas)
        joints, _ = by_hand(body, done.after.rotmat, done.after.betas)
        errors += list(1000 * np.linalg.norm(joints - true_joints, axis=-1).mean(1)[1:])
        coco = body.joints(done.after.rotmat, done.after.betas, 'coco17')
        projected = project(coco, done.after.camera).double().numpy()
        target = (np.float64(done.keypoints2d[..., :2]) - [100, 90]) / 80
        squared = np.delete((projected - target) ** 2, 3, axis=1)
        losses += list(squared.mean((1, 2))[1:])
    metrics = metric.evaluate(2)
    assert metrics['Bilevel/keypoints_loss'] == pytest.approx(np.mean(losses), rel=1e-4)
    expected = pearsonr(losses, errors).statistic
    assert metrics['Bilevel/loss_correlation'] == pytest.approx(expected, rel=1e-3)


def test_a_perfect_result_has_no_error(body):
    rotmat, betas = poses(1)
    metric = evaluator(body)
    metric.process(SimpleNamespace(truth=GroundTruth(rotmat, betas)), [result(body)])
    metrics = metric.evaluate(1)
    assert (
        max(metrics[f'Bilevel/{key}'] for key in ('mpjpe_mm', 'pa_mpjpe_mm', 'pve_mm', 'accel_mm'))
        < 1e-2
    )
    assert metrics['Bilevel/worse_share'] == metrics['Bilevel/worst_regression_mm'] == 0
    assert 'Bilevel/kept' not in metrics


def test_shares_of_the_gate_are_means_over_frames(body):
    rotmat, betas = poses(1)
    metric = evaluator(body)
    for name, kept, rolled_back in (('a', 0.5, 0.25), ('b', 0.0, 1.0)):
        report = dict(kept=kept, blended=1 - kept - rolled_back, rolled_back=rolled_back)
        done = dataclasses.replace(result(body, name), report=report)
        metric.process(SimpleNamespace(truth=GroundTruth(rotmat, betas)), [done])
    metrics = metric.evaluate(2)
    assert metrics['Bilevel/kept'] == 0.25 and metrics['Bilevel/blended'] == 0.125
    assert metrics['Bilevel/rolled_back'] == 0.625


def test_frames_that_must_not_be_scored(body):
    rotmat, betas = poses(7)
    valid = torch.ones(F, dtype=torch.bool)
    valid[5], valid[40:50] = False, False
    done = result(body)
    for prediction in (done.before, done.after):
        prediction.rotmat[~valid] = torch.eye(3)
    whole = evaluator(body)
    whole.process(SimpleNamespace(truth=GroundTruth(rotmat, betas, valid=valid)), [done])
    record = whole.results[0]
    assert np.isnan(record.after['mpjpe_mm']).sum() == 11
    # An acceleration needs three scored frames in a row: 4-6 and 39-50 have none, nor have the two ends.
    assert set(np.flatnonzero(np.isnan(record.after['accel_mm']))) == {
        0,
        4,
        5,
        6,
        *range(39, 51),
        F - 1,
    }
    metrics = whole.evaluate(1)
    assert metrics['unscored_frames'] == 11 and metrics['frames'] == F
    joints, _ = by_hand(body, done.after.rotmat, done.after.betas)
    truth, _ = by_hand(body, rotmat, betas)
    wanted = 1000 * np.linalg.norm(joints - truth, axis=-1).mean(1)[valid.numpy()].mean()
    assert metrics['Bilevel/mpjpe_mm'] == pytest.approx(wanted, rel=1e-4)


def test_averages_weigh_frames_not_sequences(body):
    metric, errors = evaluator(body), []
    for name, seed, frames in (('a', 1, 4), ('b', 2, 9)):
        rotmat, betas = poses(seed + 20, frames=frames)
        metric.process(
            SimpleNamespace(truth=GroundTruth(rotmat, betas)), [result(body, name, seed, frames)]
        )
        errors.append(metric.results[-1].after['mpjpe_mm'])
    assert metric.running()['Bilevel']['mpjpe_mm'] == pytest.approx(np.concatenate(errors).mean())
    assert metric.evaluate(2)['Bilevel/mpjpe_mm'] == pytest.approx(np.concatenate(errors).mean())


def test_without_truth_worse_is_measured_in_the_box(body):
    done = result(body)
    done = dataclasses.replace(done, before=done.after)
    shift = np.linspace(
        0, 0.05, F
    )  # of normalised units; 160 px box, so 80 px each, and 1.6 px are too much
    truth = body.joints(done.after.rotmat, done.after.betas, 'coco17')
    done.keypoints2d[..., :2] = project(truth, done.before.camera).numpy() * 80 + [
        100,
        90,
    ]
    camera = done.after.camera.clone()
    camera[:, 1] += torch.from_numpy((shift / 0.9).astype(np.float32))
    done = dataclasses.replace(done, after=dataclasses.replace(done.after, camera=camera))
    metric = evaluator(body)
    metric.process(SimpleNamespace(truth=None), [done])
    metrics = metric.evaluate(1)
    assert metrics['Bilevel/worse_share'] == pytest.approx((shift * 80 > 1.6).mean(), abs=0.05)
    assert metrics['Source/reprojection_px'] < 1e-3 and 'Bilevel/mpjpe_mm' not in metrics


def test_joints_as_ground_truth(body):
    rotmat, betas = poses(7)
    joints = body.joints(rotmat, betas, 'h36m17') + torch.tensor([1.0, 2, 3])
    rows = []
    for truth in (GroundTruth(rotmat, betas), GroundTruth(joints3d=joints, skeleton='h36m17')):
        metric = evaluator(body)
        metric.process(SimpleNamespace(truth=truth), [result(body)])
        rows.append(metric.evaluate(1))
    for key in ('mpjpe_mm', 'pa_mpjpe_mm', 'accel_mm'):
        assert rows[0][f'Bilevel/{key}'] == pytest.approx(rows[1][f'Bilevel/{key}'], rel=1e-4)
    assert 'Bilevel/pve_mm' not in rows[1]
    with pytest.raises(InputError, match="'coco17', which lacks"):
        evaluator(body).process(
            SimpleNamespace(truth=GroundTruth(joints3d=joints, skeleton='coco17')), [result(body)]
        )


def test_the_viewing_ray_of_the_crop(body):
    """A body in the axes of its crop is right after the turn to the true camera's axes, by scipy's rotation."""
    (rotmat, betas) = poses(7)
    focal, centre = 300.0, np.array([20.0, 150.0])
    ray = np.array([100, 90, 0]) - [*centre, 0] + [0, 0, focal]
    axis = np.cross([0.0, 0, 1], ray / np.linalg.norm(ray))
    turn = Rotation.from_rotvec(axis / np.linalg.norm(axis) * np.arcsin(np.linalg.norm(axis)))
    in_crop = rotmat.clone()
    in_crop[:, 0] = torch.tensor(turn.inv().as_matrix()).float() @ rotmat[:, 0]
    camera = torch.tensor([0.9, 0.1, 0]).repeat(F, 1)
    done = result(
        body,
        before=Prediction(in_crop, betas, camera),
        after=Prediction(rotmat, betas, camera.clone()),
    )
    truth = GroundTruth(rotmat, betas, intrinsics=torch.tensor([[focal, *centre]]).repeat(F, 1))
    metric = evaluator(body, protocol='open_ray')
    metric.process(SimpleNamespace(truth=truth), [done])
    metrics = metric.evaluate(1)
    assert metrics['Source/mpjpe_mm'] < 0.01 and metrics['Source/pve_mm'] < 0.01
    assert metrics['Bilevel/mpjpe_mm'] > 30 and metrics['Bilevel/pve_mm'] > 30
    plain = evaluator(body)
    plain.process(SimpleNamespace(truth=truth), [done])
    unturned = plain.evaluate(1)
    assert unturned['Source/mpjpe_mm'] > 30 and unturned['Bilevel/mpjpe_mm'] < 0.01
    for key in ('pa_mpjpe_mm', 'reprojection_px'):
        assert unturned[f'Source/{key}'] == pytest.approx(metrics[f'Source/{key}'], abs=1e-3)
    without_truth = evaluator(body, protocol='open_ray')
    without_truth.process(SimpleNamespace(truth=None), [done])
    assert 'Source/mpjpe_mm' not in without_truth.evaluate(1)
    unknown = SimpleNamespace(name='clip', truth=GroundTruth(rotmat, betas))
    with pytest.raises(InputError, match="needs the intrinsics .* 'clip' has none"):
        metric.process(unknown, [done])


def test_the_viewing_ray_needs_aligned_meshes():
    with pytest.raises(ValueError, match='every mesh error must be aligned'):
        Protocol('other', 'a protocol', meshes=(MeshError(aligned=False),), viewing_ray=True)


def test_refusals(body):
    rotmat, betas = poses(7)
    with pytest.raises(InputError, match='neutral bodies, but the ground truth is male'):
        evaluator(body).process(
            SimpleNamespace(truth=GroundTruth(rotmat, betas, gender='male')), [result(body)]
        )
    with pytest.raises(InputError, match='needs a body'):
        evaluator(None).process(SimpleNamespace(truth=None), [result(body)])
    metric = evaluator(body)
    for _ in range(2):
        metric.process(SimpleNamespace(truth=None), [result(body)])
    with pytest.raises(InputError, match="more than one sequence called 'a'"):
        metric.evaluate(2)


def test_protocols():
    # An OptionError: who has read the config of the metric adds its file.
    with pytest.raises(OptionError, match="Did you mean 'open'"):
        get_protocol('opne')
    assert register_protocol(Protocol('open', get_protocol('open').summary)) == get_protocol('open')
    with pytest.raises(ValueError, match='another'):
        register_protocol(Protocol('open', 'something else'))
