"""Every table of configs/ can be read, and every row's options fit its config."""

import dataclasses
from pathlib import Path

import pytest

from hrtk.apis import load_config
from hrtk.apis.config_check import check_arguments
from hrtk.apis.tables.planning import checked_parts, obstacles_of_rows
from hrtk.apis.tables.table import load_table

ROOT = Path(__file__).parents[1]
TABLES = sorted(ROOT.glob('configs/**/tables/*.yaml'))
ROWS = {f'{table.stem}/{row.label}': row for table in TABLES for row in load_table(table).rows}
# Arguments that configs leave at their defaults and rows set.
DEFAULTS = (
    'silhouettes',
    'parameters',
    'precision',
    'prior',
    'keypoints2d',
    'reset',
    'scheme',
    'lower',
    'upper',
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


@pytest.mark.parametrize('name', ROWS)
def test_options_fit(name):
    row = ROWS[name]
    plain, cfg = load_config(row.config), load_config(row.config, row.options)
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


def test_paper_values_are_those_of_the_paper():
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
        assert ROWS[name].paper['mpjpe_mm'] - start == pytest.approx(gap, abs=0.006)
    assert {name.split('/')[0] for name in ROWS} >= {
        'table1',
        'table2',
        'table3',
        'table4',
        'figure4',
        *OPEN,
    }
