"""The names of domains and shifts in configs of drawn data sets, checked before the data set is built.

The modules of the open stream raise :class:`InputError` for them. Its code is part of the hash of every drawn data set,
so this check stands outside.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from hrtk.datasets.open_stream import OpenStream, OpenViews, make_domain
from hrtk.errors import InputError, OptionError


def check_domain(cls: Any, options: Mapping[str, Any]) -> None:
    """Checks the options ``domain`` and ``shifts`` of a drawn data set.

    Args:
        cls: class of any data set; those that are not drawn are not checked.
        options: of the class, by name.

    Raises:
        OptionError: an unknown domain or shift.
    """
    if not (inspect.isclass(cls) and issubclass(cls, (OpenStream, OpenViews))):
        return
    given = {name: options[name] for name in ('domain', 'shifts') if name in options}
    if not given:
        return
    try:
        make_domain(given.get('domain', 'studio'), given.get('shifts'))
    except InputError as error:
        raise OptionError(str(error)) from error
