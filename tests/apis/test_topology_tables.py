"""Every table of silhouette topology by its command, trainings included, on tiny files of the official layouts."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml

from hrtk.apis import benchmark, load_config
from hrtk.apis.asset_list import ASSETS
from hrtk.apis.assets import ABSENT, PRESENT, status
from hrtk.apis.tables.table import load_table
from hrtk.datasets import SPINFile
from hrtk.datasets.official import prepare
from hrtk.errors import InputError
from hrtk.models.backbones import ResNet
from hrtk.models.estimators import HMR
from hrtk.testing import write_checkpoint, write_mpii, write_official_files, write_surreal

ROOT = Path(__file__).parents[2]
TABLES = ROOT / 'configs/topology/tables'
R = 32
BACKBONE = dict(type='ResNet', depth=18, width=4)
SMALL = {'type': 'IterativeRegressor', 'hidden': 8}
TRAINING = {
    'model.estimator.backbone': BACKBONE,
    'model.estimator.head.hidden': 8,
    'model.estimator.resolution': R,
    'train_cfg.max_epochs': 1,
    'train_dataloader.batch_size': 2,
    'train_dataloader.num_workers': 0,
    'val_dataloader.batch_size': 2,
    'val_dataloader.num_workers': 0,
    'val_dataloader.dataset.resolution': R,
    'val_dataloader.dataset.length': 2,
}


@pytest.fixture(scope='module')
def official(tmp_path_factory):
    folder = tmp_path_factory.mktemp('topology')
    data = folder / 'data'
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('HRTK_CACHE', str(folder / 'cache'))
        write_official_files(data, sequences=2, frames=5, size=96)
    smpl = data / 'body_models/smpl'
    bodies = dict(male=smpl / 'SMPL_MALE.pkl', female=smpl / 'SMPL_FEMALE.pkl')
    write_surreal(data / 'surreal', bodies, 'train', clips=2)
    write_surreal(data / 'surreal', bodies, 'val', clips=1, seed=9)
    write_mpii(data / 'mpii/mpii_human_pose_v1_u12_1.mat', data / 'mpii')
    prepare.prepare_mpii(data / 'mpii/mpii_human_pose_v1_u12_1.mat', data / 'spin/mpii_train.npz')
    _write_static_camera(data)
    _write_networks(data)
    _write_masks(data)
    rng = np.random.default_rng(0)
    (data / 'topology').mkdir()
    pattern = rng.uniform(-8, 8, (R, R, 3)).astype(np.float32)
    np.savez(data / 'topology/uap_h36m.npz', perturbation=pattern)
    rows = dict(np.load(data / 'spin/h36m_valid_protocol2.npz'))
    spots = rng.uniform(20, 76, (len(rows['imgname']), 25, 2))
    detected = np.concatenate([spots, np.full((*spots.shape[:2], 1), 0.8)], 2)
    np.savez(data / 'topology/h36m_valid_protocol2_openpose.npz', **rows, openpose=detected)
    yield folder
    shutil.rmtree(folder)


def _write_static_camera(data: Path) -> None:
    """Repaints Human3.6M's frontal clips: a person of one colour walks through the still picture of a room."""
    table = np.load(data / 'spin/h36m_valid_protocol2.npz')
    rng = np.random.default_rng(4)
    room = cv2.resize(rng.integers(60, 200, (9, 9, 3), dtype=np.uint8), (96, 96))
    for index, (name, centre, scale) in enumerate(
        zip(table['imgname'], table['center'], table['scale'])
    ):
        image = room.copy()
        place = (int(centre[0] + 40 * scale * (index % 5 - 2)), int(centre[1]))
        axes = (int(22 * scale), int(70 * scale))
        cv2.ellipse(image, place, axes, 0, 0, 360, (250, 20, 20), -1)
        cv2.imwrite(str(data / 'h36m' / str(name)), image)


def _write_networks(data: Path) -> None:
    torch.manual_seed(0)
    classifier = ResNet(18, 4).state_dict()
    classifier['fc.weight'] = torch.zeros(1000, 32)
    classifier['fc.bias'] = torch.zeros(1000)
    (data / 'imagenet').mkdir()
    torch.save(classifier, data / 'imagenet/resnet50-0676ba61.pth')
    write_checkpoint(HMR(BACKBONE, SMALL, R, None), data / 'spin/model_checkpoint.pt', 'model')


def _write_masks(data: Path) -> None:
    tracks = SPINFile(data / 'spin/3dpw_test.npz', data / '3dpw', 'none')
    others = SPINFile(data / 'dynaboa/3dpw_*.npz', data / '3dpw', 'openpose')
    for track in (*tracks, *others):
        for t, box in enumerate(track.boxes.tolist()):
            mask = np.zeros(track.frames[t].shape[:2], np.uint8)
            centre = (int(box[0]), int(box[1]))
            cv2.ellipse(mask, centre, (int(box[2] / 7), int(box[2] / 3)), 0, 0, 360, 255, -1)
            path = data / '3dpw_masks' / track.name / f'{t:06d}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), mask)
    (data / 'mpii_masks').mkdir()
    for image in (data / 'mpii/images').glob('*.jpg'):
        mask = np.zeros((160, 160), np.uint8)
        cv2.ellipse(mask, (80, 80), (25, 60), 0, 0, 360, 255, -1)
        cv2.imwrite(str(data / f'mpii_masks/{image.stem}.png'), mask)


def small_table(name: str, keep: str = '') -> Path:
    """The table with tiny networks, crops and lengths; everything else is that of the published file."""
    content = yaml.safe_load((TABLES / f'{name}.yaml').read_text())
    rows = []
    for row in content['rows']:
        if keep not in row['label']:
            continue
        path = TABLES / row['config']
        row = dict(row, config=str(path.resolve()), options=dict(row.get('options') or {}))
        cfg = load_config(path)
        head = {'estimator.head.hidden': 8}
        if cfg.estimator.type == 'HMR':
            head = {'estimator.head': SMALL}
        row['options'].update({'estimator.backbone': BACKBONE, 'estimator.resolution': R, **head})
        if cfg.dataset.type == 'Transformed':
            row['options']['dataset.transforms.1.resolution'] = R
        if cfg.dataset.type == 'Transformed' and 'lr' in path.stem:
            row['vary'] = {'dataset.transforms.2.width': [24, 16, 8]}
        if cfg.adapter.type == 'TopologyAdapter' and 'adapter' not in row['options']:
            quick = dict(iterations=2, batch=2, tracks=2, fitting_steps=1)
            row['options'].update({f'adapter.{key}': value for key, value in quick.items()})
        if 'pretraining' in row:
            start = (TABLES / row['pretraining']['config']).resolve()
            row['pretraining'] = dict(config=str(start), options=training_options(start))
        rows.append(row)
    content['rows'] = rows
    path = Path(f'{name}.yaml')
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def training_options(config: Path) -> dict:
    options = dict(TRAINING)
    dataset = load_config(config).train_dataloader.dataset
    if 'parts' not in dataset:
        return {
            **options,
            'train_dataloader.dataset.resolution': R,
            'train_dataloader.dataset.length': 4,
        }
    for index in range(2):
        options[f'train_dataloader.dataset.parts.{index}.resolution'] = R
        options[f'train_dataloader.dataset.parts.{index}.length'] = 4
    return options


@pytest.fixture
def beside(official, tmp_path, monkeypatch):
    monkeypatch.setenv('HRTK_CACHE', str(official / 'cache'))
    monkeypatch.chdir(official)
    return official


def trainings() -> set[str]:
    return {path.name.rsplit('-', 1)[0] for path in Path('work_dirs/tables/trainings').iterdir()}


@pytest.mark.parametrize(
    'name, rows, published',
    [
        ('table2', 5, {'Ours(S->R, weak)': 58.1, 'Ours(S->R)': 81.3}),
        ('table3', 3, {'Ours(S->R, weak)': 79.1, 'Ours(S->R)': 95.1}),
        ('table4', 5, {'B1: L2 on S': 129.6, 'Ours(S->R): L_S, L_T': 95.1}),
        ('table5', 30, {'UAP 16/255, Ours(R->UAP)': 79.4, 'LR 8, A2: SPIN, 2D and L_S': 82.3}),
    ],
)
def test_command(beside, name, rows, published):
    content = benchmark(small_table(name))
    assert len(content['rows']) == rows
    for row in content['rows']:
        assert row['status'] == 'done', (row['label'], row['runs'], row['needed'])
        assert set(row['ours']) == set(content['metrics'])
        assert all(0 < value['mean'] < 3000 for value in row['ours'].values())
    by_label = {row['label']: row for row in content['rows']}
    for label, value in published.items():
        assert by_label[label]['paper']['pa_mpjpe_mm'] == value
    if name == 'table2':
        assert trainings() >= {'train_surreal', 'train_surreal_weak'}
        adapted = {row['label']: row['ours']['pa_mpjpe_mm']['mean'] for row in content['rows']}
        assert len(set(adapted.values())) == len(adapted)  # every row is another network
    if name == 'table5':
        assert 'train_real' in trainings()


def test_rows_share_a_training_and_tables_their_runs(beside, capfd):
    benchmark(small_table('table4', keep='Ours(S'))
    before = {path: path.stat().st_mtime_ns for path in Path('work_dirs').rglob('*.pth')}
    assert before
    capfd.readouterr()
    benchmark(small_table('table3', keep='Ours(S->R)'))
    assert 'stored before' in capfd.readouterr().out  # the last row of Table 4
    after = {path: path.stat().st_mtime_ns for path in Path('work_dirs').rglob('*.pth')}
    assert after == before


def test_a_pretraining_is_checked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    row = dict(label='x', config=str(ROOT / 'configs/topology/s_3dpw.py'))
    for pretraining, said in (
        (3, 'expected a mapping'),
        ({'options': {}}, 'config'),
        ({'config': str(ROOT / 'configs/topology/s_3dpw.py')}, 'unknown key'),
    ):
        table = dict(title='t', metrics=['mpjpe_mm'], rows=[dict(row, pretraining=pretraining)])
        Path('t.yaml').write_text(yaml.safe_dump(table))
        with pytest.raises(InputError, match=said):
            benchmark('t.yaml')
    table['rows'] = [dict(row, pretraining={'config': 'x.py'}, weights='open:aae_open')]
    Path('t.yaml').write_text(yaml.safe_dump(table))
    with pytest.raises(InputError, match='not before weights'):
        load_table('t.yaml')


def test_the_assets_of_the_tables(official, tmp_path):
    folders = ('imagenet', 'surreal', 'spin/mpii', 'mpii', '3dpw_masks', 'topology')
    needed = [asset for asset in ASSETS if asset.path.startswith(folders)]
    assert len(needed) == 8
    for asset in needed:
        assert status(asset, tmp_path)[0] == ABSENT
        if not asset.path.startswith('imagenet'):  # a smaller network stands for it here
            assert status(asset, official / 'data')[0] == PRESENT, asset.path
