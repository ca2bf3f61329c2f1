"""What a run notes about its machine, and the determinism that it asks for."""

import pytest
import torch

from hrtk.engine.environment import set_up_environment
from hrtk.engine.versions import versions


@pytest.mark.parametrize(
    'products, convolutions, text',
    [
        (False, False, 'nothing'),
        (False, True, 'convolutions'),
        (True, True, 'products and convolutions'),
    ],
)
def test_tf32_is_named_with_a_gpu(monkeypatch, products, convolutions, text):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'get_device_name', lambda: 'some GPU')
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    try:
        torch.backends.cuda.matmul.allow_tf32 = products
        torch.backends.cudnn.allow_tf32 = convolutions
        assert versions()['tf32'] == text and versions()['device'] == 'some GPU'
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def test_tf32_is_not_named_without_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    assert 'tf32' not in versions() and versions()['device'] == 'cpu'


def test_cudnn_is_deterministic_unless_it_may_choose(monkeypatch):
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    try:
        set_up_environment('none', {})
        assert cudnn.deterministic
        set_up_environment('none', dict(cudnn_benchmark=True))
        assert cudnn.benchmark and not cudnn.deterministic
    finally:
        cudnn.deterministic, cudnn.benchmark = before
