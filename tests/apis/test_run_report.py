"""tools/report.py: its numbers are those of the run, another run beside it, own images without ground truth."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import hrtk.apis.look.report as api
import hrtk.visualization.report as page_module
from hrtk.apis import adapt, evaluate
from hrtk.apis.look.report import report
from hrtk.errors import InputError

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / 'configs/source/r18_wild.py'
OPTIONS = {'dataset.sequences': 2, 'dataset.frames': 3, 'dataset.size': 64, 'outputs': None}


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    """Work dirs of a run, and of one whose stored bodies were changed; metrics of both."""
    first, second = (tmp_path_factory.mktemp('runs') / name for name in ('first', 'second'))
    metrics = adapt(CONFIG, work_dir=first, cfg_options=OPTIONS)
    shutil.copytree(first, second)
    for path in second.glob('results/*/*.npz'):
        arrays = dict(np.load(path))
        arrays['rotmat'][:, 4] = np.diag([1, -1, -1])
        np.savez(path, **arrays)
    return first, second, metrics, next(iter(evaluate(second).values()))


@pytest.fixture(autouse=True)
def without_plotly(monkeypatch):
    for module in (api, page_module):
        monkeypatch.setattr(module, 'plotly_script', lambda: '/* stand-in */')


def rows_of(text: str) -> dict[str, list[str]]:
    """Cells of the tables by their row."""
    return {
        re.findall(r'<th scope="row">(.*?)</th>', row)[0]: re.findall(r'<td>(.*?)</td>', row)
        for row in re.findall(r'<tr><th scope="row">.*?</tr>', text)
    }


def data_of(text: str) -> list[dict]:
    return [json.loads(part) for part in re.findall(r'class="data">(.*?)</script>', text)]


def test_run_alone(runs):
    text = report(runs[0]).read_text(encoding='utf-8')
    rows = rows_of(text)
    assert rows['Source'][0] == f'{runs[2]["Source/mpjpe_mm"]:.1f}' and 'change' not in rows
    tracks = data_of(text)
    means = [np.mean(track['errors']['MPJPE, mm']['before']) for track in tracks]
    assert np.mean(means) == pytest.approx(runs[2]['Source/mpjpe_mm'], abs=0.01)
    assert means == sorted(means, reverse=True)  # the worst first
    assert set(re.findall(r'class="mesh" data-role="(\w+)"', text)) == {'before', 'truth'}


@pytest.mark.parametrize('key', ['seed', 'versions'])
def test_a_run_that_lacks_its_facts(runs, tmp_path, key):
    damaged = tmp_path / 'damaged'
    shutil.copytree(runs[0], damaged)
    path = next(damaged.glob('results/*/run.json'))
    content = json.loads(path.read_text())
    content[f'{key}s'] = content.pop(key)
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match='run.json: lacks seed or versions; run tools/adapt.py'):
        report(damaged, sequences='*_000')


def test_frames_that_the_gate_did_not_keep_are_marked(runs, tmp_path):
    gated = tmp_path / 'gated'
    shutil.copytree(runs[0], gated)
    for path in gated.glob('results/*/*.npz'):
        np.savez(path, **dict(np.load(path)), adapted_share=np.float32([0, 0.5, 1]))
    (before,) = data_of(report(runs[0], sequences='*_000').read_text(encoding='utf-8'))
    (after,) = data_of(report(gated, sequences='*_000').read_text(encoding='utf-8'))
    others = dict(before['doubts'])
    told = dict(after['doubts'])
    assert told[0].removeprefix(f'{others.get(0)}; ').startswith('DoNoHarm replaced')
    assert told[1].removeprefix(f'{others.get(1)}; ').startswith('DoNoHarm blended')
    assert told.get(2) == others.get(2)


def test_run_beside_another(runs, tmp_path):
    first, second, metrics, changed = runs
    path = report(second, before=first, output=tmp_path / 'new/page.html')
    rows = rows_of(path.read_text(encoding='utf-8'))
    before, after = metrics['Source/mpjpe_mm'], changed['Source/mpjpe_mm']
    assert after - before > 1
    assert [rows[name][0] for name in ('Source (first)', 'Source (second)', 'change')] == [
        f'{before:.1f}',
        f'{after:.1f}',
        f'{after - before:+.1f}',
    ]


def test_part_of_the_frames_and_sequences(runs, tmp_path):
    text = report(runs[0], output=tmp_path / 'x.html', sequences='*_001', frames=2).read_text(
        encoding='utf-8'
    )
    (track,) = data_of(text)
    assert (
        track['name'].endswith('_001') and track['shown'] == [0, 2] and len(track['frameIds']) == 3
    )
    text = report(runs[0], output=tmp_path / 'x.html', most=1).read_text(encoding='utf-8')
    assert len(data_of(text)) == 1 and 'the 1 of 2 sequences with the largest errors' in text


def test_refusals(runs, tmp_path):
    with pytest.raises(InputError, match='no sequence fits'):
        report(runs[0], sequences='nobody')
    with pytest.raises(InputError, match='at least 1'):
        report(runs[0], frames=0)
    with pytest.raises(InputError, match='run tools/adapt.py first'):
        report(tmp_path)
    other = tmp_path / 'other'
    adapt(
        CONFIG, work_dir=other, cfg_options={**OPTIONS, 'dataset.frames': 2, 'dataset.sequences': 1}
    )
    with pytest.raises(InputError, match='same data'):
        report(runs[0], before=other)


def test_own_images_without_truth(tmp_path):
    images, annotations = [], []
    for number in range(3):
        cv2.imwrite(str(tmp_path / f'{number}.png'), np.full((80, 60, 3), 90, np.uint8))
        points = np.concatenate(
            [np.random.default_rng(number).uniform(10, 50, (17, 2)), np.full((17, 1), 2)], 1
        )
        images.append(dict(id=number, file_name=f'{number}.png', width=60, height=80))
        annotations.append(
            dict(
                id=number,
                image_id=number,
                category_id=1,
                track_id=1,
                keypoints=points.ravel().tolist(),
            )
        )
    (tmp_path / 'k.json').write_text(json.dumps(dict(images=images, annotations=annotations)))
    config = ROOT / 'configs/boa/r18_video.py'
    adapt(
        config,
        work_dir=tmp_path / 'run',
        cfg_options={
            'dataset.images': str(tmp_path),
            'dataset.keypoints': str(tmp_path / 'k.json'),
            'outputs': None,
            'adapter': dict(_delete_=True, type='Source'),
        },
    )
    text = report(tmp_path / 'run').read_text(encoding='utf-8')
    (track,) = data_of(text)
    assert list(track['errors']) == ['reprojection error, px'] and 'without 3D ground truth' in text
    assert re.findall(r'data-role="(\w+)"', text) == ['before']


def test_command(runs, monkeypatch, capsys, tmp_path):
    for arguments, code in (
        ([str(runs[0]), '--output', str(tmp_path / 'p.html')], 0),
        ([str(tmp_path)], 2),
    ):
        monkeypatch.setattr(sys, 'argv', ['report.py', *arguments])
        with pytest.raises(SystemExit) as exit:
            runpy.run_path(str(ROOT / 'tools/report.py'), run_name='__main__')
        assert exit.value.code == code
    assert re.search(r'p\.html: \d+\.\d MB', capsys.readouterr().out)
