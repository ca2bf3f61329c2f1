"""Low-rank changes of weights: an adapter then changes, and stores, a small part of the numbers.

While the changes are installed, a network's state dict has its plain keys, with the unchanged weights, and the factors
beside them. Plain weights that are loaded take the changes away.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from hrtk.errors import InputError

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
WEIGHT = 'weight'
FACTORS = f'parametrizations.{WEIGHT}.0.'  # of their names, behind the layer's
ORIGINAL = f'parametrizations.{WEIGHT}.original'
SEED = 0  # of the factors at the start; a result does not depend on the run's own seed through them


class LowRank(nn.Module):
    """The weight of a layer and a product of two factors (Hu et al., "LoRA: Low-Rank Adaptation of Large Language
    Models", ICLR 2022, Eq. 3), ``weight + up @ down``; the paper's factor alpha / r is 1.

    The factor ``up`` starts at zero and ``down`` at random, uniformly within one over the root of its columns: the
    start is the unchanged network. The kernel of a convolution is a matrix of one row per output channel.

    Args:
        weight: (O, ...) of the layer.
        rank: r; at most the smaller side of the matrix is used.
        generator: of the random numbers.
    """

    def __init__(self, weight: Tensor, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        rows = weight.shape[0]
        columns = weight.numel() // rows
        rank = min(rank, rows, columns)
        down = torch.rand(rank, columns, generator=generator) * 2 - 1
        self.down = nn.Parameter((down / math.sqrt(columns)).to(weight))
        self.up = nn.Parameter(weight.new_zeros(rows, rank))

    def forward(self, weight: Tensor) -> Tensor:
        """(O, ...) -> (O, ...)."""
        return weight + (self.up @ self.down).reshape(weight.shape)


def install_lora(model: nn.Module, rank: int) -> list[str]:
    """Adds a change of low rank to every linear layer and convolution of a network.

    Changes that are installed already are removed first.

    Args:
        model: an estimator.
        rank: of every change.

    Returns:
        The names of the factors.

    Raises:
        InputError: the rank is below 1, or the network has no such layer.
    """
    if rank < 1:
        raise InputError(f'lora: the rank is at least 1, not {rank}')
    remove_lora(model)
    generator = torch.Generator().manual_seed(SEED)
    names = []
    layers: list[tuple[str, Any]] = list(model.named_modules())
    for prefix, layer in layers:
        # A weight that is a buffer, as those of a frozen prior, is not adapted.
        can_change = isinstance(layer, LAYERS) and layer._parameters.get(WEIGHT) is not None
        if not can_change:
            continue
        change = LowRank(layer._parameters[WEIGHT], rank, generator)
        parametrize.register_parametrization(layer, WEIGHT, change)
        layer._lora_hooks = [
            layer._register_state_dict_hook(_to_plain_key),
            layer._register_load_state_dict_pre_hook(_from_plain_key, with_module=True),
        ]
        names += [f'{prefix}.{FACTORS}{factor}'.lstrip('.') for factor in ('down', 'up')]
    if not names:
        raise InputError(f'lora: {type(model).__name__} has no linear layer and no convolution')
    return names


def remove_lora(model: nn.Module) -> None:
    """Takes the changes away: the network is the one before :func:`install_lora`."""
    _uninstall(model, merge=False)


def merge_lora(model: nn.Module) -> None:
    """Adds the changes to the weights, for export: a plain network with the same predictions up to rounding."""
    _uninstall(model, merge=True)


def merged_weights(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the state dict that the network has after :func:`merge_lora`; the network keeps its changes."""
    weights = {}
    for name, value in model.state_dict().items():
        if not is_factor(name):
            weights[name] = value.detach().clone()
    for prefix, layer in _changed_layers(model):
        weights[f'{prefix}.{WEIGHT}'.lstrip('.')] = layer.weight.detach().clone()
    return weights


def is_factor(name: str) -> bool:
    """Whether a key of a state dict belongs to a change of low rank."""
    return FACTORS in name


def _changed_layers(model: nn.Module) -> Iterator[tuple[str, Any]]:
    for prefix, layer in list(model.named_modules()):
        if hasattr(layer, '_lora_hooks'):
            yield prefix, layer


def _uninstall(model: nn.Module, merge: bool) -> None:
    for _, layer in _changed_layers(model):
        parametrize.remove_parametrizations(layer, WEIGHT, leave_parametrized=merge)
        for hook in layer._lora_hooks:
            hook.remove()
        del layer._lora_hooks


def _to_plain_key(
    layer: nn.Module, state: dict[str, Any], prefix: str, local_metadata: dict[str, Any]
) -> None:
    """Stores the unchanged weight under the key that it has in the plain network."""
    state[f'{prefix}{WEIGHT}'] = state.pop(f'{prefix}{ORIGINAL}')


def _from_plain_key(layer: Any, state: dict[str, Any], prefix: str, *others: Any) -> None:
    """Finds the unchanged weight under its plain key; a state without factors takes the change away."""
    weight = state.pop(f'{prefix}{WEIGHT}', None)
    if weight is not None:
        state[f'{prefix}{ORIGINAL}'] = weight
    change = layer.parametrizations[WEIGHT][0]
    state.setdefault(f'{prefix}{FACTORS}down', change.down.detach().clone())
    state.setdefault(f'{prefix}{FACTORS}up', torch.zeros_like(change.up))
