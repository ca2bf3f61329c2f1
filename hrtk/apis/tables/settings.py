"""Settings of an adapter that stand beside the numbers of a crossed table."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from hrtk.evaluation.report import BEFORE
from hrtk.registry import ADAPTERS


def settings_of(config: Config) -> dict[str, str]:
    """Reset policy and order of the derivatives of the config's adapter, ``'-'`` where it has none.

    ``DoNoHarm`` has those of the adapter that it wraps, and ``Regeneration`` the order of its ``online`` part. The
    plain steps of ``Bilevel`` with ``until`` have no order.
    """
    return {name: _setting(config.adapter.to_dict(), name) for name in ('reset', 'order')}


def _setting(adapter: Mapping[str, Any], name: str) -> str:
    if adapter['type'] == BEFORE:
        return '-'
    wrapped = adapter.get('adapter')
    if isinstance(wrapped, Mapping):
        return _setting(wrapped, name)
    if name == 'order' and adapter['type'] == 'Bilevel' and adapter.get('until') is not None:
        return '-'
    if name in adapter:
        return str(adapter[name])
    kind = adapter['type']
    if isinstance(kind, str):
        kind = ADAPTERS.get(kind)
    online = adapter.get('online')
    if isinstance(online, Mapping) and name == 'order':
        return _setting(online, name)
    parameter = inspect.signature(kind).parameters.get(name)
    if parameter is not None and isinstance(parameter.default, str):
        return parameter.default
    value = getattr(kind, name, None)
    return value if isinstance(value, str) else '-'
