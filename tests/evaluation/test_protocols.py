"""Every official protocol against the same numbers put together by loops in float64."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hrtk.body_models import BodyModel
from hrtk.errors import InputError, OptionError
from hrtk.evaluation import MeshEvaluator
from hrtk.evaluation.functional import AUC_MM, pck
from hrtk.evaluation.protocols import get_protocol
from hrtk.results import Result
from hrtk.structures import GroundTruth, Prediction
from hrtk.testing import write_body_files

J14 = [6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10]
J17 = [*J14, 0, 7, 9]
GT24_TO_17 = [*range(13), 18, 14, 16, 17]  # SPIN's constants


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp('bodies')
    write_body_files(root)
    return root


def body_of(data, gender, regressor=True):
    h36m = data / 'spin/J_regressor_h36m.npy' if regressor else None
    return BodyModel(
        data / f'body_models/smpl/SMPL_{gender}.pkl', data / 'spin/J_regressor_extra.npy', h36m
    )


@pytest.fixture(scope='module')
def neutral(data):
    return body_of(data, 'NEUTRAL')


@pytest.fixture(scope='module')
def own(data):
    return {name.lower(): body_of(data, name) for name in ('NEUTRAL', 'MALE', 'FEMALE')}


def files(data):
    return {
        name: str(data / f'body_models/smpl/SMPL_{name.upper()}.pkl') for name in ('male', 'female')
    }


def poses(seed, frames):
    rng = np.random.default_rng(seed)
    rotmat = (
        Rotation.from_rotvec(rng.normal(0, 0.3, (frames * 24, 3)))
        .as_matrix()
        .reshape(frames, 24, 3, 3)
    )
    return rotmat, rng.normal(0, 0.7, (frames, 10))


def predicted(rotmat, betas):
    camera = torch.tensor([0.9, 0, 0]).repeat(len(rotmat), 1)
    return Prediction(*(torch.as_tensor(np.float32(value)) for value in (rotmat, betas)), camera)


def result(name, seed, frames):
    return Result(
        name=name,
        before=predicted(*poses(seed + 100, frames)),
        after=predicted(*poses(seed, frames)),
        boxes=np.tile(np.float32([100, 90, 160]), (frames, 1)),
        skeleton='coco17',
        keypoints2d=np.zeros((frames, 17, 3), np.float32),
        keypoints_source='gt',
        frame_ids=tuple(map(str, range(frames))),
        image_size=(200, 200),
        fps=25.0,
        ms_per_frame=1.0,
        before_ms_per_frame=1.0,
        report={},
    )


def truth_of(seed, frames, gender='neutral', **fields):
    rotmat, betas = (torch.tensor(x).float() for x in poses(seed, frames))
    return GroundTruth(rotmat, betas, gender=gender, **fields)


def score(protocol, body, pairs, tmp_path=None, bodies=None):
    metric = MeshEvaluator(protocol, bodies=bodies)
    metric.dataset_meta = dict(
        body=body, adapter='Bilevel', **({'work_dir': tmp_path} if tmp_path else {})
    )
    for done, truth in pairs:
        metric.process(SimpleNamespace(truth=truth), [done])
    return metric.evaluate(len(pairs))


def posed(body, rotmat, betas):
    """Vertices and the 17 joints of the H36M regressor, float64, frame by frame."""
    vertices = (
        body(torch.as_tensor(rotmat).float(), torch.as_tensor(betas).float())
        .vertices.double()
        .numpy()
    )
    regressor = body.data.J_regressor_h36m.astype(np.float64)
    return vertices, np.stack([regressor @ frame for frame in vertices])


def mean_distance(a, b):
    return 1000 * np.mean(
        [np.mean([np.sqrt(((p - q) ** 2).sum()) for p, q in zip(x, y)]) for x, y in zip(a, b)]
    )


def aligned(a, b):
    """Procrustes by scipy, frame by frame."""
    moved = []
    for x, y in zip(a, b):
        x0, y0 = x - x.mean(0), y - y.mean(0)
        rotation, _ = Rotation.align_vectors(y0, x0)
        turned = rotation.apply(x0)
        moved.append((turned * y0).sum() / (x0**2).sum() * turned + y.mean(0))
    return np.array(moved)


# 3DPW on gendered bodies


@pytest.mark.parametrize('protocol', ['spin_3dpw', 'boa_ps'])
def test_gendered_truth(data, neutral, own, protocol, tmp_path):
    pairs = [
        (result('a', 1, 5), truth_of(7, 5, 'male')),
        (result('b', 2, 3), truth_of(8, 3, 'female')),
    ]
    metrics = score(protocol, neutral, pairs, tmp_path, files(data))
    joints, vertices = ([], []), ([], [], [])
    for done, truth in pairs:
        predicted, p17 = posed(neutral, done.after.rotmat, done.after.betas)
        true, t17 = posed(own[truth.gender], truth.rotmat, truth.betas)
        for target, j17 in zip(joints, (p17, t17)):
            target.extend(j17[:, J14] - j17[:, :1])
        vertices[0].extend(predicted)
        vertices[1].extend(true)
        vertices[2].extend(posed(neutral, truth.rotmat, truth.betas)[0])
    assert metrics['Bilevel/mpjpe_mm'] == pytest.approx(mean_distance(*joints), rel=1e-4)
    assert metrics['Bilevel/pa_mpjpe_mm'] == pytest.approx(
        mean_distance(aligned(*joints), joints[1]), rel=1e-4
    )
    roots = [
        np.concatenate(
            [
                posed(body_for(own, truth, side), *pose)[1][:, :1]
                for (done, truth), pose in zip(pairs, side_poses(pairs, side))
            ]
        )
        for side in (0, 1)
    ]
    moved = [np.array(vertices[side]) - roots[side] for side in (0, 1)]
    assert metrics['Bilevel/pve_mm'] == pytest.approx(mean_distance(*moved), rel=1e-4)
    if protocol == 'boa_ps':
        assert metrics['Bilevel/pve_boa_mm'] == pytest.approx(
            mean_distance(vertices[0], vertices[1]), rel=1e-4
        )
        assert metrics['Bilevel/pve_dynaboa_mm'] == pytest.approx(
            mean_distance(vertices[0], vertices[2]), rel=1e-4
        )
        values = {
            round(metrics[f'Bilevel/{key}'], 3)
            for key in ('pve_mm', 'pve_boa_mm', 'pve_dynaboa_mm')
        }
        assert len(values) == 3
    report = json.loads((tmp_path / 'metrics.json').read_text())
    assert report['protocol']['name'] == protocol and report['protocol']['frames'] == 35515


def side_poses(pairs, side):
    return [
        (done.after.rotmat, done.after.betas) if side == 0 else (truth.rotmat, truth.betas)
        for done, truth in pairs
    ]


def body_for(own, truth, side):
    return own['neutral' if side == 0 else truth.gender]


def test_another_number_of_frames_is_told(data, neutral, capsys):
    score('spin_3dpw', neutral, [(result('a', 1, 5), truth_of(7, 5, 'male'))], bodies=files(data))
    assert 'over 35515 frames, these over 5' in capsys.readouterr().out.replace('\n', ' ')


def test_frames_without_aligned_camera_are_left_out(data, neutral):
    valid = torch.tensor([True, False, True, True])
    done, truth = result('a', 1, 4), truth_of(7, 4, 'male', valid=valid)
    some = score('boa_ps', neutral, [(done, truth)], bodies=files(data))
    done = dataclasses.replace(
        done,
        before=done.before[valid],
        after=done.after[valid],
        boxes=done.boxes[valid.numpy()],
        keypoints2d=done.keypoints2d[valid.numpy()],
    )
    alone = GroundTruth(truth.rotmat[valid], truth.betas[valid], gender='male')
    whole = score('boa_ps', neutral, [(done, alone)], bodies=files(data))
    for key in ('mpjpe_mm', 'pa_mpjpe_mm', 'pve_mm', 'pve_dynaboa_mm'):
        assert some[f'Bilevel/{key}'] == pytest.approx(whole[f'Bilevel/{key}'])
    assert some['unscored_frames'] == 1


def test_boa_ph_is_neutral(neutral):
    done, truth = result('a', 1, 4), truth_of(7, 4)
    metrics = score('boa_ph', neutral, [(done, truth)])
    (_, p17), (_, t17) = (
        posed(neutral, done.after.rotmat, done.after.betas),
        posed(neutral, truth.rotmat, truth.betas),
    )
    assert metrics['Bilevel/mpjpe_mm'] == pytest.approx(
        mean_distance(p17[:, J14] - p17[:, :1], t17[:, J14] - t17[:, :1]), rel=1e-4
    )
    with pytest.raises(InputError, match='neutral bodies, but the ground truth is male'):
        score('boa_ph', neutral, [(done, truth_of(7, 4, 'male'))])


def test_missing_bodies(data, neutral, tmp_path):
    with pytest.raises(
        InputError,
        match='(?s)SMPL_MALE.pkl and .*SMPL_FEMALE.pkl: no such body file.*smpl.is.tue.mpg.de',
    ):
        MeshEvaluator(
            'boa_ps',
            bodies=dict(
                male=str(tmp_path / 'SMPL_MALE.pkl'), female=str(tmp_path / 'SMPL_FEMALE.pkl')
            ),
        )
    with pytest.raises(InputError, match='needs male=... and female=...'):
        MeshEvaluator('boa_ps', bodies=dict(male=files(data)['male']))
    with pytest.raises(InputError, match='give the evaluator bodies=.*smpl.is.tue.mpg.de'):
        score('spin_3dpw', neutral, [(result('a', 1, 3), truth_of(7, 3, 'male'))])
    with pytest.raises(InputError, match='use bodies of one mesh'):
        score(
            'spin_3dpw',
            BodyModel('open'),
            [(result('a', 1, 3), truth_of(7, 3, 'male'))],
            bodies=files(data),
        )
    # Protocols that pose the neutral body alone read no other.
    MeshEvaluator('vibe_3dpw', bodies=dict(male='none', female='none'))


# VIBE


def vibe_by_hand(body, pairs):
    """Traits (a) to (d) of VIBE's evaluator, in the order of its code."""
    predicted, true, meshes = [], [], []
    for done, truth in pairs:
        for start in range(0, len(done.after.rotmat) - 15, 16):
            chunk = slice(start, start + 16)
            vertices, p17 = posed(body, done.after.rotmat[chunk], done.after.betas[chunk])
            predicted.extend(p17[:, J14])
            true.extend(truth.joints3d[chunk].numpy().astype(np.float16).astype(np.float64))
            theta = Rotation.from_matrix(
                truth.rotmat[chunk].double().numpy().reshape(-1, 3, 3)
            ).as_rotvec()
            theta = theta.astype(np.float16).astype(np.float64)
            pose = Rotation.from_rotvec(theta).as_matrix().reshape(16, 24, 3, 3)
            betas = truth.betas[chunk].numpy().astype(np.float16).astype(np.float64)
            meshes.append(mean_distance(vertices, posed(body, pose, betas)[0]))
    predicted, true = np.array(predicted), np.array(true)
    predicted = predicted - (predicted[:, [2]] + predicted[:, [3]]) / 2
    true = true - (true[:, [2]] + true[:, [3]]) / 2
    accel, accel_pred = [], []
    for t in range(1, len(true) - 1):
        ours, theirs = (x[t - 1] - 2 * x[t] + x[t + 1] for x in (predicted, true))
        accel.append(1000 * np.mean([np.linalg.norm(a - b) for a, b in zip(ours, theirs)]))
        accel_pred.append(1000 * np.mean([np.linalg.norm(a) for a in ours]))
    return dict(
        mpjpe_mm=mean_distance(predicted, true),
        pa_mpjpe_mm=mean_distance(aligned(predicted, true), true),
        pve_mm=np.mean(meshes),
        accel_mm=np.mean(accel),
        accel_pred_mm=np.mean(accel_pred),
    ), len(true)


def vibe_pairs(neutral):
    pairs = []
    for name, seed, frames in (('a', 1, 35), ('b', 2, 16), ('c', 3, 9), ('d', 4, 33)):
        truth = truth_of(seed + 20, frames)
        joints = neutral.joints(truth.rotmat, truth.betas, 'lsp14')
        joints = joints + torch.tensor([3.0, -1, 7]) + 0.02 * torch.arange(frames)[:, None, None]
        valid = torch.arange(frames) != 3  # VIBE scores it all the same
        pairs.append(
            (
                result(name, seed, frames),
                GroundTruth(
                    truth.rotmat, truth.betas, joints3d=joints, skeleton='lsp14', valid=valid
                ),
            )
        )
    return pairs


def test_vibe(neutral):
    pairs = vibe_pairs(neutral)
    metrics = score('vibe_3dpw', neutral, pairs)
    wanted, frames = vibe_by_hand(neutral, pairs)
    for key, value in wanted.items():
        assert metrics[f'Bilevel/{key}'] == pytest.approx(value, rel=2e-4), key
    assert frames == 80 and metrics['frames'] - metrics['unscored_frames'] == 80


def test_vibe_rounds_what_moves_far_away(neutral):
    """The truth itself as prediction: all that is left is the rounding."""
    pairs = vibe_pairs(neutral)
    pairs = [
        (dataclasses.replace(done, after=predicted(truth.rotmat, truth.betas)), truth)
        for done, truth in pairs
    ]
    metrics = score('vibe_3dpw', neutral, pairs)
    wanted, _ = vibe_by_hand(neutral, pairs)
    assert 0.3 < metrics['Bilevel/mpjpe_mm'] < 4 and 1 < metrics['Bilevel/accel_mm'] < 10
    # The grid of float16 is coarser than float32's noise, but a point near its middle may fall to either side.
    assert metrics['Bilevel/accel_mm'] == pytest.approx(wanted['accel_mm'], rel=1e-2)
    assert metrics['Bilevel/pve_mm'] > 0.05 and metrics['Bilevel/pve_mm'] == pytest.approx(
        wanted['pve_mm'], rel=2e-2
    )


def test_vibe_on_bodies_alone(neutral):
    """Raw 3DPW has no joints: those of the neutral body with its translation are rounded."""
    truth = truth_of(7, 16, 'male', translation=torch.full((16, 3), 4.0))
    joints = neutral.joints(truth.rotmat, truth.betas, 'lsp14') + 4
    measured = GroundTruth(truth.rotmat, truth.betas, joints3d=joints, skeleton='lsp14')
    done = dataclasses.replace(result('a', 1, 16), after=predicted(truth.rotmat, truth.betas))
    rows = [score('vibe_3dpw', neutral, [(done, t)]) for t in (truth, measured)]
    for key in ('mpjpe_mm', 'pa_mpjpe_mm', 'pve_mm', 'accel_mm'):
        assert rows[0][f'Bilevel/{key}'] == pytest.approx(rows[1][f'Bilevel/{key}'], rel=1e-2)
    assert rows[0]['Bilevel/mpjpe_mm'] > 0.3


# Measured joints


def mocap(seed, frames):
    """SPIN's S: root-centred in its place 14, nonsense where nothing is measured."""
    rng = np.random.default_rng(seed)
    S = rng.normal(0, 0.4, (frames, 24, 3))
    S -= S[:, 14:15]
    S[:, [13, 15, 19, 20, 21, 22, 23]] = 50
    return S


@pytest.mark.parametrize(
    'protocol, count', [('h36m_p1', 14), ('h36m_p2', 14), ('mpi_inf_3dhp', 17)]
)
def test_measured_joints(neutral, protocol, count):
    done, S = result('a', 1, 6), mocap(3, 6)
    truth = GroundTruth(joints3d=torch.tensor(S).float(), skeleton='spin24_mocap')
    metrics = score(protocol, neutral, [(done, truth)])
    _, p17 = posed(neutral, done.after.rotmat, done.after.betas)
    predicted, true = (
        (p17[:, J17] - p17[:, :1])[:, :count],
        S[:, GT24_TO_17][:, :count],
    )  # SPIN shifts S by nothing
    assert metrics['Bilevel/mpjpe_mm'] == pytest.approx(mean_distance(predicted, true), rel=1e-4)
    moved = aligned(predicted, true)
    assert metrics['Bilevel/pa_mpjpe_mm'] == pytest.approx(mean_distance(moved, true), rel=1e-4)
    assert 'Bilevel/pve_mm' not in metrics
    assert ('Bilevel/pck' in metrics) == (count == 17)


def test_pck_and_auc(neutral):
    done = result('a', 1, 6)
    _, p17 = posed(neutral, done.after.rotmat, done.after.betas)
    rng = np.random.default_rng(0)
    S = mocap(3, 6)
    S[:, GT24_TO_17] = p17[:, J17] - p17[:, :1] + rng.normal(0, 0.07, (6, 17, 3))
    S -= S[:, 14:15]
    metrics = score(
        'mpi_inf_3dhp',
        neutral,
        [(done, GroundTruth(joints3d=torch.tensor(S).float(), skeleton='spin24_mocap'))],
    )
    predicted, true = p17[:, J17] - p17[:, :1], S[:, GT24_TO_17]
    for prefix, points in (('', predicted), ('pa_', aligned(predicted, true))):
        hits = []
        for threshold in np.linspace(0, 150, 31):
            near = [
                np.linalg.norm(p - q) * 1000 < threshold
                for x, y in zip(points, true)
                for p, q in zip(x, y)
            ]
            hits.append(100 * np.mean(near))
        assert metrics[f'Bilevel/{prefix}pck'] == pytest.approx(hits[-1], abs=1e-6)
        assert metrics[f'Bilevel/{prefix}auc'] == pytest.approx(np.mean(hits), abs=0.05)
        assert 30 < hits[-1] < 100


def test_pck_is_strict():
    a, b = np.zeros((1, 2, 3)), np.array([[[0.15, 0, 0], [0.1499, 0, 0]]])
    assert pck(a, b).tolist() == [50] and pck(a, a, AUC_MM) == pytest.approx(100 * 30 / 31)


def test_measured_joints_are_needed(neutral):
    with pytest.raises(
        InputError, match='compares with true joints, the ground truth has only bodies'
    ):
        score('h36m_p1', neutral, [(result('a', 1, 3), truth_of(7, 3))])
    # Where a file has both (Human3.6M with its bodies), the measured ones count.
    truth = truth_of(7, 4)
    S = mocap(3, 4)
    both = GroundTruth(
        truth.rotmat, truth.betas, joints3d=torch.tensor(S).float(), skeleton='spin24_mocap'
    )
    joints = GroundTruth(joints3d=both.joints3d, skeleton='spin24_mocap')
    rows = [score('h36m_p2', neutral, [(result('a', 1, 4), t)]) for t in (both, joints)]
    assert rows[0]['Bilevel/mpjpe_mm'] == rows[1]['Bilevel/mpjpe_mm']


@pytest.mark.parametrize('name', ['opne', ['open'], {}, 3])
def test_a_name_that_no_protocol_has(name):
    with pytest.raises(OptionError, match='there is no evaluation protocol'):
        get_protocol(name)
