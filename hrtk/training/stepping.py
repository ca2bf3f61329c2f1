"""SteppingModel: a training whose random numbers survive interruptions."""

from __future__ import annotations

from typing import Optional

import torch
from mmengine.model import BaseModel

from hrtk.models.lifting import step_generator


class SteppingModel(BaseModel):
    """Knows which step of training it is at, across interruptions, and has that step's random numbers.

    Args:
        seed: of the random numbers.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        # In the checkpoint, so that a resumed run draws what an uninterrupted one would.
        self.register_buffer('steps', torch.zeros((), dtype=torch.int64))
        self._count: Optional[int] = None

    def next_generator(self) -> torch.Generator:
        """Random numbers of the next step; waits for the device once after every start."""
        self._count = int(self.steps) if self._count is None else self._count
        generator = step_generator(self.seed, self._count)
        self._count += 1
        self.steps += 1
        return generator
