"""Rows of tables that count the parameters and operations of a network, without training or weights."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.config import Config

from hrtk.errors import InputError
from hrtk.models.cost import network_cost
from hrtk.models.lifting import MPMStage1, MPMStage2
from hrtk.registry import LIFTERS

WHOLE = 'network'  # name of the whole network among the parts


def cost_of(cfg: Config, parts: list[str]) -> dict[str, Any]:
    """Counts one window of the lifter of a training config.

    Args:
        cfg: the training config.
        parts: submodules, whose sum is reported, or ``['network']``.

    Returns:
        An outcome, see :func:`hrtk.apis.tables.runs.execute`.

    Raises:
        InputError: the config has no lifter of MPM, or the lifter no such part.
    """
    config = {**cfg.model.network, 'weights': None}
    if 'pretrained' in config:
        config['pretrained'] = None
    network = LIFTERS.build(config).eval()
    if not isinstance(network, (MPMStage1, MPMStage2)):
        raise InputError(f'cost: networks of MPM are counted, not {type(network).__name__}')
    shape = (1, network.frames, network.joints)
    inputs: list[tuple[Any, ...]] = [(torch.zeros(*shape, 2),)]
    if isinstance(network, MPMStage1):
        inputs = [(torch.zeros(*shape, 2), '2d'), (torch.zeros(*shape, 3), '3d')]
    named = [part for part in parts if part != WHOLE]
    return {
        'computed': True,
        'protocol': 'parameters; multiplications and additions of matrix products',
        'part': 'network',
        'items': 1,
        'metrics': network_cost(network, inputs, named),
    }
