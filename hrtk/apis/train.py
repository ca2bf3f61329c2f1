"""``train``: start models, through mmengine's training runner."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, Optional

import torch
from mmengine.config import Config
from mmengine.runner import Runner, find_latest_checkpoint

from hrtk.apis.adaptation import load_config
from hrtk.engine.runner import check_keys
from hrtk.errors import InputError
from hrtk.training.runner import TrainRunner

PARTS = (
    'estimator',
    'views',
)  # what the lines of a training config refer to; the runner does not read them
KEYS = (
    *(set(inspect.signature(Runner.__init__).parameters) - {'self', 'cfg'}),
    'custom_imports',
    *PARTS,
)
REQUIRED = ('model', 'train_dataloader', 'train_cfg', 'optim_wrapper')


def train(
    config: str | Path | dict | Config,
    *,
    cfg_options: Optional[dict[str, Any]] = None,
    **overrides: Any,
) -> dict[str, float]:
    """Trains the model of a config; a killed run goes on from its last checkpoint.

    Args:
        config: path of a config, e.g. ``configs/hmr/r18_studio.py``, or the config itself.
        cfg_options: replacements by dotted key, e.g. ``{'model.bf16': False}``.
        **overrides: top-level keys of the config, e.g. ``work_dir=...`` (default ``work_dirs/<config>``),
            ``resume=False``, ``launcher='pytorch'``.

    Returns:
        The metrics of the last validation; empty if nothing was left to train.

    Raises:
        InputError: the config or a file that it names is wrong.
    """
    cfg = load_config(config, {**(cfg_options or {}), **overrides})
    check_keys(cfg, KEYS, REQUIRED)
    if cfg.get('launcher', 'none') != 'none' and not torch.cuda.is_available():
        raise InputError('training in several processes needs GPUs; on CPUs train in one process')
    stem = Path(cfg.filename).stem if cfg.filename else 'train'
    cfg.work_dir = cfg.get('work_dir') or str(Path('work_dirs') / stem)
    for part in PARTS:
        cfg.pop(part, None)
    _choose_start(cfg)
    runner = TrainRunner.from_cfg(cfg)
    runner.train()
    scalars = runner.message_hub.log_scalars
    return {
        name.removeprefix('val/'): value.current()
        for name, value in scalars.items()
        if name.startswith('val/') and not name.endswith('time')
    }


def _choose_start(cfg: Config) -> None:
    """The last checkpoint of this training if there is one, else the weights of ``load_from``."""
    if cfg.get('resume') and find_latest_checkpoint(cfg.work_dir):
        cfg.load_from = None  # mmengine would resume from there instead, optimiser and all
    elif cfg.get('load_from'):
        cfg.resume = False
        if not Path(cfg.load_from).is_file():
            raise InputError(
                f'load_from={cfg.load_from!r}: no such checkpoint. It is the result of an earlier stage: '
                f'train that first (its config is the `_base_` of this one), or set load_from to where it '
                f'is, or to None to start from scratch'
            )
