"""What a frame costs, estimated while a stream runs, and what can be done in the time that is left."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from hrtk.adapters import FROZEN, Effort
from hrtk.errors import InputError

# Jacobson, Congestion Avoidance and Control, SIGCOMM 1988, appendix A: gains of the mean and of the mean deviation, and
# the number of deviations above the mean that is expected.
MEAN_GAIN = 1 / 8
DEVIATION_GAIN = 1 / 4
DEVIATIONS = 4.0
# What is not done cannot be measured. Per frame its expected cost falls by these factors, so that one slow frame is not
# believed for ever: the deviation within seconds, the mean so slowly that a step that nearly fits is tried in vain in
# one of about 30 frames.
DEVIATION_KEPT = 0.9
MEAN_KEPT = 0.993


class RunningCost:
    """Mean and mean deviation of a duration, seconds."""

    def __init__(self) -> None:
        self.mean: Optional[float] = None
        self.deviation = 0.0
        self.kept = 1.0  # of the mean, since the last measurement

    def add(self, seconds: float) -> None:
        """Adds a measurement; after a pause it takes the place of the mean."""
        if self.mean is None:
            self.mean = seconds
            self.deviation = seconds / 2
            return
        error = seconds - self.mean
        self.deviation += DEVIATION_GAIN * (abs(error) - self.deviation)
        if self.kept < 1:
            self.mean = seconds
        else:
            self.mean += MEAN_GAIN * error
        self.kept = 1.0

    def forget(self) -> None:
        """Lowers what is expected of something that was not done."""
        self.deviation *= DEVIATION_KEPT
        self.kept *= MEAN_KEPT

    @property
    def expected(self) -> float:
        """What is hardly exceeded; 0 before the first measurement."""
        if self.mean is None:
            return 0.0
        return self.kept * self.mean + DEVIATIONS * self.deviation

    def state(self) -> list[Optional[float]]:
        """The numbers of the estimate."""
        return [self.mean, self.deviation, self.kept]

    def restore(self, state: Sequence[Any]) -> None:
        """Continues from a :meth:`state`."""
        self.mean, self.deviation, self.kept = state


class CostModel:
    """Costs of a prediction and of a step of each order; chooses what fits into a time.

    A frame with k steps is taken to cost that of a prediction and k times that of a step.
    """

    def __init__(self) -> None:
        self.prediction = RunningCost()
        self.steps: dict[str, RunningCost] = {}

    def add(self, effort: Effort, seconds: float) -> None:
        """Adds the time that a frame took."""
        if effort == FROZEN:
            self.prediction.add(seconds)
            return
        cost = self.steps.setdefault(effort.order, RunningCost())
        base = self.prediction.mean or 0.0
        cost.add(max(seconds - base, 0.0) / effort.steps)

    def expected(self, effort: Effort) -> float:
        """Seconds that an effort hardly exceeds; 0 before anything is measured."""
        seconds = self.prediction.expected
        if effort != FROZEN and effort.order in self.steps:
            seconds += effort.steps * self.steps[effort.order].expected
        return seconds

    def choose(self, efforts: Sequence[Effort], seconds: float) -> Effort:
        """The first effort that fits into a time; the last one where none does.

        Args:
            efforts: of a session, the greatest first.
            seconds: that are left; may be negative.
        """
        chosen = efforts[-1]
        for effort in efforts:
            if self.expected(effort) <= seconds:
                chosen = effort
                break
        for order, cost in self.steps.items():
            if chosen == FROZEN or order != chosen.order:
                cost.forget()
        return chosen

    def state_dict(self) -> dict[str, Any]:
        """Returns the estimates as numbers."""
        steps = {order: cost.state() for order, cost in self.steps.items()}
        return dict(prediction=self.prediction.state(), steps=steps)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues from a :meth:`state_dict`."""
        self.prediction.restore(state['prediction'])
        self.steps = {}
        for order, numbers in state['steps'].items():
            self.steps[order] = RunningCost()
            self.steps[order].restore(numbers)


def check_budget(milliseconds: Optional[float]) -> Optional[float]:
    """Seconds of a latency budget.

    Raises:
        InputError: it is no number above zero.
    """
    if milliseconds is None:
        return None
    is_number = isinstance(milliseconds, (int, float)) and not isinstance(milliseconds, bool)
    if not is_number or not 0 < milliseconds < math.inf:
        raise InputError(
            f'budget is a number of milliseconds above zero, e.g. 200, not {milliseconds!r}'
        )
    return milliseconds / 1000
