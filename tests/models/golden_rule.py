"""The rule "hmr-golden-v1", by which the released networks and ours were filled with the same numbers.

A golden file in ``tests/data`` holds a network's official key names with shapes, the sum of every filled tensor, and
what the released class made of them.
"""

from __future__ import annotations

import zlib

import numpy as np
import torch


def generator(name: str) -> torch.Generator:
    """Random numbers that depend on a name alone."""
    return torch.Generator().manual_seed(zlib.crc32(name.encode()))


def normal(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Standard normal ones."""
    return torch.randn(shape, generator=generator(name))


def golden_tensor(key: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Matrices of unit gain (heads a tenth of it), small biases, norms and gains close to one."""
    noise = normal(key, shape)
    module, _, last = key.rpartition('.')
    fixed = {
        'running_mean': lambda: 0.1 * noise,
        'running_var': lambda: 1 + 0.1 * noise.abs(),
        'init_pose': lambda: torch.tensor([1.0, 0, 0, 1, 0, 0]).repeat(24) + 0.1 * noise,
        'init_shape': lambda: 0.1 * noise,
        'init_cam': lambda: torch.tensor([0.9, 0, 0]) + 0.05 * noise,
        'num_batches_tracked': lambda: torch.zeros(shape, dtype=torch.int64),
    }
    if last in fixed:
        return fixed[last]()
    if last.startswith('bias'):
        return 0.05 * noise
    if noise.ndim == 1 or module.endswith('alphas'):
        return 1 + 0.1 * noise
    gain = 0.1 if module.endswith(('decpose', 'decshape', 'deccam')) else 1.0
    return gain * (noise / float(noise[0].numel()) ** 0.5)


def golden_weights(golden: dict[str, np.ndarray], prefix: str = '') -> dict[str, torch.Tensor]:
    """The state dict of a golden file, whose entries may begin with a prefix."""
    shapes = [
        tuple(int(n) for n in text.split('x') if n) for text in golden[f'{prefix}shapes'].tolist()
    ]
    filled = {
        key: golden_tensor(key, shape)
        for key, shape in zip(golden[f'{prefix}keys'].tolist(), shapes)
    }
    sums = np.array([value.double().sum().item() for value in filled.values()])
    np.testing.assert_allclose(
        sums, golden[f'{prefix}sums'], atol=1e-6, err_msg='another random number generator'
    )
    return filled
