"""The protocol real4 and stored joints: the true camera's errors against loops, known motions and an exported body."""

import importlib.util
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.spatial.transform import Rotation

from hrtk.body_models import BodyModel
from hrtk.body_models.skeletons import joint_names
from hrtk.errors import InputError
from hrtk.evaluation import MeshEvaluator, get_protocol, n_mpjpe
from hrtk.evaluation.calibrated import path_errors, placed_by_crop, ray_rotations
from hrtk.evaluation.stored_joints import measure_joints, read_joints
from hrtk.geometry.camera import crop_to_image_camera
from hrtk.results import Result
from hrtk.structures import GroundTruth, Keypoints2D, Prediction
from hrtk.visualization.export.joints import to_json
from hrtk.visualization.export.motion import motion_of_crops

F, FOCAL, SIZE = 12, 900.0, (641, 481)
LIMBS = ('shoulder', 'elbow', 'wrist', 'hip', 'knee', 'ankle')
NAMES = [f'{side}_{limb}' for limb in LIMBS for side in ('left', 'right')]
REAL4 = get_protocol('real4')


@pytest.fixture(scope='module')
def body():
    return BodyModel('open')


def predicted(seed):
    rng = np.random.default_rng(seed)
    rotmat = Rotation.from_rotvec(rng.normal(0, 0.3, (F * 24, 3))).as_matrix()
    camera = np.stack([rng.uniform(0.7, 1, F), *rng.normal(0, 0.1, (2, F))], axis=1)
    values = (rotmat.reshape(F, 24, 3, 3), rng.normal(0, 0.7, (F, 10)), camera)
    return Prediction(*(torch.from_numpy(np.float32(value)) for value in values))


def joints_of(body, prediction):
    """(F, 12, 3) in the frame of the crop: SMPL's own limbs, and hips as LSP has them."""
    smpl = body.joints(prediction.rotmat, prediction.betas, 'smpl24')
    extra = body.joints(prediction.rotmat, prediction.betas, 'extra9')
    found = []
    for name in NAMES:
        if 'hip' in name:
            found.append(extra[:, joint_names('extra9').index(f'{name}_lsp')])
        else:
            found.append(smpl[:, joint_names('smpl24').index(name)])
    return torch.stack(found, 1).double().numpy()


def make_result(before, after):
    boxes = np.float32([[300 + 4 * t, 200 - 3 * t, 250 + t] for t in range(F)])
    return Result(
        name='a',
        before=before,
        after=after,
        boxes=boxes,
        skeleton='coco17',
        keypoints2d=np.ones((F, 17, 3), np.float32),
        keypoints_source='test',
        frame_ids=tuple(f'{t:06d}' for t in range(F)),
        image_size=SIZE,
        fps=10.0,
        ms_per_frame=1.0,
        before_ms_per_frame=1.0,
    )


@pytest.fixture(scope='module')
def truth():
    """Any points in front of a camera."""
    rng = np.random.default_rng(5)
    joints = rng.normal(0, 0.4, (F, 12, 3)) + (0.4, 0.2, 5)
    projected = (
        joints[..., :2] / joints[..., 2:] * FOCAL + (320, 240) + rng.normal(0, 1, (F, 12, 2))
    )
    return GroundTruth(
        joints3d=torch.from_numpy(joints),
        joints2d=torch.from_numpy(projected),
        intrinsics=torch.tensor([FOCAL, 320, 240]).repeat(F, 1),
        skeleton='body12',
    )


class Clip(SimpleNamespace):
    """A sequence without images."""

    def __len__(self):
        return len(self.frame_ids)


def clip_of(truth):
    keypoints = Keypoints2D(torch.ones(F, 17, 2), torch.ones(F, 17), 'coco17', 'test')
    return Clip(
        name='a',
        truth=truth,
        fps=10.0,
        frames=np.zeros((F, 481, 641, 3), np.uint8),  # the middle is (320, 240)
        focal=FOCAL,
        masks=None,
        boxes=torch.ones(F, 3),
        keypoints2d=keypoints,
        frame_ids=tuple(f'{t:06d}' for t in range(F)),
    )


def evaluated(body, truth, tmp_path=None, protocol='real4'):
    metric = MeshEvaluator(protocol)
    metric.dataset_meta = dict(body=body, adapter='Bilevel')
    if tmp_path is not None:
        metric.dataset_meta['work_dir'] = tmp_path
    done = make_result(predicted(1), predicted(2))
    metric.process(clip_of(truth), [done])
    return metric.evaluate(1), done


def by_hand(joints, uv, truth, frames=range(F)):
    """The definitions of score.py of the data set, a frame at a time."""
    rows = []
    true = truth.joints3d.numpy()
    true_uv = truth.joints2d.numpy()
    for t in frames:
        a = joints[t] - (joints[t, 6] + joints[t, 7]) / 2
        b = true[t] - (true[t, 6] + true[t, 7]) / 2
        scale = minimize_scalar(lambda k: np.square(k * a - b).sum(), tol=1e-12).x
        ray = np.append((true_uv[t].mean(0) - (320, 240)) / FOCAL, 1)
        ray /= np.linalg.norm(ray)
        axis = np.cross([0, 0, 1], ray)
        angle = np.arccos(ray[2])
        turn = Rotation.from_rotvec(axis / np.linalg.norm(axis) * angle).as_matrix()
        rows.append(
            dict(
                mpjpe_mm=1e3 * np.linalg.norm(a - b, axis=-1).mean(),
                n_mpjpe_mm=1e3 * np.linalg.norm(scale * a - b, axis=-1).mean(),
                ray_mpjpe_mm=1e3 * np.linalg.norm(a @ turn.T - b, axis=-1).mean(),
                truth_px=np.linalg.norm(uv[t] - true_uv[t], axis=-1).mean(),
            )
        )
    return {key: np.mean([row[key] for row in rows]) for key in rows[0]}


def pixels_of(joints, done):
    """The crop's camera of focal length 5000 px on 224 px, and the box."""
    camera = done.after.camera.double().numpy()
    found = []
    for t in range(F):
        s, tx, ty = camera[t]
        moved = joints[t] + (tx, ty, 2 * 5000 / (224 * s + 1e-9))
        crop = moved[:, :2] / moved[:, 2:] * 5000 / 112
        found.append(crop * done.boxes[t, 2] / 2 + done.boxes[t, :2])
    return np.array(found)


def test_protocol(body, truth, tmp_path, capsys):
    metrics, done = evaluated(body, truth, tmp_path)
    joints = joints_of(body, done.after)
    expected = by_hand(joints, pixels_of(joints, done), truth)
    for key, value in expected.items():
        assert metrics[f'Bilevel/{key}'] == pytest.approx(value, rel=1e-4), key
    report = json.loads((tmp_path / 'metrics.json').read_text())
    by_joint = report['by_joint_mm']
    assert list(by_joint) == ['Source', 'Bilevel']
    assert [name.removesuffix('_lsp') for name in by_joint['Bilevel']] == NAMES
    assert np.mean(list(by_joint['Bilevel'].values())) == pytest.approx(metrics['Bilevel/mpjpe_mm'])
    printed = capsys.readouterr().out
    assert 'by joint' in printed and 'shoulder' in printed and 'root path' in printed
    assert metrics['Bilevel/root_path_mm'] > 0 and metrics['Bilevel/accel_mm'] > 0
    assert 'Bilevel/foot_sliding_mm' not in metrics  # no foot of these points is planted


def test_frames_that_are_not_valid(body, truth):
    valid = torch.ones(F, dtype=torch.bool)
    valid[3] = False
    fields = {**vars(truth), 'valid': valid}
    metrics, done = evaluated(body, GroundTruth(**fields))
    joints = joints_of(body, done.after)
    rest = [t for t in range(F) if t != 3]
    expected = by_hand(joints, pixels_of(joints, done), truth, rest)
    for key, value in expected.items():
        assert metrics[f'Bilevel/{key}'] == pytest.approx(value, rel=1e-4), key
    assert metrics['unscored_frames'] == 1


def test_truth_without_a_camera(body, truth):
    metrics, _ = evaluated(body, GroundTruth(joints3d=truth.joints3d, skeleton='body12'))
    assert 'Bilevel/mpjpe_mm' in metrics and 'Bilevel/ray_mpjpe_mm' not in metrics


def test_rays_are_turned_without_rolling():
    pixels = np.random.default_rng(0).uniform(0, 600, (30, 2))
    intrinsics = np.tile([500.0, 320, 240], (30, 1))
    turns = ray_rotations(pixels, intrinsics)
    for pixel, turn in zip(pixels, turns):
        ray = np.append((pixel - (320, 240)) / 500, 1)
        np.testing.assert_allclose(turn @ [0, 0, 1], ray / np.linalg.norm(ray), atol=1e-12)
        rotvec = Rotation.from_matrix(turn).as_rotvec()
        assert abs(rotvec[2]) < 1e-9 and np.linalg.det(turn) == pytest.approx(1)


def test_n_mpjpe_knows_no_scale():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 4, 12, 3))
    np.testing.assert_allclose(n_mpjpe(0.3 * a, b), n_mpjpe(a, b))
    assert n_mpjpe(0.3 * a, a).max() < 1e-9 and n_mpjpe(0 * a, a).min() > 100


def test_translation_is_that_of_the_image_camera():
    rng = np.random.default_rng(0)
    camera = rng.uniform(0.5, 1, (5, 3))
    boxes = rng.uniform(100, 300, (5, 3))
    ours = placed_by_crop(camera, boxes, np.tile([FOCAL, 320, 240], (5, 1)))
    theirs = crop_to_image_camera(torch.tensor(camera), torch.tensor(boxes), SIZE, FOCAL)
    np.testing.assert_allclose(ours, theirs)


def test_paths_of_known_motions():
    """The true man stands on his left foot and swings the right one; the predicted one drifts by 1 cm a frame."""
    joints = np.random.default_rng(0).normal(0, 0.3, (12, 3))
    true = np.tile(joints, (F, 1, 1))
    true[:, NAMES.index('right_ankle'), 0] += 0.1 * np.arange(F)
    drift = 0.01 * np.arange(F)[:, None] * [0, 0, 1.0]
    everywhere = np.ones(F, bool)
    roots = true.mean(1)

    def errors(moved, scored=everywhere):
        positions = true + moved[:, None]
        return path_errors(REAL4, positions, true, roots + moved, roots, scored, fps=10.0)

    for values in errors(np.tile([1.0, 2, 3], (F, 1))).values():
        assert np.nanmax(values) < 1e-9  # a constant offset is no drift
    found = errors(drift)
    np.testing.assert_allclose(found['root_path_mm'], 10 * np.abs(np.arange(F) - (F - 1) / 2))
    np.testing.assert_allclose(found['foot_sliding_mm'][:-1], 10)
    assert np.isnan(found['foot_sliding_mm'][-1])
    # The swinging foot does not count.
    swung = true.copy()
    swung[:, NAMES.index('right_ankle')] += 10 * drift
    found = path_errors(REAL4, swung, true, roots, roots, everywhere, fps=10.0)
    assert np.nanmax(found['foot_sliding_mm']) < 1e-9
    scored = everywhere.copy()
    scored[4] = False
    found = errors(drift, scored)
    assert np.isnan(found['root_path_mm']).nonzero()[0].tolist() == [4]
    assert np.isnan(found['foot_sliding_mm']).nonzero()[0].tolist() == [3, 4, F - 1]


# Joints of other programs


def test_exported_joints_score_as_their_body(body, truth, tmp_path):
    metrics, done = evaluated(body, truth)
    motion = motion_of_crops(
        'a',
        done.after.rotmat,
        done.after.betas,
        done.after.camera,
        done.boxes,
        done.frame_ids,
        done.fps,
        SIZE,
    )
    path = tmp_path / 'a.json'
    path.write_text(to_json(motion, body.double(), 'body12'))
    body.float()
    metric = MeshEvaluator('real4')
    metric.process_joints(clip_of(truth), read_joints(path), path)
    found = metric.evaluate(1)
    for key in ('mpjpe_mm', 'pa_mpjpe_mm', 'n_mpjpe_mm', 'ray_mpjpe_mm', 'accel_mm'):
        assert found[f'joints/{key}'] == pytest.approx(metrics[f'Bilevel/{key}'], abs=0.02), key
    # The export assumes a focal length, and so another perspective of the same body.
    assert found['joints/truth_px'] == pytest.approx(metrics['Bilevel/truth_px'], abs=3)
    assert 'joints/worse_share' not in found and 'joints/ms_per_frame' not in found
    assert found['frames'] == F and not any(key.startswith('Source') for key in found)


def rays_of(boxes):
    """Rotations (F, 3, 3) by scipy that take the optical axis to the rays of the boxes."""
    rays = np.concatenate([(boxes[:, :2] - (320, 240)) / FOCAL, np.ones((len(boxes), 1))], 1)
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    axes = np.cross([0, 0, 1], rays)
    sines = np.linalg.norm(axes, axis=1, keepdims=True)
    return Rotation.from_rotvec(axes / sines * np.arcsin(sines)).as_matrix()


def test_predictions_are_turned_by_the_rays_of_their_crops(body, truth):
    """All metrics of joints are after the turn; the places in the image and of the root are as before."""
    metrics, done = evaluated(body, truth)
    turned, _ = evaluated(body, truth, protocol='real4_ray')
    joints = joints_of(body, done.after)
    joints = joints - joints[:, 6:8].mean(1, keepdims=True)
    joints = joints @ np.swapaxes(rays_of(done.boxes), 1, 2)
    expected = by_hand(joints, np.zeros((F, 12, 2)), truth)
    for key in ('mpjpe_mm', 'n_mpjpe_mm'):
        assert turned[f'Bilevel/{key}'] == pytest.approx(expected[key], abs=1e-3)
        assert abs(turned[f'Bilevel/{key}'] - metrics[f'Bilevel/{key}']) > 0.05
    for key in ('ray_mpjpe_mm', 'pa_mpjpe_mm', 'truth_px', 'reprojection_px', 'root_path_mm'):
        assert turned[f'Bilevel/{key}'] == pytest.approx(metrics[f'Bilevel/{key}'], rel=1e-4), key


def test_stored_joints_in_the_axes_of_crops(truth, tmp_path):
    path = tmp_path / 'a.json'
    clip = clip_of(truth)
    clip.boxes = torch.from_numpy(make_result(predicted(1), predicted(2)).boxes)
    protocol = get_protocol('real4_ray')
    true = truth.joints3d.numpy()
    in_crop = true @ rays_of(clip.boxes.double().numpy())
    errors = {}
    rooted = in_crop - in_crop[:, 6:8].mean(1, keepdims=True)
    expected = by_hand(rooted, np.zeros((F, 12, 2)), truth)
    for axes in ('crop', 'camera'):
        stored = content(names=joint_names('body12'), xyz=in_crop.tolist(), axes=axes)
        path.write_text(json.dumps(stored))
        measured = measure_joints(protocol, read_joints(path), clip, path)
        assert measured.errors['ray_mpjpe_mm'].mean() == pytest.approx(
            expected['ray_mpjpe_mm'], abs=1e-3
        )
        errors[axes] = measured.errors['mpjpe_mm'].mean()
    assert errors['crop'] == pytest.approx(0, abs=1e-4) and errors['camera'] > 10
    for value in (float('nan'), 1e30):
        damaged = in_crop.copy()
        damaged[1, 2, 0] = value
        stored = content(names=joint_names('body12'), xyz=damaged.tolist())
        path.write_text(json.dumps(stored))
        with pytest.raises(InputError, match='a.json: a coordinate of xyz is not finite, or not'):
            read_joints(path)
    path.write_text(json.dumps(content(axes='world')))
    with pytest.raises(InputError, match="axes are 'world'; expected"):
        read_joints(path)


def content(frames=F, names=('left_wrist', *joint_names('body12')), **changes):
    xyz = np.random.default_rng(3).normal(size=(frames, len(names), 3))
    ids = [f'{t:06d}' for t in range(frames)]
    return {**dict(joints=list(names), frame_ids=ids, xyz=xyz.tolist()), **changes}


def test_joints_and_frames_are_found_by_name(truth, tmp_path):
    path = tmp_path / 'a.json'
    names = joint_names('body12')[::-1]
    more = content(frames=F + 5, names=('nose', *names))
    path.write_text(json.dumps(more))
    measured = measure_joints(REAL4, read_joints(path), clip_of(truth), path)
    joints = np.array(more['xyz'])[:F, ::-1][:, :12]
    expected = by_hand(joints, np.zeros((F, 12, 2)), truth)
    for key in ('mpjpe_mm', 'n_mpjpe_mm', 'ray_mpjpe_mm'):
        assert measured.errors[key].mean() == pytest.approx(expected[key])
    assert 'truth_px' not in measured.errors


@pytest.mark.parametrize(
    'text, message',
    [
        (None, 'no such file of joints'),
        ('{', 'not json, or truncated.*expected a json object with `joints`'),
        ('[]', 'expected an object.*expected a json object with `joints`'),
        (json.dumps(content(xyz=[[1, 2, 3]])), r'12 frame_ids and 13 joints, but xyz is \(1, 3\)'),
        (json.dumps(content(uv=[[1, 2]])), r'uv \(1, 2\)'),
        (json.dumps(content(frames=F - 2)), 'lacks 2 of 12 frames of the sequence: 000010, 000011'),
        (json.dumps(content(names=('left_hip', *NAMES[:6]))), 'lacks the joints left_hip_lsp'),
    ],
)
def test_wrong_joints(truth, tmp_path, text, message):
    path = tmp_path / 'a.json'
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=message):
        measure_joints(REAL4, read_joints(path), clip_of(truth), path)


def test_joints_need_measured_truth(truth, tmp_path):
    path = tmp_path / 'a.json'
    path.write_text(json.dumps(content()))
    stored = read_joints(path)
    with pytest.raises(InputError, match='the ground truth has none'):
        measure_joints(REAL4, stored, clip_of(None), path)
    with pytest.raises(InputError, match='poses bodies'):
        measure_joints(get_protocol('boa_ps'), stored, clip_of(truth), path)


def test_score_of_the_data_set(data_root, tmp_path):
    """MediaPipe's landmarks by hrtk and by the data set's own script, which needs numpy alone."""
    folder = data_root / 'real4'
    spec = importlib.util.spec_from_file_location('score', folder / 'score.py')
    score = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(score)
    for camera in ('cam01', 'cam02'):
        true, uv, K = score.load_truth(folder, camera)
        stored = np.load(folder / f'detections/{camera}_mediapipe.npz')
        names = np.load(folder / 'gt3d.npz')['names']
        frames = np.arange(0, 100, 4)
        arrays = dict(
            names=names,
            xyz=stored['video_world'][frames],
            uv=stored['video_xy'][frames],
            frames=frames,
        )
        theirs, _, _ = score.score(true, uv, K, arrays)
        renamed = [name.replace('_hip', '_hip_lsp') for name in names.tolist()]
        ids = [f'{t:06d}' for t in range(100)]
        text = dict(
            joints=renamed,
            frame_ids=ids,
            xyz=stored['video_world'].tolist(),
            uv=stored['video_xy'].tolist(),
        )
        (tmp_path / 'a.json').write_text(json.dumps(text))
        intrinsics = torch.tensor([(K[0, 0] + K[1, 1]) / 2, K[0, 2], K[1, 2]]).repeat(25, 1)
        truth = GroundTruth(
            joints3d=torch.from_numpy(true[frames]),
            joints2d=torch.from_numpy(uv[frames]),
            intrinsics=intrinsics,
            skeleton='body12',
        )
        sequence = clip_of(truth)
        sequence.frame_ids = tuple(ids[t] for t in frames)
        sequence.boxes = torch.ones(25, 3)
        measured = measure_joints(REAL4, read_joints(tmp_path / 'a.json'), sequence, tmp_path)
        errors = measured.scored_errors(np.ones(25, bool))
        pairs = dict(
            mpjpe_mm='mpjpe',
            pa_mpjpe_mm='pa_mpjpe',
            n_mpjpe_mm='n_mpjpe',
            ray_mpjpe_mm='ray_mpjpe',
            accel_mm='accel',
            truth_px='uv_px',
        )
        for ours, other in pairs.items():
            assert np.nanmean(errors[ours]) == pytest.approx(theirs[other], rel=1e-4), ours
