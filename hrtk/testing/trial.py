"""A run of an adapter as :class:`~hrtk.engine.loop.AdaptLoop` makes it, in memory, with everything observed."""

from __future__ import annotations

import copy
import dataclasses
import io
import random
import zlib
from typing import Any, Optional

import numpy as np
import torch
from torch import Tensor, nn

from hrtk.adapters import STATES, Adapter, Preparation
from hrtk.models.estimators import Estimator
from hrtk.registry import ADAPTERS, ESTIMATORS
from hrtk.structures import Prediction, Sequence
from hrtk.testing.random_sequences import coloured_sequence

TINY = dict(
    type='HMR',
    backbone=dict(type='ResNet', depth=18, width=4),
    head=dict(type='IterativeRegressor', hidden=16, dropout=0.5),
    resolution=32,
)


class Killed(Exception):
    """What a run dies of while it prepares."""


class MemoryPreparation(Preparation):
    """Keeps states as files would: what cannot be read back safely fails here.

    Args:
        states: of an earlier run.
        kill: the call of :meth:`step`, counted from 1, at which the run dies.

    Attributes:
        steps: how often progress was reported.
        problems: what was saved under a name that a run does not keep.
    """

    def __init__(self, states: Optional[dict[str, Any]] = None, kill: Optional[int] = None) -> None:
        self.states, self.kill = dict(states or {}), kill
        self.steps, self.problems = 0, []

    def result(self) -> Optional[dict[str, Tensor]]:
        """The weights that an earlier run ended with."""
        return self.states.get('result')

    def load(self, name: str) -> Optional[dict[str, Any]]:
        """A state of an earlier, interrupted run."""
        return self.states.get(name)

    def save(self, name: str, state: dict[str, Any]) -> None:
        """Keeps a copy of a state."""
        if name not in STATES:
            self.problems.append(
                f'a state is saved as {name!r}; the names that are kept are {STATES}'
            )
        self.states[name] = stored(state)

    def step(self, done: int, total: int, **numbers: float) -> None:
        """Counts, and dies when it is time."""
        self.steps += 1
        if self.steps == self.kill:
            raise Killed


def stored(state: Any) -> Any:
    """A state after a way through a file, without executing anything of it."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def seed(name: str) -> None:
    """Seeds Python, numpy and torch, with a number of their own for every name."""
    number = zlib.crc32(name.encode())
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)


def weights_of(estimator: Estimator) -> dict[str, Tensor]:
    """A copy of the state dict."""
    return {name: value.detach().clone() for name, value in estimator.state_dict().items()}


def difference(ours: dict[str, Tensor], other: dict[str, Tensor]) -> str:
    """The first value that is not the same to the last bit; empty if all are."""
    if ours.keys() != other.keys():
        return f'other names: {sorted(set(ours) ^ set(other))[:3]}'
    return next(
        (
            f'{name} differs by up to {(ours[name] - other[name]).abs().max():.2g}'
            for name in ours
            if not torch.equal(ours[name], other[name])
        ),
        '',
    )


@dataclasses.dataclass
class Outcome:
    """What an adapter did with a sequence.

    Attributes:
        parts: what it yielded.
        grad: whether gradients were on in the caller after every ``yield``.
    """

    parts: list[Prediction]
    grad: list[bool]

    def tensors(self) -> dict[str, Tensor]:
        """Everything predicted, joined over frames."""
        whole = Prediction.cat(self.parts).detach()
        return {name: getattr(whole, name) for name in ('rotmat', 'betas', 'camera')}


class Setting:
    """What is examined: configs, and the sequences on which.

    Args:
        adapter: config.
        estimator: config; default a network of 32 px with random weights.
        sequences: two or more; default coloured noise of three frames each.

    Attributes:
        pristine: the sequences and the body as they were before any run.
    """

    def __init__(
        self,
        adapter: dict,
        estimator: Optional[dict] = None,
        sequences: Optional[list[Sequence]] = None,
    ) -> None:
        seed('estimator')
        self.config = adapter
        self.network: Estimator = ESTIMATORS.build(copy.deepcopy(estimator or TINY)).eval()
        if estimator is None:
            for layer in (
                self.network.head.decpose,
                self.network.head.decshape,
                self.network.head.deccam,
            ):
                nn.init.normal_(
                    layer.weight, std=0.05
                )  # where all frames look alike, nothing can be told from them
        size = 2 * self.network.resolution
        self.sequences = sequences or [
            coloured_sequence(name, frames, size, number)
            for number, (name, frames) in enumerate((('first', 3), ('second', 3)))
        ]
        self.pristine = copy.deepcopy(self.sequences), copy.deepcopy(self.network.body)
        self._baseline: Optional[Trial] = None

    def build(self) -> Adapter:
        """The adapter, anew."""
        seed('adapter')  # as a run, which is seeded before it builds anything
        return ADAPTERS.build(copy.deepcopy(self.config))

    def estimator(self) -> Estimator:
        """The start model, anew; the body is shared, as in a run."""
        return copy.deepcopy(self.network, {id(self.network.body): self.network.body})

    @property
    def baseline(self) -> Trial:
        """A run over the second sequence alone."""
        if self._baseline is None:
            self._baseline = Trial(self)
            self._baseline.adapt(self.sequences[1])
        return self._baseline


class Trial:
    """A run, prepared.

    Attributes:
        adapter, estimator: of the run.
        prepared: what ``prepare`` returned.
        outcome: of the last sequence.
    """

    def __init__(self, setting: Setting, preparation: Optional[Preparation] = None) -> None:
        self.adapter, self.estimator = setting.build(), setting.estimator()
        source = weights_of(self.estimator)
        seed('prepare')
        self.prepared = self.adapter.prepare(
            self.estimator, setting.sequences, preparation or MemoryPreparation()
        )
        self.estimator.load_state_dict(source if self.prepared is None else self.prepared)
        self.estimator.eval()
        self.start = weights_of(self.estimator)
        self.outcome = Outcome([], [])

    def adapt(self, sequence: Sequence) -> dict[str, Tensor]:
        """Everything predicted for a sequence."""
        if self.adapter.reset != 'never':
            self.estimator.load_state_dict(self.start)
            self.estimator.eval().zero_grad(set_to_none=True)
        seed(sequence.name)
        self.outcome = Outcome([], [])
        with torch.enable_grad():
            for prediction in self.adapter.adapt(self.estimator, sequence):
                self.outcome.grad.append(torch.is_grad_enabled())
                self.outcome.parts.append(prediction)
                torch.set_grad_enabled(True)
        return self.outcome.tensors()
