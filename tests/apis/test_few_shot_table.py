"""The thesis' few-shot table, as the command computes it, on small files of the official layouts."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from hrtk.apis import benchmark, build_model
from hrtk.testing import write_checkpoint, write_official_files

TABLE = Path(__file__).parents[2] / 'configs/few_shot/tables/thesis_table4.yaml'
# Less of the data, fewer steps and smaller crops, nothing else: samples of two frames, at most two of them.
TINY = {
    'estimator.image.resolution': 64,
    'adapter.source.dataset.resolution': 64,
    'adapter.clip': 2,
    'adapter.source.dataset.frames': 2,
    'adapter.source.dataset.length': 3,
    'adapter.source.batch': 2,
    'adapter.batch': 2,
    'adapter.steps': 2,
    'adapter.lr': 1e-5,
    'outputs': None,
}
SAMPLES = {'0': 0, '10': 2, '25': 2, '50': 4, '100': 4, '200': 4}


@pytest.fixture
def official(tmp_path, monkeypatch, shared_cache):
    """A folder with ``data``, in which the command is called."""
    monkeypatch.setenv('HRTK_CACHE', str(shared_cache))
    write_official_files(tmp_path / 'data', sequences=1, frames=16, size=96)
    torch.manual_seed(0)
    write_checkpoint(build_model('spin'), tmp_path / 'data/spin/model_checkpoint.pt')
    path = tmp_path / 'data/vibe/vibe_model_wo_3dpw.pth.tar'
    write_checkpoint(build_model('vibe'), path, 'gen_state_dict')
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    shutil.rmtree(tmp_path / 'data')


def small(rows):
    """The rows of 0 and 50 samples with their configs and options, and less data."""
    for row in rows:
        number = row['label'].removeprefix('VIBE, ').removeprefix('Metric, ').split(' ')[0]
        options = {**row.get('options', {}), **TINY, 'adapter.shots': SAMPLES[number]}
        if number in ('0', '50'):
            yield dict(row, config=str((TABLE.parent / row['config']).resolve()), options=options)


def test_the_table_of_the_thesis(official):
    content = yaml.safe_load(TABLE.read_text())
    labels = [row['label'] for row in content['rows']]
    assert len(labels) == 11 and labels[5:7] == ['VIBE, 50 samples', 'Metric, 50 samples, w = 1']
    content.update(rows=list(small(content['rows'])), seeds=[0])
    Path('tiny.yaml').write_text(yaml.safe_dump(content))
    table = benchmark('tiny.yaml')
    rows = {row['label']: row for row in table['rows']}
    assert not any(row.get('error') for row in rows.values())
    means = {}
    for label, row in rows.items():
        means[label] = [row['ours'][key]['mean'] for key in content['metrics']]
        assert np.isfinite(means[label]).all()
    start, plain, metric = means.values()
    assert start != plain and start != metric and plain != metric
    report = Path('work_dirs/tables/tiny/table.md').read_text()
    for number in ('90.75', '54.77', '107.30', '26.39', '91.04', '54.53', '106.87', '26.99'):
        assert number in report
