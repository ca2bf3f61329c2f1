"""The published configs, whole networks included, on files of the official layouts; and on a machine without any."""

from __future__ import annotations

import gc
import json
import math
import os
import pickle
import shlex
import shutil
import warnings
from fnmatch import fnmatchcase
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml

from hrtk.apis import adapt, benchmark, build_model, load_config
from hrtk.apis.asset_list import ASSETS
from hrtk.apis.assets import missing_assets
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
# Less of the data, fewer steps, and smaller crops where another config has the same network at its full size.
ONE_TRACK = {'dataset.sequences': ['free_clip_01']}
SMALL_CROPS = {'HMR': {'estimator.resolution': 64}, 'RSCNet': {}}
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
        {**SHORT, **SMALL_CROPS['HMR'], 'dataset.sequences': ['free_clip_00']},
    ),
    '3dhrco/spin_tcmr_3dpw': ('Regeneration', 'boa_ps', 3, 0, {**SHORT, **SMALL_CROPS['HMR']}),
    '3dhrco/rsn_mpn_3dpw': ('Regeneration', 'boa_ps', 3, 0, SHORT),
    'boa/r50_3dpw_ps': ('Bilevel', 'boa_ps', 3, 0, ONE_TRACK),
    'dynaboa/r50_3dpw_ps': (
        'DynamicBilevel',
        'boa_ps',
        3,
        0,
        {**ONE_TRACK, 'adapter.max_extra': 1},
    ),
    'dynaboa/r50_3dpw_ph': (
        'DynamicBilevel',
        'boa_ph',
        3,
        0,
        {**SMALL_CROPS['HMR'], 'adapter.max_extra': 1},
    ),
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
    yield
    gc.collect()  # networks of a run that ended


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


def test_a_person_without_an_aligned_frame_is_passed_over(beside, tmp_path, monkeypatch):
    """3DPW has such people: no step on them, no 3D score, and the run goes on to the next."""
    data = tmp_path / 'data'
    shutil.copytree(Path('data').resolve(), data, copy_function=os.symlink)
    clip = data / '3dpw/sequenceFiles/test/free_clip_00.pkl'
    raw = pickle.loads(clip.read_bytes(), encoding='latin1')
    people = len(raw['poses'])
    raw['campose_valid'][0][:] = 0
    raw['poses2d'][0][:] = 0
    clip.unlink()
    clip.write_bytes(pickle.dumps(raw, 2))
    monkeypatch.chdir(tmp_path)
    options = {
        **SMALL_CROPS['HMR'],
        'dataset.sequences': ['free_clip_00', 'free_clip_01'],
        'outputs': None,
    }
    metrics = adapt(CONFIGS / 'boa/r50_3dpw_ps.py', cfg_options=options, work_dir=tmp_path / 'run')
    assert all(math.isfinite(value) for value in metrics.values())
    invalid = sum(int((np.asarray(valid) == 0).sum()) for valid in raw['campose_valid'])
    assert metrics['Bilevel/frames_without_evidence'] == metrics['unscored_frames'] == invalid
    assert metrics['Bilevel/tracks_without_evidence'] == 1
    assert metrics['sequences'] == people + 1
    report = json.loads((tmp_path / 'run/metrics.json').read_text())
    assert report['per_sequence'][0]['report']['frames_without_evidence'] == 3
    stored = np.load(tmp_path / f'run/results/{report["fingerprint"]}/free_clip_00_0.npz')
    # The first track is predicted with the start weights.
    np.testing.assert_allclose(stored['rotmat'], stored['before_rotmat'], atol=1e-6)
    shutil.rmtree(data)


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
    exemplars = json.loads(run_file.read_text())['config']['adapter']['exemplars']
    assert (exemplars['folder'], exemplars['mode']) == ('data/banks/h36m_boa', 'cluster')


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


# Smaller crops and fewer frames and steps for whole tables, by the types of the estimator and of the adapter.
FEW_STEPS = {
    'Source': {},
    'Bilevel': {},
    'DynamicBilevel': {'adapter.max_extra': 1},
    'PreAdapt': {'adapter.epochs': 1, 'adapter.frames': 1},
    'Regeneration': {'adapter.pre.epochs': 1, 'adapter.pre.frames': 1},
}
EPOCHS = {1: 1, 201: 2, 401: 3, 601: 4}
ENDS = (
    'epoch [14], sigma 35'  # of these epochs; other levels of noise and epochs differ in one number
)


def quick_table(name, folder):
    """A copy of a published table whose rows are quick: the same configs, options and paper values."""
    file = CONFIGS / f'{name}.yaml'
    content = yaml.safe_load(file.read_text())
    for row in content['rows']:
        path = (file.parent / row['config']).resolve()
        cfg = load_config(path)
        options = {**SMALL_CROPS[cfg.estimator.type], **FEW_STEPS[cfg.adapter.type]}
        if cfg.dataset.type == 'ThreeDPW':
            options.update(ONE_TRACK)
        if cfg.dataset.type == 'VideoDataset':
            options['dataset.min_length'] = 1
        if cfg.adapter.type == 'Regeneration' and cfg.adapter.online.type == 'DynamicBilevel':
            options['adapter.online.max_extra'] = 1
        if 'adapter.epochs' in row.get('vary', {}):
            row['vary']['adapter.epochs'] = [
                EPOCHS[count] for count in row['vary']['adapter.epochs']
            ]
        row['config'] = str(path)
        row['options'] = {**options, **row.get('options', {})}
    copy = folder / file.name
    copy.write_text(yaml.safe_dump(content, sort_keys=False))
    return copy


def write_internet_video(folder):
    """A video of three frames of noise and AlphaPose's json of one person in it."""
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(0)
    video = cv2.VideoWriter(
        str(folder / 'clip.mp4'), cv2.VideoWriter.fourcc(*'mp4v'), 30.0, (96, 160)
    )
    people = []
    for index in range(3):
        video.write(random.integers(0, 255, (160, 96, 3), dtype=np.uint8))
        points = random.uniform((20, 20, 0.5), (76, 140, 1.0), (17, 3))
        people.append(
            {
                'image_id': f'{index}.jpg',
                'category_id': 1,
                'keypoints': points.ravel().tolist(),
                'score': 2.7,
                'box': [20.0, 20.0, 56.0, 120.0],
                'idx': [1.0],
            }
        )
    video.release()
    (folder / 'alphapose-results.json').write_text(json.dumps(people))


@pytest.mark.parametrize(
    'name, only, rows',
    [
        ('table1', ENDS, 4),
        ('table2', ENDS, 4),
        ('table3', 'sigma 35', 2),
        ('table4', 'sigma 35', 2),
        ('figure2', None, 4),
        ('figure4', None, 6),
        ('figure7', None, 2),
        ('studio', None, 4),
    ],
)
def test_every_table_runs(beside, name, only, rows, tmp_path):
    write_internet_video(Path('data/internet'))
    file = f'3dhrco/tables/{name}'
    content = benchmark(quick_table(file, tmp_path), only=only, work_dir='tables')
    published = load_table(CONFIGS / f'{file}.yaml')
    pattern = '*' if only is None else f'*{only.replace("[14]", "[16]*")}*'  # epochs 1 and 601
    expected = [row for row in published.rows if fnmatchcase(row.label, pattern)]
    assert [row['paper'] for row in content['rows']] == [row.paper for row in expected]
    assert [row['status'] for row in content['rows']] == ['done'] * rows
    for row in content['rows']:
        assert all(math.isfinite(row['ours'][key]['mean']) for key in published.metrics)


def test_adapt_on_a_bare_machine(call_tool, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = call_tool('adapt', CONFIGS / '3dhrco/spin_mpn_3dpw.py')
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


def test_table_on_a_bare_machine(call_tool, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('COLUMNS', '80')  # those of a program without a terminal
    table = CONFIGS / '3dhrco/tables/table3.yaml'
    done = call_tool('benchmark', table, '--work-dir', 'out')
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
    assert (tmp_path / 'out/3dhrco_table3/table.md').read_text().count('not reproduced |') == 16
