"""Joints of other programs: scored by call, by command and as rows of a table."""

import dataclasses
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from hrtk.apis import benchmark, evaluate_joints
from hrtk.body_models.skeletons import joint_names
from hrtk.datasets import SequenceDataset
from hrtk.errors import InputError
from hrtk.registry import DATASETS
from hrtk.structures import GroundTruth
from hrtk.testing import coloured_sequence

ROOT = Path(__file__).parents[2]
F = 6
JOINTS = np.random.default_rng(0).normal(0, 0.4, (2, F, 12, 3)) + (0, 0, 4)


@DATASETS.register_module(force=True)
class MeasuredClips(SequenceDataset):
    """Two clips of noise with measured joints, every n-th frame."""

    def __init__(self, stride=1):
        self.stride = stride

    def __len__(self):
        return 2

    def __getitem__(self, index):
        if index >= 2:
            raise IndexError(index)
        frames = range(0, F, self.stride)
        sequence = coloured_sequence(f'clip {index}', len(frames), 40, seed=index)
        joints = torch.from_numpy(JOINTS[index][list(frames)]).float()
        return dataclasses.replace(
            sequence,
            truth=GroundTruth(joints3d=joints, skeleton='body12'),
            frame_ids=tuple(f'{frame:03d}' for frame in frames),
        )


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'clips.py'
    path.write_text(
        f"_base_ = '{ROOT}/configs/source/r18_wild.py'\n"
        f"dataset = dict(_delete_=True, type='MeasuredClips', stride=1)\n"
        f"evaluator = dict(protocol='real4')\n"
    )
    return path


@pytest.fixture
def folder(tmp_path):
    """Joints that are too small: of the first clip by a tenth, of the second by a fifth."""
    (tmp_path / 'small').mkdir()
    for index in range(2):
        scale = 0.9 - 0.1 * index
        content = dict(
            joints=joint_names('body12'),
            frame_ids=[f'{frame:03d}' for frame in range(F)],
            xyz=(scale * JOINTS[index] + 7).tolist(),
        )
        (tmp_path / f'small/clip {index}.json').write_text(json.dumps(content))
    return tmp_path / 'small'


def expected(frames):
    """MPJPE in mm, relative to the middle of the hips."""
    centred = JOINTS - JOINTS[:, :, 6:8].mean(2, keepdims=True)
    distance = 1000 * np.linalg.norm(centred[:, frames], axis=-1)
    return (0.1 * distance[0].mean() + 0.2 * distance[1].mean()) / 2


def test_call(config, folder, tmp_path, capsys):
    metrics = evaluate_joints(folder, config, work_dir=tmp_path / 'out')
    assert metrics['joints/mpjpe_mm'] == pytest.approx(expected(range(F)), rel=1e-4)
    assert metrics['joints/pa_mpjpe_mm'] < 0.01
    assert metrics['sequences'] == 2 and metrics['frames'] == 2 * F
    assert 'protocol real4' in capsys.readouterr().out
    report = json.loads((tmp_path / 'out/metrics.json').read_text())
    assert list(report['per_sequence'][0]['rows']) == ['joints']
    assert report['by_joint_mm']['joints']['left_wrist'] > 0
    metrics = evaluate_joints(folder, config, cfg_options={'dataset.stride': 3})
    assert metrics['joints/mpjpe_mm'] == pytest.approx(expected([0, 3]), rel=1e-4)


def test_command(config, folder, monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['evaluate.py', *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(ROOT / 'tools/evaluate.py'), run_name='__main__')
        return ended.value.code

    assert run(folder, '--config', config, '--cfg-options', 'dataset.stride=2') == 0
    assert f'{expected([0, 2, 4]):.1f}' in capsys.readouterr().out
    (folder / 'clip 1.json').unlink()
    assert run(folder, '--config', config) == 2
    assert 'clip 1.json: there is no such file of joints' in capsys.readouterr().err.replace(
        '\n', ' '
    )


def test_rows_of_a_table(config, folder, tmp_path):
    (tmp_path / 'clips.yaml').write_text(f"""
title: Joints beside a run
metrics: [mpjpe_mm, worse_share]
baseline: Source
rows:
- {{label: Source, config: {config}}}
- {{label: small, config: {config}, joints: small, baseline: null}}
- {{label: 'small, stride 3', config: {config}, joints: small, options: {{dataset.stride: 3}}}}
- {{label: nowhere, config: {config}, joints: nowhere}}
""")
    rows = {row['label']: row for row in benchmark('clips.yaml', work_dir='out')['rows']}
    assert rows['small']['ours']['mpjpe_mm']['mean'] == pytest.approx(expected(range(F)), rel=1e-4)
    assert rows['small']['change'] == {} and 'worse_share' not in rows['small']['ours']
    third = rows['small, stride 3']
    assert third['ours']['mpjpe_mm']['mean'] == pytest.approx(expected([0, 3]), rel=1e-4)
    change = third['ours']['mpjpe_mm']['mean'] - rows['Source']['ours']['mpjpe_mm']['mean']
    assert third['change']['mpjpe_mm']['mean'] == pytest.approx(change)
    assert (
        rows['nowhere']['status'] == 'failed' and 'nowhere' in rows['nowhere']['runs'][0]['error']
    )
    assert rows['Source']['status'] == 'done'
    folders = {rows[label]['runs'][0]['folder'] for label in ('Source', 'small', 'small, stride 3')}
    assert len(folders) == 3


def test_other_evaluators_are_refused(config, folder):
    with pytest.raises(InputError, match='ForegroundIoU does not score joints'):
        evaluate_joints(
            folder, config, cfg_options={'evaluator': dict(_delete_=True, type='ForegroundIoU')}
        )
