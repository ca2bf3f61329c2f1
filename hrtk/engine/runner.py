"""AdaptRunner: builds the objects of an adapt config, runs the adaptation and calls mmengine's hooks."""

from __future__ import annotations

import contextlib
import copy
import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Optional

import torch
from mmengine.config import Config
from mmengine.dataset import DefaultSampler
from mmengine.device import get_device
from mmengine.dist import get_dist_info
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.logging import MessageHub, MMLogger
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import VISUALIZERS, DefaultScope
from mmengine.runner import LogProcessor, get_priority, set_random_seed
from mmengine.visualization import Visualizer
from torch.utils.data import DataLoader

from hrtk.engine.environment import set_up_environment
from hrtk.engine.loop import AdaptLoop
from hrtk.engine.run_log import log_warnings
from hrtk.engine.versions import versions
from hrtk.errors import InputError, suggestion
from hrtk.registry import DATASETS, ESTIMATORS, HOOKS, METRICS, RUNNERS

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
    'preparations',
    'midway',
)
_RUN_NUMBERS = itertools.count()


@RUNNERS.register_module()
class AdaptRunner:
    """Builds the objects that an adapt config names and runs :class:`~hrtk.engine.loop.AdaptLoop`.

    This is not a subclass of ``mmengine.runner.Runner``, which trains, validates and tests one model and wraps it for
    data parallelism: here every process adapts a separate copy of the network to complete sequences. The class has the
    attributes of a runner that mmengine's hooks read during a test:

    * ``cfg``, ``work_dir``, ``log_dir``, ``experiment_name``, ``timestamp``, ``seed``;
    * ``logger``, ``log_processor``, ``message_hub``, ``visualizer``;
    * ``model``, ``test_loop``, ``test_dataloader``, ``hooks``, :meth:`call_hook`, :meth:`register_hook`;
    * ``launcher``, ``distributed``, ``rank``, ``world_size``;
    * ``train_loop`` and ``val_loop``, which are None, and ``epoch``, ``iter``, ``max_epochs`` and ``max_iters``, which
      are 0.

    Args:
        cfg: ``estimator``, ``dataset``, ``adapter`` and ``evaluator`` (configs, required); ``outputs`` (arguments of
            the ``OverlayHook``, or None for no images), ``work_dir`` (default ``work_dirs/<config>``), ``randomness``
            (default ``dict(seed=0)``), ``resume`` (default True), ``device`` (default the GPU that PyTorch sees, else
            the CPU), ``preparations`` (the ``folder``, ``option`` and ``keep`` by which rows of a table share theirs,
            see :class:`~hrtk.engine.preparation.SharedPreparations`), ``midway`` (how often the state inside a
            sequence is stored, default ``dict(seconds=60)``, see :class:`~hrtk.engine.midway.MidwayStore`), and
            mmengine's keys of :data:`KEYS`. Keys that start with an underscore are variables of the config.

    Raises:
        InputError: a key is unknown or missing, or an object cannot be built.
    """

    # The state of a training, which mmengine's hooks and log processor read.
    train_loop = None
    _train_loop = None
    val_loop = None
    epoch = 0
    iter = 0
    max_epochs = 0
    max_iters = 0

    def __init__(self, cfg: Config | dict) -> None:
        self.cfg = _plain_config(cfg)
        check_keys(self.cfg)
        cfg = copy.deepcopy(self.cfg)  # builders may change their configs
        name = Path(cfg.filename).stem if cfg.filename else 'adapt'
        self.work_dir = os.path.abspath(cfg.get('work_dir') or Path('work_dirs') / name)
        self._set_up(cfg, name)
        self._build_observers(cfg)
        self.model = _build_estimator(cfg)
        self.hooks: list[Hook] = []
        self._register_hooks(cfg)
        self.test_dataloader = _build_dataloader(cfg.dataset, self.seed)
        self.test_loop = AdaptLoop(
            runner=self,
            dataloader=self.test_dataloader,
            evaluator=cfg.evaluator,
            adapter=cfg.adapter,
            resume=cfg.get('resume', True),
        )

    @classmethod
    def from_cfg(cls, cfg: Config | dict) -> AdaptRunner:
        """Builds a runner from an adapt config, as mmengine's registry of runners does."""
        return cls(cfg)

    def adapt(self) -> dict[str, float]:
        """Runs the adaptation and returns the metrics, see :class:`~hrtk.engine.loop.AdaptLoop`."""
        self.call_hook('before_run')
        metrics = self.test_loop.run()
        self.call_hook('after_run')
        return metrics

    def call_hook(self, fn_name: str, **kwargs: Any) -> None:
        """Calls a method of all hooks that define it, in the order of their priorities.

        Args:
            fn_name: the method, e.g. ``'after_sequence'``.
            **kwargs: its arguments besides the runner.
        """
        for hook in self.hooks:
            if hasattr(hook, fn_name):
                try:
                    getattr(hook, fn_name)(self, **kwargs)
                except TypeError as error:
                    raise TypeError(f'{error} in {hook}') from error

    def register_hook(self, hook: Hook | dict, priority: Optional[int | str] = None) -> None:
        """Registers a hook behind those of the same priority, see :func:`build_hook`."""
        hook, priority = build_hook(hook, priority)
        if priority is not None:
            hook.priority = priority
        self.hooks.append(hook)
        self.hooks.sort(key=lambda registered: get_priority(registered.priority))

    def build_evaluator(self, evaluator: Evaluator | dict | list) -> Evaluator:
        """Builds the metrics, see :func:`build_evaluator`."""
        return build_evaluator(evaluator)

    def _set_up(self, cfg: Config, name: str) -> None:
        """Joins the other processes, seeds the random numbers and creates the folder of the logs."""
        self.launcher = cfg.get('launcher', 'none')
        self.distributed = self.launcher != 'none'
        with named_part(cfg, 'env_cfg'):
            self.timestamp = set_up_environment(self.launcher, cfg.get('env_cfg') or {})
        self.rank, self.world_size = get_dist_info()
        with named_part(cfg, 'randomness'):
            self.seed = set_random_seed(**(cfg.get('randomness') or dict(seed=0)))
        # mmengine shares loggers between runs of one name; two runs can start in the same second.
        self.experiment_name = f'{name}-{next(_RUN_NUMBERS)}_{self.timestamp}'
        self.log_dir = str(Path(self.work_dir) / self.timestamp)
        self._log_dir = self.log_dir  # the name that mmengine's LoggerHook reads
        Path(self.log_dir).mkdir(parents=True, exist_ok=True)
        scope = cfg.get('default_scope', 'hrtk')
        if scope is not None:
            DefaultScope.get_instance(self.experiment_name, scope_name=scope)

    def _build_observers(self, cfg: Config) -> None:
        """Builds the log, mmengine's message hub and the visualizer."""
        self.log_processor = LogProcessor()
        log_file = str(Path(self.log_dir) / f'{self.timestamp}.log')
        with named_part(cfg, 'log_level'):
            self.logger = MMLogger.get_instance(
                self.experiment_name,
                logger_name='hrtk',
                log_level=cfg.get('log_level', 'INFO'),
                log_file=log_file,
                file_mode='a',
            )
        if self.rank == 0:
            log_warnings(log_file, self.logger.handlers[-1].formatter)
        self.logger.info(', '.join(f'{key} {value}' for key, value in versions().items()))
        self.message_hub = MessageHub.get_instance(self.experiment_name)
        with named_part(cfg, 'visualizer'):
            self.visualizer = self._build_visualizer(cfg.get('visualizer'))
        self.visualizer.add_config(self.cfg)

    def _build_visualizer(self, visualizer: Optional[Visualizer | dict]) -> Visualizer:
        """Builds a visualizer, by default without back-ends: the run stores its results and images itself."""
        if visualizer is None:
            return Visualizer.get_instance(self.experiment_name)
        if isinstance(visualizer, Visualizer):
            return visualizer
        return VISUALIZERS.build(
            {'name': self.experiment_name, 'save_dir': self.log_dir, **visualizer}
        )

    def _register_hooks(self, cfg: Config) -> None:
        """Registers the hooks of the config, and the one that draws its ``outputs``."""
        default = cfg.get('default_hooks') or dict(progress=dict(type='ProgressHook'))
        parts: dict[str, Iterable[Any]] = dict(
            default_hooks=default.values(), custom_hooks=cfg.get('custom_hooks') or []
        )
        if cfg.get('outputs'):
            parts['outputs'] = [{**cfg.outputs, 'type': 'OverlayHook'}]
        for key, hooks in parts.items():
            with named_part(cfg, key):
                for hook in hooks:
                    if hook is not None:
                        self.register_hook(hook)
        names = ', '.join(type(hook).__name__ for hook in self.hooks)
        self.logger.info(f'Hooks will be executed in the following order:\n{names}')


def build_evaluator(evaluator: Evaluator | dict | list) -> Evaluator:
    """Builds the metrics of one config or of a list of configs through hrtk's registry."""
    if isinstance(evaluator, Evaluator):
        return evaluator
    configs = evaluator if isinstance(evaluator, (list, tuple)) else [evaluator]
    return Evaluator([METRICS.build(config) for config in configs])


def build_hook(
    hook: Hook | dict, priority: Optional[int | str] = None
) -> tuple[Hook, Optional[int | str]]:
    """Builds a hook through hrtk's registry, whose messages name similar hooks.

    Args:
        hook: a hook, or its config with an optional ``priority``.
        priority: of the hook, unless its config has one; None for that of its class.

    Returns:
        The hook and its priority.
    """
    if isinstance(hook, dict):
        options = dict(hook)
        priority = options.pop('priority', priority)
        hook = HOOKS.build(options)
    if not isinstance(hook, Hook):
        raise TypeError(f'hook should be an instance of Hook or dict, but got {hook}')
    return hook, priority


def check_keys(cfg: Config, keys: Iterable[str] = KEYS, required: Iterable[str] = REQUIRED) -> None:
    """Rejects unknown top-level keys and configs that lack a required one.

    Args:
        cfg: an adapt config, or a config of another kind with its ``keys`` and ``required`` keys.
        keys: all valid keys.
        required: keys that must have a value.

    Raises:
        InputError: names the key, with similar keys.
    """
    prefix = f'{cfg.filename}: ' if cfg.filename else ''
    for key in cfg.keys():
        if key not in keys and not key.startswith('_'):
            raise InputError(
                f'{prefix}unknown key {key!r}. {suggestion(key, keys, count=3)} '
                f"A config's own variables start with an underscore."
            )
    for key in required:
        if not cfg.get(key):
            raise InputError(
                f'{prefix}the config lacks {key!r}; it must name {", ".join(required)}'
            )


@contextlib.contextmanager
def named_part(cfg: Config, key: str) -> Iterator[None]:
    """Within this context, what a part of mmengine or of torch raises for a wrong value names the file and the key.

    Raises:
        InputError: instead of such an error.
    """
    try:
        yield
    except InputError:
        raise
    except (TypeError, ValueError, KeyError, AttributeError, AssertionError, RuntimeError) as error:
        prefix = f'{cfg.filename}: ' if cfg.filename else ''
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f'{prefix}{key} cannot be used: {reason}') from error


def _plain_config(cfg: Config | dict) -> Config:
    """A copy without the names that a pure-Python config imports."""
    if not isinstance(cfg, Config):
        cfg = Config(cfg)
    return Config(cfg.to_dict(), filename=cfg.filename)


def _build_estimator(cfg: Config) -> torch.nn.Module:
    """The estimator on its device, unwrapped: processes must not average gradients."""
    estimator = ESTIMATORS.build(cfg.estimator)
    with named_part(cfg, 'device'):
        return revert_sync_batchnorm(estimator.to(cfg.get('device') or get_device()))


def _build_dataloader(dataset_cfg: dict, seed: int) -> DataLoader:
    """Deals the sequences of a data set out to the processes, in order and without padding."""
    dataset = DATASETS.build(dataset_cfg)
    sampler = DefaultSampler(dataset, shuffle=False, seed=seed, round_up=False)
    return DataLoader(dataset, batch_size=1, sampler=sampler, collate_fn=_single)


def _single(batch: list) -> Any:
    return batch[0]
