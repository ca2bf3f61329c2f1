"""ProgressHook: a live bar on terminals, plain log lines elsewhere."""

from __future__ import annotations

import datetime
import logging
import sys
import time
from typing import Any, Optional

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from hrtk.adapters import PreparationStep
from hrtk.registry import HOOKS
from hrtk.structures import Sequence

ERRORS = (('mpjpe_mm', 'MPJPE', 'mm'), ('reprojection_px', '2D', 'px'))


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
        self.bar: Optional[Progress] = None
        self.active = False

    def before_test(self, runner: Any) -> None:
        """Starts the clock and, on a terminal, the bar."""
        self.active = is_main_process()
        self.total, self.done, self.computed = len(runner.test_loop.dataloader), 0, 0.0
        self.begin = self.spoken = time.perf_counter()
        if self.active and sys.stdout.isatty():
            self.bar = Progress(
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
            self.bar.start()
            _log_to_current_stdout(runner.logger)  # rich keeps log lines above its bar
            self.task = self.bar.add_task('', total=self.total, speed='', error='')
        self.preparing: Optional[int] = None

    def after_prepare_step(self, runner: Any, step: PreparationStep) -> None:
        """Shows how far the preparation is, e.g. labels or epochs; numbers are read only when they are shown."""
        done, total, numbers = step.done, step.total, step.numbers
        now = time.perf_counter()
        if self.bar is not None:
            if self.preparing is None:
                self.preparing = self.bar.add_task('prepare', total=total, speed='', error='')
            if now - self.spoken > 0.2 or done == total:
                self.spoken = now
                self.bar.update(self.preparing, completed=done, total=total, error=_listed(numbers))
        elif self.active and (now - self.spoken > self.interval or done == total):
            self.spoken = now
            runner.logger.info(f'prepare: {done}/{total}, {_listed(numbers)}')

    def after_prepare(self, runner: Any) -> None:
        """The clock of the sequences starts when the preparation is done."""
        self.begin = time.perf_counter()
        if self.bar is not None and self.preparing is not None:
            self.bar.remove_task(self.preparing)

    def before_sequence(self, runner: Any, sequence: Sequence) -> None:
        """Names the sequence."""
        self.start, self.frames = time.perf_counter(), 0
        if self.bar is not None:
            self.bar.update(self.task, description=sequence.name)

    def after_frame(self, runner: Any, sequence: Sequence, index: int) -> None:
        """Counts a frame."""
        self.frames = index + 1
        now = time.perf_counter()
        if self.bar is not None:
            self.bar.update(
                self.task, completed=self.done + self.frames / len(sequence), speed=self._speed(now)
            )
        elif self.active and now - self.spoken > self.interval:
            self.spoken = now
            runner.logger.info(
                f'[{self.done + 1}/{self.total}] {sequence.name}: frame {self.frames}/{len(sequence)}, '
                f'{self._speed(now)}'
            )

    def after_sequence(self, runner: Any, sequence: Sequence, result: Any) -> None:
        """Counts a sequence and reports the running error."""
        now = time.perf_counter()
        self.done += 1
        self.computed += self.frames > 0
        error = _running_error(runner)
        speed = f'{1000 / result.ms_per_frame:.1f} frames/s' if self.frames else 'stored before'
        if self.bar is not None:
            self.bar.update(self.task, completed=self.done, speed=speed, error=error)
        elif self.active:
            self.spoken = now
            runner.logger.info(
                f'[{self.done}/{self.total}] {sequence.name}: {len(sequence)} frames, {speed}, '
                f'{error}{self._left(now)}'
            )

    def after_sequences(self, runner: Any) -> None:
        """Takes the bar down, after a failure too."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
            _log_to_current_stdout(runner.logger)

    def _speed(self, now: float) -> str:
        return f'{self.frames / max(now - self.start, 1e-9):.1f} frames/s'

    def _left(self, now: float) -> str:
        if not self.computed or self.done == self.total:
            return ''
        seconds = (now - self.begin) / self.computed * (self.total - self.done)
        return f', {datetime.timedelta(seconds=round(seconds))} left'


def _running_error(runner: Any) -> str:
    """The first known error of the evaluator's rows, e.g. ``'MPJPE 163.4 -> 142.9 mm'``."""
    for metric in runner.test_loop.evaluator.metrics:
        rows = metric.running().values() if hasattr(metric, 'running') else ()
        for key, label, unit in ERRORS:
            values = [f'{row[key]:.1f}' for row in rows if key in row]
            if values:
                return f'{label} {" -> ".join(values)} {unit}'
    return ''


def _listed(numbers: dict[str, Any]) -> str:
    return ', '.join(f'{name} {float(value):.4g}' for name, value in numbers.items())


def _log_to_current_stdout(logger: logging.Logger) -> None:
    for handler in logger.handlers:
        if type(handler) is logging.StreamHandler:
            handler.setStream(sys.stdout)
