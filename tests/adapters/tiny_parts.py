"""A network small enough for float64 loops, and what the tests of adapters share."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import torch
from literal.scene import DoubleHMR, RandomViews, random_sequence  # noqa: F401  # conftest.py puts it on the path
from torch import nn

from hrtk.adapters import Preparation, PreparationStep, Session
from hrtk.adapters.run import AdapterRun

SIZE = 32
VIEWS = dict(type='RandomViews', resolution=SIZE, double=True)


class Tiny(DoubleHMR):
    """A ResNet-18 of width 4 on 32 px, in float64, with poses far from rest."""

    def __init__(self, seed: int = 0, norm: str = 'gn', activation: str | None = None) -> None:
        torch.manual_seed(seed)
        super().__init__(
            dict(type='ResNet', depth=18, width=4, norm=norm),
            dict(type='IterativeRegressor', hidden=16, activation=activation, dropout=0.5),
            SIZE,
        )
        for layer, spread in (
            (self.head.decpose, 0.08),
            (self.head.decshape, 0.1),
            (self.head.deccam, 0.02),
        ):
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


def run(adapter, model, sequence, seed: int = 0) -> torch.Tensor:
    """The rotations that an adapter predicts in a run that begins with the model's present weights."""
    return predict_all(AdapterRun(adapter, model), sequence, seed)


def predict_all(session: Session | AdapterRun, sequence, seed: int = 0) -> torch.Tensor:
    """The rotations that a session, or a run of several, predicts for a sequence."""
    torch.manual_seed(seed)
    return torch.cat([prediction.rotmat for prediction in session.run(sequence)])


def same_run(ours, model, literal, plain, sequence) -> Session:
    """Asserts that a new session of an adapter and its literal twin predict alike and leave the same weights behind."""
    start = weights_of(model)
    session = ours.start(model)
    torch.manual_seed(3)
    found = list(session.run(sequence))
    torch.manual_seed(3)
    expected = list(literal.adapt(sequence))
    assert len(found) == len(expected) == len(sequence)
    for prediction, wanted in zip(found, expected):
        for name in ('rotmat', 'betas', 'camera'):
            assert (getattr(prediction, name) - wanted[name]).abs().max() < 1e-9
    end, wanted = weights_of(model), weights_of(plain)
    assert max((end[name] - wanted[name]).abs().max() for name in end) < 1e-9
    assert max((end[name] - start[name]).abs().max() for name in end) > 1e-3, 'nothing was adapted'
    return session


class Diary(Preparation):
    """Stores states in memory, remembers the reports, and can be killed after a step of adaptation."""

    def __init__(self, kill: int | None = None) -> None:
        self.states: dict = {}
        self.kill = kill
        self.steps: list[PreparationStep] = []

    def load(self, name):
        return self.states.get(name)

    def save(self, name, state):
        self.states[name] = copy.deepcopy(state)

    def report(self, step):
        self.steps.append(step)
        if step.stage == 'adapt' and step.done == self.kill:
            raise KeyboardInterrupt
