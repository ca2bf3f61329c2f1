"""Which weights an adapter may change."""

from __future__ import annotations

import re

from torch import Tensor, nn

from hrtk.errors import InputError

PREFIXES = {'all': '', 'head': 'head.', 'layer4+head': ('backbone.layer4.', 'head.')}
NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm)


def select_parameters(model: nn.Module, which: str = 'all') -> dict[str, Tensor]:
    """The adaptable weights of a model by name.

    Args:
        model: an estimator.
        which: ``'all'`` (BOA, DynaBOA, 3DHR-Co), ``'norm'`` (scale and shift of normalisation layers), ``'head'``
            (the regressor), ``'layer4+head'`` (that and the backbone's last stage), or a regular expression that is
            searched for in every name.

    Raises:
        InputError: nothing is selected.
    """
    named = dict(model.named_parameters())
    if which == 'norm':
        chosen = {
            f'{prefix}.{name}': value
            for prefix, module in model.named_modules()
            if isinstance(module, NORMS)
            for name, value in module.named_parameters(recurse=False)
        }
    elif which in PREFIXES:
        chosen = {name: value for name, value in named.items() if name.startswith(PREFIXES[which])}
    else:
        chosen = {name: value for name, value in named.items() if re.search(which, name)}
    if not chosen:
        raise InputError(
            f"parameters={which!r} selects none of the model's {len(named)} weights; use all, norm, "
            f'head, layer4+head or a regular expression that matches names such as {next(iter(named))!r}'
        )
    return chosen
