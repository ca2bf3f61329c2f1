"""Values of other types in tables and in the folders of trainings: a message that names the file."""

import json

import pytest
import torch

from hrtk.apis.tables.table import load_table
from hrtk.apis.train import train
from hrtk.apis.zoo.publish import publish
from hrtk.errors import InputError

ROW = {'label': 'a', 'config': 'a.py', 'paper': {'mpjpe_mm': 3}}
TABLE = {'title': 't', 'metrics': ['mpjpe_mm'], 'rows': [ROW]}


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (dict(title=3), 'title is a text'),
        (dict(paper=['x']), 'paper is a text'),
        (dict(seeds=['0']), 'each of seeds is a whole number'),
        (dict(seeds=[True]), 'each of seeds is a whole number'),
        (dict(seeds=[0, 2**32]), 'each of seeds is from 0 to'),
        (dict(seeds=[None]), 'each of seeds is from 0 to'),
        (dict(seeds=[-1]), 'each of seeds is from 0 to'),
        (dict(seed_keys=[3]), 'each of seed_keys is a text'),
        (dict(metrics=[{}]), 'each of metrics is a text'),
        (dict(options=[1]), 'options is a mapping'),
        (dict(options={3: 4}), 'options is a mapping with names'),
        (dict(rows=[dict(ROW, label=3)]), 'row 1: label is a text'),
        (dict(rows=[dict(ROW, config=['a.py'])]), 'row 1: config is a text'),
        (dict(rows=[dict(ROW, options='x')]), 'row 1: options is a mapping'),
        (dict(rows=[dict(ROW, paper='x')]), 'row 1: paper is a mapping'),
        (dict(rows=[dict(ROW, paper={'mpjpe_mm': 'x'})]), 'row 1: paper.mpjpe_mm must be numbers'),
        (dict(rows=[dict(ROW, vary=3)]), 'row 1: vary is a mapping'),
        (dict(rows=[dict(ROW, label='{}', vary={'lr': 3})]), 'row 1: vary.lr is a list'),
        (dict(rows=[dict(ROW, joints=3)]), 'row 1: joints is a text'),
    ],
)
def test_tables(tmp_path, change, words):
    path = tmp_path / 'table.yaml'
    path.write_text(json.dumps({**TABLE, **change}).replace('"3":', '3:'))
    with pytest.raises(InputError) as error:
        load_table(path)
    assert str(error.value).startswith(f'{path}: ') and words in str(error.value)


def test_braces_in_a_label_are_no_format(tmp_path):
    path = tmp_path / 'table.yaml'
    row = dict(ROW, label='{x} {} {0.real} {}', vary={'a': [0.5], 'b': ['{}']}, paper={})
    path.write_text(json.dumps(dict(TABLE, rows=[row])))
    (only,) = load_table(path).rows
    assert only.label == '{x} 0.5 {0.real} {}'


STATE = {'estimator.a': torch.ones(2)}
META = dict(seed=0, iter=3, cfg='a = 3')


@pytest.fixture
def work_dir(tmp_path):
    """The folder of a finished training."""
    torch.save(dict(state_dict=STATE, meta=META), tmp_path / 'epoch_1.pth')
    (tmp_path / 'last_checkpoint').write_text('/another/machine/epoch_1.pth')
    (tmp_path / 'log/vis_data').mkdir(parents=True)
    (tmp_path / 'log/vis_data/scalars.json').write_text('{"views/a": 1.234, "step": 1}\n')
    return tmp_path


def test_a_training_is_published(work_dir):
    record = publish(work_dir, work_dir / 'out.pt')
    assert record['validation'] == [{'epoch': 1, 'a': 1.23}] and record['config'] == {'a': 3}
    assert torch.load(work_dir / 'out.pt')['state_dict']['a'].dtype == torch.float16


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (dict(state_dict=STATE), 'epoch_1.pth: its meta lacks'),
        (dict(state_dict=STATE, meta=3), 'epoch_1.pth: its meta lacks'),
        (dict(state_dict=STATE, meta=dict(META, cfg=3)), 'epoch_1.pth: holds no config'),
        (dict(state_dict=[1], meta=META), 'epoch_1.pth: has no weights'),
        (dict(state_dict={'estimator.a': 3}, meta=META), 'epoch_1.pth: has no weights'),
        (dict(state_dict={3: torch.ones(2)}, meta=META), "epoch_1.pth: no checkpoint: '3'"),
        (
            dict(state_dict={'estimator.a': torch.full((2,), torch.nan)}, meta=META),
            'epoch_1.pth: a has values that are not finite',
        ),
    ],
)
def test_wrong_checkpoints_are_not_published(work_dir, content, words):
    torch.save(content, work_dir / 'epoch_1.pth')
    with pytest.raises(InputError, match=words):
        publish(work_dir, work_dir / 'out.pt')
    assert not (work_dir / 'out.pt').exists()


@pytest.mark.parametrize(
    'name, words',
    [
        (b'', 'names'),
        (b'epoch_9.pth', 'names'),
        (b'x' * 5000, 'names'),
        (b'.', 'names'),
        (b'\0', 'names'),
        (b'epoch_\x8f', 'UTF-8'),
    ],
)
def test_a_pointer_to_nothing(work_dir, name, words):
    (work_dir / 'last_checkpoint').write_bytes(name)
    with pytest.raises(InputError, match=f'last_checkpoint: .*{words}'):
        publish(work_dir, work_dir / 'out.pt')
    part = dict(type='SupervisedTraining')
    config = dict(
        model=part, train_dataloader=part, optim_wrapper=part, train_cfg=part, resume=True
    )
    with pytest.raises(InputError, match=f'last_checkpoint: .*{words}'):
        train(config, work_dir=str(work_dir))


@pytest.mark.parametrize(
    'line', ['[1]', '{"views/a": 1}', '{"views/a": "x", "step": 1}', '{"views/a": 1, "step": []}']
)
def test_lines_of_a_log(work_dir, line):
    (work_dir / 'log/vis_data/scalars.json').write_text(line)
    with pytest.raises(InputError, match='scalars.json: a line is no object of numbers'):
        publish(work_dir, work_dir / 'out.pt')
    assert not (work_dir / 'out.pt').exists()
