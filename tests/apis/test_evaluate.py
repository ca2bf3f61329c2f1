"""Stored results scored again: the digits of the run, other protocols, no network, and what it refuses."""

import dataclasses
import json
import runpy
import shutil
import sys
from pathlib import Path

import pytest

from hrtk.apis import adapt, evaluate
from hrtk.errors import InputError
from hrtk.evaluation import Protocol, register_protocol
from hrtk.models.estimators import HMR
from hrtk.results import Result

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / 'configs/source/r18_wild.py'
OPTIONS = {'dataset.sequences': 2, 'dataset.frames': 3, 'dataset.size': 64, 'outputs': None}
PYTHON_CONFIG = """
from mmengine.config import read_base

from hrtk.adapters import Source

with read_base():
    from .._base_.default_runtime import *
    from .._base_.estimators.hmr_r18 import *
    from .._base_.datasets.open_wild import *

dataset.update(sequences=2, frames=3, size=64)
estimator.update(weights='open:r18_studio')
adapter = dict(type=Source)
outputs = None
"""
register_protocol(
    Protocol('test_neck', 'LSP-14 joints, relative to the neck', root=('neck_mocap',))
)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """(work dir, metrics) of a run of the frozen start model."""
    folder = tmp_path_factory.mktemp('run')
    return folder, adapt(CONFIG, work_dir=folder, cfg_options=OPTIONS)


def one(metrics):
    assert len(metrics) == 1
    return next(iter(metrics.values()))


def test_same_protocol_gives_the_digits_of_the_run(run, monkeypatch):
    folder, metrics = run
    monkeypatch.setattr(HMR, '__init__', lambda *args, **kwargs: pytest.fail('a network was built'))
    before = (folder / 'metrics.json').read_bytes()
    again = one(evaluate(folder))
    assert again == metrics and again['Source/mpjpe_mm'] > 0
    written = list(folder.glob('results/*/evaluation/open/metrics.json'))
    assert len(written) == 1 and written[0].read_bytes() == before


def test_other_protocol_gives_what_a_run_under_it_would(run, tmp_path, capsys):
    folder, metrics = run
    again = one(evaluate(next(folder.glob('results/*')), protocol='test_neck'))
    direct = adapt(
        CONFIG, work_dir=tmp_path, cfg_options={**OPTIONS, 'evaluator.protocol': 'test_neck'}
    )
    assert {k: v for k, v in again.items() if 'ms_per' not in k} == {
        k: v for k, v in direct.items() if 'ms_per' not in k
    }
    assert again['Source/mpjpe_mm'] != metrics['Source/mpjpe_mm']
    assert again['Source/pa_mpjpe_mm'] == pytest.approx(
        metrics['Source/pa_mpjpe_mm']
    )  # knows no root
    assert 'protocol test_neck' in capsys.readouterr().out


def test_results_of_a_python_config(tmp_path, run):
    (tmp_path / 'configs').mkdir()
    (tmp_path / 'configs/_base_').symlink_to(ROOT / 'configs/_base_')
    (tmp_path / 'configs/own').mkdir()
    (tmp_path / 'configs/own/python.py').write_text(PYTHON_CONFIG)
    adapt(tmp_path / 'configs/own/python.py', work_dir=tmp_path / 'out')
    assert one(evaluate(tmp_path / 'out'))['Source/mpjpe_mm'] == run[1]['Source/mpjpe_mm']


def test_refuses_part_of_the_results(tmp_path):
    adapt(CONFIG, work_dir=tmp_path, cfg_options=OPTIONS)
    next(tmp_path.glob('results/*/*.npz')).unlink()
    with pytest.raises(InputError, match='1 of 2 sequences'):
        evaluate(tmp_path)


def test_refuses_results_of_other_data(tmp_path):
    adapt(CONFIG, work_dir=tmp_path, cfg_options=OPTIONS)
    record = next(tmp_path.glob('results/*/run.json'))
    content = json.loads(record.read_text())
    assert content['config']['dataset']['noise'] == 'detector'
    content['config']['dataset']['noise'] = 'clean'
    record.write_text(json.dumps(content))
    with pytest.raises(InputError, match='run.json has now.*The data changed'):
        evaluate(tmp_path)


def test_a_misspelt_part_names_the_file(run, tmp_path):
    shutil.copytree(run[0], tmp_path / 'copy')
    record = next((tmp_path / 'copy').glob('results/*/run.json'))
    content = record.read_text()
    for part, name in (('dataset', 'OpenStream'), ('estimator', 'BodyModel')):
        assert f'"{name}"' in content, part
        record.write_text(content.replace(f'"{name}"', f'"X{name[1:]}"'))
        with pytest.raises(InputError, match=f"^{record}: there is no .* 'X{name[1:]}'"):
            evaluate(tmp_path / 'copy')


def test_a_result_with_another_joint_list_is_of_other_data(run, tmp_path):
    shutil.copytree(run[0], tmp_path / 'copy')
    path = next((tmp_path / 'copy').glob('results/*/*.npz'))
    result = Result.load(path)
    dataclasses.replace(result, skeleton='text').save(path)
    with pytest.raises(InputError, match=f'^{path}: .*{result.name!r} than the data'):
        evaluate(tmp_path / 'copy')


@pytest.mark.parametrize('config', ['', '.'])
def test_a_config_without_a_name(config):
    with pytest.raises(InputError, match=f"there is no config '{config}'; give the path"):
        adapt(config)


@pytest.mark.parametrize('content', [None, '{', '{}', '{"config": "a = ("}'])
def test_unreadable_results(tmp_path, content):
    folder = tmp_path / 'results/123'
    folder.mkdir(parents=True)
    if content is not None:
        (folder / 'run.json').write_text(content)
    with pytest.raises(InputError, match='run.json'):
        evaluate(tmp_path)


def test_tool(run, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['evaluate.py', str(run[0]), '--protocol', 'opn'])
    with pytest.raises(SystemExit) as exit:
        runpy.run_path(str(ROOT / 'tools/evaluate.py'), run_name='__main__')
    assert exit.value.code == 2 and "Did you mean 'open'" in capsys.readouterr().err
