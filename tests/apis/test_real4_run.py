"""The benchmark real4 on its videos: the numbers that its data set states for the frozen model and MediaPipe."""

import json
import zipfile
from pathlib import Path

import pytest

from hrtk.apis import adapt, evaluate_joints
from hrtk.datasets.own.real4 import VIDEO_HASHES, VIDEOS_IN_WHEEL, prepare_real4

CONFIG = Path(__file__).parents[2] / 'configs/real4/source_r18.py'
AS_DETECTED = {'outputs': None, 'dataset.repair_sides': False, 'evaluator.protocol': 'real4'}
# MPJPE and PA-MPJPE in mm by camera, every fourth frame, measured by numpy alone when the data set was made.
FROZEN = ((396, 242), (264, 161), (440, 200), (513, 226))
MEDIAPIPE = ((103, 77), (219, 121), (125, 85), (115, 81))
MEAN_POSE = ((165, 103),) * 4


@pytest.fixture
def project(data_root, tmp_path, monkeypatch):
    wheel = tmp_path / 'x.whl'
    with zipfile.ZipFile(wheel, 'w') as archive:
        for name in VIDEO_HASHES:
            video = data_root / f'real4/videos/{name}.mp4'
            archive.write(video, f'{VIDEOS_IN_WHEEL}/{name}.mp4')
    prepare_real4(wheel, tmp_path / 'data/real4')
    monkeypatch.chdir(tmp_path)
    return Path('data/real4')


def errors(work_dir, row):
    report = json.loads((work_dir / 'metrics.json').read_text())
    rows = [entry['rows'][row] for entry in report['per_sequence']]
    return [(entry['mpjpe_mm'], entry['pa_mpjpe_mm']) for entry in rows]


def test_numbers_of_the_data_set(project, tmp_path):
    adapt(CONFIG, cfg_options=AS_DETECTED, work_dir=tmp_path / 'frozen')
    for found, stated in zip(errors(tmp_path / 'frozen', 'Source'), FROZEN):
        assert found == pytest.approx(stated, abs=1)
    for name, expected in (('mediapipe', MEDIAPIPE), ('mean_pose', MEAN_POSE)):
        evaluate_joints(
            project / 'joints' / name, CONFIG, cfg_options=AS_DETECTED, work_dir=tmp_path / name
        )
        for found, stated in zip(errors(tmp_path / name, 'joints'), expected):
            assert found == pytest.approx(stated, abs=1)
