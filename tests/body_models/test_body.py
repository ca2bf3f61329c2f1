"""The body against loops over joints and vertices, and its joints-only path against the mesh."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch.autograd import gradcheck, gradgradcheck

sys.path.insert(0, str(Path(__file__).parents[2] / 'benchmarks'))

from literal.body import WholeMesh, pose_body  # noqa: E402

from hrtk.body_models import BodyModel  # noqa: E402
from hrtk.body_models.skeletons import ON_BODY, SKELETONS  # noqa: E402
from hrtk.structures import InputError  # noqa: E402

RNG = np.random.default_rng(0)
ROTMAT = Rotation.from_rotvec(0.6 * RNG.normal(size=(3 * 24, 3))).as_matrix().reshape(3, 24, 3, 3)
BETAS = RNG.normal(size=(3, 10))
PARENTS = (0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)


@pytest.fixture(scope='module')
def body():
    return BodyModel('open')


@pytest.fixture(scope='module')
def double():
    return BodyModel('open').double()


@pytest.fixture
def dense_files(tmp_path):
    """A body without structure, every vertex bound to every bone, with SPIN's regressors as separate files."""
    rng = np.random.default_rng(1)
    vertices = 40
    weights = rng.random((vertices, 24))
    np.savez(
        tmp_path / 'dense.npz',
        v_template=rng.normal(size=(vertices, 3)),
        shapedirs=0.1 * rng.normal(size=(vertices, 3, 10)),
        posedirs=0.1 * rng.normal(size=(vertices, 3, 207)),
        weights=weights / weights.sum(1, keepdims=True),
        J_regressor=rng.random((24, vertices)) / 20,
        f=rng.integers(0, vertices, (50, 3)),
        kintree_table=np.array([PARENTS, range(24)]),
    )
    np.save(tmp_path / 'extra.npy', rng.normal(size=(9, vertices)))
    np.save(tmp_path / 'h36m.npy', rng.normal(size=(17, vertices)))
    return tmp_path


def tensors(dtype=torch.float64):
    return torch.from_numpy(ROTMAT).to(dtype), torch.from_numpy(BETAS).to(dtype)


def test_mesh_and_joints_equal_loops(double):
    out = double(*tensors())
    for i in range(2):
        vertices, joints = pose_body(double.data, ROTMAT[i], BETAS[i])
        # The rest joints are kept in float32, hence 1e-7.
        np.testing.assert_allclose(out.vertices[i].numpy(), vertices, atol=3e-7)
        np.testing.assert_allclose(out.joints[i].numpy(), joints, atol=3e-7)


def test_a_dense_body_equals_loops_too(dense_files):
    body = BodyModel(dense_files / 'dense.npz').double()
    vertices, joints = pose_body(body.data, ROTMAT[0], BETAS[0])
    out = body(*tensors())
    np.testing.assert_allclose(out.vertices[0].numpy(), vertices, atol=3e-6)
    np.testing.assert_allclose(out.joints[0].numpy(), joints, atol=3e-6)


def test_literal_mesh_of_the_benchmarks_is_the_same_body(double):
    vertices, joints = WholeMesh(double.data).double()(*tensors())
    np.testing.assert_allclose(
        vertices[1].numpy(), pose_body(double.data, ROTMAT[1], BETAS[1])[0], atol=1e-12
    )
    np.testing.assert_allclose(
        joints.numpy(), double.joints(*tensors(), 'spin24').numpy(), atol=3e-7
    )


@pytest.mark.parametrize('skeleton', sorted(set(SKELETONS) - set(ON_BODY)))
def test_joints_path_equals_the_mesh(body, double, skeleton):
    for model, dtype, tolerance in ((double, torch.float64, 1e-10), (body, torch.float32, 1e-6)):
        rotmat, betas = tensors(dtype)
        joints = model.joints(rotmat, betas, skeleton)
        assert joints.dtype == dtype and joints.shape == (3, len(SKELETONS[skeleton]), 3)
        assert (
            joints - model.joints_from_mesh(model(rotmat, betas), skeleton)
        ).abs().max() < tolerance


def test_joints_path_equals_the_mesh_of_a_dense_body(dense_files):
    body = BodyModel(
        dense_files / 'dense.npz', dense_files / 'extra.npy', dense_files / 'h36m.npy'
    ).double()
    for skeleton in ('smpl24', 'extra9', 'h36m17', 'lsp14'):
        joints = body.joints(*tensors(), skeleton)
        rows = {'extra9': 'extra.npy', 'h36m17': 'h36m.npy'}.get(skeleton)
        if rows is not None:
            expected = (
                np.load(dense_files / rows).astype(np.float32).astype(float)
                @ body(*tensors()).vertices.numpy()
            )
            np.testing.assert_allclose(joints.numpy(), expected, atol=1e-10)
        torch.testing.assert_close(
            joints, body.joints_from_mesh(body(*tensors()), skeleton), rtol=0, atol=1e-10
        )


def test_rest_pose_is_the_template(body):
    out = body(torch.eye(3).expand(1, 24, 3, 3), torch.zeros(1, 10))
    np.testing.assert_allclose(out.vertices[0].numpy(), body.data.v_template, atol=1e-6)
    np.testing.assert_allclose(
        out.joints[0].numpy(), body.data.J_regressor @ body.data.v_template, atol=1e-6
    )


def test_a_turn_of_the_root_turns_everything_about_the_pelvis(double):
    rotmat, betas = tensors()
    turn = torch.from_numpy(Rotation.from_euler('xyz', [0.3, 1.0, -2.0]).as_matrix())
    turned = rotmat.clone()
    turned[:, 0] = turn @ rotmat[:, 0]
    before = double(rotmat, betas)
    after = double(turned, betas)
    pelvis = before.joints[:, :1]
    torch.testing.assert_close(after.vertices, (before.vertices - pelvis) @ turn.T + pelvis)


def test_gradients(double):
    rotmat = torch.from_numpy(ROTMAT[:1]).requires_grad_()
    betas = torch.from_numpy(BETAS[:1]).requires_grad_()
    for function in (
        lambda r, b: double.joints(r, b, 'spin24'),
        lambda r, b: double(r, b).vertices[:, ::200],
    ):
        assert gradcheck(function, (rotmat, betas), fast_mode=True)
        assert gradgradcheck(function, (rotmat, betas), fast_mode=True)


def test_second_order_is_finite_in_the_rest_pose(body):
    rotmat = torch.eye(3).repeat(1, 24, 1, 1).requires_grad_()
    betas = torch.zeros(1, 10, requires_grad=True)
    loss = body.joints(rotmat, betas).square().sum()
    first = torch.autograd.grad(loss, (rotmat, betas), create_graph=True)
    second = torch.autograd.grad(sum(g.square().sum() for g in first), (rotmat, betas))
    assert all(torch.isfinite(g).all() and g.abs().sum() > 0 for g in (*first, *second))


def test_a_change_of_dtype_or_device_refreshes_the_plans():
    body = BodyModel('open')
    single = body.joints(*tensors(torch.float32), 'spin49')
    body.double()
    fine = body.joints(*tensors(), 'spin49')
    assert fine.dtype == torch.float64
    assert (fine - body.joints_from_mesh(body(*tensors()), 'spin49')).abs().max() < 1e-10
    body.float()
    assert torch.equal(body.joints(*tensors(torch.float32), 'spin49'), single)
    body.to('meta')
    moved = body.joints(*(x.to('meta') for x in tensors(torch.float32)), 'spin49')
    assert moved.device.type == 'meta' and moved.shape == (3, 49, 3)


def test_a_deep_copy_is_independent(body):
    expected = body.joints(*tensors(torch.float32), 'spin24')
    other = copy.deepcopy(body)
    with torch.no_grad():
        other.template += 1
    other.double()
    assert other.joints(*tensors(), 'spin24').dtype == torch.float64
    assert torch.equal(body.joints(*tensors(torch.float32), 'spin24'), expected)


def test_a_checkpoint_carries_no_body(body):
    assert body.state_dict() == {}


def test_joints_that_the_files_lack(dense_files):
    body = BodyModel(dense_files / 'dense.npz')
    with pytest.raises(InputError, match='dense.npz.*extra9.*J_regressor_extra.*extra_regressor'):
        body.joints(*tensors(torch.float32), 'extra9')
    with pytest.raises(InputError, match='h36m_regressor'):
        body.joints(*tensors(torch.float32), 'lsp14')
    with pytest.raises(InputError, match="dense.npz.*no vertex.*'nose'"):
        body.joints(*tensors(torch.float32), 'coco17')
    with pytest.raises(InputError, match='skeleton'):
        body.joints(*tensors(torch.float32), 'coco')
