"""Training of start models."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

from mmengine.config import Config
from mmengine.runner import Runner

from hrtk.apis.configs import load_config


def train(config: str | Path | Config, work_dir: Optional[str] = None, cfg_options: Optional[dict] = None,
          resume: Optional[bool] = None, launcher: str = 'none') -> dict[str, Any]:
    """Trains the model of a config; a killed run goes on from its last checkpoint.

    Args:
        config: path or loaded config, e.g. ``configs/hmr/r18_studio.py``.
        work_dir: where checkpoints and logs go; default ``work_dirs/<config name>``.
        cfg_options: dotted keys to override.
        resume: whether to go on from the last checkpoint in ``work_dir``; default as the config says.
        launcher: ``'none'``, ``'pytorch'`` or ``'slurm'``.

    Returns:
        The metrics of the last validation.

    Raises:
        InputError: the config is wrong.
    """
    cfg = load_config(config, work_dir=work_dir, cfg_options=cfg_options, launcher=launcher)
    if resume is not None:
        cfg.resume = resume
    # A config without work_dir was read from a path; mmengine needs the key, and `estimator` is only a building block.
    for key in ('estimator', 'views'):
        cfg.pop(key, None)
    runner = Runner.from_cfg(cfg)
    runner.train()
    scalars = runner.message_hub.log_scalars
    return {name.removeprefix('val/'): value.current() for name, value in scalars.items() if name.startswith('val/')
            and 'time' not in name}
