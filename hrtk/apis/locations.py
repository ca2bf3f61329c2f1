"""Where configs lie: beside the package in a checkout, inside it where hrtk was installed from a wheel."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Optional

PACKAGE = Path(__file__).parents[1]


def bundled_configs() -> Path:
    """The folder ``configs`` that belongs to this hrtk."""
    installed = PACKAGE / 'configs'
    if installed.is_dir():
        return installed
    return PACKAGE.parent / 'configs'


def find_config(name: str | Path, suffix: str = '.py') -> Optional[Path]:
    """The file of a config or a table, or None.

    Args:
        name: a path; or a name among the bundled configs, with or without ``configs/`` and suffix: ``'boa/r18_wild'``.
            An existing path takes precedence over a name.
        suffix: of the files, ``'.py'`` or ``'.yaml'``.
    """
    path = Path(name).expanduser()
    if os.path.isfile(path):  # False, too, for a name that is too long
        return path
    if path.is_absolute() or '..' in path.parts:
        return None
    bundled = bundled_configs() / bundled_name(path)
    for candidate in (bundled, bundled.with_name(bundled.name + suffix)):
        if os.path.isfile(candidate):
            return candidate
    return None


def bundled_name(path: Path) -> Path:
    """A name relative to the bundled configs."""
    return path.relative_to('configs') if path.parts[:1] == ('configs',) else path
