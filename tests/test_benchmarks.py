"""The command that runs all benchmarks, the floor of its table, and the picture of error against time."""

from __future__ import annotations

import csv
import importlib
import itertools
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

HERE = Path(__file__).resolve().parents[1] / 'benchmarks'
sys.path.insert(0, str(HERE))

import measuring  # noqa: E402
import pareto  # noqa: E402

from hrtk.visualization.pareto import pareto_front  # noqa: E402

runner = importlib.import_module('all')

QUICK = [one for one in runner.BENCHMARKS if one.quick is not None]


def stored(folder):
    return json.loads((folder / 'speed.json').read_text())['benchmarks']


@pytest.fixture
def cheap(monkeypatch):
    """Two benchmarks that take no time, one that fails and one without its data, in place of all."""
    calls = []

    def works(arguments):
        calls.append(arguments)
        measuring.record('a product', 2.0, 6.0, 'a loop', 0.5)

    def fails(arguments):
        calls.append(arguments)
        measuring.record('the first half', 1.0)
        raise ValueError('no luck | today')

    for name, main in (('works', works), ('fails', fails), ('silent', calls.append)):
        module = type(sys)(name)
        module.main = main
        monkeypatch.setitem(sys.modules, name, module)
    benchmarks = (
        runner.Benchmark('works', ('--all',), ('--few',)),
        runner.Benchmark('fails', (), ()),
        runner.Benchmark('silent', (), None),
        runner.Benchmark('absent', (), (), 'work_dirs/nowhere', 'made by hand'),
    )
    monkeypatch.setattr(runner, 'BENCHMARKS', benchmarks)
    return calls


def test_every_benchmark_is_a_row_whatever_happens(cheap, tmp_path):
    assert runner.main(['--out', str(tmp_path)]) == 1
    content = stored(tmp_path)
    assert list(content) == ['works', 'fails', 'silent', 'absent']
    assert 'problem' not in content['works'] and content['works']['command'].endswith(
        'works.py --all'
    )
    assert content['fails']['problem'] == 'failed: ValueError: no luck | today'
    assert content['silent']['problem'] == 'failed: it recorded no row'
    assert content['absent']['problem'] == 'not run: work_dirs/nowhere is missing (made by hand)'
    text = (tmp_path / 'speed.md').read_text()
    assert '| a product | 3.00 | 2 ms | 6 ms | a loop | 0.5 ms, 4.00 |' in text
    assert '| the first half | – | 1 ms | – |  | – |' in text
    for name in ('fails', 'silent', 'absent'):
        assert f'| `{name}` | ' in text
    assert f'torch: {torch.__version__}' in text and 'processor: ' in text and 'commit: ' in text


def test_a_second_call_measures_what_is_missing_alone(cheap, tmp_path, monkeypatch):
    runner.main(['--out', str(tmp_path), '--only', 'works'])
    assert stored(tmp_path)['fails']['problem'] == 'not run: --only'
    runner.main(['--out', str(tmp_path)])
    assert cheap == [['--all'], [], []]
    runner.main(['--out', str(tmp_path)])  # those with a problem are tried again
    assert cheap == [['--all'], [], [], [], []]
    runner.main(['--out', str(tmp_path), '--quick', '--only', 'works'])
    assert cheap[-1] == ['--few']
    monkeypatch.setattr(runner, 'commit', lambda: 'another')
    runner.main(['--out', str(tmp_path), '--quick', '--only', 'works'])
    assert cheap[-2:] == [['--few'], ['--few']]


@pytest.mark.parametrize('benchmark', QUICK, ids=[one.name for one in QUICK])
def test_the_smallest_size_of_each_runs(benchmark, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv('HRTK_CACHE', str(tmp_path))
    measured = runner.measure(benchmark, benchmark.quick)
    assert 'problem' not in measured, measured
    for values in measured['rows']:
        row = measuring.Row(**values)
        assert row.this > 0 and (row.floor is None or row.floor > 0)
        assert row.ratio is None or row.ratio > 0 and row.against


def test_floor_is_the_operations_over_the_rate(monkeypatch):
    monkeypatch.setattr(measuring, 'operations_per_ms', lambda dtype: 1e3)
    kernel = torch.ones(4, 3, 5, 5, requires_grad=True)

    def work():
        maps = torch.nn.functional.conv2d(torch.ones(2, 3, 9, 9), kernel)
        (torch.ones(6, 7) @ torch.ones(7, 8)).relu()
        torch.autograd.grad(maps.sum(), kernel)

    # Outputs, inputs of each; forward and for the kernel alike.
    convolution = 2 * (2 * 4 * 5 * 5) * (3 * 5 * 5)
    assert measuring.floor_ms(work) == pytest.approx((2 * convolution + 2 * 6 * 7 * 8) / 1e3)


def test_front_is_all_that_nothing_beats():
    rng = np.random.default_rng(0)
    points = [pareto.Point(str(i), *rng.integers(1, 9, 2).astype(float), None) for i in range(30)]

    def beaten(point, other):
        no_worse = other.ms <= point.ms and other.error <= point.error
        return no_worse and (other.ms < point.ms or other.error < point.error)

    expected = {(p.ms, p.error) for p in points if not any(beaten(p, other) for other in points)}
    front = pareto_front(points)
    assert [(p.ms, p.error) for p in front] == sorted(expected)


RUNS = {
    'source/r18_wild': [dict(ms=10.0, mpjpe_mm=150.0, pa_mpjpe_mm=80.0)],
    'boa/r18_wild:adapter.steps=2': [
        dict(ms=300.0, mpjpe_mm=100.0, pa_mpjpe_mm=60.0, steps=2.0),
        dict(ms=310.0, mpjpe_mm=104.0, pa_mpjpe_mm=61.0, steps=2.0),
    ],
    'boa/slow': [dict(ms=312.0, mpjpe_mm=102.5, pa_mpjpe_mm=60.0)],
}


def test_csv_holds_means_and_intervals(tmp_path):
    pareto.write_csv(RUNS, tmp_path / 'all.csv')
    rows = list(csv.DictReader((tmp_path / 'all.csv').open()))
    assert [row['config'] for row in rows] == list(RUNS)
    assert rows[1]['seeds'] == '2' and float(rows[1]['mpjpe_mm']) == 102 and rows[0]['steps'] == ''
    # Student's t of one degree of freedom, 12.706, times the standard error, 2
    assert float(rows[1]['mpjpe_mm_95']) == pytest.approx(12.706 * 2, rel=1e-3)
    assert rows[0]['mpjpe_mm_95'] == ''


def test_labels_of_the_picture_do_not_cover_each_other(tmp_path, monkeypatch):
    drawn = []
    labels = pareto.draw_labels
    monkeypatch.setattr(
        pareto, 'draw_labels', lambda axes, points: drawn.append(axes) or labels(axes, points)
    )
    pareto.draw(RUNS, tmp_path / 'all.png')
    assert (tmp_path / 'all.png').read_bytes().startswith(b'\x89PNG')
    for axes in drawn:
        texts = {text.get_text(): text.get_window_extent() for text in axes.texts}
        assert set(texts) == {'source/r18_wild', 'boa/r18_wild 2', 'boa/slow'}
        for one, other in itertools.combinations(texts.values(), 2):
            assert not one.overlaps(other)
        assert axes.get_xscale() == 'log'


def test_gated_runs_a_config_with_and_without_the_gate(tmp_path, capsys):
    gated = importlib.import_module('gated')
    options = ['--cfg-options', 'dataset.sequences=1', 'dataset.frames=2']
    gated.main(['closed_form/r18_wild', '--out', str(tmp_path), *options])
    runs = tmp_path / 'closed_form_r18_wild'
    plain, judged = (
        json.loads((runs / name / 'metrics.json').read_text())['metrics']
        for name in ('ungated', 'gated')
    )
    cells = capsys.readouterr().out.splitlines()[-1].split(' | ')
    rows = (plain, 'Source'), (plain, 'ClosedForm'), (judged, 'DoNoHarm')
    assert cells[1:4] == [
        f'{metrics[f"{row}/mpjpe_mm"]:.1f} / {metrics[f"{row}/pa_mpjpe_mm"]:.1f}'
        for metrics, row in rows
    ]
    assert sum(map(int, re.findall(r'\d+', cells[5]))) == 100


def test_long_video_goes_there_and_back(tmp_path, capsys):
    long_video = importlib.import_module('long_video')
    sequence = long_video.ThereAndBack(frames=3)[0]
    order = [0, 1, 2, 2, 1, 0]
    there = long_video.OpenStream('wild', sequences=1, frames=3, fps=30.0)[0]
    assert len(sequence) == 6
    for t, index in enumerate(order):
        assert (sequence.frames[t] == there.frames[index]).all()
    assert torch.equal(sequence.keypoints2d.xy, there.keypoints2d.xy[order])
    assert torch.equal(sequence.truth.translation, there.truth.translation[order])
    long_video.main(['closed_form/r18_wild', '--frames', '3', '--out', str(tmp_path)])
    folder = tmp_path / 'closed_form_r18_wild-0-3'
    metrics = json.loads((folder / 'metrics.json').read_text())['metrics']
    cells = capsys.readouterr().out.splitlines()[-1].split(' | ')
    assert cells[1] == ', '.join(
        f'{metrics[f"{row}/mpjpe_mm"]:.1f}' for row in ('Source', 'ClosedForm')
    )
    assert cells[2] == f'{100 * metrics["ClosedForm/worse_share"]:.1f} %'
    assert all(len(cell.split(', ')) == 4 for cell in cells[3:6])
