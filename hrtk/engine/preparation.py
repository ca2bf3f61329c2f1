"""What a run does for :meth:`Adapter.prepare`: states that survive a kill, progress, and one result on all ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

import torch
from mmengine.dist import barrier, broadcast, is_main_process
from torch import Tensor

from hrtk.adapters import STATES, Preparation
from hrtk.engine.store import read_state
from hrtk.files import write_atomically

RESULT = 'prepared'


class StoredPreparation(Preparation):
    """States in the results folder of a run: ``prepare_<name>.pt``, and at the end ``prepared.pt``.

    ``prepared.pt`` is a checkpoint: the prepared weights, which ``estimator.weights`` of another config may name.

    Args:
        folder: of the results.
        runner: whose hooks get ``after_prepare_step(runner, done, total, numbers)``.
        resume: use what lies there.
    """

    def __init__(self, folder: Path, runner: Any, resume: bool) -> None:
        self.folder, self.runner = folder, runner
        # All processes read before any of them writes.
        self._found = (
            {name: self._read(name) for name in (RESULT, *map(_state, STATES))} if resume else {}
        )
        barrier()

    def load(self, name: str) -> Optional[dict[str, Any]]:
        """A state of an earlier, interrupted run."""
        return self._found.get(_state(name))

    def save(self, name: str, state: dict[str, Any]) -> None:
        """Stores a state, in the first process."""
        if name not in STATES:
            raise ValueError(f'a preparation has the states {STATES}, not {name!r}')
        self._write(_state(name), state)

    def step(self, done: int, total: int, **numbers: float) -> None:
        """Tells the hooks."""
        self.runner.call_hook('after_prepare_step', done=done, total=total, numbers=numbers)

    def result(self) -> Optional[dict[str, Tensor]]:
        """The finished preparation of an earlier run."""
        found = self._found.get(RESULT)
        return found and found['state_dict']

    def finish(self, weights: dict[str, Tensor]) -> None:
        """Makes the first process' weights those of all, in place, and stores them."""
        for name in sorted(weights):
            broadcast(weights[name])
        self._write(RESULT, dict(state_dict=weights))
        for name in map(_state, STATES):
            if is_main_process():
                (self.folder / f'{name}.pt').unlink(missing_ok=True)

    def _write(self, name: str, content: dict[str, Any]) -> None:
        if is_main_process():
            write_atomically(self.folder / f'{name}.pt', lambda file: torch.save(content, file))

    def _read(self, name: str) -> Optional[dict[str, Any]]:
        return read_state(
            self.folder / f'{name}.pt', 'That part of the preparation is computed again'
        )


def _state(name: str) -> str:
    return f'prepare_{name}'
