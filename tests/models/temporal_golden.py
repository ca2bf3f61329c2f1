"""Numbers of the released classes of TCMR and MPS-Net, run once under a rule that fills any network the same way.

``tests/data/temporal_golden.npz`` holds, for each, the official key names with shapes, the sum of every filled tensor,
outputs for three windows, and those of the released sliding windows over forty frames, eight and one at a time.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import torch

from hrtk.models.checkpoints import load_official
from hrtk.models.temporal import TCMR, MPSNet

GOLDEN = dict(np.load(Path(__file__).parents[1] / 'data' / 'temporal_golden.npz', allow_pickle=False))
NETWORKS = dict(mpsnet=MPSNet, tcmr=TCMR)
TOLERANCE = 1e-5  # the reference's float32 and float64 runs differ by up to 8e-7


def generator(name):
    return torch.Generator().manual_seed(zlib.crc32(name.encode()))


def filled(key, shape):
    """The rule "hmr-golden-v1" for what these networks hold: unit gain (heads a tenth), small biases."""
    noise = torch.randn(shape, generator=generator(key))
    module, _, last = key.rpartition('.')
    start = {'init_pose': (torch.tensor([1., 0, 0, 1, 0, 0]).repeat(24), .1), 'init_shape': (0, .1),
             'init_cam': (torch.tensor([.9, 0, 0]), .05)}
    if last in start:
        return start[last][0] + start[last][1] * noise
    if last.startswith('bias'):
        return .05 * noise
    weight = noise / float(noise[0].numel()) ** .5
    return .1 * weight if module.endswith(('decpose', 'decshape', 'deccam')) else weight


def official_weights(name):
    """A state dict under official keys."""
    shapes = [tuple(int(n) for n in text.split('x')) for text in GOLDEN[f'{name}_shapes'].tolist()]
    weights = {key: filled(key, shape) for key, shape in zip(GOLDEN[f'{name}_keys'].tolist(), shapes)}
    sums = np.array([value.double().sum().item() for value in weights.values()])
    np.testing.assert_allclose(sums, GOLDEN[f'{name}_sums'], atol=1e-6, err_msg='another random number generator')
    return weights


def official_network(name, **options):
    """The published network with the golden weights."""
    network = NETWORKS[name](**options).eval()
    report = load_official(network, {'gen_state_dict': official_weights(name)})
    assert report.missing_keys == report.unexpected_keys == report.dropped == ()
    return network


def golden_features(name, windows, frames):
    """The goldens' input: (windows, frames, 2048) features like those of an image network, near to each other."""
    random = generator(f'input:features:{name}')
    base = .5 * torch.randn((windows, 1, 2048), generator=random)
    return (base + .05 * torch.randn((windows, frames, 2048), generator=random)).relu()
