"""The console that tables are printed to."""

from __future__ import annotations

import sys

from rich.console import Console

FILE_WIDTH = 160  # characters of a line that is not printed to a terminal


def output_console() -> Console:
    """A console on stdout, as wide as the terminal; wide enough for tables where stdout is a file or a pipe."""
    if sys.stdout.isatty():
        return Console()
    return Console(width=FILE_WIDTH)
