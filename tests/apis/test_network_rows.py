"""Rows of tables that train networks and test them, and rows that share a preparation."""

import json
from pathlib import Path

import pytest
import torch

from hrtk import apis
from hrtk.adapters.collaborative import pre_adapt
from hrtk.apis import benchmark
from hrtk.apis.tables import network_rows
from hrtk.apis.tables.planning import planned_runs
from hrtk.apis.tables.table import load_table
from hrtk.apis.train import train
from hrtk.errors import InputError
from hrtk.training import lifting

ROOT = Path(__file__).parents[2]
LIFTER = f"""
title: A lifter
metrics: [mpjpe_mm]
options:
  model.network: {{frames: 9, channels: 16, hidden: 32, layers: 1, pretrained: null}}
  train_dataloader.dataset: {{frames: 9, stride: 1600}}
  val_dataloader.dataset: {{frames: 9, stride: 1600}}
  train_cfg: {{max_epochs: 3, val_interval: 1}}
  default_hooks.checkpoint.max_keep_ckpts: 1
rows:
- label: "after {{}}"
  config: {ROOT}/configs/mpm/stage2_open.py
  train: true
  vary: {{checkpoint: [epoch_1, epoch_3]}}
- {{label: last, config: {ROOT}/configs/mpm/stage2_open.py, train: true, paper: {{mpjpe_mm: 40.0}}}}
- label: given
  config: {ROOT}/configs/mpm/stage2_open.py
  weights: given.pth
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, shared_cache):
    monkeypatch.setenv('HRTK_CACHE', str(shared_cache))
    monkeypatch.chdir(tmp_path)


def rows_of(content):
    return {row['label']: row for row in content['rows']}


def number(row):
    return row['ours']['mpjpe_mm']['mean']


@pytest.fixture
def steps(monkeypatch):
    """Counts the training steps."""
    counts = []
    lifting_losses = lifting.lifting_losses

    def counted(**arguments):
        counts.append(1)
        return lifting_losses(**arguments)

    monkeypatch.setattr(lifting, 'lifting_losses', counted)
    return counts


def test_rows_share_one_training(tmp_path, steps, capfd):
    Path('lifter.yaml').write_text(LIFTER)
    rows = rows_of(benchmark('lifter.yaml'))
    once = len(steps)
    options = {key: value for key, value in load_table('lifter.yaml').rows[0].options.items()}
    options['randomness.seed'] = 0
    config = ROOT / 'configs/mpm/stage2_open.py'
    direct = {
        'train_cfg.max_epochs': 1,
        'default_hooks.checkpoint.max_keep_ckpts': 2,
    }
    first = train(config, cfg_options={**options, **direct}, work_dir='one', experiment_name='one')
    assert number(rows['after epoch_1']) == pytest.approx(first['lifting/mpjpe_mm'], rel=1e-9)
    assert 0 < once == 3 * (len(steps) - once)  # one training of three epochs for three rows
    assert number(rows['after epoch_3']) == number(rows['last']) != number(rows['after epoch_1'])
    assert rows['given']['status'] == 'not reproduced' and 'given.pth' in rows['given']['needed'][0]
    assert rows['last']['paper'] == {'mpjpe_mm': 40.0}
    training = next(Path('work_dirs/tables/trainings').iterdir())
    assert [path.name for path in training.glob('*.pth')] == ['epoch_3.pth']

    # The same weights by themselves, from another table, and nothing is computed again.
    (training / 'kept/epoch_1.pth').rename('given.pth')
    scored = apis.test(config, 'given.pth', cfg_options=options)
    before = len(steps)
    capfd.readouterr()
    Path('again.yaml').write_text(LIFTER)
    rows = rows_of(benchmark('again.yaml', only='[gl]*'))
    assert number(rows['given']) == scored['lifting/mpjpe_mm'] and len(steps) == before
    assert 'stored before' in capfd.readouterr().out
    text = Path('work_dirs/tables/again/table.md').read_text()
    assert 'val part: LiftingEvaluator' in text

    # A checkpoint that is gone is trained again, with the same numbers.
    table = LIFTER.replace('epoch_3]', 'epoch_2]')
    Path('second.yaml').write_text(table)
    again = rows_of(benchmark('second.yaml', only='after*'))
    assert len(steps) - before == once
    assert number(again['after epoch_1']) == scored['lifting/mpjpe_mm']
    assert again['after epoch_2']['status'] == 'done'


def test_interrupted_training_resumes(steps, monkeypatch):
    still = 'model.network: {dropout: 0.0, mlp_dropout: 0.0, '
    Path('lifter.yaml').write_text(LIFTER.replace('model.network: {', still))
    whole = rows_of(benchmark('lifter.yaml', work_dir='whole', only='after epoch_3'))
    once = len(steps)
    counted = lifting.lifting_losses

    def killed(**arguments):
        if len(steps) == once + once // 3 + 1:  # in the second epoch
            raise RuntimeError('killed')
        return counted(**arguments)

    monkeypatch.setattr(lifting, 'lifting_losses', killed)
    rows = rows_of(benchmark('lifter.yaml', work_dir='parts', only='after epoch_3'))
    assert rows['after epoch_3']['status'] == 'failed'
    monkeypatch.setattr(lifting, 'lifting_losses', counted)
    start = len(steps)
    parts = rows_of(benchmark('lifter.yaml', work_dir='parts', only='after epoch_3'))
    assert number(parts['after epoch_3']) == number(whole['after epoch_3'])
    assert len(steps) - start == once - once // 3


def test_processes_give_the_same_rows():
    Path('lifter.yaml').write_text(LIFTER)
    one = rows_of(benchmark('lifter.yaml', work_dir='one', only='[al]*'))
    two = rows_of(benchmark('lifter.yaml', work_dir='two', only='[al]*', jobs=2))
    assert {label: row['ours'] for label, row in one.items()} == {
        label: row['ours'] for label, row in two.items()
    }
    assert len(list(Path('two/trainings').iterdir())) == 1


def test_the_test_part_is_no_part_of_a_training(monkeypatch):
    monkeypatch.setattr(network_rows, 'train', None)
    Path('lifter.yaml').write_text(LIFTER)
    content = benchmark('lifter.yaml', dry_run=True)
    assert [row['status'] for row in content['rows']] == ['waiting'] * 3 + ['not reproduced']
    assert not Path('work_dirs').exists()
    row = load_table('lifter.yaml').rows[0]
    cfg = apis.load_config(row.config, row.options)
    tested = apis.load_config(row.config, {**row.options, 'test_evaluator.type': 'ViewError'})
    validated = apis.load_config(row.config, {**row.options, 'val_cfg.fp16': False})
    same = network_rows.training_fingerprint(cfg)
    assert network_rows.training_fingerprint(tested) == same
    assert network_rows.training_fingerprint(validated) != same


@pytest.mark.parametrize(
    'old, new, message',
    [
        ('train: true\n', 'train: true\n  weights: a.pth\n', 'exclude each other'),
        ('epoch_1,', 'first,', "epoch_<n>, iter_<n> or best, e.g. epoch_1, not 'first'"),
        ('  train: true\n', '', 'add `train: true`'),
        ('mpm/stage2_open', 'source/r18_wild', 'hrtk adapt'),
        ('train_cfg:', 'train_cgf:', "unknown key 'train_cgf'"),
        ('channels: 16', 'chanels: 16', 'chanels'),
    ],
)
def test_bad_rows(old, new, message):
    assert old in LIFTER
    Path('bad.yaml').write_text(LIFTER.replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        benchmark('bad.yaml', dry_run=True)


PREPARED = f"""
title: Epochs
metrics: [mpjpe_mm]
options: {{dataset.sequences: 1, dataset.frames: 16, dataset.size: 64, adapter.sequences: 1, adapter.frames: 4}}
rows:
- label: "{{}} epochs"
  config: {ROOT}/configs/3dhrco/r18_mpn_pre_open.py
  vary: {{adapter.epochs: [1, 4, 2]}}
- label: other noise
  config: {ROOT}/configs/3dhrco/r18_mpn_pre_open.py
  options: {{adapter.epochs: 2, adapter.corruption.sigma: 65.0}}
"""


@pytest.mark.parametrize('jobs', [1, 2])
def test_rows_share_a_preparation(monkeypatch, jobs):
    epochs = []
    process_loss = pre_adapt.TeachingProcess._loss

    def counted(self, *arguments):
        epochs.append(1)
        return process_loss(self, *arguments)

    monkeypatch.setattr(pre_adapt.TeachingProcess, '_loss', counted)
    Path('epochs.yaml').write_text(PREPARED)
    shared = rows_of(benchmark('epochs.yaml', work_dir='shared', jobs=jobs))
    assert len(epochs) == (4 + 2 if jobs == 1 else 0)  # not in this process
    for label, row in shared.items():
        alone = rows_of(benchmark('epochs.yaml', work_dir=f'alone {label}', only=label))
        assert number(alone[label]) == number(row)
        run, own = row['runs'][0], alone[label]['runs'][0]
        assert run['fingerprint'] == own['fingerprint']
        name = Path('results') / run['fingerprint'] / 'prepared.pt'
        weights = torch.load(Path(run['folder']) / name, weights_only=True)['state_dict']
        expected = torch.load(Path(own['folder']) / name, weights_only=True)['state_dict']
        assert all(torch.equal(weights[key], value) for key, value in expected.items())
    folders = [path for path in Path('shared/preparations').iterdir()]
    assert len(folders) == 1
    if jobs == 1:
        assert len(epochs) == 4 + 2 + 1 + 4 + 2 + 2


def test_preparations_after_one_training_run_one_after_the_other():
    Path('trained.yaml').write_text(
        PREPARED.replace(
            '- label:', f'- pretraining: {{config: {ROOT}/configs/hmr/r18_studio.py}}\n  label:'
        )
    )
    table = load_table('trained.yaml')
    runs = planned_runs(table, table.rows, Path('work_dirs'))
    assert len({run.pretraining['folder'] for run in runs}) == 1
    assert [run.preparations is not None for run in runs] == [True, True, True, False]
    # Two processes would write the files of the training at the same time.
    assert len({run.shares for run in runs}) == 1


def test_preparations_of_other_start_weights_are_not_shared():
    config = f'{ROOT}/configs/hmr/r18_studio.py'
    rows = []
    for index, epochs in enumerate((1, 2)):
        rows.append(
            f'- label: run {index}\n  config: {ROOT}/configs/3dhrco/r18_mpn_pre_open.py\n'
            f'  options: {{adapter.epochs: {epochs}}}\n'
            f'  pretraining: {{config: {config}, options: {{train_cfg.max_iters: {100 + index}}}}}\n'
        )
    Path('two.yaml').write_text('title: two\nmetrics: [mpjpe_mm]\nrows:\n' + ''.join(rows))
    table = load_table('two.yaml')
    runs = planned_runs(table, table.rows, Path('work_dirs'))
    assert len({run.pretraining['folder'] for run in runs}) == 2
    assert [run.preparations for run in runs] == [None, None]


def test_interrupted_shared_preparation_goes_on(monkeypatch):
    Path('epochs.yaml').write_text(
        PREPARED.replace('adapter.frames: 4', 'adapter.frames: 4, adapter.save_every: 1')
    )
    process_loss = pre_adapt.TeachingProcess._loss
    epochs = []

    def killed(self, *arguments):
        if len(epochs) == 3:
            raise RuntimeError('killed')
        epochs.append(1)
        return process_loss(self, *arguments)

    monkeypatch.setattr(pre_adapt.TeachingProcess, '_loss', killed)
    rows = rows_of(benchmark('epochs.yaml', work_dir='parts', only='* epochs'))
    # The longest failed in its fourth epoch and left the states of the other two behind.
    assert {label: row['status'] for label, row in rows.items()} == {
        '1 epochs': 'done',
        '4 epochs': 'failed',
        '2 epochs': 'done',
    }
    monkeypatch.setattr(pre_adapt.TeachingProcess, '_loss', process_loss)
    finished = rows_of(benchmark('epochs.yaml', work_dir='parts', only='* epochs'))
    whole = rows_of(benchmark('epochs.yaml', work_dir='whole', only='* epochs'))
    for label, row in whole.items():
        assert number(finished[label]) == number(row)
    assert json.loads(Path('whole/epochs/table.json').read_text())['rows']


@pytest.mark.parametrize(
    'checkpoint, message',
    [
        ('epoch_4', 'writes no checkpoint epoch_4; its train_cfg is .*max_epochs=3'),
        ('iter_5', 'writes no checkpoint iter_5'),
        ('best', 'save_best'),
    ],
)
def test_a_checkpoint_that_cannot_be_is_refused_before_the_training(checkpoint, message, steps):
    Path('lifter.yaml').write_text(LIFTER.replace('epoch_3]', f'{checkpoint}]'))
    with pytest.raises(InputError, match=message):
        benchmark('lifter.yaml')
    assert not steps and not Path('work_dirs').exists()


def test_a_misspelt_metric_is_named(capfd):
    Path('lifter.yaml').write_text(LIFTER.replace('[mpjpe_mm]', '[mpjpe_mm, pa_mpjpe]'))
    benchmark('lifter.yaml', only='last')
    shown = capfd.readouterr().out
    assert (
        "no run reports the metric 'pa_mpjpe'. Did you mean" in shown and "'pa_mpjpe_mm'" in shown
    )
    assert "metric 'mpjpe_mm'" not in shown
