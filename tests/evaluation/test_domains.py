"""The statistics of BOA's Table 1 on files of 3DPW's official layout, against the raw files by plain algebra."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from hrtk.body_models import BodyModel
from hrtk.errors import InputError
from hrtk.evaluation.domains import domain_statistics
from hrtk.geometry.rotation import axis_angle_to_rotmat
from hrtk.testing import write_official_files

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / 'benchmarks'))
# Parents of the rows of J_regressor_h36m.npy.
PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)


def test_3dpw(tmp_path, monkeypatch):
    import domain_gaps

    monkeypatch.setenv('HRTK_CACHE', str(tmp_path / 'cache'))
    monkeypatch.chdir(tmp_path)
    write_official_files(tmp_path / 'data', frames=4)
    found = domain_gaps.main([str(ROOT / 'configs/source/spin_3dpw.py')])['spin_3dpw']
    focal, bones, distance = [], [], []
    for file in sorted(Path('data/3dpw/sequenceFiles/test').glob('*.pkl')):
        raw = pickle.loads(file.read_bytes(), encoding='latin1')
        for person, gender in enumerate(raw['genders']):
            name = {'m': 'MALE', 'f': 'FEMALE'}[gender]
            body = BodyModel(
                f'data/body_models/smpl/SMPL_{name}.pkl',
                h36m_regressor='data/spin/J_regressor_h36m.npy',
                extra_regressor='data/spin/J_regressor_extra.npy',
            )
            pose = torch.tensor(raw['poses'][person], dtype=torch.float32).view(-1, 24, 3)
            betas = torch.tensor(raw['betas'][person][:10], dtype=torch.float32)
            betas = betas.expand(len(pose), 10)
            vertices = body(axis_angle_to_rotmat(pose), betas).vertices.double().numpy()
            joints = np.einsum('jv,fvc->fjc', np.float64(body.data.J_regressor_h36m), vertices)
            joints += raw['trans'][person][:, None]  # in the world
            cameras = raw['cam_poses']
            pelvis = np.einsum('fij,fj->fi', cameras[:, :3, :3], joints[:, 0]) + cameras[:, :3, 3]
            lengths = sum(
                np.linalg.norm(joints[:, j] - joints[:, PARENTS[j]], axis=-1) for j in range(1, 17)
            )
            valid = raw['campose_valid'][person] > 0
            k = raw['cam_intrinsics']
            focal += [(k[0, 0] + k[1, 1]) / 2] * int(valid.sum())
            bones += list(lengths[valid])
            distance += list(np.linalg.norm(pelvis, axis=-1)[valid])
    assert found.frames == len(focal)
    for spread, values in ((found.focal, focal), (found.bones, bones), (found.distance, distance)):
        assert spread.mean == pytest.approx(np.mean(values), rel=1e-4)
        assert spread.deviation == pytest.approx(np.std(values), rel=1e-3, abs=1e-4)


def test_without_truth():
    with pytest.raises(InputError, match='no valid frame with ground truth'):
        domain_statistics([])
