"""What adapters share that wrap another adapter."""

from __future__ import annotations

from hrtk.adapters.base import Adapter
from hrtk.errors import OptionError


def take_reset(outer: Adapter, wrapped: Adapter) -> None:
    """Gives an adapter under construction the ``reset`` of the adapter that it wraps.

    Raises:
        OptionError: the outer adapter has a ``reset`` of its own.
    """
    if outer.reset not in ('sequence', wrapped.reset):
        raise OptionError(
            f'{type(outer).__name__}: reset is that of the wrapped adapter, {wrapped.reset!r}, not {outer.reset!r}; '
            f'set adapter.reset'
        )
    object.__setattr__(outer, 'reset', wrapped.reset)


def wrapped_fingerprint(wrapped: Adapter) -> dict[str, str]:
    """Returns the hashes of a wrapped adapter under names of their own."""
    return {f'adapter.{key}': value for key, value in wrapped.fingerprint().items()}
