"""``train``: trains start models with mmengine's training runner."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, Optional

import torch
from mmengine.config import Config
from mmengine.runner import Runner

from hrtk.apis.adaptation import load_config
from hrtk.engine.runner import check_keys
from hrtk.errors import InputError, named_config
from hrtk.training.last_checkpoint import last_checkpoint
from hrtk.training.runner import TrainRunner

# Keys that other lines of a training config refer to; the runner does not read them.
PARTS = ('estimator', 'views')
# Read by `hrtk test` alone, so a training needs no test data.
TEST_PARTS = ('test_dataloader', 'test_evaluator', 'test_cfg')
RUNNER_KEYS = set(inspect.signature(Runner.__init__).parameters) - {'self', 'cfg'}
KEYS = (*RUNNER_KEYS, 'custom_imports', *PARTS)
REQUIRED = ('model', 'train_dataloader', 'train_cfg', 'optim_wrapper')


def train(
    config: str | Path | dict | Config,
    *,
    cfg_options: Optional[dict[str, Any]] = None,
    **overrides: Any,
) -> dict[str, float]:
    """Trains the model of a config; an interrupted run resumes from its last checkpoint.

    Args:
        config: path of a config, e.g. ``configs/hmr/r18_studio.py``, or the config itself.
        cfg_options: replacements by dotted key, e.g. ``{'model.bf16': False}``.
        **overrides: top-level keys of the config, e.g. ``work_dir=...`` (default ``work_dirs/<config>``),
            ``resume=False``, ``launcher='pytorch'``.

    Returns:
        The metrics of the last validation; empty if the training was already finished.

    Raises:
        InputError: the config or a file that it names is wrong.
    """
    cfg = load_config(config, {**(cfg_options or {}), **overrides})
    check_keys(cfg, KEYS, REQUIRED)
    if cfg.get('launcher', 'none') != 'none' and not torch.cuda.is_available():
        raise InputError('training in several processes needs GPUs; on CPUs train in one process')
    name = Path(cfg.filename).stem if cfg.filename else 'train'
    cfg.work_dir = cfg.get('work_dir') or str(Path('work_dirs') / name)
    for part in (*PARTS, *TEST_PARTS):
        cfg.pop(part, None)
    _set_start(cfg)
    with named_config(cfg.filename):
        runner = TrainRunner.from_cfg(cfg)
        runner.train()  # builds the data sets and the optimizer
    return {
        name.removeprefix('val/'): value.current()
        for name, value in runner.message_hub.log_scalars.items()
        if name.startswith('val/') and not name.endswith('time')
    }


def _set_start(cfg: Config) -> None:
    """Starts from the last checkpoint of this training if there is one, else from the weights of ``load_from``."""
    last = None
    if cfg.get('resume'):
        last = last_checkpoint(Path(cfg.work_dir))
    if last is not None:
        cfg.load_from = str(last)  # mmengine resumes from there, with the optimizer's state
    elif cfg.get('load_from'):
        cfg.resume = False
        if not Path(cfg.load_from).is_file():
            raise InputError(
                f'load_from={cfg.load_from!r}: no such checkpoint. It is the result of an earlier stage: '
                f'run that training first (its config is the `_base_` of this one), set load_from to the '
                f"checkpoint's path, or to None to train from scratch"
            )
