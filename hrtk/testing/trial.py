"""A run of an adapter as :class:`~hrtk.engine.loop.AdaptLoop` makes it, in memory, with everything observed."""

from __future__ import annotations

import copy
import dataclasses
import io
import random
import zlib
from collections.abc import Mapping
from typing import Any, Optional

import numpy as np
import torch
from torch import Tensor, nn

from hrtk.adapters import Adapter, Preparation, PreparationStep
from hrtk.adapters.run import AdapterRun, copied_weights
from hrtk.models.estimators import Estimator
from hrtk.registry import ADAPTERS, ESTIMATORS
from hrtk.results import PARAMETERS
from hrtk.structures import Prediction, Sequence
from hrtk.testing.random_sequences import coloured_sequence

TINY = dict(
    type='HMR',
    backbone=dict(type='ResNet', depth=18, width=4),
    head=dict(type='IterativeRegressor', hidden=16, dropout=0.5),
    resolution=32,
)


class Killed(Exception):
    """Ends a run in the middle of its preparation."""


class MemoryPreparation(Preparation):
    """Stores states in memory as files would store them: what cannot be read back safely fails here.

    Args:
        states: of an earlier run.
        names: of the states that the adapter lists; None for any.
        kill: the report, counted from 1, at which the run is killed.

    Attributes:
        reports: the number of reports so far.
        problems: complaints about stored states.
    """

    def __init__(
        self,
        states: Optional[Mapping[str, Any]] = None,
        names: Optional[tuple[str, ...]] = None,
        kill: Optional[int] = None,
    ) -> None:
        self.states = dict(states or {})
        self.names = names
        self.kill = kill
        self.reports = 0
        self.problems: list[str] = []

    def result(self) -> Optional[dict[str, Tensor]]:
        """Returns the weights that an earlier run finished with."""
        return self.states.get('result')

    def load(self, name: str) -> Optional[dict[str, Any]]:
        """Returns a state of an earlier, interrupted run."""
        return self.states.get(name)

    def save(self, name: str, state: dict[str, Any]) -> None:
        """Stores a copy of a state."""
        if self.names is not None and name not in self.names:
            self.problems.append(
                f'a state is stored as {name!r}; the adapter lists the states {self.names}'
            )
        self.states[name] = through_a_file(state)

    def report(self, step: PreparationStep) -> None:
        """Counts the reports; raises :class:`Killed` at the chosen one."""
        self.reports += 1
        if not isinstance(step, PreparationStep):
            self.problems.append(f'report() takes a PreparationStep, not {step!r}')
        if self.reports == self.kill:
            raise Killed


def through_a_file(state: Any) -> Any:
    """A state after it was written to a file and read back without executing anything of it."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def seed(name: str) -> None:
    """Seeds Python, numpy and torch with a checksum of the name."""
    number = zlib.crc32(name.encode())
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)


def difference(ours: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> str:
    """Describes the first value that differs in any bit; empty if all are equal."""
    if ours.keys() != others.keys():
        return f'other names: {sorted(set(ours) ^ set(others))[:3]}'
    for name, value in ours.items():
        if not torch.equal(value, others[name]):
            return f'{name} differs by up to {(value - others[name]).abs().max():.2g}'
    return ''


@dataclasses.dataclass
class Outcome:
    """What an adapter yielded for a sequence.

    Attributes:
        predictions: in the order in which they were yielded.
        grad_enabled: whether gradients were enabled in the caller after every ``yield``.
    """

    predictions: list[Prediction]
    grad_enabled: list[bool]

    def tensors(self) -> dict[str, Tensor]:
        """The parameters of all frames by name."""
        joined = Prediction.cat(self.predictions).detach()
        return {name: getattr(joined, name) for name in PARAMETERS}


class Setting:
    """An adapter's config, an estimator and sequences to examine the adapter on.

    Args:
        adapter: config.
        estimator: config; default a network of 32 px with random weights.
        sequences: two or more; default coloured noise of three frames each.

    Attributes:
        config: the adapter's.
        network: the start model.
        sequences: on which the adapter is examined.
        pristine_sequences: copies from before any run.
        pristine_body: a copy of the body from before any run.
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
            _spread_predictions(self.network)
        self.sequences = sequences or self._coloured_sequences()
        self.pristine_sequences = copy.deepcopy(self.sequences)
        self.pristine_body = copy.deepcopy(self.network.body)
        self._baseline: Optional[Trial] = None

    def build(self) -> Adapter:
        """Builds the adapter."""
        seed('adapter')  # as in a run, which is seeded before it builds anything
        return ADAPTERS.build(copy.deepcopy(self.config))

    def estimator(self) -> Estimator:
        """Returns a copy of the start model; the body is shared, as in a run."""
        return copy.deepcopy(self.network, {id(self.network.body): self.network.body})

    @property
    def baseline(self) -> Trial:
        """A run over the second sequence alone."""
        if self._baseline is None:
            self._baseline = Trial(self)
            self._baseline.adapt(self.sequences[1])
        return self._baseline

    def _coloured_sequences(self) -> list[Sequence]:
        size = 2 * self.network.resolution
        return [coloured_sequence('first', 3, size, 0), coloured_sequence('second', 3, size, 1)]


class Trial:
    """A run of the adapter, prepared.

    Args:
        setting: adapter, estimator and sequences.
        preparation: stores the states of the preparation; default in memory.

    Attributes:
        adapter: of the run.
        estimator: of the run.
        prepared: the weights that ``prepare`` returned, or None.
        start_weights: the weights that sessions start from.
        outcome: of the last sequence.
    """

    def __init__(self, setting: Setting, preparation: Optional[MemoryPreparation] = None) -> None:
        self.adapter = setting.build()
        self.estimator = setting.estimator()
        preparation = preparation or MemoryPreparation()
        preparation.names = self.adapter.states
        weights = copied_weights(self.estimator)
        seed('prepare')
        self.prepared = self.adapter.prepare(self.estimator, setting.sequences, preparation)
        if self.prepared is not None:
            weights = self.prepared
        self.estimator.load_state_dict(weights)
        self.estimator.eval()
        self.start_weights = copied_weights(self.estimator)
        self.run = AdapterRun(self.adapter, self.estimator)
        self.outcome = Outcome([], [])

    def adapt(self, sequence: Sequence) -> dict[str, Tensor]:
        """Adapts to a sequence; returns the parameters of all frames by name."""
        seed(sequence.name)
        self.outcome = Outcome([], [])
        with torch.enable_grad():
            for prediction in self.run.run(sequence):
                self.outcome.grad_enabled.append(torch.is_grad_enabled())
                self.outcome.predictions.append(prediction)
                torch.set_grad_enabled(True)
        return self.outcome.tensors()


def _spread_predictions(network: Any) -> None:
    """Makes predictions differ between frames: where all frames look alike, nothing can be examined."""
    for layer in (network.head.decpose, network.head.decshape, network.head.deccam):
        nn.init.normal_(layer.weight, std=0.05)
