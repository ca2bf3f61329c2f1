"""Selection of the weights that an adapter changes."""

from __future__ import annotations

import re

from torch import Tensor, nn

from hrtk.adapters.parts.lora import install_lora
from hrtk.errors import InputError
from hrtk.models.estimators import Estimator

LORA = re.compile(r'lora\((\d+)\)')
NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm)


def select_parameters(model: nn.Module, which: str = 'all') -> dict[str, Tensor]:
    """Selects the adaptable weights of a model by name.

    Args:
        model: an estimator.
        which: ``'all'`` (BOA, DynaBOA, 3DHR-Co), ``'norm'`` (scale and shift of normalisation layers), ``'head'``
            (the regressor), ``'cut'`` (what lies behind the estimator's cut, so that the trunk runs once per crop),
            ``'layer4+head'`` (the same for a ResNet), ``'lora(4)'`` (changes of rank 4 of all linear layers and
            convolutions, which are installed, see :mod:`hrtk.adapters.parts.lora`), or a regular expression, which
            selects every name that it matches anywhere.

    Raises:
        InputError: no weight is selected.
    """
    lora = LORA.fullmatch(which)
    if lora is not None:
        chosen = set(install_lora(model, int(lora[1])))
        return {name: value for name, value in model.named_parameters() if name in chosen}
    parameters = dict(model.named_parameters())
    names = [name for name in _selected(model, which) if name in parameters]
    if not names:
        example = next(iter(parameters))
        raise InputError(
            f"parameters={which!r} selects none of the model's {len(parameters)} weights; use all, norm, head, "
            f'cut, layer4+head, lora(RANK) or a regular expression that matches names such as {example!r}'
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
    if which == 'cut':
        return _behind_cut(model, names)
    if which == 'layer4+head':
        return _last_stage_and_head(model, names)
    return [name for name in names if re.search(which, name)]


def _behind_cut(model: nn.Module, names: list[str]) -> list[str]:
    chosen = names
    if isinstance(model, Estimator):
        chosen = [name for name in names if model.behind_trunk(name)]
    if len(chosen) == len(names):
        raise InputError(
            f"parameters='cut': {type(model).__name__} is not cut, see docs/en/estimators.md; use all, norm, head or "
            f'lora(RANK)'
        )
    return chosen


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
