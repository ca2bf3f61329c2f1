"""KeptCheckpoints: checkpoints by name that outlast the newer ones."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from hrtk.registry import HOOKS

FOLDER = 'kept'  # in the folder of the training


@HOOKS.register_module()
class KeptCheckpoints(Hook):
    """Keeps checkpoints that mmengine's ``CheckpointHook`` would remove once there are ``max_keep_ckpts`` newer ones.

    Args:
        names: of the checkpoints, e.g. ``epoch_1`` or ``iter_4000``. Those that the training does not write are not
            kept.
    """

    # After the CheckpointHook, whose priority is VERY_LOW.
    priority = 'LOWEST'

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)

    def after_train_epoch(self, runner: Runner) -> None:
        """Keeps the checkpoint of this epoch."""
        self._keep(Path(runner.work_dir), f'epoch_{runner.epoch + 1}')

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: object = None,
        outputs: object = None,
    ) -> None:
        """Keeps the checkpoint of this iteration."""
        self._keep(Path(runner.work_dir), f'iter_{runner.iter + 1}')

    def _keep(self, folder: Path, name: str) -> None:
        path = folder / f'{name}.pth'
        kept = folder / FOLDER / path.name
        if name not in self.names or not path.is_file() or not is_main_process():
            return
        kept.parent.mkdir(exist_ok=True)
        kept.unlink(missing_ok=True)
        try:
            # A second name of the same file: the checkpoint is large, and mmengine's hook removes the first name only.
            os.link(path, kept)
        except OSError:  # a file system without links
            shutil.copy(path, kept)
