"""The published configs, whole networks included, on files of the official layouts; and on a machine without any."""

from __future__ import annotations

import json
import math
import os
import pickle
import shlex
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from hrtk.apis import adapt, build_model, load_config
from hrtk.apis.assets import ASSETS, missing_assets
from hrtk.apis.config_check import obstacles_of
from hrtk.apis.tables.table import load_table
from hrtk.body_models import BodyModel
from hrtk.cli.main import main
from hrtk.geometry.rotation import axis_angle_to_rotmat
from hrtk.testing import write_checkpoint, write_official_files

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / 'configs'
CHECKPOINTS = {
    'spin': ('spin/model_checkpoint.pt', 'model', ''),
    'rsc_net': ('rsc_net/RSC-Net.pt', '', ''),
    'boa': ('boa/basemodel.pt', 'model', 'module.'),
    'mpsnet': ('mpsnet/mpsnet_model_best.pth.tar', 'gen_state_dict', ''),
    'tcmr': ('tcmr/tcmr_table6_3dpw_test.pth.tar', 'gen_state_dict', ''),
}
# Less of the data and fewer steps, nothing else.
ONE_TRACK = {'dataset.sequences': ['free_clip_01']}
SHORT = {
    **ONE_TRACK,
    'adapter.pre.epochs': 1,
    'adapter.pre.frames': 2,
    'adapter.online.max_extra': 1,
}
CASES = {
    '3dhrco/spin_mpn_3dpw': (
        'Regeneration',
        'boa_ps',
        6,
        1,
        {**SHORT, 'dataset.sequences': ['free_clip_00']},
    ),
    '3dhrco/spin_tcmr_3dpw': ('Regeneration', 'boa_ps', 3, 0, SHORT),
    '3dhrco/rsn_mpn_3dpw': ('Regeneration', 'boa_ps', 3, 0, SHORT),
    'boa/r50_3dpw_ps': ('Bilevel', 'boa_ps', 3, 0, ONE_TRACK),
    'dynaboa/r50_3dpw_ps': (
        'DynamicBilevel',
        'boa_ps',
        3,
        0,
        {**ONE_TRACK, 'adapter.max_extra': 1},
    ),
    'dynaboa/r50_3dpw_ph': ('DynamicBilevel', 'boa_ph', 3, 0, {'adapter.max_extra': 1}),
    'source/spin_3dpw': ('Source', 'boa_ps', 9, 1, {}),
    'source/rsn_3dpw': ('Source', 'boa_ps', 9, 1, {}),
}


@pytest.fixture(scope='module')
def official(tmp_path_factory):
    """A folder with ``data``: two clips, three tracks, and random weights of every published network."""
    folder = tmp_path_factory.mktemp('official')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('HRTK_CACHE', str(folder / 'cache'))
        write_official_files(folder / 'data', frames=3)
    rows = dict(np.load(folder / 'data/boa/3dpw_ph.npz'))
    np.savez(folder / 'data/boa/3dpw_ph.npz', **{key: value[-3:] for key, value in rows.items()})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for name, (path, wrapper, prefix) in CHECKPOINTS.items():
            write_checkpoint(build_model(name), folder / 'data' / path, wrapper, prefix)
    yield folder
    shutil.rmtree(folder)  # 0.7 GB


@pytest.fixture
def beside(official, monkeypatch):
    monkeypatch.chdir(official)


def run(name, work_dir):
    metrics = adapt(
        CONFIGS / f'{name}.py', cfg_options={**CASES[name][-1], 'outputs': None}, work_dir=work_dir
    )
    return metrics, json.loads((work_dir / 'metrics.json').read_text())


def mpjpe_from_files(results):
    """MPJPE of the valid frames as BOA's evaluation has it, from stored results and the raw files of 3DPW."""
    files = dict(
        extra_regressor='data/spin/J_regressor_extra.npy',
        h36m_regressor='data/spin/J_regressor_h36m.npy',
    )
    bodies = {
        gender: BodyModel(f'data/body_models/smpl/SMPL_{name}.pkl', **files)
        for gender, name in (('m', 'MALE'), ('f', 'FEMALE'), ('n', 'NEUTRAL'))
    }

    def joints(body, rotmat, betas):
        points, pelvis = (
            body.joints(rotmat, betas, skeleton).numpy() for skeleton in ('lsp14', 'h36m17')
        )
        return points - pelvis[:, :1]

    errors = []
    for file in sorted(results.glob('*.npz')):
        clip, person = file.stem.rsplit('_', 1)
        raw, result = (
            pickle.loads(
                Path(f'data/3dpw/sequenceFiles/test/{clip}.pkl').read_bytes(), encoding='latin1'
            ),
            np.load(file),
        )
        pose, betas = (
            torch.tensor(raw[key][int(person)], dtype=torch.float32) for key in ('poses', 'betas')
        )
        truth = joints(
            bodies[raw['genders'][int(person)]],
            axis_angle_to_rotmat(pose.view(-1, 24, 3)),
            betas[:10].expand(len(pose), 10),
        )
        truth = np.einsum('fij,fkj->fki', raw['cam_poses'][:, :3, :3], truth)
        found = joints(bodies['n'], torch.tensor(result['rotmat']), torch.tensor(result['betas']))
        errors.append(
            np.linalg.norm(found - truth, axis=-1)[raw['campose_valid'][int(person)] > 0].mean(-1)
        )
    return 1000 * np.concatenate(errors).mean()


@pytest.mark.parametrize('name', CASES)
def test_config(beside, name, tmp_path):
    row, protocol, frames, unscored, _ = CASES[name]
    metrics, report = run(name, tmp_path)
    assert all(math.isfinite(value) for value in metrics.values())
    assert (metrics['frames'], metrics['unscored_frames']) == (frames, unscored)
    assert report['protocol']['name'] == protocol
    assert metrics[f'{row}/skipped_updates'] == 0
    if row != 'Source':
        assert metrics[f'{row}/mpjpe_mm'] != metrics['Source/mpjpe_mm']
    if protocol == 'boa_ps':
        results = tmp_path / 'results' / report['fingerprint']
        assert metrics[f'{row}/mpjpe_mm'] == pytest.approx(mpjpe_from_files(results), rel=1e-4)
    if name.startswith(('3dhrco/spin_mpn', 'boa')):
        before = {
            path: path.stat().st_mtime_ns
            for path in tmp_path.glob('results/*/*')
            if path.suffix != '.json'
        }
        again, _ = run(name, tmp_path)
        assert again == metrics  # the times, too
        assert before == {path: path.stat().st_mtime_ns for path in before}


def recipe_of_exemplars():
    """The commands of the section "Human3.6M" of DynaBOA's page, each as a list of words."""
    page = (ROOT / 'docs/en/adapters/dynamic_bilevel.md').read_text(encoding='utf-8')
    section = page.split('### Human3.6M')[1]
    block = section.split('```console')[1].split('```')[0].replace('\\\n', ' ')
    return [shlex.split(line[2:]) for line in block.splitlines() if line.startswith('$ ')]


def test_exemplars_of_human36m_as_the_page_prints_them(beside, tmp_path):
    """The published config has no key that could swallow the options."""
    (program, *write), (again, *adapt_words) = recipe_of_exemplars()
    assert program == again == 'hrtk'
    shutil.copy('data/spin/h36m_train.npz', 'data/spin/h36m_train_smpl.npz')
    assert main(write) == 0
    short = ['dataset.sequences=free_clip_01,', 'adapter.max_extra=1', 'outputs=None']
    with warnings.catch_warnings():
        warnings.simplefilter('error', UserWarning)
        assert main([*adapt_words, *short, '--work-dir', str(tmp_path)]) == 0
    (run_file,) = tmp_path.glob('results/*/run.json')
    assert (
        "folder='data/banks/h36m_boa', mode='cluster'" in json.loads(run_file.read_text())['config']
    )


@pytest.mark.parametrize(
    'name, key',
    [
        ('dynaboa/r50_3dpw_ps', 'adapter.exemplars'),
        ('dynaboa/r50_3dpw_ph', 'adapter.exemplars'),
        ('dynaboa/r50_3dhp', 'adapter.exemplars'),
        ('3dhrco/spin_mpn_3dpw', 'adapter.online.exemplars'),
        ('3dhrco/spin_tcmr_3dpw', 'adapter.online.exemplars'),
        ('3dhrco/rsn_mpn_3dpw', 'adapter.online.exemplars'),
    ],
)
def test_exemplars_are_switched_on_by_options_and_by_a_child(name, key, tmp_path):
    cfg = load_config(name, {f'{key}.folder': 'data/banks/h36m', f'{key}.mode': 'cluster'})
    child = tmp_path / 'child.py'
    inner = "exemplars=dict(folder='data/banks/h36m', mode='cluster')"
    if 'online' in key:
        inner = f'online=dict({inner})'
    child.write_text(f"_base_ = '{CONFIGS / name}.py'\nadapter = dict({inner})\n")
    for found in (cfg, load_config(child)):
        part = found.adapter.get('online') or found.adapter
        assert part.exemplars == dict(folder='data/banks/h36m', mode='cluster')


# The rows of Tables 1 to 4 by their labels, with the student and the teacher that they must have.
CELLS = {
    ('table1', 'MPS-Net, epoch 601, sigma 35'): ('HMR', 'MPSNet'),
    ('table1', 'TCMR, epoch 601, sigma 35'): ('HMR', 'TCMR'),
    ('table2', 'MPS-Net, epoch 601, sigma 35'): ('RSCNet', 'MPSNet'),
    ('table2', 'TCMR, epoch 601, sigma 35'): ('RSCNet', 'TCMR'),
    ('table3', '3DHR-Co (SPIN), sigma 35'): ('HMR', 'MPSNet'),
    ('table3', '3DHR-Co (RSN), sigma 35'): ('RSCNet', 'MPSNet'),
    ('table4', '3DHR-Co (SPIN), sigma 35'): ('HMR', 'TCMR'),
    ('table4', '3DHR-Co (RSN), sigma 35'): ('RSCNet', 'TCMR'),
}


@pytest.mark.parametrize('table, label', CELLS)
def test_every_cell_of_the_papers_tables_builds(beside, table, label):
    rows = load_table(CONFIGS / f'3dhrco/tables/{table}.yaml').rows
    row = next(row for row in rows if row.label == label)
    cfg = load_config(row.config, row.options)
    assert not missing_assets(cfg) and not obstacles_of(cfg)
    pre = cfg.adapter.get('pre') or cfg.adapter
    assert (cfg.estimator.type, pre.teacher.network.type) == CELLS[table, label]
    # Both teachers were trained on the features of SPIN.
    assert ('features' in pre.teacher) == (cfg.estimator.type == 'RSCNet')


def command(folder, *arguments):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        text=True,
        capture_output=True,
        timeout=300,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)},
    )


def test_adapt_on_a_bare_machine(tmp_path):
    done = command(tmp_path, ROOT / 'tools/adapt.py', CONFIGS / '3dhrco/spin_mpn_3dpw.py')
    assert (
        done.returncode == 2
        and done.stderr.startswith('error: ')
        and 'Traceback' not in done.stderr
    )
    assert not list(tmp_path.iterdir())
    lines = [line.strip() for line in done.stderr.splitlines()]
    needed = [f'{sex}.pkl' for sex in ('NEUTRAL', 'MALE', 'FEMALE')] + [
        'J_regressor_extra.npy',
        'J_regressor_h36m.npy',
        'gmm_08.pkl',
        'model_checkpoint.pt',
        'mpsnet_model_best.pth.tar',
        'sequenceFiles/test',
        'imageFiles',
    ]
    named = {
        asset.path: asset for asset in ASSETS if any(asset.path.endswith(end) for end in needed)
    }
    assert len(named) == 10 and f'needs {len(named)} files' in lines[0]
    for path, asset in named.items():
        assert (
            lines.count(f'data/{path}') == 1 and asset.url in lines[lines.index(f'data/{path}') + 1]
        )


def test_table_on_a_bare_machine(tmp_path):
    table = CONFIGS / '3dhrco/tables/table3.yaml'
    done = command(tmp_path, ROOT / 'tools/benchmark.py', table, '--work-dir', 'out')
    assert done.returncode == 0 and not done.stderr
    rows = load_table(table).rows
    assert len(rows) == 8
    for row in rows:
        line = next(line for line in done.stdout.splitlines() if line.startswith(f'│ {row.label} '))
        cells = [cell.strip() for cell in line.strip('│').split('│')]
        assert cells.count('not reproduced') == 2
        assert [cells[2], cells[5]] == [
            f'{row.paper[key]:.2f}' for key in ('mpjpe_mm', 'pa_mpjpe_mm')
        ]
    for gap in ('-34.53', '-33.60'):  # against SPIN and against RSN
        assert gap in done.stdout
    for path in (
        'rsc_net/RSC-Net.pt',
        'mpsnet/mpsnet_model_best.pth.tar',
        '3dpw/imageFiles',
        'spin/gmm_08.pkl',
    ):
        asset = next(asset for asset in ASSETS if asset.path == path)
        assert done.stdout.count(f'data/{path} ') == 1 and asset.url in done.stdout
    assert (tmp_path / 'out/table3/table.md').read_text().count('not reproduced |') == 16
