"""A network small enough for float64 loops, and what the tests of adapters share."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2] / 'benchmarks'))

from literal.scene import DoubleHMR, RandomViews, random_sequence  # noqa: E402, F401

SIZE = 32
VIEWS = dict(type='RandomViews', resolution=SIZE, double=True)


class Tiny(DoubleHMR):
    """A ResNet-18 of width 4 on 32 px, in float64, with poses far from rest."""

    def __init__(self, seed: int = 0, norm: str = 'gn', activation: str | None = None) -> None:
        torch.manual_seed(seed)
        super().__init__(dict(type='ResNet', depth=18, width=4, norm=norm),
                         dict(type='IterativeRegressor', hidden=16, activation=activation, dropout=0.5), SIZE)
        for layer, spread in ((self.head.decpose, .08), (self.head.decshape, .1), (self.head.deccam, .02)):
            nn.init.normal_(layer.weight, std=spread)
        self.eval()


def tiny_sequence(name: str = 'noise', frames: int = 8, seed: int = 0, **options):
    """A sequence of noise in float64."""
    return random_sequence(name, frames, 40, seed, dtype=torch.float64, **options)


def with_infinity(sequence, frame: int):
    """The same sequence with one infinite pixel in one frame."""
    pictures = np.asarray(sequence.frames, np.float32)
    pictures[frame, 20, 20] = np.inf
    return dataclasses.replace(sequence, frames=pictures)


def weights_of(model) -> dict[str, torch.Tensor]:
    """A copy of the parameters."""
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def equal(a, b) -> bool:
    """Same keys, same bits."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
