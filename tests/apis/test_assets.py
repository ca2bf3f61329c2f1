"""Licensed files: what is there is checked, and configs run on files of the official layouts."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from hrtk.apis import adapt, build_model
from hrtk.apis.asset_list import ASSETS
from hrtk.apis.assets import ABSENT, PRESENT, WRONG, assets_of, missing_assets, status
from hrtk.errors import InputError
from hrtk.registry import DATASETS
from hrtk.testing import write_checkpoint, write_lifting_files, write_official_files

ROOT = Path(__file__).parents[2]
# Databases of VIBE that `write_official_files` writes.
WRITTEN = {'vibe/3dpw_test_db.pt', 'vibe/3dpw_val_db.pt', 'vibe/mpii3d_train_db.pt'}
TOPOLOGY = ('imagenet', 'surreal', 'spin/mpii', 'mpii', '3dpw_masks', 'topology')
LIFTING = ('h36m/data_', '3dhp/', 'amass/')
SETS = {
    'threedpw': 3,
    'threedpw_dynaboa': 3,
    'threedpw_spin': 3,
    'threedpw_boa_ps': 3,
    'threedpw_ph': 3,
    'h36m_p1': 3,
    'h36m_p2': 2,
    'mpi_inf_3dhp': 2,
    'threedpw_vibe': 3,
}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('HRTK_CACHE', str(tmp_path_factory.mktemp('cache')))
        return write_official_files(tmp_path_factory.mktemp('assets') / 'data', frames=3, size=64)


@pytest.fixture
def beside(data, monkeypatch):
    monkeypatch.chdir(data.parent)
    return data


def by_path(path):
    return next(asset for asset in ASSETS if asset.path == path)


def test_every_file_that_is_written_passes(data):
    states = {asset.path: status(asset, data)[0] for asset in ASSETS}
    networks = {
        path for path in states if path.endswith(('.pt', '.tar')) and not path.endswith('_db.pt')
    }
    # The other databases of VIBE's training are written, and checked, in test_train_vibe.py.
    training = {path for path in states if path.startswith('vibe/') and '_db.' in path}
    # Those of silhouette topology in test_topology_tables.py.
    topology = {path for path in states if path.startswith(TOPOLOGY)}
    lifting = {path for path in states if path.startswith(LIFTING)}
    unwritten = networks | topology | lifting | training - WRITTEN
    assert {path for path, state in states.items() if state == ABSENT} == unwritten
    assert {state for path, state in states.items() if path not in unwritten} == {PRESENT}
    assert status(by_path('spin/3dpw_test.npz'), data)[1] == '8 rows (published numbers: 35515)'
    assert (
        status(by_path('3dpw/sequenceFiles/test'), data)[1]
        == '2 sequences, 3 people, 8 valid frames'
    )


def test_files_of_lifting(tmp_path):
    write_lifting_files(tmp_path, frames=10)
    assets = [asset for asset in ASSETS if asset.path.startswith(LIFTING)]
    assert len(assets) == 6
    for asset in assets:
        assert status(asset, tmp_path) == (PRESENT, asset.check(tmp_path / asset.path))
    (tmp_path / '3dhp/data_test_3dhp.npz').rename(tmp_path / 'h36m/data_3d_h36m.npz')
    state, told = status(by_path('h36m/data_3d_h36m.npz'), tmp_path)
    assert state == WRONG and 'positions_3d' in told
    # A config of images of the same data set does not need them.
    named = [asset.path for asset in assets_of(dict(image_root='data/h36m'))]
    assert named == ['h36m/images']


def test_wrong_files_are_seen(tmp_path):
    files = {
        'spin/J_regressor_h36m.npy': lambda p: np.save(p, np.zeros((17, 100))),
        'body_models/smpl/SMPL_MALE.pkl': lambda p: p.write_bytes(b'<html>'),
        'spin/3dpw_test.npz': lambda p: np.savez(p, imgname=np.array(['a'])),
        'boa/basemodel.pt': lambda p: p.write_bytes(b'nothing'),
    }
    for path, write in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        write(tmp_path / path)
        state, told = status(by_path(path), tmp_path)
        assert state == WRONG and Path(path).name in told
    (tmp_path / 'boa/3dpw_vid').mkdir()
    assert 'no .npz' in status(by_path('boa/3dpw_vid'), tmp_path)[1]


@pytest.mark.parametrize(
    'path, name, wrapper, prefix',
    [
        ('mpsnet/mpsnet_model_best.pth.tar', 'mpsnet', 'gen_state_dict', ''),
        ('boa/basemodel.pt', 'boa', 'model', 'module.'),
    ],
)
def test_checkpoints(path, name, wrapper, prefix, tmp_path):
    write_checkpoint(build_model(name), tmp_path / path, wrapper, prefix)
    assert status(by_path(path), tmp_path)[0] == PRESENT
    other = 'tcmr/tcmr_table6_3dpw_test.pth.tar'
    (tmp_path / other).parent.mkdir(parents=True)
    (tmp_path / path).rename(tmp_path / other)
    assert status(by_path(other), tmp_path)[0] == WRONG


def test_missing_of_a_config(beside, monkeypatch, tmp_path):
    smpl = 'data/body_models/smpl'
    cfg = dict(
        estimator=dict(
            weights='data/spin/model_checkpoint.pt', body=dict(file=f'{smpl}/SMPL_NEUTRAL.pkl')
        ),
        dataset=dict(root='data/3dpw'),
        evaluator=[dict(bodies=dict(male=f'{smpl}/SMPL_MALE.pkl'))],
    )
    assert [asset.path for asset in missing_assets(cfg)] == ['spin/model_checkpoint.pt']
    monkeypatch.chdir(tmp_path)
    assert [asset.path for asset in missing_assets(Config(cfg))] == [
        'body_models/smpl/SMPL_NEUTRAL.pkl',
        'body_models/smpl/SMPL_MALE.pkl',
        'spin/model_checkpoint.pt',
        '3dpw/sequenceFiles/test',
        '3dpw/imageFiles',
    ]


def test_commands(beside, tmp_path, monkeypatch, capsys):
    def run(name, *args):
        monkeypatch.setattr(sys, 'argv', [name, *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(ROOT / 'tools' / name), run_name='__main__')
        return ended.value.code, capsys.readouterr()

    code, told = run('check_assets.py', '--quick')
    assert code == 0 and all(asset.path in told.out for asset in ASSETS)
    wrong = tmp_path / 'data/3dpw/sequenceFiles/test/a_sequence_with_a_long_name_00.pkl'
    wrong.parent.mkdir(parents=True)
    wrong.write_bytes(b'nothing')
    code, told = run('check_assets.py', '--root', tmp_path / 'data')
    assert code == 2 and f'wrong: {wrong}' in told.out  # in one line
    # Whatever a published config names below data, itself or in a folder that is listed.
    named = set()
    for path in (ROOT / 'configs').glob('**/*.py'):
        named |= set(re.findall(r"'data/([^']*)'", path.read_text()))
    assert len(named) > 25 and {'spin/gmm_08.pkl', 'foreground/reducer.pt'} <= named
    for name in named:
        parents = [name, *map(str, Path(name).parents)][:-1]
        assert any(part in told.out for part in parents), name
    code, told = run('prepare_dataset.py', '3dpw', 'data/3dpw', tmp_path / 'x.npz')
    assert code == 0 and '8 rows' in told.out
    code, told = run('prepare_dataset.py', 'vibe', 'data/none.pt', tmp_path / 'y.npz')
    assert code == 2 and 'data/none.pt: there is no such file' in told.err
    (tmp_path / 'data/boa').mkdir(parents=True)
    (tmp_path / 'data/boa/basemodel.pt').write_bytes(b'nothing')
    assert run('check_assets.py', '--root', tmp_path / 'data')[0] == 2


@pytest.mark.parametrize('name', SETS)
def test_official_path(beside, name, tmp_path):
    """A small network adapts to each data set through its config, and is scored under its protocol."""
    part = Config.fromfile(ROOT / f'configs/_base_/datasets/{name}.py')
    assert len(DATASETS.build(part.dataset)) == SETS[name]
    body = dict(
        type='BodyModel',
        file='data/body_models/smpl/SMPL_NEUTRAL.pkl',
        extra_regressor='data/spin/J_regressor_extra.npy',
        h36m_regressor='data/spin/J_regressor_h36m.npy',
    )
    estimator = dict(
        type='HMR',
        backbone=dict(type='ResNet', depth=18, width=4),
        head=dict(type='IterativeRegressor', hidden=16),
        resolution=32,
        body=body,
    )
    weights = dict(keypoints2d=10.0, shape_prior=2e-6, pose_prior=1e-4, source=0.0)
    adapter = dict(
        type='Bilevel',
        lr=1e-4,
        order='first',
        interval=1,
        weights=weights,
        pose_prior=dict(type='GMMPosePrior', file='data/spin/gmm_08.pkl'),
    )
    if part.dataset.get('keypoints') == 'none':
        with pytest.raises(InputError, match='adaptation needs 2D keypoints'):
            adapt(
                dict(
                    estimator=estimator,
                    dataset=part.dataset,
                    adapter=adapter,
                    evaluator=part.evaluator,
                    outputs=None,
                    work_dir=str(tmp_path),
                )
            )
        adapter = dict(type='Source')
    metrics = adapt(
        dict(
            estimator=estimator,
            dataset=part.dataset,
            adapter=adapter,
            evaluator=part.evaluator,
            outputs=None,
            work_dir=str(tmp_path),
        )
    )
    row = adapter['type']
    if name == 'threedpw_vibe':  # no track has the 16 frames of a chunk
        assert (
            metrics['unscored_frames'] == metrics['frames'] == 9
            and 'Bilevel/mpjpe_mm' not in metrics
        )
        assert metrics['Bilevel/reprojection_px'] > 0
        return
    assert 10 < metrics['Source/mpjpe_mm'] < 2000 and 10 < metrics[f'{row}/pa_mpjpe_mm'] < 1000
    assert metrics[f'{row}/skipped_updates'] == 0
    if row == 'Bilevel':
        assert metrics['Bilevel/mpjpe_mm'] != metrics['Source/mpjpe_mm']
