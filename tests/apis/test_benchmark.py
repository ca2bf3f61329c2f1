"""Tables: what a row is, that numbers are those of a direct run, and that one row's trouble stays its own."""

import csv
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from hrtk.apis import adapt, benchmark
from hrtk.apis.config_check import check_arguments
from hrtk.apis.tables.content import mean_interval
from hrtk.apis.tables.table import load_table
from hrtk.errors import InputError

ROOT = Path(__file__).parents[2]
TEXT = f"""
title: A small table
paper: Somebody 2020, Table 7
metrics: [mpjpe_mm, pa_mpjpe_mm]
seeds: [0, 1]
seed_keys: [dataset.seed, randomness.seed]
baseline: Source
notes: [The paper's second number is known to be wrong.]
options: {{dataset.sequences: 2, dataset.frames: 3, dataset.size: 64}}
rows:
- label: Source
  config: {ROOT}/configs/source/r18_wild.py
  paper: {{mpjpe_mm: 98.25, pa_mpjpe_mm: 60.19}}
- label: random weights
  config: {ROOT}/configs/source/r18_wild.py
  options: {{estimator.weights: null}}
  paper: {{mpjpe_mm: 90.0}}
- label: absent
  config: {ROOT}/configs/source/r18_wild.py
  options: {{estimator.weights: nowhere/weights.pt}}
  paper: {{mpjpe_mm: 63.72}}
"""


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'small.yaml'
    path.write_text(TEXT)
    return path


def rows_of(content):
    return {row['label']: row for row in content['rows']}


def stamps(folder):
    return {path: path.stat().st_mtime_ns for path in folder.glob('runs/*/results/*/*.npz')}


def test_table(table, tmp_path, capfd):
    content = benchmark(table, work_dir=tmp_path / 'out')
    rows, text = rows_of(content), capfd.readouterr().out
    direct = [
        adapt(
            ROOT / 'configs/source/r18_wild.py',
            work_dir=tmp_path / f'direct{seed}',
            cfg_options={
                'dataset.sequences': 2,
                'dataset.frames': 3,
                'dataset.size': 64,
                'dataset.seed': seed,
                'randomness.seed': seed,
                'outputs': None,
            },
        )['Source/mpjpe_mm']
        for seed in (0, 1)
    ]
    ours = rows['Source']['ours']['mpjpe_mm']
    assert ours['mean'] == pytest.approx(np.mean(direct), abs=1e-9) and ours['seeds'] == 2
    low, high = stats.t.interval(0.95, 1, np.mean(direct), stats.sem(direct))
    assert ours['interval'] == pytest.approx((high - low) / 2)

    random = rows['random weights']
    per_seed = [run['metrics']['mpjpe_mm'] for run in random['runs']]
    assert random['change']['mpjpe_mm']['mean'] == pytest.approx(
        np.mean(per_seed) - np.mean(direct)
    )
    assert random['paper_change'] == {'mpjpe_mm': -8.25}
    assert 'mpjpe_mm' not in rows['Source']['change']

    absent = rows['absent']
    assert absent['status'] == 'not reproduced' and not absent['runs'] and not absent['ours']
    assert 'nowhere/weights.pt' in absent['needed'][0] and absent['paper'] == {'mpjpe_mm': 63.72}

    markdown = (tmp_path / 'out/small/table.md').read_text()
    for shown in (text, markdown):
        assert (
            'not reproduced' in shown
            and '63.72' in shown
            and '98.25' in shown
            and 'known to be wrong' in shown
        )
        assert shown.count('protocol: open, 6 frames\n') == 1
    with open(tmp_path / 'out/small/table.csv', newline='') as file:
        lines = list(csv.DictReader(file))
    assert [(line['row'], line['metric']) for line in lines][:2] == [
        ('Source', 'mpjpe_mm'),
        ('Source', 'pa_mpjpe_mm'),
    ]
    assert (
        float(lines[0]['mean']) == ours['mean']
        and lines[4]['mean'] == ''
        and lines[4]['paper'] == '63.72'
    )
    stored = json.loads((tmp_path / 'out/small/table.json').read_text())
    assert (
        rows_of(stored)['Source']['ours'] == rows['Source']['ours'] and stored['versions']['torch']
    )
    run = Path(stored['rows'][0]['runs'][0]['folder'])
    assert (run / 'results' / stored['rows'][0]['runs'][0]['fingerprint'] / 'run.json').is_file()


def test_second_call_computes_nothing(table, tmp_path, capfd):
    first = benchmark(table, work_dir=tmp_path / 'out', only='Source')
    before = stamps(tmp_path / 'out')
    assert len(before) == 4
    other = tmp_path / 'other.yaml'  # another table with the same row shares its runs
    other.write_text(
        TEXT.replace('A small table', 'Another').replace(
            'dataset.size: 64}', 'dataset.size: 64, adapter.type: Source}'
        )
    )
    capfd.readouterr()
    again = benchmark(other, work_dir=tmp_path / 'out', only='Source')
    assert stamps(tmp_path / 'out') == before
    assert capfd.readouterr().out.count('stored before') >= 2
    assert rows_of(again)['Source']['ours'] == rows_of(first)['Source']['ours']


def test_processes_give_the_same_table(table, tmp_path):
    one, two = (
        benchmark(table, work_dir=tmp_path / f'out{jobs}', only='Source', jobs=jobs)
        for jobs in (1, 2)
    )
    assert rows_of(one)['Source']['ours'] == rows_of(two)['Source']['ours']
    assert len(rows_of(two)['Source']['runs']) == 2


@pytest.fixture
def fakes(tmp_path, monkeypatch):
    """``fake.py``, a config of tests/engine/fake_parts.py, in the current directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(ROOT / 'tests/engine')
    (tmp_path / 'fake.py').write_text(
        "custom_imports = dict(imports=['fake_parts'], allow_failed_imports=False)\n"
        "estimator = dict(type='FakeEstimator')\ndataset = dict(type='FakeDataset', lengths=(2, 2))\n"
        "adapter = dict(type='Jiggle')\nevaluator = dict(type='MeshEvaluator')\n"
    )
    return tmp_path / 'fake.yaml'


@pytest.mark.parametrize('jobs', [0, -1])
def test_too_few_jobs(table, jobs):
    with pytest.raises(InputError, match=f'jobs is a number .* not {jobs}'):
        benchmark(table, jobs=jobs)


@pytest.mark.parametrize('jobs', [1, 2])
def test_error_in_one_row(fakes, monkeypatch, jobs):
    fakes.write_text(
        'title: t\nmetrics: [mpjpe_mm]\nrows:\n'
        '- {label: "bad {}", config: fake.py, vary: {dataset.bad: [1]}}\n'
        '- {label: careless, config: fake.py, options: {adapter.type: Careless, adapter.rule: few}}\n'
        '- {label: good, config: fake.py}\n'
    )
    monkeypatch.setattr(
        sys, 'argv', ['benchmark.py', 'fake.yaml', '--work-dir', 'out', '--jobs', str(jobs)]
    )
    with pytest.raises(SystemExit) as exit:
        runpy.run_path(str(ROOT / 'tools/benchmark.py'), run_name='__main__')
    rows = rows_of(json.loads(Path('out/fake/table.json').read_text()))
    assert exit.value.code == 1
    assert [rows[label]['status'] for label in ('bad 1', 'careless', 'good')] == [
        'failed',
        'failed',
        'done',
    ]
    assert 'cannot be decoded' in rows['bad 1']['runs'][0]['error']
    assert 'Traceback' in (Path(rows['careless']['runs'][0]['folder']) / 'error.txt').read_text()
    assert rows['good']['ours']['mpjpe_mm']['interval'] is None


def test_process_that_is_killed(fakes, monkeypatch):
    fakes.write_text(
        'title: t\nmetrics: [mpjpe_mm]\nrows:\n- {label: good, config: fake.py}\n'
        '- {label: killed, config: fake.py, options: {dataset.lengths: [9]}}\n'
    )
    monkeypatch.setenv('FAKE_KILL', '8')  # the other row ends at its fourth frame
    rows = rows_of(benchmark('fake.yaml', work_dir='out', jobs=2))
    assert rows['good']['status'] == 'done' and rows['killed']['status'] == 'failed'
    assert 'exit code -9' in rows['killed']['runs'][0]['error']


def test_dry_run_writes_nothing(table, tmp_path, capfd):
    content = benchmark(table, work_dir=tmp_path / 'out', dry_run=True, seeds=[5])
    assert not (tmp_path / 'out').exists() and content['seeds'] == [5]
    assert [row['status'] for row in content['rows']] == ['waiting', 'waiting', 'not reproduced']
    assert '3 rows, 2 runs; 1 rows lack files' in capfd.readouterr().out


def test_a_wide_table_is_printed_in_parts(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    content = benchmark(ROOT / 'configs/mpm/tables/table1_cpn.yaml', dry_run=True)
    shown = capfd.readouterr().out
    assert len(content['metrics']) == 16
    for row in content['rows']:
        for value in row['paper'].values():
            assert f'{value:.2f}' in shown
    assert '\N{HORIZONTAL ELLIPSIS}' not in shown
    assert max(map(len, shown.splitlines()[:20])) <= 160


def test_vary(tmp_path):
    path = tmp_path / 't.yaml'
    path.write_text(
        'title: t\nmetrics: [a]\noptions: {d: 1}\nrows:\n- {label: "x {} y {}", config: c.py, '
        'options: {d: 2}, vary: {p: [1, 2], q: [u, v]}, paper: {a: [1, 2, 3, 4]}}\n'
    )
    rows = load_table(path).rows
    assert [row.label for row in rows] == ['x 1 y u', 'x 1 y v', 'x 2 y u', 'x 2 y v']
    assert rows[2].options == {'d': 2, 'p': 2, 'q': 'u'} and rows[2].paper == {'a': 3.0}
    assert rows[0].config == tmp_path / 'c.py'


@pytest.mark.parametrize(
    'change, message',
    [
        (('baseline: Source', 'baseline: Sorce'), 'baseline'),
        (('label: absent', 'label: absent\n  baseline: Sorce'), "baseline names no row, 'Sorce'"),
        (('seed_keys', 'seedkeys'), "unknown key 'seedkeys'"),
        (('label: absent', 'label: Source'), "more than one row is called 'Source'"),
        (('{mpjpe_mm: 63.72}', '{mpjpe: 63.72}'), 'mpjpe'),
        (('paper: {mpjpe_mm: 63.72}', 'vary: {a: [1]}'), '{}'),
        (('63.72', '[63.72]'), 'must be a number'),
        (('title: A small table', ''), "'title' is missing"),
        (('rows:', 'rows: ['), 'yaml'),
        (('seeds: [0, 1]', 'seeds: 2'), 'seeds must be a list, not 2'),
        (('label: absent', 'name: absent'), "unknown key 'name'"),
        (('estimator.weights: null', 'estimator.weigths: null'), 'HMR has no argument weigths'),
        (
            ('estimator.weights: null', 'estimator.type: HRM'),
            "'random weights', .*: no class is registered as 'HRM'. Did you mean .*'HMR'",
        ),
        (('estimator.weights: null', 'estimator.head.hiden: 1'), 'hiden'),
        (
            ('estimator.weights: null', '"estimator,weights": null'),
            "small.yaml, 'random weights': .*unknown key 'estimator,weights'",
        ),
        (('source/r18_wild', 'source/r18_mild'), 'r18_wild.py'),
    ],
)
def test_bad_table(table, tmp_path, change, message):
    table.write_text(TEXT.replace(*change))
    with pytest.raises(InputError, match=message):
        benchmark(table, work_dir=tmp_path / 'out', dry_run=True)


def test_a_type_that_is_no_name():
    with pytest.raises(InputError, match='^run.yaml: type is the name of a class, not {}'):
        check_arguments([dict(hook=dict(type={}))], 'run.yaml')


def test_unknown_rows_and_table(table, tmp_path):
    with pytest.raises(InputError, match='random weights'):
        benchmark(table, only='nothing like it', dry_run=True)
    with pytest.raises(InputError, match='there is no table'):
        benchmark(tmp_path / 'none.yaml')


def test_mean_interval():
    values = [129.2, 131.0, 124.9, 138.3]
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert mean_interval(values) == (
        pytest.approx(np.mean(values)),
        pytest.approx((high - low) / 2),
    )
    assert mean_interval([3.0]) == (3.0, None)
