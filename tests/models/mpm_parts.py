"""Networks of MPM with numbers of the released classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mpm_golden import GOLDEN, SCALES, SIZES, official_weights

from hrtk.apis import build_model
from hrtk.models.checkpoints import load_official
from hrtk.models.lifting.transformer import SelfAttention

SMALL = dict(frames=9, joints=4, channels=8, hidden=12, layers=2, heads=2)
FLIP = {
    17: ([4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]),
    16: ([4, 5, 6, 10, 11, 12], [1, 2, 3, 13, 14, 15]),
}


def golden_network(kind, size, scale, **options):
    """``'stage1'``, ``'completion'`` or ``'stage2'`` with the golden weights."""
    if kind == 'completion':
        options['decoder_layers'] = 2
    network = build_model(
        'mpm_stage2' if kind == 'stage2' else 'mpm_stage1', **SIZES[size], **options
    )
    report = load_official(network, official_weights(f'{kind}/{size}', SCALES[scale][0]))
    assert report.missing_keys == report.unexpected_keys == report.dropped == ()
    assert len(report.loaded) == len(GOLDEN[f'{kind}/{size}/keys'])
    return network


def worst(found, size, scale, name):
    """The largest difference to the golden of that name, in units of what is allowed."""
    return (
        np.abs(found.detach().numpy() - GOLDEN[f'{scale}/{size}/{name}']).max() / SCALES[scale][1]
    )


def without_dropout(network):
    """In training mode, as the goldens of losses and gradients were made."""
    for module in network.train().modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        elif isinstance(module, SelfAttention):
            module.dropout = 0.0
    return network


def same_gradients(network, expected, keys, rel):
    """Compares the norm of every gradient; those that the released code never uses are marked by -1.

    Biases before a batch norm and those of the attention's keys change nothing: their gradients are rounding errors.
    """
    parameters = dict(network.named_parameters())
    for key, norm in zip(keys, expected):
        gradient = parameters[network.official_key(key)].grad
        if norm == -1:
            assert gradient is None, key
        else:
            assert gradient.norm().item() == pytest.approx(norm, rel=rel, abs=4e-6), key


def count(module):
    return (
        module.numel()
        if isinstance(module, torch.Tensor)
        else sum(p.numel() for p in module.parameters())
    )
