"""AMASS npz posed again: the vertices that went in, in every world."""

from __future__ import annotations

import dataclasses
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
    body = make_body(kind, tmp_path)
    motion = dataclasses.replace(make_motion(), fps=12.0)
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
    assert float(data['mocap_framerate']) == 12 and str(data['world']) == world
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
    motion, body = dataclasses.replace(make_motion(), fps=12.0), free_body()
    smpl, smplx = to_amass(motion, body), to_amass_smplx(motion, body)
    assert (
        smplx['poses'].shape == (FRAMES, 165)
        and not smplx['poses'][:, 66:].any()
        and not smplx['betas'].any()
    )
    np.testing.assert_array_equal(smplx['poses'][:, :66], smpl['poses'][:, :66])
    for key in ('trans', 'gender', 'mocap_framerate'):
        np.testing.assert_array_equal(smplx[key], smpl[key])
    assert float(smplx['mocap_frame_rate']) == 12 and int(smplx['num_betas']) == 10
    parts = ('root_orient', 'pose_body', 'pose_jaw', 'pose_eye', 'pose_hand')
    together = np.concatenate([smplx[key] for key in parts], 1)
    np.testing.assert_array_equal(together, smplx['poses'])
    assert [smplx[key].shape[1] for key in parts] == [3, 63, 3, 6, 90]
    np.testing.assert_array_equal(smpl['pose_body'], smpl['poses'][:, 3:66])
    np.testing.assert_array_equal(smpl['root_orient'], smpl['poses'][:, :3])


@pytest.mark.parametrize('fps, rate', [(29.97, 30), (23.976, 24), (59.94, 60), (0.4, 1)])
def test_the_frame_rate_is_whole_and_a_second_stays_a_second(fps: float, rate: int) -> None:
    """An add-on takes ``int(rate)``: a turn of one radian per second must still be one."""
    motion = dataclasses.replace(make_motion(spread=0), fps=fps)
    seconds = np.arange(FRAMES) / fps
    turns = Rotation.from_rotvec(seconds[:, None] * 0.1 * [[0, 1.0, 0]]).as_matrix()
    rotmat = motion.rotmat.clone()
    rotmat[:, 18] = torch.as_tensor(turns)
    path = torch.as_tensor(seconds)[:, None] * torch.tensor([[1.0, 2, 3]])
    motion = dataclasses.replace(
        motion, rotmat=rotmat, translation=path + 5, betas=motion.betas[:1].expand(FRAMES, 10)
    )
    data = to_amass(motion, free_body(), 'camera')
    assert int(data['mocap_framerate']) == int(data['mocap_frame_rate']) == rate
    assert float(data['source_framerate']) == fps
    times = np.arange(len(data['poses'])) / int(data['mocap_framerate'])
    assert 0 <= seconds[-1] - times[-1] < 1 / rate + 1e-9
    np.testing.assert_allclose(data['poses'][:, 54:57], times[:, None] * [0, 0.1, 0], atol=1e-9)
    np.testing.assert_allclose(data['trans'], times[:, None] * [1, 2, 3] + 5, atol=1e-9)
    assert len(data['frame_ids']) == len(times) and data['frame_ids'][0] == motion.frame_ids[0]


def test_uneven_times_become_even() -> None:
    motion = make_motion()
    times = np.array([0, 1, 2, 3, 5, 7, 9]) / 10 + 3.0
    path = torch.as_tensor(times)[:, None] * torch.tensor([[0, 1.0, 0]])
    uneven = dataclasses.replace(
        motion,
        rotmat=motion.rotmat[:1].expand(FRAMES, 24, 3, 3),
        betas=motion.betas[:1].expand(FRAMES, 10),
        translation=path,
        fps=10.0,
        given_times=times,
    )
    data = to_amass(uneven, free_body(), 'camera')
    np.testing.assert_allclose(data['trans'][:, 1], 3 + np.arange(10) / 10, atol=1e-9)
    assert data['frame_ids'].tolist()[3:6] == ['cam/3.jpg', 'cam/4.jpg', 'cam/4.jpg']


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
