"""The factors of losses, given as departures from a method's defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Optional

from hrtk.errors import InputError


def merged_loss_weights(
    adapter: str, defaults: Mapping[str, float], changes: Optional[Mapping[str, float]]
) -> dict[str, float]:
    """The defaults with some factors replaced.

    Args:
        adapter: name for messages.
        defaults: every factor of the method.
        changes: factors that differ, or None.

    Raises:
        InputError: there is no factor of that name.
    """
    changes = changes or {}
    unknown = sorted(set(changes) - set(defaults))
    if unknown:
        raise InputError(f'{adapter}: weights has no {unknown}; its keys are {sorted(defaults)}')
    return {**defaults, **changes}
