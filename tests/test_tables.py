"""Every table of configs/ can be read, and every row's options fit its config."""

import dataclasses
import functools
from pathlib import Path

import pytest

from hrtk.apis import load_config
from hrtk.apis.config_check import check_arguments
from hrtk.apis.tables.planning import (
    checked_parts,
    files_of_rows,
    obstacles_of_rows,
    representative_rows,
)
from hrtk.apis.tables.table import load_table

ROOT = Path(__file__).parents[1]
TABLES = sorted(ROOT.glob('configs/**/tables/*.yaml'))
ROWS = {
    f'{table.parts[-3]}/{table.stem}/{row.label}': row
    for table in TABLES
    for row in representative_rows(load_table(table))
}
# Arguments that configs leave at their defaults and rows set.
DEFAULTS = (
    'silhouettes',
    'parameters',
    'precision',
    'prior',
    'keypoints2d',
    'reset',
    'shifts',
    'detector',
    'repair_sides',
    'scheme',
    'lower',
    'upper',
    'loss_correlation',
)
OPEN = [
    table.stem
    for table in TABLES
    if table.stem.startswith(('open', 'demo'))
    or table.stem.endswith('_open')
    or table.stem == 'speed'
]


@pytest.fixture(autouse=True)
def bare_machine(tmp_path, monkeypatch):
    monkeypatch.setenv('HRTK_CACHE', str(tmp_path / 'cache'))
    monkeypatch.chdir(tmp_path)


@functools.cache
def loaded(config):
    """The config of a file, which most rows of a table share; nobody changes it."""
    return load_config(config)


@pytest.mark.parametrize('name', ROWS)
def test_options_fit(name):
    row = ROWS[name]
    plain = loaded(row.config)
    cfg = load_config(plain, row.options)
    check_arguments(checked_parts(row, cfg), name)
    for key in row.options:  # an option replaces something; one that adds a key is a misspelt one
        where = plain
        for part in key.split('.')[:-1]:
            where = where[int(part) if part.isdigit() else part]
        last = key.split('.')[-1]
        assert last in where or last in DEFAULTS, f'{row.config} has no {key}'


@pytest.mark.parametrize('table', TABLES, ids=lambda table: table.stem)
def test_rows_build_or_name_their_files(table):
    content = load_table(table)
    configs = {str(row.config): row for row in content.rows}
    rows = tuple(dataclasses.replace(row, baseline=None) for row in configs.values())
    obstacles = obstacles_of_rows(dataclasses.replace(content, rows=rows))
    for row in rows:
        needed = obstacles.get(row.label, [])
        if table.stem in OPEN:
            assert not needed
        else:
            assert needed and all('data/' in reason for reason in needed)
            files = [reason.split(' (')[0] for reason in needed]
            assert len(set(files)) == len(files) and all('(' in reason for reason in needed)


def test_gaps_of_3dhr_co_are_those_of_the_paper():
    gaps = {
        'table1/TCMR, epoch 601, sigma 35': -22.49,
        'table2/MPS-Net, epoch 601, sigma 35': -20.11,
        'table1/MPS-Net, epoch 401, sigma 65': -15.81,
        'table2/TCMR, epoch 201, sigma 50': -7.78,
        'table3/3DHR-Co (SPIN), sigma 35': -34.53,
        'table4/3DHR-Co (SPIN), sigma 65': -34.12,
    }
    for name, gap in gaps.items():
        start = 98.51 if name.startswith('table2') else 98.25
        row = ROWS[f'3dhrco/{name}']
        assert row.paper['mpjpe_mm'] - start == pytest.approx(gap, abs=0.006)


# Cells as printed: the first and last ones of a table, and of rows in which a shift by one would show.
CELLS = {
    '3dhrco/figure4/perturbation alone': {'mpjpe_mm': 91.80},
    '3dhrco/figure4/labels alone': {'mpjpe_mm': 80.25},
    '3dhrco/table2/MPS-Net, epoch 1, sigma 65': {'mpjpe_mm': 83.58},
    '3dhrco/table2/TCMR, epoch 401, sigma 35': {'mpjpe_mm': 90.14},
    '3dhrco/table4/3DHR-Co (RSN), sigma 65': {'mpjpe_mm': 65.14, 'pa_mpjpe_mm': 41.90},
    'boa/table5/B2: one stage, L_T': {'mpjpe_mm': 245.5, 'pa_mpjpe_mm': 140.1},
    'boa/table5/B5: two stages, L_F, then L_F + L_T': {'mpjpe_mm': 85.1, 'pa_mpjpe_mm': 55.2},
    'boa/table5/BOA: bilevel, L_F below L_F + L_T': {'mpjpe_mm': 77.3, 'pa_mpjpe_mm': 49.5},
    'boa/table6/B7: L_F and mean teacher, no motion loss': {'mpjpe_mm': 81.8, 'pa_mpjpe_mm': 53.0},
    'boa/table6/B8: L_F and motion loss, no mean teacher': {'mpjpe_mm': 82.1, 'pa_mpjpe_mm': 51.7},
    'dynaboa/official/BOA, 3DHP': {'mpjpe_mm': 117.6, 'pa_mpjpe_mm': 77.4, 'pa_pck': 90.3},
    'mpm/table1_gt/81 frames, pre-trained on Human3.6M and AMASS': {
        'mpjpe_mm': 30.2,
        'mpjpe_mm/Directions': 30.4,
        'mpjpe_mm/Sitting': 40.0,
        'mpjpe_mm/WalkTogether': 20.7,
    },
    'mpm/table1_cpn/243 frames, pre-trained on Human3.6M and AMASS': {
        'mpjpe_mm': 42.3,
        'mpjpe_mm/Photo': 50.9,
        'mpjpe_mm/Purchases': 39.6,
        'mpjpe_mm/WalkDog': 42.2,
    },
    'mpm/table1_cpn_pa/81 frames, pre-trained on Human3.6M and AMASS': {
        'pa_mpjpe_mm': 35.0,
        'pa_mpjpe_mm/SittingDown': 48.7,
        'pa_mpjpe_mm/Walking': 24.2,
    },
    'mpm/table2/81 frames': {'pck': 98.6, 'auc': 79.5, 'mpjpe_mm': 29.8},
    'mpm/table3/left_leg+left_arm hidden, as released': {'mpjpe_mm': 56.9},
    'mpm/table4/left_arm hidden, as released': {'mpjpe_mm': 24.0},
    'mpm/table5_open/3D decoder, stage II': {'params_k': 3941.1, 'flops_m': 380.6},
    'mpm/table6/2D poses': {'mpjpe_mm': 42.9, 'pa_mpjpe_mm': 34.6},
    'mpm/tableA/3 shared blocks, 243 frames': {'mpjpe_mm': 42.8, 'pa_mpjpe_mm': 34.5},
    'mpm/tableB/MPI-INF-3DHP, temporal': {'pck': 97.3, 'auc': 71.1, 'mpjpe_mm': 43.1},
    'mpm/tableC/2 joints, 0.8 of the frames': {'mpjpe_mm': 47.2},
    'mpm/tableC/5 joints, 0.6 of the frames': {'mpjpe_mm': 46.7},
    'topology/table2/Ours(S->R, weak)': {'pa_mpjpe_mm': 58.1},
    'topology/table3/Ours(S->R)': {'mpjpe_mm': 159.0, 'pa_mpjpe_mm': 95.1},
    'topology/table4/B2: L_S': {'pa_mpjpe_mm': 106.2},
    'topology/table5/UAP 16/255, A2: SPIN, 2D and L_S': {'mpjpe_mm': 136.5, 'pa_mpjpe_mm': 85.1},
    'topology/table5/UAP 4/255, before: Ours(R)': {'mpjpe_mm': 67.7, 'pa_mpjpe_mm': 46.9},
    'topology/table5/LR 32, Ours(R->LR)': {'mpjpe_mm': 134.2, 'pa_mpjpe_mm': 78.9},
    'few_shot/thesis_table1/metric, include nearby, skip 5, w 0.5': {
        'mpjpe_mm': 95.7067,
        'pa_mpjpe_mm': 61.3537,
        'pve_mm': 122.7755,
        'accel_pred_mm': 30.4942,
    },
    'few_shot/thesis_table2/segmentation': {
        'mpjpe_mm': 96.2915,
        'pa_mpjpe_mm': 57.5435,
        'pve_mm': 111.8364,
        'accel_pred_mm': 25.8538,
    },
    'few_shot/thesis_table3/metric, exclude nearby, w 0.5': {
        'mpjpe_mm': 100.2639,
        'pa_mpjpe_mm': 65.7869,
        'accel_pred_mm': 29.2455,
    },
    'few_shot/thesis_table4/Metric, 50 samples, w = 1': {
        'mpjpe_mm': 91.0386,
        'pa_mpjpe_mm': 54.5306,
        'pve_mm': 106.8656,
        'accel_pred_mm': 26.9931,
    },
}


@pytest.mark.parametrize('name', CELLS)
def test_paper_values_are_those_of_the_paper(name):
    printed = {metric: ROWS[name].paper[metric] for metric in CELLS[name]}
    assert printed == CELLS[name]


def test_every_paper_has_its_tables():
    tables = {'/'.join(name.split('/')[:2]) for name in ROWS}
    assert len(tables) == len(TABLES)
    for group, count in (('3dhrco', 8), ('boa', 4), ('mpm', 12), ('topology', 4), ('few_shot', 4)):
        official = [name for name in tables if name.startswith(f'{group}/')]
        official = [name for name in official if name.split('/')[1] not in OPEN]
        assert len(official) == count, official


def test_the_page_of_a_table_lists_the_files_of_its_pretrainings():
    files = {}
    for table in TABLES:
        files[f'{table.parts[-3]}/{table.stem}'] = files_of_rows(load_table(table))
    assert {'h36m/data_3d_h36m.npz', 'amass/amass.npz'} <= set(files['mpm/table6'])
    assert {'surreal/cmu', 'imagenet/resnet50-0676ba61.pth'} <= set(files['topology/table2'])
    assert {'vibe/vibe_model_wo_3dpw.pth.tar', 'foreground/vibe.pt'} <= set(
        files['few_shot/thesis_table1']
    )
    for name, needed in files.items():
        assert bool(needed) != (name.split('/')[1] in OPEN), name
