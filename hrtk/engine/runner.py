"""AdaptRunner: mmengine's Runner as the shell around test-time adaptation."""

from __future__ import annotations

import datetime
import difflib
import itertools
from pathlib import Path
from typing import Any, Iterable, Optional

import torch
from mmengine.config import Config
from mmengine.dataset import DefaultSampler
from mmengine.device import get_device
from mmengine.dist import is_distributed
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.model import revert_sync_batchnorm
from mmengine.runner import BaseLoop, Runner
from mmengine.visualization import Visualizer
from torch import nn
from torch.utils.data import DataLoader

from hrtk.engine.versions import versions
from hrtk.errors import InputError
from hrtk.registry import DATASETS, ESTIMATORS, HOOKS, LOOPS, METRICS, RUNNERS

REQUIRED = ('estimator', 'dataset', 'adapter', 'evaluator')
KEYS = (
    *REQUIRED,
    'outputs',
    'work_dir',
    'randomness',
    'resume',
    'default_scope',
    'default_hooks',
    'custom_hooks',
    'custom_imports',
    'env_cfg',
    'log_level',
    'launcher',
    'visualizer',
    'device',
)
PATIENCE = (
    7 * 24 * 3600
)  # seconds that a rank waits for the others at the end: their shares may differ by hours
_RUNS = itertools.count()


class RegistryRunner(Runner):
    """mmengine's runner, building through hrtk's registries: a misspelt name gets a suggestion."""

    def build_evaluator(self, evaluator: Evaluator | dict | list) -> Evaluator:
        """Builds the metrics."""
        if isinstance(evaluator, Evaluator):
            return evaluator
        configs = evaluator if isinstance(evaluator, (list, tuple)) else [evaluator]
        return Evaluator([METRICS.build(config) for config in configs])

    def register_hook(self, hook: Hook | dict, priority: Optional[Any] = None) -> None:
        """Registers a hook; built here so that a misspelt name gets a suggestion."""
        if isinstance(hook, dict):
            config = dict(hook)
            priority = config.pop('priority', priority)
            hook = HOOKS.build(config)
        super().register_hook(hook, priority)


@RUNNERS.register_module()
class AdaptRunner(RegistryRunner):
    """Builds what an adapt config names and runs :class:`~hrtk.engine.loop.AdaptLoop`.

    Every rank owns whole sequences and private weights, so nothing is wrapped for data parallelism. mmengine's
    ``__init__`` is kept; configs go through :meth:`from_cfg`.
    """

    @classmethod
    def from_cfg(cls, cfg: Config | dict) -> AdaptRunner:
        """Builds a runner from an adapt config.

        Args:
            cfg: ``estimator``, ``dataset``, ``adapter`` and ``evaluator`` (configs, required); ``outputs`` (arguments
                of the ``OverlayHook``, or None for no pictures), ``work_dir`` (default ``work_dirs/<config>``),
                ``randomness`` (default ``dict(seed=0)``), ``resume`` (default True), ``device`` (default the GPU that
                PyTorch sees, else the processor), and mmengine's keys of
                :data:`KEYS`. Keys that start with an underscore are the config's own.

        Raises:
            InputError: a key is unknown or missing, or something cannot be built.
        """
        cfg = cfg if isinstance(cfg, Config) else Config(cfg)
        cfg = Config(
            cfg.to_dict(), filename=cfg.filename
        )  # without what a pure-Python config imports
        check_keys(cfg)
        stem = Path(cfg.filename).stem if cfg.filename else 'adapt'
        hooks = list(cfg.get('custom_hooks') or [])
        if cfg.get('outputs'):
            hooks.append(dict(type='OverlayHook', **cfg.outputs))
        return cls(
            model=cfg.estimator,
            work_dir=cfg.get('work_dir') or str(Path('work_dirs') / stem),
            test_dataloader=cfg.dataset,
            test_evaluator=cfg.evaluator,
            test_cfg=dict(type='AdaptLoop', adapter=cfg.adapter, resume=cfg.get('resume', True)),
            default_hooks=cfg.get('default_hooks'),
            custom_hooks=hooks,
            launcher=cfg.get('launcher', 'none'),
            env_cfg=cfg.get('env_cfg') or {},
            log_level=cfg.get('log_level', 'INFO'),
            visualizer=cfg.get('visualizer'),
            default_scope=cfg.get('default_scope', 'hrtk'),
            randomness=cfg.get('randomness') or dict(seed=0),
            # mmengine shares loggers between runners of one name and second
            experiment_name=f'{stem}-{next(_RUNS)}',
            cfg=cfg,
        )

    def adapt(self) -> dict[str, float]:
        """Runs the adaptation and returns the metrics, see :class:`~hrtk.engine.loop.AdaptLoop`."""
        return self.test()

    def setup_env(self, env_cfg: dict) -> None:
        """Starts the process group; on CPU with gloo, which mmengine cannot do without CUDA."""
        dist_cfg = {'backend': 'nccl', 'timeout': PATIENCE, **(env_cfg.get('dist_cfg') or {})}
        if self.distributed and not is_distributed() and not torch.cuda.is_available():
            if self._launcher != 'pytorch':
                raise InputError(
                    f'launcher {self._launcher!r} needs GPUs; on CPUs start the processes with torchrun '
                    f"and use launcher 'pytorch'"
                )
            torch.distributed.init_process_group(
                'gloo', timeout=datetime.timedelta(seconds=dist_cfg['timeout'])
            )
        super().setup_env({**env_cfg, 'dist_cfg': dist_cfg})

    def build_logger(
        self, log_level: int | str = 'INFO', log_file: Optional[str] = None, **kwargs: Any
    ) -> MMLogger:
        """Builds the logger, under our name."""
        return super().build_logger(log_level, log_file, **{'logger_name': 'hrtk', **kwargs})

    def build_model(self, model: nn.Module | dict) -> nn.Module:
        """Builds the estimator."""
        return ESTIMATORS.build(model)

    def wrap_model(self, model_wrapper_cfg: Optional[dict], model: nn.Module) -> nn.Module:
        """Moves the estimator to its device, and nothing more: ranks must not average gradients."""
        return revert_sync_batchnorm(model.to(self.cfg.get('device') or get_device()))

    @staticmethod
    def build_dataloader(
        dataloader: DataLoader | dict, seed: Optional[int] = None, diff_rank_seed: bool = False
    ) -> DataLoader:
        """Builds the data set and deals its sequences out to the ranks, in order and without padding."""
        if isinstance(dataloader, DataLoader):
            return dataloader
        dataset = DATASETS.build(dataloader)
        sampler = DefaultSampler(dataset, shuffle=False, seed=seed, round_up=False)
        return DataLoader(dataset, batch_size=1, sampler=sampler, collate_fn=_first)

    def build_test_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Builds the loop."""
        return LOOPS.build(
            loop,
            default_args=dict(
                runner=self, dataloader=self._test_dataloader, evaluator=self._test_evaluator
            ),
        )

    def build_visualizer(self, visualizer: Optional[Visualizer | dict] = None) -> Visualizer:
        """Builds a visualizer; by default one without back-ends, since results and pictures have files of their own."""
        if visualizer is None:
            return Visualizer.get_instance(self._experiment_name)
        return super().build_visualizer(visualizer)

    def register_default_hooks(self, hooks: Optional[dict[str, Any]] = None) -> None:
        """Registers the hooks that the config names; mmengine's own defaults are made for training."""
        for hook in (hooks or dict(progress=dict(type='ProgressHook'))).values():
            if hook is not None:
                self.register_hook(hook)

    def load_or_resume(self) -> None:
        """Does nothing: an estimator loads its own weights and the loop resumes from its store."""

    def dump_config(self) -> None:
        """Does nothing: the config lies in ``run.json`` beside its results; here it could overwrite its own source."""

    def get_hooks_info(self) -> str:
        """The names of the hooks in order, for the log."""
        return ', '.join(type(hook).__name__ for hook in self.hooks)

    def _log_env(self, env_cfg: dict) -> None:
        # mmengine's version spends seconds on asking compilers, and prints the whole config.
        self.logger.info(', '.join(f'{key} {value}' for key, value in versions().items()))


def check_keys(cfg: Config, keys: Iterable[str] = KEYS, required: Iterable[str] = REQUIRED) -> None:
    """Rejects top-level keys that nothing would read, and configs that lack a part.

    Args:
        cfg: an adapt config, or another kind whose ``keys`` and ``required`` ones are given.

    Raises:
        InputError: names the key, with near names.
    """
    where = f'{cfg.filename}: ' if cfg.filename else ''
    for key in cfg.keys():
        if key not in keys and not key.startswith('_'):
            near = difflib.get_close_matches(key, keys, n=3, cutoff=0.5)
            hint = (
                f'Did you mean {" or ".join(map(repr, near))}?'
                if near
                else f'Known: {", ".join(keys)}.'
            )
            raise InputError(
                f"{where}unknown key {key!r}. {hint} A config's own variables start with an underscore."
            )
    for key in required:
        if not cfg.get(key):
            raise InputError(f'{where}the config lacks {key!r}; it must name {", ".join(required)}')


def _first(batch: list) -> Any:
    return batch[0]
