"""TrainRunner: mmengine's training loop over hrtk's registries."""

from __future__ import annotations

from typing import Optional

import torch
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from hrtk.engine.runner import RegistryRunner
from hrtk.registry import DATASETS, MODELS, OPTIMIZERS


class TrainRunner(RegistryRunner):
    """Trains what a training config names."""

    def build_model(self, model: nn.Module | dict) -> nn.Module:
        """Builds what is trained."""
        return MODELS.build(model)

    @staticmethod
    def build_dataloader(
        dataloader: DataLoader | dict, seed: Optional[int] = None, diff_rank_seed: bool = False
    ) -> DataLoader:
        """Builds a data set and its loader."""
        if isinstance(dataloader, dict):
            dataloader = {**dataloader, 'dataset': DATASETS.build(dataloader['dataset'])}
        return Runner.build_dataloader(dataloader, seed, diff_rank_seed)

    def build_optim_wrapper(self, optim_wrapper: OptimWrapper | dict) -> OptimWrapper:
        """Builds the optimiser."""
        # mmengine calls whatever it finds under the name, even nothing; a constructor looks names up itself.
        if isinstance(optim_wrapper, dict) and 'constructor' not in optim_wrapper:
            OPTIMIZERS.build(
                optim_wrapper['optimizer'], default_args=dict(params=[nn.Parameter(torch.zeros(1))])
            )
        return super().build_optim_wrapper(optim_wrapper)
