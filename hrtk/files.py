"""Files that hrtk writes: where they lie, what they are called, how they are hashed and replaced as a whole."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from hrtk.errors import InputError

LONGEST_NAME = 240  # characters; file systems allow 255 bytes, and a suffix follows
READ_BYTES = 1 << 20


def cache_folder(kind: str) -> Path:
    """The folder of one kind of files that can be computed again: ``$HRTK_CACHE/<kind>``.

    Without the environment variable the cache lies in ``~/.cache/hrtk``.
    """
    root = os.environ.get('HRTK_CACHE')
    return (Path(root) if root else Path.home() / '.cache' / 'hrtk') / kind


def escaped_name(name: str) -> str:
    """A sequence's name as a file name; ``urllib.parse.unquote`` returns the name.

    Raises:
        InputError: the name is too long for a file.
    """
    escaped = quote(name, safe=' ()[]+=,@')
    if escaped.startswith('.'):
        escaped = '%2E' + escaped[1:]
    if len(escaped) > LONGEST_NAME:
        raise InputError(
            f'the sequence name {name[:60]!r}... is too long for a file name; shorten it'
        )
    return escaped


def write_atomically(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Replaces a file as a whole: after a crash the path holds the old file, the new file or nothing.

    Args:
        path: the file.
        write: writes the content to an open binary file.
    """
    temporary = path.with_name(f'{path.name}.{os.getpid()}.tmp')
    try:
        with open(temporary, 'wb') as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text_atomically(path: Path, text: str) -> None:
    """Replaces a UTF-8 text file as a whole, see :func:`write_atomically`."""
    write_atomically(path, lambda file: file.write(text.encode()))


def sha256(path: str | Path) -> str:
    """The hash of a file's bytes, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while piece := file.read(READ_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def sha256_of_all(paths: Iterable[str | Path]) -> str:
    """The hash of several files, in their order."""
    return hashlib.sha256(''.join(map(sha256, paths)).encode()).hexdigest()
