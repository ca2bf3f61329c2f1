"""AMASS npz posed again: the vertices that went in, in every world."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from export_parts import FRAMES, TURN, expected, free_body, make_body, make_motion
from scipy.spatial.transform import Rotation

from hrtk.visualization.export import to_amass, to_amass_smplx
from hrtk.visualization.export.npz_amass import gender


@pytest.mark.parametrize('kind', ['open', 'smpl'])
@pytest.mark.parametrize('world', TURN)
def test_posed_again(kind: str, world: str, tmp_path) -> None:
    body, motion = make_body(kind, tmp_path), make_motion()
    file = io.BytesIO()
    np.savez(file, **to_amass(motion, body, world))
    file.seek(0)
    data = np.load(file, allow_pickle=False)
    assert (
        data['poses'].shape == (FRAMES, 72)
        and data['trans'].shape == (FRAMES, 3)
        and data['betas'].shape == (10,)
    )
    rotmat = (
        Rotation.from_rotvec(data['poses'].reshape(-1, 3)).as_matrix().reshape(FRAMES, 24, 3, 3)
    )
    with torch.no_grad():
        output = body(torch.as_tensor(rotmat), torch.as_tensor(np.tile(data['betas'], (FRAMES, 1))))
    trans = data['trans'][:, None]
    vertices, joints = expected(motion, body, world, mean_shape=True)
    np.testing.assert_allclose(output.vertices.numpy() + trans, vertices, atol=1e-5)
    np.testing.assert_allclose(output.joints.numpy() + trans, joints, atol=1e-5)
    assert float(data['mocap_framerate']) == 12.5 and str(data['world']) == world
    assert str(data['gender']) == ('neutral' if kind == 'open' else 'female')
    assert data['frame_ids'].tolist() == list(motion.frame_ids)


def test_a_standing_person_is_upright_in_amass() -> None:
    motion, body = (
        make_motion(spread=0),
        free_body(),
    )  # pelvis turned from y up to y down, nothing else
    data = to_amass(motion, body)
    upright = Rotation.from_rotvec(data['poses'][0, :3]).apply([[0, 1, 0], [0, 0, 1]])  # head, face
    np.testing.assert_allclose(upright, [[0, 0, 1], [0, -1, 0]], atol=1e-9)


def test_smplx_has_its_55_joints() -> None:
    motion, body = make_motion(), free_body()
    smpl, smplx = to_amass(motion, body), to_amass_smplx(motion, body)
    assert (
        smplx['poses'].shape == (FRAMES, 165)
        and not smplx['poses'][:, 66:].any()
        and not smplx['betas'].any()
    )
    np.testing.assert_array_equal(smplx['poses'][:, :66], smpl['poses'][:, :66])
    for key in ('trans', 'gender', 'mocap_framerate'):
        np.testing.assert_array_equal(smplx[key], smpl[key])
    assert int(smplx['mocap_frame_rate']) == 12


@pytest.mark.parametrize(
    'name, expected_gender',
    [
        ('SMPL_NEUTRAL', 'neutral'),
        ('SMPL_FEMALE', 'female'),
        ('SMPL_MALE', 'male'),
        ('open', 'neutral'),
        ('basicModel_f_lbs_10_207_0_v1.0.0', 'female'),
        ('basicmodel_m_lbs_10_207_0_v1.1.0', 'male'),
        ('basicModel_neutral_lbs_10_207_0_v1.0.0', 'neutral'),
    ],
)
def test_gender_of_files(name: str, expected_gender: str) -> None:
    assert gender(name) == expected_gender
