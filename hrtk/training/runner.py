"""TrainRunner: mmengine's training loop over hrtk's registries."""

from __future__ import annotations

import functools
import itertools
import pickle
from collections.abc import Callable
from typing import Any, Optional

import torch
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from hrtk.engine.runner import build_evaluator, build_hook, named_part
from hrtk.errors import InputError, OptionError
from hrtk.models.checkpoints import read_checkpoint
from hrtk.registry import DATASETS, MODELS, OPTIMIZERS
from hrtk.training.seeded_steps import SeededSteps

_RUN_NUMBERS = itertools.count()
LARGEST_LOADING = {'num_workers': 1024, 'batch_size': 1 << 24}  # of a data loader


def _named(build: Callable[..., Any], key: str) -> Callable[..., Any]:
    """A method of mmengine's runner whose errors about wrong values name the config and the key."""

    @functools.wraps(build)
    def named(self: Runner, *args: Any, **kwargs: Any) -> Any:
        with named_part(self.cfg, key):
            return build(self, *args, **kwargs)

    return named


class TrainRunner(Runner):
    """mmengine's runner, building through hrtk's registries, which suggest similar names for an unknown one.

    Args:
        *args: of mmengine's ``Runner``.
        experiment_name: likewise; it is made unique, because mmengine shares logs between runs of one name, and two
            runs that begin in the same second have the same one.
        **kwargs: of mmengine's ``Runner``.
    """

    def __init__(self, *args: Any, experiment_name: Optional[str] = None, **kwargs: Any) -> None:
        name = experiment_name or 'train'
        super().__init__(*args, experiment_name=f'{name}-{next(_RUN_NUMBERS)}', **kwargs)

    setup_env = _named(Runner.setup_env, 'env_cfg')
    set_randomness = _named(Runner.set_randomness, 'randomness')
    build_logger = _named(Runner.build_logger, 'log_level')
    build_log_processor = _named(Runner.build_log_processor, 'log_processor')
    build_visualizer = _named(Runner.build_visualizer, 'visualizer')
    build_param_scheduler = _named(Runner.build_param_scheduler, 'param_scheduler')
    build_train_loop = _named(Runner.build_train_loop, 'train_dataloader or train_cfg')
    build_val_loop = _named(Runner.build_val_loop, 'val_dataloader, val_evaluator or val_cfg')
    build_test_loop = _named(Runner.build_test_loop, 'test_dataloader or test_evaluator')

    def build_model(self, model: nn.Module | dict) -> nn.Module:
        """Builds the training of a network."""
        return MODELS.build(model)

    def build_evaluator(self, evaluator: Evaluator | dict | list) -> Evaluator:
        """Builds the metrics of the validation."""
        return build_evaluator(evaluator)

    def register_hook(self, hook: Hook | dict, priority: Optional[int | str] = None) -> None:
        """Registers a hook."""
        hook, priority = build_hook(hook, priority)
        super().register_hook(hook, priority)

    def register_hooks(
        self,
        default_hooks: Optional[dict[str, Hook | dict]] = None,
        custom_hooks: Optional[list[Hook | dict]] = None,
    ) -> None:
        """Registers the hooks of the config and :class:`~hrtk.training.seeded_steps.SeededSteps`."""
        with named_part(self.cfg, 'default_hooks or custom_hooks'):
            super().register_hooks(default_hooks, custom_hooks)
        self.register_hook(SeededSteps())

    @staticmethod
    def build_dataloader(
        dataloader: DataLoader | dict, seed: Optional[int] = None, diff_rank_seed: bool = False
    ) -> DataLoader:
        """Builds a data set and its loader.

        Raises:
            OptionError: ``num_workers`` or ``batch_size`` is out of its range, or the data set is empty.
        """
        if isinstance(dataloader, dict):
            _check_loading(dataloader)
            dataset = DATASETS.build(dataloader['dataset'])
            if not len(dataset):
                raise OptionError(
                    f'data loader: the data set, a {type(dataset).__name__}, holds nothing; check its paths'
                )
            # As the result of a function: mmengine copies a data set itself, and a copy of files mapped to memory is no
            # longer mapped. It takes memory, and what is drawn into it never reaches the disk.
            dataloader = {**dataloader, 'dataset': dict(type=lambda: dataset)}
        return Runner.build_dataloader(dataloader, seed, diff_rank_seed)

    def load_checkpoint(self, filename: str, *args: Any, **kwargs: Any) -> dict:
        """Loads a checkpoint that :func:`read_checkpoint` reads without executing anything.

        Raises:
            InputError: the file is missing or damaged, or holds something other than tensors and plain values.
        """
        read_checkpoint(
            filename
        )  # mmengine's own reader executes pickles with older versions of torch
        try:
            checkpoint = super().load_checkpoint(filename, *args, **kwargs)
        except pickle.UnpicklingError as error:
            raise InputError(
                f'{filename}: holds something other than tensors and plain values, which hrtk does not execute; save '
                f'its state dict alone'
            ) from error
        meta = checkpoint.get('meta')
        if isinstance(meta, dict):
            meta.pop('config', None)  # mmengine would execute this text when it resumes
        return checkpoint

    def build_optim_wrapper(self, optim_wrapper: OptimWrapper | dict) -> OptimWrapper:
        """Builds the optimizer."""
        # mmengine looks the optimizer's name up without an error message. A trial build reports an unknown name; a
        # `constructor` reports it itself.
        with named_part(self.cfg, 'optim_wrapper'):
            if isinstance(optim_wrapper, dict) and 'constructor' not in optim_wrapper:
                parameters = [nn.Parameter(torch.zeros(1))]
                OPTIMIZERS.build(optim_wrapper['optimizer'], default_args=dict(params=parameters))
            return super().build_optim_wrapper(optim_wrapper)


def _check_loading(dataloader: dict) -> None:
    """Checks the numbers of a loader before torch starts a process for every worker."""
    for option, least in (('num_workers', 0), ('batch_size', 1)):
        value = dataloader.get(option, least)
        if not isinstance(value, int) or isinstance(value, bool):
            raise OptionError(f'data loader: {option} is a whole number, not {value!r}')
        if not least <= value <= LARGEST_LOADING[option]:
            raise OptionError(
                f'data loader: {option} is a number from {least} to {LARGEST_LOADING[option]}, not {value!r}'
            )
