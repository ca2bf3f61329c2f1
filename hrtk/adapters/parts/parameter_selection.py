"""Selection of the weights that an adapter changes."""

from __future__ import annotations

import re

from torch import Tensor, nn

from hrtk.errors import InputError

NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm)


def select_parameters(model: nn.Module, which: str = 'all') -> dict[str, Tensor]:
    """Selects the adaptable weights of a model by name.

    Args:
        model: an estimator.
        which: ``'all'`` (BOA, DynaBOA, 3DHR-Co), ``'norm'`` (scale and shift of normalisation layers), ``'head'``
            (the regressor), ``'layer4+head'`` (the regressor and the backbone's last stage, which
            begins at the estimator's cut), or a regular expression, which selects every name that it matches anywhere.

    Raises:
        InputError: no weight is selected.
    """
    parameters = dict(model.named_parameters())
    names = [name for name in _selected(model, which) if name in parameters]
    if not names:
        example = next(iter(parameters))
        raise InputError(
            f"parameters={which!r} selects none of the model's {len(parameters)} weights; use all, norm, head, "
            f'layer4+head or a regular expression that matches names such as {example!r}'
        )
    return {name: parameters[name] for name in names}


def _selected(model: nn.Module, which: str) -> list[str]:
    names = [name for name, _ in model.named_parameters()]
    if which == 'all':
        return names
    if which == 'norm':
        return _norm_names(model)
    if which == 'head':
        return [name for name in names if name.startswith('head.')]
    if which == 'layer4+head':
        return _last_stage_and_head(model, names)
    return [name for name in names if re.search(which, name)]


def _last_stage_and_head(model: nn.Module, names: list[str]) -> list[str]:
    prefixes = ['head.']
    last_stage = getattr(getattr(model, 'backbone', None), 'last_stage', None)
    if last_stage is not None:
        prefixes.append(f'backbone.{last_stage}.')
    return [name for name in names if name.startswith(tuple(prefixes))]


def _norm_names(model: nn.Module) -> list[str]:
    names = []
    for prefix, module in model.named_modules():
        if isinstance(module, NORMS):
            names += [f'{prefix}.{name}' for name, _ in module.named_parameters(recurse=False)]
    return names
