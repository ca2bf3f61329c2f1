"""Training of the segmenter and of the fusion: data, losses, configs, and what is published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hrtk.apis import load_config
from hrtk.apis.train import KEYS, REQUIRED, train
from hrtk.apis.zoo.publish import publish
from hrtk.datasets import ForegroundViews, OpenForeground, OpenStream, OpenTracks
from hrtk.engine.runner import check_keys
from hrtk.errors import InputError
from hrtk.evaluation import ForegroundIoU, foreground_iou
from hrtk.registry import DATASETS, METRICS, MODELS, SEGMENTERS
from hrtk.training.segmentation import SegmentationTraining

CONFIGS = Path(__file__).parents[2] / 'configs/segmentation'
NETWORK = dict(
    type='HRNetOCR', width=4, stem=4, first=1, blocks=1, modules=(1, 1, 1), channels=8, keys=4
)
STREAM = dict(type='OpenStream', domain='wild', sequences=2, frames=3, size=64)


@pytest.fixture(autouse=True)
def cache(monkeypatch, shared_cache):
    monkeypatch.setenv('HRTK_CACHE', str(shared_cache))


def small(name, tmp_path, **options):
    """A training config cut down to seconds, with networks that fit."""
    cut = {
        f'{part}.dataset.{key}': value
        for part in ('train_dataloader', 'val_dataloader')
        for key, value in (('length', 4), ('resolution', 32))
    }
    return train(
        CONFIGS / name,
        work_dir=tmp_path / name,
        experiment_name=f'{tmp_path}{name}',
        cfg_options={
            **cut,
            'train_dataloader.batch_size': 2,
            'val_dataloader.batch_size': 2,
            'model.bf16': False,
            **options,
        },
    )


def test_views_of_sequences():
    views = ForegroundViews(STREAM, resolution=32)
    sequence = OpenStream(domain='wild', sequences=2, frames=3, size=64)[1]
    assert len(views) == 6 and len(ForegroundViews(STREAM, resolution=32, length=4)) == 4
    item = views[4]
    assert item['image'].shape == (3, 32, 32) and item['mask'].dtype == torch.uint8
    # The pixel in the middle of the crop's pixel (r, c) says the same as the mask, but for borders.
    cx, cy, side = sequence.boxes[1].tolist()
    grid = (np.arange(32) + 0.5) / 32 - 0.5
    x, y = (np.rint(c + side * grid).astype(int) for c in (cx, cy))
    inside = (x >= 0) & (x < 64), (y >= 0) & (y < 64)
    wanted = sequence.masks[1][np.ix_(y[inside[1]], x[inside[0]])]
    assert (
        item['mask'].numpy()[np.ix_(inside[1], inside[0])] == wanted
    ).mean() > 0.95 and wanted.any()
    with pytest.raises(IndexError):
        views[6]


def test_masks_that_cannot_be_used_are_no_label():
    views = ForegroundViews(STREAM, resolution=32)
    views.sequences[0].masks[0][:] = 0
    assert (views[0]['mask'] == 255).all() and (views[1]['mask'] != 255).all()


def test_views_need_masks():
    with pytest.raises(InputError, match='no masks.*WithMasks'):
        ForegroundViews(dict(type='Bare'))


@DATASETS.register_module()
class Bare(list):
    def __init__(self):
        import dataclasses

        super().__init__(
            [dataclasses.replace(OpenStream(sequences=1, frames=1, size=32)[0], masks=None)]
        )


def test_tracks_have_exact_masks():
    tracks = OpenForeground(length=2, frames=2, resolution=32, seed=3)
    item = tracks[1]
    plain = OpenTracks(length=2, frames=2, fps=1.5, resolution=32, seed=3)
    assert item['mask'].shape == (2, 32, 32) and set(item['mask'].unique().tolist()) == {0, 1}
    assert torch.equal(item['image'], plain[1]['image']) and tracks.key != plain.key
    # Joints inside the body's outline are on the mask; a board may hide some.
    places = ((item['keypoints2d'][:, [14, 15]] + 1) * 16 - 0.5).round().long().clamp(0, 31)
    hits = [item['mask'][t, y, x].item() for t in range(2) for x, y in places[t].tolist()]
    assert np.mean(hits) > 0.7


def test_what_a_step_is_made_of():
    torch.manual_seed(0)
    model = SegmentationTraining(NETWORK, weights=dict(iou=0.5), augment=0.0).train()
    batch = dict(
        image=torch.randint(0, 255, (2, 3, 3, 32, 32)).byte(),
        mask=torch.randint(0, 2, (2, 3, 32, 32)).byte(),
    )
    losses = model(**batch, rotmat=None, mode='loss')
    assert (
        set(losses) == {'loss_main', 'loss_auxiliary', 'loss_iou'} and losses['loss_auxiliary'] > 0
    )
    assert set(SegmentationTraining(NETWORK)(**batch, mode='loss')) == {
        'loss_main',
        'loss_auxiliary',
    }
    batch['mask'][1, 2] = 255
    with torch.no_grad():
        scores = model.eval()(**batch, mode='predict')
    assert len(scores) == 6 and np.isnan(float(scores[5]['iou']))
    metric = ForegroundIoU()
    metric.process({}, scores)
    wanted = np.mean([float(score['iou']) for score in scores[:5]])
    assert metric.compute_metrics(metric.results)['iou'] == pytest.approx(wanted)


def test_predictions_are_intersection_over_union():
    class Knows(torch.nn.Module):
        """Says that the left half is foreground."""

        def forward(self, images):
            logits = torch.zeros(len(images), 2, 8, 8)
            logits[:, 1, :, :4], logits[:, 1, :, 4:] = 9, -9
            return type('Logits', (), dict(main=logits, auxiliary=logits))

    model = SegmentationTraining(NETWORK)
    model.network = Knows()
    mask = torch.zeros(2, 32, 32, dtype=torch.uint8)
    mask[0, :, :8], mask[1, :, 16:] = 1, 1
    scores = model(image=torch.zeros(2, 3, 32, 32), mask=mask, mode='predict')
    assert [float(score['iou']) for score in scores] == [50.0, 0.0]


def test_scores_of_sequences():
    class Everything(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bias = torch.nn.Parameter(torch.tensor([0.0, 5.0]))

        def forward(self, images):
            return type(
                'Logits', (), dict(main=self.bias.view(1, 2, 1, 1).expand(len(images), 2, 8, 8))
            )

    stream = OpenStream(domain='wild', sequences=2, frames=3, size=64)
    found = foreground_iou(Everything(), stream, resolution=32)
    views = ForegroundViews(STREAM, resolution=32)
    shares = [
        100 * float((views[i]['mask'] == 1).float().mean())
        for i in range(6)
        if (views[i]['mask'] != 255).all()
    ]
    assert found['frames'] == len(shares) and found['iou'] == pytest.approx(
        np.mean(shares), rel=1e-5
    )
    assert found['median_iou'] == pytest.approx(np.median(shares), rel=1e-5)
    with pytest.raises(InputError, match='no frame'):
        foreground_iou(Everything(), [], resolution=32)


def test_trained_and_published_segmenter(tmp_path):
    size = {f'model.network.{key}': value for key, value in NETWORK.items()}
    metrics = small('hrnet_w8_open.py', tmp_path, **size, **{'train_cfg.max_epochs': 2})
    assert 0 <= metrics['views/iou'] <= 100
    record = publish(tmp_path / 'hrnet_w8_open.py', tmp_path / 'net.pt')
    assert record['validation'] and 'iou' in record['validation'][-1]
    network = SEGMENTERS.build(dict(NETWORK, weights=str(tmp_path / 'net.pt')))
    trained = torch.load(tmp_path / 'hrnet_w8_open.py/epoch_2.pth', weights_only=True)['state_dict']
    torch.testing.assert_close(
        network.cls_head.weight, trained['network.cls_head.weight'], rtol=1e-3, atol=1e-4
    )


def test_bundled_weights_find_people():
    network = load_config(CONFIGS / 'hrnet_w8_open.py').model.network
    segmenter = SEGMENTERS.build(dict(network, weights='open:hrnet_w8_open')).eval()
    assert foreground_iou(segmenter, OpenStream(domain='wild', sequences=3, frames=2))['iou'] > 60


@pytest.mark.parametrize(
    'name', ['foreground_gate_open.py', 'foreground_mul_open.py', 'head_only_open.py']
)
def test_trained_and_published_fusion(tmp_path, name):
    network = {
        'start': None,
        'segmenter': dict(NETWORK, weights=None),
        'backbone.width': 4,
        'head.hidden': 16,
        'reducer.width': 2,
        'resolution': 32,
    }
    options = {
        **{f'model.estimator.{key}': value for key, value in network.items()},
        'train_cfg.max_iters': 3,
        'train_cfg.val_interval': 3,
        'train_dataloader.dataset.cache': False,
        'val_dataloader.dataset.cache': False,
        'optim_wrapper.optimizer.lr': 1e-2,
        'param_scheduler': [],
        'default_hooks.checkpoint.interval': 1,
    }
    assert small(name, tmp_path, **options)['views/mpjpe_mm'] > 0
    first, last = (
        torch.load(tmp_path / name / f'iter_{step}.pth', weights_only=True)['state_dict']
        for step in (2, 3)
    )
    moved = {key.split('.')[1] for key, value in last.items() if not torch.equal(value, first[key])}
    assert moved == ({'head'} if name.startswith('head') else {'head', 'reducer', 'fusion'})
    publish(tmp_path / name, tmp_path / 'part.pt', without=('backbone', 'segmenter'))
    kept = torch.load(tmp_path / 'part.pt', weights_only=True)['state_dict']
    assert {key.split('.')[0] for key in kept} == {'head', 'reducer', 'fusion'}


@pytest.mark.parametrize(
    'name',
    [
        'hrnet_w8_open.py',
        'hrnet_w48_3dhp.py',
        'foreground_gate_open.py',
        'foreground_mul_open.py',
        'head_only_open.py',
    ],
)
def test_configs(name):
    cfg = load_config(CONFIGS / name)
    check_keys(cfg, KEYS, REQUIRED)
    METRICS.build(cfg.val_evaluator)
    if name == 'hrnet_w48_3dhp.py':
        with pytest.raises(InputError, match='mpi_inf_3dhp_train.npz'):
            DATASETS.build(cfg.train_dataloader.dataset)
        with torch.device('meta'):
            network = MODELS.build(
                dict(cfg.model, network=dict(cfg.model.network, pretrained=None))
            ).network
        assert sum(value.numel() for value in network.parameters()) == 70_351_700
