"""Loss weights: a method's defaults with a user's overrides."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Optional, TypeVar

from hrtk.errors import OptionError

Weights = TypeVar('Weights', bound=Any)  # a dataclass of floats


def merged_loss_weights(
    adapter: str, defaults: Mapping[str, float], changes: Optional[Mapping[str, float]]
) -> dict[str, float]:
    """Returns the default loss weights with overrides.

    Args:
        adapter: name of the adapter for error messages.
        defaults: all loss weights of the method.
        changes: overrides, or None.

    Raises:
        InputError: an override has an unknown name.
    """
    changes = changes or {}
    unknown = sorted(set(changes) - set(defaults))
    if unknown:
        raise OptionError(f'{adapter}: weights has no {unknown}; its keys are {sorted(defaults)}')
    return {**defaults, **changes}


def overridden(adapter: str, weights: Weights, changes: Optional[Mapping[str, float]]) -> Weights:
    """Returns loss weights that are a dataclass with overrides; see :func:`merged_loss_weights`."""
    return type(weights)(**merged_loss_weights(adapter, dataclasses.asdict(weights), changes))
