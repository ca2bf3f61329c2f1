"""The adapter and the loss; run with the plugin installed."""

from pathlib import Path

import pytest
import torch

from hrtk.apis import adapt
from hrtk.registry import ADAPTERS, LOSSES
from hrtk.testing import check_adapter

CONFIG = Path(__file__).parents[1] / 'configs/keypoint_tuner_wild.py'


@pytest.mark.parametrize('reset', ['frame', 'sequence', 'never'])
def test_keeps_hrtks_contracts(reset):
    check_adapter(dict(type='KeypointTuner', lr=1e-4, steps=2, reset=reset))


def test_loss_by_hand():
    loss = LOSSES.build(dict(type='GemanMcClure', scale=1.0))
    found, wanted = torch.zeros(1, 3, 2), torch.tensor([[[1.0, 0], [0, 3], [9, 9]]])
    # distances 1 and 3 give 1/2 and 9/10; the third point is not there
    assert loss(found, wanted, torch.tensor([[1.0, 1, 0]])).item() == pytest.approx(0.7)
    assert loss(found, wanted, torch.zeros(1, 3)).item() == 0


def test_config_adapts(tmp_path, monkeypatch):
    monkeypatch.setenv('HRTK_CACHE', str(tmp_path / 'cache'))
    options = {'dataset.sequences': 1, 'dataset.frames': 3, 'dataset.size': 96, 'outputs': None}
    metrics = adapt(CONFIG, cfg_options=options, work_dir=tmp_path)
    assert metrics['KeypointTuner/reprojection_px'] < metrics['Source/reprojection_px']
    assert ADAPTERS.get('KeypointTuner').__module__ == 'hrtk_example.keypoint_tuner'
