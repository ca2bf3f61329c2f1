"""Every table of MPM trains and tests on files in the official layouts, tiny, and shares its trainings."""

from pathlib import Path

import pytest
import torch
import yaml

from hrtk.apis import benchmark, load_config
from hrtk.apis.tables.table import load_table
from hrtk.errors import InputError
from hrtk.models.cost import network_cost
from hrtk.models.lifting import MPMStage1, MPMStage2
from hrtk.testing import write_lifting_files

ROOT = Path(__file__).parents[2]
TABLES = ROOT / 'configs/mpm/tables'
TRAINED = sorted(path.stem for path in TABLES.glob('*.yaml') if not path.stem.endswith('_open'))
assert len(TRAINED) == 12, TRAINED
FRAMES = {243: 27, 81: 9, 27: 9}  # tiny windows, as many different ones as in the table
# Some of many similar rows.
ONLY = {
    'table1_cpn': '81*',
    'table1_cpn_pa': '81*alone*',
    'table1_gt': '81*',
    'table3': '1 hidden*',
    'table4': 'right_leg*',
    'tableA': '4 shared*',
    'tableC': '5 joints, 0.[45]*',
}
TINY = {
    'model.network.channels': 16,
    'model.network.hidden': 16,
    'model.network.heads': 2,
    'train_dataloader.batch_size': 8,
    'train_dataloader.num_workers': 0,
    'train_dataloader.persistent_workers': False,
    'train_cfg.max_epochs': 1,
}
TINY_TEST = {
    'test_dataloader.dataset.stride': 29,
    'test_dataloader.num_workers': 0,
    'test_dataloader.persistent_workers': False,
}


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp('official')
    write_lifting_files(folder / 'data', frames=30)
    return folder


@pytest.fixture
def folder(files, tmp_path, monkeypatch):
    monkeypatch.setenv('HRTK_CACHE', str(tmp_path / 'cache'))
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'data').symlink_to(files / 'data')
    return tmp_path


def tiny_stage(entry, tested):
    """An entry of a table, or a pretraining in it, with a tiny network and few windows."""
    path = (TABLES / entry['config']).resolve()
    options = {}
    for key, value in TINY.items():
        if path.stem.startswith('refine'):
            key = key.replace('model.network.', 'model.network.lifter.')
        options[key] = value
    if tested:
        options.update(TINY_TEST)
    cfg = load_config(path)
    for part in ('train', 'test')[: 1 + tested]:
        dataset = cfg[f'{part}_dataloader'].dataset
        key = f'{part}_dataloader.dataset'
        if 'common' in dataset:
            key += '.common'
            dataset = dataset.common
        options[f'{key}.frames'] = dataset.frames
        options.setdefault(f'{key}.stride', 97)
    lifter = 'lifter.' if 'lifter' in cfg.model.network else ''
    options[f'model.network.{lifter}frames'] = 243 if lifter else cfg.model.network.frames
    options.update(entry.get('options') or {})
    for key, value in options.items():
        if key.endswith('.frames'):
            options[key] = FRAMES[value]
    changed = {**entry, 'config': str(path), 'options': options}
    if entry.get('pretraining'):
        changed['pretraining'] = tiny_stage(entry['pretraining'], False)
    return changed


def tiny(name):
    """Writes the tiny form of a table and returns its path."""
    content = yaml.safe_load((TABLES / f'{name}.yaml').read_text())
    content['rows'] = [tiny_stage(entry, True) for entry in content['rows']]
    path = Path(f'{name}.yaml')
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def trainings():
    return sorted(path.name.split('-')[0] for path in Path('work_dirs/tables/trainings').iterdir())


@pytest.mark.parametrize('name', TRAINED)
def test_the_table_runs_end_to_end(folder, name):
    content = benchmark(tiny(name), only=ONLY.get(name))
    assert [row['status'] for row in content['rows']] == ['done'] * len(content['rows']), [
        run.get('error') for row in content['rows'] for run in row['runs']
    ]
    for row in content['rows']:
        metric = content['metrics'][0]
        if name == 'tableB' and row['label'].startswith('MPI'):
            metric = 'pck'
        if name == 'refine' and row['label'].endswith('refined'):
            assert not {'mpjpe_mm', 'pa_mpjpe_mm'} & set(row['ours'])
            metric = 'mpjpe_true_depth_mm'
        assert row['ours'][metric]['mean'] >= 0
    text = Path(f'work_dirs/tables/{name}/table.md').read_text()
    assert 'paper' in text and content['paper'].split(',')[0] in text
    if name in ('table3', 'table4'):  # one pre-training and one completion for all rows
        assert len(trainings()) == 2
        rows = {row['label']: row['ours'] for row in content['rows']}
        for label, ours in rows.items():
            if label.endswith(', as released') and name == 'table4':
                correct = rows[label.removesuffix(', as released')]
                # Three of 17 joints count.
                assert ours['mpjpe_mm']['mean'] < correct['mpjpe_mm']['mean'] / 3
    if name == 'refine':  # the refinement continues the training of the first row
        assert trainings() == ['refine_h36m', 'stage1_h36m', 'stage2_h36m']
    if name == 'table6':
        assert trainings().count('stage1_h36m_amass') == 2
        assert trainings().count('stage2_h36m16') == 3


def test_a_pretraining_decides_the_training_after_it(folder):
    content = benchmark(tiny('table6'), only='2D*')
    only2d, both = (row['ours']['mpjpe_mm']['mean'] for row in content['rows'])
    assert only2d != both
    before = trainings()
    again = benchmark(Path('table6.yaml'), only='2D*')
    assert trainings() == before
    assert [row['ours'] for row in again['rows']] == [row['ours'] for row in content['rows']]


def test_processes_share_the_pretraining(folder):
    content = benchmark(tiny('refine'), work_dir='one')
    again = benchmark(Path('refine.yaml'), work_dir='two', jobs=2)
    assert [row['ours'] for row in again['rows']] == [row['ours'] for row in content['rows']]
    assert len(list(Path('two/trainings').iterdir())) == 3


def test_rows_without_files_name_those_of_both_stages(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = benchmark(TABLES / 'table2.yaml', dry_run=True)
    needed = content['rows'][0]['needed']
    for path in (
        'data/3dhp/data_test_3dhp.npz',
        'data/amass/amass.npz',
        'data/h36m/data_3d_h36m.npz',
    ):
        assert any(path in reason for reason in needed), path
    assert not any('amass' in reason for reason in content['rows'][2]['needed'])


@pytest.mark.parametrize(
    'entry, message',
    [
        ('{options: {a: 1}}', "'config' is missing"),
        ('{config: ../stage1_h36m.py, confg: 1}', "unknown key 'confg'"),
        ('[1]', 'expected a mapping'),
    ],
)
def test_bad_pretraining(tmp_path, entry, message):
    path = tmp_path / 'bad.yaml'
    path.write_text(
        f'title: a\nmetrics: [mpjpe_mm]\nrows:\n'
        f'- {{label: a, config: a.py, pretraining: {entry}, train: true}}\n'
    )
    with pytest.raises(InputError, match=message):
        load_table(path)


def matrix_products(sizes):
    """Two operations per product of an entry: sizes are (rows, inner, columns)."""
    return sum(2 * rows * inner * columns for rows, inner, columns in sizes)


def block(frames, width, hidden, keep=None, kernel=1):
    """Operations of one block, written out: four projections, two products of attention, two layers."""
    keep = frames if keep is None else keep
    return matrix_products(
        [(frames, width, width)] * 4
        + [(frames, width, frames), (frames, frames, width)]
        + [(frames, width, hidden), (keep, kernel * hidden, width)]
    )


def test_cost_by_hand():
    frames, joints, width = 27, 16, 32
    size = dict(frames=frames, joints=joints, channels=width, hidden=48, layers=2, heads=4)
    stage1 = MPMStage1(**size).eval()
    inputs = [
        (torch.zeros(1, frames, joints, 2), '2d'),
        (torch.zeros(1, frames, joints, 3), '3d'),
    ]
    for kind, coordinates in (('2d', 2), ('3d', 3)):
        found = network_cost(stage1, inputs, [f'encoder{kind}'])
        wanted = matrix_products([(frames, joints * coordinates, 2 * width)])
        assert found['flops_m'] * 1e6 == pytest.approx(wanted)
        # Weights and biases of one layer, and scale and shift of its batch norm.
        assert found['params_k'] * 1e3 == pytest.approx(2 * width * (coordinates * joints + 1 + 2))
        found = network_cost(stage1, inputs, [f'decoder{kind}', f'fcn_dec{kind}'])
        wanted = block(frames, width, 48) + matrix_products([(frames, width, joints * coordinates)])
        assert found['flops_m'] * 1e6 == pytest.approx(wanted)
    shared = network_cost(stage1, inputs, ['shared_layers_spatial', 'shared_layers_temporal'])
    spatial = matrix_products([(frames, 2 * width, 2 * width)] * 2 + [(frames, 2 * width, width)])
    assert shared['flops_m'] * 1e6 == pytest.approx(spatial + 2 * block(frames, width, 48))
    stage2 = MPMStage2(**size).eval()
    strided = 0
    length = frames
    for _ in range(3):
        strided += block(length, width, 48, length // 3, kernel=3)
        length //= 3
    found = network_cost(stage2, [inputs[0][:1]], ['reduce'])
    assert found['flops_m'] * 1e6 == pytest.approx(strided)
    with pytest.raises(InputError, match='no part encoder4d; its parts are encoder2d'):
        network_cost(stage1, inputs, ['encoder4d'])


@pytest.mark.parametrize('name', ['table5_open', 'tableD_open'])
def test_cost_tables(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    content = benchmark(TABLES / f'{name}.yaml')
    rows = {row['label']: row for row in content['rows']}
    assert all(row['status'] == 'done' for row in rows.values())
    if name == 'table5_open':
        parameters = {label: row['ours']['params_k']['mean'] for label, row in rows.items()}
        # Counts of the released classes.
        assert parameters['2D encoder'] == pytest.approx(17.920)
        assert parameters['3D encoder'] == pytest.approx(26.112)
        assert parameters['shared layers, four blocks as released'] == pytest.approx(2829.824)
        assert parameters['3D decoder, stage I'] == pytest.approx(540.464)
        assert parameters['3D decoder, stage II'] == pytest.approx(4146.224)
