"""Where configs and commands lie: beside the package in a checkout, inside it where hrtk was installed from a wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

PACKAGE = Path(__file__).parents[1]


def bundled_folder(name: str) -> Path:
    """The folder ``configs`` or ``tools`` that belongs to this hrtk."""
    inside = PACKAGE / name
    return inside if inside.is_dir() else PACKAGE.parent / name


def find_config(name: str | Path, suffix: str = '.py') -> Optional[Path]:
    """The file behind the name of a config or a table, or None.

    Args:
        name: a path; or a name among the bundled configs, with or without ``configs/`` and suffix: ``'boa/r18_wild'``.
            A path that exists goes before a name.
        suffix: of the files, ``'.py'`` or ``'.yaml'``.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return path
    if path.is_absolute() or '..' in path.parts:
        return None
    inside = bundled_folder('configs') / bundled_name(path)
    return next(
        (file for file in (inside, inside.with_name(inside.name + suffix)) if file.is_file()), None
    )


def bundled_name(path: Path) -> Path:
    """A name relative to the bundled configs."""
    return path.relative_to('configs') if path.parts[:1] == ('configs',) else path
