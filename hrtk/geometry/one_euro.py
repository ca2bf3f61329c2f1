"""The One-Euro filter for live motion: one value after the other, without a look ahead.

Source: Casiez, Roussel and Vogel, 1 Euro Filter, CHI 2012, algorithms 1 and 2. A low-pass filter of first order whose
cutoff rises with the speed: slow motion is freed from jitter, fast motion keeps its pace. Rotations are filtered on
SO(3): the step from the last result to the new rotation is shortened along its geodesic.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Optional

import torch
from torch import Tensor

from hrtk.errors import InputError
from hrtk.geometry.rotation import axis_angle_to_rotmat, rotmat_to_axis_angle

SPEED_CUTOFF = 1.0  # Hz, of the filter of the speed, as in the paper


class OneEuro:
    """Filters positions (..., C) of any number of points; the speed is that of each point.

    Args:
        cutoff: Hz at rest; a lower one takes more jitter and lags more.
        slope: rise of the cutoff, Hz per unit of speed (m/s, rad/s); a higher one lags less in fast motion.

    Raises:
        InputError: a value is not in its range.
    """

    def __init__(self, cutoff: float = 1.0, slope: float = 0.5) -> None:
        if not 0 < cutoff < math.inf or not 0 <= slope < math.inf:
            raise InputError(
                f'the cutoff must be a positive number and the slope a number from 0 up, not {cutoff} and {slope}'
            )
        self.cutoff = cutoff
        self.slope = slope
        self.reset()

    def reset(self) -> None:
        """Forgets the past, as at a cut."""
        self.time = -math.inf
        self.last: Optional[Tensor] = None
        self.speed: Optional[Tensor] = None
        self.value: Optional[Tensor] = None

    def state(self) -> dict[str, Any]:
        """What is remembered, as tensors and numbers; see :meth:`restore`."""
        return dict(time=self.time, last=self.last, speed=self.speed, value=self.value)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on as the filter that had this :meth:`state`."""
        self.time = state['time']
        self.last = state['last']
        self.speed = state['speed']
        self.value = state['value']

    def push(self, value: Tensor, time: float) -> Tensor:
        """The filtered value of a new one.

        Args:
            value: of the same shape in every call.
            time: seconds; later than in the call before.

        Raises:
            InputError: time does not rise.
        """
        if self.value is None or self.last is None or self.speed is None:
            self.value = value
            self.speed = torch.zeros_like(self._step(value, value))
        else:
            seconds = time - self.time
            if not seconds > 0:
                raise InputError(f'a frame at {time} s follows one at {self.time} s')
            speed = self._step(self.last, value) / seconds
            share = _share(torch.full_like(speed[..., :1], SPEED_CUTOFF), seconds)
            self.speed = self.speed + share * (speed - self.speed)
            cutoff = self.cutoff + self.slope * self.speed.norm(dim=-1, keepdim=True)
            step = _share(cutoff, seconds) * self._step(self.value, value)
            self.value = self._moved(self.value, step)
        self.last = value
        self.time = time
        return self.value

    def _step(self, start: Tensor, end: Tensor) -> Tensor:
        return end - start

    def _moved(self, value: Tensor, step: Tensor) -> Tensor:
        return value + step


class OneEuroRotation(OneEuro):
    """Filters rotations (..., 3, 3); arguments as :class:`OneEuro`."""

    def _step(self, start: Tensor, end: Tensor) -> Tensor:
        return rotmat_to_axis_angle(start.mT @ end)

    def _moved(self, value: Tensor, step: Tensor) -> Tensor:
        return value @ axis_angle_to_rotmat(step)


def _share(cutoff: Tensor, seconds: float) -> Tensor:
    """The weight of a new value in an exponential mean with a cutoff in Hz."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff * seconds))
