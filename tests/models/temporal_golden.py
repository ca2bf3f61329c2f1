"""Numbers of the released classes of TCMR and MPS-Net, run once under the rule of golden_rule.py.

``tests/data/temporal_golden.npz`` holds, for each, outputs for three windows, and those of the released sliding windows
over forty frames, eight and one at a time.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from golden_rule import generator, golden_weights

from hrtk.models.checkpoints import load_official
from hrtk.models.temporal import TCMR, MPSNet

GOLDEN = dict(
    np.load(Path(__file__).parents[1] / 'data' / 'temporal_golden.npz', allow_pickle=False)
)
NETWORKS = dict(mpsnet=MPSNet, tcmr=TCMR)
TOLERANCE = 1e-5  # the reference's float32 and float64 runs differ by up to 8e-7


def official_weights(name):
    """A state dict under official keys."""
    return golden_weights(GOLDEN, f'{name}_')


def official_network(name, **options):
    """The published network with the golden weights."""
    network = NETWORKS[name](**options).eval()
    report = load_official(network, {'gen_state_dict': official_weights(name)})
    assert report.missing_keys == report.unexpected_keys == report.dropped == ()
    return network


def golden_features(name, windows, frames):
    """The goldens' input: (windows, frames, 2048) features like those of an image network, near to each other."""
    random = generator(f'input:features:{name}')
    base = 0.5 * torch.randn((windows, 1, 2048), generator=random)
    return (base + 0.05 * torch.randn((windows, frames, 2048), generator=random)).relu()
