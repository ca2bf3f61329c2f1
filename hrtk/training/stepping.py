"""SteppingModel: a training whose random numbers survive interruptions."""

from __future__ import annotations

from typing import Optional

import torch
from mmengine.model import BaseModel

from hrtk.models.lifting import step_generator


class SteppingModel(BaseModel):
    """Counts the steps of a training across interruptions and gives every step its own random numbers.

    Args:
        seed: of the random numbers.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        # A buffer, so that the checkpoint holds it: a resumed run draws what an uninterrupted run would.
        self.register_buffer('steps', torch.zeros((), dtype=torch.int64))
        self._step: Optional[int] = None  # the same on the host

    def next_generator(self) -> torch.Generator:
        """The random numbers of the next step; waits for the device once after every start."""
        if self._step is None:
            self._step = int(self.steps)
        generator = step_generator(self.seed, self._step)
        self._step += 1
        self.steps += 1
        return generator
