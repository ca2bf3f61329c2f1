"""Room on the disk for cached views, which are files mapped into memory.

Such a file is sparse: its blocks are allocated when a view is written. If the disk is full at that moment, the system
ends the process with SIGBUS, which no program can report. The blocks are therefore reserved before the first view.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from hrtk.datasets.open_stream.cache import ViewCache
from hrtk.files import reserve

_log = logging.getLogger(__name__)


def reserve_views(dataset: Any) -> None:
    """Reserves the files of a data set that caches views; without room it draws its views every time.

    Args:
        dataset: a data set of any kind; ``cache`` is a :class:`~hrtk.datasets.open_stream.cache.ViewCache`, or other
            data sets have none.
    """
    cache = getattr(dataset, 'cache', None)
    if not isinstance(cache, ViewCache):
        return
    for array in (cache.images, *cache.labels.values(), cache.complete):
        path = Path(str(array.filename))
        try:
            reserve(path)
        except OSError as error:
            _log.warning(
                '%s: no room for cached views (%s); they are drawn every time', path, error
            )
            dataset.cache = None
            return
