"""Tables that cross methods, start models, 2D sources and streams: their rows, numbers, files and pictures."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from hrtk.apis import benchmark, load_config
from hrtk.apis.tables.cross_plots import gains
from hrtk.apis.tables.memory import peak_memory
from hrtk.apis.tables.settings import settings_of
from hrtk.apis.tables.table import load_table
from hrtk.errors import InputError

ROOT = Path(__file__).parents[2]
TEXT = """
title: A crossed table
metrics: [mpjpe_mm, pa_mpjpe_mm]
seeds: [0, 1]
baseline: Source
methods:
  Source: "{start}_source.py"
  far: {config: "{start}_jiggle.py", options: {adapter.step: 0.05}}
  near: {config: "{start}_jiggle.py", options: {adapter.step: 0.001}}
  other: {config: "{start}_jiggle.py", options: {adapter.step: 0.01}, starts: [wide]}
starts: [narrow, wide]
sources:
  gt:
  noisy: {options: {dataset.shift: 3.0}}
streams:
  three: {options: {dataset.lengths: [2, 4, 3]}, sources: [noisy], starts: [wide]}
  one: {options: {dataset.lengths: [3]}, methods: [Source, near], starts: [narrow], sources: [gt], resample: false}
"""
LABELS = [
    'three, 2D noisy, wide: Source',
    'three, 2D noisy, wide: far',
    'three, 2D noisy, wide: near',
    'three, 2D noisy, wide: other',
    'one, 2D gt, narrow: Source',
    'one, 2D gt, narrow: near',
]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('crossed')
    for start, scale in (('narrow', 0.01), ('wide', 0.03)):
        for name, adapter in (('source', 'Source'), ('jiggle', 'Jiggle')):
            (folder / f'{start}_{name}.py').write_text(
                "custom_imports = dict(imports=['fake_parts'], allow_failed_imports=False)\n"
                f"estimator = dict(type='FakeEstimator', scale={scale})\n"
                "dataset = dict(type='FakeDataset', shift=0.0)\n"
                f"adapter = dict(type='{adapter}')\nevaluator = dict(type='MeshEvaluator')\n"
            )
    (folder / 'crossed.yaml').write_text(TEXT)
    return folder


@pytest.fixture(scope='module')
def content(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / 'tests/engine')
        patch.chdir(folder)
        yield benchmark('crossed.yaml', work_dir='out')


def entries_of(content):
    return {
        f'{e["stream"]}, 2D {e["source"]}, {e["start"]}: {e["method"]}': e
        for e in content['crossed']
    }


def videos(content, folder, label):
    """(seed, video) arrays of frames, errors before and errors after, read from the files of the runs."""
    row = next(row for row in content['rows'] if row['label'] == label)
    found = []
    for run in row['runs']:
        report = json.loads((folder / run['folder'] / 'metrics.json').read_text())
        kind = report['adapter']
        found.append(
            [
                (v['frames'], v['rows']['Source']['mpjpe_mm'], v['rows'][kind]['mpjpe_mm'])
                for v in report['per_sequence']
            ]
        )
    return np.moveaxis(np.array(found), 2, 0)


def test_rows(folder, monkeypatch):
    monkeypatch.chdir(folder)
    rows = load_table('crossed.yaml').rows
    assert [row.label for row in rows] == LABELS
    assert rows[3].options == {
        'dataset.lengths': [2, 4, 3],
        'dataset.shift': 3.0,
        'adapter.step': 0.01,
    }
    assert [row.baseline for row in rows] == [LABELS[0]] * 4 + [LABELS[4]] * 2
    assert [row.cell.rank for row in rows[:4]] == [0, 1, 2, 3]
    assert rows[0].config.name == 'wide_source.py'


def test_a_start_model_with_the_configs_of_another_one(folder, monkeypatch):
    monkeypatch.chdir(folder)
    mapped = 'starts: {narrow: , other: {configs: narrow, options: {estimator.scale: 2}}}'
    text = TEXT.replace('starts: [narrow, wide]', mapped).replace('[wide]', '[other]')
    Path('mapped.yaml').write_text(text)
    rows = load_table('mapped.yaml').rows
    assert [row.label for row in rows] == [label.replace('wide', 'other') for label in LABELS]
    assert rows[3].config.name == 'narrow_jiggle.py' == rows[5].config.name
    assert rows[3].options == {
        'estimator.scale': 2,
        'dataset.lengths': [2, 4, 3],
        'dataset.shift': 3.0,
        'adapter.step': 0.01,
    }
    assert 'estimator.scale' not in rows[5].options
    assert rows[3].cell.start == 'other' and rows[3].baseline == rows[0].label


def test_a_start_model_with_a_config_of_its_own_for_some_methods(folder, monkeypatch):
    monkeypatch.chdir(folder)
    own = Path('own_source.py')
    own.write_text(Path('wide_source.py').read_text())
    text = TEXT.replace('[wide]', '[own]')
    for configs in ('[own, narrow]', '[narrow, own]'):
        mapped = f'starts: {{narrow: , own: {{configs: {configs}}}}}'
        Path('own.yaml').write_text(text.replace('starts: [narrow, wide]', mapped))
        rows = load_table('own.yaml').rows
        first = 'own' if configs == '[own, narrow]' else 'narrow'
        assert rows[0].config.name == f'{first}_source.py'
        assert rows[3].config.name == 'narrow_jiggle.py'
    for configs, message in (
        ('own', "'far' has no config own_jiggle.py for the start model 'own'"),
        ('[own]', "'far' has no config own_jiggle.py for the start model 'own'"),
        (
            '[own, narow]',
            "start model 'own': configs has 'narow', and no method has a config of it",
        ),
        ('[]', 'configs is the start model whose configs are used'),
        ("[own, '']", 'configs is the start model whose configs are used'),
        ('[own, 3]', 'configs is the start model whose configs are used'),
    ):
        mapped = f'starts: {{narrow: , own: {{configs: {configs}}}}}'
        Path('own.yaml').write_text(text.replace('starts: [narrow, wide]', mapped))
        with pytest.raises(InputError, match=re.escape(message)):
            load_table('own.yaml')
    own.unlink()


def test_a_start_model_with_the_estimator_of_a_config(folder, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / 'tests/engine')
    monkeypatch.chdir(folder)
    given = '{configs: narrow, estimator: wide_source.py, options: {estimator.scale: 2}}'
    mapped = f'starts: {{narrow: , other: {given}}}'
    Path('built.yaml').write_text(
        TEXT.replace('starts: [narrow, wide]', mapped).replace('[wide]', '[other]')
    )
    row = load_table('built.yaml').rows[3]
    assert row.config.name == 'narrow_jiggle.py'
    config = load_config(row.config, row.options)
    assert config.estimator.to_dict() == {'type': 'FakeEstimator', 'scale': 2}
    assert config.dataset.lengths == [2, 4, 3]


def test_numbers_are_those_of_the_runs(content, folder):
    entries = entries_of(content)
    assert list(entries) == LABELS
    errors = {}
    for label in LABELS:
        frames, before, after = videos(content, folder, label)
        entry = entries[label]
        errors[label] = np.mean(np.average(after, axis=1, weights=frames[0]))
        frozen = np.mean(np.average(before, axis=1, weights=frames[0]))
        assert entry['mpjpe_mm']['mean'] == pytest.approx(errors[label])
        assert entry['mpjpe_mm_frozen']['mean'] == pytest.approx(frozen)
        assert entry['mpjpe_mm_change']['mean'] == pytest.approx(errors[label] - frozen, abs=1e-9)
        rises = after - before
        assert entry['worst_regression_mm'] == pytest.approx(rises.max(), abs=1e-9)
        assert entry['worse_sequences'] == pytest.approx(np.mean(rises > 0))
        assert entry['frames'] == frames.sum() and entry['sequences'] == frames.size
    last = entries['three, 2D noisy, wide: other']
    simpler = min(LABELS[:3], key=errors.get)
    assert last['simpler'] == simpler.split(': ')[1]
    expected = errors[LABELS[3]] - errors[simpler]
    assert last['mpjpe_mm_against_simpler']['mean'] == pytest.approx(expected)
    assert entries[LABELS[0]]['simpler'] is None


def test_intervals_only_where_videos_are_independent(content):
    entries = entries_of(content)
    for label in LABELS[1:4]:
        change = entries[label]['mpjpe_mm_change']
        assert change['low'] < change['mean'] < change['high']
    for label in LABELS[4:]:
        assert entries[label]['mpjpe_mm']['low'] is None
        assert not entries[label]['mpjpe_mm_change']['beyond_chance']
    frozen = entries[LABELS[0]]['mpjpe_mm_change']
    assert (frozen['low'], frozen['high'], frozen['beyond_chance']) == (0, 0, False)


def test_files(content, folder):
    out = folder / 'out/crossed'
    rows = list(csv.DictReader((out / 'table.csv').open()))
    entries = entries_of(content)
    assert [row['method'] for row in rows] == [label.split(': ')[1] for label in LABELS]
    for row, label in zip(rows, LABELS):
        assert float(row['mpjpe_mm_change']) == entries[label]['mpjpe_mm_change']['mean']
    assert (
        rows[4]['mpjpe_mm_low'] == '' and rows[1]['reset'] == 'sequence' and rows[0]['reset'] == '-'
    )
    text = (out / 'table.md').read_text()
    assert '## three, 2D noisy, wide: 2 seeds, 6 videos, 18 frames' in text
    assert text.count('| near | sequence |') == 2
    for name in ('pareto.png', 'gain_per_stream.png', 'gain_against_error.png'):
        assert (out / name).read_bytes().startswith(b'\x89PNG')


def test_heat_map(content):
    rows, columns, values = gains(content['crossed'])
    assert rows == ['three, 2D noisy', 'one, 2D gt']
    assert columns == ['wide: far', 'wide: near', 'wide: other', 'narrow: near']
    entries = entries_of(content)
    assert values[0, 1] == -entries[LABELS[2]]['mpjpe_mm_change']['mean']
    assert np.isnan(values).tolist() == [[False] * 3 + [True]] + [[True] * 3 + [False]]


@pytest.mark.parametrize(
    'only, hint',
    [
        ('one, 2D gtt', r"\. Did you mean 'one, 2D gt'\? Labels: three, 2D noisy, wide: Source, "),
        ('zzzzzzzz', r'\. Labels: three, 2D noisy, wide: Source, '),
    ],
)
def test_labels_that_nothing_matches(content, folder, monkeypatch, only, hint):
    monkeypatch.syspath_prepend(ROOT / 'tests/engine')
    monkeypatch.chdir(folder)
    with pytest.raises(InputError, match=f"crossed.yaml: no label matches '{only}'{hint}"):
        benchmark('crossed.yaml', work_dir='out', only=only)


def test_a_large_table_does_not_list_its_labels():
    table = ROOT / 'configs/benchmark/tables/open.yaml'
    with pytest.raises(
        InputError, match="Did you mean 'wild, 2D gt'. --dry-run prints all"
    ) as error:
        benchmark(table, only='wild, 2D gtt', dry_run=True)
    assert len(str(error.value)) < 200


def test_stored_runs_are_not_computed_again(content, folder, monkeypatch, capfd):
    monkeypatch.syspath_prepend(ROOT / 'tests/engine')
    monkeypatch.chdir(folder)
    again = benchmark('crossed.yaml', work_dir='out', only='one')
    lines = capfd.readouterr().out.splitlines()
    runs = [line for line in lines if ', seed ' in line and 'stored before' in line]
    assert len(runs) == 4
    for entry in again['crossed']:
        first = entries_of(content)[f'one, 2D gt, narrow: {entry["method"]}']
        assert entry['mpjpe_mm'] == first['mpjpe_mm'] and entry['peak_mib'] == first['peak_mib']


def test_peak_memory_grows_with_an_allocation(tmp_path):
    from hrtk.apis.tables.memory import record_peak, restart_peak

    if not restart_peak():
        pytest.skip('this system does not tell the peak memory')
    record_peak(tmp_path)
    small = peak_memory(tmp_path)
    restart_peak()
    block = np.ones(2**25)  # 256 MiB
    del block
    record_peak(tmp_path)
    large = peak_memory(tmp_path)
    assert 200 < large - small < 320
    restart_peak()
    record_peak(tmp_path)
    assert peak_memory(tmp_path) == large  # of a part that took less


@pytest.mark.parametrize(
    'config, reset, order',
    [
        ('source/r18_wild', '-', '-'),
        ('boa/r18_wild', 'sequence', 'first'),
        ('boa/spin_3dpw', 'never', 'second'),
        ('boa/r18_until', 'sequence', '-'),
        ('3dhrco/r18_mpn_bilevel_open', 'sequence', 'first'),
        ('track_fit/r18_clip', 'sequence', '-'),
        ('do_no_harm/boa_r18_wild', 'sequence', 'first'),
        ('smplify/r18_clip', 'sequence', '-'),
    ],
)
def test_settings(config, reset, order):
    assert settings_of(load_config(config)) == {'reset': reset, 'order': order}


def test_settings_of_a_gate_are_those_of_the_gated():
    config = load_config('do_no_harm/boa_r18_wild', {'adapter.adapter.reset': 'never'})
    assert settings_of(config)['reset'] == 'never'


@pytest.mark.parametrize(
    'change, words',
    [
        (('starts: [narrow, wide]\n', ''), 'starts is a list of names'),
        (('starts: [narrow, wide]', 'starts: 3'), 'starts is a list of names or a mapping'),
        (('starts: [narrow, wide]', 'starts: {wide: {config: b}, narrow: }'), "start model 'wide'"),
        (
            ('starts: [narrow, wide]', 'starts: {wide: {configs: 2}, narrow: }'),
            'configs is the start model',
        ),
        (
            ('starts: [narrow, wide]', 'starts: {wide: {estimator: 2}, narrow: }'),
            'estimator is the path of a config',
        ),
        (
            ('starts: [narrow, wide]', 'starts: {wide: {estimator: crossed.yaml}, narrow: }'),
            'the config crossed.yaml has no estimator',
        ),
        (('starts: [narrow, wide]', 'starts: {wide: {estimator: none.py}, narrow: }'), 'none.py'),
        (('{start}_source', '{start}_sauce'), 'has no config wide_sauce.py'),
        (('baseline: Source', 'baseline: Sauce'), 'Source'),
        (('resample: false', 'resample: 2'), 'resample is true or false'),
        (('methods: [Source, near]', 'methods: [Source, neer]'), 'near'),
        (('resample: false', 'resampel: false'), 'resample'),
        (('starts: [wide]}\nstarts', 'start: [wide]}\nstarts'), 'starts'),
        (('  gt:\n', '  gt: 3\n'), 'sources.gt'),
        (('title:', 'rows: [{label: a, config: b.py}]\ntitle:'), 'in place of rows'),
    ],
)
def test_mistakes_are_named(folder, monkeypatch, change, words):
    monkeypatch.chdir(folder)
    assert change[0] in TEXT
    Path('wrong.yaml').write_text(TEXT.replace(*change))
    with pytest.raises(InputError, match='wrong.yaml') as error:
        load_table('wrong.yaml')
    assert words in str(error.value)
