"""Warnings of hrtk's modules in the log of a run, beside the console."""

from __future__ import annotations

import logging
from typing import Optional


class RunLog(logging.FileHandler):
    """The file of the run that is in progress."""


class Console(logging.Handler):
    """The console, as Python prints the warnings of a logger without handlers."""

    def emit(self, record: logging.LogRecord) -> None:
        """Prints the message, unless the program that calls hrtk has set up its own logging."""
        if not logging.getLogger().handlers and logging.lastResort is not None:
            logging.lastResort.handle(record)


def log_warnings(path: str, formatter: Optional[logging.Formatter]) -> None:
    """Writes warnings of hrtk's modules, e.g. of data sets, to the log of a run; no longer to that of the run before.

    Args:
        path: of the log.
        formatter: of its lines.
    """
    logger = logging.getLogger('hrtk')
    for handler in [*logger.handlers]:
        if isinstance(handler, (RunLog, Console)):
            logger.removeHandler(handler)
            handler.close()
    file = RunLog(path, 'a', encoding='utf-8')
    file.setLevel(logging.WARNING)
    file.setFormatter(formatter)
    logger.addHandler(file)
    logger.addHandler(Console(logging.WARNING))
