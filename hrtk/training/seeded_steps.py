"""SeededSteps: the random numbers of a training step depend on the seed and the number of the step alone."""

from __future__ import annotations

import random
import zlib
from typing import Any, Optional

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from hrtk.registry import HOOKS


@HOOKS.register_module()
class SeededSteps(Hook):
    """Seeds Python, numpy and torch before every step, so that a resumed training draws what an undisturbed one draws.

    Mirroring, distortions and dropout use these generators, and a checkpoint does not contain them. Every
    :class:`~hrtk.training.runner.TrainRunner` has this hook.
    """

    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner: Runner) -> None:
        """Seeds the workers of the data loader, which take their seeds from torch's generator."""
        _seed(f'{runner.seed}/epoch {runner.epoch}')

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Optional[Any] = None
    ) -> None:
        """Seeds the step."""
        _seed(f'{runner.seed}/step {runner.iter}')


def _seed(name: str) -> None:
    number = zlib.crc32(name.encode())
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)
