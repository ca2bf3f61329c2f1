"""Loss weights: a method's defaults with a user's overrides."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, Optional, TypeVar

from hrtk.errors import OptionError

Weights = TypeVar('Weights', bound=Any)  # a dataclass of floats


class WeightedLosses(Generic[Weights]):
    """An adapter with an option ``weights``; wrong names in it are an error when the adapter is built."""

    DEFAULT_LOSS_WEIGHTS: ClassVar[Any]
    weights: Optional[Mapping[str, float]]

    def __post_init__(self) -> None:
        super().__post_init__()  # type: ignore[misc]  # of the adapter that stands behind this class
        self.loss_weights

    @functools.cached_property
    def loss_weights(self) -> Weights:
        """The loss weights: the method's defaults with the overrides of ``weights``."""
        return overridden(type(self).__name__, self.DEFAULT_LOSS_WEIGHTS, self.weights)


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
