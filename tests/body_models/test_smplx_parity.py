"""A body of SMPL's size against the smplx package, which is the reference implementation of SMPL.

The licensed files cannot be had here, so the arrays are random, in the scale and sparsity of the real ones.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hrtk.body_models import BodyModel, load_body_file

smplx = pytest.importorskip('smplx', reason='smplx is in requirements/tests')

VERTICES = 6890
BATCH = 3
PARENTS = (2**32 - 1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
# SPIN's joint map (constants.py): its 49 joints out of 24 joints, smplx's 21 vertices and 9 extra rows.
SPIN49 = [
    24,
    12,
    17,
    19,
    21,
    16,
    18,
    20,
    0,
    2,
    5,
    8,
    1,
    4,
    7,
    25,
    26,
    27,
    28,
    29,
    30,
    31,
    32,
    33,
    34,
    8,
    5,
    45,
    46,
    4,
    7,
    21,
    19,
    17,
    16,
    18,
    20,
    47,
    48,
    49,
    50,
    51,
    52,
    53,
    24,
    26,
    25,
    28,
    27,
]


def sparse_rows(rng, rows, columns, filled):
    """Non-negative rows that sum to one, as regressors and skinning weights have."""
    matrix = np.zeros((rows, columns))
    for row in matrix:
        row[rng.choice(columns, filled, replace=False)] = rng.dirichlet(np.ones(filled))
    return matrix


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp('smpl')
    np.savez(
        folder / 'SMPL_NEUTRAL.npz',
        v_template=rng.uniform(-1, 1, (VERTICES, 3)),
        shapedirs=0.03 * rng.standard_normal((VERTICES, 3, 10)),
        posedirs=0.01 * rng.standard_normal((VERTICES, 3, 207), dtype=np.float32),
        weights=sparse_rows(rng, VERTICES, 24, 4),
        J_regressor=sparse_rows(rng, 24, VERTICES, 30),
        f=rng.integers(0, VERTICES, (100, 3)).astype(np.uint32),
        kintree_table=np.array([PARENTS, range(24)], dtype=np.uint32),
    )
    np.save(folder / 'J_regressor_extra.npy', sparse_rows(rng, 9, VERTICES, 20))
    np.save(folder / 'J_regressor_h36m.npy', sparse_rows(rng, 17, VERTICES, 20))
    return folder


@pytest.fixture(scope='module')
def reference(files):
    """What smplx computes, in float64, from axis-angle poses and its own Rodrigues formula."""
    rng = np.random.default_rng(1)
    rotvec = 0.5 * rng.standard_normal((BATCH, 24, 3))
    betas = rng.standard_normal((BATCH, 10))
    data = load_body_file(files / 'SMPL_NEUTRAL.npz')
    model = smplx.SMPL(
        '', data_struct=smplx.utils.Struct(**data), dtype=torch.float64, create_transl=False
    )
    pose = torch.from_numpy(rotvec)
    with torch.no_grad():
        out = model(
            betas=torch.from_numpy(betas),
            global_orient=pose[:, 0],
            body_pose=pose[:, 1:].flatten(1),
        )
    rotmat = Rotation.from_rotvec(rotvec.reshape(-1, 3)).as_matrix().reshape(BATCH, 24, 3, 3)
    return (
        torch.from_numpy(rotmat),
        torch.from_numpy(betas),
        out.vertices.numpy(),
        out.joints.numpy(),
    )


@pytest.fixture(scope='module')
def body(files):
    return BodyModel(
        files / 'SMPL_NEUTRAL.npz', files / 'J_regressor_extra.npy', files / 'J_regressor_h36m.npy'
    )


@pytest.mark.parametrize('dtype, tolerance', [(torch.float64, 1e-6), (torch.float32, 1e-5)])
def test_mesh_and_joints(body, reference, dtype, tolerance):
    rotmat, betas, vertices, joints = reference
    with torch.no_grad():
        out = body.to(dtype)(rotmat.to(dtype), betas.to(dtype))
    np.testing.assert_allclose(out.vertices, vertices, rtol=0, atol=tolerance)
    np.testing.assert_allclose(out.joints, joints[:, :24], rtol=0, atol=tolerance)


@pytest.mark.parametrize('dtype, tolerance', [(torch.float64, 1e-6), (torch.float32, 1e-5)])
def test_the_joints_path_gives_spins_49_joints(body, reference, files, dtype, tolerance):
    rotmat, betas, vertices, joints = reference
    extra = np.load(files / 'J_regressor_extra.npy') @ vertices
    expected = np.concatenate([joints, extra], axis=1)[:, SPIN49]
    with torch.no_grad():
        result = body.to(dtype).joints(rotmat.to(dtype), betas.to(dtype), 'spin49')
    np.testing.assert_allclose(result, expected, rtol=0, atol=tolerance)


def test_the_joints_path_gives_the_evaluation_joints(body, reference, files):
    rotmat, betas, vertices, _ = reference
    expected = np.load(files / 'J_regressor_h36m.npy') @ vertices
    with torch.no_grad():
        result = body.double().joints(rotmat, betas, 'h36m17')
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-6)


def test_gradients(body, reference, files):
    """Pose and shape gradients of the joints path are those of smplx through the whole mesh."""
    pose = reference[0][:1].clone().requires_grad_()
    shape = reference[1][:1].clone().requires_grad_()
    model = smplx.SMPL(
        '',
        data_struct=smplx.utils.Struct(**load_body_file(files / 'SMPL_NEUTRAL.npz')),
        dtype=torch.float64,
        create_transl=False,
    )
    out = model(betas=shape, global_orient=pose[:, :1], body_pose=pose[:, 1:], pose2rot=False)
    weight = torch.from_numpy(np.random.default_rng(2).standard_normal((1, 25, 3)))
    # Only the 25 of OpenPose: the others need SPIN's extra rows, which smplx does not have.
    expected = torch.autograd.grad((out.joints[:, SPIN49[:25]] * weight).sum(), (pose, shape))
    joints = body.double().joints(pose, shape, 'spin49')
    result = torch.autograd.grad((joints[:, :25] * weight).sum(), (pose, shape))
    for a, b in zip(result, expected):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)
