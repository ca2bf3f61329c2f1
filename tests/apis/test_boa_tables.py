"""BOA's Tables 5 and 6 and Figure 6 by their commands, on tiny files of 3DPW's official layout."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from hrtk.apis import benchmark, build_model
from hrtk.testing import write_checkpoint, write_official_files

TABLES = Path(__file__).parents[2] / 'configs/boa/tables'
# One track of three frames, of which the last has a past; only the head adapts, so that the trunk runs once per crop.
TINY = {
    'dataset.sequences': ['free_clip_01'],
    'adapter.parameters': 'head',
    'adapter.interval': 2,
    'adapter.lr': 1e-4,
    'adapter.inner_lr': 1e-5,
}
PUBLISHED = {
    'B1': (86.0, 55.7),
    'B2': (245.5, 140.1),
    'B3': (94.5, 58.9),
    'B4': (91.5, 59.3),
    'B5': (85.1, 55.2),
    'B6': (257.1, 142.5),
    'B7': (81.8, 53.0),
    'B8': (82.1, 51.7),
    'BOA': (77.3, 49.5),
}


@pytest.fixture(scope='module')
def official(tmp_path_factory):
    folder = tmp_path_factory.mktemp('boa_tables')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('HRTK_CACHE', str(folder / 'cache'))
        write_official_files(folder / 'data', frames=3)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        write_checkpoint(build_model('boa'), folder / 'data/boa/basemodel.pt', 'model', 'module.')
    yield folder
    shutil.rmtree(folder)


def run(name, only=None):
    """The published table with the tiny options below the rows' own."""
    content = yaml.safe_load((TABLES / f'{name}.yaml').read_text())
    content['options'] = {**TINY, **content['options']}
    for row in content['rows']:
        row['config'] = str((TABLES / row['config']).resolve())
    Path(f'{name}.yaml').write_text(yaml.safe_dump(content))
    benchmark(f'{name}.yaml', only=only)
    stored = json.loads(Path(f'work_dirs/tables/{name}/table.json').read_text())
    return {row['label']: row for row in stored['rows']}


def test_tables_and_figure_run_and_share_work(official, monkeypatch):
    monkeypatch.chdir(official)
    rows = run('table5')
    assert len(rows) == 7
    rows.update({**run('table6'), **run('figure6', 'T = 2')})
    assert len(rows) == 7 + 3 + 2
    values = {}
    for label, row in rows.items():
        (finished,) = row['runs']
        metrics = finished['metrics']
        assert math.isfinite(metrics['mpjpe_mm']) and metrics['skipped_updates'] == 0, label
        values[label] = metrics['mpjpe_mm']
        index = label.split(':')[0]
        if index in PUBLISHED:
            assert (row['paper']['mpjpe_mm'], row['paper']['pa_mpjpe_mm']) == PUBLISHED[index]
    for label, row in run('figure7').items():
        metrics = row['runs'][0]['metrics']
        assert -1 <= metrics['loss_correlation'] <= 1 and metrics['keypoints_loss'] > 0
        assert metrics['mpjpe_mm'] == values[label], 'the runs of Table 5'
    # Every scheme is another one; BOA's run is that of both tables.
    full = [label for label in values if label.startswith('BOA: ')]
    assert len(full) == 2 and len({values[label] for label in full}) == 1
    assert len(set(values.values())) == len(values) - 1
