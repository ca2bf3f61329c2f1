"""The states of :meth:`Adapter.prepare` in a run's folder: they survive a kill, and all processes share one result."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Optional

import torch
from mmengine.dist import barrier, broadcast, is_main_process
from torch import Tensor

from hrtk.adapters import Preparation, PreparationStep
from hrtk.engine.store import read_state
from hrtk.files import write_atomically

RESULT = 'prepared'


@dataclasses.dataclass(frozen=True)
class SharedPreparations:
    """Preparations of several runs that continue each other: a shorter one is the beginning of a longer one.

    Attributes:
        folder: of the states of all of them.
        length: steps of this run's preparation.
        keep: lengths whose weights are stored on the way, as ``prepared_<length>.pt``.
    """

    folder: Path
    length: int
    keep: tuple[int, ...]


class StoredPreparation(Preparation):
    """States in the results folder of a run: ``prepare_<name>.pt``, and at the end ``prepared.pt``.

    ``prepared.pt`` is a checkpoint of the prepared weights, which ``estimator.weights`` of another config may name.

    Args:
        folder: of the results.
        runner: its hooks receive ``after_prepare_step(runner, step)``.
        names: of the states that the adapter stores.
        resume: use the states that lie in the folder.
        shared: the states lie in the folder of several runs instead; None for a run of its own.
    """

    def __init__(
        self,
        folder: Path,
        runner: Any,
        names: Iterable[str],
        resume: bool,
        shared: Optional[SharedPreparations] = None,
    ) -> None:
        self.folder = folder
        self.runner = runner
        self.names = tuple(names)
        self.shared = shared
        if shared is not None and is_main_process():
            shared.folder.mkdir(parents=True, exist_ok=True)
        self._stored: dict[str, Optional[dict[str, Any]]] = {}
        if resume:
            for stem in (RESULT, *map(_stem, self.names)):
                self._stored[stem] = self._read(stem)
            if shared is not None and self._stored[RESULT] is None:
                self._stored[RESULT] = self._read(_kept(shared.length))
        barrier()  # every process reads before one of them writes

    def load(self, name: str) -> Optional[dict[str, Any]]:
        """Returns a state of an earlier, interrupted run, or None; none from behind the end of this run."""
        state = self._stored.get(_stem(name))
        return None if self._is_ahead(state) else state

    def wants(self, steps: int) -> bool:
        """Whether another run ends after this number of steps."""
        return self.shared is not None and steps in self.shared.keep

    def keep(self, steps: int, weights: dict[str, Tensor]) -> None:
        """Stores the weights that are the result of another run, in the first process."""
        self._write(_kept(steps), dict(state_dict=weights))

    def save(self, name: str, state: dict[str, Any]) -> None:
        """Stores a state, in the first process.

        A state of a longer run is not replaced.

        Raises:
            ValueError: the adapter does not list the name in its ``states``.
        """
        if name not in self.names:
            raise ValueError(
                f'the adapter stores {name!r} and lists the states {self.names}; add it to Adapter.states'
            )
        if not self._is_ahead(self._stored.get(_stem(name))):
            self._write(_stem(name), state)

    def report(self, step: PreparationStep) -> None:
        """Calls the hooks."""
        self.runner.call_hook('after_prepare_step', step=step)

    def result(self) -> Optional[dict[str, Tensor]]:
        """Returns the weights of an earlier, finished preparation, or None."""
        stored = self._stored.get(RESULT)
        if stored is None:
            return None
        return stored['state_dict']

    def finish(self, weights: dict[str, Tensor]) -> None:
        """Replaces the weights, in place, by those of the first process, and stores them."""
        for name in sorted(weights):
            broadcast(weights[name])
        self._write(RESULT, dict(state_dict=weights))
        if is_main_process() and self.shared is None:
            for name in self.names:
                self._path(_stem(name)).unlink(missing_ok=True)

    def _write(self, stem: str, content: dict[str, Any]) -> None:
        if is_main_process():
            write_atomically(self._path(stem), lambda file: torch.save(content, file))

    def _read(self, stem: str) -> Optional[dict[str, Any]]:
        return read_state(self._path(stem), 'That part of the preparation is computed again')

    def _is_ahead(self, state: Optional[dict[str, Any]]) -> bool:
        """Whether a state is that of a longer run."""
        if state is None or self.shared is None:
            return False
        steps = state.get('steps')
        return isinstance(steps, int) and steps > self.shared.length

    def _path(self, stem: str) -> Path:
        folder = self.folder
        if self.shared is not None and stem != RESULT:
            folder = self.shared.folder
        return folder / f'{stem}.pt'


def _kept(steps: int) -> str:
    return f'{RESULT}_{steps}'


def _stem(name: str) -> str:
    return f'prepare_{name}'
