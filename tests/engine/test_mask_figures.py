"""Figures of masks: which files there are, and that they show the stored result."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from hrtk.apis import adapt, load_config
from hrtk.body_models import BodyModel
from hrtk.errors import InputError
from hrtk.evaluation.silhouettes import crop_masks, silhouette_iou
from hrtk.registry import DATASETS, HOOKS
from hrtk.visualization.topology import draw_overlap

ROOT = Path(__file__).parents[2]
OPTIONS = {
    'dataset.sequences': 2,
    'dataset.frames': 3,
    'dataset.size': 96,
    'outputs': None,
    'adapter.iterations': 4,
    'adapter.batch': 4,
    'adapter.fitting_steps': 2,
}


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp('figures')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('HRTK_CACHE', str(folder / 'cache'))
        hook = dict(type='MaskFigureHook', frames=2, sequences=1, stages=3)
        metrics = adapt(
            ROOT / 'configs/topology/r18_wild.py',
            work_dir=folder / 'run',
            cfg_options={**OPTIONS, 'custom_hooks': [hook]},
        )
        sequence = DATASETS.build(
            load_config(ROOT / 'configs/topology/r18_wild.py', OPTIONS).dataset
        )[0]
        yield folder / 'run', metrics, sequence


def test_files(run):
    folder, metrics, _ = run
    found = sorted(
        str(path.relative_to(folder / 'figures')) for path in folder.glob('figures/*/*.png')
    )
    kinds = {'wild_s0_000': ('after', 'before', 'progress'), 'wild_s0_001': ('after', 'before')}
    assert found == [
        f'{name}/{t}_{kind}.png'
        for name, all_of in kinds.items()
        for t in ('000000', '000002')
        for kind in all_of
    ]
    progress = cv2.imread(str(folder / 'figures/wild_s0_000/000000_progress.png'))
    assert progress.shape[1] == 4 * 224 + 3 * 4  # iterations 1 to 4
    assert (
        0 < metrics['Source/iou'] < 100 and metrics['TopologyAdapter/iou'] != metrics['Source/iou']
    )


def test_a_figure_shows_the_stored_result(run):
    folder, _, sequence = run
    result = np.load(next(folder.glob('results/*/*_000.npz')))
    body, mask = BodyModel('open'), crop_masks(sequence, slice(0, 1))
    theta = [torch.as_tensor(result[f'before_{key}'][:1]) for key in ('rotmat', 'betas', 'camera')]
    iou = silhouette_iou(body, *theta, mask)[0]
    figure = cv2.cvtColor(
        cv2.imread(str(folder / 'figures/wild_s0_000/000000_before.png')), cv2.COLOR_BGR2RGB
    )
    panel = figure[-224:, -224:]
    grey = np.full((1, 1, 3), 0, np.uint8)
    on, off = np.ones((1, 1), bool), np.zeros((1, 1), bool)
    # Colours tell the three parts apart, whatever the image below them: each pixel goes to the nearest hue.
    hues = [
        draw_overlap(grey, *masks)[0, 0].astype(float) for masks in ((on, on), (on, off), (off, on))
    ]
    hues = np.stack([hue / np.linalg.norm(hue) for hue in hues])
    colour = panel - panel.min(2, keepdims=True).astype(float)
    strong = colour.max(2) > 60
    pure = hues - hues.min(1, keepdims=True)
    pure /= np.linalg.norm(pure, axis=1, keepdims=True)
    part = (colour @ pure.T).argmax(2)[strong]
    counts = np.bincount(part, minlength=3)
    assert abs(100 * counts[0] / counts.sum() - iou) < 3


def test_wrong_numbers_are_named():
    with pytest.raises(InputError, match='frames is a number from 1 '):
        HOOKS.build(dict(type='MaskFigureHook', frames=0))
