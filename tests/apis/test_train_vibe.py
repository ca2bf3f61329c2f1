"""VIBE's training on its own databases: losses by hand, and the tables of the thesis on hand-written files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hrtk import apis
from hrtk.apis import benchmark
from hrtk.apis.asset_list import ASSETS
from hrtk.apis.assets import PRESENT, status
from hrtk.evaluation import pa_mpjpe
from hrtk.models.estimators import HMR
from hrtk.models.temporal import VIBE
from hrtk.registry import MODELS
from hrtk.testing.joblib_writer import dump_joblib
from hrtk.training import VIBEErrors

ROOT = Path(__file__).parents[2]
HEAD = dict(type='IterativeRegressor', hidden=8)
BODY = dict(type='BodyModel', file='open')
BACKBONE = dict(type='ResNet', depth=18, width=4)
START = dict(type='HMR', backbone=BACKBONE, head=HEAD, resolution=32, body=BODY)
NETWORK = dict(type='VIBE', features=32, hidden=8, layers=1, regressor=HEAD)


@pytest.fixture
def data(tmp_path, monkeypatch, shared_cache):
    """The files below ``data/`` that VIBE's training names, tiny, and weights of tiny networks."""
    monkeypatch.setenv('HRTK_CACHE', str(shared_cache))
    monkeypatch.chdir(tmp_path)
    Path('data/vibe').mkdir(parents=True)
    Path('data/spin').mkdir()
    numbers = np.random.default_rng(0)
    everything = dict(joints3D=(49, 3), pose=(72,), shape=(10,))
    evaluated = dict(joints3D=(14, 3), pose=(72,), shape=(10,))
    for name, joints2d, shapes in (
        ('3dpw_train', 14, everything),
        ('3dpw_val', 14, evaluated),
        ('3dpw_test', 14, evaluated),
        ('mpii3d_train', 49, dict(joints3D=(49, 3))),
        ('mpii3d_val', 49, dict(joints3D=(49, 3))),
        ('pennaction_train', 13, {}),
        ('posetrack_train', 49, {}),
    ):
        write_database(f'data/vibe/{name}_db.pt', numbers, joints2d, shapes)
    theta = numbers.normal(scale=0.3, size=(40, 82))
    dump_joblib(dict(theta=theta, vid_name=np.repeat('walk', 40)), 'data/vibe/amass_db.pt')
    torch.manual_seed(0)
    start = {key: value for key, value in START.items() if key != 'type'}
    torch.save(dict(model=HMR(**start).state_dict()), 'data/spin/model_checkpoint.pt')
    network = {key: value for key, value in NETWORK.items() if key != 'type'}
    state = {}
    for key, value in VIBE(**network).state_dict().items():
        state[key if key.startswith('regressor') else f'encoder.{key}'] = value
    torch.save(dict(gen_state_dict=state), 'data/vibe/vibe_model_wo_3dpw.pth.tar')
    return numbers


def write_database(path, numbers, joints2d, shapes, frames=40):
    points = numbers.uniform(80, 120, (frames, joints2d, 3))
    points[..., 2] = 1
    content = dict(
        vid_name=np.repeat(['a', 'b'], frames // 2),
        img_name=np.array([f'{index}.jpg' for index in range(frames)]),
        frame_id=np.arange(frames),
        features=numbers.normal(size=(frames, 32)).astype(np.float32),
        bbox=np.tile([100.0, 100.0, 80.0, 80.0], (frames, 1)),
        joints2D=points,
    )
    for key, shape in shapes.items():
        content[key] = numbers.normal(scale=0.2, size=(frames, *shape))
    dump_joblib(content, path)


def clips(numbers, count=3, frames=4):
    """A batch of clips: the first has 2D labels alone, the second 3D joints too, the third everything."""
    rotation = torch.eye(3).repeat(count, frames, 24, 1, 1)
    labels = dict(
        features=torch.as_tensor(numbers.normal(size=(count, 1, frames, 32))).float(),
        keypoints2d=torch.as_tensor(numbers.uniform(0, 1, (count, frames, 49, 3))).float(),
        joints3d=torch.as_tensor(numbers.normal(size=(count, frames, 14, 3))).float(),
        has_joints3d=torch.tensor([0.0, 1.0, 1.0])[:, None].repeat(1, frames),
        rotmat=rotation,
        betas=torch.as_tensor(numbers.normal(size=(count, frames, 10))).float(),
        has_body=torch.tensor([0.0, 0.0, 1.0])[:, None].repeat(1, frames),
    )
    return labels


def test_checks_of_the_files(data):
    paths = {path.name for path in Path('data/vibe').glob('*_db.pt')}
    checked = [asset for asset in ASSETS if Path(asset.path).name in paths]
    states = {Path(asset.path).name: status(asset, 'data') for asset in checked}
    states.pop('3dpw_test_db.pt')  # its check wants features of 2048 numbers
    assert {state for state, _ in states.values()} == {PRESENT} and len(states) == 7
    assert states['3dpw_train_db.pt'][1] == '40 rows'
    assert states['amass_db.pt'][1] == '40 rows, 1 recordings'


def test_losses_are_those_of_the_released_code(data):
    model = MODELS.build(
        dict(
            type='MixedVideoTraining',
            network=NETWORK,
            start=dict(START, weights='data/spin/model_checkpoint.pt'),
            metric=dict(type='LogRatioLoss', skip=1),
            weights=dict(metric=0.1),
        )
    ).eval()
    batch = clips(data)
    torch.manual_seed(5)
    losses = model(mode='loss', **batch)
    with torch.no_grad():
        predicted = model.network(batch['features'][:, 0])
        rotmat = predicted.rotmat.flatten(0, 1)
        joints = model.body.joints(rotmat, predicted.betas.flatten(0, 1), 'spin49')
    joints = joints.double().numpy().reshape(3, 4, 49, 3)
    scale, *shift = predicted.camera.detach().double().numpy().transpose(2, 0, 1)
    # The released camera: a perspective one of focal length 5000 px before a crop of 224 px.
    depth = joints[..., 2] + (2 * 5000 / (224 * scale + 1e-9))[..., None]
    wanted = batch['keypoints2d'].double().numpy()
    squares = np.zeros((3, 4, 49, 2))
    for axis in (0, 1):
        image = 5000 * (joints[..., axis] + shift[axis][..., None]) / depth / 112
        squares[..., axis] = (image - wanted[..., axis]) ** 2
    expected = 300 * (wanted[..., 2:] * squares).mean()
    assert float(losses['loss_keypoints2d']) == pytest.approx(expected, rel=1e-3)

    # 3D joints of the last two clips: rows 25 to 38, relative to the middle of joints 2 and 3.
    common = joints[1:, :, 25:39]
    truth = batch['joints3d'][1:].double().numpy()
    common = common - (common[:, :, 2:3] + common[:, :, 3:4]) / 2
    truth = truth - (truth[:, :, 2:3] + truth[:, :, 3:4]) / 2
    expected = 300 * ((common - truth) ** 2).mean()
    assert float(losses['loss_joints3d']) == pytest.approx(expected, rel=1e-4)
    rotation = predicted.rotmat[2].detach().double().numpy()
    assert float(losses['loss_rotmat']) == pytest.approx(
        60 * ((rotation - np.eye(3)) ** 2).mean(), rel=1e-4
    )
    betas = (predicted.betas[2] - batch['betas'][2]).detach().double().numpy()
    assert float(losses['loss_betas']) == pytest.approx(0.06 * (betas**2).mean(), rel=1e-4)

    # The metric loss does not see the clip without 3D joints.
    other = dict(batch, joints3d=batch['joints3d'].clone())
    other['joints3d'][0] += 1
    other['features'] = batch['features'].clone()
    other['features'][0] *= -1
    torch.manual_seed(5)
    assert torch.equal(model(mode='loss', **other)['loss_metric'], losses['loss_metric'])
    assert losses['loss_metric'] > 0


def test_errors_are_those_of_the_released_evaluator():
    numbers = np.random.default_rng(1)
    joints = numbers.normal(size=(2, 4, 14, 3))
    truth = numbers.normal(size=(2, 4, 14, 3))
    vertices = np.array([[1.0, 2, 3, 4], [np.nan] * 4])
    metric = VIBEErrors()
    for clip in range(2):
        sample = dict(joints=joints[clip], true_joints=truth[clip], pve_mm=vertices[clip])
        metric.process({}, [{key: torch.as_tensor(value) for key, value in sample.items()}])
    metrics = metric.compute_metrics(metric.results)
    joints = joints.reshape(8, 14, 3)
    truth = truth.reshape(8, 14, 3)
    joints = joints - joints[:, 2:4].mean(1, keepdims=True)
    truth = truth - truth[:, 2:4].mean(1, keepdims=True)
    error = 1000 * np.linalg.norm(joints - truth, axis=-1).mean()
    assert metrics['mpjpe_mm'] == pytest.approx(error, rel=1e-5)
    assert metrics['pa_mpjpe_mm'] == pytest.approx(pa_mpjpe(joints, truth).mean(), rel=1e-5)
    assert metrics['pve_mm'] == 2.5
    # Over the border between the clips, as the released code does.
    second = joints[2:] - 2 * joints[1:-1] + joints[:-2]
    second_truth = truth[2:] - 2 * truth[1:-1] + truth[:-2]
    assert metrics['accel_pred_mm'] == pytest.approx(
        1000 * np.linalg.norm(second, axis=-1).mean(), rel=1e-5
    )
    assert metrics['accel_mm'] == pytest.approx(
        1000 * np.linalg.norm(second - second_truth, axis=-1).mean(), rel=1e-5
    )


SMALL = """
  model.network: {features: 32, hidden: 8, layers: 1, regressor: {type: IterativeRegressor, hidden: 8}}
  model.start.backbone: {depth: 18, width: 4}
  model.start.resolution: 32
  model.start.head: {type: IterativeRegressor, hidden: 8}
  model.start.body: {_delete_: true, type: BodyModel, file: open}
  model.critic: {hidden: 8, attention: 8}
  train_dataloader.batch_size: 5
  train_dataloader.sampler: {batch_size: 5, steps: 2}
  train_cfg.max_epochs: 1
"""


def small_table(name, tmp_path):
    """A table of the repository with tiny networks and few steps."""
    folder = ROOT / 'configs/few_shot/tables'
    text = (folder / f'{name}.yaml').read_text()
    text = text.replace('config: ../../', f'config: {ROOT}/configs/')
    if '\noptions:\n' in text:
        text = text.replace('\noptions:\n', f'\noptions:{SMALL}', 1)
    else:
        text = text.replace('\nrows:\n', f'\noptions:{SMALL}rows:\n', 1)
    if '- label: segmentation' in text:  # the row of an adaptation, which has no such options
        before, _, row = text.partition('- label: segmentation')
        text = f'{before}notes:{row.partition("notes:")[2]}'
    path = tmp_path / f'{name}.yaml'
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    'name, trainings', [('thesis_table1', 9), ('thesis_table2', 4), ('thesis_table3', 4)]
)
def test_tables_of_the_thesis(data, tmp_path, name, trainings):
    content = benchmark(small_table(name, tmp_path))
    by_label = {row['label']: row for row in content['rows']}
    assert {row['status'] for row in by_label.values()} == {'done'}
    trained = [run['weights']['file'] for row in content['rows'] for run in row['runs']]
    assert all('best_clips_pa_mpjpe_mm' in file for file in trained[1:])
    assert len(list(Path('work_dirs/tables/trainings').iterdir())) == trainings
    # The released weights by themselves give the same numbers.
    row = by_label['VIBE']
    options = dict(row['options'], **{'randomness.seed': 0})
    scored = apis.test(
        ROOT / 'configs/vibe/vibe_train_3dhp_metric.py',
        'data/vibe/vibe_model_wo_3dpw.pth.tar',
        cfg_options=options,
    )
    assert row['ours']['mpjpe_mm']['mean'] == scored['clips/mpjpe_mm']
    assert ('clips/pve_mm' in scored) == (name != 'thesis_table3')
    assert row['paper']['pa_mpjpe_mm'] in (60.0187, 56.5637, 64.8514)


def test_all_sets_of_the_paper_in_one_training(data, tmp_path):
    table = tmp_path / 'all.yaml'
    h5py = pytest.importorskip('h5py')
    with h5py.File('data/vibe/insta_train_db.h5', 'w') as file:
        file['vid_name'] = np.repeat(['c'], 20).astype('S')
        file['frame_id'] = np.arange(20)
        file['joints2D'] = np.ones((20, 25, 3))
        file['features'] = np.zeros((20, 32), np.float32)
    table.write_text(
        f'title: all\nmetrics: [pa_mpjpe_mm]\noptions:{SMALL}'
        f'rows:\n- {{label: all, config: {ROOT}/configs/vibe/vibe_train_3dpw.py, train: true}}\n'
    )
    row = benchmark(table)['rows'][0]
    assert row['status'] == 'done', row['runs']
    assert row['ours']['pa_mpjpe_mm']['mean'] > 0
