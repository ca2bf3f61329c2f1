"""The command that writes banks of exemplars."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hrtk.adapters.bilevel.retrieval import RetrievalBank
from hrtk.registry import ESTIMATORS

ROOT = Path(__file__).parents[2]
CONFIG = """
estimator = dict(type='HMR', backbone=dict(type='ResNet', depth=18, width=4), resolution=48,
                 head=dict(type='IterativeRegressor', hidden=16), weights={weights!r})
adapter = dict(type='Regeneration', online=dict(type='DynamicBilevel', exemplars={exemplars}))
"""


@pytest.fixture
def run(call_tool, tmp_path, monkeypatch):
    monkeypatch.setenv('HRTK_CACHE', str(tmp_path))
    monkeypatch.setenv('HOME', str(tmp_path))

    def run(config, *arguments):
        (tmp_path / 'config.py').write_text(config)
        return call_tool(
            'build_retrieval_bank', tmp_path / 'config.py', tmp_path / 'bank', *arguments
        )

    return run


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    model = ESTIMATORS.build(
        dict(
            type='HMR',
            backbone=dict(type='ResNet', depth=18, width=4),
            resolution=48,
            head=dict(type='IterativeRegressor', hidden=16),
        )
    )
    torch.save(model.state_dict(), tmp_path / 'weights.pt')
    return str(tmp_path / 'weights.pt')


def test_a_bank_is_written_and_opened_without_a_warning(run, tmp_path, weights, recwarn):
    views = "dict(dataset=dict(type='OpenViews', length=9, resolution=48))"
    config = CONFIG.format(weights=weights, exemplars=views)
    found = run(config, '--count', '7', '--clusters', '2')
    assert found.returncode == 0 and '7 crops' in found.stdout, found.stderr
    model = ESTIMATORS.build(
        dict(
            type='HMR',
            backbone=dict(type='ResNet', depth=18, width=4),
            resolution=48,
            head=dict(type='IterativeRegressor', hidden=16),
            weights=weights,
        )
    )
    bank = RetrievalBank(folder=str(tmp_path / 'bank'), mode='cluster')
    bank.load(model)
    assert not [w for w in recwarn if 'features' in str(w.message)]


def test_a_config_without_exemplars(run, weights):
    found = run(CONFIG.format(weights=weights, exemplars=None))
    assert (
        found.returncode == 2
        and 'adapter.exemplars.dataset' in found.stderr
        and 'Traceback' not in found.stderr
    )
