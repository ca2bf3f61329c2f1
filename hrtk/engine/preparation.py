"""The states of :meth:`Adapter.prepare` in a run's folder: they survive a kill, and all processes share one result."""

from __future__ import annotations

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


class StoredPreparation(Preparation):
    """States in the results folder of a run: ``prepare_<name>.pt``, and at the end ``prepared.pt``.

    ``prepared.pt`` is a checkpoint of the prepared weights, which ``estimator.weights`` of another config may name.

    Args:
        folder: of the results.
        runner: its hooks receive ``after_prepare_step(runner, step)``.
        names: of the states that the adapter stores.
        resume: use the states that lie in the folder.
    """

    def __init__(self, folder: Path, runner: Any, names: Iterable[str], resume: bool) -> None:
        self.folder = folder
        self.runner = runner
        self.names = tuple(names)
        self._stored: dict[str, Optional[dict[str, Any]]] = {}
        if resume:
            for stem in (RESULT, *map(_stem, self.names)):
                self._stored[stem] = read_state(
                    self._path(stem), 'That part of the preparation is computed again'
                )
        barrier()  # every process reads before one of them writes

    def load(self, name: str) -> Optional[dict[str, Any]]:
        """Returns a state of an earlier, interrupted run, or None."""
        return self._stored.get(_stem(name))

    def save(self, name: str, state: dict[str, Any]) -> None:
        """Stores a state, in the first process.

        Raises:
            ValueError: the adapter does not list the name in its ``states``.
        """
        if name not in self.names:
            raise ValueError(
                f'the adapter stores {name!r} and lists the states {self.names}; add it to Adapter.states'
            )
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
        if is_main_process():
            for name in self.names:
                self._path(_stem(name)).unlink(missing_ok=True)

    def _write(self, stem: str, content: dict[str, Any]) -> None:
        if is_main_process():
            write_atomically(self._path(stem), lambda file: torch.save(content, file))

    def _path(self, stem: str) -> Path:
        return self.folder / f'{stem}.pt'


def _stem(name: str) -> str:
    return f'prepare_{name}'
