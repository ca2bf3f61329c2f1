"""What the loop promises to adapters, hooks and readers of results."""

import dataclasses
import json
import sys
from urllib.parse import unquote

import fake_parts
import numpy as np
import pytest
import torch
from mmengine.hooks import Hook

from hrtk.apis import adapt, load_config
from hrtk.engine import AdaptRunner, Result, ResultStore, predict_sequence
from hrtk.engine.store import canonical
from hrtk.errors import InputError


def test_result_file(config, tmp_path):
    adapt(config, work_dir=tmp_path)
    folder = next((tmp_path / 'results').iterdir())
    assert sorted(unquote(path.stem) for path in folder.glob('*.npz')) == [
        f'clip/{i}' for i in range(5)
    ]
    with np.load(folder / 'clip%2F1.npz', allow_pickle=False) as data:
        shapes = {key: data[key].shape for key in data.files}
        assert data['schema'].item() == 'hrtk-result-1' and data['rotmat'].dtype == np.float32
    assert shapes['rotmat'] == shapes['before_rotmat'] == (5, 24, 3, 3)
    assert shapes['betas'] == (5, 10) and shapes['camera'] == shapes['boxes'] == (5, 3)
    assert (
        shapes['keypoints2d'] == (5, 17, 3)
        and shapes['frame_ids'] == (5,)
        and shapes['ms_per_frame'] == ()
    )
    result = Result.load(folder / 'clip%2F1.npz')
    assert result.report == {'skipped_updates': 1, 'loss': 0.5} and result.image_size == (8, 8)
    run = json.loads((folder / 'run.json').read_text())
    assert (
        run['seed'] == 0
        and run['config']['adapter']['type'] == 'Jiggle'
        and run['versions']['torch'] == torch.__version__
    )
    assert run['computing'] == {'precision': 'float32', 'threads': torch.get_num_threads()}
    assert not list(folder.glob('*.tmp'))


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(image_size=(2**63 - 1, 8)), 'image_size is'),
        (dict(image_size=(0, 8)), 'image_size is'),
        (dict(fps=float('inf')), 'fps and focal must be finite'),
        (dict(focal=float('nan')), 'fps and focal must be finite'),
    ],
)
def test_impossible_numbers_of_a_result(config, tmp_path, change, message):
    adapt(config, work_dir=tmp_path)
    path = next(tmp_path.glob('results/*/clip%2F1.npz'))
    dataclasses.replace(Result.load(path), **change).save(path)
    with pytest.raises(InputError, match=f'clip%2F1.npz.*{message}'):
        Result.load(path)


def test_before_is_the_source_model(config, tmp_path):
    adapt(config, work_dir=tmp_path)
    sequence = fake_parts.FakeDataset()[1]
    wanted = predict_sequence(fake_parts.FakeEstimator(), sequence, batch_size=2)
    result = Result.load(next(tmp_path.glob('results/*/clip%2F1.npz')))
    np.testing.assert_allclose(result.before.rotmat, wanted.rotmat.numpy(), atol=1e-5)
    assert not np.allclose(result.after.rotmat[-1], result.before.rotmat[-1], atol=1e-3)


def test_reset_gives_every_sequence_the_same_start(config, tmp_path):
    # With a step of 0 nothing moves: carried or not, every frame equals the source model's.
    metrics = adapt(config, work_dir=tmp_path, cfg_options={'adapter.step': 0.0})
    assert metrics['Jiggle/mpjpe_mm'] == pytest.approx(metrics['Source/mpjpe_mm'], rel=1e-5)
    # A sequence alone gives the same as one in a row of others.
    alone = adapt(config, work_dir=tmp_path / 'a', cfg_options={'dataset.lengths': (3,)})
    adapt(config, work_dir=tmp_path / 'b')
    rows = json.loads((tmp_path / 'b/metrics.json').read_text())['per_sequence']
    assert alone['Jiggle/mpjpe_mm'] == rows[0]['rows']['Jiggle']['mpjpe_mm']


def test_prepared_weights_are_the_start_but_not_the_source(config, tmp_path):
    plain = adapt(config, work_dir=tmp_path, cfg_options={'adapter.step': 0.0})
    prepared = adapt(
        config, work_dir=tmp_path, cfg_options={'adapter.step': 0.0, 'adapter.prepared': True}
    )
    assert prepared['Source/mpjpe_mm'] == plain['Source/mpjpe_mm']
    assert abs(prepared['Jiggle/mpjpe_mm'] - plain['Jiggle/mpjpe_mm']) > 1


def test_hook_points(config, tmp_path):
    calls = []

    class Listener(Hook):
        def before_sequence(self, runner, sequence):
            calls.append(sequence.name)

        def after_frame(self, runner, sequence, index):
            calls.append(index)

        def after_sequence(self, runner, sequence, result):
            calls.append(type(result).__name__)

        def after_sequences(self, runner):
            calls.append('end')

    for expected in (['clip/0', 0, 1, 2, 'Result', 'end'], ['clip/0', 'Result', 'end']):
        cfg = load_config(config)
        cfg.merge_from_dict({'dataset.lengths': (3,), 'work_dir': str(tmp_path)})
        runner = AdaptRunner.from_cfg(cfg)
        runner.register_hook(Listener())
        runner.adapt()
        assert calls == expected
        calls.clear()


@pytest.mark.parametrize(
    'rule, message', [('no_grad', 'no_grad'), ('one', '1 predictions for the 3 frames')]
)
def test_careless_adapters_are_told(config, tmp_path, rule, message):
    cfg = {'adapter': dict(_delete_=True, type='Careless', rule=rule)}
    with pytest.raises(RuntimeError, match=message):
        adapt(config, work_dir=tmp_path, **cfg)
    torch.set_grad_enabled(True)


def test_no_truth_means_reprojection_only(config, tmp_path, capfd):
    metrics = adapt(config, work_dir=tmp_path, cfg_options={'dataset.truth': False})
    assert metrics['Source/reprojection_px'] > 0 and 'Source/mpjpe_mm' not in metrics
    assert '2D keypoints: gt' in capfd.readouterr().out


@pytest.mark.parametrize(
    'change, message',
    [
        ({'adapter.reset': 'somtimes'}, "'frame', 'sequence', 'never'"),
        ({'dataset.lengths': ()}, 'no sequence'),
        ({'dataset.lengths': (2, 0)}, "'clip/1' has no frames"),
        ({'adapter.stepp': 1}, 'stepp'),
        ({'adapter.type': 'Jigle'}, "Did you mean 'Jiggle'"),
        ({'dataset.type': 'FakeDatasett'}, "Did you mean 'FakeDataset'"),
        ({'evaluator.type': 'MeshEvaluater'}, "Did you mean 'MeshEvaluator'"),
        ({'evaluator.protocol': 'opne'}, "Did you mean 'open'"),
        ({'default_hooks.progress.type': 'ProgresHook'}, "Did you mean 'ProgressHook'"),
        ({'adaptor': dict(type='Jiggle')}, "unknown key 'adaptor'. Did you mean 'adapter'"),
        ({'adapter': None}, "lacks 'adapter'"),
        ({'launcher': 'mpi'}, 'torchrun'),
    ],
)
def test_wrong_settings(config, tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        adapt(config, work_dir=tmp_path, cfg_options=change)


def test_pure_python_config(config, tmp_path):
    base = config.parent / 'pure_base.py'
    base.write_text(
        'from fake_parts import FakeDataset, FakeEstimator\n'
        'estimator = dict(type=FakeEstimator)\ndataset = dict(type=FakeDataset)\n'
    )
    path = config.parent / 'pure.py'
    path.write_text(
        'from mmengine.config import read_base\nwith read_base():\n    from .pure_base import *\n'
        'from fake_parts import Jiggle\nfrom hrtk.evaluation import MeshEvaluator\n'
        'adapter = dict(type=Jiggle)\nevaluator = dict(type=MeshEvaluator)\n'
    )
    wanted = adapt(config, work_dir=tmp_path / 'text')
    metrics = adapt(path, work_dir=tmp_path / 'pure')
    assert {k: v for k, v in metrics.items() if 'ms' not in k} == {
        k: v for k, v in wanted.items() if 'ms' not in k
    }
    assert (
        'fake_parts.FakeEstimator'
        in next((tmp_path / 'pure/results').glob('*/run.json')).read_text()
    )


def test_config_as_a_dict_and_its_file_stay_as_they_are(config):
    text, content = config.read_text(), load_config(config).to_dict()
    adapt(dict(content), work_dir=config.parent)
    adapt(config, work_dir=config.parent)
    assert config.read_text() == text and content == load_config(config).to_dict()
    assert (
        len(list((config.parent / 'results').iterdir())) == 1
    )  # the same settings, the same results


@pytest.mark.parametrize('bad', [-1, 1])
def test_progress_bar_on_a_terminal(config, tmp_path, monkeypatch, capsys, bad):
    monkeypatch.setattr(sys.stdout, 'isatty', lambda: True)
    monkeypatch.setenv('TERM', 'xterm')
    if bad < 0:
        adapt(config, work_dir=tmp_path, cfg_options={'dataset.bad': bad})
    else:
        with pytest.raises(InputError, match='1 of 5'):
            adapt(config, work_dir=tmp_path, cfg_options={'dataset.bad': bad})
    shown = capsys.readouterr().out
    assert 'frames/s' in shown and 'MPJPE' in shown and 'left' in shown
    assert shown.rfind('\x1b[?25h') > shown.rfind('\x1b[?25l')  # the cursor is back


def test_private_keys_are_the_config_s_own(config):
    adapt(
        config, work_dir=config.parent / 'run', cfg_options={'_steps': 3, 'dataset.lengths': (2,)}
    )


def test_names_of_files(tmp_path):
    store = ResultStore(tmp_path, dict(a=1))
    for name in ('a/b', '..', '.hidden', 'ü 100%', 'a:b*?'):
        path = store.path(name)
        assert (
            unquote(path.name[:-4]) == name
            and path.parent == store.folder
            and not path.name.startswith('.')
        )
    with pytest.raises(InputError, match='too long'):
        store.path('x' * 300)


def test_canonical():
    assert (
        canonical(dict(b=1, a=(np.float32(0.5), torch.tensor([1, 2]))))
        == '{"a": [0.5, [1, 2]], "b": 1}'
    )
    assert canonical([torch.nn.Linear]) == '["torch.nn.modules.linear.Linear"]'
    with pytest.raises(InputError, match='plain types'):
        canonical(dict(a=object()))
