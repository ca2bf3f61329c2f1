"""Every config builds, stays small, and says what it needs."""

import ast
import re
import shutil
from pathlib import Path

import pytest
import torch

from hrtk.apis import adapt, load_config
from hrtk.apis.train import KEYS, REQUIRED
from hrtk.engine.runner import check_keys
from hrtk.errors import InputError
from hrtk.registry import ADAPTERS, DATASETS, ESTIMATORS, HOOKS, METRICS, MODELS, OPTIMIZERS

CONFIGS = Path(__file__).parents[1] / 'configs'
LEAVES = sorted(
    path.relative_to(CONFIGS).as_posix()
    for path in CONFIGS.glob('**/*.py')
    if '_base_' not in path.parts
)
# Trainings.
SEGMENTATION = ('segmentation/hrnet_', 'segmentation/foreground_', 'segmentation/head_only')
OFFICIAL_TRAININGS = [name for name in LEAVES if name.startswith('topology/train_')]
VIDEO = ('vibe/vibe_open', 'vibe/vibe_metric', 'vibe/vibe_train')
TRAININGS = [name for name in LEAVES if name.startswith(('hmr/', 'hmr2/'))]
ADAPTATIONS = [
    name
    for name in LEAVES
    if not name.startswith(
        ('hmr/', 'hmr2/', 'lifter/', 'teachers/', 'pose_prior/', 'mpm/', *VIDEO, *SEGMENTATION)
    )
    and name not in OFFICIAL_TRAININGS
]
# The parts that need a user's files, and the first of these files.
NEEDS = {
    'boa/r18_photos.py': {'dataset': 'yogait_coco.json'},
    'source/r18_photos.py': {'dataset': 'yogait_coco.json'},
    'topology/r18_photos.py': {'dataset': 'yogait_coco.json'},
    'topology/r50_3dpw.py': {
        'dataset': '3dpw_test.npz',
        'estimator': 'SMPL_NEUTRAL.pkl',
        'evaluator': 'SMPL_MALE.pkl',
    },
    'boa/r18_video.py': {'dataset': 'single_person_coco.json'},
    'segmentation/gate_wild.py': {'estimator': 'foreground_gate_looks'},
    'segmentation/mul_wild.py': {'estimator': 'foreground_mul_looks'},
    'segmentation/vibe_w48_3dpw.py': {'dataset': '3dpw_test_db.pt', 'estimator': 'hrnet_w48.pt'},
    'vibe/vibe_3dpw.py': {'dataset': '3dpw_test_db.pt', 'estimator': 'model_checkpoint.pt'},
    'few_shot/vibe_3dpw.py': {
        'dataset': '3dpw_test_db.pt',
        'estimator': 'model_checkpoint.pt',
        'adapter': 'mpii3d_train_db.pt',
    },
    'boa/r50_photos.py': {
        'dataset': 'yogait_coco.json',
        'estimator': 'SMPL_NEUTRAL.pkl',
        'adapter': 'gmm_08.pkl',
    },
}
_TOPOLOGY_SETS = {
    '3dpw': {'dataset': '3dpw_test.npz', 'evaluator': 'SMPL_MALE.pkl'},
    'h36m': {'dataset': 'h36m_valid_protocol2.npz'},
}
NEEDS.update(
    {
        f'topology/{name}_{target}.py': dict(parts, estimator='SMPL_NEUTRAL.pkl')
        for name in ('s', 's_to_r', 'r_lr', 'r_uap', 'spin', 'spin_lr', 'spin_uap')
        for target, parts in _TOPOLOGY_SETS.items()
        if f'topology/{name}_{target}.py' in LEAVES
    }
)
for _name, _part, _file in (
    ('s_to_r_3dpw', 'adapter', 'h36m_train.npz'),
    ('s_to_r_h36m', 'adapter', 'h36m_train.npz'),
    ('spin_lr_3dpw', 'dataset', 'dynaboa/3dpw_'),
    ('spin_uap_h36m', 'dataset', 'h36m_valid_protocol2_openpose.npz'),
):
    NEEDS[f'topology/{_name}.py'][_part] = _file
NEEDS.update({name: {'dataset': 'real4'} for name in LEAVES if name.startswith('real4/')})
_SETS = {
    'internet': {'dataset': 'alphapose-results.json'},
    'h36m': {'dataset': 'h36m_valid_protocol2.npz'},
    '3dpw_ps': {'dataset': 'SMPL_MALE.pkl', 'evaluator': 'SMPL_MALE.pkl'},
    '3dpw_ph': {'dataset': '3dpw_ph.npz'},
    '3dhp': {'dataset': 'mpi_inf_3dhp_test.npz'},
}
_TEACHERS = {'mpn': 'mpsnet_model_best.pth.tar', 'tcmr': 'tcmr_table6_3dpw_test.pth.tar'}
NEEDS.update(
    {
        f'{method}/r50_{name}.py': dict(parts, estimator='SMPL_NEUTRAL.pkl', adapter='gmm_08.pkl')
        for method in ('boa', 'dynaboa')
        for name, parts in _SETS.items()
        if f'{method}/r50_{name}.py' in LEAVES
    }
)
for _method in ('boa', 'dynaboa'):
    NEEDS[f'{_method}/r50_until_3dpw_ps.py'] = NEEDS[f'{_method}/r50_3dpw_ps.py']
NEEDS.update(
    {
        name: dict(
            _SETS['3dpw_ps'],
            estimator='SMPL_NEUTRAL.pkl',
            **({} if name.startswith('source/') else {'adapter': _TEACHERS[name.split('_')[1]]}),
        )
        for name in LEAVES
        if name.startswith(('3dhrco/', 'source/')) and name.endswith('_3dpw.py')
    }
)
NEEDS['boa/spin_3dpw.py'] = dict(
    _SETS['3dpw_ps'], estimator='SMPL_NEUTRAL.pkl', adapter='gmm_08.pkl'
)
for _name in ('3dhp', 'h36m', 'internet'):
    NEEDS[f'source/spin_{_name}.py'] = dict(_SETS[_name], estimator='SMPL_NEUTRAL.pkl')
    _adapted = f'3dhrco/spin_mpn_{"" if _name == "internet" else "pre_"}{_name}.py'
    NEEDS[_adapted] = dict(NEEDS[f'source/spin_{_name}.py'], adapter=_TEACHERS['mpn'])


@pytest.fixture(autouse=True)
def bare_machine(tmp_path, monkeypatch):
    """No files of the user's, no cache."""
    monkeypatch.delenv('HRTK_TEST_DATA', raising=False)
    monkeypatch.setenv('HRTK_CACHE', str(tmp_path / 'cache'))
    monkeypatch.chdir(tmp_path)


FILES = sorted(CONFIGS.glob('**/*.py'))


def bases_of(path):
    """The files that a config names as its bases."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == '_base_':
            names = ast.literal_eval(node.value)
            names = [names] if isinstance(names, str) else names
            return [(path.parent / name).resolve() for name in names]
    return []


def depth_of(path):
    """The length of the longest chain of bases below a config."""
    return max((1 + depth_of(base) for base in bases_of(path)), default=0)


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.relative_to(CONFIGS).as_posix())
def test_config_is_easy_to_follow(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 60
    assert len(bases_of(path)) <= 4  # runtime, estimator, dataset, adapter
    assert depth_of(path) <= 3
    private = re.findall(r'_base_\.(?:pop\(.)?_\w+', text)
    assert not private, f'{path} reads {private}, a name of another config that is not public'


def test_no_base_swallows_a_dict():
    """mmengine merges no dict into None: a base leaves an option away instead of setting it to None."""
    found = set()
    for path in FILES:
        if '_base_' not in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and getattr(node.value, 'value', 0) is None:
                found.add((path.stem, node.arg))
    assert found == {
        ('pre_adapt_lifter', 'corruption'),  # not the default; nobody is told to add one
        ('few_shot_open', 'augment'),  # a number, which replaces None
    }


def test_options_replace_none_by_a_dict():
    config = dict(adapter=dict(exemplars=None, steps=2))
    cfg = load_config(config, {'adapter.exemplars.dataset.type': 'OpenViews'})
    assert cfg.adapter == dict(exemplars=dict(dataset=dict(type='OpenViews')), steps=2)
    assert config == dict(adapter=dict(exemplars=None, steps=2))


OUTCOMES = {}


def once(call, config, about=''):
    """The outcome of a call with a part of a config; a part that many configs share is tried once."""
    key = call.__name__, about, repr(config)
    if key not in OUTCOMES:
        OUTCOMES[key] = call(config)
    return OUTCOMES[key]


def check_built(registry, config, needed=None):
    """Builds a part of a config, or checks that its message names the file that is needed."""

    def complaint_of(part):
        try:
            registry.build(part)
        except InputError as error:
            return str(error)
        return None

    complaint = once(complaint_of, config, registry.name)
    if needed is None:
        assert complaint is None
    else:
        assert complaint is not None and re.search(needed, complaint), complaint


@pytest.mark.parametrize('name', ADAPTATIONS)
def test_adaptation_builds(name):
    cfg = load_config(CONFIGS / name)
    check_keys(cfg)
    builders = {
        'estimator': ESTIMATORS,
        'dataset': DATASETS,
        'adapter': ADAPTERS,
        'evaluator': METRICS,
    }
    for part, registry in builders.items():
        check_built(registry, cfg[part], NEEDS.get(name, {}).get(part))
    for hook in [
        *cfg.default_hooks.values(),
        *cfg.custom_hooks,
        dict(type='OverlayHook', **cfg.outputs),
    ]:
        HOOKS.build(hook)


def shape_of_rotations(config):
    estimator = ESTIMATORS.build(config)
    size = estimator.resolution
    return estimator.eval()(torch.zeros(1, 3, size, size)).rotmat.shape


@pytest.mark.parametrize(
    'name', [name for name in NEEDS if NEEDS[name].get('estimator') == 'SMPL_NEUTRAL.pkl']
)
def test_network_without_its_files(name):
    estimator = dict(load_config(CONFIGS / name).estimator, weights=None, body=None)
    assert once(shape_of_rotations, estimator) == (1, 24, 3, 3)


@pytest.mark.parametrize('name', TRAININGS)
def test_training_builds(name):
    cfg = load_config(CONFIGS / name)
    check_keys(cfg, KEYS, REQUIRED)
    model = MODELS.build(cfg.model)
    OPTIMIZERS.build(cfg.optim_wrapper.optimizer, default_args=dict(params=model.parameters()))
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        view = DATASETS.build(loader.dataset)[0]
        assert view['image'].shape[-1] == model.estimator.resolution
    METRICS.build(cfg.val_evaluator)
    for hook in cfg.custom_hooks:
        HOOKS.build(hook)


@pytest.mark.parametrize('name', OFFICIAL_TRAININGS)
def test_training_names_its_files(name):
    cfg = load_config(CONFIGS / name)
    check_keys(cfg, KEYS, REQUIRED)
    check_built(MODELS, cfg.model, 'SMPL_NEUTRAL.pkl')
    estimator = dict(cfg.model.estimator, body=None)
    check_built(ESTIMATORS, estimator, 'resnet50-0676ba61.pth')
    model = once(ESTIMATORS.build, dict(estimator, backbone_weights=None))
    assert model.backbone.out_channels == 2048 and model.head.latent == 32
    OPTIMIZERS.build(cfg.optim_wrapper.optimizer, default_args=dict(params=model.parameters()))
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        for dataset in loader.dataset.get('parts', [loader.dataset]):
            assert dataset.resolution == model.resolution
            check_built(DATASETS, dataset, 'data/')
    METRICS.build(cfg.val_evaluator)


@pytest.mark.parametrize('name', ['lifter/lifter_early.py', 'lifter/lifter.py'])
def test_landmark_training_builds_and_learns(name, tmp_path, monkeypatch):
    monkeypatch.setenv('HRTK_CACHE', str(tmp_path))
    cfg = load_config(CONFIGS / name)
    check_keys(cfg, KEYS, REQUIRED)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    optimizer = OPTIMIZERS.build(
        cfg.optim_wrapper.optimizer, default_args=dict(params=model.parameters())
    )
    dataset = dict(
        cfg.train_dataloader.dataset, tracks=dict(type='LandmarkTracks', length=1, frames=10)
    )
    views = DATASETS.build(dataset)
    items = [views[index] for index in range(16)]
    batch = {key: torch.stack([item[key] for item in items]) for key in items[0]}
    totals = []
    for _ in range(16):
        losses = model(**batch, mode='loss')
        total = sum(losses.values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(float(total.detach()))
    assert set(losses) == {
        f'loss_{key}' for key in ('rotmat', 'joints3d', 'keypoints2d', 'betas', 'spread')
    }
    assert totals[-1] < 0.85 * totals[0] or cfg.model.get('judge_only')
    assert totals[-1] < totals[0]
    assert model(**batch)[0]['mpjpe_mm'] > 0
    METRICS.build(cfg.val_evaluator)


PYTHON_CONFIG = """
from mmengine.config import read_base

from hrtk.adapters import Bilevel

with read_base():
    from .._base_.default_runtime import *
    from .._base_.estimators.hmr_r18 import *
    from .._base_.datasets.open_wild import *

dataset.update(sequences=1, frames=3, size=64)
adapter = dict(type=Bilevel, lr=3e-4, order='first', interval=1, normalise='visible')
"""


def test_python_config_gives_the_digits_of_a_text_config(tmp_path):
    shutil.copytree(CONFIGS, tmp_path / 'configs')
    (tmp_path / 'configs/boa/python.py').write_text(PYTHON_CONFIG)
    text = load_config(CONFIGS / 'boa/r18_wild.py')
    text.merge_from_dict(
        {'estimator.weights': None, 'dataset.sequences': 1, 'dataset.frames': 3, 'dataset.size': 64}
    )
    text.adapter = dict(type='Bilevel', lr=3e-4, order='first', interval=1, normalise='visible')
    metrics = [
        adapt(config, work_dir=tmp_path / name, outputs=None)
        for name, config in (('python', tmp_path / 'configs/boa/python.py'), ('text', text))
    ]
    first, second = (
        {key: value for key, value in row.items() if 'ms_per' not in key} for row in metrics
    )
    assert first == second and first['Bilevel/mpjpe_mm'] != first['Source/mpjpe_mm']
