"""Numbers of the released classes of MPM, run once with weights of their own rule.

``tests/data/mpm_golden.npz`` holds, for three sizes and two scales of the weights, inputs and masks, outputs, losses,
gradients and, per network, the official key names with shapes. Its rule for weights is not that of golden_rule.py: a
numpy generator per key, norms near one and everything else ``scale`` times a standard normal.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import torch

from hrtk.models.lifting import Masks

GOLDEN = dict(np.load(Path(__file__).parents[1] / 'data' / 'mpm_golden.npz', allow_pickle=False))
SIZES = dict(
    f27_j17_l3=dict(frames=27, joints=17, layers=3),
    f27_j16_l3=dict(frames=27, joints=16, layers=3),
    f81_j17_l4=dict(frames=81, joints=17, layers=4),
)
# The reference's float32 and float64 runs differ by up to 7e-7 and 1.3e-5.
SCALES = dict(s02=(0.02, 5e-6), s08=(0.08, 1e-4))


def official_weights(name: str, scale: float) -> dict[str, torch.Tensor]:
    """A state dict under official keys, e.g. of ``'stage1/f27_j17_l3'``."""
    keys = GOLDEN[f'{name}/keys'].tolist()
    shapes = [
        tuple(int(n) for n in text.split('x') if n) for text in GOLDEN[f'{name}/shapes'].tolist()
    ]
    return {
        key: _filled(key, shape, f'{key.rpartition(".")[0]}.running_var' in keys, scale)
        for key, shape in zip(keys, shapes)
    }


def _filled(key: str, shape: tuple[int, ...], batch_norm: bool, scale: float) -> torch.Tensor:
    last = key.rpartition('.')[2]
    if last == 'num_batches_tracked':
        return torch.zeros(shape, dtype=torch.int64)
    noise = np.random.RandomState(zlib.crc32(key.encode())).standard_normal(shape)
    if last == 'a_2' or (last == 'weight' and batch_norm):
        noise = 1 + 0.1 * noise
    elif last == 'running_var':
        noise = 1 + 0.1 * np.abs(noise)
    else:
        noise = noise * (0.1 if last == 'running_mean' else scale)
    return torch.from_numpy(noise.astype(np.float32))


def golden_input(size: str) -> tuple[torch.Tensor, torch.Tensor, Masks, Masks, Masks]:
    """2D and 3D poses of two samples, masks of either, and the tubes of completion."""
    values = {
        key: torch.from_numpy(GOLDEN[f'in/{size}/{key}'])
        for key in ('x2', 'x3', 'smask2', 'smask3', 'tmask2', 'tmask3', 'tube')
    }
    tube = values['tube'][:, None].expand(values['x2'].shape[:3])
    return (
        values['x2'],
        values['x3'],
        Masks.of(values['smask2'], values['tmask2']),
        Masks.of(values['smask3'], values['tmask3']),
        Masks.of(tube),
    )
