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
# Before anything is measured: the cost of a step of first order over that of a prediction, and that of second order
# over first order (two and three passes with gradients; docs/en/results/speed.md has measured ones).
FIRST_GUESS = 6.0
SECOND_GUESS = 2.0
# An estimate of what is not done falls by this share per frame, so that one slow frame is not believed for ever.
FORGETTING = 0.98


class RunningCost:
    """Mean and mean deviation of a duration, seconds."""

    def __init__(self) -> None:
        self.mean: Optional[float] = None
        self.deviation = 0.0

    def add(self, seconds: float) -> None:
        """Adds a measurement."""
        if self.mean is None:
            self.mean = seconds
            self.deviation = seconds / 2
            return
        error = seconds - self.mean
        self.mean += MEAN_GAIN * error
        self.deviation += DEVIATION_GAIN * (abs(error) - self.deviation)

    def forget(self) -> None:
        """Lowers an estimate that could not be measured."""
        if self.mean is not None:
            self.mean *= FORGETTING
            self.deviation *= FORGETTING

    @property
    def expected(self) -> Optional[float]:
        """What is hardly exceeded; None before the first measurement."""
        if self.mean is None:
            return None
        return self.mean + DEVIATIONS * self.deviation


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
        base = self.prediction.expected or 0.0
        if effort == FROZEN:
            return base
        step = self.step_cost(effort.order)
        return base + effort.steps * step

    def step_cost(self, order: str) -> float:
        """Seconds that a step of an order hardly exceeds, guessed from the other costs before it is measured."""
        known = self.steps.get(order)
        if known is not None and known.expected is not None:
            return known.expected
        if order == 'second':
            return SECOND_GUESS * self.step_cost('first')
        return FIRST_GUESS * (self.prediction.expected or 0.0)

    def choose(self, efforts: Sequence[Effort], seconds: float) -> Effort:
        """The first effort that fits into a time; the last one where none does.

        Before a prediction is measured it is the last one. The first frame with steps makes one step at most.

        Args:
            efforts: of a session, the greatest first.
            seconds: that are left; may be negative.
        """
        if self.prediction.mean is None:
            return efforts[-1]
        chosen = efforts[-1]
        for effort in efforts:
            if not self.steps and effort.steps > 1:
                continue
            if self.expected(effort) <= seconds:
                chosen = effort
                break
        for order, cost in self.steps.items():
            if chosen.steps == 0 or order != chosen.order:
                cost.forget()
        return chosen

    def state_dict(self) -> dict[str, Any]:
        """Returns the estimates as numbers."""
        steps = {order: [cost.mean, cost.deviation] for order, cost in self.steps.items()}
        return dict(prediction=[self.prediction.mean, self.prediction.deviation], steps=steps)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues from a :meth:`state_dict`."""
        self.prediction.mean, self.prediction.deviation = state['prediction']
        self.steps = {}
        for order, (mean, deviation) in state['steps'].items():
            cost = RunningCost()
            cost.mean = mean
            cost.deviation = deviation
            self.steps[order] = cost


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
