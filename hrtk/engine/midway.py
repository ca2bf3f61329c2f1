"""The state inside a sequence: a run that was killed within a long track continues behind its last stored frame.

The state lies next to the results, as ``midway_<hash of the name>.pt``, until the sequence is finished. It holds the
predictions so far, the weights that changed, the state of the session and the random generators, so that the resumed
run has the digits of an uninterrupted one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch
from torch import Tensor

from hrtk.engine.store import read_state, warn
from hrtk.errors import OptionError, suggestion
from hrtk.files import DiskError, write_atomically
from hrtk.results import keypoint_array
from hrtk.structures import Prediction, Sequence

FORMAT = 1
OPTIONS = ('seconds', 'frames')
SECONDS = 60.0  # of work that a kill may cost
COST = 30  # the state is stored at most every so many times the time that storing it takes: 3 % of a run


@dataclasses.dataclass
class Midway:
    """What is finished of one sequence.

    Attributes:
        before: predictions of the frozen model, of the first frames, in the form in which a result stores them.
        before_seconds: wall time of the frozen model.
        after: predictions of the adapter.
        seconds: wall time of the adapter.
        adaptation: changed weights and state of the adapter behind the frames of ``after``, see
            :meth:`hrtk.adapters.run.AdapterRun.midway_state`; None before the first one.
    """

    before: list[Prediction] = dataclasses.field(default_factory=list)
    before_seconds: float = 0.0
    after: list[Prediction] = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    adaptation: Optional[dict[str, Any]] = None

    @property
    def frames_before(self) -> int:
        """Number of frames that the frozen model has predicted."""
        return sum(map(len, self.before))

    @property
    def frames(self) -> int:
        """Number of frames that the adapter has predicted."""
        return sum(map(len, self.after))

    @property
    def work(self) -> int:
        """Number of predictions of both."""
        return self.frames_before + self.frames


class MidwayStore:
    """Stores the state inside a sequence from time to time.

    Args:
        folder: of the results.
        options: ``seconds`` between two states (default 60; less often where storing takes long), or ``frames``
            between them, those of the frozen model included; None for the default.
        resume: use the states that lie in the folder.

    Raises:
        OptionError: an option is unknown, or not a positive number.
    """

    def __init__(self, folder: Path, options: Optional[Mapping[str, Any]], resume: bool) -> None:
        options = dict(options or {})
        _check_options(options)
        self.folder = folder
        self.frames: Optional[int] = options.get('frames')
        self.seconds = SECONDS
        if options.get('seconds') is not None:
            self.seconds = float(options['seconds'])
        self.resume = resume
        self._next_time = 0.0
        self._next_work = 0
        self._writable = True

    def path(self, name: str) -> Path:
        """The file of a sequence's state."""
        digest = hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:16]
        return self.folder / f'midway_{digest}.pt'

    def start(self, sequence: Sequence, finished: list[str]) -> Midway:
        """Returns the stored state of a sequence, or an empty one, and starts the clock; sets the random generators.

        Args:
            sequence: its frames, boxes and keypoints must be those of the state.
            finished: names of the sequences that the session has adapted to before.
        """
        midway = Midway()
        state = None
        if self.resume:
            state = read_state(self.path(sequence.name), 'The sequence is computed from its start')
        else:
            self.remove(sequence.name)
        if state is not None and state.get('identity') == _identity(sequence, finished):
            midway = Midway(
                [Prediction(**part) for part in state['before']],
                state['before_seconds'],
                [Prediction(**part) for part in state['after']],
                state['seconds'],
                state['adaptation'],
            )
            set_random_state(state['random'])
        self._schedule(midway.work, 0.0)
        return midway

    def is_due(self, midway: Midway, pending: int = 0) -> bool:
        """Whether a state is to be stored now, when ``pending`` predictions are to be added to it."""
        if not self._writable:
            return False
        if self.frames is not None:
            return midway.work + pending >= self._next_work
        return time.monotonic() >= self._next_time

    def save(self, sequence: Sequence, finished: list[str], midway: Midway) -> None:
        """Stores the state; where the disk is full, the run continues without."""
        start = time.monotonic()
        state = dict(
            identity=_identity(sequence, finished),
            before=_joined(midway.before),
            before_seconds=midway.before_seconds,
            after=_joined(midway.after),
            seconds=midway.seconds,
            adaptation=midway.adaptation,
            random=random_state(),
        )
        try:
            write_atomically(self.path(sequence.name), lambda file: torch.save(state, file))
        except DiskError as error:
            self._writable = False
            warn(f'{error}. The run continues; a kill costs the sequence that it works on.')
        self._schedule(midway.work, time.monotonic() - start)

    def remove(self, name: str) -> None:
        """Removes the state of a finished sequence."""
        try:
            self.path(name).unlink(missing_ok=True)
        except OSError:  # a read-only folder; the result counts, not this file
            pass

    def _schedule(self, work: int, cost: float) -> None:
        self._next_time = time.monotonic() + max(self.seconds, COST * cost)
        if self.frames is not None:
            self._next_work = work + self.frames


def _check_options(options: Mapping[str, Any]) -> None:
    for key, value in options.items():
        if key not in OPTIONS:
            raise OptionError(f'midway: unknown key {key!r}. {suggestion(key, OPTIONS)}')
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if key == 'frames' and value is not None:
            is_number = is_number and isinstance(value, int)
        if value is not None and not (is_number and value > 0):
            raise OptionError(f'midway: {key} is a number above zero, not {value!r}')


def _identity(sequence: Sequence, finished: list[str]) -> dict[str, Any]:
    """What a state belongs to, as plain values."""
    digest = hashlib.sha256()
    for array in (sequence.boxes.cpu().numpy(), keypoint_array(sequence)):
        digest.update(repr(array.shape).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    digest.update(repr(tuple(sequence.frame_ids)).encode('utf-8', 'surrogatepass'))
    return dict(
        format=FORMAT,
        name=sequence.name,
        data=digest.hexdigest(),
        focal=sequence.focal,
        finished=list(finished),
    )


def _joined(predictions: list[Prediction]) -> list[dict[str, Tensor]]:
    """The arrays of predictions by name, joined to at most one prediction."""
    if not predictions:
        return []
    joined = Prediction.cat(predictions)
    arrays = {field.name: getattr(joined, field.name) for field in dataclasses.fields(joined)}
    return [{name: value for name, value in arrays.items() if value is not None}]


def random_state() -> dict[str, Any]:
    """The state of all generators that a session may draw from, as plain types and tensors."""
    legacy: Any = np.random.get_state(legacy=True)
    kind, keys, position, has_gauss, gauss = legacy
    state = dict(
        python=random.getstate(),
        numpy=(kind, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, gauss),
        torch=torch.get_rng_state(),
        cuda=[],
    )
    if torch.cuda.is_available():
        state['cuda'] = torch.cuda.get_rng_state_all()
    return state


def set_random_state(state: Mapping[str, Any]) -> None:
    """Continues all generators from a :func:`random_state`."""
    version, numbers, gauss = state['python']
    random.setstate((version, tuple(numbers), gauss))
    kind, keys, *rest = state['numpy']
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state['torch'])
    if state['cuda'] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state['cuda'])
