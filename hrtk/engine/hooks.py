"""ProgressHook: a live bar on terminals, plain log lines elsewhere."""

from __future__ import annotations

import datetime
import logging
import sys
import time
from collections.abc import Mapping
from typing import Any, Optional

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from hrtk.adapters import PreparationStep
from hrtk.registry import HOOKS
from hrtk.structures import Sequence

# Key of a metric, its label and its unit, the preferred one first.
ERRORS = (('mpjpe_mm', 'MPJPE', 'mm'), ('reprojection_px', '2D', 'px'))
BAR_INTERVAL = 0.2  # seconds between updates of the preparation's bar


@HOOKS.register_module()
class ProgressHook(Hook):
    """Shows the sequence, frames per second, the time left, and the running error before and after adaptation.

    Only the first process reports, about its own share of the sequences.

    Args:
        interval: seconds between log lines within a long sequence where there is no terminal.
    """

    priority = 'LOW'

    def __init__(self, interval: float = 30.0) -> None:
        self.interval = interval
        self.active = False
        self.bar: Optional[Progress] = None
        self.preparation_task: Optional[TaskID] = None
        self.sequences = 0
        self.finished_sequences = 0
        self.computed_sequences = 0
        self.computed_frames = 0  # of the current sequence
        self.first_frame = 0  # of those

    def before_test(self, runner: Any) -> None:
        """Starts the clock and, on a terminal, the bar."""
        self.active = is_main_process()
        self.sequences = len(runner.test_loop.dataloader)
        self.finished_sequences = 0
        self.computed_sequences = 0
        self.preparation_task = None
        self.run_start = time.perf_counter()
        self.last_report = self.run_start
        if self.active and sys.stdout.isatty():
            self.bar = _new_bar()
            self.bar.start()
            _log_to_current_stdout(runner.logger)  # rich keeps log lines above its bar
            self.sequence_task = self.bar.add_task('', total=self.sequences, speed='', error='')

    def after_prepare_step(self, runner: Any, step: PreparationStep) -> None:
        """Shows how far the preparation is, e.g. the labels or the epochs.

        The numbers of a step can lie on a GPU; the hook waits for them only when it shows them.
        """
        self._show_preparation(runner.logger, step.done, step.total, step.numbers)

    def after_prepare(self, runner: Any) -> None:
        """Starts the clock of the sequences: the preparation is finished."""
        self.run_start = time.perf_counter()
        if self.bar is not None and self.preparation_task is not None:
            self.bar.remove_task(self.preparation_task)

    def before_sequence(self, runner: Any, sequence: Sequence) -> None:
        """Shows the name of the sequence."""
        self.sequence_start = time.perf_counter()
        self.computed_frames = 0
        if self.bar is not None:
            self.bar.update(self.sequence_task, description=sequence.name)

    def after_frame(self, runner: Any, sequence: Sequence, index: int) -> None:
        """Counts a frame."""
        if self.computed_frames == 0:
            self.first_frame = index  # above zero after an interruption inside the sequence
        self.computed_frames = index + 1
        now = time.perf_counter()
        if self.bar is not None:
            completed = self.finished_sequences + self.computed_frames / len(sequence)
            self.bar.update(self.sequence_task, completed=completed, speed=self._speed(now))
        elif self.active and now - self.last_report > self.interval:
            self.last_report = now
            runner.logger.info(
                f'[{self.finished_sequences + 1}/{self.sequences}] {sequence.name}: '
                f'frame {self.computed_frames}/{len(sequence)}, {self._speed(now)}'
            )

    def after_sequence(self, runner: Any, sequence: Sequence, result: Any) -> None:
        """Counts a sequence and reports the running error."""
        now = time.perf_counter()
        self.finished_sequences += 1
        speed = 'stored before'
        if self.computed_frames:
            self.computed_sequences += 1
            speed = f'{1000 / result.ms_per_frame:.1f} frames/s'
        error = _running_error(runner)
        if self.bar is not None:
            completed = self.finished_sequences
            self.bar.update(self.sequence_task, completed=completed, speed=speed, error=error)
        elif self.active:
            self.last_report = now
            runner.logger.info(
                f'[{self.finished_sequences}/{self.sequences}] {sequence.name}: '
                f'{len(sequence)} frames, {speed}, {error}{self._time_left(now)}'
            )

    def after_sequences(self, runner: Any) -> None:
        """Removes the bar, after a failure too."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
            _log_to_current_stdout(runner.logger)

    def _show_preparation(
        self, logger: logging.Logger, done: int, total: int, numbers: Mapping[str, Any]
    ) -> None:
        now = time.perf_counter()
        if self.bar is not None:
            if self.preparation_task is None:
                self.preparation_task = self.bar.add_task(
                    'prepare', total=total, speed='', error=''
                )
            if now - self.last_report > BAR_INTERVAL or done == total:
                self.last_report = now
                self.bar.update(
                    self.preparation_task, completed=done, total=total, error=_as_text(numbers)
                )
        elif self.active and (now - self.last_report > self.interval or done == total):
            self.last_report = now
            logger.info(f'prepare: {done}/{total}, {_as_text(numbers)}')

    def _speed(self, now: float) -> str:
        seconds = max(now - self.sequence_start, 1e-9)
        return f'{(self.computed_frames - self.first_frame) / seconds:.1f} frames/s'

    def _time_left(self, now: float) -> str:
        remaining = self.sequences - self.finished_sequences
        if not self.computed_sequences or not remaining:
            return ''
        seconds = (now - self.run_start) / self.computed_sequences * remaining
        return f', {datetime.timedelta(seconds=round(seconds))} left'


def _new_bar() -> Progress:
    return Progress(
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn('{task.fields[speed]}'),
        TimeElapsedColumn(),
        TextColumn('left'),
        TimeRemainingColumn(),
        TextColumn('{task.fields[error]}'),
        console=Console(),
    )


def _running_error(runner: Any) -> str:
    """The first error of :data:`ERRORS` that the evaluator's rows have, e.g. ``'MPJPE 163.4 -> 142.9 mm'``."""
    for metric in runner.test_loop.evaluator.metrics:
        if not hasattr(metric, 'running'):
            continue
        rows = list(metric.running().values())
        for key, label, unit in ERRORS:
            values = [f'{row[key]:.1f}' for row in rows if key in row]
            if values:
                return f'{label} {" -> ".join(values)} {unit}'
    return ''


def _as_text(numbers: Mapping[str, Any]) -> str:
    return ', '.join(f'{name} {float(value):.4g}' for name, value in numbers.items())


def _log_to_current_stdout(logger: logging.Logger) -> None:
    for handler in logger.handlers:
        if type(handler) is logging.StreamHandler:
            handler.setStream(sys.stdout)
